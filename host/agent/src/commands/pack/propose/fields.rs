//! Which field has the time of an event, and which ones mark errors.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use wattle_json::Segment;

use crate::exit::Failure;

use super::formats::Found;
use super::trial::Trial;

/// Number of fields that are tried as the time.
const MAX_TRIED: usize = 10;
/// Maximum number of formats of one time.
const MAX_FORMATS: usize = 3;
/// Maximum depth of fields.
const MAX_DEPTH: usize = 4;
/// Maximum number of distinct values of a field of levels.
const MAX_LEVELS: usize = 12;

/// Formats of times, the most specific first; see the README of `timestamp`.
const TIMES: &[&str] = &[
    "rfc3339",
    "iso8601",
    "clf",
    "nginx",
    "syslog",
    "rfc2822",
    "klog",
    "epoch",
    "%Y-%m-%d %H:%M:%S,%f",
    "%Y/%m/%d %H:%M:%S%.f",
    "%Y.%m.%d %H:%M:%S%.f",
    "%y/%m/%d %H:%M:%S%.f",
    "%a %b %d %H:%M:%S%.f %Y",
    "%d.%m.%Y %H:%M:%S%.f",
    "%d/%m/%Y %H:%M:%S%.f",
    "%m/%d/%Y %H:%M:%S%.f",
    "%d-%b-%Y %H:%M:%S%.f",
    "%b %d %Y %H:%M:%S%.f",
    "%Y%m%d%H%M%S",
    "%m-%d %H:%M:%S%.f",
];

/// Formats that read the same texts as different times.
const AMBIGUOUS: &[&str] = &["%d/%m/%Y %H:%M:%S%.f", "%m/%d/%Y %H:%M:%S%.f"];

/// Names of fields with levels, in the spelling without `_`, `-` and case.
const LEVELS: &[&str] = &["level", "severity", "loglevel", "lvl", "levelname", "severitytext", "loglevelname"];

/// Levels of errors.
const ERRORS: &[&str] =
    &["e", "f", "err", "error", "crit", "critical", "alert", "emerg", "emergency", "fatal", "panic", "severe"];

/// What the fields of the sample mean.
pub(super) struct Fields {
    /// Path and type of each field, in alphabetical order.
    pub(super) all: BTreeMap<String, &'static str>,
    pub(super) time: Option<Time>,
    /// Rules that select errors.
    pub(super) errors: Vec<Rule>,
}

/// The field with the time.
pub(super) struct Time {
    pub(super) path: String,
    /// Its formats, usually one.
    pub(super) formats: Vec<&'static str>,
}

/// A rule that selects errors.
pub(super) enum Rule {
    /// A field has one of these values.
    Levels(String, Vec<String>),
    /// A field is a status of HTTP of 500 or more.
    Status(String),
}

impl Rule {
    pub(super) fn field(&self) -> &str {
        match self {
            Self::Levels(field, _) | Self::Status(field) => field,
        }
    }

    /// The condition of `route`.
    pub(super) fn condition(&self) -> Value {
        match self {
            Self::Levels(field, levels) => json!({ "field": field, "in": levels }),
            Self::Status(field) => json!({ "field": field, "ge": 500 }),
        }
    }
}

impl Fields {
    /// Looks at the events that a format makes of the sample.
    pub(super) fn find(trial: &mut Trial, format: &Found) -> Result<Self, Failure> {
        let mut values: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
        for attributes in format.events.iter().filter_map(|event| event.get("attributes")) {
            collect("attributes", attributes, 0, &mut values);
        }
        let all = values.iter().map(|(path, values)| (path.clone(), type_of(values))).collect();
        let time = time(trial, format, &values)?;
        let known = format.options.as_ref().and_then(|options| options.get("format")?.as_str());
        Ok(Self { all, time, errors: errors(&values, usual_levels(known)) })
    }
}

/// Collects the values of all fields that contain no others.
fn collect<'a>(path: &str, value: &'a Value, depth: usize, all: &mut BTreeMap<String, Vec<&'a Value>>) {
    match value {
        Value::Object(members) if depth < MAX_DEPTH => {
            for (key, value) in members {
                collect(&format!("{path}.{}", Segment::Key(key.as_str().into())), value, depth + 1, all);
            }
        }
        value => all.entry(path.to_owned()).or_default().push(value),
    }
}

fn type_of(values: &[&Value]) -> &'static str {
    let kinds: BTreeSet<&'static str> = values
        .iter()
        .filter_map(|value| match value {
            Value::Null => None,
            Value::Bool(_) => Some("boolean"),
            Value::Number(_) => Some("number"),
            Value::String(_) => Some("string"),
            Value::Array(_) => Some("array"),
            Value::Object(_) => Some("object"),
        })
        .collect();
    match (kinds.first(), kinds.len()) {
        (None, _) => "null",
        (Some(kind), 1) => kind,
        _ => "several types",
    }
}

/// The field that has a time in all events that have the field.
fn time(trial: &mut Trial, format: &Found, values: &BTreeMap<String, Vec<&Value>>) -> Result<Option<Time>, Failure> {
    let enough = (format.events.len() * 9).div_ceil(10);
    let mut fields: Vec<(u8, &String)> = values
        .iter()
        .filter(|(_, values)| values.len() >= enough)
        .filter_map(|(path, values)| Some((rank(path, values.first()?)?, path)))
        .collect();
    fields.sort();
    for (_, path) in fields.into_iter().take(MAX_TRIED) {
        if let Some(formats) = formats_of(trial, path, &format.events)? {
            return Ok(Some(Time { path: path.clone(), formats }));
        }
    }
    Ok(None)
}

/// The formats of a time in a field: one that fits all events, or the fewest that fit together, as in
/// a file with the access and the error log of nginx. Each format adds those events that the formats
/// before it do not fit.
fn formats_of(trial: &mut Trial, path: &str, events: &[Value]) -> Result<Option<Vec<&'static str>>, Failure> {
    let mut chosen: Vec<&'static str> = Vec::new();
    let mut left = events.len();
    while chosen.len() < MAX_FORMATS {
        let mut best = None;
        for &format in TIMES {
            // Together they would read any order of day and month.
            if AMBIGUOUS.contains(&format) && chosen.iter().any(|other| AMBIGUOUS.contains(other)) {
                continue;
            }
            let formats: Vec<&str> = chosen.iter().copied().chain([format]).collect();
            let options = json!({ "from": path, "formats": formats, "on_missing": "keep" });
            let Some(ran) = trial.run("timestamp", &options, events)? else { continue };
            if ran.failed.len() < left {
                (left, best) = (ran.failed.len(), Some(format));
            }
            if left == 0 {
                break;
            }
        }
        let Some(format) = best else { return Ok(None) };
        chosen.push(format);
        if left == 0 {
            return Ok(Some(chosen));
        }
    }
    Ok(None)
}

/// How likely a field has the time of the event: 0 is the most likely. `None` if it has no time.
fn rank(path: &str, value: &Value) -> Option<u8> {
    let name = plain(path.rsplit('.').next().unwrap_or(path));
    let by_name = match name.as_str() {
        "timestamp" | "time" | "eventtime" | "ts" | "datetime" => 0,
        "start" | "date" | "createdat" | "when" | "t" => 1,
        name if name.ends_with("time") || name.ends_with("timestamp") || name.ends_with("date") => 2,
        _ => 3,
    };
    match value {
        // Numbers are times only under such a name: 2001-09-09 and later.
        Value::Number(number) => (by_name < 3 && number.as_f64()? >= 1e9).then_some(by_name),
        Value::String(text) => {
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            let looks_like_time = digits >= 6 && text.len() <= 40 && text.contains([':', '-', '/', '.']);
            (looks_like_time || by_name < 2 && digits >= 10).then_some(by_name)
        }
        _ => None,
    }
}

/// The spelling of a name without case and separators.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The rules that select errors: a field of levels, or a status of HTTP.
fn errors(values: &BTreeMap<String, Vec<&Value>>, usual: &[&str]) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (path, values) in values {
        let name = plain(path.rsplit('.').next().unwrap_or(path));
        if LEVELS.contains(&name.as_str()) {
            let levels: BTreeSet<&str> = values.iter().filter_map(|value| value.as_str()).collect();
            if !levels.is_empty() && levels.len() <= MAX_LEVELS {
                rules.push(Rule::Levels(path.clone(), error_levels(&levels, usual)));
            }
        }
        let is_status = |value: &&Value| value.as_i64().is_some_and(|status| (100..600).contains(&status));
        if matches!(name.as_str(), "status" | "statuscode" | "httpstatus" | "elbstatuscode")
            && values.iter().all(is_status)
        {
            rules.push(Rule::Status(path.clone()));
        }
    }
    rules
}

/// The levels of errors that a format of `parse` has, in the spelling of the format.
///
/// Sources: RFC 5424 section 6.2.1, <https://nginx.org/en/docs/ngx_core_module.html#error_log>,
/// <https://httpd.apache.org/docs/2.4/mod/core.html#loglevel>, and the implementation standard of CEF,
/// in which 7 and 8 are `High`, and 9 and 10 `Very-High`.
fn usual_levels(format: Option<&str>) -> &'static [&'static str] {
    match format {
        Some("syslog") => &["alert", "crit", "emerg", "err"],
        Some("nginx" | "apache") => &["alert", "crit", "emerg", "error"],
        Some("cef") => &["7", "8", "9", "10", "High", "Very-High"],
        _ => &[],
    }
}

/// The levels of errors in the sample, and the usual ones: those of the format, or else common ones in
/// the spelling of the sample.
fn error_levels(levels: &BTreeSet<&str>, usual: &[&str]) -> Vec<String> {
    let found = levels.iter().filter(|level| ERRORS.contains(&level.to_ascii_lowercase().as_str()));
    let mut all: BTreeSet<String> = found.map(|level| (*level).to_owned()).collect();
    if !usual.is_empty() {
        all.extend(usual.iter().map(|level| (*level).to_owned()));
        return all.into_iter().collect();
    }
    let is_letter = levels.iter().all(|level| level.len() == 1);
    let is_upper = levels.iter().all(|level| !level.chars().any(char::is_lowercase));
    for level in if is_letter { &["e", "f"][..] } else { &["error", "critical", "fatal"][..] } {
        all.insert(if is_upper { level.to_uppercase() } else { (*level).to_owned() });
    }
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_keep_the_spelling_of_the_sample() {
        assert_eq!(error_levels(&BTreeSet::from(["INFO", "ERROR"]), &[]), ["CRITICAL", "ERROR", "FATAL"]);
        assert_eq!(error_levels(&BTreeSet::from(["info", "err"]), &[]), ["critical", "err", "error", "fatal"]);
        assert_eq!(error_levels(&BTreeSet::from(["I", "W"]), &[]), ["E", "F"]);
    }

    #[test]
    fn a_format_with_levels_of_its_own_decides_which_are_errors() {
        let of = |format, levels: &[&'static str]| {
            error_levels(&levels.iter().copied().collect(), usual_levels(Some(format)))
        };
        assert_eq!(of("syslog", &["notice"]), ["alert", "crit", "emerg", "err"]);
        assert_eq!(of("nginx", &["warn"]), ["alert", "crit", "emerg", "error"]);
        assert_eq!(of("apache", &["error"]), ["alert", "crit", "emerg", "error"]);
        assert_eq!(of("cef", &["3", "10"]), ["10", "7", "8", "9", "High", "Very-High"]);
        assert_eq!(of("json", &["info"]), ["critical", "error", "fatal"]);
    }

    #[test]
    fn a_time_is_found_by_name_and_look() {
        assert_eq!(rank("attributes.timestamp", &json!("2026-01-01T00:00:00Z")), Some(0));
        assert_eq!(rank("attributes.ts", &json!(1_767_225_600.5)), Some(0));
        assert_eq!(rank("attributes.took", &json!(1_767_225_600)), None);
        assert_eq!(rank("attributes.when_made", &json!("10/Oct/2026:13:55:36")), Some(3));
        assert_eq!(rank("attributes.message", &json!("no time at all")), None);
        assert_eq!(rank("attributes.time", &json!(null)), None);
    }

    #[test]
    fn errors_are_levels_and_statuses() {
        let (error, ok) = (json!("error"), json!(200));
        let values = BTreeMap::from([
            ("attributes.log.level".to_owned(), vec![&error]),
            ("attributes.status".to_owned(), vec![&ok]),
            ("attributes.other".to_owned(), vec![&ok]),
        ]);
        let fields: Vec<String> = errors(&values, &[]).iter().map(|rule| rule.field().to_owned()).collect();
        assert_eq!(fields, ["attributes.log.level", "attributes.status"]);
    }
}
