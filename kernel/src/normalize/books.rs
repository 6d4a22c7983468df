//! Books: every delta and snapshot is judged, applied, proved and published, by level or by order.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::again::FAR;
use super::out::Exact;
use super::sampled::Sample;
use super::state::State;
use super::values::{self, Reject};
use super::Job;
use crate::book::{order_key, LevelBook, OrderBook, ASK, BID};
use crate::decimal::{Dec, NumberError};
use crate::json::Row;
use crate::plan::{self, Rows, Source};
use crate::record::{Entry, Schema, Stamp};
use crate::spec::{self, Coding, OrderEvent};
use crate::sync::{Ids, Sync};

/// A level of a message, or an order of a snapshot.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Change {
    /// Bid or ask.
    pub side: usize,
    /// Price as written.
    pub price: Dec,
    /// New size as written; zero deletes.
    pub size: Dec,
    /// The order, where it is one, or the level's own id.
    pub id: u64,
}

/// An event of a single order.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct OrderChange {
    pub(super) event: OrderEvent,
    pub(super) id: u64,
    pub(super) side: Option<usize>,
    pub(super) price: Option<Dec>,
    pub(super) size: Option<Dec>,
}

/// A delta as it is kept until a snapshot comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delta {
    pub(super) sequence: u64,
    pub(super) ts_recv: u64,
    pub(super) ids: Option<Ids>,
    pub(super) levels: Vec<Change>,
    pub(super) order: Option<OrderChange>,
    pub(super) ts_event: Option<u64>,
    pub(super) ts_sent: Option<u64>,
}

/// The book of one instrument on one channel.
#[derive(Debug)]
pub struct Book {
    /// How it is kept right.
    pub rule: Arc<spec::Book>,
    /// Its raw channel.
    pub channel: usize,
    /// Its instrument.
    pub instrument: usize,
    /// Its place in the venue's sequence.
    pub sync: Sync,
    /// By level.
    pub levels: LevelBook,
    /// By order.
    pub orders: OrderBook,
    /// Deltas that await a snapshot.
    pub kept: VecDeque<Delta>,
    /// How many levels a side may have.
    pub depth: Option<usize>,
    /// Of the last message applied.
    pub stamp: Stamp,
    /// Where it is published.
    pub out: usize,
    /// Whether it has changed since the last flush.
    pub dirty: bool,
    /// The snapshot last taken, where it is sampled.
    pub sample: Sample,
    /// The connection whose stream its snapshot came by; none where a request brought it, or the connection is gone.
    pub from: Option<u32>,
}

/// Buffers used again from message to message.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) changes: Vec<Change>,
    pub(super) entries: Vec<(Entry, Exact)>,
    pub(super) checksum: Vec<u8>,
}

/// What a book message says beside its levels.
pub struct Head {
    pub(super) ids: Option<Ids>,
    pub(super) checksum: Option<u32>,
    pub(super) ts_event: Option<u64>,
    pub(super) ts_sent: Option<u64>,
}

/// Reads the rows of a level list.
pub fn rows_of(source: &Source<'_>, rows: &Rows) -> Result<Vec<Change>, Reject> {
    let mut changes = Vec::new();
    read_rows(source, rows, BID, &mut changes)?;
    Ok(changes)
}

#[inline]
fn read_rows(source: &Source<'_>, rows: &Rows, side: usize, into: &mut Vec<Change>) -> Result<(), Reject> {
    if let Some(place) = rows.single {
        return super::levels::read_single(source, rows, place, side, into);
    }
    let (found, text) = if rows.entry { (source.entry_found, source.entry) } else { (source.found, source.payload) };
    let Some(list) = found.rows.get(usize::from(rows.list)) else { return Ok(()) };
    if found.unfit(rows.list) {
        return Err(Reject("syntax"));
    }
    if rows.row_id.is_some() || rows.skip_zero_price {
        return super::levels::read_marked(list, text, rows, side, into);
    }
    for row in list {
        into.push(read_row(row, text, rows, side)?);
    }
    Ok(())
}

#[inline]
pub(super) fn read_row(row: &Row, text: &[u8], rows: &Rows, side: usize) -> Result<Change, Reject> {
    let cell = |at: usize| row[at].of(text);
    let number = |at: usize| -> Result<Dec, Reject> {
        if row[at].given() {
            Ok(Dec::parse(cell(at))?)
        } else {
            Err(Reject("missing_field"))
        }
    };
    let change = match rows.coding {
        Coding::Pair | Coding::Object => Change { side, price: number(0)?, size: number(1)?, id: 0 },
        Coding::Order => Change { side, price: number(0)?, size: number(1)?, id: order_key(cell(2)) },
        Coding::Action => {
            let size = if cell(0) == b"delete" { Dec::default() } else { number(2)? };
            Change { side, price: number(1)?, size, id: 0 }
        }
        Coding::Sided => {
            let word = cell(0);
            let side = rows.words.iter().position(|known| **known == *word).ok_or(Reject("bad_side"))?;
            Change { side: side & 1, price: number(1)?, size: number(2)?, id: 0 }
        }
        Coding::Signed => {
            let (count, size) = (number(1)?, number(2)?);
            let side = if size.mantissa < 0 { ASK } else { BID };
            let size = if count.is_zero() { Dec { mantissa: 0, ..size } } else { size.abs()? };
            Change { side, price: number(0)?, size, id: 0 }
        }
        Coding::SignedOrder => {
            let (price, size) = (number(1)?, number(2)?);
            let side = if size.mantissa < 0 { ASK } else { BID };
            let size = if price.is_zero() { Dec { mantissa: 0, ..size } } else { size.abs()? };
            Change { side, price, size, id: order_key(cell(0)) }
        }
        Coding::Text => return super::levels::read_text(row, text, rows),
    };
    if change.size.mantissa < 0 {
        return Err(Reject("number_range"));
    }
    Ok(change)
}

impl State {
    /// One message of a book by level.
    #[inline]
    pub fn levels(&mut self, job: &Job<'_>, make: &plan::Levels, source: &Source<'_>) -> Result<(), Reject> {
        let mut changes = std::mem::take(&mut self.scratch.changes);
        changes.clear();
        let done = self.read_and_take(job, make, source, &mut changes);
        self.scratch.changes = changes;
        done
    }

    fn read_and_take(
        &mut self,
        job: &Job<'_>,
        make: &plan::Levels,
        source: &Source<'_>,
        changes: &mut Vec<Change>,
    ) -> Result<(), Reject> {
        read_rows(source, &make.bids, BID, changes)?;
        if let Some(asks) = &make.asks {
            read_rows(source, asks, ASK, changes)?;
        }
        let time = |when: &Option<plan::When>| when.as_ref().map(|when| values::time_of(source, when)).transpose();
        let head = Head {
            ids: make.ids.as_ref().map(|ids| values::ids(source, ids)).transpose()?,
            checksum: make.checksum.map(|place| checksum_of(source, place)).transpose()?.flatten(),
            ts_event: time(&make.time)?.flatten(),
            ts_sent: time(&make.sent)?.flatten(),
        };
        let instrument = self.instrument_of(job.channel, source, make.symbol)?;
        let rule = job.books.get(make.book).ok_or(Reject("unknown_message"))?;
        let book = self.book(job, rule, instrument, make.schema);
        if self.books[book].rule.skip_far {
            self.leave_far_out(instrument, changes);
        }
        if make.sampled && self.unchanged_book(book, &head, changes) {
            return Ok(());
        }
        if make.snapshot {
            self.snapshot(job, book, &head, changes)
        } else {
            self.check_prices(instrument, changes)?;
            self.delta(job, book, head, changes, None)
        }
    }

    /// Every price must be publishable before the book is touched.
    #[inline]
    pub(super) fn check_prices(&self, instrument: usize, changes: &[Change]) -> Result<(), Reject> {
        let known = self.instruments.get(instrument);
        for change in changes {
            known.price(change.price)?;
        }
        Ok(())
    }

    fn book(&mut self, job: &Job<'_>, rule: &spec::Book, instrument: usize, schema: Schema) -> usize {
        if let Some(book) = self.channels.get(job.channel).and_then(|known| known.books.get(&instrument)) {
            return *book;
        }
        let out = self.out(job.channel, schema);
        self.books.push(Book {
            rule: Arc::new(rule.clone()),
            channel: job.channel,
            instrument,
            sync: Sync::default(),
            levels: LevelBook::default(),
            orders: OrderBook::default(),
            kept: VecDeque::new(),
            depth: None,
            stamp: self.stamp(instrument, job.ts_recv, None, None, 0),
            out,
            dirty: false,
            sample: Sample::default(),
            from: None,
        });
        let at = self.books.len() - 1;
        if let Some(known) = self.channels.get_mut(job.channel) {
            known.books.insert(instrument, at);
        }
        at
    }

    /// One event of a book by order.
    pub fn order(&mut self, job: &Job<'_>, make: &plan::Order, source: &Source<'_>) -> Result<(), Reject> {
        let number = |place: Option<plan::Place>| place.map(|place| values::maybe_number(source, place)).transpose();
        let side = match &make.side {
            Some(sides) if make.event != OrderEvent::None => Some(usize::from(values::side(source, sides)? == b'A')),
            _ => None,
        };
        let mut change = OrderChange {
            event: make.event,
            id: make.order_id.map_or(0, |place| order_key(&values::text(source, place))),
            side,
            price: number(make.price)?.flatten(),
            size: match (number(make.size)?.flatten(), &make.side) {
                (Some(size), Some(sides)) => Some(values::unsigned(size, sides)?),
                (size, _) => size,
            },
        };
        let needs = match make.event {
            OrderEvent::Open | OrderEvent::Match => change.price.is_some() && change.size.is_some(),
            OrderEvent::Change => change.size.is_some(),
            OrderEvent::Done | OrderEvent::None => true,
        };
        if !needs {
            return Err(Reject("missing_field"));
        }
        let head = Head {
            ids: make.ids.as_ref().map(|ids| values::ids(source, ids)).transpose()?,
            checksum: None,
            ts_event: make.time.as_ref().map(|when| values::time_of(source, when)).transpose()?.flatten(),
            ts_sent: None,
        };
        let instrument = self.instrument_of(job.channel, source, make.symbol)?;
        let rule = job.books.get(make.book).ok_or(Reject("unknown_message"))?;
        if let Some(price) = change.price {
            match self.instruments.get(instrument).price(price) {
                Err(NumberError::Range) if rule.skip_far => {
                    self.exclude(FAR);
                    change.event = OrderEvent::None;
                }
                price => drop(price?),
            }
        }
        let book = self.book(job, rule, instrument, make.schema);
        self.delta(job, book, head, &[], Some(change))
    }
}

/// A checksum as 32 bits, however it is signed; `None` where it is not given.
fn checksum_of(source: &Source<'_>, place: plan::Place) -> Result<Option<u32>, Reject> {
    let Some(number) = values::maybe_number(source, place)? else { return Ok(None) };
    if number.decimals != 0 || number.mantissa < i64::from(i32::MIN) || number.mantissa > i64::from(u32::MAX) {
        return Err(Reject("bad_number"));
    }
    Ok(Some(number.mantissa as u32))
}
