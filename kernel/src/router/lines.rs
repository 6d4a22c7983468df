//! What a router knows of its connections: which endpoint each belongs to, and the keys its acks have told; and of channels.

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

/// Channels remembered between batches; a venue has a few thousand, a damaged feed can make up any number.
pub const MAX_CHANNELS: usize = 1 << 17;

/// What is known of one connection.
#[derive(Debug, Default)]
pub struct Line {
    /// Its endpoint's name.
    pub name: String,
    /// The bit of its endpoint; 0 where no route names it.
    pub endpoint: u64,
    /// What scans of its frames stop at.
    pub goal: u64,
    /// Channels by the key its data name them by.
    keys: HashMap<Box<[u8]>, usize, FxBuildHasher>,
}

impl Line {
    pub fn new(name: &str, endpoint: u64) -> Self {
        Self { name: name.to_owned(), endpoint, ..Self::default() }
    }

    /// The channel of a key.
    #[inline]
    pub fn channel(&self, key: &[u8]) -> Option<usize> {
        self.keys.get(key).copied()
    }

    pub fn learn(&mut self, key: &[u8], channel: usize) {
        self.keys.insert(key.into(), channel);
    }

    pub fn forget(&mut self, key: &[u8]) {
        self.keys.remove(key);
    }
}

#[derive(Debug)]
pub struct Channel {
    pub name: String,
    pub schema: String,
    /// The newest value of its route's cursor.
    pub cursor: Vec<u8>,
    /// The batch `index` belongs to.
    pub batch: u64,
    pub index: u32,
}

/// All channels met so far.
#[derive(Debug, Default)]
pub struct Channels {
    pub all: Vec<Channel>,
    /// By name and schema.
    names: HashMap<(String, String), usize, FxBuildHasher>,
}

impl Channels {
    pub fn add(&mut self, name: String, schema: String) -> usize {
        let next = self.all.len();
        let channel = *self.names.entry((name.clone(), schema.clone())).or_insert(next);
        if channel == next {
            self.all.push(Channel { name, schema, cursor: Vec::new(), batch: 0, index: 0 });
        }
        channel
    }

    /// The newest cursor of a channel; empty where it has none.
    pub fn cursor(&self, name: &str) -> &[u8] {
        let found = self.all.iter().filter(|channel| channel.name == name);
        found.map(|channel| channel.cursor.as_slice()).find(|cursor| !cursor.is_empty()).unwrap_or_default()
    }

    /// Starts anew with the channels that connections have keys for, and the first of those that have a cursor.
    pub fn renew<'a>(&mut self, lines: impl Iterator<Item = &'a mut Line>) {
        let old = std::mem::take(self);
        for channel in lines.flat_map(|line| line.keys.values_mut()) {
            if let Some(known) = old.all.get(*channel) {
                *channel = self.add(known.name.clone(), known.schema.clone());
            }
        }
        let kept = old.all.into_iter().filter(|channel| !channel.cursor.is_empty());
        for known in kept.take(MAX_CHANNELS / 2) {
            let channel = self.add(known.name, known.schema);
            self.all[channel].cursor = known.cursor;
        }
    }
}
