//! Checks the options.

use std::time::Duration;

use wattle_condition::{Check, Compiler, OneOrMany, ReadFields, ResolveField as _};
use wattle_convert::size::Prefixes;
use wattle_node::Setup;
use wattle_node::capabilities::metrics;
use wattle_sketch::ExponentialHistogram;
use wattle_snapshot::EventId;

use crate::metric::{MAX_DIMENSION_BYTES, Metric, Spec};
use crate::options::{Dimension, ExemplarOptions, KindOption, MetricOptions, Options, Temporality};
use crate::value::Kind;

const MILLISECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600_000 * MILLISECOND;

/// Dimensions of a metric at most.
const MAX_DIMENSIONS: usize = 16;

/// Exemplars of a data point at most.
pub(crate) const MAX_EXEMPLARS: usize = 10;

/// Bounds without configured ones: those of OpenTelemetry's SDKs, for milliseconds.
const BOUNDS: [f64; 15] =
    [0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0, 10_000.0];

/// What the agent allows on `/metrics` (`wit/metrics.wit`).
const MAX_LABELS: usize = 8;
const MAX_EXPOSED_NAME: usize = 64;
const MAX_EXPOSED_BOUNDS: usize = 32;
const TAKEN_LABELS: [&str; 4] = ["pipeline", "node", "le", "quantile"];
const TAKEN_SUFFIXES: [&str; 4] = ["_total", "_bucket", "_sum", "_count"];

/// A column whose text is a dimension.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    path: String,
    pub(crate) column: usize,
    pub(crate) default: String,
}

/// What a metric reads of each event.
#[derive(Debug)]
pub(crate) struct Input {
    /// Column of the number; `None` counts events.
    pub(crate) column: Option<usize>,
    pub(crate) check: Option<Check>,
    pub(crate) dimensions: Vec<Source>,
    pub(crate) max_series: usize,
    pub(crate) max_exemplars: usize,
    pub(crate) exemplar: Vec<Source>,
}

/// Options of the node as a whole; times in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) interval: i64,
    pub(crate) expire_after: i64,
    pub(crate) has_zeros: bool,
    pub(crate) max_bytes: usize,
    /// The column with the timestamp, for exemplars.
    pub(crate) timestamp: Option<usize>,
}

/// Checks the options. Returns `None` after it reported all errors to `setup`.
#[expect(clippy::type_complexity, reason = "the parts of the node")]
pub(crate) fn prepare(
    options: &Options,
    compiler: &mut Compiler<ReadFields>,
    setup: &mut Setup<'_>,
) -> Option<(Settings, Option<Check>, Vec<(Metric, Input)>)> {
    let settings = settings(options, setup);
    let condition = options.condition.as_ref().map(|condition| compiler.condition("if", &condition.condition, setup));
    if options.metrics.is_empty() {
        setup.error("metrics", "at least one metric is needed");
        return None;
    }
    let mut all = Vec::new();
    for (place, metric) in options.metrics.iter().enumerate() {
        let at = format!("metrics[{place}]");
        if options.metrics.iter().take(place).any(|other| other.name == metric.name) {
            setup.error(format!("{at}.name"), format!("another metric is named `{}`; names must differ", metric.name));
        }
        all.push(prepare_metric(&at, metric, options, compiler, setup));
    }
    let condition = match condition {
        Some(condition) => Some(condition?),
        None => None,
    };
    let all: Vec<_> = all.into_iter().collect::<Option<_>>()?;
    let mut settings = settings?;
    if all.iter().any(|(_, input)| input.max_exemplars > 0) {
        settings.timestamp = Some(compiler.resolver().resolve("metrics", "timestamp", setup)?);
    }
    // A series `_other` of each metric can be made whatever the limit.
    let needed = |(metric, input): &(Metric, Input)| {
        let key = input.dimensions.len() * (MAX_DIMENSION_BYTES + 1);
        key + metric.series_bytes(&[], input.max_exemplars)
    };
    let needed: usize = all.iter().map(needed).sum();
    if needed > settings.max_bytes {
        let message = format!("{} bytes are too few for one series of each metric: {needed}", settings.max_bytes);
        setup.error("max_state", message);
        return None;
    }
    Some((settings, condition, all))
}

/// How often the node looks at the time.
pub(crate) fn tick(settings: &Settings) -> Duration {
    let tick = Duration::from_nanos(settings.interval.unsigned_abs() / 10);
    tick.clamp(Duration::from_millis(10), Duration::from_secs(1))
}

fn settings(options: &Options, setup: &mut Setup<'_>) -> Option<Settings> {
    let mut duration = |at: &str, text: &Option<String>, default: i64, least: i64| match text {
        None => Some(default),
        Some(text) => {
            let length = wattle_convert::duration::parse(text.as_bytes(), None).filter(|length| *length >= least);
            if length.is_none() {
                let least = least / MILLISECOND;
                setup.error(
                    at,
                    format!("`{text}` is not a duration of at least {least} ms and at most 292 years, such as `30s`, `5m` or `1h`"),
                );
            }
            length
        }
    };
    let interval = duration("interval", &options.interval, 60_000 * MILLISECOND, 100 * MILLISECOND);
    let least = interval.unwrap_or(0);
    let expire_after = duration("expire_after", &options.expire_after, HOUR.max(least), least);
    let max_bytes = match &options.max_state {
        None => Some(4 << 20),
        Some(text) => {
            let size = wattle_convert::size::parse(text.as_bytes(), Prefixes::Decimal);
            let size =
                size.and_then(|size| usize::try_from(size).ok()).filter(|size| (64 << 10..=8 << 20).contains(size));
            if size.is_none() {
                setup.error("max_state", format!("`{text}` is not a size of `64KiB` to `8MiB`"));
            }
            size
        }
    };
    if options.zeros && options.temporality == Temporality::Cumulative {
        setup.error(
            "zeros",
            "has no effect: with `temporality = \"cumulative\"`, every known series makes a data point",
        );
        return None;
    }
    Some(Settings {
        interval: interval?,
        expire_after: expire_after?,
        has_zeros: options.zeros,
        max_bytes: max_bytes?,
        timestamp: None,
    })
}

fn prepare_metric(
    at: &str,
    options: &MetricOptions,
    node: &Options,
    compiler: &mut Compiler<ReadFields>,
    setup: &mut Setup<'_>,
) -> Option<(Metric, Input)> {
    let name = &options.name;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
    let is_named =
        name.len() <= 255 && name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic()) && name.bytes().all(fits);
    if !is_named {
        let message = format!(
            "`{name}` is not a name: a letter, then letters, digits, `_`, `.`, `-` and `/`, of at most 255 bytes, such as \
             `http.requests`"
        );
        setup.error(format!("{at}.name"), message);
    }
    for (option, text, max) in [("unit", &options.unit, 63), ("description", &options.description, 1024)] {
        if text.len() > max {
            setup.error(format!("{at}.{option}"), format!("must have at most {max} bytes"));
        }
    }
    let kind = kind(at, options, setup);
    let column = match (&options.field, options.kind) {
        (Some(field), _) => compiler.resolver().resolve(&format!("{at}.field"), field, setup).map(Some),
        (None, KindOption::Counter) => Some(None),
        (None, _) => {
            setup.error(at, "needs a `field` with the numbers; only a counter can count events");
            None
        }
    };
    let dimensions = sources(&format!("{at}.dimensions"), options.dimensions.as_ref(), compiler, setup);
    let check = options.condition.as_ref();
    let check = check.map(|written| compiler.condition(&format!("{at}.if"), &written.condition, setup));
    let exemplars = options.exemplars.as_ref().map(|exemplars| self::exemplars(at, exemplars, compiler, setup));
    let max_series = options.max_series.unwrap_or(1000);
    if max_series == 0 {
        setup.error(format!("{at}.max_series"), "must be at least 1");
    }

    let (kind, dimensions) = (kind?, dimensions?);
    let check = match check {
        Some(check) => Some(check?),
        None => None,
    };
    let (max_exemplars, exemplar) = match exemplars {
        Some(exemplars) => exemplars?,
        None => (0, Vec::new()),
    };
    let mut texts: Vec<String> = dimensions.iter().flat_map(|d| [d.path.clone(), d.default.clone()]).collect();
    texts.push(options.field.clone().unwrap_or_default());
    for written in [&options.condition, &node.condition] {
        texts.push(written.as_ref().map_or_else(String::new, |written| written.text.clone()));
    }
    let spec = Spec {
        name: name.clone(),
        unit: options.unit.clone(),
        description: options.description.clone(),
        kind,
        is_cumulative: node.temporality == Temporality::Cumulative,
        dimensions: dimensions.iter().map(|dimension| dimension.name.clone()).collect(),
        bytes: Vec::new(),
        id: EventId::new(""),
    };
    let exposed = if options.expose.unwrap_or(node.expose) { Some(expose(at, &spec, setup)?) } else { None };
    let metric = Metric::new(spec.with_sources(&texts), exposed);
    Some((metric, Input { column: column?, check, dimensions, max_series, max_exemplars, exemplar }))
}

fn kind(at: &str, options: &MetricOptions, setup: &mut Setup<'_>) -> Option<Kind> {
    let mut is_right = true;
    for (option, is_given, needed, name) in [
        ("bounds", options.bounds.is_some(), KindOption::Histogram, "histogram"),
        ("max_size", options.max_size.is_some(), KindOption::ExponentialHistogram, "exponential_histogram"),
    ] {
        if is_given && options.kind != needed {
            setup.error(format!("{at}.{option}"), format!("is an option of the type `{name}`"));
            is_right = false;
        }
    }
    let bounds = options.bounds.clone().unwrap_or_else(|| BOUNDS.to_vec());
    if !(1..=100).contains(&bounds.len()) || !bounds.is_sorted_by(|a, b| a < b) {
        setup.error(format!("{at}.bounds"), "needs 1 to 100 increasing numbers, such as `[0.1, 0.5, 1, 5]`");
        is_right = false;
    }
    let max_size = options.max_size.unwrap_or(160);
    if !ExponentialHistogram::SIZES.contains(&max_size) {
        setup.error(format!("{at}.max_size"), format!("must be 2 to 320, not {max_size}"));
        is_right = false;
    }
    is_right.then_some(match options.kind {
        KindOption::Counter => Kind::Counter,
        KindOption::Sum => Kind::Sum,
        KindOption::Gauge => Kind::Gauge,
        KindOption::Histogram => Kind::Histogram { bounds },
        KindOption::ExponentialHistogram => Kind::Exponential { max_size },
    })
}

fn exemplars(
    at: &str,
    options: &ExemplarOptions,
    compiler: &mut Compiler<ReadFields>,
    setup: &mut Setup<'_>,
) -> Option<(usize, Vec<Source>)> {
    let at = format!("{at}.exemplars");
    let max = options.max.unwrap_or(1);
    if !(1..=MAX_EXEMPLARS).contains(&max) {
        setup.error(format!("{at}.max"), format!("must be 1 to 10, not {max}"));
    }
    let at = format!("{at}.attributes");
    let attributes = sources(&at, options.attributes.as_ref(), compiler, setup)?;
    if attributes.len() > 4 {
        setup.error(&at, "can have at most 4 fields");
    }
    Some((max, attributes))
}

/// The fields of an option, each with a name that no other one has.
fn sources(
    at: &str,
    given: Option<&OneOrMany<Dimension>>,
    compiler: &mut Compiler<ReadFields>,
    setup: &mut Setup<'_>,
) -> Option<Vec<Source>> {
    let given = given.map(|given| given.named(at)).unwrap_or_default();
    if given.len() > MAX_DIMENSIONS {
        setup.error(at, format!("can have at most {MAX_DIMENSIONS} fields"));
        return None;
    }
    let mut names: Vec<String> = Vec::new();
    let mut source = |(at, dimension): &(String, &Dimension)| {
        let (path, given, default, at_path) = match dimension {
            Dimension::Field(path) => (path, None, None, at.clone()),
            Dimension::Named(named) => (&named.field, named.name.clone(), named.default.clone(), format!("{at}.field")),
        };
        let column = compiler.resolver().resolve(&at_path, path, setup)?;
        let last = path.rsplit(['.', '"']).find(|part| !part.is_empty() && *part != "]").unwrap_or_default();
        let name = given.unwrap_or_else(|| last.to_owned());
        let problem = if name.is_empty() || name.len() > 64 {
            "needs 1 to 64 bytes"
        } else if names.contains(&name) {
            "is the name of another field; give it another `name`"
        } else {
            names.push(name.clone());
            let default = default.unwrap_or_default();
            if default.len() <= MAX_DIMENSION_BYTES {
                return Some(Source { name, path: path.clone(), column, default });
            }
            setup.error(format!("{at}.default"), format!("must have at most {MAX_DIMENSION_BYTES} bytes"));
            return None;
        };
        setup.error(at, format!("the name `{name}` {problem}"));
        None
    };
    let sources: Vec<_> = given.iter().map(&mut source).collect();
    sources.into_iter().collect()
}

/// The name and the labels of a metric on `/metrics`.
fn expose(at: &str, spec: &Spec, setup: &mut Setup<'_>) -> Option<(String, Vec<String>)> {
    let plain = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
    };
    let name = plain(&spec.name);
    let labels: Vec<String> = spec.dimensions.iter().map(|name| plain(name)).collect();
    let taken = |label: &&String| {
        let is_digit = label.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
        is_digit || label.starts_with("__") || TAKEN_LABELS.contains(&label.as_str())
    };
    let same = labels.iter().enumerate().find(|(place, label)| labels.iter().take(*place).any(|other| other == *label));
    let bounds = match &spec.kind {
        Kind::Histogram { bounds } => bounds.len(),
        _ => 1,
    };
    let problem = if matches!(spec.kind, Kind::Exponential { .. }) {
        Some("an exponential histogram cannot be on `/metrics`; use a `histogram`, or set `expose = false`".to_owned())
    } else if bounds > MAX_EXPOSED_BOUNDS {
        Some(format!("a histogram on `/metrics` can have at most {MAX_EXPOSED_BOUNDS} bounds"))
    } else if name.len() > MAX_EXPOSED_NAME {
        Some(format!("the name of a metric on `/metrics` can have at most {MAX_EXPOSED_NAME} bytes"))
    } else if spec.kind != Kind::Counter && TAKEN_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
        Some(format!("only the name of a counter on `/metrics` can end like `{name}`"))
    } else if labels.len() > MAX_LABELS {
        Some(format!("a metric on `/metrics` can have at most {MAX_LABELS} dimensions"))
    } else if let Some(label) = labels.iter().find(taken) {
        Some(format!("the dimension `{label}` cannot be a label on `/metrics`; give it another name"))
    } else {
        same.map(|(_, label)| format!("two dimensions would have the label `{label}` on `/metrics`"))
    };
    if let Some(problem) = problem {
        setup.error(at, problem);
        return None;
    }
    // A missing grant is then an error of the configuration, not a fault of the first batch.
    let labels_of_series = [("metric", name.as_str())];
    metrics::set(metrics::gauge("to_metric_series", &labels_of_series), 0.0);
    Some((name, labels))
}
