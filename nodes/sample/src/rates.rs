//! Writes the rates of events.

use std::io::Write as _;

use wattle_node::json::Kind;
use wattle_node::{Column, ColumnWriter};

/// The new values of the rate field. `rates` has one rate per row, 0 for a dropped row.
pub(crate) fn column(rates: &[f64], present: &Column) -> ColumnWriter {
    let mut writer = ColumnWriter::with_capacity(rates.len() * 4, rates.len());
    for (row, rate) in rates.iter().enumerate() {
        let known = match present.kind(row) {
            Kind::Number | Kind::String => number(present.row(row)),
            _ => None,
        };
        match known {
            _ if *rate <= 0.0 => writer.push_none(),
            // The text stays as it is, with digits that a product would lose.
            #[expect(clippy::float_cmp, reason = "a rate of 1 is exact")]
            Some(_) if *rate == 1.0 => writer.push_none(),
            known => {
                write(known.unwrap_or(1.0) * rate, &mut writer.bytes);
                writer.end_row();
            }
        }
    }
    writer
}

/// A number that can be the rate of an earlier stage.
fn number(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0)
}

/// Writes a rate as JSON, without a fraction where that is exact.
fn write(rate: f64, out: &mut Vec<u8>) {
    /// The number below which every whole number is a float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    // JSON has no infinity.
    let rate = rate.min(f64::MAX);
    if rate.fract() == 0.0 && rate < EXACT {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number of at most 2^53")]
        let whole = rate as u64;
        // Writing to a vector cannot fail.
        let _ = write!(out, "{whole}");
    } else {
        out.extend_from_slice(zmij::Buffer::new().format_finite(rate).as_bytes());
    }
}
