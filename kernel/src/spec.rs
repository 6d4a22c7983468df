//! The meaning half of a venue as `tapeline/spec/meaning.py` writes it; field for field the same language.

use serde::{Deserialize, Serialize};

use crate::decode::DecoderSpec;
use crate::time::TimeUnit;

/// A condition on one value of a payload.
#[derive(Clone, Debug, Deserialize)]
pub struct Match {
    /// Where the value stands.
    pub path: String,
    /// Accepted values; empty asks only that it is there.
    pub equals: Vec<String>,
    /// Turns the condition round.
    pub absent: bool,
    /// Globs of which one may fit instead.
    pub like: Vec<String>,
}

/// Where a time stands.
#[derive(Clone, Debug, Deserialize)]
pub struct Time {
    /// Where.
    pub path: String,
    /// How it is written.
    pub unit: TimeUnit,
}

/// Where a side stands and its words.
#[derive(Clone, Debug, Deserialize)]
pub struct Side {
    /// Where.
    pub path: String,
    /// Words for buy.
    pub buy: Vec<String>,
    /// Words for sell.
    pub sell: Vec<String>,
    /// A negative number means sell.
    pub sign: bool,
}

/// How a symbol is read from a channel id.
#[derive(Clone, Debug, Deserialize)]
pub struct ChannelSymbol {
    /// Where the id is split.
    pub separator: String,
    /// First piece.
    pub first: i64,
    /// Last piece, inclusive.
    pub last: i64,
    /// Whether it is put into upper case.
    pub upper: bool,
    /// What comes before it.
    pub prefix: String,
}

/// How levels are coded.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Coding {
    /// `[price, size]`.
    Pair,
    /// `[action, price, size]`.
    Action,
    /// Objects with named price and size.
    Object,
    /// `[side, price, size]`.
    Sided,
    /// `[price, size, order id]`.
    Order,
    /// `[price, count, ±size]`.
    Signed,
    /// `[order id, price, ±size]`.
    #[serde(rename = "signed order")]
    SignedOrder,
    /// `"price,side,size"`.
    Text,
}

/// An array of levels.
#[derive(Clone, Debug, Deserialize)]
pub struct LevelList {
    /// Where.
    pub path: String,
    /// How.
    pub coding: Coding,
    /// Names the coding asks for.
    pub keys: Vec<String>,
    /// The path leads to one level.
    pub single: bool,
    /// The place of a level's own id.
    pub row_id: Option<usize>,
    /// Levels of price zero change nothing.
    pub skip_zero_price: bool,
}

/// What must hold between a message and the one before it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LinkRule {
    /// Nothing.
    None,
    /// `first == last + 1`.
    Next,
    /// `previous == last`.
    Back,
    /// `last` only grows.
    Rising,
}

/// A message's own sequence.
#[derive(Clone, Debug, Deserialize)]
pub struct Ids {
    /// Its id.
    pub last: String,
    /// The first it spans.
    pub first: Option<String>,
    /// The one it follows.
    pub previous: Option<String>,
}

/// What happens to a resting order.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum OrderEvent {
    /// It rests from now on.
    Open,
    /// Its size changes.
    Change,
    /// It leaves.
    Done,
    /// Some of it trades.
    Match,
    /// Nothing.
    None,
}

/// Which field of a statistics record a value goes to.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum StatValue {
    /// `price`.
    Price,
    /// `quantity`.
    Quantity,
    /// `ts_ref`.
    TimeMs,
}

/// One statistic.
#[derive(Clone, Debug, Deserialize)]
pub struct Stat {
    /// DBN's `stat_type`.
    #[serde(rename = "type")]
    pub kind: u16,
    /// Where.
    pub path: String,
    /// Which field.
    pub value: StatValue,
}

/// A venue's word and ours.
#[derive(Clone, Debug, Deserialize)]
pub struct Word {
    /// Theirs.
    pub venue: String,
    /// Ours.
    pub ours: String,
}

/// That a trade stands in a block of a chain.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)]
pub struct InBlock {
    pub number: String,
    pub hash: String,
    pub index: String,
    pub removed: Vec<Match>,
}

/// What a message gives; see the classes of the same names in `meaning.py`.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "is")]
#[allow(missing_docs)]
pub enum Emit {
    Trade {
        symbol: Option<String>,
        price: String,
        size: String,
        side: Side,
        time: Time,
        id: Option<String>,
        sent: Option<Time>,
        link: LinkRule,
        exclude: Vec<(String, Match)>,
        page: bool,
        block: Option<InBlock>,
        schema: String,
    },
    Block {
        number: String,
        hash: String,
        parent: String,
        time: Time,
    },
    Quote {
        symbol: Option<String>,
        bid: String,
        bid_size: String,
        ask: String,
        ask_size: String,
        time: Option<Time>,
        sequence: Option<String>,
        sent: Option<Time>,
        carry: Vec<Match>,
        schema: String,
    },
    BookLevels {
        symbol: Option<String>,
        bids: LevelList,
        asks: Option<LevelList>,
        snapshot: bool,
        book: String,
        time: Option<Time>,
        sent: Option<Time>,
        ids: Option<Ids>,
        checksum: Option<String>,
        sampled: bool,
        schema: String,
    },
    BookOrder {
        symbol: Option<String>,
        event: OrderEvent,
        book: String,
        order_id: Option<String>,
        price: Option<String>,
        size: Option<String>,
        side: Option<Side>,
        time: Option<Time>,
        ids: Option<Ids>,
        schema: String,
    },
    BookTop {
        symbol: Option<String>,
        bids: LevelList,
        asks: LevelList,
        time: Option<Time>,
        sequence: Option<String>,
        sampled: bool,
        schema: String,
    },
    Statistics {
        symbol: Option<String>,
        time: Option<Time>,
        stats: Vec<Stat>,
        schema: String,
    },
    Bar {
        symbol: Option<String>,
        start: Time,
        open: String,
        high: String,
        low: String,
        close: String,
        volume: String,
        closed: Vec<Match>,
        schema: String,
    },
    Instrument(Box<Instrument>),
}

/// An instrument list's entry.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)]
pub struct Instrument {
    pub symbol: String,
    pub prefix: String,
    pub when: Vec<Match>,
    pub price_step: Option<String>,
    pub price_decimals: Option<String>,
    pub size_step: Option<String>,
    pub size_decimals: Option<String>,
    pub max_size: Option<String>,
    pub base: Option<String>,
    pub quote: Option<String>,
    pub settle: Option<String>,
    pub unit: Option<String>,
    pub kind: Option<String>,
    pub kinds: Vec<Word>,
    pub kind_default: String,
    pub expiry: Option<Time>,
    pub activation: Option<Time>,
    pub strike: Option<String>,
    pub multiplier: Option<String>,
    pub schema: String,
}

/// One kind of message.
#[derive(Clone, Debug, Deserialize)]
pub struct Message {
    /// Its name, for counters.
    pub name: String,
    /// What it gives.
    pub emits: Vec<Emit>,
    /// Glob on the channel id.
    pub channel: String,
    /// Conditions on the payload.
    pub when: Vec<Match>,
    /// The array with an entry an event.
    pub each: Option<String>,
    /// Why it gives nothing.
    pub excluded: String,
}

/// Where a book's snapshot comes from.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotFrom {
    /// The stream itself.
    Stream,
    /// By request.
    Request,
}

/// Which kept deltas are older than a requested snapshot.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum Discard {
    /// Those with `last <= snapshot`.
    #[serde(rename = "last<=snapshot")]
    LastAtOrBelow,
    /// Those with `last < snapshot`.
    #[serde(rename = "last<snapshot")]
    LastBelow,
}

/// How the first delta meets a requested snapshot.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum Join {
    /// `first <= snapshot + 1 <= last`.
    #[serde(rename = "first<=snapshot+1<=last")]
    SpansNext,
    /// `first <= snapshot <= last`.
    #[serde(rename = "first<=snapshot<=last")]
    Spans,
    /// `previous == snapshot`.
    #[serde(rename = "previous==snapshot")]
    PreviousIs,
    /// `first == snapshot + 1`.
    #[serde(rename = "first==snapshot+1")]
    FirstIsNext,
}

/// How numbers become a checksum's text.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ChecksumText {
    /// Digits without the dot and leading zeros.
    Digits,
    /// As sent.
    Raw,
    /// As JavaScript prints the number.
    Number,
}

/// CRC32 over the top of the book.
#[derive(Clone, Debug, Deserialize)]
pub struct Checksum {
    /// Levels of each side.
    pub depth: usize,
    /// How numbers are written.
    pub text: ChecksumText,
    /// Bid, ask, bid, …; else all asks, then all bids.
    pub interleaved: bool,
    /// Between values.
    pub separator: String,
    /// Whether it is sent as int32.
    pub signed: bool,
    /// Asks' sizes carry a minus.
    pub negative_asks: bool,
    /// Orders by id, instead of levels by price.
    pub by_order: bool,
    /// Zero says that there is none.
    pub optional: bool,
}

/// How one of the venue's books is kept right.
#[derive(Clone, Debug, Deserialize)]
pub struct Book {
    /// Its name.
    pub name: String,
    /// Where its snapshot comes from.
    pub snapshot: SnapshotFrom,
    /// What links deltas.
    pub link: LinkRule,
    /// What is older than a snapshot.
    pub discard: Discard,
    /// How a delta meets a snapshot.
    pub join: Vec<Join>,
    /// Whether an id that does not move is legal.
    pub no_change: bool,
    /// Truncation by channel glob; 0: to the first snapshot's number of levels.
    pub depth_from: Vec<(String, usize)>,
    /// Its proof.
    pub checksum: Option<Checksum>,
    /// Single orders.
    pub per_order: bool,
    /// Deltas kept while a snapshot is awaited.
    pub max_buffered: usize,
    /// Whether what stands at a price beyond all records is left out.
    pub skip_far: bool,
}

/// A counter over the messages of a connection.
#[derive(Clone, Debug, Deserialize)]
pub struct Counter {
    /// Where it stands.
    pub path: String,
    /// In which messages.
    pub when: Vec<Match>,
}

/// What messages mean in a span of time.
#[derive(Clone, Debug, Deserialize)]
pub struct Mapping {
    /// The kinds of messages, in order of trial.
    pub messages: Vec<Message>,
    /// The books.
    pub books: Vec<Book>,
    /// From when on; empty: always.
    pub since: String,
    /// Until when; empty: for ever.
    pub until: String,
    /// Counters over all messages of a connection.
    pub counters: Vec<Counter>,
}

/// What a venue's messages mean.
#[derive(Clone, Debug, Deserialize)]
pub struct Meaning {
    /// The venue's number.
    pub number: u16,
    /// The lot of an instrument nothing is known of.
    pub default_lot: String,
    /// For the definition's `exchange`.
    pub exchange: String,
    /// By time.
    pub mappings: Vec<Mapping>,
    /// By channel glob.
    pub channel_symbols: Vec<(String, ChannelSymbol)>,
    /// Symbols under another name.
    pub symbol_aliases: Vec<(String, String)>,
    /// Ids set by hand.
    pub collisions: Vec<(String, u32)>,
    /// How payloads become JSON text.
    pub decoder: Option<DecoderSpec>,
}
