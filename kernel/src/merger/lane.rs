//! One merged channel: a book's messages go to its books, all others are handed out record by record.

use std::collections::VecDeque;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::book::{Book, Desk};
use super::identity::{cut, half, key, layout, numbered, Layout};
use super::output::{Clock, Kind, Output};
use super::pairing::Pairing;
use super::turn::{Rules, Turn};
use super::Counts;
use crate::record::{Schema, F_MAYBE_BAD_BOOK};

/// The newest time of each instrument on one side, by which what is published again is known.
#[derive(Debug, Default)]
struct Seen {
    newest: HashMap<u32, u64, FxBuildHasher>,
    /// The instrument that came last, and its time.
    recent: Option<(u32, u64)>,
}

impl Seen {
    /// Whether a message is new; once one of an instrument is, so is the rest of what came with it (`trusted`).
    fn is_new(&mut self, instrument: u32, time: u64, trusted: &mut Vec<u32>) -> bool {
        let known = match self.recent {
            Some((id, newest)) if id == instrument => Some(newest),
            _ => self.newest.get(&instrument).copied(),
        };
        let new = known.is_none_or(|newest| time > newest);
        if !new && !trusted.contains(&instrument) {
            return false;
        }
        if new {
            if !trusted.contains(&instrument) {
                trusted.push(instrument);
            }
            self.newest.insert(instrument, time);
            self.recent = Some((instrument, time));
        }
        true
    }
}

#[derive(Debug)]
struct Held {
    record: Vec<u8>,
    side: usize,
    place: u64,
    at: u64,
}

/// Who is in doubt: each side as far as it has said, and what was told.
type Health = ([Option<bool>; 2], Option<bool>);

/// What a lane needs of its merger for the time of one call.
pub struct Context<'a> {
    /// How to merge.
    pub rules: &'a Rules,
    /// The arrival clock, ns.
    pub now: u64,
    /// Where messages go.
    pub out: &'a mut Output,
    /// Totals.
    pub counts: &'a mut Counts,
    /// Sides whose sessions say that they are down.
    pub down: [bool; 2],
    /// When each side of this feed was last heard.
    pub heard: [u64; 2],
}

/// One merged channel.
#[derive(Debug)]
pub struct Lane {
    /// Its whole name.
    pub name: String,
    /// What it carries.
    pub schema: Schema,
    /// Which provider's it is, by number.
    pub feed: usize,
    layout: Layout,
    number: u32,
    clock: Clock,
    pairing: Pairing,
    seen: [Seen; 2],
    books: HashMap<u32, Book, FxBuildHasher>,
    /// Of STATUS: which sides are in doubt, by instrument, and what was told last.
    health: HashMap<u32, Health, FxBuildHasher>,
    /// The newest record of each instrument and kind.
    latest: HashMap<(u32, u16), Vec<u8>, FxBuildHasher>,
    held: VecDeque<Held>,
    held_bytes: usize,
    turn: Turn,
    /// Whether `latest` or a book has changed since it was last written down.
    pub dirty: bool,
}

impl Lane {
    /// A channel that nothing is known of, whose `ts_recv` is to stay above `floor`.
    pub fn new(number: u32, name: String, schema: Schema, feed: usize, floor: u64) -> Self {
        Self {
            name,
            schema,
            feed,
            layout: layout(schema),
            number,
            clock: Clock(floor),
            pairing: Pairing::default(),
            seen: Default::default(),
            books: HashMap::default(),
            health: HashMap::default(),
            latest: HashMap::default(),
            held: VecDeque::new(),
            held_bytes: 0,
            turn: Turn::default(),
            dirty: false,
        }
    }

    /// Whether data is whole records of this channel's schema.
    pub fn is_whole(&self, data: &[u8]) -> bool {
        self.layout.whole(data)
    }

    /// Messages remembered.
    pub fn remembered(&self) -> usize {
        self.pairing.len()
    }

    /// Bytes held back.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes + self.books.values().map(Book::held_bytes).sum::<usize>()
    }

    /// Whether time alone may have something handed out.
    pub fn is_waiting(&self) -> bool {
        !self.held.is_empty() || self.books.values().any(Book::is_waiting)
    }

    /// Forgets what came before `before`.
    pub fn forget(&mut self, before: u64, missed: &mut [u64; 2]) {
        self.pairing.forget(before, missed);
    }

    /// Takes whole records of a side.
    pub fn take(&mut self, context: &mut Context<'_>, side: usize, data: &[u8], kind: Kind) {
        match self.schema {
            Schema::Mbo => self.take_books(context, side, data, kind),
            Schema::Status => self.take_status(context, side, data),
            _ => self.take_records(context, side, data, kind),
        }
        self.pairing.forget(context.now.saturating_sub(context.rules.window), &mut context.counts.missed);
    }

    /// Hands out what has waited for long enough.
    pub fn tick(&mut self, context: &mut Context<'_>) {
        self.release(context, None);
        let Self { books, pairing, clock, layout, number, .. } = self;
        for book in books.values_mut().filter(|book| book.is_waiting()) {
            book.settle(&mut desk(context, *number, *layout, clock, pairing));
            self.dirty = true;
        }
    }

    fn take_books(&mut self, context: &mut Context<'_>, side: usize, data: &[u8], kind: Kind) {
        let mut trusted = Vec::new();
        let Self { books, pairing, clock, layout, number, seen, .. } = self;
        let mut desk = desk(context, *number, *layout, clock, pairing);
        for unit in cut(Schema::Mbo, data) {
            let instrument = half(unit, 4);
            if !seen[side].is_new(instrument, layout.time(unit), &mut trusted) {
                desk.counts.repeats += 1;
                continue;
            }
            books.entry(instrument).or_default().take(&mut desk, side, unit, kind);
        }
        self.dirty = true;
    }

    fn take_records(&mut self, context: &mut Context<'_>, side: usize, data: &[u8], kind: Kind) {
        let mut trusted = Vec::new();
        // The time of the payload that is being handed out, so that its records stay one message.
        let mut open = None;
        let begun = context.out.pieces.len();
        let heard: Vec<u32> = match kind {
            Kind::Snapshot => self.latest.keys().map(|(instrument, _)| *instrument).collect(),
            _ => Vec::new(),
        };
        for record in cut(self.schema, data) {
            let instrument = half(record, 4);
            let time = self.layout.time(record);
            if !self.seen[side].is_new(instrument, time, &mut trusted) {
                context.counts.repeats += 1;
                continue;
            }
            let id = key(self.schema, record);
            let twin = self.pairing.twin(id, side, context.now);
            if let Some(twin) = twin {
                context.counts.twins += 1;
                if twin.delivered {
                    continue;
                }
                // The side that stands by has had it already, and before it what this side has passed over.
                self.release(context, Some(twin.place));
                open = None;
            }
            let stale = heard.contains(&instrument) || self.is_known_definition(record);
            let speaks = !self.turn.stands_by(context.rules, side) || twin.is_some();
            let place = twin.map_or_else(
                || self.pairing.push(id, side, numbered(self.schema, record), false, context.now),
                |twin| twin.place,
            );
            if stale {
                self.pairing.delivered(place);
                continue;
            }
            if !speaks {
                self.held_bytes += record.len() + size_of::<Held>();
                self.held.push_back(Held { record: record.to_vec(), side, place, at: context.now });
                continue;
            }
            self.pairing.delivered(place);
            let goes_on = open == Some(time) && context.out.pieces.len() > begun;
            self.hand_out(context, side, record, kind, goes_on);
            open = Some(time);
        }
        if let Some(prefer) = context.rules.prefer {
            let age = context.now.saturating_sub(context.heard[prefer]);
            self.turn.look(context.rules, !context.down[prefer] && age <= context.rules.patience, context.now);
        }
        self.release(context, None);
    }

    fn hand_out(&mut self, context: &mut Context<'_>, side: usize, record: &[u8], kind: Kind, goes_on: bool) {
        if goes_on {
            context.out.further(&self.layout, &self.clock, record);
        } else {
            context.out.message(self.number, &self.layout, &mut self.clock, record, kind, false);
        }
        context.counts.delivered[side] += 1;
        let end = context.out.bytes.len();
        let written = &context.out.bytes[end - record.len()..end];
        let kind = if self.schema == Schema::Statistics { u16::from_le_bytes([record[56], record[57]]) } else { 0 };
        match self.latest.get_mut(&(half(record, 4), kind)) {
            Some(kept) => {
                kept.clear();
                kept.extend_from_slice(written);
            }
            None => {
                self.latest.insert((half(record, 4), kind), written.to_vec());
            }
        }
        self.dirty = true;
    }

    fn is_known_definition(&self, record: &[u8]) -> bool {
        self.schema == Schema::Definition
            && self
                .latest
                .get(&(half(record, 4), 0))
                .is_some_and(|kept| key(self.schema, kept) == key(self.schema, record))
    }

    /// Failover: hands out what the side that speaks has passed over (up to `place`), or is too late with.
    fn release(&mut self, context: &mut Context<'_>, place: Option<u64>) {
        while let Some(front) = self.held.front() {
            let paired = self.pairing.is_paired(front.place);
            let speaks = 1 - front.side;
            let passed = place.is_some_and(|place| front.place < place);
            let late = context.now >= front.at.saturating_add(context.rules.patience);
            let full = self.held_bytes > context.rules.bytes / 8;
            let turned = !self.turn.stands_by(context.rules, front.side);
            if !paired && !passed && !late && !full && !turned && !context.down[speaks] {
                return;
            }
            let Some(held) = self.held.pop_front() else { return };
            self.held_bytes -= held.record.len() + size_of::<Held>();
            if paired {
                continue;
            }
            if (late || context.down[speaks]) && self.turn.stands_by(context.rules, held.side) {
                self.turn.take(context.rules, held.side, context.now);
                context.counts.switches += 1;
            }
            self.pairing.delivered(held.place);
            self.hand_out(context, held.side, &held.record, Kind::Live, false);
        }
    }

    /// A channel is in doubt where both sides are; a side that is alive and has said nothing is well.
    fn take_status(&mut self, context: &mut Context<'_>, side: usize, data: &[u8]) {
        for record in cut(Schema::Status, data) {
            let doubtful = record[31] == b'N';
            let (sides, told) = self.health.entry(half(record, 4)).or_default();
            sides[side] = Some(doubtful);
            let alive = context.heard[1 - side] != 0
                && context.now < context.heard[1 - side].saturating_add(context.rules.window);
            let other = sides[1 - side].unwrap_or(!alive);
            let merged = doubtful && other;
            if *told != Some(merged) && (told.is_some() || merged == doubtful) {
                *told = Some(merged);
                self.hand_out(context, side, record, Kind::Live, false);
            }
        }
    }

    /// Whether a side says on this channel that it is in doubt.
    pub fn is_down(&self, side: usize) -> bool {
        self.health.values().any(|(sides, _)| sides[side] == Some(true))
    }

    /// Takes up where a channel that was handed out before stands, by what its late-join key holds.
    pub fn resume(&mut self, data: &[u8]) {
        for unit in cut(self.schema, data) {
            self.clock.0 = self.clock.0.max(self.layout.time(unit));
            match self.schema {
                Schema::Mbo => {
                    let doubtful = self.layout.flags_of(unit) & F_MAYBE_BAD_BOOK != 0;
                    let sequence = if doubtful { 0 } else { self.layout.sequence_of(unit) };
                    self.books.entry(half(unit, 4)).or_default().resume(unit, sequence, self.layout.time(unit));
                }
                Schema::Status => {}
                _ => {
                    let kind =
                        if self.schema == Schema::Statistics { u16::from_le_bytes([unit[56], unit[57]]) } else { 0 };
                    self.latest.insert((half(unit, 4), kind), unit.to_vec());
                }
            }
        }
    }

    /// What the late-join key is to hold; empty where nothing is known.
    pub fn late_join(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.schema == Schema::Mbo {
            for book in self.books.values() {
                book.late_join(&mut bytes);
            }
        } else {
            for record in self.latest.values() {
                bytes.extend_from_slice(record);
            }
        }
        bytes
    }
}

fn desk<'a>(
    context: &'a mut Context<'_>,
    lane: u32,
    layout: Layout,
    clock: &'a mut Clock,
    pairing: &'a mut Pairing,
) -> Desk<'a> {
    Desk {
        rules: context.rules,
        now: context.now,
        lane,
        layout,
        clock,
        pairing,
        out: context.out,
        counts: context.counts,
        down: context.down,
        heard: context.heard,
    }
}
