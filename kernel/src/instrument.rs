//! What is known of each instrument: its id, its lot, its price scale, and the definition that says so.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::decimal::{Dec, Exactness, NumberError};
use crate::record::{Definition, MAX_SIZE};

/// Where an instrument's lot comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Known {
    /// The venue's default.
    Default,
    /// Its first book snapshot.
    Snapshot,
    /// Its definition.
    Definition,
}

/// What the venue's instrument list says of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Facts {
    pub price_step: Option<(i64, u8)>,
    pub base: String,
    pub quote: String,
    pub settle: String,
    pub unit: String,
    pub class: u8,
    pub expiry: Option<u64>,
    pub activation: Option<u64>,
    pub strike: Option<(i64, u8)>,
    pub multiplier: Option<i32>,
}

/// One instrument.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Instrument {
    /// The venue's symbol.
    pub raw_symbol: String,
    /// Its DBN id.
    pub id: u32,
    /// Mantissa and decimals of its lot.
    pub lot: (i64, u8),
    /// Prices are published times 10 to this.
    pub price_shift: u8,
    /// Where the lot comes from.
    pub known: Known,
    /// What the venue says of it.
    pub facts: Facts,
    /// Whether a definition has been published.
    pub defined: bool,
}

/// A size in lots, and whether it is all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lots {
    /// Exactly.
    Exact(u32),
    /// Rounded to the nearest lot.
    Rounded(u32),
    /// More than a record can carry.
    Capped,
}

impl Instrument {
    /// A size in this instrument's lots. A negative size is an error.
    #[inline]
    pub fn lots(&self, size: Dec) -> Result<Lots, NumberError> {
        let (mantissa, decimals) = self.lot;
        let Ok((scaled, exactness)) = size.to_scale(decimals) else { return Ok(Lots::Capped) };
        if scaled < 0 {
            return Err(NumberError::Range);
        }
        let (lots, rest) =
            if mantissa == 1 { (scaled, 0) } else { (scaled / mantissa.max(1), scaled % mantissa.max(1)) };
        let rounded = exactness == Exactness::Rounded || rest != 0;
        let lots = lots.saturating_add(i64::from(rest.saturating_mul(2) >= mantissa && rest != 0));
        match u32::try_from(lots) {
            Ok(lots) if lots <= MAX_SIZE => Ok(if rounded { Lots::Rounded(lots) } else { Lots::Exact(lots) }),
            _ => Ok(Lots::Capped),
        }
    }

    /// A price as published, and whether it is exact.
    #[inline]
    pub fn price(&self, price: Dec) -> Result<(i64, bool), NumberError> {
        let (value, exactness) = price.to_scale(9 + self.price_shift)?;
        if value == i64::MAX {
            return Err(NumberError::Range);
        }
        Ok((value, exactness == Exactness::Exact))
    }

    /// Its definition. `unverified`: its books have neither links nor checksums.
    pub fn definition(&self, exchange: &str, unverified: bool) -> Definition {
        let nine = |number: Option<(i64, u8)>| {
            let (mantissa, decimals) = number?;
            Some(Dec { mantissa, decimals }.to_scale(9 + self.price_shift).ok()?.0)
        };
        let lot = Dec { mantissa: self.lot.0, decimals: self.lot.1 };
        Definition {
            raw_symbol: self.raw_symbol.clone(),
            price_step: nine(self.facts.price_step),
            display_factor: 10i64.pow(u32::from(9 - self.price_shift.min(9))),
            lot: lot.to_scale(9).map_or(0, |(value, _)| value),
            unit: self.facts.unit.clone(),
            base: self.facts.base.clone(),
            quote: self.facts.quote.clone(),
            settle: self.facts.settle.clone(),
            exchange: exchange.into(),
            group: if self.known == Known::Definition { String::new() } else { "INFERRED".into() },
            secsubtype: if unverified { "UNVRF".into() } else { String::new() },
            class: if self.facts.class == 0 { b'X' } else { self.facts.class },
            expiry: self.facts.expiry,
            activation: self.facts.activation,
            strike: nine(self.facts.strike),
            multiplier: self.facts.multiplier,
            changed: self.defined,
        }
    }
}

/// The lot for a size step: the step itself, or the smallest power-of-ten multiple with which `max` fits a record.
pub fn lot_for(step: Dec, max: Option<Dec>) -> (i64, u8) {
    let step = step.trimmed();
    let (mut mantissa, mut decimals) = (step.mantissa.max(1), step.decimals);
    if decimals > 9 {
        // Finer than a definition can say: the coarsest it can.
        (mantissa, decimals) = (1, 9);
    }
    let Some(max) = max else { return (mantissa, decimals) };
    loop {
        let fits = match max.to_scale(decimals) {
            Ok((scaled, _)) => scaled / mantissa <= i64::from(MAX_SIZE),
            Err(_) => false,
        };
        if fits {
            return (mantissa, decimals);
        }
        if decimals > 0 {
            decimals -= 1;
        } else {
            match mantissa.checked_mul(10) {
                Some(next) => mantissa = next,
                None => return (mantissa, decimals),
            }
        }
    }
}

/// All instruments of a provider.
#[derive(Debug, Default)]
pub struct Instruments {
    all: Vec<Instrument>,
    index: HashMap<Vec<u8>, usize>,
    ids: HashMap<u32, usize>,
}

impl Instruments {
    /// An instrument by its symbol.
    #[inline]
    pub fn find(&self, symbol: &[u8]) -> Option<usize> {
        self.index.get(symbol).copied()
    }

    /// One by number.
    #[inline]
    pub fn get(&self, at: usize) -> &Instrument {
        &self.all[at]
    }

    /// One by number, to change.
    pub fn get_mut(&mut self, at: usize) -> &mut Instrument {
        &mut self.all[at]
    }

    /// All of them.
    pub fn all(&self) -> &[Instrument] {
        &self.all
    }

    /// Adds one; the other symbol, where two have the same id.
    pub fn add(&mut self, instrument: Instrument) -> Result<usize, String> {
        if let Some(other) = self.ids.get(&instrument.id) {
            return Err(self.all[*other].raw_symbol.clone());
        }
        let at = self.all.len();
        self.ids.insert(instrument.id, at);
        self.index.insert(instrument.raw_symbol.clone().into_bytes(), at);
        self.all.push(instrument);
        Ok(at)
    }
}

/// The id of a symbol: CRC-32 of `PROVIDER:raw_symbol`.
pub fn instrument_id(provider: &str, raw_symbol: &str) -> u32 {
    let mut hash = crc32fast::Hasher::new();
    hash.update(provider.as_bytes());
    hash.update(b":");
    hash.update(raw_symbol.as_bytes());
    hash.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dec(text: &str) -> Dec {
        Dec::parse(text.as_bytes()).unwrap()
    }

    fn with_lot(lot: (i64, u8)) -> Instrument {
        Instrument {
            raw_symbol: "X".into(),
            id: 1,
            lot,
            price_shift: 0,
            known: Known::Default,
            facts: Facts::default(),
            defined: false,
        }
    }

    #[test]
    fn the_lot_is_the_step_or_its_smallest_multiple_that_holds_the_largest_size() {
        assert_eq!(lot_for(dec("0.00001000"), Some(dec("9000.00000000"))), (1, 5));
        assert_eq!(lot_for(dec("0.00000001"), Some(dec("10000"))), (1, 5));
        assert_eq!(lot_for(dec("10"), None), (10, 0));
        assert_eq!(lot_for(dec("1"), Some(dec("900000000000"))), (1000, 0));
        assert_eq!(lot_for(dec("0.0000000000001"), None), (1, 9));
    }

    #[test]
    fn sizes_become_lots() {
        assert_eq!(with_lot((1, 5)).lots(dec("1.54698000")), Ok(Lots::Exact(154_698)));
        assert_eq!(with_lot((1, 2)).lots(dec("1.555")), Ok(Lots::Rounded(156)));
        assert_eq!(with_lot((10, 0)).lots(dec("2960.0")), Ok(Lots::Exact(296)));
        assert_eq!(with_lot((10, 0)).lots(dec("15")), Ok(Lots::Rounded(2)));
        assert_eq!(with_lot((1, 8)).lots(dec("42.94967295")), Ok(Lots::Capped));
        assert_eq!(with_lot((1, 8)).lots(dec("42.94967294")), Ok(Lots::Exact(u32::MAX - 1)));
        assert!(with_lot((1, 8)).lots(dec("-1")).is_err());
    }
}
