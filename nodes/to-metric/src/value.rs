//! The value of a series since its last data point, or since it began.

use wattle_sketch::{Buckets, ExponentialHistogram, Number, Sum, write_float};
use wattle_snapshot::{Damaged, Reader, Writer};

/// The type of a metric, with its options.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Counter,
    Sum,
    Gauge,
    Histogram { bounds: Vec<f64> },
    Exponential { max_size: usize },
}

/// The value of a series.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Sum(Sum),
    /// The last number, and when it came.
    Gauge(Option<(i64, Number)>),
    Histogram(Box<Histogram>),
}

/// A histogram of either type.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    sum: Sum,
    range: Option<(f64, f64)>,
    buckets: AllBuckets,
}

#[derive(Clone, Debug)]
enum AllBuckets {
    Explicit(Vec<u64>),
    Exponential(ExponentialHistogram),
}

impl Kind {
    /// The value of a series without events.
    pub(crate) fn start(&self) -> Value {
        let buckets = match self {
            Self::Counter | Self::Sum => return Value::Sum(Sum::default()),
            Self::Gauge => return Value::Gauge(None),
            Self::Histogram { bounds } => AllBuckets::Explicit(vec![0; bounds.len() + 1]),
            Self::Exponential { max_size } => AllBuckets::Exponential(ExponentialHistogram::new(*max_size)),
        };
        Value::Histogram(Box::new(Histogram { sum: Sum::default(), range: None, buckets }))
    }

    /// Bytes that a value takes at most, in memory, in a snapshot and in a data point.
    pub(crate) fn max_bytes(&self) -> usize {
        match self {
            Self::Counter | Self::Sum | Self::Gauge => 64,
            Self::Histogram { bounds } => 160 + (bounds.len() + 1) * 16,
            Self::Exponential { max_size } => 160 + ExponentialHistogram::max_bytes(*max_size),
        }
    }

    /// Adds a number that came at this time.
    pub(crate) fn add(&self, value: &mut Value, number: Number, time: i64) {
        match value {
            Value::Sum(sum) => sum.add(number),
            Value::Gauge(last) => *last = Some((time, number)),
            Value::Histogram(histogram) => {
                let float = number.as_f64();
                histogram.sum.add(number);
                histogram.widen(float, float);
                match (&mut histogram.buckets, self) {
                    (AllBuckets::Explicit(counts), Self::Histogram { bounds }) => {
                        let place = bounds.partition_point(|bound| *bound < float);
                        if let Some(count) = counts.get_mut(place) {
                            *count = count.saturating_add(1);
                        }
                    }
                    (AllBuckets::Exponential(buckets), _) => buckets.add(float),
                    (AllBuckets::Explicit(_), _) => {}
                }
            }
        }
    }

    /// Appends the parts of a data point that depend on its type, each with a comma before it.
    pub(crate) fn write(&self, value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::Sum(sum) => {
                out.extend_from_slice(b",\"value\":");
                sum.write(out);
            }
            Value::Gauge(last) => {
                out.extend_from_slice(b",\"value\":");
                match last {
                    Some((_, number)) => number.write(out),
                    None => out.extend_from_slice(b"null"),
                }
            }
            Value::Histogram(histogram) => self.write_histogram(histogram, out),
        }
    }

    fn write_histogram(&self, histogram: &Histogram, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"count\":");
        write_whole(histogram.count(), out);
        out.extend_from_slice(b",\"sum\":");
        histogram.sum.write(out);
        if let Some((min, max)) = histogram.range {
            out.extend_from_slice(b",\"min\":");
            write_float(min, out);
            out.extend_from_slice(b",\"max\":");
            write_float(max, out);
        }
        match (&histogram.buckets, self) {
            (AllBuckets::Explicit(counts), Self::Histogram { bounds }) => {
                out.extend_from_slice(b",\"bounds\":");
                write_list(bounds, |bound, out| write_float(*bound, out), out);
                out.extend_from_slice(b",\"bucket_counts\":");
                write_list(counts, |count, out| write_whole(*count, out), out);
            }
            (AllBuckets::Exponential(buckets), _) => {
                use std::io::Write as _;
                let _ = write!(out, ",\"scale\":{},\"zero_count\":{}", buckets.scale(), buckets.zeros);
                for (name, Buckets { offset, counts }) in
                    [("positive", &buckets.positive), ("negative", &buckets.negative)]
                {
                    let _ = write!(out, ",\"{name}\":{{\"offset\":{offset},\"bucket_counts\":");
                    write_list(counts, |count, out| write_whole(*count, out), out);
                    out.push(b'}');
                }
            }
            (AllBuckets::Explicit(_), _) => {}
        }
    }
}

impl Histogram {
    fn widen(&mut self, low: f64, high: f64) {
        let (lowest, highest) = self.range.unwrap_or((low, high));
        self.range = Some((lowest.min(low), highest.max(high)));
    }

    fn count(&self) -> u64 {
        match &self.buckets {
            AllBuckets::Explicit(counts) => counts.iter().fold(0, |sum, count| sum.saturating_add(*count)),
            AllBuckets::Exponential(buckets) => buckets.count(),
        }
    }
}

impl Value {
    /// Whether its sum is beyond the range of numbers.
    pub(crate) fn is_out_of_range(&self) -> bool {
        match self {
            Self::Sum(sum) => sum.is_out_of_range(),
            Self::Histogram(histogram) => histogram.sum.is_out_of_range(),
            Self::Gauge(_) => false,
        }
    }

    /// Adds the value of another series with the same dimensions.
    pub(crate) fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Sum(sum), Self::Sum(other)) => sum.merge(other),
            (Self::Gauge(last), Self::Gauge(Some((time, number)))) if last.is_none_or(|(known, _)| known < *time) => {
                *last = Some((*time, *number));
            }
            (Self::Histogram(histogram), Self::Histogram(other)) => {
                histogram.sum.merge(&other.sum);
                if let Some((low, high)) = other.range {
                    histogram.widen(low, high);
                }
                match (&mut histogram.buckets, &other.buckets) {
                    (AllBuckets::Explicit(counts), AllBuckets::Explicit(others)) => {
                        for (count, other) in counts.iter_mut().zip(others) {
                            *count = count.saturating_add(*other);
                        }
                    }
                    (AllBuckets::Exponential(buckets), AllBuckets::Exponential(others)) => buckets.merge(others),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

fn write_whole(value: u64, out: &mut Vec<u8>) {
    use std::io::Write as _;
    let _ = write!(out, "{value}");
}

/// Appends a JSON array.
pub(crate) fn write_list<T>(list: &[T], write: impl Fn(&T, &mut Vec<u8>), out: &mut Vec<u8>) {
    out.push(b'[');
    for (place, value) in list.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write(value, out);
    }
    out.push(b']');
}

/// Snapshots.
impl Kind {
    pub(crate) fn save(&self, to: &mut Writer) {
        match self {
            Self::Counter => to.number(0),
            Self::Sum => to.number(1),
            Self::Gauge => to.number(2),
            Self::Histogram { bounds } => {
                to.number(3);
                to.size(bounds.len());
                bounds.iter().for_each(|bound| to.float(*bound));
            }
            Self::Exponential { max_size } => {
                to.number(4);
                to.size(*max_size);
            }
        }
    }

    pub(crate) fn restore(from: &mut Reader<'_>) -> Result<Self, Damaged> {
        Ok(match from.number()? {
            0 => Self::Counter,
            1 => Self::Sum,
            2 => Self::Gauge,
            3 => {
                let size = from.size(8)?;
                Self::Histogram { bounds: (0..size).map(|_| from.float()).collect::<Result<_, _>>()? }
            }
            4 => Self::Exponential { max_size: usize::try_from(from.number()?).map_err(|_| Damaged)? },
            _ => return Err(Damaged),
        })
    }

    pub(crate) fn restore_value(&self, from: &mut Reader<'_>) -> Result<Value, Damaged> {
        let mut value = self.start();
        match &mut value {
            Value::Sum(sum) => *sum = Sum::restore(from)?,
            Value::Gauge(last) => {
                if let Some(time) = from.time()? {
                    *last = Some((time, Number::restore(from)?));
                }
            }
            Value::Histogram(histogram) => {
                histogram.sum = Sum::restore(from)?;
                histogram.range = if from.flag()? { Some((from.float()?, from.float()?)) } else { None };
                match (&mut histogram.buckets, self) {
                    (AllBuckets::Exponential(buckets), Self::Exponential { max_size }) => {
                        *buckets = ExponentialHistogram::restore(*max_size, from)?;
                    }
                    (AllBuckets::Explicit(counts), _) => {
                        counts.iter_mut().try_for_each(|count| from.number().map(|number| *count = number))?;
                    }
                    (AllBuckets::Exponential(_), _) => return Err(Damaged),
                }
            }
        }
        Ok(value)
    }
}

impl Value {
    pub(crate) fn save(&self, to: &mut Writer) {
        match self {
            Self::Sum(sum) => sum.save(to),
            Self::Gauge(last) => {
                to.time(last.map(|last| last.0));
                last.iter().for_each(|(_, number)| number.save(to));
            }
            Self::Histogram(histogram) => {
                histogram.sum.save(to);
                to.flag(histogram.range.is_some());
                if let Some((low, high)) = histogram.range {
                    to.float(low);
                    to.float(high);
                }
                match &histogram.buckets {
                    AllBuckets::Explicit(counts) => counts.iter().for_each(|count| to.number(*count)),
                    AllBuckets::Exponential(buckets) => buckets.save(to),
                }
            }
        }
    }
}
