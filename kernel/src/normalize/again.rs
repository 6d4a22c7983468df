//! Books that nothing proves: they are held against a snapshot that is asked for again and again.

use std::collections::VecDeque;

use super::books::{Change, Delta, Head, OrderChange};
use super::events::EventKind;
use super::sampled::{mixed, SEED};
use super::state::State;
use super::values::Reject;
use super::Job;
use crate::book::{ASK, BID};
use crate::decimal::NumberError;
use crate::sync::{discarded, unproved};

/// Why a level or order at a price that no record can hold is left out.
pub(super) const FAR: &str = "price beyond records";

impl State {
    /// Remembers an applied delta for the next snapshot; how far back that may reach is the book's floor.
    pub(super) fn remember(
        &mut self,
        job: &Job<'_>,
        at: usize,
        head: Head,
        levels: &[Change],
        order: Option<OrderChange>,
    ) {
        let book = &mut self.books[at];
        if book.kept.len() >= book.rule.max_buffered {
            let oldest = book.kept.pop_front().and_then(|delta| delta.ids).map_or(0, |ids| ids.last);
            book.sync.floor = book.sync.floor.max(oldest);
        }
        let Head { ids, ts_event, ts_sent, .. } = head;
        let (sequence, ts_recv) = (self.outs.sequence, job.ts_recv);
        book.kept.push_back(Delta { sequence, ts_recv, ids, levels: levels.to_vec(), order, ts_event, ts_sent });
    }

    /// What a first or recovering snapshot was brought forward by stays at hand.
    pub(super) fn keep_history(&mut self, at: usize, kept: VecDeque<Delta>) {
        if unproved(&self.books[at].rule) {
            self.books[at].kept = kept;
        }
    }

    /// A further snapshot of a live book: the deltas that are newer are applied to it. Where that gives the book as it was, nothing
    /// is published; where it does not and the snapshot is no newer than the book, something had been lost.
    pub(super) fn snapshot_again(
        &mut self,
        job: &Job<'_>,
        at: usize,
        head: &Head,
        changes: &[Change],
    ) -> Result<(), Reject> {
        let (instrument, floor, last) = {
            let book = &self.books[at];
            (book.instrument, book.sync.floor, book.sync.last)
        };
        let Some(id) = head.ids.map(|ids| ids.last).filter(|id| *id >= floor) else {
            self.exclude("snapshot not needed");
            return Ok(());
        };
        self.check_prices(instrument, changes)?;
        let before = self.book_hash(at);
        let mut kept = std::mem::take(&mut self.books[at].kept);
        let rule = std::sync::Arc::clone(&self.books[at].rule);
        kept.retain(|delta| delta.ids.is_some_and(|ids| !discarded(&rule, &ids, id)));
        self.fill(job, at, changes)?;
        let mut silent = Vec::new();
        for delta in &kept {
            self.apply(at, delta, &mut silent)?;
            silent.clear();
        }
        let book = &mut self.books[at];
        book.kept = kept;
        book.sync.floor = id;
        book.sync.last = last.max(Some(id));
        if self.book_hash(at) == before {
            self.exclude("unchanged");
            return Ok(());
        }
        if last.is_some_and(|last| id <= last) {
            self.event(EventKind::Gap, Some(job.channel), Some(instrument), "snapshot differs", 0, 0);
        }
        let newest = self.books[at].sync.last.unwrap_or(id);
        let stamp = self.stamp(instrument, job.ts_recv, head.ts_event, head.ts_sent, newest);
        self.publish_book(at, stamp);
        Ok(())
    }

    /// A hash of what a book holds.
    fn book_hash(&self, at: usize) -> u64 {
        let book = &self.books[at];
        let mut hash = SEED;
        for side in [BID, ASK] {
            for (key, level) in book.levels.best_first(side) {
                let size = level.size.trimmed();
                hash =
                    [side as u64, key as u64, size.mantissa as u64, size.decimals.into()].into_iter().fold(hash, mixed);
            }
            // By id: two orders of one time may stand in either order.
            let mut orders = book.orders.best_first(side);
            orders.sort_unstable_by_key(|(id, _)| *id);
            for (id, order) in orders {
                let size = order.size.trimmed();
                hash = [side as u64, id, order.key as u64, size.mantissa as u64].into_iter().fold(hash, mixed);
                hash = mixed(hash, size.decimals.into());
            }
        }
        hash
    }

    /// Takes out, and counts, levels at prices that no record can hold.
    pub(super) fn leave_far_out(&mut self, instrument: usize, changes: &mut Vec<Change>) {
        let before = changes.len();
        let known = self.instruments.get(instrument);
        changes.retain(|change| !matches!(known.price(change.price), Err(NumberError::Range)));
        for _ in changes.len()..before {
            self.exclude(FAR);
        }
    }
}
