//! The registry: the latest value of every series, by family.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::merge::added;
use super::record::{Exemplar, Record};
use crate::prometheus::{MAX_BUCKETS, Value};

/// Bytes of a sample beside its name and labels: its value, the label `le` and its time.
const SAMPLE_BYTES: usize = 64;

/// Bytes of a series or a family beside its texts and numbers.
const ENTRY_BYTES: usize = 256;

/// Minimum time between two searches for expired series that a full registry causes.
const EXPIRY_PAUSE: Duration = Duration::from_secs(1);

/// Why a record is not exposed. The texts have no contents of the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RefusedRecord {
    #[error("the record has a format that this version of the agent does not know")]
    Format,
    #[error("the value of a counter with the temporality `delta` is negative or not a number")]
    Decrease,
    #[error("another metric has this name with the type `{0}`; rename one of them")]
    Type(&'static str),
    #[error("the samples of another metric have the name of this one; rename one of them")]
    Name,
    #[error("the sink has `max_series` series; remove labels with many values, or raise `max_series`")]
    Series,
    #[error("the series of the sink have `max_bytes`; remove labels with many values, or raise `max_bytes`")]
    Bytes,
}

/// What a registry may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) max_series: usize,
    pub(super) max_bytes: usize,
    /// How long a series without updates stays.
    pub(super) expire_after: Duration,
}

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Summary,
}

impl Kind {
    fn of(value: &Value) -> Self {
        match value {
            Value::Counter(_) => Self::Counter,
            Value::Gauge(_) => Self::Gauge,
            Value::Histogram(_) | Value::Exponential(_) => Self::Histogram,
            Value::Summary(_) => Self::Summary,
        }
    }

    /// The name in both formats.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }

    /// The names of the family and its samples. Two families with a name in common would be one for a reader.
    fn names(self, name: &str) -> Vec<String> {
        let suffixes: &[&str] = match self {
            Self::Counter => {
                // OpenMetrics has the name of the family without `_total`.
                let base = name.strip_suffix("_total").unwrap_or(name);
                return vec![base.to_owned(), name.to_owned()];
            }
            Self::Gauge => &[""],
            Self::Histogram => &["", "_bucket", "_sum", "_count"],
            Self::Summary => &["", "_sum", "_count"],
        };
        suffixes.iter().map(|suffix| format!("{name}{suffix}")).collect()
    }
}

/// The state of a series. Never changed once it is there, so that a scrape can read it without a lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) value: Value,
    /// Milliseconds since 1970.
    pub(super) time: i64,
    pub(super) exemplars: Vec<Exemplar>,
}

/// What a series costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cost {
    /// Number of samples, since each is a series for Prometheus.
    series: usize,
    /// The larger part of its memory, and of its text in a response.
    bytes: usize,
}

impl Cost {
    fn of(name: &str, labels: &str, state: &State) -> Self {
        let (series, numbers) = match &state.value {
            Value::Counter(_) | Value::Gauge(_) => (1, 1),
            Value::Histogram(histogram) => (histogram.bounds.len() + 3, 2 * histogram.counts.len()),
            Value::Exponential(exponential) => {
                let lengths = [exponential.positive.counts.len(), exponential.negative.counts.len()];
                let buckets: usize = lengths.iter().map(|length| (*length).min(MAX_BUCKETS)).sum();
                (buckets + 4, lengths.iter().sum())
            }
            Value::Summary(summary) => (summary.quantiles.len() + 2, 2 * summary.quantiles.len()),
        };
        let exemplars: usize = state.exemplars.iter().map(|exemplar| exemplar.labels.len() + SAMPLE_BYTES).sum();
        let text = series.saturating_mul(name.len() + labels.len() + SAMPLE_BYTES);
        let bytes =
            text.saturating_add(numbers.saturating_mul(size_of::<u64>())).saturating_add(exemplars + ENTRY_BYTES);
        Self { series, bytes }
    }
}

#[derive(Debug)]
struct Entry {
    state: Arc<State>,
    updated: Instant,
    cost: Cost,
}

#[derive(Debug)]
struct Family {
    kind: Kind,
    unit: Arc<str>,
    help: Arc<str>,
    bytes: usize,
    /// By their labels as text.
    series: BTreeMap<Arc<str>, Entry>,
}

/// A family at one moment.
#[derive(Debug)]
pub(super) struct FamilyView {
    pub(super) name: Arc<str>,
    pub(super) kind: Kind,
    pub(super) unit: Arc<str>,
    pub(super) help: Arc<str>,
    /// Labels as text, without braces, and the state of each series.
    pub(super) series: Vec<(Arc<str>, Arc<State>)>,
}

/// The latest value of every series.
#[derive(Debug, Default)]
pub(super) struct Registry {
    families: BTreeMap<Arc<str>, Family>,
    /// Every name of samples and families, with the family that has it.
    names: HashMap<String, Arc<str>>,
    series: usize,
    bytes: usize,
    expired_at: Option<Instant>,
}

impl Registry {
    /// Takes a record over.
    ///
    /// # Errors
    ///
    /// The record has no room, or contradicts what is there. Then the registry has not changed.
    pub(super) fn apply(&mut self, record: Record, limits: &Limits, now: Instant) -> Result<(), RefusedRecord> {
        let Record { name, unit, help, labels, is_delta, time, exemplars, value } = record;
        let value = value.ok_or(RefusedRecord::Format)?.read();
        if is_delta && matches!(value, Value::Counter(change) if change.is_nan() || change < 0.0) {
            return Err(RefusedRecord::Decrease);
        }
        let kind = Kind::of(&value);
        self.check_names(&name, kind)?;
        let known = self.families.get(&*name).and_then(|family| family.series.get(&*labels));
        if !is_delta && known.is_some_and(|known| known.state.time > time) {
            // A later value is there. It stays the last update, so that one time that is too late does not stay for ever.
            return Ok(());
        }
        let state = match known {
            Some(Entry { state: before, .. }) => State {
                value: if is_delta { added(&before.value, value) } else { value },
                time: before.time.max(time),
                exemplars: if exemplars.is_empty() { before.exemplars.clone() } else { exemplars },
            },
            None => State { value, time, exemplars },
        };
        let cost = Cost::of(&name, &labels, &state);
        self.make_room(&name, &labels, &help, cost, limits, now)?;
        self.insert(name, (kind, unit, help), labels, Entry { state: Arc::new(state), updated: now, cost });
        Ok(())
    }

    fn check_names(&self, name: &str, kind: Kind) -> Result<(), RefusedRecord> {
        match self.families.get(name) {
            Some(family) if family.kind == kind => Ok(()),
            Some(family) => Err(RefusedRecord::Type(family.kind.name())),
            None if kind.names(name).iter().any(|name| self.names.contains_key(name)) => Err(RefusedRecord::Name),
            None => Ok(()),
        }
    }

    /// Makes room for a series. Expired ones leave if they have the room.
    fn make_room(
        &mut self,
        name: &str,
        labels: &str,
        help: &str,
        cost: Cost,
        limits: &Limits,
        now: Instant,
    ) -> Result<(), RefusedRecord> {
        let result = self.has_room(name, labels, help, cost, limits);
        if result.is_err() && self.expired_at.is_none_or(|last| now.duration_since(last) >= EXPIRY_PAUSE) {
            self.expire(limits.expire_after, now);
            return self.has_room(name, labels, help, cost, limits);
        }
        result
    }

    fn has_room(&self, name: &str, labels: &str, help: &str, cost: Cost, limits: &Limits) -> Result<(), RefusedRecord> {
        let family = self.families.get(name);
        let before = family.and_then(|family| family.series.get(labels)).map(|entry| entry.cost).unwrap_or_default();
        let family_bytes = if family.is_some() { 0 } else { family_bytes(name, help) };
        let series = self.series.saturating_sub(before.series).saturating_add(cost.series);
        let bytes = self.bytes.saturating_sub(before.bytes).saturating_add(cost.bytes).saturating_add(family_bytes);
        // A series that does not grow keeps its room when a reload has lowered the limits.
        if series > limits.max_series && cost.series > before.series {
            return Err(RefusedRecord::Series);
        }
        if bytes > limits.max_bytes && cost.bytes > before.bytes {
            return Err(RefusedRecord::Bytes);
        }
        Ok(())
    }

    fn insert(&mut self, name: String, (kind, unit, help): (Kind, String, String), labels: String, entry: Entry) {
        if !self.families.contains_key(&*name) {
            let key: Arc<str> = name.as_str().into();
            self.names.extend(kind.names(&name).into_iter().map(|name| (name, key.clone())));
            let bytes = family_bytes(&name, &help);
            self.bytes += bytes;
            let family = Family { kind, unit: unit.into(), help: help.into(), bytes, series: BTreeMap::new() };
            self.families.insert(key, family);
        }
        let Some(family) = self.families.get_mut(&*name) else { return };
        self.series += entry.cost.series;
        self.bytes += entry.cost.bytes;
        let before = match family.series.get_mut(&*labels) {
            Some(known) => Some(std::mem::replace(known, entry)),
            None => family.series.insert(labels.into(), entry),
        };
        if let Some(before) = before {
            self.series = self.series.saturating_sub(before.cost.series);
            self.bytes = self.bytes.saturating_sub(before.cost.bytes);
        }
    }

    /// Removes series that had no update for longer than this.
    pub(super) fn expire(&mut self, after: Duration, now: Instant) {
        self.expired_at = Some(now);
        let (mut series, mut bytes) = (0, 0);
        for family in self.families.values_mut() {
            family.series.retain(|_, entry| {
                let stays = now.duration_since(entry.updated) <= after;
                if !stays {
                    series += entry.cost.series;
                    bytes += entry.cost.bytes;
                }
                stays
            });
        }
        let names = &mut self.names;
        self.families.retain(|name, family| {
            let stays = !family.series.is_empty();
            if !stays {
                bytes += family.bytes;
                family.kind.names(name).iter().for_each(|name| _ = names.remove(name));
            }
            stays
        });
        self.series = self.series.saturating_sub(series);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// All families by name, and their series by labels, without expired ones. Copies references only.
    pub(super) fn view(&mut self, expire_after: Duration, now: Instant) -> Vec<FamilyView> {
        self.expire(expire_after, now);
        let view = |(name, family): (&Arc<str>, &Family)| FamilyView {
            name: name.clone(),
            kind: family.kind,
            unit: family.unit.clone(),
            help: family.help.clone(),
            series: family.series.iter().map(|(labels, entry)| (labels.clone(), entry.state.clone())).collect(),
        };
        self.families.iter().map(view).collect()
    }
}

fn family_bytes(name: &str, help: &str) -> usize {
    // The name is in the lines of type and help, and in the table of names.
    4 * name.len() + help.len() + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prometheus::{Histogram, Value};
    use crate::prometheus_exporter::record;

    const LIMITS: Limits = Limits { max_series: 10, max_bytes: 1 << 20, expire_after: Duration::from_secs(300) };

    fn record(name: &str, labels: &str, time: i64, value: Value) -> Record {
        let value = Some(record::Value::of(value));
        Record { name: name.to_owned(), labels: labels.to_owned(), time, value, ..Record::default() }
    }

    fn delta(name: &str, time: i64, value: f64) -> Record {
        Record { is_delta: true, ..record(name, "", time, Value::Counter(value)) }
    }

    /// The values of numbers, with their names and labels.
    fn values(registry: &mut Registry, now: Instant) -> Vec<(String, f64, i64)> {
        let views = registry.view(LIMITS.expire_after, now);
        let mut out = Vec::new();
        for FamilyView { name, series, .. } in views {
            for (labels, state) in series {
                let (Value::Counter(value) | Value::Gauge(value)) = state.value else { continue };
                out.push((format!("{name}{{{labels}}}"), value, state.time));
            }
        }
        out
    }

    fn counts_are_right(registry: &Registry) {
        let entries = || registry.families.values().flat_map(|family| family.series.values());
        let of_families: usize = registry.families.values().map(|family| family.bytes).sum();
        assert_eq!(registry.series, entries().map(|entry| entry.cost.series).sum::<usize>());
        assert_eq!(registry.bytes, entries().map(|entry| entry.cost.bytes).sum::<usize>() + of_families);
        let names: usize = registry.families.iter().map(|(name, family)| family.kind.names(name).len()).sum();
        assert_eq!(registry.names.len(), names);
    }

    #[tokio::test(start_paused = true)]
    async fn the_value_with_the_latest_time_stays() {
        let (mut registry, now) = (Registry::default(), Instant::now());
        for (time, value) in [(2000, 1.0), (1000, 7.0), (2000, 2.0)] {
            registry.apply(record("g", "a=\"1\"", time, Value::Gauge(value)), &LIMITS, now).unwrap();
        }
        assert_eq!(values(&mut registry, now), [("g{a=\"1\"}".to_owned(), 2.0, 2000)]);
        counts_are_right(&registry);
    }

    #[tokio::test(start_paused = true)]
    async fn changes_add_up_whatever_their_order_and_counters_never_decrease() {
        let (mut registry, now) = (Registry::default(), Instant::now());
        for (time, value) in [(2000, 1.0), (1000, 7.0), (3000, 0.0)] {
            registry.apply(delta("c_total", time, value), &LIMITS, now).unwrap();
        }
        for wrong in [-1.0, f64::NAN] {
            assert_eq!(registry.apply(delta("c_total", 4000, wrong), &LIMITS, now), Err(RefusedRecord::Decrease));
        }
        assert_eq!(values(&mut registry, now), [("c_total{}".to_owned(), 8.0, 3000)]);
        let up_down = Record { is_delta: true, ..record("g", "", 0, Value::Gauge(-3.0)) };
        registry.apply(up_down.clone(), &LIMITS, now).unwrap();
        registry.apply(up_down, &LIMITS, now).unwrap();
        assert_eq!(values(&mut registry, now)[1].1, -6.0);
    }

    #[tokio::test(start_paused = true)]
    async fn names_that_would_be_ambiguous_are_refused_until_their_family_expires() {
        let (mut registry, now) = (Registry::default(), Instant::now());
        let histogram = Value::Histogram(Histogram { count: 1, ..Histogram::default() });
        registry.apply(record("took", "", 0, histogram.clone()), &LIMITS, now).unwrap();
        registry.apply(record("hits_total", "", 0, Value::Counter(1.0)), &LIMITS, now).unwrap();
        let gauge = Value::Gauge(1.0);
        for (name, value, refused) in [
            ("took", gauge.clone(), RefusedRecord::Type("histogram")),
            ("took_count", gauge.clone(), RefusedRecord::Name),
            ("hits", gauge.clone(), RefusedRecord::Name),
            ("hits", histogram, RefusedRecord::Name),
            ("hits_total", gauge.clone(), RefusedRecord::Type("counter")),
        ] {
            assert_eq!(registry.apply(record(name, "", 0, value), &LIMITS, now), Err(refused), "{name}");
        }
        registry.apply(record("took_max", "", 0, gauge.clone()), &LIMITS, now).unwrap();
        counts_are_right(&registry);
        tokio::time::advance(Duration::from_secs(301)).await;
        registry.expire(LIMITS.expire_after, Instant::now());
        assert!(registry.names.is_empty() && registry.bytes == 0 && registry.series == 0);
        registry.apply(record("hits", "", 0, gauge), &LIMITS, Instant::now()).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn series_without_updates_expire_and_others_stay() {
        let mut registry = Registry::default();
        let apply = |registry: &mut Registry, labels: &str| {
            registry.apply(record("g", labels, 0, Value::Gauge(1.0)), &LIMITS, Instant::now()).unwrap();
        };
        apply(&mut registry, "a=\"1\"");
        apply(&mut registry, "a=\"2\"");
        tokio::time::advance(Duration::from_secs(200)).await;
        apply(&mut registry, "a=\"2\"");
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(values(&mut registry, Instant::now()).len(), 2, "a series expires after the time, not at it");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(values(&mut registry, Instant::now()), [("g{a=\"2\"}".to_owned(), 1.0, 0)]);
        counts_are_right(&registry);
    }

    #[tokio::test(start_paused = true)]
    async fn further_series_are_refused_at_the_limits_and_known_ones_stay() {
        let mut registry = Registry::default();
        let gauge = |number: usize, value: f64| record("g", &format!("a=\"{number}\""), 0, Value::Gauge(value));
        for number in 0..10 {
            registry.apply(gauge(number, 0.0), &LIMITS, Instant::now()).unwrap();
        }
        let refused = registry.apply(gauge(10, 0.0), &LIMITS, Instant::now());
        assert_eq!(refused, Err(RefusedRecord::Series));
        registry.apply(gauge(3, 5.0), &LIMITS, Instant::now()).unwrap();
        // Each bucket is a series for Prometheus.
        let buckets = Histogram { count: 0, sum: None, bounds: vec![1.0], counts: vec![0, 0] };
        let refused = registry.apply(record("h", "", 0, Value::Histogram(buckets)), &LIMITS, Instant::now());
        assert_eq!(refused, Err(RefusedRecord::Series));
        let few = Limits { max_series: 1, max_bytes: registry.bytes + 100, ..LIMITS };
        registry.apply(gauge(3, 6.0), &few, Instant::now()).unwrap();
        let many = Limits { max_series: 1000, ..few };
        assert_eq!(registry.apply(gauge(11, 0.0), &many, Instant::now()), Err(RefusedRecord::Bytes));
        counts_are_right(&registry);
        // Expired series make room without a scrape.
        tokio::time::advance(Duration::from_secs(301)).await;
        registry.apply(gauge(12, 1.0), &LIMITS, Instant::now()).unwrap();
        assert_eq!(values(&mut registry, Instant::now()).len(), 1);
        counts_are_right(&registry);
    }
}
