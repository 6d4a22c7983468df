//! Keeps a book in step with its venue: what each delta and snapshot is allowed to do, by the rules of the spec.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::spec::{self, Discard, Join, LinkRule, SnapshotFrom};

/// A message's own ids at full width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    /// The first it spans.
    pub first: u64,
    /// Its own, or the last it spans.
    pub last: u64,
    /// The one it follows.
    pub previous: Option<u64>,
}

/// How far a book is to be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// No snapshot yet.
    #[default]
    Waiting,
    /// Right.
    Live,
    /// A gap is open.
    Resyncing,
}

/// Whether a delta follows the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// There is no rule.
    Unchecked,
    /// It does.
    Whole,
    /// It is no newer than what is known.
    Stale,
    /// Ids from and to, both inclusive, are missing.
    Broken(u64, u64),
}

/// What is to be done with a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Apply and publish.
    Apply,
    /// Nothing.
    Stale,
    /// Keep until a snapshot comes.
    Keep,
    /// There is no snapshot to apply it to, and none can be joined later.
    Homeless,
    /// Apply and publish as doubtful; these ids are missing before it.
    Gap(u64, u64),
    /// Apply and publish as doubtful: an earlier gap is open.
    Doubtful,
}

/// What is to be done with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// Take it; the kept deltas follow it.
    Take,
    /// It is older than the first delta kept: another is needed.
    TooOld,
    /// The book is right without it.
    Unneeded,
}

/// So many stale deltas in a row are a counter that was set back, not late messages.
const STALE_RUN: u32 = 200;

/// So many in a row that link to one another are, where ids may be set back.
const LINKED_RUN: u32 = 10;

/// A book's place in its venue's sequence.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sync {
    /// How far the book is to be trusted.
    pub phase: Phase,
    /// The newest id seen.
    pub last: Option<u64>,
    /// Whether a delta has met the snapshot yet.
    pub joined: bool,
    /// Whether a snapshot has been asked for.
    pub asked: bool,
    /// The id of the snapshot last taken; 0: none.
    pub floor: u64,
    stale_run: u32,
    linked_run: u32,
    stale_last: Option<u64>,
}

impl Sync {
    /// Judges a delta and moves on to it, unless it is stale.
    pub fn delta(&mut self, rule: &spec::Book, ids: Option<Ids>) -> (Verdict, Link) {
        let link = self.link(rule, ids);
        if link == Link::Stale {
            let ids = ids.unwrap_or(Ids { first: 0, last: 0, previous: None });
            let linked = self.stale_run == 0 || ids.previous.is_some() && ids.previous == self.stale_last;
            self.stale_last = Some(ids.last);
            self.linked_run = if linked { self.linked_run + 1 } else { 1 };
            self.stale_run += 1;
            let set_back = rule.no_change && self.joined && self.linked_run >= LINKED_RUN;
            if self.stale_run < STALE_RUN && !set_back {
                return (Verdict::Stale, link);
            }
        }
        let link = match (link, ids) {
            (Link::Stale, Some(ids)) => Link::Broken(ids.first, ids.first.saturating_sub(1)),
            _ => link,
        };
        self.stale_run = 0;
        self.linked_run = 0;
        if let Some(ids) = ids {
            self.last = Some(ids.last);
        }
        let verdict = match (self.phase, link) {
            (Phase::Waiting, _) if rule.snapshot == SnapshotFrom::Request => Verdict::Keep,
            (Phase::Waiting, _) => Verdict::Homeless,
            (_, Link::Broken(from, to)) => {
                self.phase = Phase::Resyncing;
                self.asked = true;
                Verdict::Gap(from, to)
            }
            (Phase::Resyncing, _) => Verdict::Doubtful,
            (Phase::Live, _) => {
                self.joined = true;
                Verdict::Apply
            }
        };
        (verdict, link)
    }

    fn link(&self, rule: &spec::Book, ids: Option<Ids>) -> Link {
        let (Some(ids), Some(last)) = (ids, self.last) else { return Link::Unchecked };
        if self.phase == Phase::Live && !self.joined && rule.snapshot == SnapshotFrom::Request {
            return if discarded(rule, &ids, last) {
                Link::Stale
            } else if unproved(rule) {
                Link::Unchecked
            } else if joins(rule, &ids, last) {
                Link::Whole
            } else {
                Link::Broken(last.saturating_add(1), before(&ids))
            };
        }
        match rule.link {
            LinkRule::None => Link::Unchecked,
            LinkRule::Back if ids.previous == Some(last) && (rule.no_change || ids.last != last) => Link::Whole,
            // It follows one that has not been seen, even where its own id is lower (a reset).
            LinkRule::Back if ids.previous.is_some_and(|previous| previous > last) => {
                Link::Broken(last.saturating_add(1), before(&ids))
            }
            _ if ids.last <= last => Link::Stale,
            LinkRule::Rising => Link::Unchecked,
            LinkRule::Next if ids.first <= last.saturating_add(1) => Link::Whole,
            LinkRule::Next | LinkRule::Back => Link::Broken(last.saturating_add(1), before(&ids)),
        }
    }

    /// Judges a snapshot with an id and takes it; `kept` loses what the snapshot already holds.
    pub fn snapshot<D>(
        &mut self,
        rule: &spec::Book,
        id: Option<u64>,
        kept: &mut VecDeque<D>,
        ids_of: impl Fn(&D) -> Option<Ids>,
    ) -> Taking {
        if rule.snapshot == SnapshotFrom::Stream {
            kept.clear();
            self.take(id, true);
            return Taking::Take;
        }
        if self.phase == Phase::Live {
            return match (id, self.last, self.joined) {
                (Some(id), Some(last), false) if id > last => {
                    self.take(Some(id), false);
                    Taking::Take
                }
                _ => Taking::Unneeded,
            };
        }
        let Some(at) = id else {
            self.take(None, true);
            return Taking::Take;
        };
        while kept.front().and_then(&ids_of).is_some_and(|ids| discarded(rule, &ids, at)) {
            kept.pop_front();
        }
        if let Some(ids) = kept.front().and_then(&ids_of) {
            if !unproved(rule) && !joins(rule, &ids, at) {
                return Taking::TooOld;
            }
        }
        let newest = kept.back().and_then(&ids_of).map(|ids| ids.last);
        self.take(Some(newest.unwrap_or(at)), newest.is_some());
        Taking::Take
    }

    fn take(&mut self, last: Option<u64>, joined: bool) {
        self.phase = Phase::Live;
        self.last = last;
        self.joined = joined;
        self.asked = false;
        self.stale_run = 0;
    }

    /// The book can no longer be trusted, for a reason outside its ids; says whether that is news.
    pub fn doubt(&mut self) -> bool {
        let news = self.phase == Phase::Live;
        if news {
            self.phase = Phase::Resyncing;
            self.asked = true;
        }
        news
    }
}

/// Whether nothing proves that no delta of a requested snapshot's book is missing, nor how it meets one: such a book keeps its
/// newest deltas, so that it can be held against every further snapshot.
pub fn unproved(rule: &spec::Book) -> bool {
    rule.snapshot == SnapshotFrom::Request
        && matches!(rule.link, LinkRule::None | LinkRule::Rising)
        && rule.join.is_empty()
        && rule.checksum.is_none()
}

fn before(ids: &Ids) -> u64 {
    ids.previous.unwrap_or_else(|| ids.first.saturating_sub(1))
}

/// Whether a snapshot holds a delta already.
pub fn discarded(rule: &spec::Book, ids: &Ids, snapshot: u64) -> bool {
    match rule.discard {
        Discard::LastAtOrBelow => ids.last <= snapshot,
        Discard::LastBelow => ids.last < snapshot,
    }
}

fn joins(rule: &spec::Book, ids: &Ids, snapshot: u64) -> bool {
    let next = snapshot.saturating_add(1);
    rule.join.iter().any(|join| match join {
        Join::SpansNext => ids.first <= next && next <= ids.last,
        Join::Spans => ids.first <= snapshot && snapshot <= ids.last,
        Join::PreviousIs => ids.previous == Some(snapshot),
        Join::FirstIsNext => ids.first == next,
    })
}

/// A counter that should have no holes, such as a trade id.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Chain {
    last: Option<u64>,
    holes: Vec<(u64, u64)>,
}

/// What an id says about the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The first, or the next.
    Next,
    /// Ids from and to, both inclusive, are missing before it.
    After(u64, u64),
    /// It was missing and has come late.
    Late,
    /// It has been before.
    Repeated,
}

impl Chain {
    /// The newest id.
    pub fn newest(&self) -> Option<u64> {
        self.last
    }

    /// Takes the next id in.
    pub fn take(&mut self, id: u64) -> Place {
        let Some(last) = self.last else {
            self.last = Some(id);
            // What was before the first may still come late, or the counter be set back.
            self.holes.extend(id.checked_sub(1).map(|before| (0, before)));
            return Place::Next;
        };
        if id > last {
            self.last = Some(id);
            if id == last + 1 {
                return Place::Next;
            }
            if self.holes.len() >= 1024 {
                self.holes.remove(1);
            }
            self.holes.push((last + 1, id - 1));
            return Place::After(last + 1, id - 1);
        }
        let Some(at) = self.holes.iter().rposition(|(from, to)| (*from..=*to).contains(&id)) else {
            return Place::Repeated;
        };
        let (from, to) = self.holes.remove(at);
        let rest = [(from, id.wrapping_sub(1)), (id.saturating_add(1), to)];
        for (offset, hole) in rest.into_iter().filter(|(first, last)| first <= last && *last != u64::MAX).enumerate() {
            self.holes.insert(at + offset, hole);
        }
        Place::Late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(snapshot: SnapshotFrom, link: LinkRule, join: Vec<Join>) -> spec::Book {
        spec::Book {
            name: "b".into(),
            snapshot,
            link,
            discard: Discard::LastAtOrBelow,
            join,
            no_change: false,
            depth_from: vec![],
            checksum: None,
            per_order: false,
            max_buffered: 10,
            skip_far: false,
        }
    }

    fn ids(first: u64, last: u64) -> Option<Ids> {
        Some(Ids { first, last, previous: None })
    }

    #[test]
    fn a_requested_snapshot_joins_what_was_kept() {
        let rule = rule(SnapshotFrom::Request, LinkRule::Next, vec![Join::SpansNext]);
        let mut sync = Sync::default();
        let mut kept = VecDeque::new();
        for (first, last) in [(1, 4), (5, 9), (10, 12)] {
            assert_eq!(sync.delta(&rule, ids(first, last)).0, Verdict::Keep);
            kept.push_back(Ids { first, last, previous: None });
        }
        assert_eq!(sync.snapshot(&rule, Some(6), &mut kept, |ids| Some(*ids)), Taking::Take);
        assert_eq!((kept.len(), sync.last, sync.phase), (2, Some(12), Phase::Live));
        assert_eq!(sync.delta(&rule, ids(13, 13)), (Verdict::Apply, Link::Whole));
        assert_eq!(sync.delta(&rule, ids(13, 13)), (Verdict::Stale, Link::Stale));
        assert_eq!(sync.delta(&rule, ids(16, 17)), (Verdict::Gap(14, 15), Link::Broken(14, 15)));
        assert_eq!(sync.delta(&rule, ids(18, 18)), (Verdict::Doubtful, Link::Whole));
    }

    #[test]
    fn a_snapshot_older_than_the_buffer_is_not_taken() {
        let rule = rule(SnapshotFrom::Request, LinkRule::Next, vec![Join::SpansNext]);
        let mut sync = Sync::default();
        sync.delta(&rule, ids(10, 12));
        let mut kept = VecDeque::from([Ids { first: 10, last: 12, previous: None }]);
        assert_eq!(sync.snapshot(&rule, Some(5), &mut kept, |ids| Some(*ids)), Taking::TooOld);
        assert_eq!((sync.phase, kept.len()), (Phase::Waiting, 1));
    }

    #[test]
    fn a_counter_set_back_is_a_gap_in_the_end() {
        let rule = rule(SnapshotFrom::Stream, LinkRule::Next, vec![]);
        let mut sync = Sync::default();
        sync.snapshot::<Ids>(&rule, Some(1_000_000), &mut VecDeque::new(), |ids| Some(*ids));
        let gap = (1..1000).find(|id| matches!(sync.delta(&rule, ids(*id, *id)).0, Verdict::Gap(..)));
        assert_eq!(gap, Some(u64::from(STALE_RUN)));
    }

    #[test]
    fn without_proof_the_first_newer_delta_follows_a_requested_snapshot() {
        let rule = rule(SnapshotFrom::Request, LinkRule::Rising, vec![]);
        let mut sync = Sync::default();
        let mut kept = VecDeque::new();
        for id in [40, 70] {
            assert_eq!(sync.delta(&rule, ids(id, id)).0, Verdict::Keep);
            kept.extend(ids(id, id));
        }
        assert_eq!(sync.snapshot(&rule, Some(50), &mut kept, |ids| Some(*ids)), Taking::Take);
        assert_eq!((kept.len(), sync.last), (1, Some(70)));
        assert_eq!(sync.delta(&rule, ids(70, 70)), (Verdict::Stale, Link::Stale));
        assert_eq!(sync.delta(&rule, ids(99, 99)), (Verdict::Apply, Link::Unchecked));
    }

    fn back(previous: u64, last: u64) -> Option<Ids> {
        Some(Ids { first: last, last, previous: Some(previous) })
    }

    #[test]
    fn a_back_link_may_stand_still_or_lead_to_a_lower_id() {
        let rule = spec::Book { no_change: true, ..rule(SnapshotFrom::Stream, LinkRule::Back, vec![]) };
        let mut sync = Sync::default();
        sync.snapshot::<Ids>(&rule, Some(100), &mut VecDeque::new(), |ids| Some(*ids));
        for (previous, last) in [(100, 110), (110, 110), (110, 3), (3, 3), (3, 5)] {
            assert_eq!(sync.delta(&rule, back(previous, last)), (Verdict::Apply, Link::Whole), "{previous} {last}");
        }
        assert_eq!(sync.delta(&rule, back(3, 5)).0, Verdict::Stale);
        assert_eq!(sync.delta(&rule, back(9, 2)).0, Verdict::Gap(6, 9));
        assert_eq!(sync.delta(&rule, back(2, 4)).0, Verdict::Doubtful);
    }

    #[test]
    fn a_reset_that_was_lost_is_found_by_what_follows_it() {
        let rule = spec::Book { no_change: true, ..rule(SnapshotFrom::Stream, LinkRule::Back, vec![]) };
        let mut sync = Sync::default();
        sync.snapshot::<Ids>(&rule, Some(1_000), &mut VecDeque::new(), |ids| Some(*ids));
        let gap = (3..500).find(|id| matches!(sync.delta(&rule, back(id - 1, *id)).0, Verdict::Gap(..)));
        assert_eq!(gap, Some(2 + u64::from(LINKED_RUN)));
    }

    #[test]
    fn ranges_overlap_the_snapshot_and_then_follow_on() {
        // KuCoin, MEXC: first <= local + 1 and last > local.
        let rule = rule(SnapshotFrom::Request, LinkRule::Next, vec![Join::SpansNext]);
        let mut sync = Sync::default();
        sync.snapshot::<Ids>(&rule, Some(100), &mut VecDeque::new(), |ids| Some(*ids));
        assert_eq!(sync.delta(&rule, ids(98, 100)).0, Verdict::Stale);
        assert_eq!(sync.delta(&rule, ids(99, 103)), (Verdict::Apply, Link::Whole));
        assert_eq!(sync.delta(&rule, ids(102, 105)), (Verdict::Apply, Link::Whole));
        assert_eq!(sync.delta(&rule, ids(107, 107)).0, Verdict::Gap(106, 106));
    }

    #[test]
    fn a_back_link_joins_a_requested_snapshot_at_its_own_id() {
        // HTX: the delta whose prevSeqNum is the snapshot's seqNum.
        let rule = rule(SnapshotFrom::Request, LinkRule::Back, vec![Join::PreviousIs]);
        let mut sync = Sync::default();
        let mut kept = VecDeque::new();
        for (previous, last) in [(90, 95), (95, 100), (100, 104)] {
            sync.delta(&rule, back(previous, last));
            kept.extend(back(previous, last));
        }
        assert_eq!(sync.snapshot(&rule, Some(97), &mut kept.clone(), |ids| Some(*ids)), Taking::TooOld);
        assert_eq!(sync.snapshot(&rule, Some(100), &mut kept, |ids| Some(*ids)), Taking::Take);
        assert_eq!((kept.len(), sync.last), (1, Some(104)));
        assert_eq!(sync.delta(&rule, back(104, 110)), (Verdict::Apply, Link::Whole));
        assert_eq!(sync.delta(&rule, back(111, 112)).0, Verdict::Gap(111, 111));
    }

    #[test]
    fn a_snapshot_in_the_stream_replaces_the_book_at_any_time() {
        // Bybit: u=1 after a restart of the venue's service.
        let rule = rule(SnapshotFrom::Stream, LinkRule::Next, vec![]);
        let mut sync = Sync::default();
        for id in [500, 1] {
            assert_eq!(sync.snapshot::<Ids>(&rule, Some(id), &mut VecDeque::new(), |ids| Some(*ids)), Taking::Take);
            assert_eq!(sync.delta(&rule, ids(id + 1, id + 1)), (Verdict::Apply, Link::Whole));
        }
    }

    #[test]
    fn a_chain_knows_next_missing_late_and_repeated() {
        let mut chain = Chain::default();
        assert_eq!(chain.take(5), Place::Next);
        assert_eq!(chain.take(6), Place::Next);
        assert_eq!(chain.take(10), Place::After(7, 9));
        assert_eq!(chain.take(8), Place::Late);
        assert_eq!(chain.take(8), Place::Repeated);
        assert_eq!(chain.take(7), Place::Late);
        assert_eq!(chain.take(9), Place::Late);
        assert_eq!(chain.take(9), Place::Repeated);
        assert_eq!(chain.take(11), Place::Next);
        assert_eq!(chain.take(3), Place::Late);
        assert_eq!(chain.take(3), Place::Repeated);
        assert_eq!(chain.take(0), Place::Late);
    }
}
