//! One ordered stream of a channel out of the two instances': every message once, in the venue's order.
//!
//! A message is known by its content, ids included, without what is its connection's own. Content that comes again is
//! told apart by its place: repeats are paired in order, and a pair further apart in time than the window is none. Each
//! side's own order is the venue's; a message that only one side has goes where that side had it. Where a message is on
//! both, the first side's copy stands. `tests/oracle/coalesce.py` says the same more slowly.

mod contents;
mod identity;
mod merged;
mod reader;
mod side;

#[cfg(test)]
mod tests;

pub use identity::Identity;
pub use merged::Merged;

use crate::plan::SpecError;
use contents::Contents;
use side::{Head, Side};

/// Makes one stream of a channel's one or two; no I/O, no clock.
#[derive(Debug)]
pub struct Coalescer {
    sides: [Side; 2],
    contents: Contents,
    window: i64,
    order: i64,
    /// By how much the first side's clock is ahead of the second's, as the last pair told.
    skew: i64,
}

/// Which head comes next.
enum Choice {
    First,
    Second,
    /// The first side's, and the other side has it as well, at this place and time.
    Both,
}

impl Coalescer {
    /// For a venue's channel; `routing` and `meaning` as JSON of `tapeline.spec.encode`. With one side nothing is
    /// paired, and nothing waits.
    pub fn new(routing: &[u8], meaning: &[u8], window_ns: u64, sides: usize) -> Result<Self, SpecError> {
        if !(1..=2).contains(&sides) {
            return Err(SpecError(format!("{sides} sides: allowed are 1 and 2")));
        }
        let identity = Identity::new(routing, meaning)?;
        let mut made = Self {
            sides: [Side::default(), Side::default()],
            contents: Contents::new(identity),
            window: i64::try_from(window_ns).unwrap_or(i64::MAX),
            order: i64::MIN,
            skew: 0,
        };
        if sides == 1 {
            made.sides[1].end().map_err(SpecError)?;
        }
        Ok(made)
    }

    /// Takes the next bytes of a side's rows, cut anywhere.
    pub fn feed(&mut self, side: usize, chunk: &[u8]) -> Result<(), String> {
        self.side(side)?.feed(chunk)
    }

    /// An object of a side ends, and with it whatever is wrong with it: that is the error, and the next begins clean.
    pub fn boundary(&mut self, side: usize) -> Result<(), String> {
        self.side(side)?.boundary()
    }

    /// A side has nothing more; says as well what `boundary` would.
    pub fn end(&mut self, side: usize) -> Result<(), String> {
        self.side(side)?.end()
    }

    /// Which sides must be fed before anything comes out (bit 1: the first, bit 2: the second); 0: something will, or
    /// nothing ever.
    pub fn needs(&mut self) -> u8 {
        self.heads().err().unwrap_or(0)
    }

    /// The next messages, up to the first with which they take `limit` bytes; none where a side must be fed, or at the end.
    pub fn take(&mut self, limit: usize) -> Option<Merged> {
        let mut merged = Merged::default();
        while let Ok(heads) = self.heads() {
            let choice = match heads {
                (false, false) => break,
                (true, false) => Choice::First,
                (false, true) => Choice::Second,
                (true, true) => self.choose(),
            };
            self.put(choice, &mut merged);
            if merged.bytes() >= limit {
                break;
            }
        }
        (!merged.is_empty()).then_some(merged)
    }

    /// Rows of each side that were there before, by epoch and sequence, and were left out.
    pub fn duplicates(&self) -> [u64; 2] {
        [self.sides[0].duplicates(), self.sides[1].duplicates()]
    }

    /// What is held.
    pub fn memory(&self) -> usize {
        self.sides.iter().map(Side::memory).sum::<usize>() + self.contents.memory()
    }

    fn side(&mut self, side: usize) -> Result<&mut Side, String> {
        self.sides.get_mut(side).ok_or_else(|| format!("side {side} is neither 0 nor 1"))
    }

    /// Whether each side has a next message; or else the sides that must be fed before that is known.
    fn heads(&mut self) -> Result<(bool, bool), u8> {
        // Beside a side that has nothing left there is nothing to pair, and no need to look ahead.
        let alone = [self.sides[1].is_done(), self.sides[0].is_done()];
        let mut found = [false; 2];
        let mut needed = 0;
        for (place, side) in self.sides.iter_mut().enumerate() {
            match side.head(place, alone[place], self.window, &mut self.contents) {
                Head::There => found[place] = true,
                Head::Done => {}
                Head::Unknown => needed |= 1 << place,
            }
        }
        if needed == 0 {
            Ok((found[0], found[1]))
        } else {
            Err(needed)
        }
    }

    fn choose(&self) -> Choice {
        let (one, two) = (self.sides[0].front(), self.sides[1].front());
        let one_later =
            self.paired(one.ts_recv.saturating_sub(self.skew), self.sides[1].when(1, one.content, &self.contents));
        let two_later =
            self.paired(two.ts_recv.saturating_add(self.skew), self.sides[0].when(0, two.content, &self.contents));
        if one.content == two.content && one_later.is_some() {
            return Choice::Both;
        }
        let (one_at, two_at) = match (one_later, two_later) {
            (None, None) if one.ts_recv <= two.ts_recv.saturating_add(self.skew) => return Choice::First,
            (None, None) => return Choice::Second,
            (None, Some(_)) => return Choice::First,
            (Some(_), None) => return Choice::Second,
            (Some(one), Some(two)) => (one, two),
        };
        // Each side has the other's head further on. A content that one side holds more often was lost by the other, and
        // the copy ahead is a later one; otherwise the two differ in order (a REST answer), and the first is right.
        let one_apart = one.ts_recv.saturating_sub(self.skew).abs_diff(one_at);
        let two_apart = two_at.saturating_sub(self.skew).abs_diff(two.ts_recv);
        let copies = |content: u32| self.contents.copies(content);
        if two_apart > one_apart && copies(two.content)[1] > copies(two.content)[0] {
            return Choice::Second;
        }
        if one_apart > two_apart && copies(one.content)[0] > copies(one.content)[1] {
            return Choice::First;
        }
        Choice::Both
    }

    /// When the other side has a message, if that is near enough to when it should.
    fn paired(&self, expected: i64, at: Option<i64>) -> Option<i64> {
        at.filter(|at| at.abs_diff(expected) <= self.window.unsigned_abs())
    }

    fn put(&mut self, choice: Choice, merged: &mut Merged) {
        let [first, second] = &mut self.sides;
        let (side, order) = match choice {
            Choice::First | Choice::Both => (0, first.front().ts_recv),
            Choice::Second => (1, second.front().ts_recv.saturating_add(self.skew)),
        };
        let (place, other) = if side == 0 { (first, second) } else { (second, first) };
        let row = *place.front();
        let mut twin = None;
        if matches!(choice, Choice::Both) {
            twin = other.take(1 - side, row.content, &mut self.contents);
        }
        if let Some(twin) = &twin {
            self.skew = row.ts_recv.saturating_sub(twin.ts_recv);
        }
        self.order = self.order.max(order);
        merged.push(side, &row, twin.as_ref(), self.order, place.payload(&row));
        place.take(side, row.content, &mut self.contents);
    }
}
