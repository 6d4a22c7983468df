//! One instrument's book out of two sides' messages: in the venue's order, each once, snapshots only where they are needed.

use std::collections::VecDeque;

use super::identity::{key, Layout};
use super::mirror::Mirror;
use super::output::{Clock, Kind, Output};
use super::pairing::Pairing;
use super::turn::{Rules, Turn};
use super::Counts;
use crate::record::{Schema, F_MAYBE_BAD_BOOK, F_SNAPSHOT};

/// What a book works with, for the time of one call.
pub struct Desk<'a> {
    /// How to merge.
    pub rules: &'a Rules,
    /// The arrival clock, ns.
    pub now: u64,
    /// The channel.
    pub lane: u32,
    /// Its records.
    pub layout: Layout,
    /// Its clock.
    pub clock: &'a mut Clock,
    /// Its pairing.
    pub pairing: &'a mut Pairing,
    /// Where messages go.
    pub out: &'a mut Output,
    /// Totals.
    pub counts: &'a mut Counts,
    /// Sides whose sessions say that they are down.
    pub down: [bool; 2],
    /// When each side's feed was last heard.
    pub heard: [u64; 2],
}

/// What is known of one venue message.
#[derive(Clone, Copy, Debug)]
struct Meta {
    sequence: u32,
    event: u64,
    snapshot: bool,
    flagged: bool,
    /// The id before it on its own side.
    previous: Option<u32>,
    /// Its id is lower than the one before it.
    back: bool,
    kind: Kind,
    at: u64,
    /// Where it stands in the pairing; None where its twin came before it, or it is a snapshot.
    place: Option<u64>,
    /// Its twin has been handed out, or will be in its place.
    done: bool,
}

#[derive(Debug)]
struct Held {
    meta: Meta,
    data: Vec<u8>,
}

#[derive(Debug, Default)]
struct Side {
    joined: bool,
    doubtful: bool,
    position: Option<u32>,
    event: u64,
    heard: u64,
    /// How many snapshots it has sent.
    snapshots: u32,
    held: VecDeque<Held>,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Deliver,
    Drop,
    /// Not handed out, but it belongs to the clean book.
    Absorb,
    Wait,
    /// What is missing before it comes no more.
    Force,
}

/// One instrument's book.
#[derive(Debug, Default)]
pub struct Book {
    started: bool,
    doubtful: bool,
    last: u32,
    /// The venue's time of the last snapshot handed out.
    base: u64,
    deltas: bool,
    run: u32,
    holes: u32,
    /// The book as all clean messages made it, up to `clean`.
    mirror: Mirror,
    clean: u32,
    sides: [Side; 2],
    turn: Turn,
    /// A snapshot that nobody needed: who sent it, what it was, and how many messages had been handed out.
    spare: Option<(usize, u128, u64)>,
    /// The last snapshot without an id that was handed out, and whose it was.
    shown: Option<(usize, u128)>,
    delivered: u64,
    /// `ts_recv` of what was handed out last.
    stamp: u64,
}

/// How many times as long a side that is behind is waited for.
const BEHIND: u64 = 8;

/// How far `id` is behind `from`; ids are the low 32 bits of longer ones.
fn after(id: u32, from: u32) -> i32 {
    id.wrapping_sub(from) as i32
}

impl Book {
    /// Adds the book as late joiners get it.
    pub fn late_join(&self, out: &mut Vec<u8>) {
        let doubtful = if self.doubtful { F_MAYBE_BAD_BOOK } else { 0 };
        self.mirror.snapshot(out, doubtful, Some(self.stamp));
    }

    /// Whether something is held back.
    pub fn is_waiting(&self) -> bool {
        self.sides.iter().any(|side| !side.held.is_empty())
    }

    /// Bytes held back.
    pub fn held_bytes(&self) -> usize {
        self.sides.iter().map(|side| side.bytes).sum()
    }

    /// Takes up where a book that was handed out before stands.
    pub fn resume(&mut self, unit: &[u8], sequence: u32, stamp: u64) {
        self.stamp = stamp;
        self.mirror.apply(unit);
        if sequence != 0 {
            (self.started, self.last, self.clean) = (true, sequence, sequence);
        }
    }

    /// Takes one venue message of a side.
    #[inline]
    pub fn take(&mut self, desk: &mut Desk<'_>, side: usize, unit: &[u8], kind: Kind) {
        let meta = self.meet(desk, side, unit, kind);
        if self.is_waiting() {
            self.hold(desk, side, unit, meta);
            self.settle(desk);
            return;
        }
        match self.verdict(desk, side, &meta) {
            Verdict::Deliver => self.deliver(desk, side, &meta, unit, false),
            Verdict::Force => self.deliver(desk, side, &meta, unit, true),
            Verdict::Drop => self.drop(desk, side, &meta, unit),
            Verdict::Absorb => self.absorb(desk, side, &meta, unit),
            Verdict::Wait => self.hold(desk, side, unit, meta),
        }
    }

    fn meet(&mut self, desk: &mut Desk<'_>, place: usize, unit: &[u8], kind: Kind) -> Meta {
        let layout = &desk.layout;
        let last = &unit[unit.len() - layout.stride..];
        let flags = layout.flags_of(last);
        let sequence = layout.sequence_of(last);
        let snapshot = flags & F_SNAPSHOT != 0 || unit.get(38) == Some(&b'R');
        let flagged = flags & F_MAYBE_BAD_BOOK != 0;
        let event = layout.event_of(last);
        let (mut seat, mut done) = (None, false);
        if snapshot && sequence == 0 {
            done = self.shown.take_if(|shown| *shown == (1 - place, key(Schema::Mbo, unit))).is_some();
        } else if !snapshot {
            let key = key(Schema::Mbo, unit);
            match desk.pairing.twin(key, place, desk.now) {
                Some(twin) => {
                    desk.counts.twins += 1;
                    // A copy that is held back and is no worse stays; else this one takes its place.
                    done = twin.delivered || (flagged && !twin.flagged);
                    if !done {
                        desk.pairing.supersede(twin.place);
                    }
                }
                None => seat = Some(desk.pairing.push(key, place, sequence != 0, flagged, desk.now)),
            }
        }
        let side = &mut self.sides[place];
        let previous = side.position;
        let back = sequence != 0 && kind == Kind::Live && previous.is_some_and(|before| after(sequence, before) < 0);
        if sequence != 0 {
            side.position = Some(sequence);
        }
        (side.joined, side.doubtful, side.heard) = (true, flagged, desk.now);
        side.snapshots = side.snapshots.saturating_add(u32::from(snapshot));
        side.event = side.event.max(event);
        if let Some(prefer) = desk.rules.prefer {
            let well =
                self.is_well(desk, prefer) && desk.now.saturating_sub(self.sides[prefer].heard) <= desk.rules.patience;
            self.turn.look(desk.rules, well, desk.now);
        }
        Meta { sequence, event, snapshot, flagged, previous, back, kind, at: desk.now, place: seat, done }
    }

    fn is_well(&self, desk: &Desk<'_>, side: usize) -> bool {
        self.sides[side].joined && !self.sides[side].doubtful && !desk.down[side]
    }

    fn verdict(&self, desk: &mut Desk<'_>, side: usize, meta: &Meta) -> Verdict {
        if meta.place.is_some_and(|place| desk.pairing.is_superseded(place)) || (meta.done && meta.flagged) {
            return Verdict::Drop;
        }
        let found = match (self.started, meta.sequence) {
            (false, _) => return Verdict::Deliver,
            (true, 0) => self.by_content(desk, side, meta),
            (true, _) => self.by_sequence(desk, side, meta),
        };
        let standing = found == Verdict::Deliver && self.turn.stands_by(desk.rules, side);
        let speaks = 1 - side;
        let patient = desk.now < meta.at.saturating_add(desk.rules.patience);
        if standing && patient && self.is_well(desk, speaks) && self.sides[speaks].held.is_empty() {
            return Verdict::Wait;
        }
        found
    }

    fn by_sequence(&self, desk: &Desk<'_>, side: usize, meta: &Meta) -> Verdict {
        let other = &self.sides[1 - side];
        let distance = after(meta.sequence, self.last);
        if meta.back {
            return self.anew(desk, side, meta, distance);
        }
        if meta.snapshot {
            return match (self.doubtful, meta.flagged) {
                (true, false) if distance < 0 => Verdict::Absorb,
                (true, false) if distance == 0 || !other.joined || desk.down[1 - side] => Verdict::Deliver,
                (true, false) if other.position.is_some_and(|at| after(at, meta.sequence) >= 0) => Verdict::Deliver,
                _ if distance <= 0 => Verdict::Drop,
                _ if !other.joined => Verdict::Deliver,
                _ => Verdict::Wait,
            };
        }
        if distance == 0 && meta.place.is_some() && meta.previous == Some(meta.sequence) {
            // A message that moves nothing bears the id of the one before it.
            return Verdict::Deliver;
        }
        if distance <= 0 {
            return if self.doubtful && !meta.flagged { Verdict::Absorb } else { Verdict::Drop };
        }
        if meta.flagged {
            // Whatever this side lacks, the other may still bring: clean, or what comes between.
            let behind = other.position.is_some_and(|at| after(at, meta.sequence) < 0);
            return if other.joined && behind && !desk.down[1 - side] { Verdict::Wait } else { Verdict::Deliver };
        }
        let follows = if self.is_dense(desk) {
            distance == 1
        } else {
            meta.previous.is_some_and(|before| after(before, self.last) <= 0)
        };
        match (follows, other.joined && !desk.down[1 - side]) {
            (true, _) => Verdict::Deliver,
            (false, true) => Verdict::Wait,
            (false, false) => Verdict::Force,
        }
    }

    /// The venue's numbers begin anew, or this side alone has fallen back: the other side tells.
    fn anew(&self, desk: &Desk<'_>, side: usize, meta: &Meta, distance: i32) -> Verdict {
        let other = &self.sides[1 - side];
        if distance == 0 {
            return Verdict::Drop;
        }
        let both = !meta.snapshot && meta.place.is_none() && !meta.done;
        if both || !other.joined || desk.down[1 - side] {
            return Verdict::Deliver;
        }
        let at = other.position.unwrap_or(self.last);
        if after(at, meta.sequence) >= 0 && after(at, self.last) < 0 {
            return Verdict::Deliver;
        }
        let goes_on = other.heard > meta.at.saturating_add(desk.rules.wait) && after(at, self.last) >= 0;
        if goes_on {
            Verdict::Drop
        } else {
            Verdict::Wait
        }
    }

    fn by_content(&self, desk: &Desk<'_>, side: usize, meta: &Meta) -> Verdict {
        if meta.snapshot {
            // A book that is only ever told whole, again and again.
            let sampled = !self.deltas && self.sides[side].snapshots > 1;
            let newer = sampled && meta.event >= self.base && !meta.done;
            return if (self.doubtful && !meta.flagged) || newer { Verdict::Deliver } else { Verdict::Drop };
        }
        if meta.done {
            return if self.doubtful && !meta.flagged { Verdict::Absorb } else { Verdict::Drop };
        }
        if meta.event != 0 && meta.event < self.base {
            return Verdict::Drop;
        }
        let other = &self.sides[1 - side];
        if meta.flagged && self.is_well(desk, 1 - side) {
            let overtaken = if meta.event == 0 { other.heard > meta.at } else { other.event > meta.event };
            return if overtaken { Verdict::Drop } else { Verdict::Wait };
        }
        Verdict::Deliver
    }

    fn is_dense(&self, desk: &Desk<'_>) -> bool {
        desk.rules.dense == 0 || (self.run >= desk.rules.dense && self.holes < 2)
    }

    fn hold(&mut self, desk: &Desk<'_>, side: usize, unit: &[u8], meta: Meta) {
        let side = &mut self.sides[side];
        side.bytes += unit.len() + size_of::<Held>();
        side.held.push_back(Held { meta: Meta { at: desk.now, ..meta }, data: unit.to_vec() });
    }

    fn pop(&mut self, side: usize) -> Option<Held> {
        let side = &mut self.sides[side];
        let held = side.held.pop_front()?;
        side.bytes -= held.data.len() + size_of::<Held>();
        Some(held)
    }

    /// Hands out what is held back and need not be any longer.
    pub fn settle(&mut self, desk: &mut Desk<'_>) {
        loop {
            let verdicts = [0, 1].map(|side| {
                let meta = self.sides[side].held.front()?.meta;
                Some((self.verdict(desk, side, &meta), meta))
            });
            let Some((side, verdict)) = self.choose(desk, verdicts) else { return };
            let Some(Held { meta, data }) = self.pop(side) else { return };
            match verdict {
                Verdict::Deliver => self.deliver(desk, side, &meta, &data, false),
                Verdict::Force | Verdict::Wait => self.deliver(desk, side, &meta, &data, true),
                Verdict::Drop => self.drop(desk, side, &meta, &data),
                Verdict::Absorb => self.absorb(desk, side, &meta, &data),
            }
        }
    }

    /// Which side's first held message is next, and what becomes of it; None while all have to wait.
    fn choose(&self, desk: &Desk<'_>, verdicts: [Option<(Verdict, Meta)>; 2]) -> Option<(usize, Verdict)> {
        for (side, found) in verdicts.iter().enumerate() {
            if let Some((verdict @ (Verdict::Drop | Verdict::Absorb), _)) = found {
                return Some((side, *verdict));
            }
        }
        match verdicts {
            [Some((one, first)), Some((two, second))] => {
                // Neither waits for the other any longer: what is lower comes first, but no snapshot that nobody needs.
                let side = match (one == Verdict::Deliver, two == Verdict::Deliver) {
                    (true, false) if second.snapshot => 0,
                    (false, true) if first.snapshot => 1,
                    _ => usize::from(!comes_first(&first, &second)),
                };
                Some((side, if side == 0 { one } else { two }))
            }
            [Some((verdict, meta)), None] => self.alone(desk, 0, verdict, &meta),
            [None, Some((verdict, meta))] => self.alone(desk, 1, verdict, &meta),
            [None, None] => None,
        }
    }

    fn alone(&self, desk: &Desk<'_>, side: usize, verdict: Verdict, meta: &Meta) -> Option<(usize, Verdict)> {
        if verdict != Verdict::Wait {
            return Some((side, verdict));
        }
        let (this, other) = (&self.sides[side], &self.sides[1 - side]);
        let wait = desk.rules.wait;
        let late = if desk.now >= meta.at.saturating_add(desk.rules.window) || this.bytes > desk.rules.bytes / 8 {
            true
        } else if meta.snapshot && !self.doubtful && !meta.back && this.held.len() == 1 && self.is_well(desk, 1 - side)
        {
            // Nobody needs it as long as nothing follows it.
            false
        } else if meta.snapshot && self.doubtful {
            desk.now >= meta.at.saturating_add(wait)
        } else if self.turn.stands_by(desk.rules, side) && !meta.flagged {
            desk.now >= meta.at.saturating_add(desk.rules.patience)
        } else {
            // A side that is heard elsewhere is behind rather than gone, and is given longer.
            let gone = desk.now >= desk.heard[1 - side].saturating_add(wait);
            let patient = desk.now < meta.at.saturating_add(wait.saturating_mul(BEHIND));
            desk.now >= meta.at.max(other.heard).saturating_add(wait) && (gone || !patient)
        };
        late.then_some((side, Verdict::Wait))
    }

    fn deliver(&mut self, desk: &mut Desk<'_>, side: usize, meta: &Meta, unit: &[u8], forced: bool) {
        if self.started && self.turn.stands_by(desk.rules, side) {
            self.turn.take(desk.rules, side, desk.now);
            desk.counts.switches += 1;
        }
        let was = (self.started, self.last);
        if meta.snapshot {
            self.shown = (meta.sequence == 0).then(|| (side, key(Schema::Mbo, unit)));
            self.restart(meta, unit);
        } else {
            self.advance(desk, meta, unit);
        }
        self.started = true;
        let numbered = meta.sequence != 0;
        if numbered && (meta.snapshot || meta.back || after(meta.sequence, self.last) > 0) {
            self.last = meta.sequence;
        }
        if forced && was.0 && numbered && !meta.back && !meta.flagged {
            desk.counts.gaps += 1;
            desk.out.gap(desk.lane, was.1, meta.sequence);
        }
        let doubtful = self.doubtful && !meta.flagged;
        desk.out.message(desk.lane, &desk.layout, desk.clock, unit, meta.kind, doubtful);
        self.stamp = desk.clock.0;
        if let Some(place) = meta.place {
            desk.pairing.delivered(place);
        }
        desk.counts.delivered[side] += 1;
        self.delivered += 1;
    }

    fn restart(&mut self, meta: &Meta, unit: &[u8]) {
        self.doubtful = meta.flagged;
        self.base = meta.event;
        self.run = 0;
        if !meta.flagged {
            self.mirror.apply(unit);
            self.clean = meta.sequence;
        }
    }

    fn advance(&mut self, desk: &mut Desk<'_>, meta: &Meta, unit: &[u8]) {
        self.deltas = true;
        if meta.sequence != 0 && self.started {
            match after(meta.sequence, self.last) {
                1 => self.run = self.run.saturating_add(1),
                0 => {}
                _ => {
                    self.holes += u32::from(self.is_dense(desk));
                    self.run = 0;
                }
            }
        }
        if meta.flagged {
            desk.counts.doubts += u64::from(!self.doubtful);
            self.doubtful = true;
            return;
        }
        if self.doubtful && meta.sequence == 0 {
            // This side never lost anything: the book as it knows it, then what moves it.
            self.recover(desk);
        }
        if !self.doubtful {
            self.mirror.apply(unit);
            self.clean = meta.sequence;
        }
    }

    /// Drops what is had already or not needed; the venue's own snapshot that both sides send is passed on.
    fn drop(&mut self, desk: &mut Desk<'_>, side: usize, meta: &Meta, unit: &[u8]) {
        if !meta.snapshot {
            return;
        }
        if meta.kind == Kind::Live && !meta.flagged && !self.doubtful {
            let key = key(Schema::Mbo, unit);
            if self.spare.take() == Some((1 - side, key, self.delivered))
                && (meta.sequence == 0 || meta.sequence == self.last)
            {
                self.deliver(desk, side, meta, unit, false);
                return;
            }
            self.spare = Some((side, key, self.delivered));
        }
        desk.counts.snapshots += 1;
    }

    /// Brings the clean book forward while what is handed out is doubtful; hands it out when it has caught up.
    fn absorb(&mut self, desk: &mut Desk<'_>, _side: usize, meta: &Meta, unit: &[u8]) {
        if meta.snapshot {
            self.mirror.apply(unit);
            self.clean = meta.sequence;
            return;
        }
        if meta.sequence == 0 {
            self.mirror.apply(unit);
            return;
        }
        let follows = meta.previous.is_some_and(|before| after(before, self.clean) <= 0);
        if follows && after(meta.sequence, self.clean) > 0 {
            self.mirror.apply(unit);
            self.clean = meta.sequence;
        }
        if after(self.clean, self.last) >= 0 {
            self.recover(desk);
        }
    }

    fn recover(&mut self, desk: &mut Desk<'_>) {
        if self.mirror.is_blank() {
            return;
        }
        let mut book = Vec::new();
        self.mirror.snapshot(&mut book, 0, None);
        desk.out.message(desk.lane, &desk.layout, desk.clock, &book, Kind::Live, false);
        self.stamp = desk.clock.0;
        self.doubtful = false;
        self.delivered += 1;
    }
}

/// Whether one held message comes before another.
fn comes_first(one: &Meta, two: &Meta) -> bool {
    if one.back != two.back {
        return !one.back;
    }
    if one.sequence != 0 && two.sequence != 0 && one.sequence != two.sequence {
        return after(one.sequence, two.sequence) < 0;
    }
    if one.snapshot != two.snapshot {
        // What a snapshot holds already is still a message of its own.
        return two.snapshot;
    }
    if one.event != two.event && one.event != 0 && two.event != 0 {
        return one.event < two.event;
    }
    !one.flagged || two.flagged
}
