//! The functions, and the state of each for a group.

use wattle_node::json::{self, Kind};
use wattle_sketch::{DdSketch, Hll, Mapping, Number, Sum, write_float};
use wattle_snapshot::{Damaged, Reader, Writer, hash};

/// Bytes of a JSON value that `first`, `last` and `list` keep at most.
pub(crate) const MAX_VALUE_BYTES: usize = 1024;

/// Bytes that a value takes in a group or in the body of an event, without its name and what grows.
const VALUE_BYTES: usize = 64;

/// A function over the values of a field.
#[derive(Clone, Debug)]
pub(crate) enum Function {
    /// Counts the events that have the field.
    Count,
    Sum,
    Min,
    Max,
    Mean,
    First,
    Last,
    List {
        limit: usize,
        unique: bool,
    },
    Distinct {
        precision: u8,
    },
    Quantiles {
        at: Vec<f64>,
        accuracy: f64,
        mapping: Mapping,
    },
}

/// The values of a group so far.
#[derive(Clone, Debug)]
pub(crate) enum State {
    Count(u64),
    Sum(Sum),
    /// The smallest or the greatest number.
    Extreme(Option<Number>),
    Mean(Sum, u64),
    /// The first or the last value as JSON, with its time.
    Edge(Option<(i64, Box<[u8]>)>),
    List(Vec<Box<[u8]>>),
    Distinct(Hll),
    Quantiles(Box<DdSketch>),
}

/// The value of the field of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given<'a> {
    /// Not missing and not null.
    pub(crate) kind: Kind,
    /// Strings without quotes, other values as JSON.
    pub(crate) text: &'a [u8],
    /// The time that decides about first and last.
    pub(crate) time: i64,
}

/// What the values of a batch lacked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Missed {
    pub(crate) not_a_number: u64,
    pub(crate) too_long: u64,
    pub(crate) list_full: u64,
}

impl Function {
    /// The state of a new group.
    pub(crate) fn start(&self) -> State {
        match self {
            Self::Count => State::Count(0),
            Self::Sum => State::Sum(Sum::default()),
            Self::Min | Self::Max => State::Extreme(None),
            Self::Mean => State::Mean(Sum::default(), 0),
            Self::First | Self::Last => State::Edge(None),
            Self::List { .. } => State::List(Vec::new()),
            Self::Distinct { precision } => State::Distinct(Hll::new(*precision)),
            Self::Quantiles { .. } => State::Quantiles(Box::default()),
        }
    }

    /// Bytes that a state takes at most, in memory, in a snapshot and in the body of an event.
    pub(crate) fn max_bytes(&self) -> usize {
        match self {
            Self::First | Self::Last => VALUE_BYTES + MAX_VALUE_BYTES,
            Self::List { limit, .. } => VALUE_BYTES + limit * (MAX_VALUE_BYTES + 16),
            Self::Distinct { precision } => VALUE_BYTES + Hll::max_bytes(*precision),
            Self::Quantiles { at, .. } => VALUE_BYTES + DdSketch::MAX_BYTES + at.len() * 32,
            _ => VALUE_BYTES,
        }
    }

    /// Bytes that a new state takes.
    pub(crate) fn start_bytes(&self) -> usize {
        match self {
            Self::Quantiles { at, .. } => VALUE_BYTES + 24 + at.len() * 32,
            _ => VALUE_BYTES,
        }
    }

    /// Adds a value to a state of this function. Returns by how many bytes the state grew.
    pub(crate) fn add(&self, state: &mut State, given: Given<'_>, missed: &mut Missed) -> usize {
        let mut number = || {
            let is_text = matches!(given.kind, Kind::Number | Kind::String);
            let number = Number::parse(given.text).filter(|_| is_text);
            missed.not_a_number += u64::from(number.is_none());
            number
        };
        match state {
            State::Count(count) => *count = count.saturating_add(1),
            State::Sum(sum) => number().into_iter().for_each(|number| sum.add(number)),
            State::Mean(sum, count) => {
                if let Some(number) = number() {
                    sum.add(number);
                    *count = count.saturating_add(1);
                }
            }
            State::Extreme(extreme) => {
                if let Some(number) = number() {
                    self.widen(extreme, number);
                }
            }
            State::Edge(edge) => {
                let Some(value) = value(given, missed) else { return 0 };
                let before = edge.as_ref().map_or(0, |(_, value)| value.len());
                let is_wanted = match edge {
                    None => true,
                    Some((time, _)) if matches!(self, Self::First) => given.time < *time,
                    Some((time, _)) => given.time >= *time,
                };
                if is_wanted {
                    let grown = value.len().saturating_sub(before);
                    *edge = Some((given.time, value));
                    return grown;
                }
            }
            State::List(list) => {
                let Some(value) = value(given, missed) else { return 0 };
                return self.append(list, value, missed);
            }
            State::Distinct(sketch) => {
                let before = sketch.bytes();
                sketch.add(hash(0, given.text));
                return sketch.bytes() - before;
            }
            State::Quantiles(sketch) => {
                if let (Self::Quantiles { mapping, .. }, Some(number)) = (self, number()) {
                    let before = sketch.bytes();
                    sketch.add(mapping, number.as_f64());
                    return sketch.bytes() - before;
                }
            }
        }
        0
    }

    fn widen(&self, extreme: &mut Option<Number>, number: Number) {
        let wanted = if matches!(self, Self::Min) { std::cmp::Ordering::Less } else { std::cmp::Ordering::Greater };
        if extreme.is_none_or(|extreme| number.compare(extreme) == wanted) {
            *extreme = Some(number);
        }
    }

    fn append(&self, list: &mut Vec<Box<[u8]>>, value: Box<[u8]>, missed: &mut Missed) -> usize {
        let Self::List { limit, unique } = self else { return 0 };
        if *unique && list.contains(&value) {
            return 0;
        }
        if list.len() >= *limit {
            missed.list_full += 1;
            return 0;
        }
        let grown = value.len() + 16;
        list.push(value);
        grown
    }

    /// Adds the values of a later state. Returns by how many bytes the state grew.
    pub(crate) fn merge(&self, state: &mut State, other: &State, missed: &mut Missed) -> usize {
        match (state, other) {
            (State::Count(count), State::Count(other)) => *count = count.saturating_add(*other),
            (State::Sum(sum), State::Sum(other)) => sum.merge(other),
            (State::Mean(sum, count), State::Mean(other, more)) => {
                sum.merge(other);
                *count = count.saturating_add(*more);
            }
            (State::Extreme(extreme), State::Extreme(other)) => {
                other.iter().for_each(|number| self.widen(extreme, *number));
            }
            (State::Edge(edge), State::Edge(Some((time, value)))) => {
                let before = edge.as_ref().map_or(0, |(_, value)| value.len());
                let is_wanted = match edge {
                    None => true,
                    Some((known, _)) if matches!(self, Self::First) => time < known,
                    Some((known, _)) => time >= known,
                };
                if is_wanted {
                    *edge = Some((*time, value.clone()));
                    return value.len().saturating_sub(before);
                }
            }
            (State::List(list), State::List(other)) => {
                return other.iter().map(|value| self.append(list, value.clone(), missed)).sum();
            }
            (State::Distinct(sketch), State::Distinct(other)) => {
                let before = sketch.bytes();
                sketch.merge(other);
                return sketch.bytes() - before;
            }
            (State::Quantiles(sketch), State::Quantiles(other)) => {
                let before = sketch.bytes();
                sketch.merge(other);
                return sketch.bytes() - before;
            }
            _ => {}
        }
        0
    }

    /// Whether the result is beyond the range of numbers.
    pub(crate) fn is_out_of_range(state: &State) -> bool {
        matches!(state, State::Sum(sum) if sum.is_out_of_range())
    }

    /// Appends the result as JSON.
    pub(crate) fn write(&self, state: &State, out: &mut Vec<u8>) {
        match state {
            State::Count(count) => write_whole(*count, out),
            State::Sum(sum) => sum.write(out),
            State::Extreme(Some(number)) => number.write(out),
            State::Edge(Some((_, value))) => out.extend_from_slice(value),
            State::Mean(_, 0) | State::Extreme(None) | State::Edge(None) => out.extend_from_slice(b"null"),
            State::Mean(sum, count) => write_float(sum.mean(*count), out),
            State::List(list) => {
                out.push(b'[');
                for (place, value) in list.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(value);
                }
                out.push(b']');
            }
            State::Distinct(sketch) => write_whole(sketch.estimate(), out),
            State::Quantiles(sketch) => self.write_quantiles(sketch, out),
        }
    }

    fn write_quantiles(&self, sketch: &DdSketch, out: &mut Vec<u8>) {
        let Self::Quantiles { at, mapping, .. } = self else { return };
        out.push(b'{');
        for (place, q) in at.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            out.push(b'"');
            out.extend_from_slice(quantile_name(*q).as_bytes());
            out.extend_from_slice(b"\":");
            write_float(sketch.quantile(mapping, *q).unwrap_or(f64::NAN), out);
        }
        out.push(b'}');
    }
}

/// The name of a quantile in the body of an event: `p50` of 0.5, `p99_9` of 0.999.
pub(crate) fn quantile_name(q: f64) -> String {
    // To 10 digits, since 0.999 * 100 is not quite 99.9.
    let percent = format!("{:.10}", q * 100.0);
    format!("p{}", percent.trim_end_matches('0').trim_end_matches('.').replace('.', "_"))
}

fn write_whole(value: u64, out: &mut Vec<u8>) {
    use std::io::Write as _;
    let _ = write!(out, "{value}");
}

/// The value as JSON, if it is not too long.
fn value(given: Given<'_>, missed: &mut Missed) -> Option<Box<[u8]>> {
    let mut out = Vec::new();
    write_value(given.kind, given.text, &mut out);
    if out.len() > MAX_VALUE_BYTES {
        missed.too_long += 1;
        return None;
    }
    Some(out.into())
}

/// Appends a value as JSON.
pub(crate) fn write_value(kind: Kind, text: &[u8], out: &mut Vec<u8>) {
    match kind {
        Kind::String => {
            out.push(b'"');
            json::escape(text, out);
            out.push(b'"');
        }
        Kind::Array | Kind::Object => json::minify(text, out),
        Kind::Missing | Kind::Null => out.extend_from_slice(b"null"),
        Kind::Bool | Kind::Number => out.extend_from_slice(text),
    }
}

/// Snapshots.
impl Function {
    /// Appends the function to a definition.
    pub(crate) fn save(&self, to: &mut Writer) {
        to.number(match self {
            Self::Count => 0,
            Self::Sum => 1,
            Self::Min => 2,
            Self::Max => 3,
            Self::Mean => 4,
            Self::First => 5,
            Self::Last => 6,
            Self::List { .. } => 7,
            Self::Distinct { .. } => 8,
            Self::Quantiles { .. } => 9,
        });
        match self {
            Self::List { limit, unique } => {
                to.size(*limit);
                to.flag(*unique);
            }
            Self::Distinct { precision } => to.number((*precision).into()),
            Self::Quantiles { at, accuracy, .. } => {
                to.float(*accuracy);
                to.size(at.len());
                at.iter().for_each(|q| to.float(*q));
            }
            _ => {}
        }
    }

    /// Takes a function from a definition.
    pub(crate) fn restore(from: &mut Reader<'_>) -> Result<Self, Damaged> {
        Ok(match from.number()? {
            0 => Self::Count,
            1 => Self::Sum,
            2 => Self::Min,
            3 => Self::Max,
            4 => Self::Mean,
            5 => Self::First,
            6 => Self::Last,
            7 => Self::List { limit: usize::try_from(from.number()?).map_err(|_| Damaged)?, unique: from.flag()? },
            8 => Self::Distinct { precision: u8::try_from(from.number()?).map_err(|_| Damaged)? },
            9 => {
                let accuracy = from.float()?;
                let size = from.size(8)?;
                let at = (0..size).map(|_| from.float()).collect::<Result<_, _>>()?;
                Self::quantiles(at, accuracy).ok_or(Damaged)?
            }
            _ => return Err(Damaged),
        })
    }

    /// Quantiles with this accuracy, if it is in its range.
    pub(crate) fn quantiles(at: Vec<f64>, accuracy: f64) -> Option<Self> {
        let fits = (0.001..=0.2).contains(&accuracy) && at.iter().all(|q| (0.0..=1.0).contains(q));
        fits.then(|| Self::Quantiles { at, accuracy, mapping: Mapping::new(accuracy) })
    }

    /// Appends a state of this function to a snapshot.
    pub(crate) fn save_state(state: &State, to: &mut Writer) {
        match state {
            State::Count(count) => to.number(*count),
            State::Sum(sum) => sum.save(to),
            State::Mean(sum, count) => {
                sum.save(to);
                to.number(*count);
            }
            State::Extreme(number) => {
                to.flag(number.is_some());
                number.iter().for_each(|number| number.save(to));
            }
            State::Edge(edge) => {
                to.time(edge.as_ref().map(|edge| edge.0));
                edge.iter().for_each(|(_, value)| to.bytes(value));
            }
            State::List(list) => {
                to.size(list.len());
                list.iter().for_each(|value| to.bytes(value));
            }
            State::Distinct(sketch) => sketch.save(to),
            State::Quantiles(sketch) => sketch.save(to),
        }
    }

    /// Takes a state of this function from a snapshot.
    pub(crate) fn restore_state(&self, from: &mut Reader<'_>) -> Result<State, Damaged> {
        Ok(match self {
            Self::Count => State::Count(from.number()?),
            Self::Sum => State::Sum(Sum::restore(from)?),
            Self::Mean => State::Mean(Sum::restore(from)?, from.number()?),
            Self::Min | Self::Max => State::Extreme(if from.flag()? { Some(Number::restore(from)?) } else { None }),
            Self::First | Self::Last => State::Edge(match from.time()? {
                Some(time) => Some((time, json_value(from)?)),
                None => None,
            }),
            Self::List { limit, .. } => {
                let size = from.size(1)?;
                if size > *limit {
                    return Err(Damaged);
                }
                State::List((0..size).map(|_| json_value(from)).collect::<Result<_, _>>()?)
            }
            Self::Distinct { precision } => State::Distinct(Hll::restore(*precision, from)?),
            Self::Quantiles { .. } => State::Quantiles(Box::new(DdSketch::restore(from)?)),
        })
    }

    /// Bytes that a state takes, without [`start_bytes`](Self::start_bytes).
    pub(crate) fn grown_bytes(state: &State) -> usize {
        match state {
            State::Edge(Some((_, value))) => value.len(),
            State::List(list) => list.iter().map(|value| value.len() + 16).sum(),
            State::Distinct(sketch) => sketch.bytes(),
            State::Quantiles(sketch) => sketch.bytes().saturating_sub(24),
            _ => 0,
        }
    }
}

/// Takes a JSON value, which must be one: it becomes a part of a body.
fn json_value(from: &mut Reader<'_>) -> Result<Box<[u8]>, Damaged> {
    let bytes = from.bytes()?;
    match json::check(bytes, 512) {
        Ok(_) if bytes.len() <= MAX_VALUE_BYTES => Ok(bytes.into()),
        _ => Err(Damaged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_have_names_that_are_fields() {
        let names = [0.5, 0.9, 0.99, 0.999, 0.0, 1.0, 0.025].map(quantile_name);
        assert_eq!(names, ["p50", "p90", "p99", "p99_9", "p0", "p100", "p2_5"]);
    }
}
