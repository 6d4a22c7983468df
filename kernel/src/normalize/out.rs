//! Where records go: ready Redis commands, or DBN with a row of exact numbers beside each record.

use hashbrown::HashMap;

use crate::decimal::Dec;
use crate::record::{Schema, F_LAST};
use crate::resp;

/// What `Normalizer::normalize` is to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// RESP commands for one write to Redis.
    Resp,
    /// DBN records, with a sidecar row each.
    Dbn,
}

/// Bytes of a sidecar row.
pub const SIDECAR_BYTES: usize = 64;

/// The sidecar's columns as numpy dtype fields.
pub const SIDECAR: [(&str, &str); 14] = [
    ("offset", "<u8"),
    ("sequence", "<u8"),
    ("venue_id", "<u8"),
    ("price_mantissa", "<i8"),
    ("size_mantissa", "<i8"),
    ("ask_price_mantissa", "<i8"),
    ("ask_size_mantissa", "<i8"),
    ("price_decimals", "u1"),
    ("size_decimals", "u1"),
    ("ask_price_decimals", "u1"),
    ("ask_size_decimals", "u1"),
    ("schema", "u1"),
    ("given", "u1"),
    ("channel", "<u2"),
];

/// The exact numbers behind a record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exact {
    /// The venue's id at full width.
    pub venue_id: u64,
    /// Price (bid price of a quote).
    pub price: Option<Dec>,
    /// Size (bid size of a quote).
    pub size: Option<Dec>,
    /// Ask price of a quote.
    pub ask_price: Option<Dec>,
    /// Ask size of a quote.
    pub ask_size: Option<Dec>,
}

/// A published channel.
#[derive(Debug)]
pub struct Out {
    /// The whole channel name.
    pub name: String,
    /// The venue's channel id (a raw symbol, for definitions).
    pub channel: String,
    /// What it carries.
    pub schema: Schema,
    header: Vec<u8>,
    pending: Vec<u8>,
    announced: bool,
    /// Where its last record begins.
    last: usize,
    /// The newest record of each instrument and kind, for late joiners.
    latest: Vec<(u32, u16, Vec<u8>)>,
    dirty: bool,
}

/// All published channels of a stream.
#[derive(Debug)]
pub struct Outs {
    sink: Sink,
    prefix: String,
    provider: String,
    /// How the keys of this feed begin: one hash tag, so that one node of a cluster holds them all.
    pub keys: String,
    all: Vec<Out>,
    index: HashMap<(Schema, String), usize>,
    touched: Vec<usize>,
    ends: Ends,
    /// Records are made but not published (a replay up to the cursor).
    pub muted: bool,
    muted_bytes: Vec<u8>,
    /// Sequence of the payload at work.
    pub sequence: u64,
    /// DBN records of the sink `Dbn`.
    data: Vec<u8>,
    sidecar: Vec<u8>,
    records: usize,
    /// Records made so far, also those not published.
    pub made: u64,
    /// Records made so far, by schema.
    pub counts: [u64; 8],
}

/// Publications above this size are cut at the end of a payload.
const PUBLICATION_BYTES: usize = 64 << 10;

impl Outs {
    /// No channels yet.
    pub fn new(sink: Sink, provider: &str, instance: &str) -> Self {
        Self {
            sink,
            prefix: format!("MARKET_DATA.{instance}"),
            provider: provider.into(),
            keys: format!("tapeline:{{{provider}:{instance}}}"),
            all: Vec::new(),
            index: HashMap::new(),
            touched: Vec::new(),
            ends: Ends::default(),
            muted: false,
            muted_bytes: Vec::new(),
            sequence: 0,
            data: Vec::new(),
            sidecar: Vec::new(),
            records: 0,
            made: 0,
            counts: [0; 8],
        }
    }

    /// The channel of that schema and id, made known where it is new.
    pub fn find(&mut self, schema: Schema, channel: &str) -> usize {
        if let Some(found) = self.index.get(&(schema, channel.into())) {
            return *found;
        }
        let name = format!("{}.{}.{}.{channel}", self.prefix, schema.name(), self.provider);
        self.all.push(Out {
            header: resp::publish_header(name.as_bytes()),
            name,
            channel: channel.into(),
            schema,
            pending: Vec::new(),
            announced: false,
            last: 0,
            latest: Vec::new(),
            dirty: false,
        });
        self.index.insert((schema, channel.into()), self.all.len() - 1);
        self.all.len() - 1
    }

    /// All channels, by number.
    pub fn all(&self) -> &[Out] {
        &self.all
    }

    /// Writes one record; `write` appends exactly one.
    #[inline]
    pub fn record(&mut self, out: usize, exact: &Exact, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(channel) = self.all.get_mut(out) else { return };
        self.made += 1;
        if self.muted {
            self.muted_bytes.clear();
            write(&mut self.muted_bytes);
            return;
        }
        self.counts[channel.schema as usize] += 1;
        self.records += 1;
        let buffer = match self.sink {
            Sink::Resp => {
                if channel.pending.is_empty() {
                    self.touched.push(out);
                }
                &mut channel.pending
            }
            Sink::Dbn => &mut self.data,
        };
        let start = buffer.len();
        write(buffer);
        let instrument = buffer.get(start + INSTRUMENT_AT..).and_then(|bytes| bytes.first_chunk());
        self.ends.note(out, u32::from_le_bytes(*instrument.unwrap_or(&[0; 4])), start);
        channel.last = start;
        if self.sink == Sink::Dbn {
            let schema = channel.schema;
            self.sidecar_row(start, out, schema, exact);
        }
    }

    fn sidecar_row(&mut self, offset: usize, out: usize, schema: Schema, exact: &Exact) {
        let row = &mut self.sidecar;
        let numbers = [exact.price, exact.size, exact.ask_price, exact.ask_size];
        row.extend_from_slice(&(offset as u64).to_le_bytes());
        row.extend_from_slice(&self.sequence.to_le_bytes());
        row.extend_from_slice(&exact.venue_id.to_le_bytes());
        for number in numbers {
            row.extend_from_slice(&number.unwrap_or_default().mantissa.to_le_bytes());
        }
        for number in numbers {
            row.push(number.unwrap_or_default().decimals);
        }
        row.push(schema as u8);
        row.push(numbers.iter().enumerate().map(|(bit, number)| u8::from(number.is_some()) << bit).sum());
        row.extend_from_slice(&(out.min(usize::from(u16::MAX)) as u16).to_le_bytes());
    }

    /// Keeps the record last written as the newest of its instrument and kind.
    #[inline]
    pub fn keep(&mut self, out: usize, instrument: u32, kind: u16) {
        let Some(channel) = self.all.get_mut(out) else { return };
        let bytes: &[u8] = if self.muted {
            &self.muted_bytes
        } else {
            let buffer = match self.sink {
                Sink::Resp => &channel.pending,
                Sink::Dbn => &self.data,
            };
            buffer.get(channel.last..).unwrap_or_default()
        };
        channel.dirty = true;
        match channel.latest.iter_mut().find(|(id, known, _)| (*id, *known) == (instrument, kind)) {
            Some((_, _, kept)) => {
                kept.clear();
                kept.extend_from_slice(bytes);
            }
            None => channel.latest.push((instrument, kind, bytes.to_vec())),
        }
    }

    /// Ends a venue message: the last record of each instrument on each channel gets `F_LAST`.
    #[inline]
    pub fn end_message(&mut self) {
        for (out, _, start) in &self.ends.all {
            let Some(channel) = self.all.get_mut(*out) else { continue };
            if let Some(at) = channel.schema.flags_at() {
                let buffer = match self.sink {
                    Sink::Resp => &mut channel.pending,
                    Sink::Dbn => &mut self.data,
                };
                if let Some(flags) = buffer.get_mut(start + at) {
                    *flags |= F_LAST;
                }
            }
        }
    }

    /// Ends a payload, and with it a message; large publications are cut here.
    #[inline]
    pub fn end_payload(&mut self, done: &mut Vec<u8>, commands: &mut u32) {
        self.end_message();
        for (out, _, _) in &self.ends.all {
            let Some(channel) = self.all.get_mut(*out) else { continue };
            if self.sink == Sink::Resp && channel.pending.len() >= PUBLICATION_BYTES {
                publish(channel, &self.keys, done, commands);
                self.touched.retain(|known| known != out);
            }
        }
        self.ends.clear();
    }

    /// Ends a batch: everything pending becomes commands, or the DBN made so far is handed over with its sidecar.
    pub fn end_batch(&mut self, done: &mut Vec<u8>, commands: &mut u32) -> (Vec<u8>, usize) {
        for out in self.touched.drain(..) {
            if let Some(channel) = self.all.get_mut(out) {
                publish(channel, &self.keys, done, commands);
            }
        }
        if self.sink == Sink::Dbn {
            std::mem::swap(done, &mut self.data);
            self.data.clear();
        }
        (std::mem::take(&mut self.sidecar), std::mem::take(&mut self.records))
    }

    /// Late-join keys of channels with kept records that have changed since the last call (or all).
    pub fn flush(&mut self, done: &mut Vec<u8>, commands: &mut u32, all: bool) {
        for channel in &mut self.all {
            if channel.latest.is_empty() || !(all || channel.dirty) {
                continue;
            }
            channel.dirty = false;
            let mut bytes = Vec::new();
            for (_, _, record) in &channel.latest {
                bytes.extend_from_slice(record);
            }
            resp::set(done, format!("{}:snapshot:{}", self.keys, channel.name).as_bytes(), &bytes);
            *commands += 1;
        }
    }
}

/// The last record so far of each instrument on each channel, of the payload at work.
#[derive(Debug, Default)]
struct Ends {
    /// Channel, instrument, and where the record begins.
    all: Vec<(usize, u32, usize)>,
    /// Their places in `all`, once they are many.
    index: HashMap<(usize, u32), usize>,
}

/// Where a record holds its `instrument_id`.
const INSTRUMENT_AT: usize = 4;
/// So many are looked through one by one.
const FEW: usize = 16;

impl Ends {
    #[inline]
    fn note(&mut self, out: usize, instrument: u32, start: usize) {
        let place = match self.all.last() {
            Some((last, of, _)) if (*last, *of) == (out, instrument) => Some(self.all.len() - 1),
            _ => self.find(out, instrument),
        };
        match place {
            Some(place) => self.all[place].2 = start,
            None => self.all.push((out, instrument, start)),
        }
    }

    fn find(&mut self, out: usize, instrument: u32) -> Option<usize> {
        if self.all.len() <= FEW {
            return self.all.iter().position(|(known, of, _)| (*known, *of) == (out, instrument));
        }
        for place in self.index.len()..self.all.len() {
            let (known, of, _) = self.all[place];
            self.index.insert((known, of), place);
        }
        self.index.get(&(out, instrument)).copied()
    }

    #[inline]
    fn clear(&mut self) {
        self.all.clear();
        if !self.index.is_empty() {
            self.index.clear();
        }
    }
}

fn publish(channel: &mut Out, keys: &str, done: &mut Vec<u8>, commands: &mut u32) {
    if channel.pending.is_empty() {
        return;
    }
    if !channel.announced {
        channel.announced = true;
        resp::sadd(done, format!("{keys}:channels").as_bytes(), &[channel.name.as_bytes()]);
        *commands += 1;
    }
    resp::publish(done, &channel.header, &channel.pending);
    *commands += 1;
    channel.pending.clear();
}
