//! Trades that are asked for page by page: what two pages share is published once, and what lies between two that share
//! nothing may be missing.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::events::EventKind;
use super::sampled::{mixed, SEED};
use super::state::State;
use crate::decimal::Dec;
use crate::json::Found;
use crate::plan::{Each, PageKey, Source};
use crate::spec::LinkRule;

/// The trades without an id that a later page may bring again: how often each (time, price, size, side) has been, by
/// hash. What is older than `floor` has been, whatever it is.
#[derive(Clone, Debug, Default)]
pub struct Known {
    floor: u64,
    seen: HashMap<u64, (u64, u32)>,
}

/// The same as the checkpoint keeps it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SavedKnown {
    floor: u64,
    seen: Vec<(u64, u64, u32)>,
}

impl Known {
    /// For the checkpoint.
    pub fn save(&self) -> SavedKnown {
        let mut seen: Vec<_> = self.seen.iter().map(|(hash, (time, count))| (*hash, *time, *count)).collect();
        seen.sort_unstable();
        SavedKnown { floor: self.floor, seen }
    }

    /// From the checkpoint.
    pub fn restore(saved: SavedKnown) -> Self {
        let seen = saved.seen.into_iter().map(|(hash, time, count)| (hash, (time, count))).collect();
        Self { floor: saved.floor, seen }
    }
}

/// What the page at work has brought of one instrument so far.
#[derive(Debug, Default)]
pub struct Page {
    instrument: usize,
    /// Whether its trades carry ids that follow one another.
    by_id: Option<LinkRule>,
    /// The newest id before the page; without ids, whether anything was known.
    before: Option<u64>,
    /// The oldest id newer than that.
    first_new: Option<u64>,
    new: u32,
    known: u32,
    oldest: u64,
    counts: HashMap<u64, (u64, u32)>,
}

/// A trade without an id.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    pub(super) time: u64,
    pub(super) price: Dec,
    pub(super) size: Dec,
    pub(super) side: u8,
}

impl Identity {
    fn hash(&self) -> u64 {
        let (price, size) = (self.price.trimmed(), self.size.trimmed());
        let parts = [self.time, price.mantissa as u64, price.decimals.into(), size.mantissa as u64];
        let hash = parts.into_iter().fold(SEED, mixed);
        mixed(mixed(hash, size.decimals.into()), self.side.into())
    }
}

/// Whether a page is given newest first, by its first and last entries.
pub fn newest_first(each: &Each, key: &PageKey, array: &[u8], items: &[(usize, usize)], found: &mut Found) -> bool {
    let [first, .., last] = items else { return false };
    let mut key_of = |(start, end): (usize, usize)| {
        let entry = array.get(start..end).unwrap_or_default();
        each.tree.scan(entry, found).ok()?;
        key.of(&Source { payload: b"", found: &Found::default(), entry, entry_found: found, constants: &[] })
    };
    match (key_of(*first), key_of(*last)) {
        (Some(first), Some(last)) => first > last,
        _ => false,
    }
}

impl State {
    fn page_of(&mut self, channel: usize, instrument: usize, by_id: Option<LinkRule>) -> usize {
        if let Some(at) = self.pages.iter().position(|page| page.instrument == instrument) {
            return at;
        }
        let known = self.channels.get(channel);
        let before = match by_id {
            Some(_) => known.and_then(|known| known.chains.get(&instrument)).and_then(|chain| chain.newest()),
            None => known.and_then(|known| known.known.get(&instrument)).map(|known| known.floor),
        };
        self.pages.push(Page { instrument, by_id, before, oldest: u64::MAX, ..Page::default() });
        self.pages.len() - 1
    }

    /// Notes a page's trade with an id; `new`: whether it has not been before. To be called before its chain moves on.
    #[cold]
    pub(super) fn page_begins(&mut self, channel: usize, instrument: usize, link: LinkRule) {
        self.page_of(channel, instrument, Some(link));
    }

    /// Notes what a trade with an id was.
    #[cold]
    pub(super) fn paged_id(&mut self, instrument: usize, id: u64, new: bool) {
        let Some(page) = self.pages.iter_mut().find(|page| page.instrument == instrument) else { return };
        if !new {
            page.known += 1;
        } else if page.before.is_none_or(|before| id > before) {
            page.new += 1;
            page.first_new = Some(page.first_new.map_or(id, |first| first.min(id)));
        }
    }

    /// Whether a page's trade without an id has not been before.
    #[cold]
    pub(super) fn paged(&mut self, channel: usize, instrument: usize, identity: &Identity) -> bool {
        let at = self.page_of(channel, instrument, None);
        let hash = identity.hash();
        let known = self.channels.get(channel).and_then(|known| known.known.get(&instrument));
        let page = &mut self.pages[at];
        page.oldest = page.oldest.min(identity.time);
        let (_, count) = page.counts.entry(hash).or_insert((identity.time, 0));
        *count += 1;
        let before = known.is_some_and(|known| {
            identity.time < known.floor || known.seen.get(&hash).is_some_and(|(_, seen)| *count <= *seen)
        });
        page.known += u32::from(before);
        page.new += u32::from(!before);
        !before
    }

    /// The payload ends, and with it its page: what it shares with the one before proves that nothing is missing between.
    pub(super) fn end_page(&mut self, channel: usize) {
        for page in std::mem::take(&mut self.pages) {
            self.judge(channel, &page);
            if page.by_id.is_some() {
                continue;
            }
            let Some(known) = self.channels.get_mut(channel) else { continue };
            let known = known.known.entry(page.instrument).or_default();
            for (hash, (time, count)) in page.counts {
                let seen = known.seen.entry(hash).or_insert((time, 0));
                seen.1 = seen.1.max(count);
            }
            if page.oldest > known.floor {
                known.floor = page.oldest;
                known.seen.retain(|_, (time, _)| *time >= page.oldest);
            }
        }
    }

    fn judge(&mut self, channel: usize, page: &Page) {
        let Some(before) = page.before.filter(|_| page.new > 0) else { return };
        let (from, to) = match page.by_id {
            // Ids without holes prove themselves.
            Some(LinkRule::Next) => return,
            _ if page.known > 0 => {
                self.links[0] += 1;
                return;
            }
            Some(_) => (before.saturating_add(1), page.first_new.map_or(0, |first| first.saturating_sub(1))),
            None => (0, 0),
        };
        if page.by_id.is_some() && from > to {
            self.links[0] += 1;
            return;
        }
        self.links[1] += 1;
        self.event(EventKind::Gap, Some(channel), Some(page.instrument), "window", from, to);
    }
}
