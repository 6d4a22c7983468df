//! Books: every delta and snapshot is judged, applied, proved and published, by level or by order.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::out::Exact;
use super::state::{EventKind, State};
use super::values::{self, Reject};
use super::Job;
use crate::book::{order_key, Effect, Level, LevelBook, Order, OrderBook, ASK, BID};
use crate::decimal::Dec;
use crate::glob;
use crate::json::Row;
use crate::plan::{self, Rows, Source};
use crate::record::{self, Entry, Health, Schema, Stamp, F_MAYBE_BAD_BOOK, F_MBP, F_SNAPSHOT};
use crate::spec::{self, Coding, OrderEvent};
use crate::sync::{Ids, Link, Phase, Sync, Taking, Verdict};

/// A level of a message, or an order of a snapshot.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Change {
    /// Bid or ask.
    pub side: usize,
    /// Price as written.
    pub price: Dec,
    /// New size as written; zero deletes.
    pub size: Dec,
    /// The order, where it is one.
    pub id: u64,
}

/// An event of a single order.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct OrderChange {
    event: OrderEvent,
    id: u64,
    side: Option<usize>,
    price: Option<Dec>,
    size: Option<Dec>,
}

/// A delta as it is kept until a snapshot comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delta {
    sequence: u64,
    ts_recv: u64,
    ids: Option<Ids>,
    levels: Vec<Change>,
    order: Option<OrderChange>,
    ts_event: Option<u64>,
    ts_sent: Option<u64>,
}

/// The book of one instrument on one channel.
#[derive(Debug)]
pub struct Book {
    /// How it is kept right.
    pub rule: Arc<spec::Book>,
    /// Its raw channel.
    pub channel: usize,
    /// Its instrument.
    pub instrument: usize,
    /// Its place in the venue's sequence.
    pub sync: Sync,
    /// By level.
    pub levels: LevelBook,
    /// By order.
    pub orders: OrderBook,
    /// Deltas that await a snapshot.
    pub kept: VecDeque<Delta>,
    /// How many levels a side may have.
    pub depth: Option<usize>,
    /// Of the last message applied.
    pub stamp: Stamp,
    /// Where it is published.
    pub out: usize,
    /// Whether it has changed since the last flush.
    pub dirty: bool,
}

/// Buffers used again from message to message.
#[derive(Debug, Default)]
pub struct Scratch {
    changes: Vec<Change>,
    entries: Vec<(Entry, Exact)>,
    checksum: Vec<u8>,
}

/// What a book message says beside its levels.
struct Head {
    ids: Option<Ids>,
    checksum: Option<u32>,
    ts_event: Option<u64>,
    ts_sent: Option<u64>,
}

/// Reads the rows of a level list.
pub fn rows_of(source: &Source<'_>, rows: &Rows) -> Result<Vec<Change>, Reject> {
    let mut changes = Vec::new();
    read_rows(source, rows, BID, &mut changes)?;
    Ok(changes)
}

#[inline]
fn read_rows(source: &Source<'_>, rows: &Rows, side: usize, into: &mut Vec<Change>) -> Result<(), Reject> {
    let (found, text) = if rows.entry { (source.entry_found, source.entry) } else { (source.found, source.payload) };
    let Some(list) = found.rows.get(usize::from(rows.list)) else { return Ok(()) };
    for row in list {
        into.push(read_row(row, text, rows, side)?);
    }
    Ok(())
}

#[inline]
fn read_row(row: &Row, text: &[u8], rows: &Rows, side: usize) -> Result<Change, Reject> {
    let cell = |at: usize| row[at].of(text);
    let number = |at: usize| -> Result<Dec, Reject> {
        if row[at].given() {
            Ok(Dec::parse(cell(at))?)
        } else {
            Err(Reject("missing_field"))
        }
    };
    let change = match rows.coding {
        Coding::Pair | Coding::Object => Change { side, price: number(0)?, size: number(1)?, id: 0 },
        Coding::Order => Change { side, price: number(0)?, size: number(1)?, id: order_key(cell(2)) },
        Coding::Action => {
            let size = if cell(0) == b"delete" { Dec::default() } else { number(2)? };
            Change { side, price: number(1)?, size, id: 0 }
        }
        Coding::Sided => {
            let word = cell(0);
            let side = rows.words.iter().position(|known| **known == *word).ok_or(Reject("bad_side"))?;
            Change { side: side & 1, price: number(1)?, size: number(2)?, id: 0 }
        }
    };
    if change.size.mantissa < 0 {
        return Err(Reject("number_range"));
    }
    Ok(change)
}

/// The stable key of a price level.
fn level_key(side: usize, price: i64) -> u64 {
    (price as u64) << 1 | (side as u64 & 1)
}

fn side_letter(side: usize) -> u8 {
    if side == BID {
        b'B'
    } else {
        b'A'
    }
}

impl State {
    /// One message of a book by level.
    #[inline]
    pub fn levels(&mut self, job: &Job<'_>, make: &plan::Levels, source: &Source<'_>) -> Result<(), Reject> {
        let mut changes = std::mem::take(&mut self.scratch.changes);
        changes.clear();
        let done = self.read_and_take(job, make, source, &mut changes);
        self.scratch.changes = changes;
        done
    }

    fn read_and_take(
        &mut self,
        job: &Job<'_>,
        make: &plan::Levels,
        source: &Source<'_>,
        changes: &mut Vec<Change>,
    ) -> Result<(), Reject> {
        read_rows(source, &make.bids, BID, changes)?;
        if let Some(asks) = &make.asks {
            read_rows(source, asks, ASK, changes)?;
        }
        let time = |when: &Option<plan::When>| when.as_ref().map(|when| values::time_of(source, when)).transpose();
        let head = Head {
            ids: make.ids.as_ref().map(|ids| values::ids(source, ids)).transpose()?,
            checksum: make.checksum.map(|place| checksum_of(source, place)).transpose()?.flatten(),
            ts_event: time(&make.time)?.flatten(),
            ts_sent: time(&make.sent)?.flatten(),
        };
        let instrument = self.instrument_of(job.channel, source, make.symbol)?;
        let rule = job.books.get(make.book).ok_or(Reject("unknown_message"))?;
        let book = self.book(job, rule, instrument, make.schema);
        if make.snapshot {
            self.snapshot(job, book, &head, changes)
        } else {
            self.check_prices(instrument, changes)?;
            self.delta(job, book, head, changes, None)
        }
    }

    /// Every price must be publishable before the book is touched.
    #[inline]
    fn check_prices(&self, instrument: usize, changes: &[Change]) -> Result<(), Reject> {
        let known = self.instruments.get(instrument);
        for change in changes {
            known.price(change.price)?;
        }
        Ok(())
    }

    fn book(&mut self, job: &Job<'_>, rule: &spec::Book, instrument: usize, schema: Schema) -> usize {
        if let Some(book) = self.channels.get(job.channel).and_then(|known| known.books.get(&instrument)) {
            return *book;
        }
        let out = self.out(job.channel, schema);
        self.books.push(Book {
            rule: Arc::new(rule.clone()),
            channel: job.channel,
            instrument,
            sync: Sync::default(),
            levels: LevelBook::default(),
            orders: OrderBook::default(),
            kept: VecDeque::new(),
            depth: None,
            stamp: self.stamp(instrument, job.ts_recv, None, None, 0),
            out,
            dirty: false,
        });
        let at = self.books.len() - 1;
        if let Some(known) = self.channels.get_mut(job.channel) {
            known.books.insert(instrument, at);
        }
        at
    }

    /// One event of a book by order.
    pub fn order(&mut self, job: &Job<'_>, make: &plan::Order, source: &Source<'_>) -> Result<(), Reject> {
        let number = |place: Option<plan::Place>| place.map(|place| values::maybe_number(source, place)).transpose();
        let side = match &make.side {
            Some(sides) if make.event != OrderEvent::None => Some(usize::from(values::side(source, sides)? == b'A')),
            _ => None,
        };
        let change = OrderChange {
            event: make.event,
            id: make.order_id.map_or(0, |place| order_key(&values::text(source, place))),
            side,
            price: number(make.price)?.flatten(),
            size: number(make.size)?.flatten(),
        };
        let needs = match make.event {
            OrderEvent::Open | OrderEvent::Match => change.price.is_some() && change.size.is_some(),
            OrderEvent::Change => change.size.is_some(),
            OrderEvent::Done | OrderEvent::None => true,
        };
        if !needs {
            return Err(Reject("missing_field"));
        }
        let head = Head {
            ids: make.ids.as_ref().map(|ids| values::ids(source, ids)).transpose()?,
            checksum: None,
            ts_event: make.time.as_ref().map(|when| values::time_of(source, when)).transpose()?.flatten(),
            ts_sent: None,
        };
        let instrument = self.instrument_of(job.channel, source, make.symbol)?;
        if let Some(price) = change.price {
            self.instruments.get(instrument).price(price)?;
        }
        let rule = job.books.get(make.book).ok_or(Reject("unknown_message"))?;
        let book = self.book(job, rule, instrument, make.schema);
        self.delta(job, book, head, &[], Some(change))
    }

    fn delta(
        &mut self,
        job: &Job<'_>,
        at: usize,
        head: Head,
        levels: &[Change],
        order: Option<OrderChange>,
    ) -> Result<(), Reject> {
        let book = &mut self.books[at];
        let rule = Arc::clone(&book.rule);
        let instrument = book.instrument;
        let asked = book.sync.asked;
        let (verdict, link) = book.sync.delta(&rule, head.ids);
        match link {
            Link::Whole => self.links[0] += 1,
            Link::Broken(from, to) => {
                self.links[1] += 1;
                self.books[at].kept.clear();
                self.event(EventKind::Gap, Some(job.channel), Some(instrument), "link", from, to);
            }
            Link::Stale | Link::Unchecked => {}
        }
        let book = &mut self.books[at];
        match verdict {
            Verdict::Stale => {
                self.stale += 1;
                return Ok(());
            }
            Verdict::Homeless => {
                self.stale += 1;
                if !asked {
                    book.sync.asked = true;
                    self.event(EventKind::Resync, Some(job.channel), Some(instrument), "no snapshot", 0, 0);
                }
                return Ok(());
            }
            Verdict::Keep => {
                self.keep_delta(job, at, head, levels, order);
                if !asked {
                    self.books[at].sync.asked = true;
                    self.event(EventKind::Resync, Some(job.channel), Some(instrument), "no snapshot", 0, 0);
                }
                return Ok(());
            }
            Verdict::Apply => {}
            Verdict::Gap(..) => self.begin_resync(job, at, head.ts_event, "link"),
            Verdict::Doubtful => {}
        }
        let id = head.ids.map_or(0, |ids| ids.last);
        let stamp = self.stamp(instrument, job.ts_recv, head.ts_event, head.ts_sent, id);
        let mut entries = std::mem::take(&mut self.scratch.entries);
        entries.clear();
        let applied = match &order {
            Some(order) => self.apply_order(at, order, id, &mut entries),
            None => self.apply_levels(at, levels, id, &mut entries),
        };
        if applied.is_ok() {
            self.prove(job, at, &rule, &head);
            let doubtful = self.books[at].sync.phase != Phase::Live;
            if doubtful && rule.snapshot == spec::SnapshotFrom::Request {
                self.keep_delta(job, at, head, levels, order);
            }
            self.publish_entries(at, &stamp, &entries, if doubtful { F_MAYBE_BAD_BOOK } else { 0 });
        }
        self.scratch.entries = entries;
        applied
    }

    fn keep_delta(&mut self, job: &Job<'_>, at: usize, head: Head, levels: &[Change], order: Option<OrderChange>) {
        let book = &mut self.books[at];
        if book.kept.len() >= book.rule.max_buffered {
            book.kept.pop_front();
            self.stale += 1;
        }
        self.buffered += 1;
        let Head { ids, ts_event, ts_sent, .. } = head;
        let (sequence, ts_recv) = (self.outs.sequence, job.ts_recv);
        book.kept.push_back(Delta { sequence, ts_recv, ids, levels: levels.to_vec(), order, ts_event, ts_sent });
    }

    /// A book has become doubtful: says so, and asks for a snapshot.
    fn begin_resync(&mut self, job: &Job<'_>, at: usize, ts_event: Option<u64>, reason: &str) {
        let instrument = self.books[at].instrument;
        self.resyncs += 1;
        let stamp = self.stamp(instrument, job.ts_recv, ts_event, None, 0);
        self.health(job.channel, instrument, &stamp, Health::Doubtful);
        self.event(EventKind::Resync, Some(job.channel), Some(instrument), reason, 0, 0);
    }

    /// Holds a live book against the venue's checksum.
    #[inline]
    fn prove(&mut self, job: &Job<'_>, at: usize, rule: &spec::Book, head: &Head) {
        let (Some(check), Some(wanted)) = (&rule.checksum, head.checksum) else { return };
        let book = &mut self.books[at];
        if book.sync.phase != Phase::Live {
            return;
        }
        let have = book.levels.checksum(check, &mut self.scratch.checksum);
        if have == wanted {
            self.checksums[0] += 1;
            return;
        }
        self.checksums[1] += 1;
        book.sync.doubt();
        let instrument = book.instrument;
        self.event(EventKind::Checksum, Some(job.channel), Some(instrument), "checksum", have.into(), wanted.into());
        self.begin_resync(job, at, head.ts_event, "checksum");
    }

    #[inline]
    fn publish_entries(&mut self, at: usize, stamp: &Stamp, entries: &[(Entry, Exact)], flags: u8) {
        let book = &mut self.books[at];
        book.dirty = true;
        book.stamp = *stamp;
        let out = book.out;
        let base = flags | if book.rule.per_order { 0 } else { F_MBP };
        if entries.is_empty() {
            let entry = nothing(base);
            self.outs.record(out, &Exact::default(), |bytes| record::mbo(bytes, stamp, &entry));
        }
        for (entry, exact) in entries {
            let entry = Entry { flags: entry.flags | base, ..*entry };
            self.outs.record(out, exact, |bytes| record::mbo(bytes, stamp, &entry));
        }
    }

    #[inline]
    fn apply_levels(
        &mut self,
        at: usize,
        levels: &[Change],
        id: u64,
        entries: &mut Vec<(Entry, Exact)>,
    ) -> Result<(), Reject> {
        let instrument = self.books[at].instrument;
        for change in levels {
            let (price, px_flag) = self.price(instrument, change.price)?;
            let (lots, size_flag) = self.lots(instrument, change.size)?;
            let effect = self.books[at].levels.set(change.side, price, Level { price: change.price, size: change.size });
            let Some(action) = letter(effect) else { continue };
            let flags = px_flag | size_flag;
            entries.push(level_entry(action, change.side, price, lots, flags, id, change.price, change.size));
        }
        let Some(depth) = self.books[at].depth else { return Ok(()) };
        for side in [BID, ASK] {
            while self.books[at].levels.depth(side) > depth {
                let Some((price, level)) = self.books[at].levels.pop_worst(side) else { break };
                let none = Dec { mantissa: 0, decimals: level.size.decimals };
                entries.push(level_entry(b'C', side, price, 0, 0, id, level.price, none));
            }
        }
        Ok(())
    }

    fn apply_order(
        &mut self,
        at: usize,
        change: &OrderChange,
        id: u64,
        entries: &mut Vec<(Entry, Exact)>,
    ) -> Result<(), Reject> {
        let instrument = self.books[at].instrument;
        match change.event {
            OrderEvent::None => {}
            OrderEvent::Open => {
                let (Some(side), Some(price), Some(size)) = (change.side, change.price, change.size) else {
                    return Err(Reject("missing_field"));
                };
                let (key, _) = self.price(instrument, price)?;
                let effect = self.books[at].orders.open(change.id, side, key, price, size);
                let action = if effect == Effect::Modified { b'M' } else { b'A' };
                let order = Order { side, key, price, size, arrival: 0 };
                entries.push(self.order_entry(instrument, action, change.id, &order, size, id)?);
            }
            OrderEvent::Change => {
                let size = change.size.ok_or(Reject("missing_field"))?;
                let Some(order) = self.books[at].orders.get(change.id).copied() else { return Ok(()) };
                let order = match change.price {
                    // A new price is a new place in the queue.
                    Some(price) if self.price(instrument, price)?.0 != order.key => {
                        let (key, _) = self.price(instrument, price)?;
                        self.books[at].orders.open(change.id, order.side, key, price, size);
                        Order { key, price, size, ..order }
                    }
                    _ => self.books[at].orders.resize(change.id, size).unwrap_or(order),
                };
                entries.push(self.order_entry(instrument, b'M', change.id, &order, size, id)?);
            }
            OrderEvent::Done => {
                let Some(order) = self.books[at].orders.remove(change.id) else { return Ok(()) };
                entries.push(self.order_entry(instrument, b'C', change.id, &order, order.size, id)?);
            }
            OrderEvent::Match => self.apply_match(at, change, id, entries)?,
        }
        Ok(())
    }

    /// A trade against a resting order: the trade, the fill, and what is left of the order.
    fn apply_match(
        &mut self,
        at: usize,
        change: &OrderChange,
        id: u64,
        entries: &mut Vec<(Entry, Exact)>,
    ) -> Result<(), Reject> {
        let instrument = self.books[at].instrument;
        let (Some(side), Some(price), Some(size)) = (change.side, change.price, change.size) else {
            return Err(Reject("missing_field"));
        };
        let (key, _) = self.price(instrument, price)?;
        let taken = Order { side, key, price, size, arrival: 0 };
        let aggressor = Order { side: side ^ 1, ..taken };
        entries.push(self.order_entry(instrument, b'T', 0, &aggressor, size, id)?);
        entries.push(self.order_entry(instrument, b'F', change.id, &taken, size, id)?);
        let Some(order) = self.books[at].orders.get(change.id).copied() else { return Ok(()) };
        let left = minus(order.size, size).ok_or(Reject("number_range"))?;
        if left.mantissa > 0 {
            self.books[at].orders.resize(change.id, left);
            entries.push(self.order_entry(instrument, b'M', change.id, &order, left, id)?);
        } else {
            self.books[at].orders.remove(change.id);
            entries.push(self.order_entry(instrument, b'C', change.id, &order, size, id)?);
        }
        Ok(())
    }

    fn order_entry(
        &mut self,
        instrument: usize,
        action: u8,
        order_id: u64,
        order: &Order,
        size: Dec,
        id: u64,
    ) -> Result<(Entry, Exact), Reject> {
        let (lots, flags) = self.lots(instrument, size)?;
        let entry = Entry { action, side: side_letter(order.side), price: order.key, size: lots, order_id, flags };
        Ok((entry, Exact { venue_id: id, price: Some(order.price), size: Some(size), ..Exact::default() }))
    }

    /// A full book has come: takes it, brings it forward by what was kept, and publishes it.
    fn snapshot(&mut self, job: &Job<'_>, at: usize, head: &Head, changes: &[Change]) -> Result<(), Reject> {
        let instrument = self.books[at].instrument;
        let rule = Arc::clone(&self.books[at].rule);
        let was = self.books[at].sync.phase;
        let mut kept = std::mem::take(&mut self.books[at].kept);
        let waiting = kept.len();
        let taking = self.books[at].sync.snapshot(&rule, head.ids.map(|ids| ids.last), &mut kept, |delta| delta.ids);
        self.stale += (waiting - kept.len()) as u64;
        match taking {
            Taking::Take => {}
            Taking::TooOld => {
                self.books[at].kept = kept;
                self.event(EventKind::Resync, Some(job.channel), Some(instrument), "snapshot too old", 0, 0);
                return Ok(());
            }
            Taking::Unneeded => {
                self.exclude("snapshot not needed");
                return Ok(());
            }
        }
        self.infer(job.channel, instrument, job.ts_recv, changes);
        self.check_prices(instrument, changes)?;
        self.fill(job, at, changes)?;
        self.define(instrument, job.channel, job.ts_recv);
        let id = head.ids.map_or(0, |ids| ids.last);
        // What was kept ahead of a first snapshot has not been published yet: it follows, so the snapshot goes in front.
        let first = kept.front().filter(|_| was == Phase::Waiting).map(|delta| delta.ts_recv.saturating_sub(1));
        let mut stamp = self.stamp(instrument, first.unwrap_or(job.ts_recv), head.ts_event, head.ts_sent, id);
        if was == Phase::Waiting {
            self.prove(job, at, &rule, head);
            self.publish_book(at, stamp);
            return self.follow(at, &kept);
        }
        let mut silent = Vec::new();
        for delta in &kept {
            self.folded += 1;
            self.apply(at, delta, &mut silent)?;
            silent.clear();
            let id = delta.ids.map_or(0, |ids| ids.last);
            stamp = self.stamp(instrument, job.ts_recv, delta.ts_event, delta.ts_sent, id);
        }
        self.prove(job, at, &rule, head);
        self.publish_book(at, stamp);
        if was == Phase::Resyncing && self.books[at].sync.phase == Phase::Live {
            self.health(job.channel, instrument, &stamp, Health::Right);
            let id = head.ids.map_or(0, |ids| ids.last);
            self.event(EventKind::Recovered, Some(job.channel), Some(instrument), "snapshot", 0, id);
        }
        Ok(())
    }

    fn apply(&mut self, at: usize, delta: &Delta, entries: &mut Vec<(Entry, Exact)>) -> Result<(), Reject> {
        let id = delta.ids.map_or(0, |ids| ids.last);
        match &delta.order {
            Some(order) => self.apply_order(at, order, id, entries),
            None => self.apply_levels(at, &delta.levels, id, entries),
        }
    }

    /// Publishes kept deltas behind the snapshot they waited for, each as the message it was.
    fn follow(&mut self, at: usize, kept: &VecDeque<Delta>) -> Result<(), Reject> {
        let instrument = self.books[at].instrument;
        let sequence = self.outs.sequence;
        let mut entries = Vec::new();
        for delta in kept {
            self.outs.end_message();
            self.outs.sequence = delta.sequence;
            entries.clear();
            self.apply(at, delta, &mut entries)?;
            let id = delta.ids.map_or(0, |ids| ids.last);
            let stamp = self.stamp(instrument, delta.ts_recv, delta.ts_event, delta.ts_sent, id);
            self.publish_entries(at, &stamp, &entries, 0);
        }
        self.outs.sequence = sequence;
        Ok(())
    }

    /// Publishes the book as it stands.
    fn publish_book(&mut self, at: usize, stamp: Stamp) {
        self.books[at].stamp = stamp;
        self.books[at].dirty = true;
        let records = self.book_records(at, stamp);
        let out = self.books[at].out;
        for (entry, exact) in &records {
            self.outs.record(out, exact, |bytes| record::mbo(bytes, &stamp, entry));
        }
    }

    fn fill(&mut self, job: &Job<'_>, at: usize, changes: &[Change]) -> Result<(), Reject> {
        let instrument = self.books[at].instrument;
        let name = self.channels.get(job.channel).map_or("", |known| known.name.as_str());
        let book = &mut self.books[at];
        book.levels.clear();
        book.orders.clear();
        let depth = book.rule.depth_from.iter().find(|(pattern, _)| glob::matches(pattern, name)).map(|(_, depth)| *depth);
        let sides = [BID, ASK].map(|side| changes.iter().filter(|change| change.side == side).count());
        book.depth = match depth {
            Some(0) => Some(subscribed_depth(sides[0].max(sides[1]), book.depth)),
            other => other,
        };
        let per_order = book.rule.per_order;
        for change in changes {
            let (key, _) = self.price(instrument, change.price)?;
            let book = &mut self.books[at];
            if per_order {
                book.orders.open(change.id, change.side, key, change.price, change.size);
            } else {
                book.levels.set(change.side, key, Level { price: change.price, size: change.size });
            }
        }
        Ok(())
    }

    /// The book as it stands: `R`, then `A…`, best first.
    pub fn book_records(&mut self, at: usize, stamp: Stamp) -> Vec<(Entry, Exact)> {
        let book = &self.books[at];
        let doubtful = if book.sync.phase == Phase::Live { 0 } else { F_MAYBE_BAD_BOOK };
        let base = F_SNAPSHOT | doubtful | if book.rule.per_order { 0 } else { F_MBP };
        let instrument = book.instrument;
        let id = u64::from(stamp.sequence);
        let clear = Entry { action: b'R', ..nothing(base) };
        let mut rows: Vec<(usize, i64, Dec, Dec, u64)> = Vec::new();
        for side in [BID, ASK] {
            if book.rule.per_order {
                let orders = book.orders.best_first(side).into_iter();
                rows.extend(orders.map(|(id, order)| (side, order.key, order.price, order.size, id)));
            } else {
                let levels = book.levels.best_first(side);
                rows.extend(levels.map(|(key, level)| (side, key, level.price, level.size, level_key(side, key))));
            }
        }
        let mut records = vec![(clear, Exact::default())];
        for (side, key, price, size, order_id) in rows {
            let Ok((lots, flag)) = self.lots(instrument, size) else { continue };
            let flags = base | flag;
            let entry = Entry { action: b'A', side: side_letter(side), price: key, size: lots, order_id, flags };
            records.push((entry, Exact { venue_id: id, price: Some(price), size: Some(size), ..Exact::default() }));
        }
        records
    }
}

/// The depth that was subscribed to, as a snapshot of so many levels tells it: one exactly as deep as an offer settles it,
/// one of a thin book tells only the least, and must not make a later, fuller one thin.
fn subscribed_depth(levels: usize, before: Option<usize>) -> usize {
    let least = [10, 25, 100, 500, 1000].into_iter().find(|depth| levels <= *depth).unwrap_or(usize::MAX);
    if levels == least {
        least
    } else {
        least.max(before.unwrap_or(0))
    }
}

fn nothing(flags: u8) -> Entry {
    Entry { action: b'N', side: b'N', price: i64::MAX, size: 0, order_id: 0, flags }
}

fn letter(effect: Effect) -> Option<u8> {
    match effect {
        Effect::Added => Some(b'A'),
        Effect::Modified => Some(b'M'),
        Effect::Deleted => Some(b'C'),
        Effect::Absent => None,
    }
}

#[allow(clippy::too_many_arguments)]
#[inline]
fn level_entry(
    action: u8,
    side: usize,
    price: i64,
    size: u32,
    flags: u8,
    venue_id: u64,
    exact_price: Dec,
    exact_size: Dec,
) -> (Entry, Exact) {
    let entry = Entry { action, side: side_letter(side), price, size, order_id: level_key(side, price), flags };
    (entry, Exact { venue_id, price: Some(exact_price), size: Some(exact_size), ..Exact::default() })
}

/// `a - b`, exactly.
fn minus(a: Dec, b: Dec) -> Option<Dec> {
    let decimals = a.decimals.max(b.decimals);
    let (a, _) = a.to_scale(decimals).ok()?;
    let (b, _) = b.to_scale(decimals).ok()?;
    Some(Dec { mantissa: a.checked_sub(b)?, decimals })
}

/// A checksum as 32 bits, however it is signed; `None` where it is not given.
fn checksum_of(source: &Source<'_>, place: plan::Place) -> Result<Option<u32>, Reject> {
    let Some(number) = values::maybe_number(source, place)? else { return Ok(None) };
    if number.decimals != 0 || number.mantissa < i64::from(i32::MIN) || number.mantissa > i64::from(u32::MAX) {
        return Err(Reject("bad_number"));
    }
    Ok(Some(number.mantissa as u32))
}
