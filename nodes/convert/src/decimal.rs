//! Decimal numbers with a unit after them.

/// A number without a sign, such as the `1.5` of `1.5h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    whole: u64,
    /// The fraction times ten to the power of `digits`, which is at most 18.
    fraction: u64,
    digits: u32,
}

impl Decimal {
    /// Reads a number at the start of a text, and returns the rest of the text. Further digits than 18 after the point do
    /// not count.
    pub(crate) fn split(text: &[u8]) -> Option<(Self, &[u8])> {
        let (whole, rest) = digits(text);
        let (fraction, rest) = match rest {
            // A point without digits after it belongs to what follows, which then has no such unit.
            [b'.', after @ ..] if after.first().is_some_and(u8::is_ascii_digit) => digits(after),
            _ => (&b""[..], rest),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let fraction = fraction.get(..18).unwrap_or(fraction);
        let number = Self { whole: value(whole)?, fraction: value(fraction)?, digits: fraction.len().try_into().ok()? };
        Some((number, rest))
    }

    /// The number times `unit`, without the fraction that remains.
    pub(crate) fn times(self, unit: u64) -> Option<u64> {
        self.scale(unit, 0)
    }

    /// The number times `unit`, rounded to the nearest whole number.
    pub(crate) fn times_rounded(self, unit: u64) -> Option<u64> {
        self.scale(unit, 10_u128.checked_pow(self.digits)? / 2)
    }

    fn scale(self, unit: u64, half: u128) -> Option<u64> {
        let unit = u128::from(unit);
        let fraction = (u128::from(self.fraction) * unit + half) / 10_u128.checked_pow(self.digits)?;
        u64::try_from(u128::from(self.whole) * unit + fraction).ok()
    }
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.split_at_checked(count).unwrap_or_default()
}

fn value(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

/// Appends `value` divided by 10⁹, as JSON: without zeros at the end of the fraction.
pub(crate) fn write_billionths(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let value = value.unsigned_abs();
    write_padded(value / 1_000_000_000, 1, out);
    let fraction = value % 1_000_000_000;
    if fraction > 0 {
        out.push(b'.');
        write_padded(fraction, 9, out);
        let zeros = out.iter().rev().take_while(|byte| **byte == b'0').count();
        out.truncate(out.len() - zeros);
    }
}

/// Appends a number with at least `width` digits.
pub(crate) fn write_padded(mut value: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        if value == 0 && used >= width {
            break;
        }
        *digit = b'0' + u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
        used += 1;
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_written_as_the_standard_library_writes_them(value: u64, width in 1..20_usize) {
            let mut out = Vec::new();
            write_padded(value, width, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("{value:0width$}"));
        }

        #[test]
        fn billionths_are_exact(value: i64) {
            let mut out = Vec::new();
            write_billionths(value, &mut out);
            let text = String::from_utf8(out).unwrap();
            let (sign, digits) = text.strip_prefix('-').map_or((1, text.as_str()), |digits| (-1, digits));
            let (number, rest) = Decimal::split(digits.as_bytes()).unwrap();
            prop_assert!(rest.is_empty() && (!text.contains('.') || !text.ends_with('0')), "{}", text);
            prop_assert_eq!(i128::from(number.times(1_000_000_000).unwrap()) * sign, i128::from(value));
        }
    }
}
