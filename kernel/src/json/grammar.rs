//! JSON's grammar, strictly, over bytes that are known to be UTF-8.

use super::scan::Scan;
use super::{JsonError, Kind, Value};

/// How deep containers may nest; venues stay under ten.
pub const MAX_DEPTH: u32 = 64;

impl Scan<'_> {
    #[inline]
    pub(super) fn peek(&self) -> Result<u8, JsonError> {
        self.b.get(self.at).copied().ok_or(JsonError::Truncated)
    }

    #[inline]
    pub(super) fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.b.get(self.at) {
            self.at += 1;
        }
    }

    pub(super) fn syntax<T>(&self) -> Result<T, JsonError> {
        Err(if self.at >= self.b.len() { JsonError::Truncated } else { JsonError::Syntax(self.at as u32) })
    }

    #[inline]
    pub(super) fn colon(&mut self) -> Result<(), JsonError> {
        if self.b.get(self.at) != Some(&b':') {
            self.space();
            if self.peek()? != b':' {
                return self.syntax();
            }
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    /// Takes a comma (and says false) or the closing byte (and says true).
    #[inline]
    pub(super) fn next_or(&mut self, close: u8) -> Result<bool, JsonError> {
        self.space();
        let byte = self.peek()?;
        if byte == b',' {
            self.at += 1;
            self.space();
            return Ok(false);
        }
        if byte == close {
            self.at += 1;
            return Ok(true);
        }
        self.syntax()
    }

    /// The value that began at `start` and has just ended; a string without its quotes.
    #[inline]
    pub(super) fn spanned(&self, start: usize, kind: Kind) -> Value {
        let quote = usize::from(matches!(kind, Kind::Text | Kind::Escaped));
        Value { start: (start + quote) as u32, end: (self.at - quote) as u32, kind }
    }

    #[inline]
    pub(super) fn skip(&mut self, depth: u32) -> Result<Kind, JsonError> {
        match self.peek()? {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b'{' => self.skip_object(depth),
            b'[' => self.skip_array(depth),
            b't' => self.literal(b"true", Kind::Bool),
            b'f' => self.literal(b"false", Kind::Bool),
            b'n' => self.literal(b"null", Kind::Null),
            _ => Err(JsonError::Syntax(self.at as u32)),
        }
    }

    fn skip_object(&mut self, depth: u32) -> Result<Kind, JsonError> {
        if depth >= MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        self.at += 1;
        self.space();
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(Kind::Object);
        }
        loop {
            self.string()?;
            self.colon()?;
            self.skip(depth + 1)?;
            if self.next_or(b'}')? {
                return Ok(Kind::Object);
            }
        }
    }

    fn skip_array(&mut self, depth: u32) -> Result<Kind, JsonError> {
        if depth >= MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        self.at += 1;
        self.space();
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(Kind::Array);
        }
        loop {
            self.skip(depth + 1)?;
            if self.next_or(b']')? {
                return Ok(Kind::Array);
            }
        }
    }

    fn literal(&mut self, word: &[u8], kind: Kind) -> Result<Kind, JsonError> {
        for expected in word {
            if self.peek()? != *expected {
                return self.syntax();
            }
            self.at += 1;
        }
        Ok(kind)
    }

    #[inline]
    pub(super) fn string(&mut self) -> Result<Kind, JsonError> {
        if self.peek()? != b'"' {
            return self.syntax();
        }
        let mut at = self.at + 1;
        let mut kind = Kind::Text;
        loop {
            at = plain_until(self.b, at);
            match self.b.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(kind);
                }
                Some(b'\\') => {
                    kind = Kind::Escaped;
                    at = self.escape(at)?;
                }
                Some(_) => return Err(JsonError::Syntax(at as u32)),
                None => return Err(JsonError::Truncated),
            }
        }
    }

    /// The place after the escape that starts at `at`.
    fn escape(&self, at: usize) -> Result<usize, JsonError> {
        match self.b.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
            Some(b'u') => {
                for offset in 2..6 {
                    match self.b.get(at + offset) {
                        Some(byte) if byte.is_ascii_hexdigit() => {}
                        Some(_) => return Err(JsonError::Syntax((at + offset) as u32)),
                        None => return Err(JsonError::Truncated),
                    }
                }
                Ok(at + 6)
            }
            Some(_) => Err(JsonError::Syntax((at + 1) as u32)),
            None => Err(JsonError::Truncated),
        }
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.b.get(self.at) {
            self.at += 1;
        }
        if self.at == start {
            return self.syntax();
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Kind, JsonError> {
        if self.b.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        if self.peek()? == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.b.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.b.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.b.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Kind::Number)
    }
}

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The next quote, backslash or control byte at or after `at`, eight bytes at a time; the length where there is none.
#[inline]
fn plain_until(b: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = b.get(at..at + 8) {
        let mut word = [0u8; 8];
        word.copy_from_slice(chunk);
        let w = u64::from_le_bytes(word);
        let quote = w ^ (LOW * 0x22);
        let slash = w ^ (LOW * 0x5c);
        let hits =
            (quote.wrapping_sub(LOW) & !quote) | (slash.wrapping_sub(LOW) & !slash) | (w.wrapping_sub(LOW * 0x20) & !w);
        let hits = hits & HIGH;
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(byte) = b.get(at) {
        if matches!(byte, b'"' | b'\\' | 0..=0x1f) {
            return at;
        }
        at += 1;
    }
    at
}
