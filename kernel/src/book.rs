//! The book of one instrument, by price level or by order, and the proof a venue offers for it.

use std::collections::btree_map::{self, BTreeMap};

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::decimal::Dec;
use crate::spec::{Checksum, ChecksumText};

/// Bid side.
pub const BID: usize = 0;
/// Ask side.
pub const ASK: usize = 1;

/// What an update did to a level or order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It was not there before.
    Added,
    /// It was there, with whatever size.
    Modified,
    /// It is gone.
    Deleted,
    /// It was to go and was not there.
    Absent,
}

/// A price level, with its numbers as they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Price.
    pub price: Dec,
    /// Size.
    pub size: Dec,
}

/// A book by price level; keys are prices as published (1e-9 times the instrument's scale).
#[derive(Clone, Debug, Default)]
pub struct LevelBook {
    sides: [BTreeMap<i64, Level>; 2],
}

impl LevelBook {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.sides = Default::default();
    }

    /// Sets a level, or deletes it where the size is zero.
    #[inline]
    pub fn set(&mut self, side: usize, key: i64, level: Level) -> Effect {
        let levels = &mut self.sides[side & 1];
        if level.size.is_zero() {
            return if levels.remove(&key).is_some() { Effect::Deleted } else { Effect::Absent };
        }
        match levels.entry(key) {
            btree_map::Entry::Occupied(mut entry) => {
                entry.insert(level);
                Effect::Modified
            }
            btree_map::Entry::Vacant(entry) => {
                entry.insert(level);
                Effect::Added
            }
        }
    }

    /// Levels of a side, best first.
    pub fn best_first(&self, side: usize) -> Box<dyn Iterator<Item = (i64, &Level)> + '_> {
        if side == BID {
            Box::new(self.sides[BID].iter().rev().map(|(key, level)| (*key, level)))
        } else {
            Box::new(self.sides[ASK].iter().map(|(key, level)| (*key, level)))
        }
    }

    /// How many levels a side has.
    pub fn depth(&self, side: usize) -> usize {
        self.sides[side & 1].len()
    }

    /// Takes the worst level of a side out.
    pub fn pop_worst(&mut self, side: usize) -> Option<(i64, Level)> {
        if side == BID {
            self.sides[BID].pop_first()
        } else {
            self.sides[ASK].pop_last()
        }
    }

    /// The venue's checksum over this book.
    pub fn checksum(&self, rule: &Checksum, scratch: &mut Vec<u8>) -> u32 {
        let side = |side| self.best_first(side).map(move |(_, level)| (side, Head::Price(level.price), level.size));
        checksum([side(BID), side(ASK)], rule, scratch)
    }
}

/// What stands before a size in a checksum's text.
enum Head {
    Price(Dec),
    Order(u64),
}

/// The checksum over bids and asks, best first each; where one side runs out the other goes on.
fn checksum(sides: [impl Iterator<Item = (usize, Head, Dec)>; 2], rule: &Checksum, scratch: &mut Vec<u8>) -> u32 {
    scratch.clear();
    let [bids, asks] = sides;
    let (mut bids, mut asks) = (bids.take(rule.depth), asks.take(rule.depth));
    if rule.interleaved {
        loop {
            let (bid, ask) = (bids.next(), asks.next());
            if bid.is_none() && ask.is_none() {
                break;
            }
            [bid, ask].into_iter().flatten().for_each(|row| write_row(scratch, &row, rule));
        }
    } else {
        asks.chain(bids).for_each(|row| write_row(scratch, &row, rule));
    }
    crc32fast::hash(scratch)
}

#[inline]
fn write_row(out: &mut Vec<u8>, (side, head, size): &(usize, Head, Dec), rule: &Checksum) {
    let separate = |out: &mut Vec<u8>| {
        if !out.is_empty() {
            out.extend_from_slice(rule.separator.as_bytes());
        }
    };
    separate(out);
    match head {
        Head::Price(price) => write_number(out, *price, rule),
        Head::Order(id) => out.extend_from_slice(itoa::Buffer::new().format(*id).as_bytes()),
    }
    separate(out);
    if rule.negative_asks && *side == ASK {
        out.push(b'-');
    }
    write_number(out, *size, rule);
}

#[inline]
fn write_number(out: &mut Vec<u8>, number: Dec, rule: &Checksum) {
    match rule.text {
        // Digits without dot and leading zeros are just the mantissa.
        ChecksumText::Digits => out.extend_from_slice(itoa::Buffer::new().format(number.mantissa).as_bytes()),
        ChecksumText::Raw => number.write_text(out),
        ChecksumText::Number => number.write_short(out),
    }
}

/// A resting order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Bid or ask.
    pub side: usize,
    /// Price as published.
    pub key: i64,
    /// Price as written.
    pub price: Dec,
    /// What is left.
    pub size: Dec,
    /// Its place in time among all orders of the book.
    pub arrival: u64,
}

/// A book of single orders.
#[derive(Clone, Debug, Default)]
pub struct OrderBook {
    orders: HashMap<u64, Order>,
    arrivals: u64,
}

impl OrderBook {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.orders.clear();
        self.arrivals = 0;
    }

    /// Puts an order in, last in time.
    pub fn open(&mut self, id: u64, side: usize, key: i64, price: Dec, size: Dec) -> Effect {
        self.arrivals += 1;
        let order = Order { side, key, price, size, arrival: self.arrivals };
        if self.orders.insert(id, order).is_some() {
            Effect::Modified
        } else {
            Effect::Added
        }
    }

    /// An order, if it rests.
    pub fn get(&self, id: u64) -> Option<&Order> {
        self.orders.get(&id)
    }

    /// Changes what is left of an order; the order as it is now, if it rests.
    pub fn resize(&mut self, id: u64, size: Dec) -> Option<Order> {
        let order = self.orders.get_mut(&id)?;
        order.size = size;
        Some(*order)
    }

    /// Takes an order out.
    pub fn remove(&mut self, id: u64) -> Option<Order> {
        self.orders.remove(&id)
    }

    /// The venue's checksum over the best orders; those of a level by rising id.
    pub fn checksum(&self, rule: &Checksum, scratch: &mut Vec<u8>) -> u32 {
        let side = |side| {
            let mut found: Vec<(i64, u64, &Order)> = self
                .orders
                .iter()
                .filter(|(_, order)| order.side == side)
                .map(|(id, order)| (if side == BID { order.key.wrapping_neg() } else { order.key }, *id, order))
                .collect();
            found.sort_unstable_by_key(|(key, id, _)| (*key, *id));
            let head = |id, order: &Order| if rule.by_order { Head::Order(id) } else { Head::Price(order.price) };
            found.into_iter().map(move |(_, id, order)| (side, head(id, order), order.size))
        };
        checksum([side(BID), side(ASK)], rule, scratch)
    }

    /// How many orders rest.
    pub fn len(&self) -> usize {
        self.orders.len()
    }

    /// Whether none rests.
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// Orders of a side, best price first, then by time.
    pub fn best_first(&self, side: usize) -> Vec<(u64, Order)> {
        let mut found: Vec<(u64, Order)> =
            self.orders.iter().filter(|(_, order)| order.side == side).map(|(id, order)| (*id, *order)).collect();
        found.sort_unstable_by_key(|(_, order)| {
            (if side == BID { order.key.wrapping_neg() } else { order.key }, order.arrival)
        });
        found
    }
}

/// An order id as DBN's u64: a number as it is, a UUID with its halves xored, anything else by FNV-1a.
pub fn order_key(text: &[u8]) -> u64 {
    if !text.is_empty() && text.len() <= 19 && text.iter().all(u8::is_ascii_digit) {
        return text.iter().fold(0u64, |sum, digit| sum.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
    }
    if let Some(uuid) = uuid(text) {
        return (uuid >> 64) as u64 ^ uuid as u64;
    }
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn uuid(text: &[u8]) -> Option<u128> {
    if text.len() != 36 {
        return None;
    }
    let mut value = 0u128;
    for (place, byte) in text.iter().enumerate() {
        if matches!(place, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        value = value << 4 | u128::from(char::from(*byte).to_digit(16)?);
    }
    Some(value)
}

/// A book as the checkpoint keeps it: rows of side, key, price and size (mantissa, decimals), id.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Saved {
    rows: Vec<(u8, i64, i64, u8, i64, u8, u64)>,
}

impl Saved {
    /// Takes both kinds of book; one of them is empty.
    pub fn of(levels: &LevelBook, orders: &OrderBook) -> Self {
        let mut rows = Vec::with_capacity(levels.depth(BID) + levels.depth(ASK) + orders.len());
        for side in [BID, ASK] {
            for (key, level) in levels.best_first(side) {
                let Level { price, size } = *level;
                rows.push((side as u8, key, price.mantissa, price.decimals, size.mantissa, size.decimals, 0));
            }
        }
        let mut found: Vec<(&u64, &Order)> = orders.orders.iter().collect();
        found.sort_unstable_by_key(|(_, order)| order.arrival);
        for (id, order) in found {
            let Order { price, size, .. } = *order;
            rows.push((order.side as u8, order.key, price.mantissa, price.decimals, size.mantissa, size.decimals, *id));
        }
        Self { rows }
    }

    /// Gives the books back.
    pub fn restore(&self, per_order: bool) -> (LevelBook, OrderBook) {
        let (mut levels, mut orders) = (LevelBook::default(), OrderBook::default());
        for (side, key, price_mantissa, price_decimals, size_mantissa, size_decimals, id) in &self.rows {
            let price = Dec { mantissa: *price_mantissa, decimals: *price_decimals };
            let size = Dec { mantissa: *size_mantissa, decimals: *size_decimals };
            if per_order {
                orders.open(*id, usize::from(side & 1), *key, price, size);
            } else {
                levels.set(usize::from(side & 1), *key, Level { price, size });
            }
        }
        (levels, orders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(price: &str, size: &str) -> Level {
        Level { price: Dec::parse(price.as_bytes()).unwrap(), size: Dec::parse(size.as_bytes()).unwrap() }
    }

    #[test]
    fn levels_come_and_go() {
        let mut book = LevelBook::default();
        assert_eq!(book.set(BID, 10, level("1.0", "5")), Effect::Added);
        assert_eq!(book.set(BID, 10, level("1.0", "6")), Effect::Modified);
        assert_eq!(book.set(BID, 11, level("1.1", "0.00")), Effect::Absent);
        assert_eq!(book.set(BID, 10, level("1.0", "0")), Effect::Deleted);
        assert_eq!(book.depth(BID), 0);
    }

    #[test]
    fn krakens_documented_checksum_example() {
        // docs.kraken.com, guides/spot-ws-book-v2: asks 45285.2 … bids 45283.5 …, checksum 3310070434.
        let asks = [
            ("45285.2", "0.00100000"),
            ("45286.4", "1.54571953"),
            ("45286.6", "1.54571109"),
            ("45289.6", "1.54560911"),
            ("45290.2", "0.15890660"),
            ("45291.8", "1.54553491"),
            ("45294.7", "0.04454749"),
            ("45296.1", "0.35380000"),
            ("45297.5", "0.09945542"),
            ("45299.5", "0.18772827"),
        ];
        let bids = [
            ("45283.5", "0.10000000"),
            ("45283.4", "1.54582015"),
            ("45282.1", "0.10000000"),
            ("45281.0", "0.10000000"),
            ("45280.3", "1.54592586"),
            ("45279.0", "0.07990000"),
            ("45277.6", "0.03310103"),
            ("45277.5", "0.30000000"),
            ("45277.3", "1.54602737"),
            ("45276.6", "0.15445238"),
        ];
        let mut book = LevelBook::default();
        for (side, levels) in [(ASK, asks), (BID, bids)] {
            for (price, size) in levels {
                let level = level(price, size);
                book.set(side, level.price.to_scale(9).unwrap().0, level);
            }
        }
        let rule = Checksum {
            depth: 10,
            text: ChecksumText::Digits,
            interleaved: false,
            separator: String::new(),
            signed: false,
            negative_asks: false,
            by_order: false,
            optional: false,
        };
        assert_eq!(book.checksum(&rule, &mut Vec::new()), 3_310_070_434);
    }

    fn interleaved(text: ChecksumText, by_order: bool) -> Checksum {
        Checksum {
            depth: 25,
            text,
            interleaved: true,
            separator: ":".into(),
            signed: true,
            negative_asks: text == ChecksumText::Number,
            by_order,
            optional: false,
        }
    }

    #[test]
    fn a_checksum_of_raw_strings_goes_on_with_the_side_that_is_left() {
        let mut book = LevelBook::default();
        for (side, price, size) in
            [(BID, "3366.1", "7"), (BID, "3366.0", "6"), (BID, "3365.5", "5.10"), (ASK, "3366.8", "9")]
        {
            let level = level(price, size);
            book.set(side, level.price.to_scale(9).unwrap().0, level);
        }
        let mut text = Vec::new();
        book.checksum(&interleaved(ChecksumText::Raw, false), &mut text);
        assert_eq!(String::from_utf8(text).unwrap(), "3366.1:7:3366.8:9:3366.0:6:3365.5:5.10");
    }

    #[test]
    fn a_checksum_of_numbers_writes_asks_with_a_minus() {
        let mut book = LevelBook::default();
        for (side, price, size) in [(BID, "5.5e-7", "2.50"), (BID, "0.00000050", "1"), (ASK, "0.0000010", "300")] {
            let level = level(price, size);
            book.set(side, level.price.to_scale(9).unwrap().0, level);
        }
        let mut text = Vec::new();
        book.checksum(&interleaved(ChecksumText::Number, false), &mut text);
        assert_eq!(String::from_utf8(text).unwrap(), "5.5e-7:2.5:0.000001:-300:5e-7:1");
    }

    #[test]
    fn a_checksum_of_orders_takes_them_by_price_and_rising_id() {
        let mut book = OrderBook::default();
        for (id, side, price, size) in
            [(9, BID, "10", "1"), (3, BID, "10", "2"), (4, BID, "11", "3"), (7, ASK, "12", "4"), (5, ASK, "12", "0.50")]
        {
            let level = level(price, size);
            book.open(id, side, level.price.to_scale(9).unwrap().0, level.price, level.size);
        }
        let mut text = Vec::new();
        book.checksum(&interleaved(ChecksumText::Number, true), &mut text);
        assert_eq!(String::from_utf8(text).unwrap(), "4:3:5:-0.5:3:2:7:-4:9:1");
    }

    #[test]
    fn order_ids_become_numbers() {
        assert_eq!(order_key(b"12345"), 12345);
        assert_eq!(order_key(b"00000000-0000-0001-0000-000000000003"), 1 ^ 3);
        assert_ne!(order_key(b"abc"), order_key(b"abd"));
    }
}
