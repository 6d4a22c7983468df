//! Frames compressed one by one: gzip (RFC 1952), zlib (RFC 1950) or bare deflate (RFC 1951).

use flate2::{Decompress, FlushDecompress, Status};
use serde::Deserialize;

use super::{begins_json, Undecodable, TOO_LARGE};

/// What a buffer begins with, and the least it grows by.
const LEAST: usize = 16 << 10;

const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const HEADER_CHECK: u8 = 1 << 1;
const RESERVED: u8 = 0b1110_0000;

/// How frames are compressed.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952.
    #[serde(rename = "gzip")]
    Gzip,
    /// RFC 1951, with nothing around it.
    #[serde(rename = "raw deflate")]
    RawDeflate,
    /// RFC 1950.
    #[serde(rename = "zlib")]
    Zlib,
}

/// `tapeline.spec.decoding.Inflate`.
#[derive(Clone, Debug, Deserialize)]
pub struct InflateSpec {
    compression: Compression,
    largest: usize,
}

/// Inflates frames into a buffer that grows to what the largest of them needs.
#[derive(Debug)]
pub struct Inflate {
    compression: Compression,
    largest: usize,
    state: Decompress,
}

impl Inflate {
    pub fn new(spec: &InflateSpec) -> Self {
        let zlib = spec.compression == Compression::Zlib;
        Self { compression: spec.compression, largest: spec.largest, state: Decompress::new(zlib) }
    }

    /// Whether a frame is text already. Bare deflate may begin with any byte, so there the frame's end must fit as well.
    pub fn passes(&self, frame: &[u8]) -> bool {
        begins_json(frame)
            && (self.compression != Compression::RawDeflate
                || matches!(frame.trim_ascii_end(), [.., b'}' | b']' | b'"']) && std::str::from_utf8(frame).is_ok())
    }

    /// Inflates a whole frame to the front of `out`, whose length is only ever grown; how long the text is.
    pub fn decode(&mut self, frame: &[u8], out: &mut Vec<u8>) -> Result<usize, Undecodable> {
        let broken = match self.compression {
            Compression::Gzip => return self.members(frame, out),
            Compression::Zlib => Undecodable("bad_zlib"),
            Compression::RawDeflate => Undecodable("bad_deflate"),
        };
        let (read, end) = self.stream(frame, out, 0, broken)?;
        if read == frame.len() {
            Ok(end)
        } else {
            Err(broken)
        }
    }

    /// A frame is members one after another, "with no additional information before, between, or after them".
    fn members(&mut self, frame: &[u8], out: &mut Vec<u8>) -> Result<usize, Undecodable> {
        let broken = Undecodable("bad_gzip");
        let (mut at, mut end) = (0, 0);
        loop {
            at += header(&frame[at..]).ok_or(broken)?;
            let start = end;
            let (read, until) = self.stream(&frame[at..], out, start, broken)?;
            at += read;
            end = until;
            let trailer = frame.get(at..at + 8).ok_or(broken)?;
            at += 8;
            let text = &out[start..end];
            let (check, size) = trailer.split_at(4);
            if check != crc32fast::hash(text).to_le_bytes() || size != (text.len() as u32).to_le_bytes() {
                return Err(broken);
            }
            if at == frame.len() {
                return Ok(end);
            }
        }
    }

    /// Inflates one stream to `out[start..]`; how many bytes of the frame it took, and where the text ends.
    fn stream(
        &mut self,
        frame: &[u8],
        out: &mut Vec<u8>,
        start: usize,
        broken: Undecodable,
    ) -> Result<(usize, usize), Undecodable> {
        self.state.reset(self.compression == Compression::Zlib);
        loop {
            let (read, end) = (self.state.total_in() as usize, start + self.state.total_out() as usize);
            if end >= self.largest {
                // One byte more than is allowed tells the end of the stream from a text that goes on.
                let mut more = [0u8; 1];
                let status = self.state.decompress(&frame[read..], &mut more, FlushDecompress::Finish);
                if start + self.state.total_out() as usize > self.largest {
                    *out = Vec::new();
                    return Err(TOO_LARGE);
                }
                let ended = matches!(status, Ok(Status::StreamEnd));
                return ended.then_some((self.state.total_in() as usize, end)).ok_or(broken);
            }
            if end == out.len() {
                let wanted = (out.len() * 2).max(frame.len() * 4).max(LEAST);
                out.resize(wanted.min(self.largest), 0);
            }
            let room = out.len().min(self.largest);
            let status = self.state.decompress(&frame[read..], &mut out[end..room], FlushDecompress::Finish);
            let (now_read, now_end) = (self.state.total_in() as usize, start + self.state.total_out() as usize);
            match status {
                Ok(Status::StreamEnd) => return Ok((now_read, now_end)),
                Ok(Status::Ok | Status::BufError) if now_end == room => {}
                // There was room left: the frame is cut short.
                _ => return Err(broken),
            }
        }
    }
}

/// How long a member's header is; `None` where it is none, or one whose meaning is not defined.
fn header(member: &[u8]) -> Option<usize> {
    let [0x1f, 0x8b, 8, flags, _, _, _, _, _, _, rest @ ..] = member else { return None };
    if flags & RESERVED != 0 {
        return None;
    }
    let mut rest = rest;
    if flags & EXTRA != 0 {
        let (length, after) = rest.split_first_chunk::<2>()?;
        rest = after.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            rest = rest.get(memchr::memchr(0, rest)? + 1..)?;
        }
    }
    let length = member.len() - rest.len();
    if flags & HEADER_CHECK == 0 {
        return Some(length);
    }
    let check = (crc32fast::hash(&member[..length]) as u16).to_le_bytes();
    rest.starts_with(&check).then_some(length + 2)
}
