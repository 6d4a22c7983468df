//! What a normalizer knows between payloads: channels, instruments, books, counters, and what happened.

use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashMap;

use super::blocks::{Heads, Place as BlockPlace, Standing};
use super::books::Book;
use super::counting::Counting;
use super::events::{Event, EventKind};
use super::out::{Exact, Outs, Sink};
use super::pages::{Known as KnownTrades, Page};
use super::sampled::Sample;
use super::shards::{Owners, Shard};
use crate::decimal::Dec;
use crate::glob;
use crate::instrument::{Instruments, Known};
use crate::plan::SpecError;
use crate::record::{self, Health, Schema, Stamp, SCHEMAS};
use crate::spec::{self, LinkRule};
use crate::sync::{Chain, Phase};
use crate::wire::PayloadView;

/// The place of MERGED among a provider's publishers.
const MERGED: u16 = 2;

/// A raw channel.
#[derive(Debug)]
pub struct Channel {
    /// The venue's id of it.
    pub name: String,
    /// The schema it is mainly published as.
    pub schema: String,
    /// The symbol its id carries.
    pub symbol: Option<String>,
    /// The connection it last came by.
    pub connection: u32,
    /// Books, by instrument.
    pub books: HashMap<usize, usize>,
    /// Trade ids, by instrument.
    pub chains: HashMap<usize, Chain>,
    /// What quotes said last, by instrument, where some leave out what is unchanged: price and size of bid and ask.
    pub quotes: HashMap<usize, [Option<Dec>; 4]>,
    /// Tops of book last sampled, by instrument.
    pub tops: HashMap<usize, Sample>,
    /// Trades without an id that may come again, by instrument.
    pub known: HashMap<usize, KnownTrades>,
    /// Trades that stand in blocks of a chain, oldest first, each with the epoch and connection it came by.
    pub standing: VecDeque<(u64, u32, Standing)>,
    /// Sequence of the last payload taken.
    pub sequence: u64,
    /// Whether it has changed since the last checkpoint.
    pub dirty: bool,
    outs: [Option<usize>; 8],
    pub(super) recent: Option<(Vec<u8>, usize)>,
}

/// Totals of one kind, by name.
pub type Totals = BTreeMap<String, u64>;

/// Everything a normalizer keeps.
#[derive(Debug)]
pub struct State {
    pub(super) provider: String,
    publisher_id: u16,
    pub(super) default_lot: (i64, u8),
    pub(super) exchange: String,
    channel_symbols: Vec<(String, spec::ChannelSymbol)>,
    pub(super) aliases: HashMap<String, String>,
    pub(super) collisions: HashMap<String, u32>,
    /// Whether some book has neither link nor checksum.
    pub(super) unverified: bool,
    pub(super) channels: Vec<Channel>,
    pub(super) instruments: Instruments,
    pub(super) books: Vec<Book>,
    pub(super) outs: Outs,
    pub(super) events: Vec<Event>,
    /// Exclusions and rejects so far.
    pub(super) accounted: u64,
    pub(super) epoch: u64,
    pub(super) last: u64,
    /// Position up to which records have been published before a restart.
    pub(super) published: (u64, u64),
    pub(super) instruments_dirty: bool,
    /// By connection.
    pub(super) counters: HashMap<u32, Counting>,
    pub(super) counters_dirty: bool,
    /// Of the payload at work, by instrument.
    pub(super) pages: Vec<Page>,
    /// Of the page at work: where its trades stand.
    pub(super) paged_blocks: Vec<BlockPlace>,
    /// The chain's newest blocks.
    pub(super) heads: Heads,
    pub(super) rejected: Totals,
    pub(super) excluded: Totals,
    pub(super) links: [u64; 2],
    pub(super) checksums: [u64; 2],
    pub(super) resyncs: u64,
    pub(super) buffered: u64,
    pub(super) stale: u64,
    pub(super) folded: u64,
    payloads: u64,
    pub(super) rounded: u64,
    pub(super) capped: u64,
    pub(super) scratch: super::books::Scratch,
    pub(super) shard: Shard,
    pub(super) owners: Owners,
    /// Whether the payload at work has what is this shard's.
    pub(super) own: bool,
    /// Whether it has what is another's.
    pub(super) elsewhere: bool,
}

impl State {
    /// Nothing seen yet.
    pub fn new(
        meaning: &spec::Meaning,
        provider: &str,
        instance: &str,
        sink: Sink,
        shard: Shard,
    ) -> Result<Self, SpecError> {
        let place = match instance {
            "PRIMARY" => 0,
            "REPLICA" => 1,
            "MERGED" => u32::from(MERGED),
            _ => return Err(SpecError(format!("instance {instance}: allowed are PRIMARY, REPLICA, MERGED"))),
        };
        let publisher = 60_000u32 + 4 * u32::from(meaning.number) + place;
        let publisher_id = u16::try_from(publisher).map_err(|_| SpecError("number: too large".into()))?;
        let lot = Dec::parse(meaning.default_lot.as_bytes())
            .map_err(|error| SpecError(format!("default_lot {}: {error}", meaning.default_lot)))?;
        let uncounted = meaning.mappings.iter().filter(|mapping| mapping.counters.is_empty());
        let mut unproved = uncounted.flat_map(|mapping| &mapping.books);
        Ok(Self {
            provider: provider.into(),
            publisher_id,
            default_lot: crate::instrument::lot_for(lot, None),
            exchange: meaning.exchange.clone(),
            channel_symbols: meaning.channel_symbols.clone(),
            aliases: meaning.symbol_aliases.iter().cloned().collect(),
            collisions: meaning.collisions.iter().cloned().collect(),
            unverified: unproved.any(|book| book.link == LinkRule::None && book.checksum.is_none()),
            channels: Vec::new(),
            instruments: Instruments::default(),
            books: Vec::new(),
            outs: Outs::new(sink, provider, instance),
            events: Vec::new(),
            accounted: 0,
            epoch: 0,
            last: 0,
            published: (0, 0),
            instruments_dirty: false,
            counters: HashMap::new(),
            counters_dirty: false,
            pages: Vec::new(),
            paged_blocks: Vec::new(),
            heads: Heads::default(),
            rejected: Totals::new(),
            excluded: Totals::new(),
            links: [0; 2],
            checksums: [0; 2],
            resyncs: 0,
            buffered: 0,
            stale: 0,
            folded: 0,
            payloads: 0,
            rounded: 0,
            capped: 0,
            scratch: Default::default(),
            shard,
            owners: Owners::new(shard.of()),
            own: false,
            elsewhere: false,
        })
    }

    /// A new raw channel's number.
    pub fn add_channel(&mut self, name: &str, schema: &str) -> usize {
        let rule = self.channel_symbols.iter().find(|(pattern, _)| glob::matches(pattern, name));
        let symbol = rule.and_then(|(_, rule)| channel_symbol(rule, name));
        self.channels.push(Channel {
            name: name.into(),
            schema: schema.into(),
            symbol,
            connection: 0,
            books: HashMap::new(),
            chains: HashMap::new(),
            quotes: HashMap::new(),
            tops: HashMap::new(),
            known: HashMap::new(),
            standing: VecDeque::new(),
            sequence: 0,
            dirty: false,
            outs: [None; 8],
            recent: None,
        });
        self.channels.len() - 1
    }

    /// A batch begins: notices a new epoch and sequences that never came.
    pub fn begin(&mut self, epoch: u64, first: u64) {
        if self.epoch != 0 && epoch != self.epoch {
            self.doubt_unlinked("epoch");
            self.tell_lost("epoch", self.last, 0);
        } else if self.epoch == epoch && self.last != 0 && first > self.last.saturating_add(1) {
            self.lost(epoch, self.last.saturating_add(1), first - 1);
        }
        if self.epoch != epoch {
            self.epoch = epoch;
            self.last = 0;
            self.counters_dirty |= !self.counters.is_empty();
            self.counters.clear();
            for channel in &mut self.channels {
                channel.sequence = 0;
            }
            self.books.iter_mut().for_each(|book| book.from = None);
            for book in self.books.iter_mut().filter(|book| book.sync.phase == Phase::Waiting) {
                // The new session asks for snapshots of its own, and those are newer than what the old one kept.
                self.stale += book.kept.len() as u64;
                book.kept.clear();
                book.sync = Default::default();
            }
        }
    }

    /// A batch ends at a sequence.
    pub fn end(&mut self, last: u64) {
        self.last = self.last.max(last);
    }

    /// Whether a payload is new to its channel; notes where it came from.
    #[inline]
    pub fn admit(&mut self, channel: usize, sequence: u64, payload: &PayloadView<'_>) -> bool {
        let Some(known) = self.channels.get_mut(channel) else { return false };
        if sequence <= known.sequence {
            return false;
        }
        known.sequence = sequence;
        known.connection = payload.connection;
        known.dirty = true;
        self.payloads += 1;
        self.outs.sequence = sequence;
        self.outs.muted = (self.epoch, sequence) <= self.published;
        true
    }

    fn tell_lost(&mut self, reason: &str, from: u64, to: u64) {
        if self.shard.is_first() {
            self.event(EventKind::Lost, None, None, reason, from, to);
        }
    }

    /// Sequences of the raw stream that will not come: books that could not notice are doubted.
    pub fn lost(&mut self, epoch: u64, from: u64, to: u64) {
        self.tell_lost("ring", from, to);
        self.doubt_unlinked("lost");
        if epoch == self.epoch {
            self.last = self.last.max(to);
        }
    }

    /// The channel that carries a schema of a raw channel.
    #[inline]
    pub fn out(&mut self, channel: usize, schema: Schema) -> usize {
        let Some(known) = self.channels.get_mut(channel) else { return usize::MAX };
        match known.outs[schema as usize] {
            Some(out) => out,
            None => {
                let out = self.outs.find(schema, &known.name);
                known.outs[schema as usize] = Some(out);
                out
            }
        }
    }

    /// What a record of an instrument carries in front.
    #[inline]
    pub fn stamp(
        &self,
        instrument: usize,
        ts_recv: u64,
        ts_event: Option<u64>,
        ts_sent: Option<u64>,
        id: u64,
    ) -> Stamp {
        let ts_event = ts_event.unwrap_or(ts_recv);
        Stamp {
            publisher_id: self.publisher_id,
            instrument_id: self.instruments.get(instrument).id,
            ts_event,
            ts_recv,
            ts_sent: ts_sent.unwrap_or(ts_event),
            sequence: id as u32,
        }
    }

    /// Publishes the health of a channel's book.
    pub fn health(&mut self, channel: usize, instrument: usize, stamp: &Stamp, health: Health) {
        let out = self.out(channel, Schema::Status);
        self.outs.record(out, &Exact::default(), |bytes| record::status(bytes, stamp, health));
        let id = self.instruments.get(instrument).id;
        self.outs.keep(out, id, 0);
    }

    /// All totals.
    pub fn totals(&self) -> BTreeMap<String, Totals> {
        let pairs = |list: &[(&str, u64)]| list.iter().map(|(name, count)| ((*name).to_string(), *count)).collect();
        let records = SCHEMAS.iter().map(|schema| (schema.name(), self.outs.counts[*schema as usize]));
        let records: Vec<(&str, u64)> = records.filter(|(_, count)| *count > 0).collect();
        let known = self.instruments.all().iter().filter(|known| known.known == Known::Definition).count() as u64;
        let inferred = self.instruments.all().len() as u64 - known;
        let waiting = self.books.iter().filter(|book| book.sync.phase != Phase::Live);
        let kept: usize = waiting.map(|book| VecDeque::len(&book.kept)).sum();
        BTreeMap::from([
            ("records".into(), pairs(&records)),
            ("rejected".into(), self.rejected.clone()),
            ("excluded".into(), self.excluded.clone()),
            ("links".into(), pairs(&[("ok", self.links[0]), ("broken", self.links[1])])),
            ("checksums".into(), pairs(&[("ok", self.checksums[0]), ("bad", self.checksums[1])])),
            (
                "books".into(),
                pairs(&[
                    ("resyncs", self.resyncs),
                    ("buffered", self.buffered),
                    ("stale", self.stale),
                    ("folded", self.folded),
                    ("waiting", kept as u64),
                ]),
            ),
            ("instruments".into(), pairs(&[("known", known), ("inferred", inferred)])),
            ("sizes".into(), pairs(&[("rounded", self.rounded), ("capped", self.capped)])),
            ("payloads".into(), pairs(&[("total", self.payloads)])),
        ])
    }

    /// Whether the stream is two instances', whose connections have numbers of their own.
    pub fn merged(&self) -> bool {
        self.publisher_id % 4 == MERGED
    }

    /// The `publisher_id` of every record.
    pub fn publisher(&self) -> u16 {
        self.publisher_id
    }
}

fn channel_symbol(rule: &spec::ChannelSymbol, channel: &str) -> Option<String> {
    let pieces: Vec<&str> = channel.split(rule.separator.as_str()).collect();
    let place = |at: i64| if at < 0 { at + pieces.len() as i64 } else { at };
    let (first, last) = (usize::try_from(place(rule.first)).ok()?, usize::try_from(place(rule.last)).ok()?);
    let symbol = pieces.get(first..=last)?.join(&rule.separator);
    Some(rule.prefix.clone() + &if rule.upper { symbol.to_uppercase() } else { symbol })
}
