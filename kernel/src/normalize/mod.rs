//! Turns batches of raw payloads into DBN: finds the message, takes its values, keeps books, writes records.

mod again;
mod apply;
mod blocks;
mod books;
mod checkpoint;
mod counting;
mod definitions;
mod deltas;
mod events;
mod levels;
mod naming;
mod out;
mod pages;
mod sampled;
mod session;
mod shards;
mod simple;
mod snapshots;
mod state;
mod values;

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::decode::{Decoder, Undecodable};
use crate::json::{self, Found, JsonError};
use crate::plan::{self, Make, Message, Program, Source, SpecError};
use crate::spec;
use crate::wire::{BatchView, PayloadView, Response, WireError};

pub use events::{Event, EventKind};
pub use out::{Sink, SIDECAR, SIDECAR_BYTES};
use shards::Owners;
pub use shards::Shard;
use state::State;
use values::Reject;

/// The session manager's own channel in every provider's stream.
pub const SESSION_CHANNEL: &str = "_session";
/// Frames that no route and no session rule took.
pub const UNKNOWN_CHANNEL: &str = "_unknown";

/// What one batch became.
#[derive(Debug, Default)]
pub struct Output {
    /// RESP commands or DBN records.
    pub data: Vec<u8>,
    /// Replies to expect.
    pub commands: u32,
    /// Payloads looked at.
    pub payloads: usize,
    /// Records made.
    pub records: usize,
    /// Exact numbers, a row a record (sink `Dbn`).
    pub sidecar: Vec<u8>,
    /// What a person or a metric should know of.
    pub events: Vec<Event>,
    /// The epoch.
    pub epoch: u64,
    /// First sequence covered.
    pub first: u64,
    /// Last sequence covered.
    pub last: u64,
    /// Smallest `ts_recv`.
    pub oldest_ts_recv: u64,
}

/// The programs of one raw channel.
#[derive(Debug)]
struct Plan {
    programs: Vec<Program>,
    current: usize,
}

/// Turns the raw batches of one provider and instance into DBN.
#[derive(Debug)]
pub struct Normalizer {
    meaning: spec::Meaning,
    decoder: Option<Box<Decoder>>,
    plans: Vec<Plan>,
    index: HashMap<String, usize>,
    found: Found,
    entry_found: Found,
    no_entry: Found,
    state: State,
    planner: Option<Owners>,
}

impl Normalizer {
    /// Compiles a meaning (JSON of `tapeline.spec.encode`).
    pub fn new(meaning: &[u8], provider: &str, instance: &str, sink: Sink) -> Result<Self, SpecError> {
        Self::of_shard(meaning, provider, instance, sink, Shard::WHOLE)
    }

    /// The same for a share of the instruments.
    pub fn of_shard(
        meaning: &[u8],
        provider: &str,
        instance: &str,
        sink: Sink,
        shard: Shard,
    ) -> Result<Self, SpecError> {
        let meaning: spec::Meaning =
            serde_json::from_slice(meaning).map_err(|error| SpecError(format!("meaning: {error}")))?;
        plan::programs(&meaning, "*")?;
        // Every message is compiled once, whatever its glob, so that a bad one is refused at start.
        let mut alone = spec::Meaning { mappings: Vec::new(), ..meaning.clone() };
        for mapping in &meaning.mappings {
            for message in &mapping.messages {
                alone.mappings = vec![spec::Mapping {
                    messages: vec![spec::Message { channel: "*".into(), ..message.clone() }],
                    books: mapping.books.clone(),
                    since: mapping.since.clone(),
                    until: mapping.until.clone(),
                    counters: mapping.counters.clone(),
                }];
                plan::programs(&alone, "*")?;
            }
        }
        shard.allowed(&meaning)?;
        if shard.is_part() && sink != Sink::Dbn {
            return Err(SpecError("shard: a share of the instruments is for the dbn sink only".into()));
        }
        let state = State::new(&meaning, provider, instance, sink, shard)?;
        let decoder = meaning.decoder.as_ref().map(Decoder::new).transpose();
        let decoder = decoder.map_err(|error| SpecError(format!("meaning: {}", error.0)))?;
        Ok(Self {
            decoder: decoder.map(Box::new),
            meaning,
            plans: Vec::new(),
            index: HashMap::new(),
            found: Found::default(),
            entry_found: Found::default(),
            no_entry: Found::default(),
            state,
            planner: None,
        })
    }

    /// One encoded `SubscribeResponse` in, what is to be published out; a broken batch changes nothing.
    pub fn normalize(&mut self, response: &[u8]) -> Result<Output, WireError> {
        Ok(match Response::parse(response)? {
            Response::Gap(gap) => {
                self.state.lost(gap.epoch, gap.from_sequence, gap.to_sequence);
                self.finish(Output {
                    epoch: gap.epoch,
                    first: gap.from_sequence,
                    last: gap.to_sequence.max(gap.from_sequence.saturating_sub(1)),
                    ..Output::default()
                })
            }
            Response::Batch(batch) => self.batch(&batch),
        })
    }

    /// The same for a batch that was never encoded.
    pub fn batch(&mut self, batch: &BatchView<'_>) -> Output {
        let mut output = Output {
            epoch: batch.epoch,
            first: batch.first_sequence,
            last: batch.last_sequence(),
            payloads: batch.len(),
            ..Output::default()
        };
        self.state.begin(batch.epoch, batch.first_sequence);
        let channels: Vec<usize> = batch.channels.iter().map(|(name, schema)| self.channel(name, schema)).collect();
        let mut sequence = batch.first_sequence;
        let mut oldest = u64::MAX;
        for payload in batch.payloads() {
            oldest = oldest.min(payload.ts_recv);
            if let Some(channel) = channels.get(payload.channel as usize) {
                self.payload(*channel, sequence, payload, &mut output);
            }
            sequence = sequence.saturating_add(1);
        }
        output.oldest_ts_recv = if oldest == u64::MAX { 0 } else { oldest };
        self.state.end(batch.last_sequence());
        self.finish(output)
    }

    fn finish(&mut self, mut output: Output) -> Output {
        let (sidecar, records) = self.state.outs.end_batch(&mut output.data, &mut output.commands);
        output.sidecar = sidecar;
        output.records = records;
        output.events = std::mem::take(&mut self.state.events);
        output
    }

    /// Totals since the start, by group and name.
    pub fn counters(&self) -> BTreeMap<String, BTreeMap<String, u64>> {
        self.state.totals()
    }

    /// Id and schema of the published channels, by the sidecar's number.
    pub fn channels(&self) -> Vec<(String, String)> {
        let all = self.state.outs.all().iter();
        all.map(|out| (out.channel.clone(), out.schema.name().to_string())).collect()
    }

    /// The raw symbol of each `instrument_id`.
    pub fn symbols(&self) -> BTreeMap<u32, String> {
        let all = self.state.instruments.all().iter();
        all.map(|instrument| (instrument.id, instrument.raw_symbol.clone())).collect()
    }

    /// Redis commands, and their number, for late-join keys and checkpoint of all that has changed (or all).
    pub fn flush(&mut self, all: bool) -> (Vec<u8>, u32) {
        self.state.flush(all)
    }

    /// Takes a checkpoint's fields back in; the sequence to resume after (0: from the start).
    pub fn restore(&mut self, fields: &[(Vec<u8>, Vec<u8>)]) -> u64 {
        for (name, _) in fields {
            if let Ok(name) = std::str::from_utf8(name) {
                if let Some((channel, schema)) = checkpoint::channel_of(name) {
                    self.channel(channel, schema);
                }
            }
        }
        let rules: Vec<spec::Book> = self.meaning.mappings.iter().flat_map(|mapping| mapping.books.clone()).collect();
        self.state.restore(fields, &rules)
    }

    /// The fields of a checkpoint of all there is.
    pub fn checkpoint(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.state.checkpoint(true)
    }

    /// What stands, told anew as of `ts_recv`: every instrument's definition, then every book whole.
    pub fn retell(&mut self, ts_recv: u64) -> Output {
        self.state.retell(ts_recv);
        let last = self.state.last;
        let output = Output { epoch: self.state.epoch, first: last.saturating_add(1), last, ..Output::default() };
        self.finish(output)
    }

    fn channel(&mut self, name: &str, schema: &str) -> usize {
        if let Some(known) = self.index.get(name) {
            return *known;
        }
        // Every message compiled on its own at start, so this cannot fail; an empty plan would reject all as unknown.
        let programs = plan::programs(&self.meaning, name).unwrap_or_default();
        self.plans.push(Plan { programs, current: 0 });
        let at = self.state.add_channel(name, schema);
        self.index.insert(name.into(), at);
        at
    }

    #[inline]
    fn payload(&mut self, channel: usize, sequence: u64, payload: &PayloadView<'_>, output: &mut Output) {
        if !self.state.admit(channel, sequence, payload) {
            return;
        }
        (self.state.own, self.state.elsewhere) = (false, false);
        match self.decoder.take() {
            None => self.interpret(channel, payload),
            Some(mut decoder) => {
                match decoder.decode(payload.data) {
                    Ok(text) => self.interpret(channel, &PayloadView { data: text, ..*payload }),
                    Err(Undecodable(reason)) => self.refuse(channel, Reject(reason), payload.data),
                }
                self.decoder = Some(decoder);
            }
        }
        self.state.outs.end_payload(&mut output.data, &mut output.commands);
    }

    /// Makes of a payload, which is JSON text, what it means; one that fits no rule is counted, with its text.
    #[inline]
    fn interpret(&mut self, channel: usize, payload: &PayloadView<'_>) {
        if let Err(reject) = self.mean(channel, payload) {
            self.refuse(channel, reject, payload.data);
        }
    }

    /// Counts a payload of which no instrument is known, where it is this shard's to count.
    fn refuse(&mut self, channel: usize, reject: Reject, payload: &[u8]) {
        if self.state.is_home(channel) {
            self.state.reject(channel, reject, payload);
        }
    }

    fn mean(&mut self, channel: usize, payload: &PayloadView<'_>) -> Result<(), Reject> {
        let name = self.state.channels.get(channel).map_or("", |channel| channel.name.as_str());
        if name == SESSION_CHANNEL {
            return self.state.session(payload);
        }
        if name == UNKNOWN_CHANNEL {
            return Err(Reject("unknown_channel"));
        }
        let Some(plan) = self.plans.get_mut(channel) else { return Err(Reject("unknown_channel")) };
        let Some(program) = plan.at(payload.ts_recv) else { return Err(Reject("no_mapping")) };
        if program.by_channel && !self.state.is_home(channel) {
            return Ok(());
        }
        program.tree.scan(payload.data, &mut self.found).map_err(broken)?;
        let constants = program.constants.as_slice();
        let whole =
            Source { payload: payload.data, found: &self.found, entry: b"", entry_found: &self.no_entry, constants };
        let counted = program.counters.is_empty()
            || self.state.count(program, channel, payload.connection, payload.ts_recv, &whole)?;
        if !counted {
            return Ok(());
        }
        let message = program.messages.iter().find(|message| message.when.iter().all(|on| on.holds(&whole)));
        let Some(message) = message else { return Err(Reject("unknown_message")) };
        let books = self.meaning.mappings.get(program.mapping).map_or(&[][..], |mapping| mapping.books.as_slice());
        if message.makes.is_empty() {
            if self.state.is_home(channel) {
                self.state.exclude(&message.excluded);
            }
            return Ok(());
        }
        let job = Job { message, books, channel, ts_recv: payload.ts_recv };
        let before = (self.state.outs.made, self.state.accounted);
        match &message.each {
            None => {
                if let Err(reject) = self.state.make(&job, &whole) {
                    self.state.reject(channel, reject, payload.data);
                }
            }
            Some(each) => {
                let array = whole.get(plan::Place { of: plan::Of::Payload, slot: each.slot });
                let mut items = json::items(array).map_err(broken)?;
                if let Some(key) = &message.page {
                    self.state.pages.clear();
                    self.state.paged_blocks.clear();
                    if pages::newest_first(each, key, array, &items, &mut self.entry_found) {
                        items.reverse();
                    }
                }
                for (start, end) in items {
                    let entry = array.get(start..end).unwrap_or_default();
                    each.tree.scan(entry, &mut self.entry_found).map_err(broken)?;
                    let source = Source { entry, entry_found: &self.entry_found, ..whole };
                    if let Err(reject) = self.state.make(&job, &source) {
                        self.state.reject(channel, reject, entry);
                    }
                }
                if message.page.is_some() {
                    self.state.end_page(channel);
                    self.state.end_block_page(channel, payload.ts_recv);
                }
            }
        }
        // A book counts by itself what it keeps or drops; of all else a payload that gives nothing is accounted for here.
        let books = |make: &Make| matches!(make, Make::Levels(_) | Make::Order(_));
        if before == (self.state.outs.made, self.state.accounted)
            && !message.makes.iter().any(books)
            && self.state.accounts(channel)
        {
            self.state.exclude("nothing to tell");
        }
        Ok(())
    }
}

impl Plan {
    #[inline]
    fn at(&mut self, ts_recv: u64) -> Option<&Program> {
        let holds = |program: &Program| (program.since..program.until).contains(&ts_recv);
        if !self.programs.get(self.current).is_some_and(holds) {
            self.current = self.programs.iter().position(holds)?;
        }
        self.programs.get(self.current)
    }
}

/// What is being made of one payload.
struct Job<'a> {
    message: &'a Message,
    books: &'a [spec::Book],
    channel: usize,
    ts_recv: u64,
}

impl State {
    #[inline]
    fn make(&mut self, job: &Job<'_>, source: &Source<'_>) -> Result<(), Reject> {
        for make in &job.message.makes {
            if self.shard.is_part() && !self.concerns(job, make, source) {
                continue;
            }
            match make {
                Make::Trade(make) => self.trade(job, make, source)?,
                Make::Block(make) => self.block(job, make, source)?,
                Make::Quote(make) => self.quote(job, make, source)?,
                Make::Levels(make) => self.levels(job, make, source)?,
                Make::Order(make) => self.order(job, make, source)?,
                Make::Top(make) => self.top(job, make, source)?,
                Make::Statistics(make) => self.statistics(job, make, source)?,
                Make::Bar(make) => self.bar(job, make, source)?,
                Make::Instrument(make) => self.instrument(job, make, source)?,
            }
        }
        Ok(())
    }
}

fn broken(error: JsonError) -> Reject {
    Reject(match error {
        JsonError::Truncated => "truncated",
        JsonError::Syntax(_) => "syntax",
        JsonError::TooDeep => "too_deep",
        JsonError::Utf8 => "not_utf8",
        JsonError::TooLong => "too_long",
    })
}
