//! What a payload is run through: a path tree, conditions and slots, compiled from a venue's meaning.

mod compile;
mod source;
mod symbol;

use std::fmt;

pub use compile::programs;
pub use source::Source;
pub use symbol::Symbol;

use crate::glob;
use crate::json::Tree;
use crate::record::Schema;
use crate::spec::{Coding, LinkRule, OrderEvent, StatValue};
use crate::time::TimeUnit;

/// A spec the kernel cannot run, with the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError(pub String);

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SpecError {}

/// Whose a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The payload's.
    Payload,
    /// The entry's, of `each`.
    Entry,
    /// The spec's own: a path that starts with `=`.
    Spec,
}

/// A value's slot.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Whose it is.
    pub of: Of,
    /// Which slot.
    pub slot: u16,
}

/// A condition on a slot.
#[derive(Clone, Debug)]
pub struct Condition {
    place: Place,
    equals: Vec<Box<[u8]>>,
    like: Vec<String>,
    absent: bool,
}

/// A time's slot and how it is written.
#[derive(Clone, Copy, Debug)]
pub struct When {
    /// Where.
    pub place: Place,
    /// How.
    pub unit: TimeUnit,
}

/// A side's slot and its words.
#[derive(Clone, Debug)]
pub struct Sides {
    /// Where.
    pub place: Place,
    /// Words for buy.
    pub buy: Vec<Box<[u8]>>,
    /// Words for sell.
    pub sell: Vec<Box<[u8]>>,
    /// A negative number means sell; sizes are taken without their sign.
    pub sign: bool,
    /// The venue does not tell sides.
    pub untold: bool,
}

/// A row list, of the payload or of the entry.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Whether it is the entry's.
    pub entry: bool,
    /// Which list.
    pub list: u16,
    /// How rows are coded.
    pub coding: Coding,
    /// Words for bid and ask of `Sided` and `Text`; keys of `Object`.
    pub words: Vec<Box<[u8]>>,
    /// Where the one level stands, if there is but one.
    pub single: Option<Place>,
    /// Which column is a level's own id.
    pub row_id: Option<usize>,
    /// Levels of price zero change nothing.
    pub skip_zero_price: bool,
}

/// The slots of a message's own sequence.
#[derive(Clone, Copy, Debug)]
pub struct Ids {
    /// Its id.
    pub last: Place,
    /// The first it spans.
    pub first: Option<Place>,
    /// The one it follows.
    pub previous: Option<Place>,
}

/// What a message gives, with slots instead of paths.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Make {
    Trade(Box<Trade>),
    Block(Box<Block>),
    Quote(Box<Quote>),
    Levels(Box<Levels>),
    Order(Box<Order>),
    Top(Box<Top>),
    Statistics(Box<Statistics>),
    Bar(Box<Bar>),
    Instrument(Box<Instrument>),
}

#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Trade {
    pub symbol: Option<Place>,
    pub price: Place,
    pub size: Place,
    pub side: Sides,
    pub time: When,
    pub id: Option<Place>,
    pub sent: Option<When>,
    pub link: LinkRule,
    pub exclude: Vec<(String, Condition)>,
    pub page: bool,
    pub block: Option<InBlock>,
    pub schema: Schema,
}

#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct InBlock {
    pub number: Place,
    pub hash: Place,
    pub index: Place,
    pub removed: Vec<Condition>,
}

#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Block {
    pub number: Place,
    pub hash: Place,
    pub parent: Place,
    pub time: When,
}

#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Quote {
    pub symbol: Option<Place>,
    pub prices: [Place; 2],
    pub sizes: [Place; 2],
    pub time: Option<When>,
    pub sequence: Option<Place>,
    pub sent: Option<When>,
    /// Where these hold, absent values are unchanged.
    pub carry: Vec<Condition>,
    /// Whether some quote of the channel carries, so that each must be remembered.
    pub remembered: bool,
    pub schema: Schema,
}

#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Levels {
    pub symbol: Option<Place>,
    pub bids: Rows,
    pub asks: Option<Rows>,
    pub snapshot: bool,
    pub book: usize,
    pub time: Option<When>,
    pub sent: Option<When>,
    pub ids: Option<Ids>,
    pub checksum: Option<Place>,
    pub sampled: bool,
    pub schema: Schema,
}

#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Order {
    pub symbol: Option<Place>,
    pub event: OrderEvent,
    pub book: usize,
    pub order_id: Option<Place>,
    pub price: Option<Place>,
    pub size: Option<Place>,
    pub side: Option<Sides>,
    pub time: Option<When>,
    pub ids: Option<Ids>,
    pub schema: Schema,
}

#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Top {
    pub symbol: Option<Place>,
    pub bids: Rows,
    pub asks: Rows,
    pub time: Option<When>,
    pub sequence: Option<Place>,
    pub sampled: bool,
    pub schema: Schema,
}

#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Statistics {
    pub symbol: Option<Place>,
    pub time: Option<When>,
    pub stats: Vec<(u16, Place, StatValue)>,
    pub schema: Schema,
}

#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Bar {
    pub symbol: Option<Place>,
    pub start: When,
    pub prices: [Place; 4],
    pub volume: Place,
    pub closed: Vec<Condition>,
    pub schema: Schema,
}

/// A path of an instrument list: a slot, or a value of the array's element that fits.
#[derive(Clone, Debug)]
pub struct Pick {
    /// The value, or the array to select in.
    pub place: Place,
    /// Key, its value, and the key of the value wanted.
    pub select: Option<(String, String, String)>,
}

#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Instrument {
    pub symbol: Pick,
    pub prefix: String,
    pub when: Vec<Condition>,
    pub price_step: Option<Pick>,
    pub price_decimals: Option<Pick>,
    pub size_step: Option<Pick>,
    pub size_decimals: Option<Pick>,
    pub max_size: Option<Pick>,
    pub base: Option<Pick>,
    pub quote: Option<Pick>,
    pub settle: Option<Pick>,
    pub unit: Option<Pick>,
    pub kind: Option<Pick>,
    pub kinds: Vec<(String, u8)>,
    pub kind_default: u8,
    pub expiry: Option<When>,
    pub activation: Option<When>,
    pub strike: Option<Pick>,
    pub multiplier: Option<Pick>,
    pub schema: Schema,
}

/// The entries of a message.
#[derive(Debug)]
pub struct Each {
    /// The array's slot.
    pub slot: u16,
    /// The paths of an entry.
    pub tree: Tree,
}

/// What a page's entries are in order of.
#[derive(Clone, Copy, Debug)]
pub enum PageKey {
    /// Ids.
    Id(Place),
    /// Times.
    Time(When),
}

impl PageKey {
    /// An entry's.
    pub fn of(&self, source: &Source<'_>) -> Option<u64> {
        match self {
            PageKey::Id(place) => std::str::from_utf8(source.get(*place)).ok()?.parse().ok(),
            PageKey::Time(when) => when.unit.parse(source.get(when.place)).ok()?,
        }
    }
}

/// One kind of message, ready to run.
#[derive(Debug)]
pub struct Message {
    /// Its name.
    pub name: String,
    /// What tells it apart.
    pub when: Vec<Condition>,
    /// Its entries, where it has any.
    pub each: Option<Each>,
    /// What it gives.
    pub makes: Vec<Make>,
    /// What its entries are in order of, where they are a page of trades.
    pub page: Option<PageKey>,
    /// Why it gives nothing.
    pub excluded: String,
}

/// All messages one channel can carry, over one path tree.
#[derive(Debug)]
pub struct Program {
    /// The payload's paths.
    pub tree: Tree,
    /// In order of trial.
    pub messages: Vec<Message>,
    /// Counters over all messages of a connection, in order of trial.
    pub counters: Vec<(Place, Vec<Condition>)>,
    /// Texts of the spec itself.
    pub constants: Vec<Box<[u8]>>,
    /// From when (ns, inclusive).
    pub since: u64,
    /// Until when (ns, exclusive).
    pub until: u64,
    /// Which of the spec's mappings.
    pub mapping: usize,
    /// Whether the channel alone tells which instrument its messages are about.
    pub by_channel: bool,
}

impl Condition {
    /// Whether it holds for what was found.
    #[inline]
    pub fn holds(&self, source: &Source<'_>) -> bool {
        let value = source.value(self.place);
        if !value.given() {
            return self.absent;
        }
        if self.equals.is_empty() && self.like.is_empty() {
            return !self.absent;
        }
        let text = value.of(source.text(self.place));
        (self.equals.iter().any(|word| **word == *text) || !self.like.is_empty() && self.fits(text)) != self.absent
    }

    #[cold]
    fn fits(&self, text: &[u8]) -> bool {
        std::str::from_utf8(text).is_ok_and(|text| self.like.iter().any(|like| glob::matches(like, text)))
    }
}
