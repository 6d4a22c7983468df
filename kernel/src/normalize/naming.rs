//! Which instrument a message is about, and its numbers as records hold them.

use super::definitions;
use super::events::EventKind;
use super::state::State;
use super::values::Reject;
use crate::decimal::Dec;
use crate::instrument::{instrument_id, Facts, Instrument, Known, Lots};
use crate::plan::{Place, Source};
use crate::record::{F_INEXACT, MAX_SIZE};

impl State {
    /// The instrument a message is about.
    #[inline]
    pub fn instrument_of(
        &mut self,
        channel: usize,
        source: &Source<'_>,
        symbol: Option<Place>,
    ) -> Result<usize, Reject> {
        let text = symbol.map(|place| super::values::text(source, place)).unwrap_or_default();
        if let Some((known, at)) = self.channels.get(channel).and_then(|known| known.recent.as_ref()) {
            if *known == *text {
                return Ok(*at);
            }
        }
        let symbol = if text.is_empty() {
            self.channels.get(channel).and_then(|known| known.symbol.clone()).ok_or(Reject("no_symbol"))?
        } else {
            String::from_utf8(text.to_vec()).map_err(|_| Reject("no_symbol"))?
        };
        let at = self.instrument_named(&symbol)?;
        if let Some(known) = self.channels.get_mut(channel) {
            known.recent = Some((text.into_owned(), at));
        }
        Ok(at)
    }

    /// An instrument by its symbol, made known where it is new.
    pub fn instrument_named(&mut self, symbol: &str) -> Result<usize, Reject> {
        let symbol = self.aliases.get(symbol).map_or(symbol, String::as_str);
        if let Some(known) = self.instruments.find(symbol.as_bytes()) {
            return Ok(known);
        }
        let id = self.collisions.get(symbol).copied().unwrap_or_else(|| instrument_id(&self.provider, symbol));
        let instrument = Instrument {
            raw_symbol: symbol.into(),
            id,
            lot: self.default_lot,
            price_shift: 0,
            known: Known::Default,
            facts: Facts::default(),
            defined: false,
        };
        self.instruments_dirty = true;
        match self.instruments.add(instrument) {
            Ok(at) => Ok(at),
            Err(other) => {
                let reason = format!("{symbol} has the id of {other}");
                self.event(EventKind::Collision, None, None, &reason, u64::from(id), 0);
                Err(Reject("collision"))
            }
        }
    }

    /// Makes sure a definition has gone out before the instrument's first record.
    #[inline]
    pub fn define(&mut self, instrument: usize, channel: usize, ts_recv: u64) {
        if !self.instruments.get(instrument).defined {
            definitions::publish(self, instrument, ts_recv, ts_recv);
            self.event(EventKind::Inferred, Some(channel), Some(instrument), "no definition", 0, 0);
        }
    }

    /// A size in lots, with the flag of one that is not exact.
    #[inline]
    pub fn lots(&mut self, instrument: usize, size: Dec) -> Result<(u32, u8), Reject> {
        match self.instruments.get(instrument).lots(size)? {
            Lots::Exact(lots) => Ok((lots, 0)),
            Lots::Rounded(lots) => {
                self.rounded += 1;
                // A level that is there must not look deleted.
                Ok((lots.max(u32::from(!size.is_zero())), F_INEXACT))
            }
            Lots::Capped => {
                self.capped += 1;
                Ok((MAX_SIZE, F_INEXACT))
            }
        }
    }

    /// Counts a number that had to be rounded and has no flag to say so.
    pub fn count_rounded(&mut self) {
        self.rounded += 1;
    }

    /// A price as published, with the flag of one that is not exact.
    #[inline]
    pub fn price(&mut self, instrument: usize, price: Dec) -> Result<(i64, u8), Reject> {
        let (value, exact) = self.instruments.get(instrument).price(price)?;
        if exact {
            return Ok((value, 0));
        }
        self.rounded += 1;
        Ok((value, F_INEXACT))
    }
}
