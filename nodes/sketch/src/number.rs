//! Numbers of events, and their sums.

use std::cmp::Ordering;
use std::io::Write as _;

use wattle_snapshot::{Damaged, Reader, Writer};

/// A number of an event.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// A whole number.
    Int(i64),
    /// Any other finite number.
    Float(f64),
}

impl Number {
    /// Reads a JSON number. Returns `None` for any other text, and for a number beyond the range of 64-bit floating point.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        // At most 18 digits always fit.
        if digits.len() <= 18
            && let Some(value) = digits
                .iter()
                .try_fold(0_i64, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
        {
            return (!digits.is_empty()).then_some(Self::Int(if negative { -value } else { value }));
        }
        // The parsers of the standard library also accept `+1`, `.5` and `inf`.
        if !digits.first()?.is_ascii_digit() {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        if let Ok(value) = text.parse() {
            return Some(Self::Int(value));
        }
        text.parse().ok().filter(|value: &f64| value.is_finite()).map(Self::Float)
    }

    /// The number as floating point; above 2⁵³ it is rounded.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "documented")]
    pub const fn as_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    /// Compares the values of two numbers.
    #[must_use]
    pub fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(&b),
            (Self::Int(a), Self::Float(b)) => compare(a, b),
            (Self::Float(a), Self::Int(b)) => compare(b, a).reverse(),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
        }
    }

    /// Appends the number as JSON.
    pub fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Int(value) => {
                let _ = write!(out, "{value}");
            }
            Self::Float(value) => write_float(value, out),
        }
    }

    /// Appends the number to a snapshot.
    pub fn save(self, to: &mut Writer) {
        to.flag(matches!(self, Self::Int(_)));
        match self {
            Self::Int(value) => to.signed(value),
            Self::Float(value) => to.float(value),
        }
    }

    /// Takes a number from a snapshot.
    ///
    /// # Errors
    ///
    /// The snapshot is damaged.
    pub fn restore(from: &mut Reader<'_>) -> Result<Self, Damaged> {
        Ok(if from.flag()? { Self::Int(from.signed()?) } else { Self::Float(from.float()?) })
    }
}

/// Compares exactly: a floating-point number of less than 2⁶³ has a whole part of 64 bits.
fn compare(a: i64, b: f64) -> Ordering {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if b >= LIMIT {
        return Ordering::Less;
    }
    if b < -LIMIT {
        return Ordering::Greater;
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked above")]
    let whole = b.trunc() as i64;
    a.cmp(&whole).then_with(|| 0.0_f64.partial_cmp(&b.fract()).unwrap_or(Ordering::Equal))
}

/// Appends a number as JSON, with as few digits as tell it from its neighbours; `null` if it is not finite.
pub fn write_float(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(value);
        // `2.0` of a sum of whole numbers is `2`.
        out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

/// A sum: exact for whole numbers, and with the error of one rounding for others (Neumaier, "Rundungsfehleranalyse einiger
/// Verfahren zur Summation endlicher Summen", 1974). Steps on the way may exceed the range of 64-bit floating point.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    whole: i128,
    floats: Floats,
    /// Values of at least [`HUGE`], divided by it, so that 2⁶⁴ of them do not exceed the range.
    huge: Floats,
    has_floats: bool,
}

/// 2⁹⁶⁰: 2⁶⁴ smaller values do not exceed the range of 64-bit floating point.
const HUGE: f64 = f64::from_bits((1023 + 960) << 52);
/// 2⁶⁴.
const SCALE: f64 = 18_446_744_073_709_551_616.0;

/// A sum of floating-point numbers, and what its roundings lost.
#[derive(Clone, Copy, Debug, Default)]
struct Floats {
    sum: f64,
    lost: f64,
}

impl Floats {
    fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        self.lost += if self.sum.abs() >= value.abs() { (self.sum - sum) + value } else { (value - sum) + self.sum };
        self.sum = sum;
    }

    fn total(self) -> f64 {
        // An infinite sum, which old snapshots can have, has lost NaN.
        if self.sum.is_finite() { self.sum + self.lost } else { self.sum }
    }
}

impl Sum {
    /// Adds a number.
    pub fn add(&mut self, number: Number) {
        match number {
            Number::Int(value) => self.whole = self.whole.saturating_add(value.into()),
            Number::Float(value) => {
                self.has_floats = true;
                if value.abs() < HUGE {
                    self.floats.add(value);
                } else {
                    self.huge.add(value / SCALE);
                }
            }
        }
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Self) {
        self.whole = self.whole.saturating_add(other.whole);
        self.has_floats |= other.has_floats;
        for (to, from) in [(&mut self.floats, other.floats), (&mut self.huge, other.huge)] {
            to.add(from.sum);
            to.add(from.lost);
        }
    }

    /// The sum divided by a number, which may exceed the range of 64-bit floating point.
    #[expect(clippy::cast_precision_loss, reason = "documented")]
    fn divided(&self, by: f64) -> f64 {
        let floats = self.floats.total();
        // Order matters: what roundings lost is much smaller than the rest.
        let small = if floats.is_finite() { (self.whole as f64 + self.floats.sum) + self.floats.lost } else { floats };
        small / by + self.huge.total() / by * SCALE
    }

    /// The sum as floating point; beyond its range the number next to it, ±1.7976931348623157e308.
    #[must_use]
    pub fn as_f64(&self) -> f64 {
        within_range(self.divided(1.0))
    }

    /// The mean of so many numbers with this sum, which is in the range if they are.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a mean of floating-point numbers")]
    pub fn mean(&self, count: u64) -> f64 {
        within_range(self.divided(count.max(1) as f64))
    }

    /// Whether the sum is beyond the range of 64-bit floating point.
    #[must_use]
    pub fn is_out_of_range(&self) -> bool {
        self.has_floats && !self.divided(1.0).is_finite()
    }

    /// Appends the sum as a JSON number, as [`as_f64`](Self::as_f64) if floating-point numbers are in it.
    pub fn write(&self, out: &mut Vec<u8>) {
        if self.has_floats {
            write_float(self.as_f64(), out);
        } else {
            let _ = write!(out, "{}", self.whole);
        }
    }

    /// Appends the sum to a snapshot.
    pub fn save(&self, to: &mut Writer) {
        to.word((self.whole.cast_unsigned() >> 64) as u64);
        #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
        to.word(self.whole.cast_unsigned() as u64);
        let has_huge = self.huge.sum != 0.0 || self.huge.lost != 0.0;
        to.number(if has_huge { HAS_HUGE } else { u64::from(self.has_floats) });
        let all = [(self.has_floats, self.floats), (has_huge, self.huge)];
        for (_, floats) in all.into_iter().filter(|(has_some, _)| *has_some) {
            to.word(floats.sum.to_bits());
            to.word(floats.lost.to_bits());
        }
    }

    /// Takes a sum from a snapshot.
    ///
    /// # Errors
    ///
    /// The snapshot is damaged.
    pub fn restore(from: &mut Reader<'_>) -> Result<Self, Damaged> {
        let whole = (u128::from(from.word()?) << 64 | u128::from(from.word()?)).cast_signed();
        let tag = from.number()?;
        if tag > HAS_HUGE {
            return Err(Damaged);
        }
        let mut floats = |is_there: bool| {
            let word = |from: &mut Reader<'_>| from.word().map(f64::from_bits);
            if is_there { Ok(Floats { sum: word(from)?, lost: word(from)? }) } else { Ok(Floats::default()) }
        };
        let (small, huge) = (floats(tag > 0)?, floats(tag == HAS_HUGE)?);
        Ok(Self { whole, floats: small, huge, has_floats: tag > 0 })
    }
}

/// In a snapshot, instead of the flag for floating-point numbers: some of them are huge.
const HAS_HUGE: u64 = 2;

/// The number, or the finite one next to it.
#[must_use]
pub fn within_range(number: f64) -> f64 {
    number.clamp(f64::MIN, f64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_finite_json_numbers_are_numbers() {
        for (text, shown) in [
            ("0", "0"),
            ("-17", "-17"),
            ("999999999999999999", "999999999999999999"),
            ("9223372036854775807", "9223372036854775807"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("18446744073709551616", "1.8446744073709552e+19"),
            ("1.50", "1.5"),
            ("2.0", "2"),
            ("1e3", "1000"),
        ] {
            let number = Number::parse(text.as_bytes()).unwrap();
            assert_eq!(written(|out| number.write(out)), shown, "{text}");
        }
        for text in ["", "-", "+1", "inf", "NaN", "-inf", "x", ".5", "1x", " 1", "0x1", "1e999", "--1"] {
            assert!(Number::parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn sums_of_whole_numbers_are_exact_and_others_are_rounded_once() {
        let sum = |texts: &[&str]| {
            let mut sum = Sum::default();
            texts.iter().for_each(|text| sum.add(Number::parse(text.as_bytes()).unwrap()));
            written(|out| sum.write(out))
        };
        assert_eq!(sum(&[]), "0");
        assert_eq!(sum(&["9223372036854775807", "9223372036854775807"]), "18446744073709551614");
        assert_eq!(sum(&["0.1"; 10]), "1");
        assert_eq!(sum(&["1e100", "1.5", "-1e100"]), "1.5");
        assert_eq!(sum(&["2.5", "1"]), "3.5");
        // No step on the way is infinite, and a sum beyond the range is the number next to it.
        assert_eq!(sum(&["1e308", "1e308"]), "1.7976931348623157e+308");
        assert_eq!(sum(&["-1e308", "-1e308", "1"]), "-1.7976931348623157e+308");
        assert_eq!(sum(&["1e308", "1.5e308", "-1e308", "-1.5e308", "2.5"]), "2.5");
    }

    #[test]
    fn huge_numbers_have_a_mean_and_survive_a_snapshot() {
        for numbers in [&["1e308", "1.6e308", "1e308"][..], &["-1.7e308", "-1.7e308"], &["1.7e308", "1"], &["3", "4.5"]]
        {
            let mut sum = Sum::default();
            numbers.iter().for_each(|text| sum.add(Number::parse(text.as_bytes()).unwrap()));
            let mut merged = Sum::default();
            merged.merge(&sum);
            let mut writer = Writer::new();
            merged.save(&mut writer);
            let saved = writer.finish();
            let restored = Sum::restore(&mut Reader::new(&saved).unwrap()).unwrap();
            let count = numbers.len() as u64;
            let expected: f64 = numbers.iter().map(|text| text.parse::<f64>().unwrap() / count as f64).sum();
            let mean = restored.mean(count);
            assert!((mean - expected).abs() <= expected.abs() * 1e-15, "{numbers:?}: {mean} {expected}");
            let total: f64 = numbers.iter().map(|text| text.parse::<f64>().unwrap()).sum();
            assert_eq!(restored.is_out_of_range(), total.is_infinite(), "{numbers:?}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_compared_by_value(a: i64, b: i64, near in -2_i64..3) {
            #[expect(clippy::cast_precision_loss, reason = "the value that is compared")]
            let float = b as f64;
            let exact = |x: i64| i128::from(x);
            #[expect(clippy::cast_possible_truncation, reason = "whole")]
            let expected = exact(a).cmp(&(float as i128));
            prop_assert_eq!(Number::Int(a).compare(Number::Float(float)), expected);
            prop_assert_eq!(Number::Float(float).compare(Number::Int(a)), expected.reverse());
            prop_assert_eq!(Number::Int(near).compare(Number::Float(0.5)), near.cmp(&1).then(Ordering::Greater));
        }

        #[test]
        fn a_merged_sum_is_the_sum_of_the_parts(parts in prop::collection::vec((any::<i64>(), -1e9..1e9_f64), 0..20)) {
            let (mut whole, mut halves) = (Sum::default(), [Sum::default(), Sum::default()]);
            for (place, (int, float)) in parts.iter().enumerate() {
                for number in [Number::Int(*int), Number::Float(*float)] {
                    whole.add(number);
                    halves[place % 2].add(number);
                }
            }
            let [mut first, second] = halves;
            first.merge(&second);
            let (a, b) = (whole.as_f64(), first.as_f64());
            prop_assert!((a - b).abs() <= a.abs() * 1e-12, "{a} {b}");
            let mut writer = Writer::new();
            first.save(&mut writer);
            let saved = writer.finish();
            let restored = Sum::restore(&mut Reader::new(&saved).unwrap()).unwrap();
            prop_assert_eq!(restored.as_f64().to_bits(), b.to_bits());
        }
    }
}
