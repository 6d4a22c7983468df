//! Numbers as venues write them: exact decimals that remember how many places were written.

use std::fmt;

/// An exact decimal: `mantissa` × 10^-`decimals`; trailing zeros are kept, as they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Dec {
    /// All digits as one integer.
    pub mantissa: i64,
    /// How many of them stand after the point.
    pub decimals: u8,
}

/// Text that is not a number, or one this kernel cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberError {
    /// Not `-?digits[.digits][(e|E)[+-]digits]`.
    Syntax,
    /// A mantissa beyond 64 bits, or more than 255 decimals.
    Range,
}

impl fmt::Display for NumberError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Syntax => "text is not a decimal number",
            Self::Range => "number does not fit 64 bits",
        })
    }
}

impl std::error::Error for NumberError {}

/// Whether a rescaled number is still the one it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exactness {
    /// The same number.
    Exact,
    /// Rounded half away from zero.
    Rounded,
}

/// Powers of ten that fit 64 bits.
const POWERS: [u64; 20] = {
    let mut powers = [1u64; 20];
    let mut place = 1;
    while place < powers.len() {
        powers[place] = powers[place - 1] * 10;
        place += 1;
    }
    powers
};

impl Dec {
    /// Reads `-?digits[.digits][(e|E)[+-]digits]`, all of `text`; an exponent moves the point: `1e3` is 1000 with 0
    /// decimals, `12e-3` is 12 with 3.
    #[inline]
    pub fn parse(text: &[u8]) -> Result<Self, NumberError> {
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        // Up to 19 bytes hold at most 19 digits, which cannot run past a u64: no check on the way.
        if digits.len() > 19 {
            return Self::parse_long(negative, digits);
        }
        let mut mantissa = 0u64;
        let mut point = usize::MAX;
        for (place, &byte) in digits.iter().enumerate() {
            let digit = byte.wrapping_sub(b'0');
            if digit < 10 {
                mantissa = mantissa * 10 + u64::from(digit);
            } else if byte == b'.' && point == usize::MAX {
                point = place;
            } else {
                return Self::parse_long(negative, digits);
            }
        }
        let decimals = match point {
            usize::MAX if digits.is_empty() => return Err(NumberError::Syntax),
            usize::MAX => 0,
            0 => return Err(NumberError::Syntax),
            point if point + 1 == digits.len() => return Err(NumberError::Syntax),
            point => (digits.len() - point - 1) as u8,
        };
        Ok(Self { mantissa: signed(mantissa, negative)?, decimals })
    }

    /// The same with every check: long texts, exponents, and texts that are no number.
    #[cold]
    fn parse_long(negative: bool, text: &[u8]) -> Result<Self, NumberError> {
        let (whole, rest) = split_digits(text);
        let (mut fraction, rest) = match rest {
            [b'.', rest @ ..] => split_digits(rest),
            _ => (&rest[..0], rest),
        };
        let pointed = text.get(whole.len()) == Some(&b'.');
        if whole.is_empty() || pointed && fraction.is_empty() {
            return Err(NumberError::Syntax);
        }
        let exponent = match rest {
            [] => 0,
            [b'e' | b'E', rest @ ..] => exponent(rest)?,
            _ => return Err(NumberError::Syntax),
        };
        // Zeros at the end are kept where there is room (a checksum may count them), and else cost no range.
        let mut value = of_digits(whole, fraction, negative);
        while value.is_none() && fraction.last() == Some(&b'0') {
            fraction = &fraction[..fraction.len() - 1];
            value = of_digits(whole, fraction, negative);
        }
        let mut mantissa = value.ok_or(NumberError::Range)?;
        let decimals = fraction.len() as i64 - exponent;
        if decimals < 0 && mantissa != 0 {
            for _ in 0..decimals.unsigned_abs() {
                mantissa = times_ten(mantissa).ok_or(NumberError::Range)?;
            }
        }
        let decimals = u8::try_from(decimals.max(0)).map_err(|_| NumberError::Range)?;
        Ok(Self { mantissa: signed(mantissa, negative)?, decimals })
    }

    /// The number as an integer of 10^-`scale`.
    #[inline]
    pub fn to_scale(self, scale: u8) -> Result<(i64, Exactness), NumberError> {
        if scale >= self.decimals {
            if self.mantissa == 0 {
                return Ok((0, Exactness::Exact));
            }
            let factor = POWERS.get(usize::from(scale - self.decimals)).ok_or(NumberError::Range)?;
            let factor = i64::try_from(*factor).map_err(|_| NumberError::Range)?;
            return Ok((self.mantissa.checked_mul(factor).ok_or(NumberError::Range)?, Exactness::Exact));
        }
        self.shorten(usize::from(self.decimals - scale))
    }

    /// Cuts `places` decimals off, rounding half away from zero.
    fn shorten(self, places: usize) -> Result<(i64, Exactness), NumberError> {
        let size = self.mantissa.unsigned_abs();
        // Beyond 19 places nothing of a 64-bit mantissa is left, not even a half.
        let (whole, rest, half) = match POWERS.get(places) {
            Some(&power) => (size / power, size % power, power / 2),
            None => (0, size, u64::MAX),
        };
        if rest == 0 {
            return Ok((signed(whole, self.mantissa < 0)?, Exactness::Exact));
        }
        Ok((signed(whole + u64::from(rest >= half), self.mantissa < 0)?, Exactness::Rounded))
    }

    /// The number without its sign.
    pub fn abs(self) -> Result<Self, NumberError> {
        Ok(Self { mantissa: self.mantissa.checked_abs().ok_or(NumberError::Range)?, decimals: self.decimals })
    }

    /// Whether the number is zero.
    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// The same number without trailing zeros after the point.
    pub fn trimmed(self) -> Self {
        let mut short = self;
        while short.decimals > 0 && short.mantissa % 10 == 0 {
            short.mantissa /= 10;
            short.decimals -= 1;
        }
        short
    }

    /// Writes the number as JavaScript does: no trailing zeros, and below 0.000001 with an exponent (`1.7e-7`).
    pub fn write_short(&self, out: &mut Vec<u8>) {
        let short = self.trimmed();
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(short.mantissa.unsigned_abs()).as_bytes();
        // The value is 0.DIGITS times ten to this.
        let point = digits.len() as i64 - i64::from(short.decimals);
        if short.mantissa == 0 || point > -6 {
            return short.write_text(out);
        }
        if short.mantissa < 0 {
            out.push(b'-');
        }
        let (first, rest) = digits.split_at(1);
        out.extend_from_slice(first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
        out.extend_from_slice(b"e-");
        out.extend_from_slice(itoa::Buffer::new().format(1 - point).as_bytes());
    }

    /// Writes the number as text, without exponent, with all its decimals.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        if self.mantissa < 0 {
            out.push(b'-');
        }
        let mut digits = [b'0'; 276];
        let mut at = digits.len();
        let mut left = self.mantissa.unsigned_abs();
        let mut written = 0u16;
        while left > 0 || written <= u16::from(self.decimals) {
            if written == u16::from(self.decimals) && written > 0 {
                at -= 1;
                digits[at] = b'.';
            }
            at -= 1;
            digits[at] = b'0' + (left % 10) as u8;
            left /= 10;
            written += 1;
        }
        out.extend_from_slice(&digits[at..]);
    }
}

/// All digits as one number; `None` where an i64 cannot hold it with its sign.
fn of_digits(whole: &[u8], fraction: &[u8], negative: bool) -> Option<u64> {
    let mut mantissa = 0u64;
    for &byte in whole.iter().chain(fraction) {
        mantissa = times_ten(mantissa)?.checked_add(u64::from(byte - b'0'))?;
    }
    signed(mantissa, negative).is_ok().then_some(mantissa)
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

fn times_ten(mantissa: u64) -> Option<u64> {
    mantissa.checked_mul(10)
}

/// The number after `e`; far beyond what any decimal could use it stops growing.
fn exponent(text: &[u8]) -> Result<i64, NumberError> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NumberError::Syntax);
    }
    let size = digits.iter().fold(0i64, |size, &byte| (size * 10 + i64::from(byte - b'0')).min(1 << 40));
    Ok(if negative { -size } else { size })
}

#[inline]
fn signed(size: u64, negative: bool) -> Result<i64, NumberError> {
    if negative {
        0i64.checked_sub_unsigned(size).ok_or(NumberError::Range)
    } else {
        i64::try_from(size).map_err(|_| NumberError::Range)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dec(text: &str) -> Result<(i64, u8), NumberError> {
        Dec::parse(text.as_bytes()).map(|dec| (dec.mantissa, dec.decimals))
    }

    fn text(mantissa: i64, decimals: u8) -> String {
        let mut out = Vec::new();
        Dec { mantissa, decimals }.write_text(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn zeros_at_the_end_cost_no_range() {
        let parsed = Dec::parse(b"100.000000000000000000");
        assert_eq!(parsed, Ok(Dec { mantissa: 1_000_000_000_000_000_000, decimals: 16 }));
        assert_eq!(Dec::parse(b"0.001000000000000000000000").map(Dec::trimmed), Ok(Dec { mantissa: 1, decimals: 3 }));
        assert_eq!(Dec::parse(b"100000000000000000000"), Err(NumberError::Range));
        assert_eq!(Dec::parse(b"1.0000000000000000001"), Err(NumberError::Range));
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        for (text, mantissa, decimals) in [
            ("0", 0, 0),
            ("-0.00", 0, 2),
            ("61773.60", 6_177_360, 2),
            ("0.00012300", 12_300, 8),
            ("-12.5", -125, 1),
            ("007", 7, 0),
            ("9223372036854775807", i64::MAX, 0),
            ("-9223372036854775808", i64::MIN, 0),
            ("-9223372.036854775808", i64::MIN, 12),
            ("000000000000000000000000000001.5", 15, 1),
            ("0.000000000000000000000000000001", 1, 30),
            ("1e3", 1000, 0),
            ("1.5E+1", 15, 0),
            ("1.25e1", 125, 1),
            ("1.0E-8", 10, 9),
            ("0e999999999999999999999999", 0, 0),
            ("0.0e1", 0, 0),
            ("5.33E-4", 533, 6),
            ("4.9e-7", 49, 8),
        ] {
            assert_eq!(dec(text), Ok((mantissa, decimals)), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        for text in [
            "",
            "-",
            ".",
            ".5",
            "5.",
            "-.5",
            "+1",
            "1.2.3",
            "1 ",
            " 1",
            "0x10",
            "1e",
            "1e+",
            "1e1.5",
            "NaN",
            "1,5",
            "--1",
            "1.e5",
            "null",
            "11111111111111111111.",
            "1/2",
            "1:",
        ] {
            assert_eq!(dec(text), Err(NumberError::Syntax), "{text}");
        }
        for text in [
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
            "1e19",
            "1e-256",
            "1e99999999999999999999",
        ] {
            assert_eq!(dec(text), Err(NumberError::Range), "{text}");
        }
    }

    #[test]
    fn text_form_has_all_decimals() {
        for (mantissa, decimals, expected) in [
            (0, 0, "0"),
            (0, 2, "0.00"),
            (5, 3, "0.005"),
            (-5, 1, "-0.5"),
            (12_300, 2, "123.00"),
            (i64::MIN, 0, "-9223372036854775808"),
            (i64::MIN, 19, "-0.9223372036854775808"),
        ] {
            assert_eq!(text(mantissa, decimals), expected);
        }
        assert_eq!(text(i64::MIN, 255).len(), 258);
    }

    #[test]
    fn short_text_is_javascripts() {
        for (text, expected) in [
            ("0", "0"),
            ("0.000", "0"),
            ("0e5", "0"),
            ("1200", "1200"),
            ("12.3400", "12.34"),
            ("0.000001", "0.000001"),
            ("0.0000082", "0.0000082"),
            ("0.00000082", "8.2e-7"),
            ("4.9e-7", "4.9e-7"),
            ("1e-7", "1e-7"),
            ("-0.000000123450", "-1.2345e-7"),
            ("5.33E-4", "0.000533"),
            ("1e-20", "1e-20"),
        ] {
            let mut out = Vec::new();
            Dec::parse(text.as_bytes()).unwrap().write_short(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn trimming_keeps_the_number() {
        assert_eq!(Dec { mantissa: 1200, decimals: 3 }.trimmed(), Dec { mantissa: 12, decimals: 1 });
        assert_eq!(Dec { mantissa: 0, decimals: 3 }.trimmed(), Dec { mantissa: 0, decimals: 0 });
        assert_eq!(Dec { mantissa: 1200, decimals: 0 }.trimmed(), Dec { mantissa: 1200, decimals: 0 });
    }

    proptest! {
        #[test]
        fn text_and_number_are_one(mantissa in any::<i64>(), decimals in any::<u8>()) {
            prop_assert_eq!(dec(&text(mantissa, decimals)), Ok((mantissa, decimals)));
        }

        #[test]
        fn rescaling_agrees_with_wide_arithmetic(mantissa in any::<i64>(), shift in 0u32..64, decimals in 0u8..24, scale in 0u8..24) {
            let mantissa = mantissa >> shift;
            let expected = if scale >= decimals {
                let wide = i128::from(mantissa).checked_mul(10i128.pow(u32::from(scale - decimals)));
                let fits = wide.and_then(|wide| i64::try_from(wide).ok());
                fits.map(|n| (n, Exactness::Exact)).ok_or(NumberError::Range)
            } else {
                let power = 10i128.pow(u32::from(decimals - scale));
                let (wide, rest) = (i128::from(mantissa) / power, i128::from(mantissa) % power);
                let away = if 2 * rest.abs() >= power { rest.signum() } else { 0 };
                let exactness = if rest == 0 { Exactness::Exact } else { Exactness::Rounded };
                i64::try_from(wide + away).map(|n| (n, exactness)).map_err(|_| NumberError::Range)
            };
            prop_assert_eq!(Dec { mantissa, decimals }.to_scale(scale), expected);
        }

        #[test]
        fn exponents_move_the_point(mantissa in -1_000_000i64..1_000_000, decimals in 0u8..6, exponent in -20i64..12) {
            let read = dec(&format!("{}e{exponent}", text(mantissa, decimals)));
            let places = i64::from(decimals) - exponent;
            let expected = (mantissa * 10i64.pow((-places).max(0) as u32), places.max(0) as u8);
            prop_assert_eq!(read, Ok(expected));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Dec::parse(&bytes).map(|dec| dec.to_scale(9));
        }

        #[test]
        fn long_and_short_readings_agree(text in "-?[0-9.]{0,19}") {
            let (negative, digits) = text.strip_prefix('-').map_or((false, &*text), |rest| (true, rest));
            prop_assert_eq!(Dec::parse(text.as_bytes()), Dec::parse_long(negative, digits.as_bytes()));
        }
    }
}
