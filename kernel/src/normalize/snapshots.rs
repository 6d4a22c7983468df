//! Full books: how they are taken, and how they are told.

use std::collections::VecDeque;
use std::sync::Arc;

use super::apply::{level_key, nothing, side_letter};
use super::books::{Change, Delta, Head};
use super::definitions;
use super::events::EventKind;
use super::out::Exact;
use super::state::State;
use super::values::Reject;
use super::Job;
use crate::book::{Level, ASK, BID};
use crate::decimal::Dec;
use crate::glob;
use crate::record::{self, Entry, Health, Stamp, F_MAYBE_BAD_BOOK, F_MBP, F_SNAPSHOT};
use crate::spec::SnapshotFrom;
use crate::sync::{unproved, Phase, Taking};

impl State {
    /// A full book has come: takes it, brings it forward by what was kept, and publishes it.
    pub(super) fn snapshot(&mut self, job: &Job<'_>, at: usize, head: &Head, changes: &[Change]) -> Result<(), Reject> {
        let instrument = self.books[at].instrument;
        let rule = Arc::clone(&self.books[at].rule);
        if unproved(&rule) && self.books[at].sync.phase == Phase::Live {
            return self.snapshot_again(job, at, head, changes);
        }
        let was = self.books[at].sync.phase;
        if was == Phase::Live && self.is_outlived(job.channel, at) {
            self.stale += 1;
            return Ok(());
        }
        let mut kept = std::mem::take(&mut self.books[at].kept);
        let waiting = kept.len();
        let asked = self.books[at].sync.asked;
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
        self.books[at].sync.floor = head.ids.map_or(0, |ids| ids.last);
        if rule.snapshot == SnapshotFrom::Stream && !self.merged() {
            self.books[at].from = self.channels.get(job.channel).map(|known| known.connection);
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
            if asked {
                self.event(EventKind::Recovered, Some(job.channel), Some(instrument), "first snapshot", 0, id);
            }
            self.follow(at, &kept)?;
            self.keep_history(at, kept);
            return Ok(());
        }
        let mut silent = Vec::new();
        for delta in &kept {
            self.folded += 1;
            self.apply(at, delta, &mut silent)?;
            silent.clear();
            let id = delta.ids.map_or(0, |ids| ids.last);
            stamp = self.stamp(instrument, job.ts_recv, delta.ts_event, delta.ts_sent, id);
        }
        self.keep_history(at, kept);
        self.prove(job, at, &rule, head);
        self.publish_book(at, stamp);
        if was == Phase::Resyncing && self.books[at].sync.phase == Phase::Live {
            self.health(job.channel, instrument, &stamp, Health::Right);
            let id = head.ids.map_or(0, |ids| ids.last);
            self.event(EventKind::Recovered, Some(job.channel), Some(instrument), "snapshot", 0, id);
        }
        Ok(())
    }

    pub(super) fn apply(&mut self, at: usize, delta: &Delta, entries: &mut Vec<(Entry, Exact)>) -> Result<(), Reject> {
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
    pub(super) fn publish_book(&mut self, at: usize, stamp: Stamp) {
        self.books[at].stamp = stamp;
        self.books[at].dirty = true;
        let records = self.book_records(at, stamp);
        let out = self.books[at].out;
        for (entry, exact) in &records {
            self.outs.record(out, exact, |bytes| record::mbo(bytes, &stamp, entry));
        }
    }

    /// Publishes definitions and books as they stand, for who begins to read here; nothing changes.
    pub fn retell(&mut self, ts_recv: u64) {
        self.outs.sequence = self.last;
        for instrument in 0..self.instruments.all().len() {
            if self.instruments.get(instrument).defined && self.is_ours(instrument) {
                definitions::publish(self, instrument, ts_recv, ts_recv);
            }
        }
        for at in 0..self.books.len() {
            if self.books[at].sync.phase == Phase::Waiting || !self.is_ours(self.books[at].instrument) {
                continue;
            }
            let before = self.books[at].stamp;
            self.outs.end_message();
            self.publish_book(at, Stamp { ts_recv, ts_sent: ts_recv, ..before });
            self.books[at].stamp = before;
        }
        self.outs.end_message();
    }

    fn is_ours(&self, instrument: usize) -> bool {
        self.shard.has(&self.provider, &self.instruments.get(instrument).raw_symbol)
    }

    pub(super) fn fill(&mut self, job: &Job<'_>, at: usize, changes: &[Change]) -> Result<(), Reject> {
        let instrument = self.books[at].instrument;
        let name = self.channels.get(job.channel).map_or("", |known| known.name.as_str());
        let book = &mut self.books[at];
        book.levels.clear();
        book.orders.clear();
        let depth =
            book.rule.depth_from.iter().find(|(pattern, _)| glob::matches(pattern, name)).map(|(_, depth)| *depth);
        let sides = [BID, ASK].map(|side| changes.iter().filter(|change| change.side == side).count());
        book.depth = match depth {
            Some(0) => Some(subscribed_depth(sides[0].max(sides[1]), book.depth)),
            other => other,
        };
        let per_order = book.rule.per_order;
        for change in changes {
            let (key, _) = self.price(instrument, change.price)?;
            let book = &mut self.books[at];
            if per_order && change.size.is_zero() {
                continue;
            }
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
