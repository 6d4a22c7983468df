//! Reads rows of raw files (the dialect of `tapeline/rawfile.py`) out of chunks that are cut anywhere.

use std::collections::VecDeque;

use memchr::{memchr, memrchr};

use super::contents::NO_CONTENT;
use super::side::Row;

const COLUMNS: usize = 6;
/// No row is longer (bytes): what has no line break for so long is no raw file.
const LONGEST_ROW: usize = 256 << 20;
/// How much of a bad value a person is shown.
const SHOWN: usize = 40;

/// The chunks whose payloads are still needed, and the row at which the last ended.
#[derive(Debug, Default)]
pub struct Reader {
    chunks: VecDeque<Vec<u8>>,
    /// The number of the first chunk held.
    first: u64,
    held: usize,
    half: Vec<u8>,
    /// Rows of the object so far.
    number: u64,
    /// What is wrong with the object; the rest of it is not read.
    wrong: Option<String>,
    last: Option<(i64, i64)>,
    pub duplicates: u64,
}

impl Reader {
    /// Reads whole rows of a chunk and what was left of those before.
    pub fn feed(&mut self, bytes: &[u8], rows: &mut VecDeque<Row>) {
        if self.wrong.is_some() {
            return;
        }
        let Some(end) = memrchr(b'\n', bytes) else {
            self.half.extend_from_slice(bytes);
            if self.half.len() > LONGEST_ROW {
                self.refuse(self.number + 1, format!("row is longer than {LONGEST_ROW} bytes"));
            }
            return;
        };
        let (whole, rest) = bytes.split_at(end + 1);
        let mut chunk = std::mem::take(&mut self.half);
        chunk.reserve_exact(whole.len());
        chunk.extend_from_slice(whole);
        self.half.extend_from_slice(rest);
        let before = rows.len();
        self.read(&mut chunk, rows);
        if rows.len() > before {
            self.held += chunk.capacity();
            self.chunks.push_back(chunk);
        }
    }

    fn read(&mut self, chunk: &mut [u8], rows: &mut VecDeque<Row>) {
        let number = self.first + self.chunks.len() as u64;
        let mut start = 0;
        while let Some(length) = memchr(b'\n', &chunk[start..]) {
            let end = start + length;
            self.number += 1;
            match row(chunk, start, end) {
                Err(wrong) => return self.refuse(self.number, wrong),
                Ok(row) => {
                    let place = Some((row.epoch, row.sequence));
                    if place > self.last {
                        self.last = place;
                        rows.push_back(Row { chunk: number, ..row });
                    } else {
                        self.duplicates += 1;
                    }
                }
            }
            start = end + 1;
        }
    }

    fn refuse(&mut self, number: u64, wrong: String) {
        self.wrong = Some(format!("row {number}: {wrong}"));
        self.half = Vec::new();
    }

    /// An object ends: what was wrong with it.
    pub fn boundary(&mut self) -> Result<(), String> {
        let number = std::mem::take(&mut self.number);
        let half = !std::mem::take(&mut self.half).is_empty();
        match self.wrong.take() {
            Some(wrong) => Err(wrong),
            None if half => Err(format!("row {}: row is cut short", number + 1)),
            None => Ok(()),
        }
    }

    #[inline]
    pub fn payload(&self, row: &Row) -> &[u8] {
        let chunk = self.chunks.get((row.chunk - self.first) as usize);
        chunk.and_then(|chunk| chunk.get(row.start..row.end)).unwrap_or_default()
    }

    /// Gives up the chunks before that of the first row still needed; none needs any.
    #[inline]
    pub fn release(&mut self, needed: Option<u64>) {
        let needed = needed.unwrap_or(self.first + self.chunks.len() as u64);
        while self.first < needed {
            let Some(chunk) = self.chunks.pop_front() else { return };
            self.held -= chunk.capacity();
            self.first += 1;
        }
    }

    pub fn memory(&self) -> usize {
        self.held + self.half.capacity()
    }
}

/// The row between two places of a chunk; base64 is decoded in place.
#[inline]
fn row(chunk: &mut [u8], start: usize, end: usize) -> Result<Row, String> {
    let mut numbers = [0i64; 4];
    let mut at = start;
    for number in &mut numbers {
        let from = at;
        let mut value = 0i64;
        let mut fits = true;
        while let Some(digit) = chunk.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit <= 9) {
            let next = value.checked_mul(10).and_then(|value| value.checked_add(i64::from(digit)));
            fits &= next.is_some();
            value = next.unwrap_or(0);
            at += 1;
        }
        if !fits || at == from || chunk.get(at) != Some(&b'\t') {
            return Err(bad(&chunk[start..end]));
        }
        *number = value;
        at += 1;
    }
    let rest = &chunk[at..end];
    let [epoch, sequence, connection, ts_recv] = numbers;
    let made = |start, end| {
        let (content, next, taken) = (NO_CONTENT, 0, false);
        Row { epoch, sequence, connection, ts_recv, chunk: 0, start, end, content, next, taken }
    };
    if rest.starts_with(b"text\t") {
        return Ok(made(at + 5, end));
    }
    if rest.starts_with(b"base64\t") {
        let from = at + 7;
        let length = decode(&mut chunk[from..end]).ok_or("payload is not base64")?;
        return Ok(made(from, from + length));
    }
    Err(bad(&chunk[start..end]))
}

/// What is wrong with a row that is not as it should be.
#[cold]
fn bad(line: &[u8]) -> String {
    let fields: Vec<&[u8]> = line.splitn(COLUMNS, |byte| *byte == b'\t').collect();
    let shown = |text: &[u8]| String::from_utf8_lossy(text.get(..SHOWN).unwrap_or(text)).into_owned();
    if fields.len() != COLUMNS {
        return format!("row has {} of {COLUMNS} columns", fields.len());
    }
    if !matches!(fields[4], b"text" | b"base64") {
        return format!("encoding {:?} is not text or base64", shown(fields[4]));
    }
    let number = |text: &&&[u8]| {
        let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        !digits || std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok()).is_none()
    };
    match fields[..4].iter().find(number) {
        Some(text) => format!("{:?} is no number of 63 bits", shown(text)),
        None => "row is broken".into(),
    }
}

/// Decodes base64, with its padding, where it stands; how many bytes there are.
fn decode(text: &mut [u8]) -> Option<usize> {
    if text.len() % 4 != 0 {
        return None;
    }
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    if padding > 2 {
        return None;
    }
    let signs = text.len() - padding;
    let (mut length, mut bits, mut held) = (0, 0u32, 0);
    for at in 0..signs {
        let value = VALUES[usize::from(text[at])];
        if value == NO_VALUE {
            return None;
        }
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            text[length] = (bits >> held) as u8;
            length += 1;
        }
    }
    Some(length)
}

const NO_VALUE: u8 = 0xff;
const VALUES: [u8; 256] = {
    let mut values = [NO_VALUE; 256];
    let mut at = 0;
    while at < 64 {
        values[crate::rows::BASE64[at] as usize] = at as u8;
        at += 1;
    }
    values
};
