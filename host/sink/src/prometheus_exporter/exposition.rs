//! The text of a response to a scrape: Prometheus' text format 0.0.4, or OpenMetrics 1.0.0.
//!
//! The text is made in pieces while the client reads it, so a response is never in memory as a whole.

use std::fmt::Write as _;

use super::record::Exemplar;
use super::registry::{FamilyView, Kind, State};
use crate::prometheus::{Sample, Value, escape, number, samples_of};

/// Size of a piece of the text from which on it is sent.
const PIECE_BYTES: usize = 64 << 10;

/// The format of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    OpenMetrics,
}

impl Format {
    /// The value of `Content-Type`.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A text under construction.
pub(super) struct Exposition {
    families: std::vec::IntoIter<FamilyView>,
    /// The family whose series are being written, and the number of those that are.
    current: Option<(FamilyView, usize)>,
    format: Format,
    send_timestamps: bool,
    has_ended: bool,
}

impl Exposition {
    pub(super) fn new(families: Vec<FamilyView>, format: Format, send_timestamps: bool) -> Self {
        Self { families: families.into_iter(), current: None, format, send_timestamps, has_ended: false }
    }

    /// The next piece; `None` at the end.
    pub(super) fn next_piece(&mut self) -> Option<String> {
        let mut out = String::new();
        while out.len() < PIECE_BYTES && !self.has_ended {
            self.step(&mut out);
        }
        (!out.is_empty()).then_some(out)
    }

    /// Writes the head of a family, a series, or the end.
    fn step(&mut self, out: &mut String) {
        let Some((family, written)) = &mut self.current else {
            match self.families.next() {
                Some(family) => {
                    head(&family, self.format, out);
                    self.current = Some((family, 0));
                }
                None => {
                    self.has_ended = true;
                    if self.format == Format::OpenMetrics {
                        out.push_str("# EOF\n");
                    }
                }
            }
            return;
        };
        match family.series.get(*written) {
            Some((labels, state)) => {
                series(family, labels, state, self.format, self.send_timestamps, out);
                *written += 1;
            }
            None => self.current = None,
        }
    }
}

/// The name of a family: in OpenMetrics, without the suffix of the samples of a counter.
fn family_name(family: &FamilyView, format: Format) -> &str {
    match (format, family.kind) {
        (Format::OpenMetrics, Kind::Counter) => family.name.strip_suffix("_total").unwrap_or(&family.name),
        _ => &family.name,
    }
}

fn head(family: &FamilyView, format: Format, out: &mut String) {
    let name = family_name(family, format);
    // Writing to a string cannot fail, here and below.
    if !family.help.is_empty() {
        let _ = write!(out, "# HELP {name} ");
        escape(&family.help, format == Format::OpenMetrics, out);
        out.push('\n');
    }
    let _ = writeln!(out, "# TYPE {name} {}", family.kind.name());
    if format == Format::OpenMetrics && !family.unit.is_empty() {
        let _ = writeln!(out, "# UNIT {name} {}", family.unit);
    }
}

fn series(family: &FamilyView, labels: &str, state: &State, format: Format, send_time: bool, out: &mut String) {
    let mut above = f64::NEG_INFINITY;
    let mut samples = samples_of(&state.value);
    if format == Format::OpenMetrics && !has_sum(family.kind, &samples) {
        samples.retain(|sample| sample.suffix == "_bucket");
    }
    for Sample { suffix, label, value } in samples {
        out.push_str(&family.name);
        out.push_str(suffix);
        let own = label.as_ref().map(|(name, text)| (*name, bound(text, format)));
        match (labels.is_empty(), &own) {
            (true, None) => {}
            (false, None) => _ = write!(out, "{{{labels}}}"),
            (true, Some((name, text))) => _ = write!(out, "{{{name}=\"{text}\"}}"),
            (false, Some((name, text))) => _ = write!(out, "{{{labels},{name}=\"{text}\"}}"),
        }
        let _ = write!(out, " {}", number(value));
        if send_time {
            out.push(' ');
            time(state.time, format, out);
        }
        if format == Format::OpenMetrics {
            match (&state.value, &label) {
                (Value::Counter(_), _) => exemplar(state.exemplars.last(), out),
                (Value::Histogram(_) | Value::Exponential(_), Some((_, text))) => {
                    let at_most = text.parse().unwrap_or(f64::INFINITY);
                    let is_in = |exemplar: &&Exemplar| exemplar.value > above && exemplar.value <= at_most;
                    exemplar(state.exemplars.iter().rev().find(is_in), out);
                    above = at_most;
                }
                _ => {}
            }
        }
        out.push('\n');
    }
}

/// Whether a histogram has a sum in OpenMetrics, which allows none with negative buckets, and no count without a sum. The
/// last bucket has the count.
fn has_sum(kind: Kind, samples: &[Sample]) -> bool {
    let is_negative = |sample: &Sample| sample.label.as_ref().is_some_and(|(_, bound)| bound.starts_with('-'));
    kind != Kind::Histogram || samples.iter().any(|sample| sample.suffix == "_sum") && !samples.iter().any(is_negative)
}

/// The value of `le` or `quantile`. OpenMetrics has floating-point numbers there, as in `1.0`.
fn bound(text: &str, format: Format) -> String {
    let is_whole = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if is_whole && format == Format::OpenMetrics { format!("{text}.0") } else { text.to_owned() }
}

/// A time: milliseconds in the text format, and seconds in OpenMetrics.
fn time(milliseconds: i64, format: Format, out: &mut String) {
    let _ = match format {
        Format::Text => write!(out, "{milliseconds}"),
        Format::OpenMetrics => {
            let sign = if milliseconds < 0 { "-" } else { "" };
            let all = milliseconds.unsigned_abs();
            write!(out, "{sign}{}.{:03}", all / 1000, all % 1000)
        }
    };
}

fn exemplar(exemplar: Option<&Exemplar>, out: &mut String) {
    let Some(Exemplar { value, time: at, labels }) = exemplar else { return };
    let _ = write!(out, " # {{{labels}}} {}", number(*value));
    if let Some(at) = at {
        out.push(' ');
        time(*at, Format::OpenMetrics, out);
    }
}

#[cfg(test)]
mod tests;
