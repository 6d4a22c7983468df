//! Messages that need no book: trades, quotes, depth snapshots, statistics, candles.

use super::blocks;
use super::events::EventKind;
use super::out::Exact;
use super::pages::Identity;
use super::sampled::{content as levels_content, mixed, SEED};
use super::state::State;
use super::values::{self, Reject};
use super::Job;
use crate::decimal::{Dec, Exactness};
use crate::json::Kind;
use crate::plan::{self, Place, Source};
use crate::record::{self, Side, Statistic, F_TOB};
use crate::spec::{LinkRule, StatValue};
use crate::sync;

/// A side of a quote as published, as written, and the flag of numbers that are not exact.
type QuoteSide = (Side, Option<(Dec, Dec)>, u8);

/// What a trade says of itself.
struct Print {
    price: Dec,
    size: Dec,
    side: u8,
    ts_event: Option<u64>,
    ts_sent: Option<u64>,
    /// Where it stands, and whether it is taken back.
    place: Option<(blocks::Place, bool)>,
}

impl Print {
    #[inline]
    fn read(make: &plan::Trade, source: &Source<'_>) -> Result<Self, Reject> {
        Ok(Self {
            price: values::number(source, make.price)?,
            size: values::unsigned(values::number(source, make.size)?, &make.side)?,
            side: values::side(source, &make.side)?,
            ts_event: values::time_of(source, &make.time)?,
            ts_sent: make.sent.as_ref().map(|when| values::time_of(source, when)).transpose()?.flatten(),
            place: make.block.as_ref().map(|block| blocks::place(source, block)).transpose()?,
        })
    }
}

impl State {
    /// One trade.
    #[inline]
    pub fn trade(&mut self, job: &Job<'_>, make: &plan::Trade, source: &Source<'_>) -> Result<(), Reject> {
        for (why, on) in &make.exclude {
            if on.holds(source) {
                self.exclude(why);
                return Ok(());
            }
        }
        let Print { price, size, side, mut ts_event, ts_sent, place } = Print::read(make, source)?;
        if let Some((place, removed)) = place {
            if removed || self.stands(job.channel, &place, make.page) {
                self.known_trade(job, &place, removed);
                return Ok(());
            }
            ts_event = ts_event.or_else(|| self.block_time(&place));
        }
        let id = make.id.map(|place| values::id(source, place)).transpose()?;
        let instrument = self.instrument_of(job.channel, source, make.symbol)?;
        let (px, px_flag) = self.price(instrument, price)?;
        let (lots, size_flag) = self.lots(instrument, size)?;
        let new = match (id, make.link) {
            (Some(id), LinkRule::Next | LinkRule::Rising) => {
                if make.page {
                    self.page_begins(job.channel, instrument, make.link);
                }
                let new = self.chain(job.channel, instrument, id, make.link == LinkRule::Next);
                if make.page {
                    self.paged_id(instrument, id, new);
                }
                new
            }
            _ if make.page && place.is_none() => {
                let time = ts_event.ok_or(Reject("bad_time"))?;
                self.paged(job.channel, instrument, &Identity { time, price, size, side })
            }
            _ => true,
        };
        if !new {
            self.exclude("repeated trade");
            return Ok(());
        }
        self.define(instrument, job.channel, job.ts_recv);
        let id = id.unwrap_or(0);
        let stamp = self.stamp(instrument, job.ts_recv, ts_event, ts_sent, id);
        let exact = Exact { venue_id: id, price: Some(price), size: Some(size), ..Exact::default() };
        let out = self.out(job.channel, make.schema);
        let flags = px_flag | size_flag;
        self.outs.record(out, &exact, |bytes| record::trade(bytes, &stamp, px, lots, side, flags));
        self.outs.keep(out, stamp.instrument_id, 0);
        if let Some((place, _)) = place {
            let ts_event = stamp.ts_event;
            self.stand(
                job.channel,
                blocks::Standing { place, instrument, id, ts_event, px, lots, side, flags, price, size },
            );
        }
        Ok(())
    }

    /// Notes where another shard's trade of a page stands: the page reaches as far as all its trades.
    pub(super) fn paged_elsewhere(&mut self, make: &plan::Trade, source: &Source<'_>) {
        if !make.page || make.block.is_none() || make.exclude.iter().any(|(_, on)| on.holds(source)) {
            return;
        }
        if let Ok(Print { place: Some((place, false)), .. }) = Print::read(make, source) {
            self.paged_blocks.push(place);
        }
    }

    /// Takes a trade id in; false where it has been before. `whole`: an id left out is a loss.
    fn chain(&mut self, channel: usize, instrument: usize, id: u64, whole: bool) -> bool {
        let Some(known) = self.channels.get_mut(channel) else { return true };
        match known.chains.entry(instrument).or_default().take(id) {
            sync::Place::Repeated => return false,
            _ if !whole => {}
            sync::Place::Next => self.links[0] += 1,
            sync::Place::Late => {}
            sync::Place::After(from, to) => {
                self.links[1] += 1;
                self.event(EventKind::Gap, Some(channel), Some(instrument), "trade id", from, to);
            }
        }
        true
    }

    /// One top of book.
    #[inline]
    pub fn quote(&mut self, job: &Job<'_>, make: &plan::Quote, source: &Source<'_>) -> Result<(), Reject> {
        let ts_event = make.time.as_ref().map(|when| values::time_of(source, when)).transpose()?.flatten();
        let ts_sent = make.sent.as_ref().map(|when| values::time_of(source, when)).transpose()?.flatten();
        let sequence = make.sequence.map(|place| values::id(source, place)).transpose()?.unwrap_or(0);
        let instrument = self.instrument_of(job.channel, source, make.symbol)?;
        let places = [make.prices[0], make.sizes[0], make.prices[1], make.sizes[1]];
        let mut numbers = [None; 4];
        for (number, place) in numbers.iter_mut().zip(places) {
            *number = values::maybe_number(source, place)?;
        }
        if make.remembered && !self.carry(job.channel, instrument, make, source, places, &mut numbers) {
            self.exclude("quote with nothing to carry over");
            return Ok(());
        }
        let (bid, bid_exact, bid_flag) = self.quote_side(instrument, numbers[0], numbers[1])?;
        let (ask, ask_exact, ask_flag) = self.quote_side(instrument, numbers[2], numbers[3])?;
        self.define(instrument, job.channel, job.ts_recv);
        let stamp = self.stamp(instrument, job.ts_recv, ts_event, ts_sent, sequence);
        let exact = Exact {
            venue_id: sequence,
            price: bid_exact.map(|pair| pair.0),
            size: bid_exact.map(|pair| pair.1),
            ask_price: ask_exact.map(|pair| pair.0),
            ask_size: ask_exact.map(|pair| pair.1),
        };
        let flags = F_TOB | bid_flag | ask_flag;
        let out = self.out(job.channel, make.schema);
        self.outs.record(out, &exact, |bytes| record::mbp_1(bytes, &stamp, bid, ask, flags));
        self.outs.keep(out, stamp.instrument_id, 0);
        Ok(())
    }

    /// Fills in what a quote leaves unchanged, and remembers it; false where there is nothing to take that from.
    #[cold]
    fn carry(
        &mut self,
        channel: usize,
        instrument: usize,
        make: &plan::Quote,
        source: &Source<'_>,
        places: [Place; 4],
        numbers: &mut [Option<Dec>; 4],
    ) -> bool {
        let Some(known) = self.channels.get_mut(channel) else { return false };
        if !make.carry.is_empty() && make.carry.iter().all(|on| on.holds(source)) {
            let before = known.quotes.get(&instrument);
            for (at, place) in places.into_iter().enumerate() {
                if source.value(place).kind == Kind::Absent {
                    let Some(before) = before else { return false };
                    numbers[at] = before[at];
                }
            }
        }
        known.quotes.insert(instrument, *numbers);
        true
    }

    /// What quotes left unchanged is no longer known on channels of some connections; where it was, they are asked for anew.
    pub(super) fn forget_quotes(&mut self, reason: &str, which: impl Fn(u32) -> bool) {
        for at in 0..self.channels.len() {
            let known = &mut self.channels[at];
            if !known.quotes.is_empty() && which(known.connection) {
                known.quotes.clear();
                known.dirty = true;
                self.event(EventKind::Resync, Some(at), None, reason, 0, 0);
            }
        }
    }

    /// A side whose price is absent, null or zero is not there.
    #[inline]
    fn quote_side(&mut self, instrument: usize, price: Option<Dec>, size: Option<Dec>) -> Result<QuoteSide, Reject> {
        let Some(price) = price.filter(|price| !price.is_zero()) else { return Ok((None, None, 0)) };
        let size = size.unwrap_or_default();
        let (px, px_flag) = self.price(instrument, price)?;
        let (lots, size_flag) = self.lots(instrument, size)?;
        Ok((Some((px, lots)), Some((price, size)), px_flag | size_flag))
    }

    /// One full top-N book.
    pub fn top(&mut self, job: &Job<'_>, make: &plan::Top, source: &Source<'_>) -> Result<(), Reject> {
        let ts_event = make.time.as_ref().map(|when| values::time_of(source, when)).transpose()?.flatten();
        let id = make.sequence.map(|place| values::id(source, place)).transpose()?;
        let sequence = id.unwrap_or(0);
        let instrument = self.instrument_of(job.channel, source, make.symbol)?;
        let mut content = SEED;
        let mut sides: [Vec<(i64, u32)>; 2] = Default::default();
        let mut flags = 0;
        for (levels, rows) in sides.iter_mut().zip([&make.bids, &make.asks]) {
            let mut list = super::books::rows_of(source, rows)?;
            list.truncate(10);
            if make.sampled {
                content = mixed(content, levels_content(&list));
            }
            for row in list {
                let (px, px_flag) = self.price(instrument, row.price)?;
                let (lots, size_flag) = self.lots(instrument, row.size)?;
                levels.push((px, lots));
                flags |= px_flag | size_flag;
            }
        }
        if make.sampled && self.unchanged_top(job.channel, instrument, id, || content) {
            return Ok(());
        }
        self.define(instrument, job.channel, job.ts_recv);
        let stamp = self.stamp(instrument, job.ts_recv, ts_event, None, sequence);
        let out = self.out(job.channel, make.schema);
        let exact = Exact { venue_id: sequence, ..Exact::default() };
        let [bids, asks] = &sides;
        self.outs.record(out, &exact, |bytes| record::mbp_10(bytes, &stamp, bids, asks, flags));
        self.outs.keep(out, stamp.instrument_id, 0);
        Ok(())
    }

    /// The statistics of one message.
    pub fn statistics(&mut self, job: &Job<'_>, make: &plan::Statistics, source: &Source<'_>) -> Result<(), Reject> {
        let ts_event = make.time.as_ref().map(|when| values::time_of(source, when)).transpose()?.flatten();
        let instrument = self.instrument_of(job.channel, source, make.symbol)?;
        let mut found: Vec<(Statistic, Dec)> = Vec::with_capacity(make.stats.len());
        for (kind, place, value) in &make.stats {
            let Some(number) = values::maybe_number(source, *place)? else { continue };
            let mut statistic = Statistic { kind: *kind, ..Statistic::default() };
            match value {
                StatValue::Price => statistic.price = Some(self.price(instrument, number)?.0),
                StatValue::Quantity => statistic.quantity = Some(self.quantity(instrument, number)?),
                // Zero is how a venue says that there is none.
                StatValue::TimeMs if number.is_zero() => continue,
                StatValue::TimeMs => {
                    let Ok((nanos, _)) = (Dec { mantissa: number.mantissa, decimals: number.decimals }).to_scale(0)
                    else {
                        return Err(Reject("bad_time"));
                    };
                    statistic.ts_ref = u64::try_from(nanos).ok().and_then(|ms| ms.checked_mul(1_000_000));
                }
            }
            found.push((statistic, number));
        }
        self.define(instrument, job.channel, job.ts_recv);
        let stamp = self.stamp(instrument, job.ts_recv, ts_event, None, 0);
        let out = self.out(job.channel, make.schema);
        for (statistic, number) in found {
            let given = Some(number);
            let exact = match statistic.quantity {
                Some(_) => Exact { size: given, ..Exact::default() },
                None => Exact { price: given, ..Exact::default() },
            };
            self.outs.record(out, &exact, |bytes| record::statistic(bytes, &stamp, &statistic));
            self.outs.keep(out, stamp.instrument_id, statistic.kind);
        }
        Ok(())
    }

    /// A quantity in lots that may be larger than a size, or negative; one that is not a whole number of lots is counted.
    fn quantity(&mut self, instrument: usize, number: Dec) -> Result<i64, Reject> {
        let (mantissa, decimals) = self.instruments.get(instrument).lot;
        let (scaled, exactness) = number.to_scale(decimals)?;
        let mantissa = mantissa.max(1);
        if exactness == Exactness::Rounded || scaled % mantissa != 0 {
            self.count_rounded();
        }
        Ok(scaled / mantissa)
    }

    /// One candle.
    pub fn bar(&mut self, job: &Job<'_>, make: &plan::Bar, source: &Source<'_>) -> Result<(), Reject> {
        if !make.closed.iter().all(|on| on.holds(source)) {
            self.exclude("candle still open");
            return Ok(());
        }
        let Some(start) = values::time_of(source, &make.start)? else { return Err(Reject("bad_time")) };
        let instrument = self.instrument_of(job.channel, source, make.symbol)?;
        let mut prices = [0i64; 4];
        for (price, place) in prices.iter_mut().zip(make.prices) {
            *price = self.price(instrument, values::number(source, place)?)?.0;
        }
        let volume = values::number(source, make.volume)?;
        let lots = u64::try_from(self.quantity(instrument, volume)?).map_err(|_| Reject("number_range"))?;
        self.define(instrument, job.channel, job.ts_recv);
        let stamp = self.stamp(instrument, job.ts_recv, Some(start), None, 0);
        let out = self.out(job.channel, make.schema);
        let exact = Exact { size: Some(volume), ..Exact::default() };
        self.outs.record(out, &exact, |bytes| record::ohlcv_1m(bytes, &stamp, prices, lots));
        self.outs.keep(out, stamp.instrument_id, 0);
        Ok(())
    }
}
