//! What a merge hands out: records as MERGED publishes them, piece by piece.

use super::identity::{half, word, Layout};
use crate::record::{F_LAST, F_MAYBE_BAD_BOOK};

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Records in their turn.
    Live,
    /// What a late-join key held.
    Snapshot,
    /// No records: both sides lack something between `from` and `to` (the venue's ids, low 32 bits).
    Gap,
}

/// Some records of one channel.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// Which channel.
    pub lane: u32,
    /// What it is.
    pub kind: Kind,
    /// Where its records begin in `Output::bytes`.
    pub start: usize,
    /// Where they end.
    pub end: usize,
    /// Of a gap: the last id that was had.
    pub from: u32,
    /// Of a gap: the first that was had again.
    pub to: u32,
}

/// What one call hands out.
#[derive(Debug, Default)]
pub struct Output {
    /// All records.
    pub bytes: Vec<u8>,
    /// Where they belong, in order.
    pub pieces: Vec<Piece>,
}

/// The clock of one channel: `ts_recv` of what was handed out last.
#[derive(Clone, Copy, Debug)]
pub struct Clock(pub u64);

impl Clock {
    /// The time at which a message that came at `time` is handed out: later than the one before it.
    pub fn next(&mut self, time: u64) -> u64 {
        self.0 = time.max(self.0 + 1);
        self.0
    }
}

impl Output {
    /// Adds one venue message, as MERGED publishes it: publisher, a `ts_recv` that rises, F_LAST at its end alone.
    pub fn message(&mut self, lane: u32, layout: &Layout, clock: &mut Clock, unit: &[u8], kind: Kind, doubtful: bool) {
        let lift = layout.ts_recv.map(|at| {
            let time = word(unit, at);
            (clock.next(time), time)
        });
        let start = self.bytes.len();
        self.bytes.extend_from_slice(unit);
        for record in self.bytes[start..].chunks_exact_mut(layout.stride) {
            rewrite(record, layout, lift);
            if let (true, Some(at)) = (doubtful, layout.flags) {
                record[at] |= F_MAYBE_BAD_BOOK;
            }
        }
        self.end(layout);
        self.place(lane, kind, start);
    }

    /// Sets F_LAST on the last record written and takes it from those before it.
    fn end(&mut self, layout: &Layout) {
        if let Some(at) = layout.flags {
            let last = self.bytes.len() - layout.stride + at;
            self.bytes[last] |= F_LAST;
        }
    }

    /// Adds a further record to the venue message that was added last.
    pub fn further(&mut self, layout: &Layout, clock: &Clock, record: &[u8]) {
        if let Some(at) = layout.flags {
            let last = self.bytes.len() - layout.stride + at;
            self.bytes[last] &= !F_LAST;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(record);
        let lift = layout.ts_recv.map(|at| (clock.0, word(record, at)));
        rewrite(&mut self.bytes[start..], layout, lift);
        self.end(layout);
        if let Some(piece) = self.pieces.last_mut() {
            piece.end = self.bytes.len();
        }
    }

    /// Tells of a gap.
    pub fn gap(&mut self, lane: u32, from: u32, to: u32) {
        let at = self.bytes.len();
        self.pieces.push(Piece { lane, kind: Kind::Gap, start: at, end: at, from, to });
    }

    fn place(&mut self, lane: u32, kind: Kind, start: usize) {
        let end = self.bytes.len();
        match self.pieces.last_mut() {
            Some(last) if last.lane == lane && last.kind == kind && kind == Kind::Live => last.end = end,
            _ => self.pieces.push(Piece { lane, kind, start, end, from: 0, to: 0 }),
        }
    }
}

fn rewrite(record: &mut [u8], layout: &Layout, lift: Option<(u64, u64)>) {
    // The lowest two bits of a publisher tell the instance: 0 PRIMARY, 1 REPLICA, 2 MERGED.
    record[2] = record[2] & !3 | 2;
    let (Some((now, was)), Some(at)) = (lift, layout.ts_recv) else { return };
    if word(record, 8) == was {
        // The venue gave no time, so ours stands for it.
        record[8..16].copy_from_slice(&now.to_le_bytes());
    }
    record[at..at + 8].copy_from_slice(&now.to_le_bytes());
    if let (true, Some(at)) = (now != was, layout.delta) {
        let delta = (half(record, at) as i32)
            .saturating_add(i32::try_from(i128::from(now) - i128::from(was)).unwrap_or(i32::MAX));
        record[at..at + 4].copy_from_slice(&delta.to_le_bytes());
    }
}
