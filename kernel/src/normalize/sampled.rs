//! Books that are looked at now and then: a sample that says nothing new is not told again.

use serde::{Deserialize, Serialize};

use super::books::{Change, Head};
use super::state::State;
use crate::sync::Phase;

/// So many older samples in a row are a counter that was set back, not answers out of a cache.
const OLDER_RUN: u32 = 10;

/// The sample last taken: its id, or a hash of what it said where it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    last: Option<u64>,
    older_run: u32,
}

/// What a sample is to the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It says something else.
    New,
    /// The same again.
    Unchanged,
    /// What was so before it, out of some cache.
    Older,
}

impl Sample {
    /// Takes a sample in.
    pub fn take(&mut self, id: Option<u64>, content: impl FnOnce() -> u64) -> Seen {
        let now = id.unwrap_or_else(content);
        match self.last {
            Some(last) if now == last => {
                self.older_run = 0;
                return Seen::Unchanged;
            }
            Some(last) if id.is_some() && now < last && self.older_run + 1 < OLDER_RUN => {
                self.older_run += 1;
                return Seen::Older;
            }
            _ => {}
        }
        *self = Self { last: Some(now), older_run: 0 };
        Seen::New
    }
}

/// A hash (FNV-1a) of what levels say.
pub fn content(changes: &[Change]) -> u64 {
    let mut hash = SEED;
    for change in changes {
        let (price, size) = (change.price.trimmed(), change.size.trimmed());
        for part in [change.side as u64, change.id, price.mantissa as u64, price.decimals.into()] {
            hash = mixed(hash, part);
        }
        hash = mixed(mixed(hash, size.mantissa as u64), size.decimals.into());
    }
    hash
}

/// Where a hash begins.
pub const SEED: u64 = 0xcbf2_9ce4_8422_2325;

/// A hash with one more number in it.
pub fn mixed(hash: u64, part: u64) -> u64 {
    part.to_le_bytes().iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

impl State {
    /// Whether a sampled snapshot need not be taken; counts it then. A book in doubt takes the same again: it says that
    /// nothing was missed.
    pub(super) fn unchanged_book(&mut self, at: usize, head: &Head, changes: &[Change]) -> bool {
        let book = &mut self.books[at];
        let live = book.sync.phase == Phase::Live;
        match book.sample.take(head.ids.map(|ids| ids.last), || content(changes)) {
            Seen::Unchanged if live => self.exclude("unchanged"),
            Seen::Older => self.exclude("older than the last"),
            Seen::New | Seen::Unchanged => return false,
        }
        true
    }

    /// Whether a sampled top need not be published; counts it then.
    pub(super) fn unchanged_top(
        &mut self,
        channel: usize,
        instrument: usize,
        id: Option<u64>,
        levels: impl FnOnce() -> u64,
    ) -> bool {
        let Some(known) = self.channels.get_mut(channel) else { return false };
        match known.tops.entry(instrument).or_default().take(id, levels) {
            Seen::New => return false,
            Seen::Unchanged => self.exclude("unchanged"),
            Seen::Older => self.exclude("older than the last"),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_again_and_what_was_before_are_told_from_news() {
        let mut sample = Sample::default();
        let content = || 7;
        assert_eq!(sample.take(Some(5), content), Seen::New);
        assert_eq!(sample.take(Some(5), content), Seen::Unchanged);
        assert_eq!(sample.take(Some(4), content), Seen::Older);
        assert_eq!(sample.take(Some(6), content), Seen::New);
        assert_eq!(sample.take(None, content), Seen::New);
        assert_eq!(sample.take(None, content), Seen::Unchanged);
        assert_eq!(sample.take(None, || 3), Seen::New);
    }

    #[test]
    fn a_counter_that_was_set_back_is_news_in_the_end() {
        let mut sample = Sample::default();
        sample.take(Some(1_000), || 0);
        let news = (1..100).find(|id| sample.take(Some(*id), || 0) == Seen::New);
        assert_eq!(news, Some(u64::from(OLDER_RUN)));
    }
}
