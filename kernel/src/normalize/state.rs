//! What a normalizer knows between payloads: channels, instruments, books, counters, and what happened.

use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashMap;

use super::blocks::{Heads, Place as BlockPlace, Standing};
use super::books::Book;
use super::counting::Counting;
use super::definitions;
use super::out::{Exact, Outs, Sink};
use super::pages::{Known as KnownTrades, Page};
use super::sampled::Sample;
use super::values::Reject;
use crate::decimal::Dec;
use crate::glob;
use crate::instrument::{instrument_id, Facts, Instrument, Instruments, Known, Lots};
use crate::plan::{Place, Source, SpecError};
use crate::record::{self, Health, Schema, Stamp, F_INEXACT, MAX_SIZE, SCHEMAS};
use crate::spec::{self, LinkRule};
use crate::sync::{Chain, Phase};
use crate::wire::PayloadView;

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A payload fits no rule.
    Reject,
    /// Ids are missing.
    Gap,
    /// A snapshot is needed.
    Resync,
    /// A book is right again.
    Recovered,
    /// A checksum does not hold.
    Checksum,
    /// A lot was inferred.
    Inferred,
    /// Two symbols have one id.
    Collision,
    /// A channel has been silent for longer than is normal.
    Stale,
    /// Payloads of the raw stream are out of reach.
    Lost,
}

impl EventKind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Reject => "reject",
            EventKind::Gap => "gap",
            EventKind::Resync => "resync",
            EventKind::Recovered => "recovered",
            EventKind::Checksum => "checksum",
            EventKind::Inferred => "inferred",
            EventKind::Collision => "collision",
            EventKind::Stale => "stale",
            EventKind::Lost => "lost",
        }
    }
}

/// Something a person or a metric should know of.
#[derive(Clone, Debug)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// On which raw channel.
    pub channel: String,
    /// Of which instrument.
    pub symbol: String,
    /// Why.
    pub reason: String,
    /// Which payload.
    pub sequence: u64,
    /// First of the venue's ids concerned.
    pub from_id: u64,
    /// Last of them.
    pub to_id: u64,
    /// The first bytes of a rejected payload.
    pub sample: Vec<u8>,
}

const SAMPLE_BYTES: usize = 256;

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
    recent: Option<(Vec<u8>, usize)>,
}

/// Totals of one kind, by name.
pub type Totals = BTreeMap<String, u64>;

/// Everything a normalizer keeps.
#[derive(Debug)]
pub struct State {
    provider: String,
    publisher_id: u16,
    default_lot: (i64, u8),
    pub(super) exchange: String,
    channel_symbols: Vec<(String, spec::ChannelSymbol)>,
    aliases: HashMap<String, String>,
    collisions: HashMap<String, u32>,
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
    rejected: Totals,
    excluded: Totals,
    pub(super) links: [u64; 2],
    pub(super) checksums: [u64; 2],
    pub(super) resyncs: u64,
    pub(super) buffered: u64,
    pub(super) stale: u64,
    pub(super) folded: u64,
    payloads: u64,
    rounded: u64,
    capped: u64,
    pub(super) scratch: super::books::Scratch,
}

impl State {
    /// Nothing seen yet.
    pub fn new(meaning: &spec::Meaning, provider: &str, instance: &str, sink: Sink) -> Result<Self, SpecError> {
        let place = match instance {
            "PRIMARY" => 0,
            "REPLICA" => 1,
            "MERGED" => 2,
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
            self.event(EventKind::Lost, None, None, "epoch", self.last, 0);
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

    /// Sequences of the raw stream that will not come: books that could not notice are doubted.
    pub fn lost(&mut self, epoch: u64, from: u64, to: u64) {
        self.event(EventKind::Lost, None, None, "ring", from, to);
        self.doubt_unlinked("lost");
        if epoch == self.epoch {
            self.last = self.last.max(to);
        }
    }

    /// Notes something that happened.
    pub fn event(
        &mut self,
        kind: EventKind,
        channel: Option<usize>,
        instrument: Option<usize>,
        reason: &str,
        from_id: u64,
        to_id: u64,
    ) {
        let channel = channel.and_then(|at| self.channels.get(at)).map_or(String::new(), |known| known.name.clone());
        let symbol = instrument.map_or(String::new(), |at| self.instruments.get(at).raw_symbol.clone());
        let sequence = self.outs.sequence;
        let reason = reason.to_string();
        self.events.push(Event { kind, channel, symbol, reason, sequence, from_id, to_id, sample: Vec::new() });
    }

    /// Counts a payload that fits no rule.
    pub fn reject(&mut self, channel: usize, reject: Reject, payload: &[u8]) {
        self.accounted += 1;
        *self.rejected.entry(reject.0.into()).or_default() += 1;
        self.event(EventKind::Reject, Some(channel), None, reject.0, 0, 0);
        if let Some(event) = self.events.last_mut() {
            event.sample = payload.get(..SAMPLE_BYTES).unwrap_or(payload).to_vec();
        }
    }

    /// Counts something left out on purpose.
    pub fn exclude(&mut self, reason: &str) {
        self.accounted += 1;
        match self.excluded.get_mut(reason) {
            Some(count) => *count += 1,
            None => {
                self.excluded.insert(reason.into(), 1);
            }
        }
    }

    /// The instrument a message is about.
    #[inline]
    pub fn instrument_of(
        &mut self,
        channel: usize,
        source: &Source<'_>,
        symbol: Option<Place>,
    ) -> Result<usize, Reject> {
        let text = symbol.map(|place| super::values::text(source, place)).unwrap_or_default();
        if let Some((known, at)) = self.channels.get(channel).and_then(|known| known.recent.as_ref()) {
            if *known == *text {
                return Ok(*at);
            }
        }
        let symbol = if text.is_empty() {
            self.channels.get(channel).and_then(|known| known.symbol.clone()).ok_or(Reject("no_symbol"))?
        } else {
            String::from_utf8(text.to_vec()).map_err(|_| Reject("no_symbol"))?
        };
        let at = self.instrument_named(&symbol)?;
        if let Some(known) = self.channels.get_mut(channel) {
            known.recent = Some((text.into_owned(), at));
        }
        Ok(at)
    }

    /// An instrument by its symbol, made known where it is new.
    pub fn instrument_named(&mut self, symbol: &str) -> Result<usize, Reject> {
        let symbol = self.aliases.get(symbol).map_or(symbol, String::as_str);
        if let Some(known) = self.instruments.find(symbol.as_bytes()) {
            return Ok(known);
        }
        let id = self.collisions.get(symbol).copied().unwrap_or_else(|| instrument_id(&self.provider, symbol));
        let instrument = Instrument {
            raw_symbol: symbol.into(),
            id,
            lot: self.default_lot,
            price_shift: 0,
            known: Known::Default,
            facts: Facts::default(),
            defined: false,
        };
        self.instruments_dirty = true;
        match self.instruments.add(instrument) {
            Ok(at) => Ok(at),
            Err(other) => {
                let reason = format!("{symbol} has the id of {other}");
                self.event(EventKind::Collision, None, None, &reason, u64::from(id), 0);
                Err(Reject("collision"))
            }
        }
    }

    /// Makes sure a definition has gone out before the instrument's first record.
    #[inline]
    pub fn define(&mut self, instrument: usize, channel: usize, ts_recv: u64) {
        if !self.instruments.get(instrument).defined {
            definitions::publish(self, instrument, ts_recv, ts_recv);
            self.event(EventKind::Inferred, Some(channel), Some(instrument), "no definition", 0, 0);
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

    /// A size in lots, with the flag of one that is not exact.
    #[inline]
    pub fn lots(&mut self, instrument: usize, size: Dec) -> Result<(u32, u8), Reject> {
        match self.instruments.get(instrument).lots(size)? {
            Lots::Exact(lots) => Ok((lots, 0)),
            Lots::Rounded(lots) => {
                self.rounded += 1;
                // A level that is there must not look deleted.
                Ok((lots.max(u32::from(!size.is_zero())), F_INEXACT))
            }
            Lots::Capped => {
                self.capped += 1;
                Ok((MAX_SIZE, F_INEXACT))
            }
        }
    }

    /// Counts a number that had to be rounded and has no flag to say so.
    pub fn count_rounded(&mut self) {
        self.rounded += 1;
    }

    /// A price as published, with the flag of one that is not exact.
    #[inline]
    pub fn price(&mut self, instrument: usize, price: Dec) -> Result<(i64, u8), Reject> {
        let (value, exact) = self.instruments.get(instrument).price(price)?;
        if exact {
            return Ok((value, 0));
        }
        self.rounded += 1;
        Ok((value, F_INEXACT))
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
