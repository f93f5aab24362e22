//! Figures as short texts.

/// A rate a second or a count: `0`, `4.2`, `312`, `12.3k`, `1.2M`.
pub(crate) fn short(value: f64) -> String {
    const UNITS: [&str; 5] = ["", "k", "M", "G", "T"];
    if !value.is_finite() || value <= 0.0 {
        return "0".to_owned();
    }
    let (value, unit) = scaled(value, 1000.0, UNITS);
    let is_whole = value >= 99.95 || (unit.is_empty() && value.fract() == 0.0);
    match value {
        ..0.05 => "<0.1".to_owned(),
        _ if is_whole => format!("{value:.0}{unit}"),
        _ => format!("{value:.1}{unit}"),
    }
}

/// A number of bytes in binary units, as Kubernetes writes them: `512`, `64Ki`, `1.5Gi`.
#[expect(clippy::cast_precision_loss, reason = "a rounded figure for people")]
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["", "Ki", "Mi", "Gi", "Ti"];
    let (value, unit) = scaled(bytes as f64, 1024.0, UNITS);
    if unit.is_empty() || value >= 9.95 { format!("{value:.0}{unit}") } else { format!("{value:.1}{unit}") }
}

/// A value in the first of these units in which it is less than the next one.
fn scaled(mut value: f64, factor: f64, units: [&'static str; 5]) -> (f64, &'static str) {
    let [mut unit, larger @ ..] = units;
    for next in larger {
        // A value that is rounded up to the factor would have a digit more.
        if value < factor - 0.5 {
            break;
        }
        value /= factor;
        unit = next;
    }
    (value, unit)
}

/// A count with its thousands separated: `1,234,567`.
pub(crate) fn exact(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count as [`short`] writes it.
#[expect(clippy::cast_precision_loss, reason = "a rounded figure for people")]
pub(crate) fn count(count: u64) -> String {
    if count < 10_000 { count.to_string() } else { short(count as f64) }
}

/// A rate that may be unknown.
pub(crate) fn rate(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), short)
}

/// A share as a percentage: `0%`, `0.4%`, `83%`, `250%`.
pub(crate) fn percent(share: Option<f64>) -> String {
    match share.map(|share| share * 100.0) {
        None => "-".to_owned(),
        Some(percent) if !percent.is_finite() || percent < 0.05 => "0%".to_owned(),
        Some(percent) if percent < 9.95 => format!("{percent:.1}%"),
        Some(percent) => format!("{percent:.0}%"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_at_most_six_characters() {
        let rates = [-1.0, f64::NAN, 0.0, 0.01, 0.3, 1.0, 4.25, 99.96, 312.0, 999.4, 999.5, 12_345.0, 1e6, 2.5e9, 1e15];
        let expected =
            ["0", "0", "0", "<0.1", "0.3", "1", "4.2", "100", "312", "999", "1.0k", "12.3k", "1.0M", "2.5G", "1000T"];
        assert_eq!(rates.map(short), expected);
        assert_eq!(
            [0, 512, 1023, 1024, 65_536, 10_480_000, 1_610_612_736, u64::MAX].map(bytes),
            ["0", "512", "1023", "1.0Ki", "64Ki", "10Mi", "1.5Gi", "16777216Ti"]
        );
        assert_eq!([0, 999, 1000, 1_234_567].map(exact), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([9999, 10_000, 1_234_567].map(count), ["9999", "10.0k", "1.2M"]);
        assert_eq!(
            [None, Some(0.0), Some(0.004), Some(0.83), Some(2.5)].map(percent),
            ["-", "0%", "0.4%", "83%", "250%"]
        );
    }
}
