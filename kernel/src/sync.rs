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
    stale_run: u32,
}

impl Sync {
    /// Judges a delta and moves on to it, unless it is stale.
    pub fn delta(&mut self, rule: &spec::Book, ids: Option<Ids>) -> (Verdict, Link) {
        let link = self.link(rule, ids);
        if link == Link::Stale {
            self.stale_run += 1;
            if self.stale_run < STALE_RUN {
                return (Verdict::Stale, link);
            }
        }
        let link = match (link, ids) {
            (Link::Stale, Some(ids)) => Link::Broken(ids.first, ids.first.saturating_sub(1)),
            _ => link,
        };
        self.stale_run = 0;
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
            } else if joins(rule, &ids, last) {
                Link::Whole
            } else {
                Link::Broken(last.saturating_add(1), before(&ids))
            };
        }
        match rule.link {
            LinkRule::None => Link::Unchecked,
            LinkRule::Back if ids.previous == Some(last) && (rule.no_change || ids.last != last) => Link::Whole,
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
            if !joins(rule, &ids, at) {
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

fn before(ids: &Ids) -> u64 {
    ids.previous.unwrap_or_else(|| ids.first.saturating_sub(1))
}

fn discarded(rule: &spec::Book, ids: &Ids, snapshot: u64) -> bool {
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
        let Some(at) = self.holes.iter().position(|(from, to)| (*from..=*to).contains(&id)) else {
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
