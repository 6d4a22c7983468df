//! Deltas: each is judged by its book's place in the venue's sequence, applied, proved and published.

use std::sync::Arc;

use super::books::{Change, Delta, Head, OrderChange};
use super::events::EventKind;
use super::state::State;
use super::values::Reject;
use super::Job;
use crate::record::{Health, F_MAYBE_BAD_BOOK};
use crate::spec;
use crate::sync::{unproved, Link, Phase, Verdict};

impl State {
    pub(super) fn delta(
        &mut self,
        job: &Job<'_>,
        at: usize,
        head: Head,
        levels: &[Change],
        order: Option<OrderChange>,
    ) -> Result<(), Reject> {
        if self.is_outlived(job.channel, at) {
            self.stale += 1;
            return Ok(());
        }
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
            } else if unproved(&rule) {
                self.remember(job, at, head, levels, order);
            }
            self.publish_entries(at, &stamp, &entries, if doubtful { F_MAYBE_BAD_BOOK } else { 0 });
        }
        self.scratch.entries = entries;
        applied
    }

    /// Whether what comes is of an older connection than the book's snapshot: that one's stream has it as well.
    #[inline]
    pub(super) fn is_outlived(&self, channel: usize, at: usize) -> bool {
        let now = self.channels.get(channel).map(|known| known.connection);
        self.books[at].from.zip(now).is_some_and(|(from, now)| now < from)
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
    pub(super) fn prove(&mut self, job: &Job<'_>, at: usize, rule: &spec::Book, head: &Head) {
        let (Some(check), Some(wanted)) = (&rule.checksum, head.checksum) else { return };
        let book = &mut self.books[at];
        if book.sync.phase != Phase::Live {
            return;
        }
        if check.optional && wanted == 0 {
            return;
        }
        let have = if rule.per_order {
            book.orders.checksum(check, &mut self.scratch.checksum)
        } else {
            book.levels.checksum(check, &mut self.scratch.checksum)
        };
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
}
