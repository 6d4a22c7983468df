//! Puts frames on channels: compiles a `Routing` and writes the frames it knows into the open batch.
//!
//! In steady state a frame costs a scan of its first keys, one hash lookup of the raw values that name the channel, and
//! the copy of its bytes: a channel's name is made once, when it is first seen.

use std::hash::Hasher;

use hashbrown::{HashMap, HashTable};
use rustc_hash::{FxBuildHasher, FxHasher};
use serde::Deserialize;

use crate::glob;
use crate::json::{unescape, Found, Kind, Tree, Value};
use crate::plan::SpecError;
use crate::wire::BatchWriter;

/// Longer names are not channels but damage.
const MAX_NAME: usize = 512;

/// Channels remembered between batches; a venue has a few thousand, a damaged feed can make up any number.
const MAX_CHANNELS: usize = 1 << 17;

#[derive(Debug, Deserialize)]
struct RoutingSpec {
    routes: Vec<RouteSpec>,
    schemas: Vec<SchemaSpec>,
}

#[derive(Debug, Deserialize)]
struct RouteSpec {
    channel: String,
    when: Vec<MatchSpec>,
    words: Vec<(String, String)>,
}

#[derive(Debug, Deserialize)]
struct MatchSpec {
    path: String,
    equals: Vec<String>,
    absent: bool,
}

#[derive(Debug, Deserialize)]
struct SchemaSpec {
    glob: String,
    schema: String,
}

#[derive(Debug)]
struct Condition {
    slot: u16,
    equals: Vec<Box<[u8]>>,
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
    when: Vec<Condition>,
    words: Vec<(Box<[u8]>, String)>,
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
    /// The route that takes the frame.
    Taken(usize),
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

#[derive(Debug)]
struct Channel {
    name: String,
    schema: String,
    /// The batch `index` belongs to.
    batch: u64,
    index: u32,
}

/// Routes frames of one provider, instance and epoch into batches.
#[derive(Debug)]
pub struct Router {
    routes: Vec<Route>,
    schemas: Vec<(String, String)>,
    tree: Tree,
    found: Found,
    /// What the next scan stops at: the slots that decided the frames before.
    goal: u64,
    seen: HashTable<Seen>,
    channels: Vec<Channel>,
    /// By name and schema.
    names: HashMap<(String, String), usize, FxBuildHasher>,
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
        for (place, route) in spec.routes.iter().enumerate() {
            let route = compile(&mut tree, route)
                .map_err(|error| SpecError(format!("routing: routes[{place}]: {}", error.0)))?;
            routes.push(route);
        }
        Ok(Self {
            goal: routes.first().map_or(0, |route| route.goal),
            routes,
            schemas: spec.schemas.into_iter().map(|entry| (entry.glob, entry.schema)).collect(),
            tree,
            found: Found::default(),
            seen: HashTable::new(),
            channels: Vec::new(),
            names: HashMap::default(),
            batch: 1,
            writer: BatchWriter::new(provider, instance, epoch),
        })
    }

    /// Routes one frame into the open batch; its sequence, or `None` where no route takes it.
    #[inline]
    pub fn push(&mut self, connection: u32, ts_recv: u64, frame: &[u8]) -> Option<u64> {
        let channel = self.route(frame)?;
        let index = self.open(channel);
        Some(self.writer.payload(index, ts_recv, connection, frame))
    }

    /// Puts a payload that the caller has routed into the open batch; its sequence.
    pub fn inject(&mut self, channel: &str, schema: &str, ts_recv: u64, connection: u32, payload: &[u8]) -> u64 {
        let channel = self.channel(channel.to_owned(), schema.to_owned());
        let index = self.open(channel);
        self.writer.payload(index, ts_recv, connection, payload)
    }

    /// Closes the open batch, as `BatchWriter::finish` does.
    pub fn take<T>(&mut self, write: impl FnOnce(&[u8], &[u8]) -> T) -> Option<(u64, u64, T)> {
        let taken = self.writer.finish(write);
        self.batch += 1;
        if self.channels.len() > MAX_CHANNELS || self.seen.len() > MAX_CHANNELS {
            self.seen.clear();
            self.channels.clear();
            self.names.clear();
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

    /// The channel's index in the open batch.
    #[inline]
    fn open(&mut self, channel: usize) -> u32 {
        let channel = &mut self.channels[channel];
        if channel.batch != self.batch {
            channel.batch = self.batch;
            channel.index = self.writer.channel(&channel.name, &channel.schema);
        }
        channel.index
    }

    #[inline]
    fn route(&mut self, frame: &[u8]) -> Option<usize> {
        // The scan stops where frames before could be decided. What it has found by then counts the same where the
        // frame breaks off further on: the normalizer is the judge of that.
        let sound = self.tree.scan_until(frame, &mut self.found, self.goal).is_ok();
        let stopped = sound && self.goal != 0 && self.reached();
        match self.decide(frame, sound && !stopped) {
            Decision::Taken(route) => {
                if !stopped {
                    self.goal = self.routes[route].goal;
                }
                self.named(route, frame)
            }
            Decision::Open if stopped => self.route_whole(frame),
            Decision::Open | Decision::None => None,
        }
    }

    /// Decides a frame that was stopped at too early, and learns from it what to stop at.
    fn route_whole(&mut self, frame: &[u8]) -> Option<usize> {
        let sound = self.tree.scan_until(frame, &mut self.found, 0).is_ok();
        let Decision::Taken(route) = self.decide(frame, sound) else { return None };
        let wider = self.goal | self.routes[route].goal;
        if wider == self.goal {
            // All the route asks for was there and did not decide it, nor would it the next time.
            self.routes[route].goal = 0;
            self.goal = 0;
        } else {
            self.goal = wider;
        }
        self.named(route, frame)
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
    fn decide(&self, frame: &[u8], whole: bool) -> Decision {
        for (place, route) in self.routes.iter().enumerate() {
            match route.takes(&self.found.slots, frame, whole) {
                Holds::Yes => return Decision::Taken(place),
                Holds::No => {}
                Holds::NotYetKnown => return Decision::Open,
            }
        }
        Decision::None
    }

    /// The channel that the found values name; known ones cost a hash and a comparison.
    #[inline]
    fn named(&mut self, route: usize, frame: &[u8]) -> Option<usize> {
        let compiled = &self.routes[route];
        let hash = compiled.hash(route, &self.found.slots, frame);
        let seen = self.seen.find(hash, |seen| seen.route == route && compiled.is(seen, &self.found.slots, frame));
        match seen {
            Some(seen) => Some(seen.channel),
            None => self.learn(route, hash, frame),
        }
    }

    #[cold]
    fn learn(&mut self, route: usize, hash: u64, frame: &[u8]) -> Option<usize> {
        let compiled = &self.routes[route];
        let name = compiled.render(&self.found.slots, frame)?;
        let (mut values, mut ends) = (Vec::new(), Vec::new());
        for value in compiled.values(&self.found.slots) {
            values.extend_from_slice(value.of(frame));
            ends.push(values.len() as u32);
        }
        let schema = self.schemas.iter().find(|(glob, _)| glob::matches(glob, &name));
        let schema = schema.map_or_else(String::new, |(_, schema)| schema.clone());
        let channel = self.channel(name, schema);
        let entry = Seen { route, values: values.into(), ends: ends.into(), channel };
        self.seen.insert_unique(hash, entry, |seen| hash_of(seen.route, seen.parts()));
        Some(channel)
    }

    fn channel(&mut self, name: String, schema: String) -> usize {
        let next = self.channels.len();
        let channel = *self.names.entry((name.clone(), schema.clone())).or_insert(next);
        if channel == next {
            self.channels.push(Channel { name, schema, batch: 0, index: 0 });
        }
        channel
    }
}

impl Route {
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
        let fits = if self.equals.is_empty() || !value.given() {
            value.given()
        } else if value.kind == Kind::Escaped {
            let text = unescape(value.of(frame));
            self.equals.iter().any(|word| **word == *text.as_bytes())
        } else {
            self.equals.iter().any(|word| **word == *value.of(frame))
        };
        if fits != self.absent {
            Holds::Yes
        } else {
            Holds::No
        }
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

fn compile(tree: &mut Tree, spec: &RouteSpec) -> Result<Route, SpecError> {
    let pieces = pieces(tree, &spec.channel)?;
    let when: Vec<Condition> = spec
        .when
        .iter()
        .map(|on| Condition {
            slot: tree.slot(&on.path),
            equals: on.equals.iter().map(|word| word.as_bytes().into()).collect(),
            absent: on.absent,
        })
        .collect();
    let named = pieces.iter().filter_map(|piece| match piece {
        Piece::Slot(slot) => Some(*slot),
        Piece::Literal(_) => None,
    });
    let required = named.chain(when.iter().filter(|on| !on.absent).map(|on| on.slot));
    let goal = required.fold(0, |goal, slot| goal | 1u64.checked_shl(u32::from(slot)).unwrap_or(0));
    let words = spec.words.iter().map(|(from, to)| (from.as_bytes().into(), to.clone())).collect();
    Ok(Route { pieces, when, words, goal })
}

/// Splits a template into literals and the slots of its paths.
fn pieces(tree: &mut Tree, template: &str) -> Result<Vec<Piece>, SpecError> {
    let wrong = |what: &str| SpecError(format!("channel {template:?}: {what}"));
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((literal, after)) = rest.split_once('{') {
        let (path, after) = after.split_once('}').ok_or_else(|| wrong("a brace is not closed"))?;
        if path.is_empty() || path.contains('{') || literal.contains('}') {
            return Err(wrong("braces hold one path each"));
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.to_owned()));
        }
        pieces.push(Piece::Slot(tree.slot(path)));
        rest = after;
    }
    if rest.contains('}') {
        return Err(wrong("a brace is not opened"));
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest.to_owned()));
    }
    if pieces.is_empty() {
        return Err(wrong("it is empty"));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests;
