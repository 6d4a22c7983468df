//! Unsigned numbers of 256 bits (and the carry of a multiplication by ten), as far as exact prices need them.

use std::cmp::Ordering;

/// 64-bit limbs, lowest first; the fifth is room for a remainder times ten.
const LIMBS: usize = 5;

/// A number below 2^320.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uint([u64; LIMBS]);

/// A number with its sign; zero is not negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Without its sign.
    pub magnitude: Uint,
    /// Whether it is below zero.
    pub negative: bool,
}

impl Signed {
    /// A word in two's complement.
    pub fn of(word: &Uint) -> Self {
        let negative = word.0[3] >> 63 == 1;
        let magnitude = if negative {
            let mut made = Uint::default();
            let mut carry = true;
            for (to, from) in made.0.iter_mut().zip(word.0).take(4) {
                (*to, carry) = (!from).overflowing_add(u64::from(carry));
            }
            made
        } else {
            *word
        };
        Self { magnitude, negative }
    }

    /// `left - right`.
    pub fn difference(left: &Uint, right: &Uint) -> Self {
        let negative = left.order(right) == Ordering::Less;
        let (mut larger, smaller) = if negative { (*right, left) } else { (*left, right) };
        larger.subtract(smaller);
        Self { magnitude: larger, negative }
    }
}

impl Uint {
    /// 64 hexadecimal digits.
    pub fn from_hex(digits: &[u8]) -> Option<Self> {
        let mut made = Self::default();
        for (limb, part) in made.0.iter_mut().zip(digits.rchunks(16)) {
            for digit in part {
                let value = (*digit as char).to_digit(16)?;
                *limb = *limb << 4 | u64::from(value);
            }
        }
        Some(made)
    }

    /// A power of ten; `None` where it has no room.
    pub fn ten_to(power: u32) -> Option<Self> {
        let mut made = Self([1, 0, 0, 0, 0]);
        for _ in 0..power {
            if made.times_ten() > 0 {
                return None;
            }
        }
        Some(made)
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// `self / divisor` (not zero) to `scale` decimal places, written with its point `shown` digits from the right.
    ///
    /// The last digit says how to round to one place less: where something is left over it is never 0 or 5.
    pub fn quotient(&self, divisor: &Self, scale: u32, shown: u32) -> String {
        let (whole, mut rest) = self.divided(divisor);
        let mut digits = whole.decimal();
        for _ in 0..scale {
            // A remainder is below the divisor, which is below 2^256: ten times as much has room.
            rest.times_ten();
            let mut digit = b'0';
            while rest.order(divisor) != Ordering::Less {
                rest.subtract(divisor);
                digit += 1;
            }
            digits.push(digit);
        }
        if let (Some(last @ (b'0' | b'5')), false) = (digits.last_mut(), rest.is_zero()) {
            *last += 1;
        }
        let shown = shown as usize;
        while digits.len() <= shown {
            digits.insert(0, b'0');
        }
        let point = digits.len() - shown;
        let leading = digits[..point - 1].iter().take_while(|digit| **digit == b'0').count();
        let text: Vec<u8> = [&digits[leading..point], b".", &digits[point..]].concat();
        String::from_utf8_lossy(&text).into_owned()
    }

    fn divided(&self, divisor: &Self) -> (Self, Self) {
        let (mut quotient, mut rest) = (Self::default(), Self::default());
        for bit in (0..self.bits()).rev() {
            rest.double(self.0[bit / 64] >> (bit % 64) & 1);
            if rest.order(divisor) != Ordering::Less {
                rest.subtract(divisor);
                quotient.0[bit / 64] |= 1 << (bit % 64);
            }
        }
        (quotient, rest)
    }

    fn decimal(mut self) -> Vec<u8> {
        let mut digits = Vec::new();
        while !self.is_zero() {
            let mut rest = 0u128;
            for limb in self.0.iter_mut().rev() {
                let value = rest << 64 | u128::from(*limb);
                *limb = (value / 10) as u64;
                rest = value % 10;
            }
            digits.insert(0, b'0' + rest as u8);
        }
        if digits.is_empty() {
            digits.push(b'0');
        }
        digits
    }

    fn bits(&self) -> usize {
        let top = self.0.iter().rposition(|limb| *limb != 0);
        top.map_or(0, |top| top * 64 + 64 - self.0[top].leading_zeros() as usize)
    }

    fn order(&self, other: &Self) -> Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }

    fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        for (limb, less) in self.0.iter_mut().zip(other.0) {
            let (value, first) = limb.overflowing_sub(less);
            let (value, second) = value.overflowing_sub(u64::from(borrow));
            (*limb, borrow) = (value, first || second);
        }
    }

    fn double(&mut self, low: u64) {
        let mut carry = low;
        for limb in &mut self.0 {
            let next = *limb >> 63;
            *limb = *limb << 1 | carry;
            carry = next;
        }
    }

    fn times_ten(&mut self) -> u64 {
        let mut carry = 0u128;
        for limb in &mut self.0 {
            let value = u128::from(*limb) * 10 + carry;
            *limb = value as u64;
            carry = value >> 64;
        }
        carry as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(value: u128) -> Uint {
        Uint([value as u64, (value >> 64) as u64, 0, 0, 0])
    }

    #[test]
    fn words_are_read_with_their_sign() {
        let minus_one = Uint::from_hex(&[b'f'; 64]).unwrap_or_default();
        assert_eq!(Signed::of(&minus_one), Signed { magnitude: of(1), negative: true });
        let mut least = [b'0'; 64];
        least[0] = b'8';
        let least = Signed::of(&Uint::from_hex(&least).unwrap_or_default());
        assert!(least.negative);
        assert_eq!(least.magnitude.bits(), 256);
        assert_eq!(Signed::difference(&of(3), &of(10)), Signed { magnitude: of(7), negative: true });
    }

    #[test]
    fn the_last_digit_tells_that_something_is_left_over() {
        assert_eq!(of(1).quotient(&of(4), 2, 2), "0.25");
        assert_eq!(of(1).quotient(&of(3), 3, 3), "0.333");
        assert_eq!(of(10_001).quotient(&of(2_000), 2, 2), "5.01");
        assert_eq!(of(105_001).quotient(&of(2_000), 1, 1), "52.6");
        assert_eq!(of(12_345).quotient(&of(1), 0, 7), "0.0012345");
    }

    proptest! {
        #[test]
        fn a_quotient_is_that_of_whole_numbers(left in any::<u64>(), right in 1u64.., scale in 0u32..12) {
            let exact = u128::from(left) * 10u128.pow(scale);
            let (mut whole, rest) = (exact / u128::from(right), exact % u128::from(right));
            if rest > 0 && whole % 5 == 0 {
                whole += 1;
            }
            let text = of(left.into()).quotient(&of(right.into()), scale, scale).replace('.', "");
            prop_assert_eq!(text.parse::<u128>().unwrap_or(u128::MAX), whole);
        }

        #[test]
        fn any_numbers_divide(left in any::<[u64; 4]>(), right in any::<[u64; 4]>()) {
            let wide = |limbs: [u64; 4]| Uint([limbs[0], limbs[1], limbs[2], limbs[3], 0]);
            let (left, right) = (wide(left), wide(right));
            prop_assume!(!right.is_zero());
            let (quotient, rest) = left.divided(&right);
            prop_assert!(rest.order(&right) == Ordering::Less);
            prop_assert!(quotient.bits() <= left.bits());
            left.quotient(&right, 30, 18);
        }
    }
}
