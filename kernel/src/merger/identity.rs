//! What names a published message on both instances: the venue's id where there is one, else its content.

use std::mem::offset_of;

use dbn::InstrumentDefMsg;

use crate::record::{Schema, F_INEXACT, F_LAST, F_MAYBE_BAD_BOOK, F_MBP, F_SNAPSHOT};

/// Where the fields that merging needs stand in a schema's records.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Bytes of a record.
    pub stride: usize,
    /// `ts_recv`, if records have it.
    pub ts_recv: Option<usize>,
    /// `ts_in_delta`, if records have it.
    pub delta: Option<usize>,
    /// `flags`, if records have them.
    pub flags: Option<usize>,
    /// `sequence`, if records have it.
    pub sequence: Option<usize>,
}

/// The layout of a schema's records.
pub fn layout(schema: Schema) -> Layout {
    let of = |stride, ts_recv, delta, flags, sequence| Layout { stride, ts_recv, delta, flags, sequence };
    match schema {
        Schema::Mbo => of(56, Some(40), Some(48), Some(36), Some(52)),
        Schema::Trades => of(48, Some(32), Some(40), Some(30), Some(44)),
        Schema::Mbp1 => of(80, Some(32), Some(40), Some(30), Some(44)),
        Schema::Mbp10 => of(368, Some(32), Some(40), Some(30), Some(44)),
        Schema::Statistics => of(80, Some(16), Some(52), None, Some(48)),
        Schema::Ohlcv1M => of(56, None, None, None, None),
        Schema::Status => of(40, Some(16), None, None, None),
        Schema::Definition => of(520, Some(16), None, None, None),
    }
}

pub(super) fn word(data: &[u8], at: usize) -> u64 {
    let bytes: Option<&[u8; 8]> = data.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

pub(super) fn half(data: &[u8], at: usize) -> u32 {
    let bytes: Option<&[u8; 4]> = data.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

impl Layout {
    /// Whether data is whole records of this layout, by their own lengths.
    pub fn whole(&self, data: &[u8]) -> bool {
        let words = (self.stride / 4) as u8;
        !data.is_empty()
            && data.len() % self.stride == 0
            && data
                .chunks_exact(self.stride)
                .all(|record| usize::from(record[0]) * 4 == self.stride && record[0] == words)
    }

    /// What tells a record's age on its own side: `ts_recv`, of a candle `ts_event`.
    pub fn time(&self, record: &[u8]) -> u64 {
        word(record, self.ts_recv.unwrap_or(8))
    }

    /// The record's flags; 0 where the schema has none.
    pub fn flags_of(&self, record: &[u8]) -> u8 {
        self.flags.and_then(|at| record.get(at)).copied().unwrap_or(0)
    }

    /// The low 32 bits of the venue's id; 0 where there is none.
    pub fn sequence_of(&self, record: &[u8]) -> u32 {
        self.sequence.map_or(0, |at| half(record, at))
    }

    /// The venue's own time, 0 where the record has none but ours.
    pub fn event_of(&self, record: &[u8]) -> u64 {
        let event = word(record, 8);
        if self.ts_recv.is_some_and(|at| word(record, at) == event) {
            0
        } else {
            event
        }
    }
}

const SEEDS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f];
const FACTORS: [u64; 2] = [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db];

fn fold(left: u64, right: u64) -> u64 {
    let wide = u128::from(left) * u128::from(right);
    wide as u64 ^ (wide >> 64) as u64
}

/// 128 bits of some words.
fn hash(words: impl Iterator<Item = u64>) -> u128 {
    let [mut one, mut two] = SEEDS;
    for word in words {
        one = fold(one ^ word, FACTORS[0]).wrapping_add(word);
        two = fold(two.rotate_left(29) ^ word, FACTORS[1]).wrapping_add(one);
    }
    u128::from(fold(one, FACTORS[1])) << 64 | u128::from(fold(two ^ one, FACTORS[0]))
}

/// The identity of a venue message (records of one instrument and channel), the same on both instances.
///
/// By the venue's id, where there is one: of a book message instrument and sequence, of a quote too, of a trade also price,
/// action and side. Else by content, in which publisher, `ts_recv`, `ts_in_delta`, a `ts_event` that is only our own time, and flags that tell
/// of our own state are left out.
pub fn key(schema: Schema, data: &[u8]) -> u128 {
    let layout = layout(schema);
    let sequence = layout.sequence_of(data);
    let instrument = half(data, 4);
    if sequence != 0 {
        let id = u64::from(instrument) << 32 | u64::from(sequence);
        let snapshot = u64::from(layout.flags_of(data) & F_SNAPSHOT);
        match schema {
            Schema::Mbo | Schema::Mbp1 | Schema::Mbp10 => return hash([id, snapshot, schema as u64].into_iter()),
            Schema::Trades => {
                // The action too: a trade and its being taken back are two messages.
                let (price, what) = (word(data, 16), u64::from(half(data, 28) & 0xffff));
                return hash([id, price, what].into_iter());
            }
            _ => {}
        }
    }
    let mut record = [0u8; 520];
    let words = data.chunks_exact(layout.stride).flat_map(|from| {
        let record = &mut record[..layout.stride];
        record.copy_from_slice(from);
        mask(schema, &layout, record);
        let words: Vec<u64> = (0..layout.stride / 8).map(|place| word(record, place * 8)).collect();
        words
    });
    hash(words)
}

fn mask(schema: Schema, layout: &Layout, record: &mut [u8]) {
    if layout.event_of(record) == 0 {
        record[8..16].fill(0);
    }
    record[2..4].fill(0);
    if let Some(at) = layout.ts_recv {
        record[at..at + 8].fill(0);
    }
    if let Some(at) = layout.delta {
        record[at..at + 4].fill(0);
    }
    if let Some(at) = layout.flags {
        record[at] &= !(F_LAST | F_MAYBE_BAD_BOOK | F_INEXACT);
    }
    if schema == Schema::Mbo && record[36] & F_MBP != 0 && record[38] == b'A' {
        // A level that was new to one instance may have been there for the other, which had lost its end.
        record[38] = b'M';
    }
    if schema == Schema::Definition {
        // Added or modified: whichever of the two it was depends on what the instance knew before.
        record[offset_of!(InstrumentDefMsg, security_update_action)] = 0;
    }
}

/// Whether the identity is an id of the venue's, which does not come twice, and not content, which may.
pub fn numbered(schema: Schema, data: &[u8]) -> bool {
    matches!(schema, Schema::Mbo | Schema::Mbp1 | Schema::Mbp10 | Schema::Trades)
        && layout(schema).sequence_of(data) != 0
}

/// Cuts whole records into venue messages: of a book what ends with F_LAST or changes instrument or time; else each record.
pub fn cut(schema: Schema, data: &[u8]) -> Cut<'_> {
    Cut { layout: layout(schema), book: schema == Schema::Mbo, rest: data }
}

/// See `cut`.
#[derive(Debug)]
pub struct Cut<'a> {
    layout: Layout,
    book: bool,
    rest: &'a [u8],
}

impl<'a> Iterator for Cut<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let stride = self.layout.stride;
        if self.rest.len() < stride {
            return None;
        }
        let mut end = stride;
        if self.book {
            let head = (half(self.rest, 4), self.layout.time(self.rest));
            while self.layout.flags_of(&self.rest[end - stride..]) & F_LAST == 0 {
                let Some(next) = self.rest.get(end..end + stride) else { break };
                if (half(next, 4), self.layout.time(next)) != head {
                    break;
                }
                end += stride;
            }
        }
        let (unit, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(unit)
    }
}
