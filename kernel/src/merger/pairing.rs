//! Pairs the messages of two sides: which have come on both, and which on one only, in bounded memory.

use std::collections::VecDeque;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

const NONE: u64 = u64::MAX;
/// How many messages of one content are looked at; one side alone may repeat itself for long.
const LONGEST_SEARCH: usize = 16;
/// For how long content that was passed over may still come, ns: more than instances lag behind one another.
const LATE: u64 = 2_000_000_000;

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u128,
    at: u64,
    /// The next entry of the same key.
    next: u64,
    side: u8,
    numbered: bool,
    flagged: bool,
    paired: bool,
    delivered: bool,
    superseded: bool,
}

/// Bytes that one message takes until it is forgotten, its place in the table included.
pub const ENTRY_BYTES: usize = size_of::<Entry>() + 2 * size_of::<(u128, (u64, u64))>();

/// What a twin was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twin {
    /// Its place, as `push` gave it.
    pub place: u64,
    /// Whether it has been handed out.
    pub delivered: bool,
    /// Whether it was in doubt.
    pub flagged: bool,
}

/// The messages of one channel that came lately.
#[derive(Debug, Default)]
pub struct Pairing {
    entries: VecDeque<Entry>,
    base: u64,
    /// First and last entry of each key.
    chains: HashMap<u128, (u64, u64), FxBuildHasher>,
    /// Of each side the place of the other's that it matched last.
    matched: [u64; 2],
}

impl Pairing {
    fn entry(&mut self, place: u64) -> Option<&mut Entry> {
        self.entries.get_mut(usize::try_from(place.checked_sub(self.base)?).ok()?)
    }

    /// How many messages are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The other side's first message of this key that has no twin yet, which then has one. Content (not `numbered`) should stand
    /// behind what was matched last, for each side's order is the venue's; but where messages were lost, equal content may have
    /// been matched too far ahead, so what was passed over less than `LATE` before `now` counts too.
    #[inline]
    pub fn twin(&mut self, key: u128, side: usize, now: u64) -> Option<Twin> {
        let head = self.chains.get(&key)?.0;
        let reached = self.matched[side];
        let mut passed = None;
        let mut place = head;
        for _ in 0..LONGEST_SEARCH {
            let Some(entry) = self.entry(place) else { break };
            let next = entry.next;
            if !entry.paired && usize::from(entry.side) != side {
                if entry.numbered || place >= reached {
                    return self.pair(key, place, side);
                }
                if passed.is_none() && now.saturating_sub(entry.at) < LATE {
                    passed = Some(place);
                }
            }
            place = next;
        }
        self.pair(key, passed?, side)
    }

    fn pair(&mut self, key: u128, place: u64, side: usize) -> Option<Twin> {
        let entry = self.entry(place)?;
        entry.paired = true;
        let (delivered, flagged, next) = (entry.delivered, entry.flagged, entry.next);
        self.matched[side] = self.matched[side].max(place + 1);
        if self.chains.get(&key).is_some_and(|chain| chain.0 == place) {
            self.behead(key, next);
        }
        Some(Twin { place, delivered, flagged })
    }

    fn behead(&mut self, key: u128, next: u64) {
        if next == NONE {
            self.chains.remove(&key);
        } else if let Some(chain) = self.chains.get_mut(&key) {
            chain.0 = next;
        }
    }

    /// Remembers a message that has no twin yet; its place.
    #[inline]
    pub fn push(&mut self, key: u128, side: usize, numbered: bool, flagged: bool, at: u64) -> u64 {
        let place = self.base + self.entries.len() as u64;
        let side = side as u8;
        let (paired, delivered, superseded) = (false, false, false);
        self.entries.push_back(Entry { key, at, next: NONE, side, numbered, flagged, paired, delivered, superseded });
        match self.chains.get_mut(&key) {
            Some(chain) => {
                let before = std::mem::replace(&mut chain.1, place);
                if let Some(entry) = self.entry(before) {
                    entry.next = place;
                }
            }
            None => {
                self.chains.insert(key, (place, place));
            }
        }
        place
    }

    /// Notes that a message's twin takes its place.
    pub fn supersede(&mut self, place: u64) {
        if let Some(entry) = self.entry(place) {
            entry.superseded = true;
        }
    }

    /// Whether a message's twin takes its place.
    pub fn is_superseded(&mut self, place: u64) -> bool {
        self.entry(place).is_some_and(|entry| entry.superseded)
    }

    /// Whether a message is paired; one that is forgotten is not.
    pub fn is_paired(&mut self, place: u64) -> bool {
        self.entry(place).is_some_and(|entry| entry.paired)
    }

    /// Notes that a message was handed out.
    pub fn delivered(&mut self, place: u64) {
        if let Some(entry) = self.entry(place) {
            entry.delivered = true;
        }
    }

    /// Forgets what came before `before` (ns), and what is paired at the old end; counts in `missed`, by side, those that a side
    /// never brought.
    pub fn forget(&mut self, before: u64, missed: &mut [u64; 2]) {
        while let Some(entry) = self.entries.front().copied() {
            if !entry.paired && entry.at >= before {
                return;
            }
            if !entry.paired {
                missed[1 - usize::from(entry.side)] += 1;
            }
            let place = self.base;
            self.entries.pop_front();
            self.base += 1;
            if self.chains.get(&entry.key).is_some_and(|chain| chain.0 == place) {
                self.behead(entry.key, entry.next);
            }
        }
        if self.entries.is_empty() && self.entries.capacity() > 1024 {
            self.entries = VecDeque::new();
            self.chains = HashMap::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_content_is_paired_in_order_and_the_rest_is_missed() {
        let mut pairing = Pairing::default();
        let first = pairing.push(7, 0, false, false, 1);
        pairing.push(8, 0, false, false, 2);
        let again = pairing.push(7, 0, false, false, 3);
        assert_eq!(pairing.twin(7, 1, 5).map(|twin| twin.place), Some(first));
        assert_eq!(pairing.twin(7, 1, 5).map(|twin| twin.place), Some(again));
        // Eight was passed over: content that comes much later is another message.
        assert_eq!(pairing.twin(8, 1, LATE + 2), None);
        let mut missed = [0, 0];
        pairing.forget(10, &mut missed);
        assert_eq!((missed, pairing.len()), ([0, 1], 0));
    }

    #[test]
    fn an_id_is_paired_however_late() {
        let mut pairing = Pairing::default();
        let first = pairing.push(7, 0, true, false, 1);
        let second = pairing.push(8, 0, true, false, 2);
        assert_eq!(pairing.twin(8, 1, 5).map(|twin| twin.place), Some(second));
        assert_eq!(pairing.twin(7, 1, 5).map(|twin| twin.place), Some(first));
        assert_eq!(pairing.twin(7, 1, 5), None);
    }
}
