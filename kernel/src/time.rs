//! Times as venues write them, as ns since the Unix epoch.

use crate::decimal::{Dec, NumberError};

/// How a time is written; `TimeUnit` of the spec language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub enum TimeUnit {
    /// Seconds, whole or decimal.
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds, whole or decimal.
    #[serde(rename = "ms")]
    Millis,
    /// Microseconds, whole or decimal.
    #[serde(rename = "us")]
    Micros,
    /// Nanoseconds.
    #[serde(rename = "ns")]
    Nanos,
    /// RFC 3339 with 0 to 9 fractional digits.
    #[serde(rename = "iso")]
    Iso,
    /// An integer of 10, 13, 16 or 19 digits: s, ms, µs or ns.
    #[serde(rename = "digits")]
    ByDigits,
}

impl TimeUnit {
    /// Reads a time (the text without quotes): ns since the Unix epoch; `None` where it is not given, that is empty,
    /// `null`, zero or before 1970. Digits finer than a nanosecond are cut off.
    #[inline]
    pub fn parse(self, text: &[u8]) -> Result<Option<u64>, NumberError> {
        if text.is_empty() || text == b"null" {
            return Ok(None);
        }
        match self {
            Self::Seconds => number(text, 9),
            Self::Millis => number(text, 6),
            Self::Micros => number(text, 3),
            Self::Nanos => number(text, 0),
            Self::Iso => iso(text),
            Self::ByDigits => by_digits(text),
        }
    }
}

/// Reads a date or an RFC 3339 time (a date alone is its midnight in UTC), as in a spec's `since` and `until`.
pub fn instant(text: &str) -> Option<u64> {
    let text = text.as_bytes();
    if text.len() > 10 {
        return iso(text).ok().flatten();
    }
    let seconds = date(text)?.checked_mul(86_400)?;
    u64::try_from(seconds).ok()?.checked_mul(1_000_000_000)
}

/// A number of units of 10^`places` ns.
#[inline]
fn number(text: &[u8], places: u8) -> Result<Option<u64>, NumberError> {
    let read = match Dec::parse(text) {
        Err(NumberError::Range) => Dec::parse(cut(text, places))?,
        read => read?,
    };
    if read.mantissa <= 0 {
        return Ok(None);
    }
    let nanos = if read.decimals <= places {
        read.to_scale(places)?.0
    } else {
        let power = 10i64.checked_pow(u32::from(read.decimals - places));
        power.map_or(0, |power| read.mantissa / power)
    };
    Ok(u64::try_from(nanos).ok().filter(|&nanos| nanos != 0))
}

/// The text without what is finer than `places` digits after the point, for numbers that are too long with it.
#[cold]
fn cut(text: &[u8], places: u8) -> &[u8] {
    let fraction = text.iter().position(|&byte| byte == b'.').map_or(text.len(), |point| point + 1);
    match text.get(fraction..) {
        Some(digits) if digits.iter().all(u8::is_ascii_digit) => {
            &text[..text.len().min(fraction + usize::from(places.max(1)))]
        }
        _ => text,
    }
}

fn by_digits(text: &[u8]) -> Result<Option<u64>, NumberError> {
    let unit = match text.len() {
        10 => 1_000_000_000,
        13 => 1_000_000,
        16 => 1_000,
        19 => 1,
        _ if text.iter().all(|&byte| byte == b'0') => return Ok(None),
        _ => return Err(NumberError::Syntax),
    };
    let mut value = 0u64;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(NumberError::Syntax);
        }
        // Nineteen digits cannot run past a u64.
        value = value * 10 + u64::from(digit);
    }
    Ok(value.checked_mul(unit).filter(|&nanos| nanos != 0))
}

/// `YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm)`; RFC 3339 also lets a space or lower case stand for `T` and `Z`.
fn iso(text: &[u8]) -> Result<Option<u64>, NumberError> {
    let (seconds, nanos) = iso_parts(text).ok_or(NumberError::Syntax)?;
    if seconds < 0 || seconds == 0 && nanos == 0 {
        return Ok(None);
    }
    let whole = u64::try_from(seconds).ok().and_then(|seconds| seconds.checked_mul(1_000_000_000));
    whole.and_then(|whole| whole.checked_add(nanos)).map(Some).ok_or(NumberError::Range)
}

fn iso_parts(text: &[u8]) -> Option<(i64, u64)> {
    let (clock, rest) = text.split_at_checked(19)?;
    if !matches!(clock[10], b'T' | b't' | b' ') || clock[13] != b':' || clock[16] != b':' {
        return None;
    }
    let (hour, minute, second) = (two(clock, 11)?, two(clock, 14)?, two(clock, 17)?);
    // A leap second is the first of the next minute: Unix time has no other place for it.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (nanos, rest) = fraction(rest)?;
    let local = date(&clock[..10])? * 86_400 + hour * 3_600 + minute * 60 + second;
    Some((local - offset(rest)?, nanos))
}

/// Days since 1970-01-01 of `YYYY-MM-DD`, by the proleptic Gregorian calendar.
fn date(text: &[u8]) -> Option<i64> {
    if text.len() != 10 || text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let (year, month, day) = (two(text, 0)? * 100 + two(text, 2)?, two(text, 5)?, two(text, 8)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    // Years counted from March put the leap day last; see Hinnant, "chrono-compatible low-level date algorithms".
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Two digits at a place.
#[inline]
fn two(text: &[u8], at: usize) -> Option<i64> {
    let (tens, ones) = (text.get(at)?.wrapping_sub(b'0'), text.get(at + 1)?.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
}

/// Nanoseconds of `.digits`, if there is a point, and what follows.
fn fraction(text: &[u8]) -> Option<(u64, &[u8])> {
    let [b'.', digits @ ..] = text else { return Some((0, text)) };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 || count > 9 {
        return None;
    }
    let (digits, rest) = digits.split_at(count);
    let read = digits.iter().fold(0u64, |nanos, &byte| nanos * 10 + u64::from(byte - b'0'));
    Some((read * 10u64.pow(9 - count as u32), rest))
}

/// Seconds east of UTC.
fn offset(text: &[u8]) -> Option<i64> {
    match *text {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (two(text, 1)?, two(text, 4)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let east = hours * 3_600 + minutes * 60;
            Some(if sign == b'-' { -east } else { east })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SYNTAX: Result<Option<u64>, NumberError> = Err(NumberError::Syntax);

    fn iso(text: &str) -> Result<Option<u64>, NumberError> {
        TimeUnit::Iso.parse(text.as_bytes())
    }

    #[test]
    fn numbers_count_their_unit() {
        let expected = Ok(Some(1_616_333_924_737_428_000));
        assert_eq!(TimeUnit::Seconds.parse(b"1616333924.737428"), expected);
        assert_eq!(TimeUnit::Millis.parse(b"1616333924737.428"), expected);
        assert_eq!(TimeUnit::Micros.parse(b"1616333924737428"), expected);
        assert_eq!(TimeUnit::Nanos.parse(b"1616333924737428000"), expected);
        assert_eq!(TimeUnit::Seconds.parse(b"1616333924"), Ok(Some(1_616_333_924_000_000_000)));
        assert_eq!(TimeUnit::Seconds.parse(b"1.616333924e9"), Ok(Some(1_616_333_924_000_000_000)));
        assert_eq!(TimeUnit::Seconds.parse(b"1616333924.73742899999"), Ok(Some(1_616_333_924_737_428_999)));
    }

    #[test]
    fn digits_tell_the_unit() {
        let expected = Ok(Some(1_616_333_924_000_000_000));
        for text in ["1616333924", "1616333924000", "1616333924000000", "1616333924000000000"] {
            assert_eq!(TimeUnit::ByDigits.parse(text.as_bytes()), expected, "{text}");
        }
        for text in ["161633392", "161633392.", "16163339240", "-616333924", "1.61633e12"] {
            assert_eq!(TimeUnit::ByDigits.parse(text.as_bytes()), SYNTAX, "{text}");
        }
    }

    #[test]
    fn iso_times_are_read_with_any_fraction_and_offset() {
        let expected = Ok(Some(1_616_333_924_737_428_000));
        assert_eq!(iso("2021-03-21T13:38:44.737428Z"), expected);
        assert_eq!(iso("2021-03-21t13:38:44.737428000z"), expected);
        assert_eq!(iso("2021-03-21 15:08:44.737428+01:30"), expected);
        assert_eq!(iso("2021-03-20T23:38:44.737428-14:00"), expected);
        assert_eq!(iso("2000-02-29T00:00:00Z"), Ok(Some(951_782_400_000_000_000)));
        assert_eq!(iso("2016-12-31T23:59:60Z"), Ok(Some(1_483_228_800_000_000_000)));
        assert_eq!(iso("2554-07-21T23:34:33.709551615Z"), Ok(Some(u64::MAX)));
        assert_eq!(iso("2554-07-21T23:34:33.709551616Z"), Err(NumberError::Range));
    }

    #[test]
    fn times_that_are_not_given_are_none() {
        for text in ["", "null", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z", "1970-01-01T00:00:00Z"] {
            assert_eq!(iso(text), Ok(None), "{text}");
        }
        for text in ["", "null", "0", "0.0", "-1"] {
            assert_eq!(TimeUnit::Seconds.parse(text.as_bytes()), Ok(None), "{text}");
        }
        assert_eq!(TimeUnit::ByDigits.parse(b"0"), Ok(None));
        assert_eq!(TimeUnit::Nanos.parse(b"0.5"), Ok(None));
    }

    #[test]
    fn what_is_no_time_is_an_error() {
        for text in [
            "2021",
            "2021-03-21",
            "2021-03-21T13:38:44",
            "2021-13-21T13:38:44Z",
            "2021-02-29T13:38:44Z",
            "2021-03-21T24:00:00Z",
            "2021-03-21T13:60:00Z",
            "2021-03-21T13:38:44.Z",
            "2021-03-21T13:38:44.1234567890Z",
            "2021-03-21T13:38:44+0100",
            "2021-03-21T13:38:44Zx",
            "2021/03/21T13:38:44Z",
            "1900-02-29T00:00:00Z",
            "null ",
        ] {
            assert_eq!(iso(text), SYNTAX, "{text}");
        }
        assert_eq!(TimeUnit::Millis.parse(b"1616333924737x"), SYNTAX);
        assert_eq!(TimeUnit::Seconds.parse(b"9999999999999"), Err(NumberError::Range));
    }

    #[test]
    fn instants_may_be_dates() {
        assert_eq!(instant("2021-03-21"), Some(1_616_284_800_000_000_000));
        assert_eq!(instant("1970-01-01"), Some(0));
        assert_eq!(instant("2021-03-21T00:00:00Z"), Some(1_616_284_800_000_000_000));
        assert_eq!(instant("2021-3-21"), None);
        assert_eq!(instant(""), None);
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut expected = date(b"1601-01-01").unwrap();
        for year in 1601..2600 {
            for month in 1..=12 {
                for day in 1..=days_in(year, month) {
                    assert_eq!(date(format!("{year:04}-{month:02}-{day:02}").as_bytes()), Some(expected));
                    expected += 1;
                }
            }
        }
        assert_eq!(date(b"1970-01-01"), Some(0));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            for unit in [TimeUnit::Seconds, TimeUnit::Millis, TimeUnit::Micros, TimeUnit::Nanos, TimeUnit::Iso, TimeUnit::ByDigits] {
                let _ = unit.parse(&bytes);
            }
        }

        #[test]
        fn anything_like_a_time_is_read_or_refused(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,11})?(Z|[+-][0-9]{2}:[0-9]{2})?") {
            let _ = iso(&text);
            let _ = instant(&text);
        }
    }
}
