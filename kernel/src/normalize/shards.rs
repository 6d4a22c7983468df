//! Instruments shared out among normalizers: each does its own, and what belongs to no instrument is the first's.
//!
//! A channel has a home: the shard of the symbol its id carries, else the first. What cannot be told of any instrument (a payload
//! that does not parse, a message that gives nothing) is the home's.

use hashbrown::HashMap;

use super::definitions;
use super::state::{Channel, State};
use super::{Job, Normalizer, SESSION_CHANNEL, UNKNOWN_CHANNEL};
use crate::instrument::instrument_id;
use crate::json;
use crate::plan::{self, Make, Place, Source, SpecError, Symbol};
use crate::spec;
use crate::wire::{BatchView, PayloadView};

/// As many as a mask has bits.
pub const MOST: u32 = 64;
/// So many symbols are remembered before they are looked up anew.
const REMEMBERED: usize = 1 << 20;

/// Which of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    place: u32,
    of: u32,
}

impl Shard {
    /// All instruments.
    pub const WHOLE: Self = Self { place: 0, of: 1 };

    /// One of `of`, counted from 0.
    pub fn new(place: u32, of: u32) -> Result<Self, SpecError> {
        if place >= of || of > MOST {
            return Err(SpecError(format!("shard {place} of {of}: there are at most {MOST}, counted from 0")));
        }
        Ok(Self { place, of })
    }

    /// How many there are.
    pub fn of(self) -> u32 {
        self.of
    }

    /// Whether there are others.
    #[inline]
    pub fn is_part(self) -> bool {
        self.of > 1
    }

    /// Whether what belongs to no instrument is its.
    #[inline]
    pub fn is_first(self) -> bool {
        self.place == 0
    }

    /// Whether an instrument is its own.
    pub fn has(self, provider: &str, raw_symbol: &str) -> bool {
        shard_of(provider, raw_symbol, self.of) == self.place
    }

    /// Whether a meaning can be shared out at all.
    pub fn allowed(self, meaning: &spec::Meaning) -> Result<(), SpecError> {
        if self.is_part() && meaning.mappings.iter().any(|mapping| !mapping.counters.is_empty()) {
            return Err(SpecError("shard: counters over all messages of a connection cannot be shared out".into()));
        }
        Ok(())
    }
}

/// The shard of an instrument. By its id, so that two symbols of one id, of which only the first counts, are in one place.
pub fn shard_of(provider: &str, raw_symbol: &str, of: u32) -> u32 {
    let id = u64::from(instrument_id(provider, raw_symbol));
    let mixed = (id + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((u128::from(mixed ^ mixed >> 32) * u128::from(of)) >> 64) as u32
}

/// Whom something concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom {
    One(u32),
    All,
    Nobody,
}

/// What a provider's symbols are known by.
pub struct Names<'a> {
    pub provider: &'a str,
    pub aliases: &'a HashMap<String, String>,
    pub channel: &'a Channel,
}

/// What is known of a channel.
#[derive(Debug, Default)]
struct Known {
    home: u32,
    /// The symbol last looked up there, and its shard.
    recent: Option<(Vec<u8>, u32)>,
}

/// The shards of symbols and channels, as they come up.
#[derive(Debug)]
pub struct Owners {
    of: u32,
    known: HashMap<Vec<u8>, u32>,
    channels: HashMap<usize, Known>,
}

impl Owners {
    pub fn new(of: u32) -> Self {
        Self { of, known: HashMap::new(), channels: HashMap::new() }
    }

    fn named(&self, names: &Names<'_>, symbol: &str) -> u32 {
        let symbol = names.aliases.get(symbol).map_or(symbol, String::as_str);
        shard_of(names.provider, symbol, self.of)
    }

    fn channel(&mut self, names: &Names<'_>, channel: usize) -> &mut Known {
        if !self.channels.contains_key(&channel) {
            let own = matches!(names.channel.name.as_str(), SESSION_CHANNEL | UNKNOWN_CHANNEL);
            let symbol = names.channel.symbol.as_deref().filter(|_| !own);
            let home = symbol.map_or(0, |symbol| self.named(names, symbol));
            self.channels.insert(channel, Known { home, recent: None });
        }
        self.channels.entry(channel).or_default()
    }

    fn home(&mut self, names: &Names<'_>, channel: usize) -> u32 {
        self.channel(names, channel).home
    }

    fn owner(&mut self, names: &Names<'_>, channel: usize, source: &Source<'_>, symbol: Option<Place>) -> u32 {
        let text = symbol.map(|place| super::values::text(source, place)).unwrap_or_default();
        let Known { home, recent } = self.channel(names, channel);
        if text.is_empty() {
            return *home;
        }
        if let Some((_, owner)) = recent.as_ref().filter(|(known, _)| **known == *text) {
            return *owner;
        }
        let home = *home;
        let owner = match (self.known.get(&*text), std::str::from_utf8(&text)) {
            (Some(owner), _) => *owner,
            (None, Ok(symbol)) => self.named(names, symbol),
            (None, Err(_)) => home,
        };
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.entry_ref(&*text).or_insert(owner);
        self.channel(names, channel).recent = Some((text.into_owned(), owner));
        owner
    }

    fn whom(&mut self, names: &Names<'_>, channel: usize, make: &Make, source: &Source<'_>) -> Whom {
        let symbol = match make.symbol() {
            Symbol::At(place) => Some(place),
            Symbol::Channel => None,
            Symbol::None => return Whom::All,
            Symbol::Listed(entry) if !entry.when.iter().all(|on| on.holds(source)) => return Whom::Nobody,
            Symbol::Listed(entry) => {
                return Whom::One(match definitions::symbol(entry, source) {
                    Ok(symbol) => self.named(names, &symbol),
                    Err(_) => self.home(names, channel),
                })
            }
        };
        Whom::One(self.owner(names, channel, source, symbol))
    }
}

impl State {
    /// Whether this shard is the home of a channel.
    #[inline]
    pub(super) fn is_home(&mut self, channel: usize) -> bool {
        if !self.shard.is_part() {
            return true;
        }
        let Some(known) = self.channels.get(channel) else { return self.shard.is_first() };
        let names = Names { provider: &self.provider, aliases: &self.aliases, channel: known };
        self.owners.home(&names, channel) == self.shard.place
    }

    /// Whether this shard is to make something of an entry; where not, does what others' entries need.
    pub(super) fn concerns(&mut self, job: &Job<'_>, make: &Make, source: &Source<'_>) -> bool {
        let Some(known) = self.channels.get(job.channel) else { return true };
        let names = Names { provider: &self.provider, aliases: &self.aliases, channel: known };
        match self.owners.whom(&names, job.channel, make, source) {
            Whom::All | Whom::Nobody => return true,
            Whom::One(owner) if owner == self.shard.place => {
                self.own = true;
                return true;
            }
            Whom::One(_) => self.elsewhere = true,
        }
        if let Make::Trade(trade) = make {
            self.paged_elsewhere(trade, source);
        }
        false
    }

    /// Whether a payload of which nothing came is this shard's to account for.
    pub(super) fn accounts(&mut self, channel: usize) -> bool {
        !self.shard.is_part() || !self.elsewhere && (self.own || self.is_home(channel))
    }
}

impl Normalizer {
    /// By channel of a batch, which of `of` shards its payloads concern, a bit each; changes nothing.
    pub fn touched(&mut self, batch: &BatchView<'_>, of: u32) -> Result<Vec<u64>, SpecError> {
        Shard::new(0, of)?;
        let all = u64::MAX >> (MOST - of);
        let mut owners = match self.planner.take() {
            Some(owners) if owners.of == of => owners,
            _ => Owners::new(of),
        };
        let channels: Vec<usize> = batch.channels.iter().map(|(name, schema)| self.channel(name, schema)).collect();
        let mut masks = vec![0; channels.len()];
        for payload in batch.payloads() {
            let at = payload.channel as usize;
            if masks[at] == all {
                continue;
            }
            let decoder = self.decoder.take();
            masks[at] |= match decoder {
                None => self.concerned(channels[at], payload, &mut owners, all),
                Some(mut decoder) => {
                    let decoded = decoder.decode(payload.data);
                    let text = decoded.ok().map(|data| PayloadView { data, ..*payload });
                    let mask = match text {
                        Some(text) => self.concerned(channels[at], &text, &mut owners, all),
                        None => self.concerned(channels[at], &PayloadView { data: b"", ..*payload }, &mut owners, all),
                    };
                    self.decoder = Some(decoder);
                    mask
                }
            };
        }
        self.planner = Some(owners);
        Ok(masks)
    }

    fn concerned(&mut self, channel: usize, payload: &PayloadView<'_>, owners: &mut Owners, all: u64) -> u64 {
        let Some(known) = self.state.channels.get(channel) else { return all };
        if known.name == SESSION_CHANNEL {
            return all;
        }
        let names = Names { provider: &self.state.provider, aliases: &self.state.aliases, channel: known };
        let home = 1 << owners.home(&names, channel);
        let Some(program) = self.plans.get_mut(channel).and_then(|plan| plan.at(payload.ts_recv)) else { return home };
        if known.name == UNKNOWN_CHANNEL || program.by_channel {
            return home;
        }
        if program.tree.scan(payload.data, &mut self.found).is_err() {
            return home;
        }
        let constants = program.constants.as_slice();
        let whole =
            Source { payload: payload.data, found: &self.found, entry: b"", entry_found: &self.no_entry, constants };
        let message = program.messages.iter().find(|message| message.when.iter().all(|on| on.holds(&whole)));
        let Some(message) = message.filter(|message| !message.makes.is_empty()) else { return home };
        let mut bits = |source: &Source<'_>| {
            message.makes.iter().fold(0, |mask, make| match owners.whom(&names, channel, make, source) {
                Whom::One(owner) => mask | 1 << owner,
                Whom::All => all,
                Whom::Nobody => mask,
            })
        };
        let Some(each) = &message.each else { return bits(&whole) };
        let array = whole.get(Place { of: plan::Of::Payload, slot: each.slot });
        let Ok(items) = json::items(array) else { return home };
        let mut mask = if items.is_empty() { home } else { 0 };
        for (start, end) in items {
            let entry = array.get(start..end).unwrap_or_default();
            if each.tree.scan(entry, &mut self.entry_found).is_err() {
                return mask | home;
            }
            mask |= bits(&Source { entry, entry_found: &self.entry_found, ..whole });
        }
        mask
    }
}
