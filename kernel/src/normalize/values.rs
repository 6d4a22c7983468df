//! Takes single values out of a payload: numbers, times, sides, symbols; each either there, absent or wrong.

use std::borrow::Cow;

use crate::decimal::{Dec, NumberError};
use crate::json::{unescape, Kind};
use crate::plan::{Ids, Place, Sides, Source, When};
use crate::sync;

/// Why a payload is not published; a name from a small set, for counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject(pub &'static str);

impl From<NumberError> for Reject {
    fn from(error: NumberError) -> Self {
        match error {
            NumberError::Syntax => Reject("bad_number"),
            NumberError::Range => Reject("number_range"),
        }
    }
}

/// A number that must be there.
#[inline]
pub fn number(source: &Source<'_>, place: Place) -> Result<Dec, Reject> {
    let text = source.get(place);
    if text.is_empty() {
        return Err(Reject("missing_field"));
    }
    Ok(Dec::parse(text)?)
}

/// A number that may be absent, null or empty.
#[inline]
pub fn maybe_number(source: &Source<'_>, place: Place) -> Result<Option<Dec>, Reject> {
    let text = source.get(place);
    if text.is_empty() {
        return Ok(None);
    }
    Ok(Some(Dec::parse(text)?))
}

/// An id that must be there; a negative one counts as 0.
#[inline]
pub fn id(source: &Source<'_>, place: Place) -> Result<u64, Reject> {
    let text = source.get(place);
    match text {
        [] => Err(Reject("missing_field")),
        [b'-', rest @ ..] if !rest.is_empty() && rest.iter().all(u8::is_ascii_digit) => Ok(0),
        _ => digits(text).ok_or(Reject("bad_id")),
    }
}

/// A size beside a side that is told by its sign: without it.
#[inline]
pub fn unsigned(size: Dec, sides: &Sides) -> Result<Dec, Reject> {
    if sides.sign {
        Ok(size.abs()?)
    } else {
        Ok(size)
    }
}

/// An unsigned integer, all of the text.
#[inline]
pub fn digits(text: &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(value)
}

/// A message's own ids.
#[inline]
pub fn ids(source: &Source<'_>, places: &Ids) -> Result<sync::Ids, Reject> {
    let last = id(source, places.last)?;
    let first = match places.first {
        Some(place) => id(source, place)?,
        None => last,
    };
    let previous = match places.previous {
        Some(place) if source.value(place).given() => Some(id(source, place)?),
        _ => None,
    };
    Ok(sync::Ids { first, last, previous })
}

/// A time, ns; `None` where it is not given.
#[inline]
pub fn time_of(source: &Source<'_>, when: &When) -> Result<Option<u64>, Reject> {
    when.unit.parse(source.get(when.place)).map_err(|_| Reject("bad_time"))
}

/// An instrument's date, ns; one too late for DBN (a perpetual that ends in the year 3000) counts as not given.
pub fn date_of(source: &Source<'_>, when: &When) -> Result<Option<u64>, Reject> {
    match when.unit.parse(source.get(when.place)) {
        Err(NumberError::Range) => Ok(None),
        date => date.map_err(|_| Reject("bad_time")),
    }
}

/// A side: DBN's `B` or `A`, `N` where the venue does not tell it.
#[inline]
pub fn side(source: &Source<'_>, sides: &Sides) -> Result<u8, Reject> {
    if sides.untold {
        return Ok(b'N');
    }
    let text = source.get(sides.place);
    if sides.sign {
        return Ok(if number(source, sides.place)?.mantissa < 0 { b'A' } else { b'B' });
    }
    if sides.buy.iter().any(|word| **word == *text) {
        Ok(b'B')
    } else if sides.sell.iter().any(|word| **word == *text) {
        Ok(b'A')
    } else if text.is_empty() {
        Err(Reject("missing_field"))
    } else {
        Err(Reject("bad_side"))
    }
}

/// Text with its escapes resolved; empty where it is absent.
#[inline]
pub fn text<'a>(source: &Source<'a>, place: Place) -> Cow<'a, [u8]> {
    let value = source.value(place);
    match value.kind {
        Kind::Absent | Kind::Null => Cow::Borrowed(b""),
        Kind::Escaped => Cow::Owned(unescape(value.of(source.text(place))).into_bytes()),
        _ => Cow::Borrowed(value.of(source.text(place))),
    }
}
