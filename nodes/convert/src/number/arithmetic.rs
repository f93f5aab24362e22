//! The four operations on decimal numbers.

use super::decimal::{Decimal, MAX_DIGITS, count, power_of_ten};

/// Significant digits of a quotient that has no last digit.
const QUOTIENT_DIGITS: u32 = 16;

impl Decimal {
    /// The sum. Digits of its fraction that do not fit are rounded. `None` if digits before the point do not fit.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent);
        let sum = |place: i32| Some(Self::new(self.at(place)?.checked_add(other.at(place)?)?, place));
        if self.is_zero() || other.is_zero() {
            return Some(if self.is_zero() { other } else { self });
        }
        if let Some(exact) = sum(exponent) {
            return exact.in_range();
        }
        // One digit less than fits, for a sum with one digit more than both numbers.
        let place =
            |number: Self| i64::from(number.exponent) - (i64::from(MAX_DIGITS) - 1 - i64::from(count(number.digits)));
        let place = i32::try_from(place(self).max(place(other)).max(i64::from(exponent) + 1)).ok()?;
        // Digits before the point are never rounded. Some sums of numbers with 38 of them still fit.
        sum(place.min(0))?.in_range()
    }

    /// The difference; see [`checked_add`](Self::checked_add).
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.checked_add(Self::new(other.digits.checked_neg()?, other.exponent))
    }

    /// The product. Digits of its fraction that do not fit are rounded. `None` if digits before the point do not fit.
    #[must_use]
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        if self.is_zero() || other.is_zero() {
            return Some(Self::ZERO);
        }
        let exponent = self.exponent.checked_add(other.exponent)?;
        // Two numbers of 64 bits need no check, which is slow in WebAssembly.
        if let (Ok(a), Ok(b)) = (i64::try_from(self.digits), i64::try_from(other.digits)) {
            return Self::new(i128::from(a) * i128::from(b), exponent).in_range();
        }
        if let Some(digits) = self.digits.checked_mul(other.digits) {
            return Self::new(digits, exponent).in_range();
        }
        let (digits, dropped, is_exact) = short_product(self.digits.unsigned_abs(), other.digits.unsigned_abs());
        let exponent = exponent.checked_add(dropped)?;
        let sign = self.digits.signum() * other.digits.signum();
        if exponent > 0 && !is_exact { None } else { Self::new(digits * sign, exponent).in_range() }
    }

    /// The quotient: exact if it has at most 38 digits, otherwise rounded to `places` digits after the point, or without
    /// `places` to 16 digits. `None` if the second number is 0, if digits before the point do not fit, or if the quotient
    /// is rounded to 16 digits and more than 15 of them stand before the point.
    #[must_use]
    pub fn checked_div(self, other: Self, places: Option<u8>) -> Option<Self> {
        let by = other.digits.unsigned_abs();
        let mut digits = self.digits.unsigned_abs().checked_div(by)?;
        let mut rest = self.digits.unsigned_abs().checked_rem(by)?;
        let mut exponent = self.exponent.checked_sub(other.exponent)?;
        // The exponent of the last digit that is wanted.
        let last = places.map(|places| -i32::from(places));
        while rest > 0 && digits < 10_u128.pow(MAX_DIGITS - 1) && last.is_none_or(|last| exponent > last) {
            let (next, after) = times_ten(rest, by);
            (digits, rest) = (digits * 10 + next, after);
            exponent = exponent.checked_sub(1)?;
        }
        if rest > 0 && exponent > 0 {
            return None;
        }
        let cut = Self::new(i128::try_from(digits).ok()?, exponent);
        let mut made = match (places, last) {
            (None, _) if rest > 0 => cut.to_quotient_digits()?,
            // The digits that are cut off further on do not change how these are rounded.
            (Some(places), Some(last)) if exponent < last => cut.round(places),
            _ => Self::new(cut.digits.checked_add(i128::from(times_ten(rest, by).0 >= 5))?, exponent),
        };
        made.digits *= self.digits.signum() * other.digits.signum();
        made.in_range()
    }

    /// Rounds to the digits of a quotient, at least one of which must stand after the point.
    fn to_quotient_digits(self) -> Option<Self> {
        let count = count(self.digits);
        if i64::from(count) + i64::from(self.exponent) >= i64::from(QUOTIENT_DIGITS) {
            return None;
        }
        let dropped = i32::try_from(count.saturating_sub(QUOTIENT_DIGITS)).ok()?;
        let place = self.exponent.checked_add(dropped)?;
        Some(Self::new(self.rounded_at(place), place))
    }

    /// The digits with this exponent. `None` if they do not fit.
    fn at(self, place: i32) -> Option<i128> {
        match self.exponent.checked_sub(place)? {
            more if more >= 0 => self.digits.checked_mul(power_of_ten(more.unsigned_abs())?),
            _ => Some(self.rounded_at(place)),
        }
    }
}

/// The next digit of a quotient, and the rest.
fn times_ten(rest: u128, by: u128) -> (u128, u128) {
    // Dividing in 128 bits is slow in WebAssembly.
    let tenfold = u64::try_from(rest).ok().and_then(|rest| rest.checked_mul(10));
    if let (Some(tenfold), Ok(by)) = (tenfold, u64::try_from(by)) {
        return ((tenfold / by).into(), (tenfold % by).into());
    }
    if let Some(tenfold) = rest.checked_mul(10) {
        return (tenfold / by, tenfold % by);
    }
    // Ten additions modulo the divisor, because ten times the rest does not fit.
    (0..10).fold((0, 0), |(digit, sum): (u128, u128), _| match sum.checked_sub(by - rest) {
        Some(over) => (digit + 1, over),
        None => (digit, sum + rest),
    })
}

/// The first 38 digits of a product, rounded half away from zero; how many digits are left out, and whether all of these
/// are 0.
fn short_product(a: u128, b: u128) -> (i128, i32, bool) {
    let mut limbs = wide_product(a, b);
    let (mut dropped, mut last, mut is_exact) = (0, 0, true);
    let limit = 10_u128.pow(MAX_DIGITS);
    loop {
        let [low, high, rest @ ..] = limbs;
        let digits = u128::from(high) << 64 | u128::from(low);
        if rest == [0, 0] && digits < limit {
            let rounded = digits + u128::from(last >= 5);
            return (i128::try_from(rounded).unwrap_or(i128::MAX), dropped, is_exact);
        }
        last = 0;
        for limb in limbs.iter_mut().rev() {
            let part = u128::from(last) << 64 | u128::from(*limb);
            // Less than 2⁶⁴, because the carry is less than 10.
            *limb = u64::try_from(part / 10).unwrap_or(u64::MAX);
            last = u64::try_from(part % 10).unwrap_or_default();
        }
        is_exact &= last == 0;
        dropped += 1;
    }
}

/// The product of 256 bits, lowest limb first.
fn wide_product(a: u128, b: u128) -> [u64; 4] {
    let parts = |number: u128| [number & u128::from(u64::MAX), number >> 64];
    let ([a0, a1], [b0, b1]) = (parts(a), parts(b));
    let low = |number: u128| (number & u128::from(u64::MAX)) as u64;
    let first = a0 * b0;
    let second = a1 * b0 + (first >> 64);
    let third = a0 * b1 + u128::from(low(second));
    let fourth = a1 * b1 + (second >> 64) + (third >> 64);
    [low(first), low(third), low(fourth), low(fourth >> 64)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text.as_bytes()).unwrap()
    }

    fn written(made: Option<Decimal>) -> Option<String> {
        let mut out = Vec::new();
        made?.write(&mut out);
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn sums_are_exact_or_rounded_after_the_point() {
        for (a, b, sum) in [
            ("0.1", "0.2", Some("0.3")),
            ("9007199254740993", "0.5", Some("9007199254740993.5")),
            ("-0.1", "0.1", Some("0")),
            ("1e30", "1e-7", Some("1000000000000000000000000000000.0000001")),
            ("1e30", "1e-9", Some("1000000000000000000000000000000")),
            ("1e22", "0", Some("1e22")),
            ("1e37", "-190937.23658", Some("9999999999999999999999999999999809063")),
            ("-1e37", "190937.23658", Some("-9999999999999999999999999999999809063")),
            ("99999999999999999999999999999999999998", "0.9876", Some("99999999999999999999999999999999999999")),
            ("170141183460469231731687303715884105727", "1", None),
            ("170141183460469231731687303715884105727", "0.5", None),
            ("1e300", "1", None),
            ("1e300", "1e-300", None),
            ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999", None),
            ("0.99999999999999999999999999999999999999", "0.99999999999999999999999999999999999999", Some("2")),
            ("1.7e308", "1.7e308", None),
        ] {
            assert_eq!(written(number(a).checked_add(number(b))).as_deref(), sum, "{a} {b}");
            assert_eq!(written(number(b).checked_add(number(a))).as_deref(), sum, "{b} {a}");
        }
        assert_eq!(written(number("0.3").checked_sub(number("0.1"))).as_deref(), Some("0.2"));
    }

    #[test]
    fn products_are_exact_or_rounded_after_the_point() {
        for (a, b, product) in [
            ("1.1", "1.1", Some("1.21")),
            ("9007199254740993", "1.5", Some("13510798882111489.5")),
            ("-1500", "0.001", Some("-1.5")),
            ("100000000000000000000", "100000000000000000000", Some("1e40")),
            ("100000000000000000001", "100000000000000000001", None),
            ("1e300", "2", Some("2e300")),
            ("1e300", "1e300", None),
            ("12345678901234567890", "1e-30", Some("1.234567890123456789e-11")),
            (
                "0.12345678901234567890123",
                "-0.98765432109876543210987",
                Some("-0.12193263113702179522617971343362968602"),
            ),
            (
                "1234567890123456789012345678",
                "1.2345678901234567890123",
                Some("1524157875323883675049478761.4393126173"),
            ),
            ("12345678901234567890123456789", "98765432101", None),
            ("0", "1e300", Some("0")),
        ] {
            assert_eq!(written(number(a).checked_mul(number(b))).as_deref(), product, "{a} {b}");
        }
    }

    #[test]
    fn quotients_are_exact_or_rounded() {
        for (a, b, places, quotient) in [
            ("1", "8", None, Some("0.125")),
            ("1", "3", None, Some("0.3333333333333333")),
            ("-2", "3", None, Some("-0.6666666666666667")),
            ("0.3", "0.1", None, Some("3")),
            ("9007199254740993", "2", None, Some("4503599627370496.5")),
            ("100000000000000", "7", None, Some("14285714285714.29")),
            ("9007199254740993", "7", None, None),
            ("9007199254740993", "7", Some(3), Some("1286742750677284.714")),
            ("-2", "3", Some(3), Some("-0.667")),
            ("1", "-8", Some(2), Some("-0.13")),
            ("1", "0", Some(2), None),
            ("0", "3", None, Some("0")),
            ("1e300", "3", None, None),
            ("1e300", "3", Some(2), None),
            ("1e-300", "3", None, Some("3.333333333333333e-301")),
            ("100000000000000000000000000001", "3", Some(2), Some("33333333333333333333333333333.67")),
            ("1", "99999999999999999999999999999999999999", None, Some("1e-38")),
            ("99999999999999999999999999999999999998", "99999999999999999999999999999999999999", Some(15), Some("1")),
        ] {
            assert_eq!(written(number(a).checked_div(number(b), places)).as_deref(), quotient, "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn a_quotient_is_next_to_the_real_one(first in any::<i64>(), second in any::<i32>(), places in 0..=9_u8) {
            prop_assume!(second != 0);
            let (first, second) = (i128::from(first), i128::from(second));
            let made = Decimal::new(first, 0).checked_div(Decimal::new(second, 0), Some(places)).unwrap();
            let digits = made.at(-i32::from(places)).unwrap();
            // |first · 10^places - digits · second| ≤ |second| / 2
            let rest = first * 10_i128.pow(places.into()) - digits * second;
            prop_assert!(2 * rest.abs() <= second.abs());
        }

        #[test]
        fn a_product_divided_by_one_number_is_the_other(a: i64, b: i64, shift in -9..9_i32) {
            prop_assume!(b != 0);
            let product = Decimal::new(a.into(), shift).checked_mul(Decimal::new(b.into(), 0)).unwrap();
            let quotient = product.checked_div(Decimal::new(b.into(), 0), None).unwrap();
            prop_assert_eq!(written(Some(quotient)), written(Some(Decimal::new(a.into(), shift))));
        }

        #[test]
        fn wide_products_have_the_rests_of_their_factors(a: u128, b: u128) {
            for prime in [(1_u128 << 61) - 1, 1_000_000_007, 998_244_353] {
                let rest = wide_product(a, b).iter().rev().fold(0, |rest, limb| ((rest << 64) + u128::from(*limb)) % prime);
                prop_assert_eq!(rest, (a % prime) * (b % prime) % prime);
            }
        }

        #[test]
        fn short_products_are_rounded_products(a in 10_u128.pow(18)..10_u128.pow(19), b in 1..10_u128.pow(18), zeros in 0..19_u32) {
            // The product fits, and the zeros behind one of the factors make that it does not.
            let (digits, dropped, is_exact) = short_product(a * 10_u128.pow(zeros), b);
            let power = 10_u128.pow(zeros.abs_diff(dropped.unsigned_abs()));
            let product = a * b;
            if dropped.unsigned_abs() <= zeros {
                prop_assert_eq!((digits.unsigned_abs(), is_exact), (product * power, true));
            } else {
                prop_assert_eq!((digits.unsigned_abs(), is_exact), ((product + power / 2) / power, product % power == 0));
            }
        }

        #[test]
        fn any_numbers_give_a_result_or_none(a: i128, b: i128, x in -60..60_i32, y in -60..60_i32, places in 0..=15_u8) {
            let (a, b) = (Decimal::new(a, x), Decimal::new(b, y));
            for made in [
                a.checked_add(b), a.checked_sub(b), a.checked_mul(b), a.checked_div(b, None), a.checked_div(b, Some(places)),
            ] {
                if let Some(text) = written(made) {
                    prop_assert!(wattle_json::check(text.as_bytes(), 0).is_ok(), "{text}");
                }
            }
        }
    }
}
