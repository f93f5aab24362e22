//! Checks the options.

use std::time::Duration;

use wattle_condition::{Check, Compiler, ReadFields, ResolveField as _, Written};
use wattle_convert::size::Prefixes;
use wattle_node::{Setup, Sharing};

use crate::definition::Definition;
use crate::function::{Function, quantile_name};
use crate::options::{By, Compute, CountOf, OnFull, OnLate, Options, Time};
use crate::pane::{MAX_KEY_BYTES, new_bytes};
use crate::windows::Limits;

const MILLISECOND: i64 = 1_000_000;
const MINUTE: i64 = 60_000 * MILLISECOND;

/// Names in the body of an event that no field and no value may have.
const RESERVED: [&str; 2] = ["start", "end"];

/// Open panes of a window at most, with its lateness.
const MAX_PANES: i64 = 10_000;

/// What an aggregated value needs of each event.
#[derive(Debug)]
pub(crate) struct Input {
    /// Column of the field; `None` counts every event.
    pub(crate) column: Option<usize>,
    /// Index in the list of conditions.
    pub(crate) condition: Option<usize>,
}

/// The checked options.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) definition: Definition,
    pub(crate) limits: Limits,
    /// Columns of the key.
    pub(crate) by: Vec<usize>,
    pub(crate) inputs: Vec<Input>,
    /// The condition of the node.
    pub(crate) condition: Option<Check>,
    /// The conditions of values.
    pub(crate) conditions: Vec<Check>,
    /// The column with the timestamp, and lateness, idle time and `max_ahead`, for event time.
    pub(crate) event_time: Option<EventTime>,
    pub(crate) sharing: Sharing,
    pub(crate) tick: Duration,
}

/// What decides about windows by event time, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventTime {
    pub(crate) column: usize,
    pub(crate) lateness: i64,
    pub(crate) idle: i64,
    pub(crate) max_ahead: i64,
}

/// Checks the options. Returns `None` after it reported all errors to `setup`.
pub(crate) fn prepare(
    options: &Options,
    compiler: &mut Compiler<ReadFields>,
    setup: &mut Setup<'_>,
) -> Option<Prepared> {
    let times = times(options, setup);
    let lasting = event_time(options, times, compiler, setup);
    let mut names: Vec<String> = RESERVED.map(str::to_owned).to_vec();
    let by = key(options, &mut names, compiler, setup);
    let values = values(options, &mut names, compiler, setup);
    let condition = options.condition.as_ref().map(|condition| compiler.condition("if", &condition.condition, setup));
    let max_bytes = max_state(options, setup);
    let max_keys = options.max_keys.unwrap_or(10_000);
    if max_keys == 0 {
        setup.error("max_keys", "must be at least 1");
    }
    let (by, values, times, max_bytes) = (by?, values?, times?, max_bytes?);
    let lasting = lasting?;
    let condition = match condition {
        Some(condition) => Some(condition?),
        None => None,
    };

    let mut sources: Vec<String> = by.iter().map(|by| by.path.clone()).collect();
    sources.extend(values.iter().flat_map(|value| [value.path.clone(), text(value.written.as_ref())]));
    sources.push(text(options.condition.as_ref()));
    sources.push(if options.time == Time::Event { "event" } else { "processing" }.to_owned());
    sources.push(options.name.clone());
    let (mut inputs, mut conditions, mut functions) = (Vec::new(), Vec::new(), Vec::new());
    for value in values {
        let condition = value.check.map(|check| {
            conditions.push(check);
            conditions.len() - 1
        });
        inputs.push(Input { column: value.column, condition });
        functions.push((value.name, value.function));
    }
    let paths: Vec<String> = by.iter().map(|by| by.path.clone()).collect();
    let columns = by.iter().map(|by| by.column).collect();
    let definition = Definition::new(by.into_iter().map(|by| by.name).collect(), functions, times, &sources);
    if !fits(&definition, options, max_bytes, lasting.map_or(0, |time| time.lateness), setup) {
        return None;
    }
    let tick = Duration::from_nanos(definition.slide.unsigned_abs() / 10);
    Some(Prepared {
        limits: Limits { max_keys, max_bytes, on_full: options.on_full },
        by: columns,
        inputs,
        condition,
        conditions,
        event_time: lasting,
        sharing: if paths.is_empty() { Sharing::Single } else { Sharing::Key(paths) },
        tick: tick.clamp(Duration::from_millis(10), Duration::from_secs(1)),
        definition,
    })
}

fn text(written: Option<&Written>) -> String {
    written.map_or_else(String::new, |written| written.text.clone())
}

/// Whether the state cannot grow beyond its limit.
fn fits(definition: &Definition, options: &Options, max_bytes: usize, lateness: i64, setup: &mut Setup<'_>) -> bool {
    let panes = (definition.length.saturating_add(lateness) / definition.slide).saturating_add(1);
    if panes > MAX_PANES {
        let message =
            format!("{panes} windows would be open at once; at most {MAX_PANES} can be: raise `slide` or `window`");
        setup.error(if definition.is_sliding() { "slide" } else { "lateness" }, message);
        return false;
    }
    if definition.is_sliding() && options.on_full == OnFull::Flush {
        setup.error("on_full", "`flush` needs windows that do not overlap; remove `slide`, or write `other`");
        return false;
    }
    // Each pane of a sliding window can have a group `_other`, whatever the limits.
    let least = new_bytes(definition, &[]) + MAX_KEY_BYTES;
    let needed = if definition.is_sliding() {
        least.saturating_mul(usize::try_from(panes).unwrap_or(usize::MAX))
    } else {
        least
    };
    if needed > max_bytes {
        let message = format!(
            "{max_bytes} bytes are too few: one key can take {needed}; raise it, lower `limit` or `precision`, or use fewer \
             slides"
        );
        setup.error("max_state", message);
        return false;
    }
    true
}

/// A duration in nanoseconds.
fn duration(at: &str, text: &str, least: i64, setup: &mut Setup<'_>) -> Option<i64> {
    let length = wattle_convert::duration::parse(text.as_bytes(), None).filter(|length| *length >= least);
    if length.is_none() {
        let bound =
            if least > 0 { format!("of at least {} ms", least / MILLISECOND) } else { "of 0 or more".to_owned() };
        setup.error(
            at,
            format!("`{text}` is not a duration {bound} and at most 292 years, such as `500ms`, `30s`, `5m` or `1h`"),
        );
    }
    length
}

fn times(options: &Options, setup: &mut Setup<'_>) -> Option<(i64, i64)> {
    let length = duration("window", &options.window, 100 * MILLISECOND, setup);
    let Some(slide) = &options.slide else { return length.map(|length| (length, length)) };
    let slide = duration("slide", slide, 100 * MILLISECOND, setup);
    let (length, slide) = (length?, slide?);
    if length % slide != 0 {
        setup.error("slide", "`window` must be a multiple of it, such as `10s` for a window of `1m`");
        return None;
    }
    Some((length, slide))
}

#[expect(clippy::option_option, reason = "the outer one is an error, the inner one processing time")]
fn event_time(
    options: &Options,
    times: Option<(i64, i64)>,
    compiler: &mut Compiler<ReadFields>,
    setup: &mut Setup<'_>,
) -> Option<Option<EventTime>> {
    let given = [("lateness", &options.lateness), ("idle", &options.idle), ("max_ahead", &options.max_ahead)];
    if options.time == Time::Processing {
        let mut is_right = true;
        let needless = given.iter().filter(|(_, text)| text.is_some()).map(|(name, _)| *name);
        for name in needless.chain(options.on_late.map(|_| "on_late")) {
            setup.error(name, "has no effect without `time = \"event\"`; no event is late by the clock of the agent");
            is_right = false;
        }
        return is_right.then_some(None);
    }
    let [lateness, idle, max_ahead] = given.map(|(name, text)| {
        let default = match name {
            "lateness" => MINUTE,
            "idle" => MINUTE / 2,
            _ => 60 * MINUTE,
        };
        text.as_ref().map_or(Some(default), |text| duration(name, text, 0, setup))
    });
    let column = compiler.resolver().resolve("time", "timestamp", setup);
    times?;
    Some(Some(EventTime { column: column?, lateness: lateness?, idle: idle?, max_ahead: max_ahead? }))
}

fn max_state(options: &Options, setup: &mut Setup<'_>) -> Option<usize> {
    let Some(text) = &options.max_state else { return Some(4 << 20) };
    let size = wattle_convert::size::parse(text.as_bytes(), Prefixes::Decimal);
    let size = size.and_then(|size| usize::try_from(size).ok()).filter(|size| (64 << 10..=8 << 20).contains(size));
    if size.is_none() {
        setup.error("max_state", format!("`{text}` is not a size of `64KiB` to `8MiB`"));
    }
    size
}

/// A field of the key.
struct ByField {
    path: String,
    name: String,
    column: usize,
}

/// Checks a name in the body of events, and adds it to those that are used.
fn take_name(at: &str, name: &str, names: &mut Vec<String>, setup: &mut Setup<'_>) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    let problem = if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
        "is not a name of letters, digits, `_` and `-`, of at most 64 bytes"
    } else if names.iter().any(|known| known == name) {
        "is used already in the body of the event; give it another name"
    } else {
        names.push(name.to_owned());
        return true;
    };
    setup.error(at, format!("`{name}` {problem}"));
    false
}

fn key(
    options: &Options,
    names: &mut Vec<String>,
    compiler: &mut Compiler<ReadFields>,
    setup: &mut Setup<'_>,
) -> Option<Vec<ByField>> {
    let given = options.by.as_ref().map(|by| by.named("by")).unwrap_or_default();
    let mut field = |(at, by): &(String, &By)| {
        let (path, name, at_name, at_path) = match by {
            By::Field(path) => {
                let last = path.rsplit(['.', '"']).find(|part| !part.is_empty() && *part != "]").unwrap_or_default();
                (path, last, at.clone(), at.clone())
            }
            By::Named(by) => (&by.field, by.name.as_str(), format!("{at}.name"), format!("{at}.field")),
        };
        let column = compiler.resolver().resolve(&at_path, path, setup);
        let is_named = column.is_some() && take_name(&at_name, name, names, setup);
        is_named.then_some(ByField { path: path.clone(), name: name.to_owned(), column: column? })
    };
    let fields: Vec<_> = given.iter().map(&mut field).collect();
    fields.into_iter().collect()
}

/// A value to compute.
struct Value {
    name: String,
    path: String,
    function: Function,
    column: Option<usize>,
    written: Option<Written>,
    check: Option<Check>,
}

fn values(
    options: &Options,
    names: &mut Vec<String>,
    compiler: &mut Compiler<ReadFields>,
    setup: &mut Setup<'_>,
) -> Option<Vec<Value>> {
    let count = Compute { count: Some(CountOf::All(true)), ..Compute::default() };
    let default = [("count".to_owned(), count)].into();
    let given = options.compute.as_ref().unwrap_or(&default);
    if given.is_empty() {
        setup.error("compute", "at least one value is needed, such as `requests = { count = true }`");
        return None;
    }
    let values: Vec<_> = given.iter().map(|(name, compute)| value(name, compute, names, compiler, setup)).collect();
    values.into_iter().collect()
}

fn value(
    name: &str,
    compute: &Compute,
    names: &mut Vec<String>,
    compiler: &mut Compiler<ReadFields>,
    setup: &mut Setup<'_>,
) -> Option<Value> {
    let at = format!("compute.{name}");
    let is_named = take_name(&at, name, names, setup);
    let (all, counted) = match &compute.count {
        Some(CountOf::All(true)) => (true, None),
        Some(CountOf::All(false)) => {
            setup.error(format!("{at}.count"), "write `true`, or a field");
            return None;
        }
        Some(CountOf::Field(field)) => (false, Some(field)),
        None => (false, None),
    };
    let functions = [
        ("count", counted),
        ("sum", compute.sum.as_ref()),
        ("min", compute.min.as_ref()),
        ("max", compute.max.as_ref()),
        ("mean", compute.mean.as_ref()),
        ("first", compute.first.as_ref()),
        ("last", compute.last.as_ref()),
        ("list", compute.list.as_ref()),
        ("distinct", compute.distinct.as_ref()),
        ("quantiles", compute.quantiles.as_ref()),
    ];
    let mut given = functions.iter().filter_map(|(function, field)| Some((*function, (*field)?)));
    let (function, field) = match (all, given.next(), given.next()) {
        (true, None, None) => ("count", None),
        (false, Some((function, field)), None) => (function, Some(field)),
        _ => {
            let all = functions.map(|(name, _)| format!("`{name}`")).join(", ");
            setup.error(&at, format!("needs exactly one function of {all}"));
            return None;
        }
    };
    let made = self::function(&at, function, compute, setup);
    let column = field.map(|field| compiler.resolver().resolve(&format!("{at}.{function}"), field, setup));
    let check = compute.condition.as_ref();
    let check = check.map(|written| compiler.condition(&format!("{at}.if"), &written.condition, setup));
    let column = match column {
        Some(column) => Some(column?),
        None => None,
    };
    let check = match check {
        Some(check) => Some(check?),
        None => None,
    };
    let path = field.cloned().unwrap_or_default();
    let written = compute.condition.clone();
    let function = made?;
    is_named.then(|| Value { name: name.to_owned(), path, function, column, written, check })
}

/// The function with its options; others than its own are errors.
fn function(at: &str, name: &str, compute: &Compute, setup: &mut Setup<'_>) -> Option<Function> {
    let mut is_right = true;
    let mut wrong = |option: &str, message: String| {
        setup.error(format!("{at}.{option}"), message);
        is_right = false;
    };
    for (option, is_given, needed) in [
        ("at", compute.at.is_some(), "quantiles"),
        ("accuracy", compute.accuracy.is_some(), "quantiles"),
        ("limit", compute.limit.is_some(), "list"),
        ("unique", compute.unique, "list"),
        ("precision", compute.precision.is_some(), "distinct"),
    ] {
        if is_given && name != needed {
            wrong(option, format!("is an option of `{needed}`, not of `{name}`"));
        }
    }
    let limit = compute.limit.unwrap_or(100);
    if !(1..=1000).contains(&limit) {
        wrong("limit", format!("must be 1 to 1000, not {limit}"));
    }
    let precision = compute.precision.unwrap_or(12);
    if !wattle_sketch::Hll::PRECISIONS.contains(&precision) {
        wrong("precision", format!("must be 4 to 16, not {precision}"));
    }
    let quantiles = compute.at.clone().unwrap_or_else(|| vec![0.5, 0.9, 0.99]);
    let names: Vec<_> = quantiles.iter().map(|q| quantile_name(*q)).collect();
    let differ = names.iter().enumerate().all(|(place, name)| !names.iter().take(place).any(|other| other == name));
    if !(1..=20).contains(&names.len()) || !differ || !quantiles.iter().all(|q| (0.0..=1.0).contains(q)) {
        wrong("at", "needs 1 to 20 different quantiles of 0 to 1, such as `[0.5, 0.99]`".to_owned());
    }
    let accuracy = compute.accuracy.unwrap_or(0.01);
    if !(0.001..=0.2).contains(&accuracy) {
        wrong("accuracy", format!("must be 0.001 to 0.2, not {accuracy}"));
    }
    if !is_right {
        return None;
    }
    Some(match name {
        "sum" => Function::Sum,
        "min" => Function::Min,
        "max" => Function::Max,
        "mean" => Function::Mean,
        "first" => Function::First,
        "last" => Function::Last,
        "list" => Function::List { limit, unique: compute.unique },
        "distinct" => Function::Distinct { precision },
        "quantiles" => Function::quantiles(quantiles, accuracy)?,
        _ => Function::Count,
    })
}

/// What happens to late events.
pub(crate) fn on_late(options: &Options) -> OnLate {
    options.on_late.unwrap_or(match options.mode {
        crate::options::Mode::Hold => OnLate::Drop,
        crate::options::Mode::Pass => OnLate::Pass,
    })
}
