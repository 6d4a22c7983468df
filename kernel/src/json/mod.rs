//! Finds the values a plan asks for in one pass over a JSON payload, and checks the whole payload's grammar on the way.
//!
//! Values are not decoded: a slot holds where a value's text stands, so numbers keep every digit they were sent with.

mod grammar;
mod members;
mod scan;

use std::fmt;

pub use members::{items, members};
use scan::{Scan, Stop};

/// What kind of JSON value a slot found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Kind {
    /// The path was not in the payload.
    #[default]
    Absent,
    /// A string without escapes; the span is its inside.
    Text,
    /// A string with at least one backslash; the span is its inside, still escaped.
    Escaped,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`.
    Null,
    /// An object, with its braces.
    Object,
    /// An array, with its brackets.
    Array,
}

/// Where a value stands in the payload.
#[derive(Clone, Copy, Debug, Default)]
pub struct Value {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// What it is.
    pub kind: Kind,
}

impl Value {
    /// The value's text within `payload`; empty where it is absent.
    #[inline]
    pub fn of<'a>(&self, payload: &'a [u8]) -> &'a [u8] {
        payload.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Whether the path was there with something other than null.
    #[inline]
    pub fn given(&self) -> bool {
        !matches!(self.kind, Kind::Absent | Kind::Null)
    }
}

/// Why a payload is not the JSON it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// It ends in the middle.
    Truncated,
    /// Its grammar is broken at a byte.
    Syntax(u32),
    /// It nests deeper than any venue does.
    TooDeep,
    /// It is not UTF-8.
    Utf8,
    /// It is longer than 4 GiB.
    TooLong,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JsonError::Truncated => f.write_str("truncated"),
            JsonError::Syntax(at) => write!(f, "syntax at byte {at}"),
            JsonError::TooDeep => f.write_str("nested too deep"),
            JsonError::Utf8 => f.write_str("not UTF-8"),
            JsonError::TooLong => f.write_str("too long"),
        }
    }
}

/// Up to three columns of an array of rows, such as the levels of a book side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Columns {
    /// Rows are arrays: the first three items.
    Places,
    /// Rows are objects: the values of these keys.
    Keys(Vec<Box<[u8]>>),
    /// Rows are strings: the whole of each.
    Text,
}

/// The columns found in one row.
pub type Row = [Value; 3];

/// A key of an object. Up to 13 bytes long it is known by what stands in the payload from its first quote to its colon, as
/// one word: most objects are written without spaces, and then one comparison does for the quotes, the text and the colon.
#[derive(Debug)]
struct Key {
    written: u128,
    mask: u128,
    length: usize,
    text: Box<[u8]>,
    node: u32,
}

impl Key {
    fn new(text: &[u8], node: u32) -> Self {
        let mut written = [0u8; 16];
        let mut mask = [0u8; 16];
        let length = text.len() + 3;
        if length <= written.len() {
            written[0] = b'"';
            written[1..=text.len()].copy_from_slice(text);
            written[text.len() + 1] = b'"';
            written[text.len() + 2] = b':';
            mask[..length].fill(0xff);
        } else {
            // No word is this under no mask.
            written[0] = 1;
        }
        let (written, mask) = (u128::from_le_bytes(written), u128::from_le_bytes(mask));
        Self { written, mask, length, text: text.into(), node }
    }
}

#[derive(Debug, Default)]
struct Node {
    slot: Option<u16>,
    rows: Vec<(u16, Columns)>,
    keys: Vec<Key>,
    items: Vec<(i32, u32)>,
    /// Where the path `*` leads.
    any: Option<u32>,
}

/// The paths a plan asks for, as a tree over keys and array places.
#[derive(Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    slots: u16,
    rows: u16,
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], slots: 0, rows: 0 }
    }
}

impl Tree {
    /// Adds a path (`params.channel`, `data.0.symbol`, `-1`, `.` for the whole payload) and gives its slot; the same path, the same slot.
    /// A piece `*` is an object's first array or object of a key that no path names.
    pub fn slot(&mut self, path: &str) -> u16 {
        let node = self.node(path);
        if let Some(slot) = self.nodes[node].slot {
            return slot;
        }
        let slot = self.slots;
        self.slots += 1;
        self.nodes[node].slot = Some(slot);
        slot
    }

    /// Adds a path whose array is read as rows, and gives the number of its row list.
    pub fn rows(&mut self, path: &str, columns: Columns) -> u16 {
        let node = self.node(path);
        if let Some((rows, _)) = self.nodes[node].rows.iter().find(|(_, known)| *known == columns) {
            return *rows;
        }
        let rows = self.rows;
        self.rows += 1;
        self.nodes[node].rows.push((rows, columns));
        rows
    }

    /// How many slots a scan needs.
    pub fn slot_count(&self) -> usize {
        usize::from(self.slots)
    }

    /// How many row lists a scan needs.
    pub fn row_lists(&self) -> usize {
        usize::from(self.rows)
    }

    fn node(&mut self, path: &str) -> usize {
        let mut at = 0usize;
        for piece in path.split('.').filter(|piece| !piece.is_empty()) {
            if piece == "*" {
                let next = match self.nodes[at].any {
                    Some(next) => next,
                    None => {
                        let next = self.grow() as u32;
                        self.nodes[at].any = Some(next);
                        next
                    }
                };
                at = next as usize;
                continue;
            }
            let place = piece.parse::<i32>().ok();
            let node = &self.nodes[at];
            let known = match place {
                Some(place) => node.items.iter().find(|(known, _)| *known == place).map(|(_, node)| *node),
                None => node.keys.iter().find(|known| *known.text == *piece.as_bytes()).map(|known| known.node),
            };
            let next = known.unwrap_or_else(|| {
                let next = self.grow() as u32;
                if let Some(place) = place {
                    self.nodes[at].items.push((place, next));
                }
                // A number is a place of an array and a key of an object, whichever stands there.
                self.nodes[at].keys.push(Key::new(piece.as_bytes(), next));
                next
            });
            at = next as usize;
        }
        at
    }

    fn grow(&mut self) -> usize {
        self.nodes.push(Node::default());
        self.nodes.len() - 1
    }

    /// Scans the whole payload into `found`; strict about grammar everywhere, also in values nobody asked for.
    pub fn scan(&self, payload: &[u8], found: &mut Found) -> Result<(), JsonError> {
        self.scan_until(payload, found, 0)
    }

    /// Like `scan`, but stops as soon as every slot in the bit mask `goal` (slots 0 to 63; 0: none) has been found.
    pub fn scan_until(&self, payload: &[u8], found: &mut Found, goal: u64) -> Result<(), JsonError> {
        found.reset(self);
        if payload.len() >= u32::MAX as usize {
            return Err(JsonError::TooLong);
        }
        if std::str::from_utf8(payload).is_err() {
            return Err(JsonError::Utf8);
        }
        let mut scan = Scan { b: payload, at: 0, tree: self, found, goal, missing: goal };
        scan.space();
        match scan.value(0, 0) {
            Ok(()) => {}
            Err(Stop::Goal) => return Ok(()),
            Err(Stop::Error(error)) => return Err(error),
        }
        scan.space();
        if scan.at < payload.len() {
            return Err(JsonError::Syntax(scan.at as u32));
        }
        Ok(())
    }
}

/// What a scan found; kept and used again from payload to payload.
#[derive(Debug, Default)]
pub struct Found {
    /// One value a slot.
    pub slots: Vec<Value>,
    /// The rows of each row list.
    pub rows: Vec<Vec<Row>>,
    unfit: Vec<u16>,
}

impl Found {
    fn reset(&mut self, tree: &Tree) {
        self.slots.clear();
        self.slots.resize(tree.slot_count(), Value::default());
        if self.rows.len() != tree.row_lists() {
            self.rows.resize_with(tree.row_lists(), Vec::new);
        }
        for rows in &mut self.rows {
            rows.clear();
        }
        self.unfit.clear();
    }

    /// Whether what stood at a row list's path was an array, but not one of its rows; only where other kinds of message
    /// have something else at that path, anywhere else it is an error of the payload.
    pub fn unfit(&self, list: u16) -> bool {
        self.unfit.contains(&list)
    }
}

/// The text of a string's inside with its escapes resolved; a lone surrogate becomes U+FFFD.
pub fn unescape(inside: &[u8]) -> String {
    let mut quoted = Vec::with_capacity(inside.len() + 2);
    quoted.push(b'"');
    quoted.extend_from_slice(inside);
    quoted.push(b'"');
    match serde_json::from_slice::<String>(&quoted) {
        Ok(text) => text,
        Err(_) => String::from_utf8_lossy(inside).replace('\\', "\u{fffd}"),
    }
}

#[cfg(test)]
mod tests;
