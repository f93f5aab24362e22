//! Exact numbers from the text of JSON.

use wattle_json as json;
use wattle_json::{Kind, Value};

/// The text of a number, if `value` is one or a string that contains exactly one.
pub(crate) fn text(text: &[u8], value: Value) -> Option<&str> {
    let number = match value.kind {
        Kind::Number => value.text(text),
        Kind::String => {
            let inner = value.string(text)?;
            let number = json::value_at(inner, 0)?;
            (number.kind == Kind::Number && number.end == inner.len()).then_some(inner)?
        }
        _ => return None,
    };
    std::str::from_utf8(number).ok()
}

/// The whole number that a number of JSON stands for, such as 1500 for `1.5e3`; `None` if it has a fraction or does not
/// fit.
pub(crate) fn integer(number: &str) -> Option<i64> {
    match number.parse() {
        Ok(integer) => Some(integer),
        // Digits only, so it is too large.
        Err(_) if !number.contains(['.', 'e', 'E']) => None,
        Err(_) => scaled(number),
    }
}

/// The nearest number of 64 bits; `None` if it is too large.
pub(crate) fn double(number: &str) -> Option<f64> {
    number.parse().ok().filter(|double: &f64| double.is_finite())
}

/// A whole number with a fraction or an exponent.
fn scaled(number: &str) -> Option<i64> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits = || whole.bytes().chain(fraction.bytes());
    let significant = digits().skip_while(|digit| *digit == b'0').count();
    if significant == 0 {
        return Some(0);
    }
    // Zeros at the end make up for a negative exponent.
    let zeros = digits().rev().take_while(|digit| *digit == b'0').count();
    let power = exponent.parse::<i64>().ok()? - i64::try_from(fraction.len()).ok()? + i64::try_from(zeros).ok()?;
    let count = significant - zeros;
    // No number of 64 bits has more than 19 digits.
    let power = u32::try_from(power).ok().filter(|power| *power < 20)?;
    if count > 19 {
        return None;
    }
    let digits = digits().skip(digits().count() - significant).take(count);
    let value =
        digits.fold(0_i128, |value, digit| value * 10 + i128::from(digit - b'0')) * 10_i128.checked_pow(power)?;
    i64::try_from(if negative { -value } else { value }).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_numbers_are_exact() {
        let cases = [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("9007199254740993", Some(9_007_199_254_740_993)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("9223372036854775807.0", Some(i64::MAX)),
            ("922337203685477580.7e1", Some(i64::MAX)),
            ("922337203685477580.8E1", None),
            ("1.5e3", Some(1500)),
            ("1500e-2", Some(15)),
            ("1500e-3", None),
            ("0.5", None),
            ("0.000e999999999999999999999", Some(0)),
            ("-0.00", Some(0)),
            ("1e18", Some(1_000_000_000_000_000_000)),
            ("1e19", None),
            ("1e-999999999999999999999", None),
            ("1000000000000000000000000e-24", Some(1)),
            ("0.0000000000000000000000001e25", Some(1)),
            ("-2.50E1", Some(-25)),
        ];
        for (text, expected) in cases {
            assert_eq!(integer(text), expected, "{text}");
        }
    }

    #[test]
    fn strings_that_contain_a_number_count() {
        let number = |json: &str| {
            let value = json::skip(json.as_bytes(), 0).unwrap();
            text(json.as_bytes(), value).map(str::to_owned)
        };
        assert_eq!(number(r#""12""#).as_deref(), Some("12"));
        assert_eq!(number("-1e5").as_deref(), Some("-1e5"));
        for none in [
            r#""""#,
            r#"" 12""#,
            r#""12 ""#,
            r#""012""#,
            r#""+1""#,
            r#""NaN""#,
            r#""true""#,
            "true",
            "[1]",
            r#""1\u0030""#,
        ] {
            assert_eq!(number(none), None, "{none}");
        }
    }

    #[test]
    fn doubles_must_be_finite() {
        assert_eq!(double("1e400"), None);
        assert_eq!(double("-1e400"), None);
        assert_eq!(double("1e-400"), Some(0.0));
        assert_eq!(double("0.1"), Some(0.1));
    }

    proptest! {
        #[test]
        fn a_point_at_any_place_changes_nothing(value: i64, places in 0..30_usize, zeros in 0..5_usize) {
            let digits = format!("{:0>width$}", value.unsigned_abs(), width = places + 1);
            let (whole, fraction) = digits.split_at(digits.len() - places);
            let sign = if value < 0 { "-" } else { "" };
            let whole = whole.trim_start_matches('0');
            let whole = if whole.is_empty() { "0" } else { whole };
            let text = format!("{sign}{whole}.{fraction}{}e+{places}", "0".repeat(zeros + usize::from(places == 0)));
            prop_assert_eq!(integer(&text), Some(value), "{}", text);
        }
    }
}
