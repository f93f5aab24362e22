//! A metric and its series.

use hashbrown::HashTable;
use wattle_node::capabilities::metrics::{self, Counter, Gauge, Histogram};
use wattle_node::json;
use wattle_sketch::{Number, within_range};
use wattle_snapshot::{Damaged, EventId, Reader, Writer, hash};

use crate::value::{Kind, Value};

/// Bytes of the value of a dimension at most; longer ones are cut.
pub(crate) const MAX_DIMENSION_BYTES: usize = 128;

/// Ends the value of a dimension in a key. It is not a byte of UTF-8.
pub(crate) const END: u8 = 0xff;

/// Bytes that a series takes without its dimensions and its value: in memory, or as an event.
const SERIES_BYTES: usize = 200;

/// Bytes of an exemplar at most, without its attributes.
const EXEMPLAR_BYTES: usize = 96;

/// The value of each dimension of events beyond a limit.
pub(crate) const OTHER: &[u8] = b"_other";

/// What a metric computes.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) description: String,
    pub(crate) kind: Kind,
    pub(crate) is_cumulative: bool,
    /// Names of the dimensions.
    pub(crate) dimensions: Vec<String>,
    /// All of it, with fields and conditions, as bytes.
    pub(crate) bytes: Vec<u8>,
    /// The id of a data point, without its dimensions and its time.
    pub(crate) id: EventId,
}

impl Spec {
    /// Completes a spec; `sources` are all texts that decide which events count, such as fields and conditions.
    pub(crate) fn with_sources(mut self, sources: &[String]) -> Self {
        let mut writer = Writer::new();
        for text in [&self.name, &self.unit, &self.description] {
            writer.bytes(text.as_bytes());
        }
        self.kind.save(&mut writer);
        writer.flag(self.is_cumulative);
        for texts in [&self.dimensions, sources] {
            writer.size(texts.len());
            texts.iter().for_each(|text| writer.bytes(text.as_bytes()));
        }
        self.bytes = writer.finish();
        self.id = EventId::new("to-metric").with(&self.bytes);
        self
    }

    fn restore(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut from = Reader::new(bytes)?;
        let mut text = || Ok(from.text()?.to_owned());
        let (name, unit, description) = (text()?, text()?, text()?);
        let kind = Kind::restore(&mut from)?;
        let is_cumulative = from.flag()?;
        let size = from.size(1)?;
        let dimensions = (0..size).map(|_| Ok(from.text()?.to_owned())).collect::<Result<_, Damaged>>()?;
        for _ in 0..from.size(1)? {
            from.bytes()?;
        }
        from.end()?;
        let id = EventId::new("to-metric").with(bytes);
        Ok(Self { name, unit, description, kind, is_cumulative, dimensions, bytes: bytes.to_vec(), id })
    }
}

/// A sample event of a data point.
#[derive(Clone, Debug)]
pub(crate) struct Exemplar {
    pub(crate) value: Number,
    /// In nanoseconds since the epoch.
    pub(crate) time: i64,
    /// A JSON object.
    pub(crate) attributes: Box<[u8]>,
}

/// A series.
#[derive(Debug)]
pub(crate) struct Series {
    hash: u64,
    /// The values of the dimensions, each with [`END`] after it; empty for a dimension that the series lacks.
    pub(crate) key: Box<[u8]>,
    pub(crate) value: Value,
    /// Begin of the first interval with values.
    pub(crate) start: i64,
    /// Time of the last value.
    pub(crate) last: i64,
    /// Whether there are values since the last data point.
    pub(crate) is_changed: bool,
    pub(crate) exemplars: Vec<Exemplar>,
    pub(crate) exposed: Exposed,
}

/// What is on `/metrics`.
#[derive(Debug, Default)]
pub(crate) struct Exposed {
    handle: Option<Handle>,
    /// Of a counter, what is not on `/metrics` yet, which has whole numbers; of a sum, the total.
    sum: f64,
    /// Of a gauge, the last value.
    last: f64,
    /// Of a histogram, the values of the batch.
    values: Vec<f64>,
    is_touched: bool,
}

#[derive(Clone, Copy, Debug)]
enum Handle {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

/// The series of a metric, found by their keys.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) spec: Spec,
    places: HashTable<u32>,
    pub(crate) series: Vec<Series>,
    /// Name and labels on `/metrics`.
    pub(crate) exposed_as: Option<(String, Vec<String>)>,
    touched: Vec<usize>,
    /// Bytes of all series.
    pub(crate) bytes: usize,
}

impl Metric {
    pub(crate) fn new(spec: Spec, exposed_as: Option<(String, Vec<String>)>) -> Self {
        Self { spec, places: HashTable::new(), series: Vec::new(), exposed_as, touched: Vec::new(), bytes: 0 }
    }

    /// Bytes that a series takes at most.
    pub(crate) fn series_bytes(&self, key: &[u8], max_exemplars: usize) -> usize {
        let spec = &self.spec;
        let names: usize = spec.dimensions.iter().map(|name| name.len() + 6).sum();
        let texts = spec.name.len() + spec.unit.len() + spec.description.len();
        let exemplars = max_exemplars * (EXEMPLAR_BYTES + 4 * MAX_DIMENSION_BYTES);
        SERIES_BYTES + names + texts + key.len() + spec.kind.max_bytes() + exemplars
    }

    pub(crate) fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let is_it = |place: &u32| self.series.get(*place as usize).is_some_and(|series| *series.key == *key);
        self.places.find(hash, is_it).map(|place| *place as usize)
    }

    /// Adds a series that is not there yet. Returns its place.
    pub(crate) fn insert(&mut self, key: &[u8], start: i64, max_exemplars: usize) -> usize {
        let bytes = self.series_bytes(key, max_exemplars);
        self.push(
            Series {
                hash: hash(0, key),
                key: key.into(),
                value: self.spec.kind.start(),
                start,
                last: start,
                is_changed: false,
                exemplars: Vec::new(),
                exposed: Exposed::default(),
            },
            bytes,
        )
    }

    fn push(&mut self, series: Series, bytes: usize) -> usize {
        let place = self.series.len();
        let number = u32::try_from(place).unwrap_or(u32::MAX);
        let all = &self.series;
        self.places.insert_unique(series.hash, number, |known| {
            all.get(*known as usize).map_or(series.hash, |series| series.hash)
        });
        self.series.push(series);
        self.bytes += bytes;
        place
    }

    /// Adds a number to the series at a place.
    pub(crate) fn add(&mut self, place: usize, number: Number, now: i64) -> Option<&mut Series> {
        let series = self.series.get_mut(place)?;
        self.spec.kind.add(&mut series.value, number, now);
        series.last = now;
        series.is_changed = true;
        if self.exposed_as.is_some() {
            let exposed = &mut series.exposed;
            match self.spec.kind {
                Kind::Counter | Kind::Sum => exposed.sum = within_range(exposed.sum + number.as_f64()),
                Kind::Gauge => exposed.last = number.as_f64(),
                Kind::Histogram { .. } | Kind::Exponential { .. } => exposed.values.push(number.as_f64()),
            }
            if !std::mem::replace(&mut exposed.is_touched, true) {
                self.touched.push(place);
            }
        }
        Some(series)
    }

    /// Brings what the batch changed to `/metrics`.
    pub(crate) fn expose(&mut self) {
        let Some((name, labels)) = &self.exposed_as else { return };
        for place in self.touched.drain(..) {
            let Some(series) = self.series.get_mut(place) else { continue };
            series.exposed.is_touched = false;
            let handle = *series.exposed.handle.get_or_insert_with(|| {
                let values = series.key.split(|byte| *byte == END).map(String::from_utf8_lossy);
                let values: Vec<_> = labels.iter().zip(values).collect();
                let labels: Vec<(&str, &str)> = values.iter().map(|(name, value)| (name.as_str(), &**value)).collect();
                match &self.spec.kind {
                    Kind::Counter => Handle::Counter(metrics::counter(name, &labels)),
                    Kind::Sum | Kind::Gauge => Handle::Gauge(metrics::gauge(name, &labels)),
                    Kind::Histogram { bounds } => Handle::Histogram(metrics::histogram(name, &labels, bounds)),
                    Kind::Exponential { .. } => Handle::Histogram(metrics::histogram(name, &labels, &[])),
                }
            });
            let exposed = &mut series.exposed;
            match handle {
                Handle::Counter(counter) => {
                    let whole = exposed.sum.floor();
                    exposed.sum -= whole;
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, not negative")]
                    metrics::add(counter, whole as u64);
                }
                Handle::Gauge(gauge) if self.spec.kind == Kind::Sum => metrics::set(gauge, exposed.sum),
                Handle::Gauge(gauge) => metrics::set(gauge, exposed.last),
                Handle::Histogram(histogram) => {
                    metrics::observe(histogram, &exposed.values);
                    exposed.values.clear();
                }
            }
        }
    }

    /// Removes the series for which this does not hold.
    pub(crate) fn retain(&mut self, max_exemplars: usize, mut is_kept: impl FnMut(&Series) -> bool) {
        if self.series.iter().all(&mut is_kept) {
            return;
        }
        let all = std::mem::take(&mut self.series);
        self.places.clear();
        self.bytes = 0;
        for series in all.into_iter().filter(is_kept) {
            let bytes = self.series_bytes(&series.key, max_exemplars);
            self.push(series, bytes);
        }
    }
}

/// Snapshots.
impl Metric {
    pub(crate) fn save(&self, to: &mut Writer) {
        to.bytes(&self.spec.bytes);
        to.size(self.series.len());
        for series in &self.series {
            to.bytes(&series.key);
            to.signed(series.start);
            to.signed(series.last);
            to.flag(series.is_changed);
            to.word(series.exposed.sum.to_bits());
            series.value.save(to);
            to.size(series.exemplars.len());
            for exemplar in &series.exemplars {
                exemplar.value.save(to);
                to.signed(exemplar.time);
                to.bytes(&exemplar.attributes);
            }
        }
    }

    /// Takes a metric from a snapshot.
    pub(crate) fn restore(from: &mut Reader<'_>) -> Result<Self, Damaged> {
        let mut metric = Self::new(Spec::restore(from.bytes()?)?, None);
        for _ in 0..from.size(1)? {
            let key = from.bytes()?;
            let dimensions = key.iter().filter(|byte| **byte == END).count();
            let is_text = key.split(|byte| *byte == END).all(|value| std::str::from_utf8(value).is_ok());
            let is_whole = key.last().is_none_or(|byte| *byte == END);
            if dimensions != metric.spec.dimensions.len() || !is_text || !is_whole {
                return Err(Damaged);
            }
            let hash = hash(0, key);
            if metric.find(hash, key).is_some() {
                return Err(Damaged);
            }
            let (start, last, is_changed) = (from.signed()?, from.signed()?, from.flag()?);
            let exposed = Exposed { sum: f64::from_bits(from.word()?), ..Exposed::default() };
            let value = metric.spec.kind.restore_value(from)?;
            let mut exemplars = Vec::new();
            for _ in 0..from.size(3)? {
                let (value, time) = (Number::restore(from)?, from.signed()?);
                let attributes = from.bytes()?;
                if json::check(attributes, 8) != Ok(json::Kind::Object) {
                    return Err(Damaged);
                }
                exemplars.push(Exemplar { value, time, attributes: attributes.into() });
            }
            let bytes = metric.series_bytes(key, exemplars.len());
            let series = Series { hash, key: key.into(), value, start, last, is_changed, exemplars, exposed };
            metric.push(series, bytes);
        }
        Ok(metric)
    }

    /// Adds the series of another instance.
    pub(crate) fn merge(&mut self, other: Self, max_exemplars: usize) {
        for series in other.series {
            match self.find(series.hash, &series.key).and_then(|place| self.series.get_mut(place)) {
                None => {
                    let bytes = self.series_bytes(&series.key, max_exemplars);
                    self.push(series, bytes);
                }
                Some(known) => {
                    known.value.merge(&series.value);
                    known.start = known.start.min(series.start);
                    known.last = known.last.max(series.last);
                    known.is_changed |= series.is_changed;
                    known.exposed.sum = within_range(known.exposed.sum + series.exposed.sum);
                    for exemplar in series.exemplars {
                        keep(&mut known.exemplars, max_exemplars, exemplar);
                    }
                }
            }
        }
    }
}

/// Whether an exemplar with this value would be kept.
pub(crate) fn is_kept(exemplars: &[Exemplar], max: usize, value: Number) -> bool {
    exemplars.len() < max || exemplars.last().is_some_and(|least| value.compare(least.value).is_gt())
}

/// Keeps the exemplars with the greatest values, of equal ones the first.
pub(crate) fn keep(exemplars: &mut Vec<Exemplar>, max: usize, exemplar: Exemplar) {
    let place = exemplars.partition_point(|known| known.value.compare(exemplar.value).is_ge());
    exemplars.insert(place, exemplar);
    exemplars.truncate(max);
}
