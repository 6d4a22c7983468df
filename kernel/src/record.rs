//! DBN version 3 records as Tapeline publishes them; layouts are the `dbn` crate's, the choices `docs/dbn.md`'s.

use std::ffi::c_char;

use dbn::{
    rtype, BidAskPair, FlagSet, InstrumentDefMsg, MboMsg, Mbp10Msg, Mbp1Msg, OhlcvMsg, RecordHeader, StatMsg,
    StatusMsg, TradeMsg, UNDEF_PRICE, UNDEF_TIMESTAMP,
};

use crate::plan::SpecError;

/// Last record of a venue message.
pub const F_LAST: u8 = 0x80;
/// Top of book, not an order.
pub const F_TOB: u8 = 0x40;
/// From a snapshot.
pub const F_SNAPSHOT: u8 = 0x20;
/// An aggregated price level, not an order.
pub const F_MBP: u8 = 0x10;
/// The book may be wrong: a gap has not been closed yet.
pub const F_MAYBE_BAD_BOOK: u8 = 0x04;
/// Ours: a number in this record was rounded or capped.
pub const F_INEXACT: u8 = 0x02;

/// The largest size a record can carry; one more means undefined.
pub const MAX_SIZE: u32 = u32::MAX - 1;

/// The schemas Tapeline publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Schema {
    Mbo,
    Mbp1,
    Mbp10,
    Trades,
    Ohlcv1M,
    Statistics,
    Status,
    Definition,
}

/// All schemas, by their number.
pub const SCHEMAS: [Schema; 8] = [
    Schema::Mbo,
    Schema::Mbp1,
    Schema::Mbp10,
    Schema::Trades,
    Schema::Ohlcv1M,
    Schema::Statistics,
    Schema::Status,
    Schema::Definition,
];

impl Schema {
    /// Its name in channel names.
    pub fn name(self) -> &'static str {
        match self {
            Schema::Mbo => "MBO",
            Schema::Mbp1 => "MBP_1",
            Schema::Mbp10 => "MBP_10",
            Schema::Trades => "TRADES",
            Schema::Ohlcv1M => "OHLCV_1M",
            Schema::Statistics => "STATISTICS",
            Schema::Status => "STATUS",
            Schema::Definition => "DEFINITION",
        }
    }

    /// From its name in channel names.
    pub fn parse(name: &str) -> Result<Self, SpecError> {
        let found = SCHEMAS.into_iter().find(|schema| schema.name() == name);
        found.ok_or_else(|| SpecError(format!("schema {name} is not one of DBN's that are published here")))
    }

    /// Where its records keep their flags, if they have any.
    pub fn flags_at(self) -> Option<usize> {
        match self {
            Schema::Mbo => Some(36),
            Schema::Mbp1 | Schema::Mbp10 | Schema::Trades => Some(30),
            _ => None,
        }
    }
}

/// What every record of one payload has in common.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamp {
    /// Who publishes.
    pub publisher_id: u16,
    /// Which instrument.
    pub instrument_id: u32,
    /// The venue's time, ns.
    pub ts_event: u64,
    /// Ours, ns.
    pub ts_recv: u64,
    /// When the venue sent it, ns; `ts_event` where it does not say.
    pub ts_sent: u64,
    /// Low 32 bits of the venue's id.
    pub sequence: u32,
}

impl Stamp {
    fn delta(&self) -> i32 {
        let delta = i128::from(self.ts_recv) - i128::from(self.ts_sent);
        delta.clamp(i128::from(i32::MIN), i128::from(i32::MAX)) as i32
    }

    fn header<R: dbn::HasRType>(&self, rtype: u8) -> RecordHeader {
        RecordHeader::new::<R>(rtype, self.publisher_id, self.instrument_id, self.ts_event)
    }
}

/// What an order or level record says.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// DBN action.
    pub action: u8,
    /// DBN side.
    pub side: u8,
    /// 1e-9.
    pub price: i64,
    /// Lots.
    pub size: u32,
    /// Order, or the level's key.
    pub order_id: u64,
    /// DBN flags.
    pub flags: u8,
}

/// One order or level.
pub fn mbo(out: &mut Vec<u8>, stamp: &Stamp, entry: &Entry) {
    let record = MboMsg {
        hd: stamp.header::<MboMsg>(rtype::MBO),
        order_id: entry.order_id,
        price: entry.price,
        size: entry.size,
        flags: FlagSet::new(entry.flags),
        channel_id: 0,
        action: entry.action as c_char,
        side: entry.side as c_char,
        ts_recv: stamp.ts_recv,
        ts_in_delta: stamp.delta(),
        sequence: stamp.sequence,
    };
    out.extend_from_slice(record.as_ref());
}

/// One trade; `side` is the aggressor's.
pub fn trade(out: &mut Vec<u8>, stamp: &Stamp, price: i64, size: u32, side: u8, flags: u8) {
    trade_action(out, stamp, b'T', price, size, side, flags);
}

/// A trade that is taken back: as it was, but that the action is `C`.
pub fn trade_taken_back(out: &mut Vec<u8>, stamp: &Stamp, price: i64, size: u32, side: u8, flags: u8) {
    trade_action(out, stamp, b'C', price, size, side, flags);
}

fn trade_action(out: &mut Vec<u8>, stamp: &Stamp, action: u8, price: i64, size: u32, side: u8, flags: u8) {
    let record = TradeMsg {
        hd: stamp.header::<TradeMsg>(rtype::MBP_0),
        price,
        size,
        action: action as c_char,
        side: side as c_char,
        flags: FlagSet::new(flags),
        depth: 0,
        ts_recv: stamp.ts_recv,
        ts_in_delta: stamp.delta(),
        sequence: stamp.sequence,
    };
    out.extend_from_slice(record.as_ref());
}

/// One side of a quote or level of a depth: price and size in lots.
pub type Side = Option<(i64, u32)>;

fn pair(bid: Side, ask: Side) -> BidAskPair {
    let (bid_px, bid_sz) = bid.unwrap_or((UNDEF_PRICE, 0));
    let (ask_px, ask_sz) = ask.unwrap_or((UNDEF_PRICE, 0));
    BidAskPair { bid_px, ask_px, bid_sz, ask_sz, bid_ct: 0, ask_ct: 0 }
}

/// Top of book.
pub fn mbp_1(out: &mut Vec<u8>, stamp: &Stamp, bid: Side, ask: Side, flags: u8) {
    let record = Mbp1Msg {
        hd: stamp.header::<Mbp1Msg>(rtype::MBP_1),
        price: UNDEF_PRICE,
        size: 0,
        action: b'M' as c_char,
        side: b'N' as c_char,
        flags: FlagSet::new(flags),
        depth: 0,
        ts_recv: stamp.ts_recv,
        ts_in_delta: stamp.delta(),
        sequence: stamp.sequence,
        levels: [pair(bid, ask)],
    };
    out.extend_from_slice(record.as_ref());
}

/// The top ten levels, best first.
pub fn mbp_10(out: &mut Vec<u8>, stamp: &Stamp, bids: &[(i64, u32)], asks: &[(i64, u32)], flags: u8) {
    let mut record = Mbp10Msg {
        hd: stamp.header::<Mbp10Msg>(rtype::MBP_10),
        price: UNDEF_PRICE,
        size: 0,
        action: b'M' as c_char,
        side: b'N' as c_char,
        flags: FlagSet::new(flags),
        depth: 0,
        ts_recv: stamp.ts_recv,
        ts_in_delta: stamp.delta(),
        sequence: stamp.sequence,
        ..Mbp10Msg::default()
    };
    for (place, level) in record.levels.iter_mut().enumerate() {
        *level = pair(bids.get(place).copied(), asks.get(place).copied());
    }
    out.extend_from_slice(record.as_ref());
}

/// A one-minute candle; open, high, low, close.
pub fn ohlcv_1m(out: &mut Vec<u8>, stamp: &Stamp, prices: [i64; 4], volume: u64) {
    let [open, high, low, close] = prices;
    let record = OhlcvMsg { hd: stamp.header::<OhlcvMsg>(rtype::OHLCV_1M), open, high, low, close, volume };
    out.extend_from_slice(record.as_ref());
}

/// What a statistic says; a field that is not given is undefined.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statistic {
    /// DBN's `stat_type`.
    pub kind: u16,
    /// 1e-9.
    pub price: Option<i64>,
    /// Lots.
    pub quantity: Option<i64>,
    /// ns.
    pub ts_ref: Option<u64>,
}

/// One statistic.
pub fn statistic(out: &mut Vec<u8>, stamp: &Stamp, value: &Statistic) {
    let record = StatMsg {
        hd: stamp.header::<StatMsg>(rtype::STATISTICS),
        ts_recv: stamp.ts_recv,
        ts_ref: value.ts_ref.unwrap_or(UNDEF_TIMESTAMP),
        price: value.price.unwrap_or(UNDEF_PRICE),
        quantity: value.quantity.unwrap_or(i64::MAX),
        sequence: stamp.sequence,
        ts_in_delta: stamp.delta(),
        stat_type: value.kind,
        ..StatMsg::default()
    };
    out.extend_from_slice(record.as_ref());
}

/// What became of a channel's books; DBN's words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// A gap: quotes are not to be trusted (`action` pause, `is_quoting` N).
    Doubtful,
    /// Right again (`action` trading, `is_quoting` Y).
    Right,
}

/// The state of a channel.
pub fn status(out: &mut Vec<u8>, stamp: &Stamp, health: Health) {
    let (action, quoting) = match health {
        Health::Doubtful => (9, b'N'),
        Health::Right => (7, b'Y'),
    };
    let record = StatusMsg {
        hd: stamp.header::<StatusMsg>(rtype::STATUS),
        ts_recv: stamp.ts_recv,
        action,
        reason: 0,
        trading_event: 0,
        is_trading: b'~' as c_char,
        is_quoting: quoting as c_char,
        is_short_sell_restricted: b'~' as c_char,
        ..StatusMsg::default()
    };
    out.extend_from_slice(record.as_ref());
}

/// What a definition says beyond its stamp.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Definition {
    pub raw_symbol: String,
    pub price_step: Option<i64>,
    pub display_factor: i64,
    pub lot: i64,
    pub unit: String,
    pub base: String,
    pub quote: String,
    pub settle: String,
    pub exchange: String,
    pub group: String,
    pub secsubtype: String,
    pub class: u8,
    pub expiry: Option<u64>,
    pub activation: Option<u64>,
    pub strike: Option<i64>,
    pub multiplier: Option<i32>,
    pub changed: bool,
}

fn text<const N: usize>(value: &str) -> [c_char; N] {
    let mut field = [0 as c_char; N];
    for (to, from) in field.iter_mut().take(N - 1).zip(value.bytes().filter(u8::is_ascii)) {
        *to = from as c_char;
    }
    field
}

/// A currency field holds three letters; a longer code (USDT) is left out rather than cut.
fn currency(code: &str) -> [c_char; 4] {
    if code.len() <= 3 {
        text(code)
    } else {
        [0; 4]
    }
}

/// One instrument.
pub fn definition(out: &mut Vec<u8>, stamp: &Stamp, from: &Definition) {
    let mut record = InstrumentDefMsg {
        hd: stamp.header::<InstrumentDefMsg>(rtype::INSTRUMENT_DEF),
        ts_recv: stamp.ts_recv,
        min_price_increment: from.price_step.unwrap_or(UNDEF_PRICE),
        display_factor: from.display_factor,
        expiration: from.expiry.unwrap_or(UNDEF_TIMESTAMP),
        activation: from.activation.unwrap_or(UNDEF_TIMESTAMP),
        unit_of_measure_qty: from.lot,
        strike_price: from.strike.unwrap_or(UNDEF_PRICE),
        raw_instrument_id: u64::from(stamp.instrument_id),
        currency: currency(&from.quote),
        settl_currency: currency(&from.settle),
        strike_price_currency: if from.strike.is_some() { currency(&from.quote) } else { [0; 4] },
        secsubtype: text(&from.secsubtype),
        raw_symbol: text(&from.raw_symbol),
        group: text(&from.group),
        exchange: text(&from.exchange),
        asset: text(&from.base),
        unit_of_measure: text(&from.unit),
        underlying: text(&from.base),
        instrument_class: from.class as c_char,
        security_update_action: if from.changed { b'M' } else { b'A' } as c_char,
        ..InstrumentDefMsg::default()
    };
    if let Some(multiplier) = from.multiplier {
        record.contract_multiplier = multiplier;
    }
    out.extend_from_slice(record.as_ref());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_dbn_version_3_sizes() {
        let stamp = Stamp::default();
        let entry = Entry { action: b'A', side: b'B', price: 1, size: 2, order_id: 3, flags: F_LAST };
        let size = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            assert_eq!(usize::from(out[0]) * 4, out.len());
            out.len()
        };
        assert_eq!(size(&|out| mbo(out, &stamp, &entry)), 56);
        assert_eq!(size(&|out| trade(out, &stamp, 1, 2, b'A', 0)), 48);
        assert_eq!(size(&|out| mbp_1(out, &stamp, None, None, 0)), 80);
        assert_eq!(size(&|out| mbp_10(out, &stamp, &[], &[], 0)), 368);
        assert_eq!(size(&|out| ohlcv_1m(out, &stamp, [0; 4], 0)), 56);
        assert_eq!(size(&|out| statistic(out, &stamp, &Statistic::default())), 80);
        assert_eq!(size(&|out| status(out, &stamp, Health::Right)), 40);
        assert_eq!(size(&|out| definition(out, &stamp, &Definition::default())), 520);
    }

    #[test]
    fn flags_stand_where_the_layout_says() {
        let stamp = Stamp::default();
        let mut out = Vec::new();
        mbo(&mut out, &stamp, &Entry { action: b'A', side: b'B', price: 1, size: 2, order_id: 3, flags: 0xa5 });
        assert_eq!(Schema::Mbo.flags_at().map(|at| out[at]), Some(0xa5));
        out.clear();
        trade(&mut out, &stamp, 1, 2, b'A', 0xa5);
        assert_eq!(Schema::Trades.flags_at().map(|at| out[at]), Some(0xa5));
        out.clear();
        mbp_1(&mut out, &stamp, None, None, 0xa5);
        assert_eq!(Schema::Mbp1.flags_at().map(|at| out[at]), Some(0xa5));
        out.clear();
        mbp_10(&mut out, &stamp, &[], &[], 0xa5);
        assert_eq!(Schema::Mbp10.flags_at().map(|at| out[at]), Some(0xa5));
    }
}
