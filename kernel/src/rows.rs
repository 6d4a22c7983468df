//! Raw payloads as rows of raw files (the dialect of `tapeline/rawfile.py`), by span of time and channel.
//!
//! The cold path's only work per payload: everything after it handles whole runs of rows.

use memchr::{memchr, memchr3};

use crate::wire::{BatchView, Response, WireError};

const DAY_NS: u64 = 86_400_000_000_000;
/// The signs of base64, by value.
pub(crate) const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const NO_RUN: usize = usize::MAX;
/// What a row adds to its payload, nearly.
const ROW_BYTES: usize = 64;

/// Rows of one channel, in sequence; payloads of others lie between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run<'a> {
    /// The venue's channel id.
    pub channel: &'a str,
    /// Its schema; empty where it has none.
    pub schema: &'a str,
    /// The sequence of the first row.
    pub first: u64,
    /// The sequence of the last row.
    pub last: u64,
    /// How many rows there are.
    pub payloads: u64,
    /// The rows, each with its line break.
    pub rows: Vec<u8>,
}

/// All payloads of a batch that fall in one span of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Where the span ends, ns since the epoch: a multiple of the span, or a midnight (UTC).
    pub end: u64,
    /// The sequence of the first payload.
    pub first: u64,
    /// The sequence of the last payload.
    pub last: u64,
    /// When the first payload was received.
    pub ts_recv: u64,
    /// By channel, in order of appearance.
    pub runs: Vec<Run<'a>>,
}

/// One response, split; a gap has no segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split<'a> {
    /// The session manager's start.
    pub epoch: u64,
    /// The first sequence covered.
    pub first: u64,
    /// The last; one less than the first of an empty batch; 0 where the end of a gap is not known.
    pub last: u64,
    /// Whether payloads were lost.
    pub gap: bool,
    /// In order of sequence.
    pub segments: Vec<Segment<'a>>,
}

/// Splits a response; payloads up to sequence `after` of `epoch` are left out.
pub fn split(response: &[u8], epoch: u64, after: u64, span_ns: u64) -> Result<Split<'_>, WireError> {
    match Response::parse(response)? {
        Response::Gap(gap) => Ok(Split {
            epoch: gap.epoch,
            first: gap.from_sequence,
            last: gap.to_sequence,
            gap: true,
            segments: Vec::new(),
        }),
        Response::Batch(batch) => {
            let after = if batch.epoch == epoch { after } else { 0 };
            let segments = segments(&batch, after, span_ns.max(1), response.len());
            Ok(Split {
                epoch: batch.epoch,
                first: batch.first_sequence,
                last: batch.last_sequence(),
                gap: false,
                segments,
            })
        }
    }
}

fn segments<'a>(batch: &BatchView<'a>, after: u64, span_ns: u64, size: usize) -> Vec<Segment<'a>> {
    let mut segments: Vec<Segment<'a>> = Vec::new();
    let mut places = vec![NO_RUN; batch.channels.len()];
    let mut epoch = Vec::with_capacity(20);
    number(&mut epoch, batch.epoch);
    // Most batches hold few channels, evenly: a share of the whole for each.
    let share = (size + batch.len() * ROW_BYTES) / batch.channels.len().clamp(1, 16);
    for (sequence, payload) in (batch.first_sequence..).zip(batch.payloads()) {
        if sequence <= after {
            continue;
        }
        let ts_recv = payload.ts_recv;
        let inside = segments.last().is_some_and(|open| open.ts_recv <= ts_recv && ts_recv < open.end);
        if !inside {
            places.fill(NO_RUN);
            let end = span_end(ts_recv, span_ns);
            segments.push(Segment { end, first: sequence, last: sequence, ts_recv, runs: Vec::new() });
        }
        let Some(segment) = segments.last_mut() else { continue };
        segment.last = sequence;
        let place = &mut places[payload.channel as usize];
        if *place == NO_RUN {
            let (channel, schema) = batch.channels[payload.channel as usize];
            *place = segment.runs.len();
            let rows = Vec::with_capacity(share);
            segment.runs.push(Run { channel, schema, first: sequence, last: sequence, payloads: 0, rows });
        }
        let run = &mut segment.runs[*place];
        run.last = sequence;
        run.payloads += 1;
        row(&mut run.rows, &epoch, [sequence, u64::from(payload.connection), ts_recv], payload.data);
    }
    segments
}

fn span_end(ts_recv: u64, span_ns: u64) -> u64 {
    let next = |span: u64| (ts_recv / span).saturating_add(1).saturating_mul(span);
    next(span_ns).min(next(DAY_NS))
}

fn row(out: &mut Vec<u8>, epoch: &[u8], numbers: [u64; 3], payload: &[u8]) {
    out.extend_from_slice(epoch);
    for value in numbers {
        out.push(b'\t');
        number(out, value);
    }
    if is_text(payload) {
        out.extend_from_slice(b"\ttext\t");
        out.extend_from_slice(payload);
    } else {
        out.extend_from_slice(b"\tbase64\t");
        base64(out, payload);
    }
    out.push(b'\n');
}

/// Whether a payload can stand in a row as it is; `\N` is what a SerDe takes for NULL.
fn is_text(payload: &[u8]) -> bool {
    memchr3(b'\n', b'\t', b'\r', payload).is_none()
        && memchr(0, payload).is_none()
        && payload != b"\\N"
        && std::str::from_utf8(payload).is_ok()
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut place = digits.len();
    loop {
        place -= 1;
        digits[place] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[place..]);
}

fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.chunks(3) {
        let mut group = [0u8; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        let mut code = [b'='; 4];
        for (place, sign) in code.iter_mut().enumerate().take(chunk.len() + 1) {
            *sign = BASE64[(bits >> (18 - 6 * place)) as usize & 63];
        }
        out.extend_from_slice(&code);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::BatchWriter;

    const SPAN: u64 = 1_000;

    fn batch(payloads: &[(&str, u64, &[u8])]) -> Vec<u8> {
        let mut writer = BatchWriter::new("TEST", "PRIMARY", 7);
        let mut places = std::collections::HashMap::new();
        for (channel, ts_recv, data) in payloads {
            let place = *places.entry(channel).or_insert_with(|| writer.channel(channel, "MBO"));
            writer.payload(place, *ts_recv, 3, data);
        }
        writer.finish(|head, body| [head, body].concat()).map(|(_, _, bytes)| bytes).unwrap_or_default()
    }

    #[test]
    fn rows_are_text_or_base64_whichever_keeps_the_payload() {
        let hard: [(&[u8], &str); 7] = [
            (b"{\"a\":\"\\t\"}", "text\t{\"a\":\"\\t\"}"),
            (b"", "text\t"),
            ("é".as_bytes(), "text\té"),
            (b"a\tb", "base64\tYQli"),
            (b"\xff", "base64\t/w=="),
            (b"\0\0", "base64\tAAA="),
            (b"\\N", "base64\tXE4="),
        ];
        for (data, coded) in hard {
            let bytes = batch(&[("c", 5, data)]);
            let found = split(&bytes, 0, 0, SPAN).unwrap();
            let rows = String::from_utf8(found.segments[0].runs[0].rows.clone()).unwrap();
            assert_eq!(rows, format!("7\t1\t3\t5\t{coded}\n"));
        }
    }

    #[test]
    fn time_splits_a_batch_and_channels_split_a_segment() {
        let bytes = batch(&[("a", 998, b"1"), ("b", 999, b"2"), ("a", 999, b"3"), ("b", 1000, b"4")]);
        let found = split(&bytes, 0, 0, SPAN).unwrap();
        let seen: Vec<_> = found
            .segments
            .iter()
            .map(|s| (s.end, s.first, s.last, s.runs.iter().map(|r| (r.channel, r.first, r.last)).collect::<Vec<_>>()))
            .collect();
        assert_eq!(seen, [(1000, 1, 3, vec![("a", 1, 3), ("b", 2, 2)]), (2000, 4, 4, vec![("b", 4, 4)])]);
        assert_eq!((found.epoch, found.first, found.last, found.gap), (7, 1, 4, false));
    }

    #[test]
    fn what_was_taken_is_left_out_in_its_epoch_only() {
        let bytes = batch(&[("a", 1, b"1"), ("a", 2, b"2"), ("a", 3, b"3")]);
        assert_eq!(split(&bytes, 7, 2, SPAN).unwrap().segments[0].first, 3);
        assert_eq!(split(&bytes, 7, 3, SPAN).unwrap().segments, []);
        assert_eq!(split(&bytes, 6, 3, SPAN).unwrap().segments[0].first, 1);
    }

    #[test]
    fn times_at_the_edge_of_64_bits_do_not_overflow() {
        let bytes = batch(&[("a", u64::MAX, b"1"), ("a", 0, b"2")]);
        assert_eq!(split(&bytes, 0, 0, u64::MAX).unwrap().segments.len(), 2);
        assert_eq!(split(&bytes, 0, 0, 0).unwrap().last, 2);
    }

    #[test]
    fn midnight_ends_a_span() {
        assert_eq!(span_end(DAY_NS - 1, 7_000_000_000), DAY_NS);
        assert_eq!(span_end(DAY_NS, 7_000_000_000), 86_401_000_000_000);
    }
}
