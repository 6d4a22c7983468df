//! Puts frames on channels: compiles a `Routing` and writes the frames it knows into the open batch.
//!
//! In steady state a frame costs a scan of its first keys, one hash lookup of the raw values that name the channel, and
//! the copy of its bytes: a channel's name is made once, when it is first seen. A frame that is not JSON is decoded to be
//! routed; what goes into the batch is the frame as it came.

mod compile;
mod lines;

use std::hash::Hasher;

use hashbrown::{HashMap, HashTable};
use rustc_hash::{FxBuildHasher, FxHasher};

use crate::decode::{Decoder, Undecodable};
use crate::glob;
use crate::json::{unescape, Found, Kind, Tree, Value};
use crate::plan::SpecError;
use crate::wire::BatchWriter;
use compile::{compile, RoutingSpec};
use lines::{Channels, Line, MAX_CHANNELS};

/// Longer names are not channels but damage.
const MAX_NAME: usize = 512;

#[derive(Debug)]
struct Condition {
    slot: u16,
    equals: Vec<Box<[u8]>>,
    like: Box<[String]>,
    /// Whether every value will do.
    any: bool,
    absent: bool,
}

#[derive(Debug)]
enum Piece {
    Literal(String),
    Slot(u16),
}

#[derive(Debug)]
struct Route {
    pieces: Vec<Piece>,
    /// Its only piece is the key by which the connection's acks named the channel.
    by_key: bool,
    when: Vec<Condition>,
    words: Vec<(Box<[u8]>, String)>,
    /// Bits of the endpoints it holds for; 0: all.
    endpoints: u64,
    /// The value remembered for its channels.
    cursor: Option<u16>,
    /// Slots that decide the route once they are found; 0 where only a whole scan can.
    goal: u64,
}

/// What is known of a condition or route when only a part of the frame has been read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Yes,
    No,
    NotYetKnown,
}

enum Decision {
    /// The route that takes the frame, and the channel where a key tells it.
    Taken(usize, Option<usize>),
    /// No route takes it.
    None,
    /// The part read does not say.
    Open,
}

/// The raw values that named a channel, one after another with their ends, and the channel.
#[derive(Debug)]
struct Seen {
    route: usize,
    values: Box<[u8]>,
    ends: Box<[u32]>,
    channel: usize,
}

/// Routes frames of one provider, instance and epoch into batches.
#[derive(Debug)]
pub struct Router {
    routes: Vec<Route>,
    schemas: Vec<(String, String)>,
    tree: Tree,
    found: Found,
    decoder: Option<Box<Decoder>>,
    /// What the next scan stops at: the slots that decided the frames before.
    goal: u64,
    seen: HashTable<Seen>,
    channels: Channels,
    /// Neither a decoder nor anything of its routes asks for more than a frame's own text; what they may ask for is
    /// `APART` in the steps of routing.
    plain: bool,
    by_key: bool,
    /// Names of the endpoints that routes tell apart, by their bit.
    endpoints: Vec<String>,
    lines: HashMap<u32, Line, FxBuildHasher>,
    /// The connection that `goal` and `endpoint` are of.
    line: Option<u32>,
    endpoint: u64,
    /// Counts batches, so that channels need not be walked over to open one.
    batch: u64,
    writer: BatchWriter,
}

impl Router {
    /// Compiles the JSON of a `Routing`; `epoch` is ns since the Unix epoch.
    pub fn new(routing: &[u8], provider: &str, instance: &str, epoch: u64) -> Result<Self, SpecError> {
        let spec: RoutingSpec =
            serde_json::from_slice(routing).map_err(|error| SpecError(format!("routing: {error}")))?;
        let mut tree = Tree::default();
        let mut routes = Vec::with_capacity(spec.routes.len());
        let mut endpoints = Vec::new();
        for (place, route) in spec.routes.iter().enumerate() {
            let route = compile(&mut tree, &mut endpoints, route)
                .map_err(|error| SpecError(format!("routing: routes[{place}]: {}", error.0)))?;
            routes.push(route);
        }
        let decoder = spec.decoder.as_ref().map(Decoder::new).transpose();
        let decoder = decoder.map_err(|error| SpecError(format!("routing: {}", error.0)))?;
        let by_key = routes.iter().any(|route: &Route| route.by_key);
        Ok(Self {
            goal: routes.first().map_or(0, |route| route.goal),
            plain: decoder.is_none() && routes.iter().all(Route::is_plain),
            by_key,
            endpoints,
            lines: HashMap::default(),
            line: None,
            endpoint: 0,
            decoder: decoder.map(Box::new),
            routes,
            schemas: spec.schemas.into_iter().map(|entry| (entry.glob, entry.schema)).collect(),
            tree,
            found: Found::default(),
            seen: HashTable::new(),
            channels: Channels::default(),
            batch: 1,
            writer: BatchWriter::new(provider, instance, epoch),
        })
    }

    /// Routes one frame into the open batch; its sequence, or `None` where no route takes it.
    #[inline]
    pub fn push(&mut self, connection: u32, ts_recv: u64, frame: &[u8]) -> Option<u64> {
        let channel = if self.plain { self.route::<false>(frame) } else { self.route_apart(connection, frame) }?;
        let index = self.open(channel);
        Some(self.writer.payload(index, ts_recv, connection, frame))
    }

    /// Whether frames behind one that no route takes must wait until that one is understood: it may tell a key of theirs.
    pub fn stops(&self) -> bool {
        self.by_key
    }

    /// A connection has begun, to the endpoint of this name; whatever was known of one with its number is forgotten.
    pub fn connected(&mut self, connection: u32, endpoint: &str) {
        self.lines.insert(connection, Line::new(endpoint, self.bit(endpoint)));
        self.line = None;
    }

    /// Goes on by another routing of the same venue: the open batch, channels, connections and their keys stay as they are.
    pub fn reroute(&mut self, routing: &[u8]) -> Result<(), SpecError> {
        let next = Self::new(routing, "", "", 0)?;
        let before = std::mem::replace(self, next);
        (self.writer, self.batch) = (before.writer, before.batch);
        (self.channels, self.lines) = (before.channels, before.lines);
        let bits: Vec<u64> = self.lines.values().map(|line| self.bit(&line.name)).collect();
        for (line, bit) in self.lines.values_mut().zip(bits) {
            (line.endpoint, line.goal) = (bit, 0);
        }
        Ok(())
    }

    /// The bit of an endpoint that routes tell apart; 0 for any other.
    fn bit(&self, endpoint: &str) -> u64 {
        self.endpoints.iter().position(|name| name == endpoint).map_or(0, |place| 1 << place)
    }

    /// From now on a key names a channel in the connection's frames.
    pub fn learn(&mut self, connection: u32, key: &str, channel: &str) {
        let schema = self.schema(channel);
        let channel = self.channels.add(channel.to_owned(), schema);
        self.lines.entry(connection).or_default().learn(key.as_bytes(), channel);
        self.line = None;
    }

    /// A key names nothing any more; without one the connection has ended.
    pub fn forget(&mut self, connection: u32, key: Option<&str>) {
        match key {
            Some(key) => {
                if let Some(line) = self.lines.get_mut(&connection) {
                    line.forget(key.as_bytes());
                }
            }
            None => {
                self.lines.remove(&connection);
                self.line = None;
            }
        }
    }

    /// The JSON text of a frame, which may be the frame itself.
    pub fn decode<'a>(&'a mut self, frame: &'a [u8]) -> Result<&'a [u8], Undecodable> {
        match &mut self.decoder {
            Some(decoder) => decoder.decode(frame),
            None => Ok(frame),
        }
    }

    /// The newest value of the cursor of a channel's route; empty where there is none yet.
    pub fn cursor(&self, channel: &str) -> String {
        String::from_utf8_lossy(self.channels.cursor(channel)).into_owned()
    }

    /// Puts a payload that the caller has routed into the open batch; its sequence.
    pub fn inject(&mut self, channel: &str, schema: &str, ts_recv: u64, connection: u32, payload: &[u8]) -> u64 {
        let channel = self.channels.add(channel.to_owned(), schema.to_owned());
        let index = self.open(channel);
        self.writer.payload(index, ts_recv, connection, payload)
    }

    /// Closes the open batch, as `BatchWriter::finish` does.
    pub fn take<T>(&mut self, write: impl FnOnce(&[u8], &[u8]) -> T) -> Option<(u64, u64, T)> {
        let taken = self.writer.finish(write);
        self.batch += 1;
        if self.channels.all.len() > MAX_CHANNELS || self.seen.len() > MAX_CHANNELS {
            self.seen.clear();
            self.channels.renew(self.lines.values_mut());
        }
        taken
    }

    /// The sequence the next payload will carry.
    pub fn next_sequence(&self) -> u64 {
        self.writer.next_sequence()
    }

    /// How many payloads the open batch holds.
    pub fn open_payloads(&self) -> u64 {
        self.writer.open_payloads()
    }

    /// How many bytes the open batch holds.
    pub fn open_bytes(&self) -> usize {
        self.writer.open_bytes()
    }

    /// Routes a frame that has to be decoded, or whose connection counts.
    #[inline(never)]
    fn route_apart(&mut self, connection: u32, frame: &[u8]) -> Option<usize> {
        if self.line != Some(connection) {
            self.turn_to(connection);
        }
        let Some(mut decoder) = self.decoder.take() else { return self.route::<true>(frame) };
        let channel = decoder.decode(frame).ok().and_then(|text| self.route::<true>(text));
        self.decoder = Some(decoder);
        channel
    }

    #[cold]
    fn turn_to(&mut self, connection: u32) {
        if let Some(line) = self.line.and_then(|before| self.lines.get_mut(&before)) {
            line.goal = self.goal;
        }
        let line = self.lines.get(&connection);
        (self.endpoint, self.goal) = line.map_or((0, 0), |line| (line.endpoint, line.goal));
        self.line = Some(connection);
    }

    /// The channel's index in the open batch.
    #[inline]
    fn open(&mut self, channel: usize) -> u32 {
        let channel = &mut self.channels.all[channel];
        if channel.batch != self.batch {
            channel.batch = self.batch;
            channel.index = self.writer.channel(&channel.name, &channel.schema);
        }
        channel.index
    }

    #[inline]
    fn route<const APART: bool>(&mut self, frame: &[u8]) -> Option<usize> {
        // The scan stops where frames before could be decided. What it has found by then counts the same where the
        // frame breaks off further on: the normalizer is the judge of that.
        let sound = self.tree.scan_until(frame, &mut self.found, self.goal).is_ok();
        let stopped = sound && self.goal != 0 && self.reached();
        match self.decide::<APART>(frame, sound && !stopped) {
            Decision::Taken(route, channel) => {
                if !stopped {
                    self.goal = self.routes[route].goal;
                }
                self.named::<APART>(route, channel, frame, stopped)
            }
            Decision::Open if stopped => self.route_whole::<APART>(frame),
            Decision::Open | Decision::None => None,
        }
    }

    /// Decides a frame that was stopped at too early, and learns from it what to stop at.
    fn route_whole<const APART: bool>(&mut self, frame: &[u8]) -> Option<usize> {
        let sound = self.tree.scan_until(frame, &mut self.found, 0).is_ok();
        let Decision::Taken(route, channel) = self.decide::<APART>(frame, sound) else { return None };
        let wider = self.goal | self.routes[route].goal;
        if wider == self.goal {
            // All the route asks for was there and did not decide it, nor would it the next time.
            self.routes[route].goal = 0;
            self.goal = 0;
        } else {
            self.goal = wider;
        }
        self.named::<APART>(route, channel, frame, false)
    }

    /// Whether the scan has found all it was to stop at.
    #[inline]
    fn reached(&self) -> bool {
        let mut left = self.goal;
        while left != 0 {
            if self.found.slots[left.trailing_zeros() as usize].kind == Kind::Absent {
                return false;
            }
            left &= left - 1;
        }
        true
    }

    /// Tries the routes in order. In a part of a frame, a value not found may still come.
    #[inline]
    fn decide<const APART: bool>(&self, frame: &[u8], whole: bool) -> Decision {
        for (place, route) in self.routes.iter().enumerate() {
            if APART && route.endpoints != 0 && route.endpoints & self.endpoint == 0 {
                continue;
            }
            match route.takes(&self.found.slots, frame, whole) {
                Holds::Yes if APART && route.by_key => {
                    let channel = self.keyed(route, frame);
                    if channel.is_some() {
                        return Decision::Taken(place, channel);
                    }
                }
                Holds::Yes => return Decision::Taken(place, None),
                Holds::No => {}
                Holds::NotYetKnown => return Decision::Open,
            }
        }
        Decision::None
    }

    /// The channel that the key in a frame names, if its connection has told.
    #[inline]
    fn keyed(&self, route: &Route, frame: &[u8]) -> Option<usize> {
        let line = self.lines.get(&self.line?)?;
        let key = route.values(&self.found.slots).next()?;
        match key.kind {
            Kind::Escaped => line.channel(unescape(key.of(frame)).as_bytes()),
            _ => line.channel(key.of(frame)),
        }
    }

    /// The channel that the found values name; known ones cost a hash and a comparison.
    #[inline]
    fn named<const APART: bool>(
        &mut self,
        route: usize,
        channel: Option<usize>,
        frame: &[u8],
        stopped: bool,
    ) -> Option<usize> {
        let compiled = &self.routes[route];
        let cursor = compiled.cursor.filter(|_| APART);
        let channel = match channel {
            Some(channel) if APART => channel,
            _ => {
                let hash = compiled.hash(route, &self.found.slots, frame);
                let is = |seen: &Seen| seen.route == route && compiled.is(seen, &self.found.slots, frame);
                match self.seen.find(hash, is) {
                    Some(seen) => seen.channel,
                    None => self.meet(route, hash, frame)?,
                }
            }
        };
        if let Some(slot) = cursor {
            self.remember(channel, slot, frame, stopped);
        }
        Some(channel)
    }

    /// Keeps a cursor's value, for which a frame that was decided early is read on.
    fn remember(&mut self, channel: usize, slot: u16, frame: &[u8], stopped: bool) {
        if stopped && self.found.slots[usize::from(slot)].kind == Kind::Absent {
            let goal = 1u64.checked_shl(u32::from(slot)).unwrap_or(0);
            // What is found before a frame breaks off counts here as well.
            let _ = self.tree.scan_until(frame, &mut self.found, goal);
        }
        let value = self.found.slots[usize::from(slot)];
        let cursor = &mut self.channels.all[channel].cursor;
        match value.kind {
            Kind::Text | Kind::Number | Kind::Bool => {
                cursor.clear();
                cursor.extend_from_slice(value.of(frame));
            }
            Kind::Escaped => *cursor = unescape(value.of(frame)).into_bytes(),
            Kind::Absent | Kind::Null | Kind::Object | Kind::Array => {}
        }
    }

    #[cold]
    fn meet(&mut self, route: usize, hash: u64, frame: &[u8]) -> Option<usize> {
        let compiled = &self.routes[route];
        let name = compiled.render(&self.found.slots, frame)?;
        let (mut values, mut ends) = (Vec::new(), Vec::new());
        for value in compiled.values(&self.found.slots) {
            values.extend_from_slice(value.of(frame));
            ends.push(values.len() as u32);
        }
        let schema = self.schema(&name);
        let channel = self.channels.add(name, schema);
        let entry = Seen { route, values: values.into(), ends: ends.into(), channel };
        self.seen.insert_unique(hash, entry, |seen| hash_of(seen.route, seen.parts()));
        Some(channel)
    }

    fn schema(&self, channel: &str) -> String {
        let schema = self.schemas.iter().find(|(glob, _)| glob::matches(glob, channel));
        schema.map_or_else(String::new, |(_, schema)| schema.clone())
    }
}

impl Route {
    fn is_plain(&self) -> bool {
        !self.by_key && self.endpoints == 0 && self.cursor.is_none()
    }

    #[inline]
    fn takes(&self, slots: &[Value], frame: &[u8], whole: bool) -> Holds {
        let mut holds = Holds::Yes;
        for condition in &self.when {
            match condition.holds(slots[usize::from(condition.slot)], frame, whole) {
                Holds::No => return Holds::No,
                Holds::NotYetKnown => holds = Holds::NotYetKnown,
                Holds::Yes => {}
            }
        }
        for value in self.values(slots) {
            match value.kind {
                Kind::Text | Kind::Escaped | Kind::Number | Kind::Bool => {}
                Kind::Absent if !whole => holds = Holds::NotYetKnown,
                _ => return Holds::No,
            }
        }
        holds
    }

    #[inline]
    fn values<'a>(&'a self, slots: &'a [Value]) -> impl Iterator<Item = Value> + 'a {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Slot(slot) => Some(slots[usize::from(*slot)]),
            Piece::Literal(_) => None,
        })
    }

    #[inline]
    fn hash(&self, route: usize, slots: &[Value], frame: &[u8]) -> u64 {
        hash_of(route, self.values(slots).map(|value| value.of(frame)))
    }

    #[inline]
    fn is(&self, seen: &Seen, slots: &[Value], frame: &[u8]) -> bool {
        seen.parts().eq(self.values(slots).map(|value| value.of(frame)))
    }

    /// The channel's name; `None` where the values do not make one.
    fn render(&self, slots: &[Value], frame: &[u8]) -> Option<String> {
        let mut name = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => name.push_str(text),
                Piece::Slot(slot) => {
                    let value = slots[usize::from(*slot)];
                    let raw = value.of(frame);
                    let text = match value.kind {
                        Kind::Escaped => unescape(raw),
                        _ => std::str::from_utf8(raw).ok()?.to_owned(),
                    };
                    let word = self.words.iter().find(|(from, _)| **from == *text.as_bytes());
                    name.push_str(word.map_or(&text, |(_, to)| to));
                }
            }
        }
        (!name.is_empty() && name.len() <= MAX_NAME && !name.contains(|c: char| c.is_control())).then_some(name)
    }
}

impl Condition {
    #[inline]
    fn holds(&self, value: Value, frame: &[u8], whole: bool) -> Holds {
        if value.kind == Kind::Absent && !whole {
            return Holds::NotYetKnown;
        }
        let fits = if self.any || !value.given() {
            value.given()
        } else if value.kind == Kind::Escaped {
            self.accepts(unescape(value.of(frame)).as_bytes())
        } else {
            self.accepts(value.of(frame))
        };
        if fits != self.absent {
            Holds::Yes
        } else {
            Holds::No
        }
    }

    #[inline]
    fn accepts(&self, text: &[u8]) -> bool {
        self.equals.iter().any(|word| **word == *text) || !self.like.is_empty() && self.alike(text)
    }

    #[inline(never)]
    fn alike(&self, text: &[u8]) -> bool {
        std::str::from_utf8(text).is_ok_and(|text| self.like.iter().any(|like| glob::matches(like, text)))
    }
}

impl Seen {
    #[inline]
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let part = &self.values[start..end as usize];
            start = end as usize;
            part
        })
    }
}

#[inline]
fn hash_of<'a>(route: usize, values: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write_usize(route);
    for value in values {
        hasher.write(value);
        hasher.write_usize(value.len());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
