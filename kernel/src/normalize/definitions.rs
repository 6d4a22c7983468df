//! Instrument lists, inferred lots, and the DEFINITION records that come of both.

use super::events::EventKind;
use super::out::Exact;
use super::state::State;
use super::values::{self, Reject};
use super::Job;
use crate::decimal::{Dec, Exactness};
use crate::instrument::{lot_for, Facts, Known};
use crate::json::{self, Found, Tree};
use crate::plan::{self, Pick, Source};
use crate::record::{self, Schema};

/// Publishes an instrument's definition on a channel of its own.
pub fn publish(state: &mut State, instrument: usize, ts_recv: u64, ts_event: u64) {
    let known = state.instruments.get(instrument);
    let definition = known.definition(&state.exchange, state.unverified);
    let channel = known.raw_symbol.clone();
    let stamp = state.stamp(instrument, ts_recv, Some(ts_event), None, 0);
    let out = state.outs.find(Schema::Definition, &channel);
    state.outs.record(out, &Exact::default(), |bytes| record::definition(bytes, &stamp, &definition));
    state.outs.keep(out, stamp.instrument_id, 0);
    state.instruments.get_mut(instrument).defined = true;
    state.instruments_dirty = true;
}

impl State {
    /// One entry of an instrument list; published where it says something new.
    pub fn instrument(&mut self, job: &Job<'_>, make: &plan::Instrument, source: &Source<'_>) -> Result<(), Reject> {
        if !make.when.iter().all(|on| on.holds(source)) {
            return Ok(());
        }
        let symbol = symbol(make, source)?;
        let number = |pick: &Option<Pick>| -> Result<Option<Dec>, Reject> {
            match picked(source, pick.as_ref())?.filter(|text| !text.is_empty()) {
                Some(text) => Ok(Some(Dec::parse(text.as_bytes())?)),
                None => Ok(None),
            }
        };
        let step = |exact: &Option<Pick>, decimals: &Option<Pick>| -> Result<Option<Dec>, Reject> {
            if let Some(step) = number(exact)?.filter(|step| step.mantissa > 0) {
                return Ok(Some(step));
            }
            let places = number(decimals)?.and_then(|places| u8::try_from(places.mantissa).ok());
            Ok(places.map(|decimals| Dec { mantissa: 1, decimals }))
        };
        let price_step = step(&make.price_step, &make.price_decimals)?.map(Dec::trimmed);
        let size_step = step(&make.size_step, &make.size_decimals)?;
        let max_size = number(&make.max_size)?;
        let kind = picked(source, make.kind.as_ref())?.unwrap_or_default();
        let class = make.kinds.iter().find(|(word, _)| *word == kind).map_or(make.kind_default, |(_, class)| *class);
        let text =
            |pick: &Option<Pick>| -> Result<String, Reject> { Ok(picked(source, pick.as_ref())?.unwrap_or_default()) };
        let when = |time: &Option<plan::When>| time.as_ref().map(|time| values::date_of(source, time)).transpose();
        let facts = Facts {
            price_step: price_step.map(|step| (step.mantissa, step.decimals)),
            base: text(&make.base)?,
            quote: text(&make.quote)?,
            settle: text(&make.settle)?,
            unit: text(&make.unit)?,
            class,
            expiry: when(&make.expiry)?.flatten(),
            activation: when(&make.activation)?.flatten(),
            strike: number(&make.strike)?.map(|strike| (strike.mantissa, strike.decimals)),
            // DBN has whole ones only; a contract worth 0.01 of something has none.
            multiplier: number(&make.multiplier)?
                .and_then(|number| number.to_scale(0).ok())
                .filter(|(_, exactness)| *exactness == Exactness::Exact)
                .and_then(|(whole, _)| i32::try_from(whole).ok()),
        };
        let instrument = self.instrument_named(&symbol)?;
        let default_lot = self.instruments.get(instrument).lot;
        let known = self.instruments.get_mut(instrument);
        let lot = size_step.map_or(default_lot, |step| lot_for(step, max_size));
        let price_shift = price_step.map_or(0, |step| step.decimals.saturating_sub(9)).min(9);
        let news = known.known != Known::Definition || known.lot != lot || known.facts != facts || !known.defined;
        known.known = Known::Definition;
        known.lot = lot;
        known.price_shift = price_shift;
        known.facts = facts;
        if news {
            publish(self, instrument, job.ts_recv, job.ts_recv);
        }
        Ok(())
    }

    /// The lot and price scale of an instrument without definition, from its first book snapshot.
    pub fn infer(&mut self, channel: usize, instrument: usize, ts_recv: u64, levels: &[super::books::Change]) {
        if self.instruments.get(instrument).known >= Known::Snapshot || levels.is_empty() {
            return;
        }
        let mut size_places = 0;
        let mut price_places = 0;
        for level in levels {
            size_places = size_places.max(level.size.trimmed().decimals);
            price_places = price_places.max(level.price.trimmed().decimals);
        }
        // Coarser than the venue's own places where more than a tenth of this very book would be beyond a record.
        let (mantissa, decimals) = lot_for(Dec { mantissa: 1, decimals: size_places }, None);
        let mut needed: Vec<(i64, u8)> =
            levels.iter().map(|level| lot_for(Dec { mantissa, decimals }, Some(level.size))).collect();
        needed.sort_unstable_by_key(|(mantissa, decimals)| (std::cmp::Reverse(*decimals), *mantissa));
        let lot = needed.get((needed.len() - 1) * 9 / 10).copied().unwrap_or((mantissa, decimals));
        let known = self.instruments.get_mut(instrument);
        let price_shift = price_places.saturating_sub(9).min(9);
        let news = known.lot != lot || known.price_shift != price_shift || !known.defined;
        known.known = Known::Snapshot;
        known.lot = lot;
        known.price_shift = price_shift;
        self.instruments_dirty = true;
        if news {
            publish(self, instrument, ts_recv, ts_recv);
            self.event(EventKind::Inferred, Some(channel), Some(instrument), "first snapshot", 0, 0);
        }
    }
}

/// The symbol of an entry of an instrument list.
pub(super) fn symbol(make: &plan::Instrument, source: &Source<'_>) -> Result<String, Reject> {
    let symbol = picked(source, Some(&make.symbol))?.ok_or(Reject("no_symbol"))?;
    Ok(make.prefix.clone() + &symbol)
}

/// The text a pick finds.
fn picked(source: &Source<'_>, pick: Option<&Pick>) -> Result<Option<String>, Reject> {
    let Some(pick) = pick else { return Ok(None) };
    let Some((key, wanted, field)) = &pick.select else {
        let text = values::text(source, pick.place);
        if !source.value(pick.place).given() {
            return Ok(None);
        }
        return Ok(Some(String::from_utf8_lossy(&text).into_owned()));
    };
    let mut tree = Tree::default();
    let (key, field) = (tree.slot(key), tree.slot(field));
    let mut found = Found::default();
    let array = source.get(pick.place);
    for (start, end) in json::items(array).map_err(|_| Reject("syntax"))? {
        let item = array.get(start..end).unwrap_or_default();
        tree.scan(item, &mut found).map_err(|_| Reject("syntax"))?;
        if found.slots[usize::from(key)].of(item) == wanted.as_bytes() {
            let value = found.slots[usize::from(field)];
            return Ok(value.given().then(|| String::from_utf8_lossy(value.of(item)).into_owned()));
        }
    }
    Ok(None)
}
