//! Walks a payload along a path tree and notes where the values asked for stand.

use super::grammar::MAX_DEPTH;
use super::{Columns, Found, JsonError, Kind, Node, Row, Tree, Value};

/// Why a walk ended early.
pub enum Stop {
    /// All that was asked for has been found.
    Goal,
    /// The payload is broken.
    Error(JsonError),
}

impl From<JsonError> for Stop {
    fn from(error: JsonError) -> Self {
        Stop::Error(error)
    }
}

/// A walk in progress.
pub struct Scan<'a> {
    pub b: &'a [u8],
    pub at: usize,
    pub tree: &'a Tree,
    pub found: &'a mut Found,
    pub goal: u64,
    pub missing: u64,
}

impl<'a> Scan<'a> {
    #[inline]
    pub fn value(&mut self, node: u32, depth: u32) -> Result<(), Stop> {
        let tree = self.tree;
        let here = &tree.nodes[node as usize];
        let start = self.at;
        let kind = match self.peek()? {
            b'{' if !here.keys.is_empty() || here.any.is_some() => self.object(here, depth)?,
            b'[' if !here.rows.is_empty() => self.row_list(here, depth)?,
            b'[' if !here.items.is_empty() => self.array(here, depth)?,
            _ => self.skip(depth)?,
        };
        let Some(slot) = here.slot else { return Ok(()) };
        self.found.slots[usize::from(slot)] = self.spanned(start, kind);
        if self.goal != 0 && slot < 64 {
            self.missing &= !(1u64 << slot);
            if self.missing == 0 {
                return Err(Stop::Goal);
            }
        }
        Ok(())
    }

    fn object(&mut self, here: &'a Node, depth: u32) -> Result<Kind, Stop> {
        if depth >= MAX_DEPTH {
            return Err(JsonError::TooDeep.into());
        }
        self.at += 1;
        self.space();
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(Kind::Object);
        }
        let mut any = here.any;
        loop {
            match self.key(here)? {
                Some(node) => self.value(node, depth + 1)?,
                None if any.is_some() && matches!(self.peek()?, b'{' | b'[') => {
                    if let Some(node) = any.take() {
                        self.value(node, depth + 1)?;
                    }
                }
                None => {
                    self.skip(depth + 1)?;
                }
            }
            if self.next_or(b'}')? {
                return Ok(Kind::Object);
            }
        }
    }

    /// Takes a key and its colon, and gives the node it leads to.
    #[inline]
    fn key(&mut self, here: &'a Node) -> Result<Option<u32>, JsonError> {
        if let Some(ahead) = self.b.get(self.at..).and_then(|ahead| ahead.first_chunk::<16>()) {
            let ahead = u128::from_le_bytes(*ahead);
            if let Some(key) = here.keys.iter().find(|key| ahead & key.mask == key.written) {
                self.at += key.length;
                self.space();
                return Ok(Some(key.node));
            }
        }
        let start = self.at + 1;
        self.string()?;
        let end = self.at - 1;
        self.colon()?;
        let text = self.b.get(start..end).unwrap_or_default();
        Ok(here.keys.iter().find(|key| *key.text == *text).map(|key| key.node))
    }

    fn array(&mut self, here: &'a Node, depth: u32) -> Result<Kind, Stop> {
        if depth >= MAX_DEPTH {
            return Err(JsonError::TooDeep.into());
        }
        let from_end = here.items.iter().any(|(place, _)| *place < 0);
        let mut starts: Vec<usize> = Vec::new();
        self.at += 1;
        self.space();
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(Kind::Array);
        }
        let mut place = 0i32;
        loop {
            if from_end {
                starts.push(self.at);
            }
            match here.items.iter().find(|(known, _)| *known == place) {
                Some((_, child)) => self.value(*child, depth + 1)?,
                None => {
                    self.skip(depth + 1)?;
                }
            }
            place = place.saturating_add(1);
            if self.next_or(b']')? {
                break;
            }
        }
        let after = self.at;
        for (known, child) in here.items.iter().filter(|(known, _)| *known < 0) {
            let back = known.unsigned_abs() as usize;
            if let Some(at) = starts.len().checked_sub(back).and_then(|index| starts.get(index)) {
                self.at = *at;
                self.value(*child, depth + 1)?;
            }
        }
        self.at = after;
        Ok(Kind::Array)
    }

    fn row_list(&mut self, here: &'a Node, depth: u32) -> Result<Kind, Stop> {
        let [(list, columns)] = here.rows.as_slice() else { return self.shared_array(here, depth) };
        if here.slot.is_some() || !here.items.is_empty() {
            return self.shared_array(here, depth);
        }
        self.rows_of(*list, columns, depth)?;
        Ok(Kind::Array)
    }

    /// An array that is rows for one kind of message and something else for another: it is read as each, and what it is
    /// not is found out by the message that asks for it.
    #[cold]
    fn shared_array(&mut self, here: &'a Node, depth: u32) -> Result<Kind, Stop> {
        let start = self.at;
        let kind = self.skip(depth)?;
        let after = self.at;
        for (list, columns) in &here.rows {
            self.at = start;
            if self.rows_of(*list, columns, depth).is_err() {
                self.found.rows[usize::from(*list)].clear();
                self.found.unfit.push(*list);
            }
        }
        if !here.items.is_empty() {
            self.at = start;
            self.array(here, depth)?;
        }
        self.at = after;
        Ok(kind)
    }

    fn rows_of(&mut self, list: u16, columns: &Columns, depth: u32) -> Result<(), JsonError> {
        let list = usize::from(list);
        let mut rows = std::mem::take(&mut self.found.rows[list]);
        let result = self.read_rows(columns, &mut rows, depth);
        self.found.rows[list] = rows;
        result
    }

    fn read_rows(&mut self, columns: &Columns, rows: &mut Vec<Row>, depth: u32) -> Result<(), JsonError> {
        if depth + 2 >= MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        self.at += 1;
        self.space();
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            let mut row: Row = [Value::default(); 3];
            match (self.peek()?, columns) {
                (b'[', Columns::Places) => self.row_places(&mut row, depth + 1)?,
                (b'{', Columns::Keys(keys)) => self.row_keys(keys, &mut row, depth + 1)?,
                (b'"', Columns::Text) => {
                    let start = self.at;
                    let kind = self.string()?;
                    row[0] = self.spanned(start, kind);
                }
                _ => return Err(JsonError::Syntax(self.at as u32)),
            }
            rows.push(row);
            if self.next_or(b']')? {
                return Ok(());
            }
        }
    }

    #[inline]
    fn row_places(&mut self, row: &mut Row, depth: u32) -> Result<(), JsonError> {
        self.at += 1;
        self.space();
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(());
        }
        let mut place = 0;
        loop {
            let start = self.at;
            let kind = self.skip(depth + 1)?;
            if let Some(cell) = row.get_mut(place) {
                *cell = self.spanned(start, kind);
            }
            place += 1;
            if self.next_or(b']')? {
                return Ok(());
            }
        }
    }

    fn row_keys(&mut self, keys: &[Box<[u8]>], row: &mut Row, depth: u32) -> Result<(), JsonError> {
        self.at += 1;
        self.space();
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            let (key, after) = (self.at + 1, {
                self.string()?;
                self.at - 1
            });
            self.colon()?;
            let start = self.at;
            let kind = self.skip(depth + 1)?;
            let text = self.b.get(key..after).unwrap_or_default();
            if let Some(cell) = keys.iter().position(|known| **known == *text).and_then(|place| row.get_mut(place)) {
                *cell = self.spanned(start, kind);
            }
            if self.next_or(b'}')? {
                return Ok(());
            }
        }
    }
}
