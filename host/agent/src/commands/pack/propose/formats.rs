//! Which format the lines have: the node `parse` tries each one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::exit::Failure;

use super::sample::Sample;
use super::trial::Trial;

/// Share of the lines that must parse for a format to be chosen before the formats after it.
const CLEAR: f64 = 0.95;
/// Share of the lines that must parse for a format to be chosen at all.
const ENOUGH: f64 = 0.5;

/// A format with options that fit the sample.
struct Candidate {
    label: String,
    options: Value,
    /// A built-in pack that reads the format.
    pack: Option<&'static str>,
}

/// The format that was found, and what it makes of the sample.
pub(super) struct Found {
    pub(super) label: String,
    /// Options of `parse`; `None` if no format fits.
    pub(super) options: Option<Value>,
    pub(super) pack: Option<&'static str>,
    pub(super) parsed: usize,
    pub(super) total: usize,
    /// Lines that name columns, which are not events.
    pub(super) headers: usize,
    /// Parsed events, as the `json` codec writes them.
    pub(super) events: Vec<Value>,
    /// The first lines that fail.
    pub(super) failures: Vec<String>,
}

/// Finds the format of the sample.
pub(super) fn find(trial: &mut Trial, sample: &Sample, path: &Path) -> Result<Found, Failure> {
    let events = sample.events();
    let mut best: Option<Found> = None;
    for candidate in candidates(sample, path) {
        let Some(found) = attempt(trial, candidate, &events)? else { continue };
        let (parsed, is_clear) = (found.parsed, share(&found) >= CLEAR);
        if best.as_ref().is_none_or(|best| parsed > best.parsed) {
            best = Some(found);
        }
        if is_clear {
            break;
        }
    }
    let Some(mut found) = best.filter(|found| share(found) >= ENOUGH) else { return Ok(unknown(sample, events)) };
    if let Some(options) = &mut found.options {
        let types = types(&found.events);
        if has_types(options) && !types.is_empty() {
            if let Some(options) = options.as_object_mut() {
                options.insert("types".into(), Value::Object(types));
            }
            let candidate = Candidate { label: found.label.clone(), options: options.clone(), pack: found.pack };
            // A type that fits the sample cannot fail on it.
            return Ok(attempt(trial, candidate, &events)?.unwrap_or(found));
        }
    }
    Ok(found)
}

/// A proposal for lines of no known format: they stay as they are.
fn unknown(sample: &Sample, events: Vec<Value>) -> Found {
    let total = events.len();
    let error = || {
        sample.bodies.iter().find_map(|body| wattle_json::check(body.as_bytes(), wattle_batch::MAX_JSON_DEPTH).err())
    };
    let format = match is_like_json(sample).then(error).flatten() {
        Some(error) => format!("JSON that is not valid, {error}"),
        None => "no known format".to_owned(),
    };
    let label = format!("{format}; the pack keeps each line as it is");
    Found { label, options: None, pack: None, parsed: total, total, headers: 0, events, failures: Vec::new() }
}

/// Whether most lines have the form of a JSON object, valid or not. The commas in it do not make columns.
fn is_like_json(sample: &Sample) -> bool {
    let is_object = |body: &String| {
        let inner = body.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        inner.is_some_and(|inner| inner.trim_start().starts_with('"'))
    };
    2 * sample.bodies.iter().filter(|body| is_object(body)).count() > sample.bodies.len()
}

fn share(found: &Found) -> f64 {
    found.parsed as f64 / found.total.max(1) as f64
}

fn attempt(trial: &mut Trial, candidate: Candidate, events: &[Value]) -> Result<Option<Found>, Failure> {
    let Some(ran) = trial.run("parse", &candidate.options, events)? else { return Ok(None) };
    let dropped: usize = ran.dropped.values().sum();
    let text = |event: &Value| {
        let body = event.get("body").and_then(Value::as_str).unwrap_or_default();
        body.chars().take(100).collect()
    };
    Ok(Some(Found {
        label: candidate.label,
        pack: candidate.pack,
        parsed: events.len() - ran.failed.len() - dropped,
        total: events.len() - dropped,
        headers: dropped,
        failures: ran.failed.iter().map(text).collect(),
        events: ran.ports.into_values().flatten().collect(),
        options: Some(candidate.options),
    })
    .filter(|found| found.total > 0 && has_pairs(found)))
}

/// Whether each line has several pairs, whose keys look like keys. Prose with a separator is not pairs.
fn has_pairs(found: &Found) -> bool {
    if !found.label.starts_with("key_value") {
        return true;
    }
    let is_plain = |key: &str| {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | '/');
        key.len() <= 40 && key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && key.chars().all(is_name)
    };
    let mut attributes = found.events.iter().filter_map(|event| event.get("attributes")?.as_object());
    attributes.all(|attributes| attributes.len() >= 2 && attributes.keys().all(|key| is_plain(key)))
}

/// The formats, the most specific first.
fn candidates(sample: &Sample, path: &Path) -> Vec<Candidate> {
    let candidate = |label: &str, options: Value, pack| Candidate { label: label.to_owned(), options, pack };
    let plain = |format: &str, pack| candidate(format, json!({ "format": format }), pack);
    let mut all = vec![
        plain("docker", Some("kubernetes-containers")),
        candidate("json", json!({ "format": "json" }), cloudtrail(sample)),
        plain("cri", Some("kubernetes-containers")),
        plain("cef", None),
        plain("leef", None),
        plain("aws_alb", Some("alb")),
        plain("aws_vpc_flow", Some("vpc-flow")),
        plain("nginx", Some("nginx")),
        plain("apache", None),
        plain("xml", None),
    ];
    if is_like_json(sample) {
        all.retain(|candidate| matches!(&*candidate.label, "docker" | "json"));
        return all;
    }
    // Access logs of both servers look alike; the name of the file can tell them apart.
    let path = path.to_string_lossy().to_ascii_lowercase();
    if path.contains("apache") || path.contains("httpd") {
        all.retain(|candidate| candidate.label != "nginx");
    }
    for (label, pattern) in APPLICATIONS {
        let pattern = pattern.replace("TIME", TIME);
        all.push(candidate(label, json!({ "format": "regex", "pattern": pattern }), None));
    }
    all.push(plain("syslog", Some("syslog-auth")));
    all.push(candidate("logfmt", json!({ "format": "logfmt", "bare_keys": "fail" }), None));
    all.extend(columns(sample).map(|(label, options)| candidate(&label, options, None)));
    for (pair, field) in [("=", ","), ("=", ";"), ("=", "|"), ("=", "\t"), (":", ","), (":", ";")] {
        let label = format!("key_value, pairs such as `a{pair}1{}b{pair}2`", field.escape_default());
        let options = json!({
            "format": "key_value", "pair_split": pair, "field_split": field, "bare_keys": "fail",
        });
        all.push(candidate(&label, options, None));
    }
    let (label, pattern) = WITH_TIME;
    all.push(candidate(label, json!({ "format": "regex", "pattern": pattern.replace("TIME", TIME) }), None));
    all
}

/// The pack for JSON events whose keys are those of CloudTrail.
fn cloudtrail(sample: &Sample) -> Option<&'static str> {
    let is_event = |body: &String| {
        let event: Option<Value> = serde_json::from_str(body).ok();
        event.is_some_and(|event| {
            ["eventVersion", "eventSource", "eventName"].iter().all(|key| event.get(key).is_some())
        })
    };
    sample.bodies.first().is_some_and(is_event).then_some("cloudtrail")
}

/// A time with a date, as a part of the patterns below.
const TIME: &str = r"(?<timestamp>\d{4}[-/.]\d\d[-/.]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|[+-]\d\d:?\d\d))?|\d\d[/.]\d\d[/.](?:\d{4}|\d\d) \d\d:\d\d:\d\d(?:[.,]\d+)?|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)? \d{4})";

/// Lines that loggers of programming languages and systems write by default.
const APPLICATIONS: &[(&str, &str)] = &[
    ("lines of Python's logging (regex)", r"(?s)^TIME - (?<logger>\S+) - (?<level>[A-Z]+) - (?<message>.*)$"),
    (
        "lines of klog (regex)",
        r"(?s)^(?<level>[IWEF])(?<timestamp>\d{4} \d\d:\d\d:\d\d\.\d+)\s+(?<thread>\d+) (?<file>[^:\s]+):(?<line>\d+)\] (?<message>.*)$",
    ),
    (
        "lines of Android's logcat (regex)",
        r"(?s)^(?<timestamp>\d\d-\d\d \d\d:\d\d:\d\d\.\d+)\s+(?<pid>\d+)\s+(?<tid>\d+) (?<level>[VDIWEF]) (?<tag>[^:]*?)\s*: (?<message>.*)$",
    ),
    (
        "lines with a time, a level and a message (regex)",
        r"(?s)^\[?TIME\]?,?\s+(?:-\s+)?(?:\[(?<thread>[^\]]+)\]\s+)?\[?(?<level>(?i:trace|debug|info|notice|warn|warning|error|err|fatal|critical|severe))\]?:?\s+(?:\[(?<context>(?:[^\[\]]|\[[^\]]*\])+)\]:?\s+)?(?:-\s+)?(?:(?<logger>[\w.$/-]+)\s*(?::|-)\s+)?(?<message>.*)$",
    ),
];

/// The last resort for lines that begin with a time.
const WITH_TIME: (&str, &str) = ("lines with a time and a message (regex)", r"(?s)^\[?TIME\]?:?\s+(?<message>.*)$");

/// Lines with the same number of columns.
pub(super) struct Table {
    pub(super) delimiter: char,
    count: usize,
    /// The names of the columns, if the first line has them.
    pub(super) header: Option<Vec<String>>,
}

impl Table {
    /// The table that the lines are.
    pub(super) fn of(lines: &[String]) -> Option<Self> {
        let (delimiter, count) = [',', ';', '\t', '|'].into_iter().find_map(|delimiter| {
            let mut counts = lines.iter().map(|line| split(line, delimiter).len());
            let count = counts.next().filter(|count| *count >= 3)?;
            counts.all(|other| other == count).then_some((delimiter, count))
        })?;
        let first: Vec<String> = lines.first().map(|line| split(line, delimiter)).unwrap_or_default();
        let is_name = |name: &String| name.chars().next().is_some_and(char::is_alphabetic) && name.len() <= 64;
        let is_regular = first.iter().all(is_name) && first.iter().collect::<BTreeSet<_>>().len() == count;
        // Names can be missing or repeated, but then other lines must look different.
        let is_irregular = || {
            let named = first.iter().filter(|name| is_name(name)).collect::<BTreeSet<_>>().len();
            let is_data =
                |line: &String| split(line, delimiter).iter().any(|value| !value.is_empty() && !is_name(value));
            2 * named > count
                && first.iter().all(|name| name.is_empty() || is_name(name))
                && lines.get(1..).is_some_and(|rest| rest.iter().all(is_data))
        };
        let is_header = (is_regular || is_irregular())
            && lines.len() > 1
            && lines.get(1..).is_some_and(|rest| !rest.contains(&first.join(&delimiter.to_string())));
        Some(Self { delimiter, count, header: is_header.then_some(first) })
    }
}

/// Options of `csv`, if all lines have the same number of columns.
fn columns(sample: &Sample) -> Option<(String, Value)> {
    let Table { delimiter, count, header } = Table::of(&sample.bodies)?;
    let with_header = if header.is_some() { " with a header" } else { "" };
    let is_header = header.is_some();
    let names = column_names(&header.unwrap_or_else(|| vec![String::new(); count]));
    let mut options = json!({ "format": "csv", "columns": names });
    if let Some(options) = options.as_object_mut() {
        if delimiter != ',' {
            options.insert("delimiter".into(), delimiter.to_string().into());
        }
        if is_header {
            options.insert("skip_header".into(), true.into());
        }
    }
    Some((format!("csv, {count} columns{with_header}"), options))
}

/// The names of a header as `parse` takes them: none is empty, and none is repeated.
fn column_names(header: &[String]) -> Vec<String> {
    let mut taken: BTreeSet<String> = header.iter().cloned().collect();
    let mut seen = BTreeSet::new();
    let mut names = Vec::new();
    for (index, name) in header.iter().enumerate() {
        let is_first = !name.is_empty() && seen.insert(name);
        let others = |number: usize| match name.as_str() {
            "" => format!("column_{number}"),
            name => format!("{name}_{number}"),
        };
        let first = if name.is_empty() { index + 1 } else { 2 };
        let other = || (first..).map(others).find(|other| !taken.contains(other));
        let chosen = if is_first { name.clone() } else { other().unwrap_or_default() };
        taken.insert(chosen.clone());
        names.push(chosen);
    }
    names
}

/// The columns of a line; delimiters inside quotes do not count.
fn split(line: &str, delimiter: char) -> Vec<String> {
    let (mut columns, mut is_quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            c if c == delimiter && !is_quoted => columns.push(String::new()),
            c => columns.last_mut().into_iter().for_each(|column| column.push(c)),
        }
    }
    columns
}

/// Whether the format has the option `types`.
fn has_types(options: &Value) -> bool {
    let format = options.get("format").and_then(Value::as_str);
    format.is_some_and(|format| matches!(format, "regex" | "key_value" | "logfmt" | "csv"))
}

/// The types of keys whose values all are numbers or booleans.
fn types(events: &[Value]) -> Map<String, Value> {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (key, value) in events.iter().filter_map(|event| event.get("attributes")?.as_object()).flatten() {
        let text = value.as_str().unwrap_or_default();
        if !text.is_empty() {
            values.entry(key).or_default().insert(text);
        }
    }
    let typed = values.iter().filter_map(|(key, values)| {
        let kind = if values.iter().all(|text| is_integer(text)) {
            "integer"
        } else if values.iter().all(|text| is_number(text)) {
            "number"
        } else if values.iter().all(|text| matches!(*text, "true" | "false")) {
            "boolean"
        } else {
            return None;
        };
        Some(((*key).to_owned(), Value::from(kind)))
    });
    typed.collect()
}

/// Whether a text is a whole number that keeps its text as a number: no leading zeros, no loss of
/// digits in a double.
fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_short = digits.len() <= 15 && (digits == "0" || !digits.starts_with('0'));
    is_short && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn is_number(text: &str) -> bool {
    match text.split_once('.') {
        None => is_integer(text),
        Some((whole, part)) => {
            let is_part = !part.is_empty() && part.len() <= 9 && part.bytes().all(|b| b.is_ascii_digit());
            is_part && is_integer(whole.strip_prefix('-').unwrap_or(whole))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_in_quotes_do_not_split() {
        assert_eq!(split("a,\"b,c\",d", ','), ["a", "b,c", "d"]);
        assert_eq!(split("", ','), [""]);
    }

    #[test]
    fn names_that_are_missing_or_repeated_are_replaced() {
        let names = |header: &[&str]| column_names(&header.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(names(&["", "", ""]), ["column_1", "column_2", "column_3"]);
        assert_eq!(names(&["a", "", "a", "a_2", "a"]), ["a", "column_2", "a_3", "a_2", "a_4"]);
        let header = |text: &str| Table::of(&text.lines().map(str::to_owned).collect::<Vec<_>>()).unwrap().header;
        assert_eq!(header("id,,name\n1,2,x\n2,3,y").unwrap(), ["id", "", "name"]);
        assert_eq!(header("id,a,a\n1,2,x\n2,3,y").unwrap(), ["id", "a", "a"]);
        assert_eq!(header("ann,,ok\nbob,,ok\neve,,no"), None, "no line looks different");
    }

    #[test]
    fn only_values_that_keep_their_text_become_numbers() {
        for text in ["0", "17", "-4", "123456789012345"] {
            assert!(is_integer(text), "{text}");
        }
        for text in ["", "-", "007", "1.5", "1234567890123456", "+1", "1e3"] {
            assert!(!is_integer(text), "{text}");
        }
        assert!(is_number("1.50") && is_number("-0.5") && is_number("3") && !is_number("1.") && !is_number("00.1"));
    }

    #[test]
    fn a_type_needs_all_values_of_a_key() {
        let events = [
            json!({"attributes": {"a": "1", "b": "1", "c": "true", "d": "", "e": 1}}),
            json!({"attributes": {"a": "2", "b": "x", "c": "false", "d": "1.5"}}),
        ];
        let expected = json!({"a": "integer", "c": "boolean", "d": "number"});
        assert_eq!(Value::Object(types(&events)), expected);
    }
}
