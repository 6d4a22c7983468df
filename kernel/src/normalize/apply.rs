//! What an update does to a book, and the entries that say so.

use super::books::{Change, OrderChange};
use super::out::Exact;
use super::state::State;
use super::values::Reject;
use crate::book::{Effect, Level, Order, ASK, BID};
use crate::decimal::Dec;
use crate::record::{self, Entry, Stamp, F_MBP};
use crate::spec::OrderEvent;

impl State {
    #[inline]
    pub(super) fn publish_entries(&mut self, at: usize, stamp: &Stamp, entries: &[(Entry, Exact)], flags: u8) {
        let book = &mut self.books[at];
        book.dirty = true;
        book.stamp = *stamp;
        let out = book.out;
        let base = flags | if book.rule.per_order { 0 } else { F_MBP };
        if entries.is_empty() {
            let entry = nothing(base);
            self.outs.record(out, &Exact::default(), |bytes| record::mbo(bytes, stamp, &entry));
        }
        for (entry, exact) in entries {
            let entry = Entry { flags: entry.flags | base, ..*entry };
            self.outs.record(out, exact, |bytes| record::mbo(bytes, stamp, &entry));
        }
    }

    #[inline]
    pub(super) fn apply_levels(
        &mut self,
        at: usize,
        levels: &[Change],
        id: u64,
        entries: &mut Vec<(Entry, Exact)>,
    ) -> Result<(), Reject> {
        if self.books[at].rule.per_order {
            return self.apply_orders(at, levels, id, entries);
        }
        let instrument = self.books[at].instrument;
        let floor = self.books[at].sync.floor;
        for change in levels {
            if change.id != 0 && change.id <= floor {
                continue;
            }
            let (price, px_flag) = self.price(instrument, change.price)?;
            let (lots, size_flag) = self.lots(instrument, change.size)?;
            let effect =
                self.books[at].levels.set(change.side, price, Level { price: change.price, size: change.size });
            let Some(action) = letter(effect) else { continue };
            let flags = px_flag | size_flag;
            entries.push(level_entry(action, change.side, price, lots, flags, id, change.price, change.size));
        }
        let Some(depth) = self.books[at].depth else { return Ok(()) };
        for side in [BID, ASK] {
            while self.books[at].levels.depth(side) > depth {
                let Some((price, level)) = self.books[at].levels.pop_worst(side) else { break };
                let none = Dec { mantissa: 0, decimals: level.size.decimals };
                entries.push(level_entry(b'C', side, price, 0, 0, id, level.price, none));
            }
        }
        Ok(())
    }

    /// Rows of a book of single orders: each puts an order in, changes it, or (of size zero) takes it out.
    fn apply_orders(
        &mut self,
        at: usize,
        rows: &[Change],
        id: u64,
        entries: &mut Vec<(Entry, Exact)>,
    ) -> Result<(), Reject> {
        let instrument = self.books[at].instrument;
        for row in rows {
            if row.size.is_zero() {
                let Some(order) = self.books[at].orders.remove(row.id) else { continue };
                entries.push(self.order_entry(instrument, b'C', row.id, &order, order.size, id)?);
                continue;
            }
            let (key, _) = self.price(instrument, row.price)?;
            let orders = &mut self.books[at].orders;
            let stays = orders.get(row.id).is_some_and(|known| known.side == row.side && known.key == key);
            let action = if stays {
                orders.resize(row.id, row.size);
                b'M'
            } else if orders.open(row.id, row.side, key, row.price, row.size) == Effect::Modified {
                b'M'
            } else {
                b'A'
            };
            let order = Order { side: row.side, key, price: row.price, size: row.size, arrival: 0 };
            entries.push(self.order_entry(instrument, action, row.id, &order, row.size, id)?);
        }
        Ok(())
    }

    pub(super) fn apply_order(
        &mut self,
        at: usize,
        change: &OrderChange,
        id: u64,
        entries: &mut Vec<(Entry, Exact)>,
    ) -> Result<(), Reject> {
        let instrument = self.books[at].instrument;
        match change.event {
            OrderEvent::None => {}
            OrderEvent::Open => {
                let (Some(side), Some(price), Some(size)) = (change.side, change.price, change.size) else {
                    return Err(Reject("missing_field"));
                };
                let (key, _) = self.price(instrument, price)?;
                let effect = self.books[at].orders.open(change.id, side, key, price, size);
                let action = if effect == Effect::Modified { b'M' } else { b'A' };
                let order = Order { side, key, price, size, arrival: 0 };
                entries.push(self.order_entry(instrument, action, change.id, &order, size, id)?);
            }
            OrderEvent::Change => {
                let size = change.size.ok_or(Reject("missing_field"))?;
                let Some(order) = self.books[at].orders.get(change.id).copied() else { return Ok(()) };
                let order = match change.price {
                    // A new price is a new place in the queue.
                    Some(price) if self.price(instrument, price)?.0 != order.key => {
                        let (key, _) = self.price(instrument, price)?;
                        self.books[at].orders.open(change.id, order.side, key, price, size);
                        Order { key, price, size, ..order }
                    }
                    _ => self.books[at].orders.resize(change.id, size).unwrap_or(order),
                };
                entries.push(self.order_entry(instrument, b'M', change.id, &order, size, id)?);
            }
            OrderEvent::Done => {
                let Some(order) = self.books[at].orders.remove(change.id) else { return Ok(()) };
                entries.push(self.order_entry(instrument, b'C', change.id, &order, order.size, id)?);
            }
            OrderEvent::Match => self.apply_match(at, change, id, entries)?,
        }
        Ok(())
    }

    /// A trade against a resting order: the trade, the fill, and what is left of the order.
    pub(super) fn apply_match(
        &mut self,
        at: usize,
        change: &OrderChange,
        id: u64,
        entries: &mut Vec<(Entry, Exact)>,
    ) -> Result<(), Reject> {
        let instrument = self.books[at].instrument;
        let (Some(side), Some(price), Some(size)) = (change.side, change.price, change.size) else {
            return Err(Reject("missing_field"));
        };
        let (key, _) = self.price(instrument, price)?;
        let taken = Order { side, key, price, size, arrival: 0 };
        let aggressor = Order { side: side ^ 1, ..taken };
        entries.push(self.order_entry(instrument, b'T', 0, &aggressor, size, id)?);
        entries.push(self.order_entry(instrument, b'F', change.id, &taken, size, id)?);
        let Some(order) = self.books[at].orders.get(change.id).copied() else { return Ok(()) };
        let left = minus(order.size, size).ok_or(Reject("number_range"))?;
        if left.mantissa > 0 {
            self.books[at].orders.resize(change.id, left);
            entries.push(self.order_entry(instrument, b'M', change.id, &order, left, id)?);
        } else {
            self.books[at].orders.remove(change.id);
            entries.push(self.order_entry(instrument, b'C', change.id, &order, size, id)?);
        }
        Ok(())
    }

    pub(super) fn order_entry(
        &mut self,
        instrument: usize,
        action: u8,
        order_id: u64,
        order: &Order,
        size: Dec,
        id: u64,
    ) -> Result<(Entry, Exact), Reject> {
        let (lots, flags) = self.lots(instrument, size)?;
        let entry = Entry { action, side: side_letter(order.side), price: order.key, size: lots, order_id, flags };
        Ok((entry, Exact { venue_id: id, price: Some(order.price), size: Some(size), ..Exact::default() }))
    }
}

/// The stable key of a price level.
pub(super) fn level_key(side: usize, price: i64) -> u64 {
    (price as u64) << 1 | (side as u64 & 1)
}

pub(super) fn side_letter(side: usize) -> u8 {
    if side == BID {
        b'B'
    } else {
        b'A'
    }
}

pub(super) fn nothing(flags: u8) -> Entry {
    Entry { action: b'N', side: b'N', price: i64::MAX, size: 0, order_id: 0, flags }
}

fn letter(effect: Effect) -> Option<u8> {
    match effect {
        Effect::Added => Some(b'A'),
        Effect::Modified => Some(b'M'),
        Effect::Deleted => Some(b'C'),
        Effect::Absent => None,
    }
}

#[allow(clippy::too_many_arguments)]
#[inline]
fn level_entry(
    action: u8,
    side: usize,
    price: i64,
    size: u32,
    flags: u8,
    venue_id: u64,
    exact_price: Dec,
    exact_size: Dec,
) -> (Entry, Exact) {
    let entry = Entry { action, side: side_letter(side), price, size, order_id: level_key(side, price), flags };
    (entry, Exact { venue_id, price: Some(exact_price), size: Some(exact_size), ..Exact::default() })
}

/// `a - b`, exactly.
fn minus(a: Dec, b: Dec) -> Option<Dec> {
    let decimals = a.decimals.max(b.decimals);
    let (a, _) = a.to_scale(decimals).ok()?;
    let (b, _) = b.to_scale(decimals).ok()?;
    Some(Dec { mantissa: a.checked_sub(b)?, decimals })
}
