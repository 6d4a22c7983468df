//! Which contents are within reach on either side, and where: the next copy of each, and how many there are.

use std::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::Identity;

/// Of a row that was not held against others.
pub const NO_CONTENT: u32 = u32::MAX;

/// The copies of one content on one side, in order; `first` and `last` are places among the side's rows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Copies {
    pub first: u64,
    pub last: u64,
    pub count: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Content {
    name: Name,
    sides: [Copies; 2],
}

/// 128 bits of an identity, under keys of this process: no two contents meet by chance, nor by design.
type Name = (u64, u64);

/// All contents within reach.
#[derive(Debug)]
pub struct Contents {
    identity: Identity,
    hashers: [DefaultHashBuilder; 2],
    table: HashTable<u32>,
    all: Vec<Content>,
    free: Vec<u32>,
    scratch: Vec<u8>,
}

impl Contents {
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            hashers: [DefaultHashBuilder::default(), DefaultHashBuilder::default()],
            table: HashTable::new(),
            all: Vec::new(),
            free: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Adds a copy at a place of a side; its content, and the place of the copy before it, where there is one.
    pub fn add(&mut self, side: usize, place: u64, payload: &[u8]) -> (u32, Option<u64>) {
        let text = self.identity.of(payload, &mut self.scratch);
        let name = (hash(&self.hashers[0], text), hash(&self.hashers[1], text));
        let all = &mut self.all;
        let entry = self.table.entry(name.0, |at| all[*at as usize].name == name, |at| all[*at as usize].name.0);
        let at = match entry {
            hashbrown::hash_table::Entry::Occupied(known) => *known.get(),
            hashbrown::hash_table::Entry::Vacant(vacant) => {
                let at = self.free.pop().unwrap_or(all.len() as u32);
                vacant.insert(at);
                at
            }
        };
        if at as usize == all.len() {
            all.push(Content::default());
        }
        let content = &mut all[at as usize];
        content.name = name;
        let copies = &mut content.sides[side];
        let before = (copies.count > 0).then_some(copies.last);
        if before.is_none() {
            copies.first = place;
        }
        copies.last = place;
        copies.count += 1;
        (at, before)
    }

    /// The copies of a content on a side.
    #[inline]
    pub fn of(&self, side: usize, content: u32) -> Option<Copies> {
        self.all.get(content as usize).map(|known| known.sides[side]).filter(|copies| copies.count > 0)
    }

    /// How many copies each side has.
    #[inline]
    pub fn copies(&self, content: u32) -> [u32; 2] {
        self.all.get(content as usize).map_or([0; 2], |known| [known.sides[0].count, known.sides[1].count])
    }

    /// The first copy of a content goes; the one after it is `next` further on.
    pub fn drop_first(&mut self, side: usize, content: u32, next: u32) {
        let Some(known) = self.all.get_mut(content as usize) else { return };
        let copies = &mut known.sides[side];
        copies.count = copies.count.saturating_sub(1);
        copies.first += u64::from(next);
        if known.sides[0].count + known.sides[1].count == 0 {
            if let Ok(entry) = self.table.find_entry(known.name.0, |at| *at == content) {
                entry.remove();
                self.free.push(content);
            }
        }
    }

    /// What is held.
    pub fn memory(&self) -> usize {
        self.all.capacity() * size_of::<Content>() + (self.table.capacity() + self.free.capacity()) * size_of::<u32>()
    }
}

fn hash(builder: &DefaultHashBuilder, text: &[u8]) -> u64 {
    let mut hasher = builder.build_hasher();
    hasher.write(text);
    // The end of the text is told by its length: the hasher pads its last words.
    hasher.write_usize(text.len());
    hasher.finish()
}
