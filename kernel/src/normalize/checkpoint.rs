//! Late-join keys and the checkpoint from which a restarted normalizer goes on as if it had never stopped.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::blocks::Standing;
use super::books::{Book, Delta};
use super::counting::Counting;
use super::pages::{Known, SavedKnown};
use super::sampled::Sample;
use super::state::State;
use crate::book::Saved;
use crate::decimal::Dec;
use crate::instrument::Instrument;
use crate::record::{self, Stamp};
use crate::resp;
use crate::spec;
use crate::sync::{Chain, Phase, Sync};

const INSTRUMENTS: &[u8] = b"_instruments";
const POSITION: &[u8] = b"position";
const PUBLISHED: &[u8] = b"published";
const CONNECTIONS: &[u8] = b"_connections";

/// What a channel's field begins with, the last byte its version. A field of the first version, which had no such mark,
/// cannot begin so: it would be sequence 0 and a connection beyond 32 bits.
const FORMAT: [u8; 7] = [0, 0xff, 0xff, 0xff, 0xff, 0x7f, 4];

#[derive(Serialize, Deserialize)]
struct SavedChannel {
    sequence: u64,
    connection: u32,
    chains: Vec<(String, Chain)>,
    quotes: Vec<(String, [Option<Dec>; 4])>,
    tops: Vec<(String, Sample)>,
    known: Vec<(String, SavedKnown)>,
    standing: Vec<(String, u64, u32, Standing)>,
    books: Vec<SavedBook>,
}

#[derive(Serialize, Deserialize)]
struct SavedBook {
    symbol: String,
    rule: String,
    schema_out: String,
    sync: Sync,
    depth: Option<u64>,
    ts_event: u64,
    ts_recv: u64,
    ts_sent: u64,
    venue_sequence: u32,
    book: Saved,
    kept: VecDeque<Delta>,
    sample: Sample,
    from: Option<u32>,
}

/// The raw channel and schema a checkpoint field is about; `None` for the fields that are about all.
pub fn channel_of(field: &str) -> Option<(&str, &str)> {
    let (schema, channel) = field.split_once('|')?;
    Some((channel, schema))
}

impl State {
    /// Late-join keys and checkpoint of what has changed since the last call (or all): commands and their number.
    pub fn flush(&mut self, all: bool) -> (Vec<u8>, u32) {
        let (mut bytes, mut commands) = (Vec::new(), 0);
        self.outs.flush(&mut bytes, &mut commands, all);
        self.flush_books(&mut bytes, &mut commands, all);
        let fields = self.checkpoint(all);
        let key = format!("{}:checkpoint", self.outs.keys);
        if resp::hset(&mut bytes, key.as_bytes(), &fields) {
            commands += 1;
        }
        (bytes, commands)
    }

    /// The checkpoint's fields that have changed since the last call (or all of them).
    pub fn checkpoint(&mut self, all: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut fields: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for at in 0..self.channels.len() {
            if all || self.channels[at].dirty {
                self.channels[at].dirty = false;
                let known = &self.channels[at];
                if let Ok(saved) = postcard::to_extend(&self.save_channel(at), FORMAT.to_vec()) {
                    fields.push((format!("{}|{}", known.schema, known.name).into_bytes(), saved));
                }
            }
        }
        if all || self.instruments_dirty {
            self.instruments_dirty = false;
            if let Ok(saved) = postcard::to_stdvec(self.instruments.all()) {
                fields.push((INSTRUMENTS.to_vec(), saved));
            }
        }
        if all || self.counters_dirty {
            self.counters_dirty = false;
            let mut counters: Vec<(&u32, &Counting)> = self.counters.iter().collect();
            counters.sort_by_key(|(connection, _)| **connection);
            if let Ok(saved) = postcard::to_extend(&counters, FORMAT.to_vec()) {
                fields.push((CONNECTIONS.to_vec(), saved));
            }
        }
        fields.push((POSITION.to_vec(), format!("{}:{}", self.epoch, self.last).into_bytes()));
        fields
    }

    fn flush_books(&mut self, bytes: &mut Vec<u8>, commands: &mut u32, all: bool) {
        let mut by_out: HashMap<usize, Vec<usize>> = HashMap::new();
        for (at, book) in self.books.iter().enumerate() {
            by_out.entry(book.out).or_default().push(at);
        }
        for (out, books) in by_out {
            if !all && !books.iter().any(|at| self.books[*at].dirty) {
                continue;
            }
            let mut records = Vec::new();
            for at in books {
                self.books[at].dirty = false;
                if self.books[at].sync.phase == Phase::Waiting {
                    continue;
                }
                let stamp = self.books[at].stamp;
                let rows = self.book_records(at, stamp);
                for (place, (entry, _)) in rows.iter().enumerate() {
                    let last = if place + 1 == rows.len() { record::F_LAST } else { 0 };
                    record::mbo(&mut records, &stamp, &record::Entry { flags: entry.flags | last, ..*entry });
                }
            }
            if let Some(channel) = self.outs.all().get(out).filter(|_| !records.is_empty()) {
                resp::set(bytes, format!("{}:snapshot:{}", self.outs.keys, channel.name).as_bytes(), &records);
                *commands += 1;
            }
        }
    }

    fn save_channel(&self, at: usize) -> SavedChannel {
        let known = &self.channels[at];
        let symbol = |instrument: usize| self.instruments.get(instrument).raw_symbol.clone();
        let mut saved = SavedChannel {
            sequence: known.sequence,
            connection: known.connection,
            chains: known.chains.iter().map(|(instrument, chain)| (symbol(*instrument), chain.clone())).collect(),
            quotes: known.quotes.iter().map(|(instrument, quote)| (symbol(*instrument), *quote)).collect(),
            tops: known.tops.iter().map(|(instrument, top)| (symbol(*instrument), *top)).collect(),
            known: known.known.iter().map(|(instrument, known)| (symbol(*instrument), known.save())).collect(),
            standing: known
                .standing
                .iter()
                .map(|(epoch, connection, trade)| (symbol(trade.instrument), *epoch, *connection, *trade))
                .collect(),
            books: known
                .books
                .values()
                .map(|at| &self.books[*at])
                .map(|book| SavedBook {
                    symbol: symbol(book.instrument),
                    rule: book.rule.name.clone(),
                    schema_out: self.outs.all().get(book.out).map_or(String::new(), |out| out.schema.name().into()),
                    sync: book.sync.clone(),
                    depth: book.depth.map(|depth| depth as u64),
                    ts_event: book.stamp.ts_event,
                    ts_recv: book.stamp.ts_recv,
                    ts_sent: book.stamp.ts_sent,
                    venue_sequence: book.stamp.sequence,
                    book: Saved::of(&book.levels, &book.orders),
                    kept: book.kept.clone(),
                    sample: book.sample,
                    from: book.from,
                })
                .collect(),
        };
        // Tables have no order of their own, and what is made of the same should be the same.
        saved.chains.sort_by(|one, other| one.0.cmp(&other.0));
        saved.quotes.sort_by(|one, other| one.0.cmp(&other.0));
        saved.tops.sort_by(|one, other| one.0.cmp(&other.0));
        saved.known.sort_by(|one, other| one.0.cmp(&other.0));
        saved.books.sort_by(|one, other| (&one.symbol, &one.rule).cmp(&(&other.symbol, &other.rule)));
        saved
    }

    /// Takes a checkpoint's fields back in; the sequence to resume after. Fields that do not decode are left out: their
    /// books start anew and ask for a snapshot. Shards' checkpoints complete one another; other shards' instruments are left out.
    pub fn restore(&mut self, fields: &[(Vec<u8>, Vec<u8>)], rules: &[spec::Book]) -> u64 {
        let field = |name: &[u8]| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice());
        let Some((epoch, position)) = field(POSITION).and_then(place) else { return 0 };
        let instruments: Vec<Instrument> =
            field(INSTRUMENTS).and_then(|saved| postcard::from_bytes(saved).ok()).unwrap_or_default();
        for instrument in instruments {
            if !self.shard.has(&self.provider, &instrument.raw_symbol) {
                continue;
            }
            if self.instruments.find(instrument.raw_symbol.as_bytes()).is_none()
                && self.instruments.add(instrument).is_err()
            {
                continue;
            }
        }
        self.epoch = epoch;
        self.last = position;
        self.published = field(PUBLISHED).and_then(place).unwrap_or((0, 0));
        let counters: Vec<(u32, Counting)> = field(CONNECTIONS).and_then(read).unwrap_or_default();
        self.counters = counters.into_iter().collect();
        for (name, saved) in fields {
            let Some((channel, _)) = std::str::from_utf8(name).ok().and_then(channel_of) else { continue };
            let Some(saved) = read::<SavedChannel>(saved) else { continue };
            if let Some(at) = self.channels.iter().position(|known| known.name == channel) {
                self.restore_channel(at, saved, rules);
            }
        }
        position
    }

    fn restore_channel(&mut self, at: usize, saved: SavedChannel, rules: &[spec::Book]) {
        self.channels[at].sequence = saved.sequence;
        self.channels[at].connection = saved.connection;
        for (symbol, chain) in saved.chains {
            if let Some(instrument) = self.instruments.find(symbol.as_bytes()) {
                self.channels[at].chains.insert(instrument, chain);
            }
        }
        for (symbol, quote) in saved.quotes {
            if let Some(instrument) = self.instruments.find(symbol.as_bytes()) {
                self.channels[at].quotes.insert(instrument, quote);
            }
        }
        for (symbol, top) in saved.tops {
            if let Some(instrument) = self.instruments.find(symbol.as_bytes()) {
                self.channels[at].tops.insert(instrument, top);
            }
        }
        for (symbol, known) in saved.known {
            if let Some(instrument) = self.instruments.find(symbol.as_bytes()) {
                self.channels[at].known.insert(instrument, Known::restore(known));
            }
        }
        for (symbol, epoch, connection, trade) in saved.standing {
            if let Some(instrument) = self.instruments.find(symbol.as_bytes()) {
                self.channels[at].standing.push_back((epoch, connection, Standing { instrument, ..trade }));
            }
        }
        for book in saved.books {
            let Some(instrument) = self.instruments.find(book.symbol.as_bytes()) else { continue };
            let Some(rule) = rules.iter().find(|rule| rule.name == book.rule) else { continue };
            let Ok(schema) = record::Schema::parse(&book.schema_out) else { continue };
            let (levels, orders) = book.book.restore(rule.per_order);
            let stamp = Stamp {
                ts_event: book.ts_event,
                ts_recv: book.ts_recv,
                ts_sent: book.ts_sent,
                sequence: book.venue_sequence,
                ..self.stamp(instrument, 0, None, None, 0)
            };
            let out = self.out(at, schema);
            self.books.push(Book {
                rule: Arc::new(rule.clone()),
                channel: at,
                instrument,
                sync: book.sync,
                levels,
                orders,
                kept: book.kept,
                depth: book.depth.and_then(|depth| usize::try_from(depth).ok()),
                stamp,
                out,
                dirty: false,
                sample: book.sample,
                from: book.from,
            });
            self.channels[at].books.insert(instrument, self.books.len() - 1);
        }
    }
}

/// A field of this version.
fn read<T: for<'a> Deserialize<'a>>(field: &[u8]) -> Option<T> {
    postcard::from_bytes(field.strip_prefix(&FORMAT)?).ok()
}

fn place(text: &[u8]) -> Option<(u64, u64)> {
    let (epoch, sequence) = std::str::from_utf8(text).ok()?.split_once(':')?;
    Some((epoch.parse().ok()?, sequence.parse().ok()?))
}
