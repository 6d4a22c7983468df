//! One side: its rows, read ahead as far as the window reaches.

use std::collections::VecDeque;

use super::contents::{Contents, NO_CONTENT};
use super::reader::Reader;

/// A row, its payload still where it was read.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub epoch: i64,
    pub sequence: i64,
    pub connection: i64,
    pub ts_recv: i64,
    /// Which of the side's chunks holds the payload.
    pub chunk: u64,
    pub start: usize,
    pub end: usize,
    /// Its content, once it is within reach.
    pub content: u32,
    /// How much further on the next row of the content stands.
    pub next: u32,
    /// Whether it has gone out as the twin of the other side's.
    pub taken: bool,
}

/// What is known of a side's next message.
pub enum Head {
    /// There is one.
    There,
    /// There will be none.
    Done,
    /// The side must be fed first.
    Unknown,
}

/// One side.
#[derive(Debug, Default)]
pub struct Side {
    reader: Reader,
    rows: VecDeque<Row>,
    /// The place of the first row, counted from the side's beginning.
    base: u64,
    /// How many rows are within reach, and known by content.
    ahead: usize,
    ended: bool,
}

impl Side {
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), String> {
        if self.ended {
            return Err("the side has ended".into());
        }
        self.reader.feed(chunk, &mut self.rows);
        Ok(())
    }

    pub fn boundary(&mut self) -> Result<(), String> {
        self.reader.boundary()
    }

    pub fn end(&mut self) -> Result<(), String> {
        self.ended = true;
        self.reader.boundary()
    }

    pub fn duplicates(&self) -> u64 {
        self.reader.duplicates
    }

    pub fn memory(&self) -> usize {
        self.reader.memory() + self.rows.capacity() * size_of::<Row>()
    }

    /// Whether nothing is left and nothing will come.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.ended && self.rows.is_empty()
    }

    /// What is known of the next message, after reading ahead of it.
    #[inline]
    pub fn head(&mut self, side: usize, alone: bool, window: i64, contents: &mut Contents) -> Head {
        let Some(front) = self.rows.front() else { return if self.ended { Head::Done } else { Head::Unknown } };
        if alone {
            return Head::There;
        }
        let reach = front.ts_recv.saturating_add(window);
        while let Some(row) = self.rows.get(self.ahead) {
            if row.ts_recv > reach {
                return Head::There;
            }
            let place = self.base + self.ahead as u64;
            let (content, before) = contents.add(side, place, self.reader.payload(row));
            if let Some(row) = self.rows.get_mut(self.ahead) {
                row.content = content;
            }
            if let Some(before) = before {
                if let Some(row) = self.rows.get_mut((before - self.base) as usize) {
                    row.next = (place - before) as u32;
                }
            }
            self.ahead += 1;
        }
        if self.ended {
            Head::There
        } else {
            Head::Unknown
        }
    }

    /// The next message, of which `head` has said that it is there.
    #[inline]
    pub fn front(&self) -> &Row {
        &self.rows[0]
    }

    pub fn payload(&self, row: &Row) -> &[u8] {
        self.reader.payload(row)
    }

    /// When this side has a content next; none where it has not within its reach.
    #[inline]
    pub fn when(&self, side: usize, content: u32, contents: &Contents) -> Option<i64> {
        let copies = contents.of(side, content)?;
        self.rows.get((copies.first - self.base) as usize).map(|row| row.ts_recv)
    }

    /// Counts the next message of a content as done, wherever it stands; the message.
    #[inline]
    pub fn take(&mut self, side: usize, content: u32, contents: &mut Contents) -> Option<Row> {
        let place = if content == NO_CONTENT {
            0
        } else {
            let copies = contents.of(side, content)?;
            (copies.first - self.base) as usize
        };
        let row = self.rows.get_mut(place)?;
        row.taken = true;
        let taken = *row;
        if content != NO_CONTENT {
            contents.drop_first(side, content, taken.next);
        }
        if place == 0 {
            self.pop_taken();
        }
        Some(taken)
    }

    fn pop_taken(&mut self) {
        while self.rows.front().is_some_and(|row| row.taken) {
            self.rows.pop_front();
            self.base += 1;
            self.ahead = self.ahead.saturating_sub(1);
        }
        self.reader.release(self.rows.front().map(|row| row.chunk));
    }
}
