//! One entry of `fields`: prepared from its options, and applied to a batch.

use regex::bytes::Regex;
use wattle_convert::time::{Directives, Epoch, Format};
use wattle_node::json::{Path, Segment};
use wattle_node::{Batch, ColumnWriter, Field, Form, Reasons, Setup, bad_pattern};

use crate::delay::Delay;
use crate::options::{FieldOptions, FormatOption, Group, OnError, OnMissing, TimeFormat};
use crate::value::{Finder, Missing, Pattern};

/// What happens to rows in addition to getting values.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    pub(crate) reasons: Reasons,
    pub(crate) without_field: Vec<u32>,
    pub(crate) without_match: Vec<u32>,
    /// Rows that keep their timestamp, because the value is not a time.
    pub(crate) bad_times: u64,
}

/// Where a value goes.
enum Target {
    Value(Field, Form),
    Time(Format),
}

/// One value to extract.
pub(crate) struct Rule {
    from: Field,
    form: Form,
    finder: Finder,
    target: Target,
    on_missing: OnMissing,
    on_error: OnError,
    delay: Option<Delay>,
    name: String,
    times: Vec<i64>,
}

impl Rule {
    /// Prepares a rule; `at` is the path of its options, such as `fields[0]`.
    pub(crate) fn new(at: &str, options: &FieldOptions, setup: &mut Setup<'_>) -> Option<Self> {
        let source = source(at, &options.from, setup);
        let pattern = pattern(at, options, setup);
        let (from, each) = source.unzip();
        let each: Option<Path> = each.flatten();
        let is_time = options.into == "timestamp";
        if !is_time && options.format.is_some() {
            setup.error(format!("{at}.format"), "`format` is for times; set `into` to `timestamp`, or remove it");
        }
        if !is_time && options.on_error != OnError::Fail {
            setup.error(format!("{at}.on_error"), "`on_error` is for times; set `into` to `timestamp`, or remove it");
        }
        if !is_time && options.delay_into.is_some() {
            setup.error(
                format!("{at}.delay_into"),
                "`delay_into` is for times; set `into` to `timestamp`, or remove it",
            );
        }
        if is_time && each.is_some() {
            setup.error(format!("{at}.from"), "`[*]` gives an array, and an array is no time");
        }
        let into = target(at, &options.into, setup);
        let delay = options.delay_into.as_deref().filter(|_| is_time).map(|field| Delay::new(at, field, setup));
        let has_pattern = pattern.as_ref().is_some_and(Option::is_some);
        // A body is always text, whatever it contains; a match of a pattern is text too.
        let is_text = options.into == "body" || options.from == "body" || has_pattern;
        let form = if each.is_some() || !(is_text || is_time) { Form::Json } else { Form::Text };
        let into_form = if form == Form::Json && options.into != "body" { Form::Json } else { Form::Text };
        if options.on_missing == OnMissing::Null && (is_time || into_form == Form::Text) {
            let reason = "a time, a body and the match of a pattern are never null; write `keep`, `fail` or `drop`";
            setup.error(format!("{at}.on_missing"), reason);
        }
        let unchecked = form == Form::Json && options.from.starts_with("body");
        let target = match into? {
            _ if is_time => match format(options.format.as_ref()) {
                Ok(format) => Target::Time(format),
                Err(reason) => {
                    setup.error(format!("{at}.format"), reason);
                    return None;
                }
            },
            field => Target::Value(field, into_form),
        };
        Some(Self {
            from: from?,
            form,
            finder: Finder::new(each, pattern?, unchecked),
            target,
            on_missing: options.on_missing,
            on_error: options.on_error,
            delay: match delay {
                Some(delay) => Some(delay?),
                None => None,
            },
            name: options.from.clone(),
            times: Vec::new(),
        })
    }

    /// Extracts the value of every row that has it.
    pub(crate) fn run(&mut self, batch: &mut Batch<'_>, verdicts: &mut Verdicts) {
        let column = batch.read(self.from, self.form);
        let mut out =
            ColumnWriter::with_capacity(if self.finder.copies() { column.bytes.len() } else { 0 }, column.len());
        self.times.clear();
        let mut any = false;
        for row in 0..column.len() {
            let start = out.bytes.len();
            let found = self.finder.find(column.row(row), column.kind(row), &mut out.bytes);
            let mut time = i64::MIN;
            let mut keeps = false;
            match (found, &self.target) {
                (Ok(()), Target::Value(..)) => keeps = true,
                (Ok(()), Target::Time(format)) => match format.parse(out.bytes.get(start..).unwrap_or_default()) {
                    Some(found) => time = found,
                    None if self.on_error == OnError::Keep => verdicts.bad_times += 1,
                    None => verdicts.reasons.add(row, "bad-timestamp", &bad_timestamp(&self.name, format)),
                },
                (Err(_), _) if self.on_missing == OnMissing::Null => {
                    out.bytes.truncate(start);
                    out.bytes.extend_from_slice(b"null");
                    keeps = true;
                }
                (Err(missing), _) => self.miss(row, missing, verdicts),
            }
            any |= keeps || time != i64::MIN;
            if keeps {
                out.end_row();
            } else {
                out.bytes.truncate(start);
                out.push_none();
            }
            self.times.push(time);
        }
        match self.target {
            _ if !any => {}
            Target::Value(into, form) => batch.set(into, form, out),
            Target::Time(_) => {
                if let Some(delay) = &self.delay {
                    delay.set(batch, &self.times);
                }
                batch.set_timestamp(&self.times);
            }
        }
    }

    fn miss(&self, row: usize, missing: Missing, verdicts: &mut Verdicts) {
        let name = &self.name;
        match (self.on_missing, missing) {
            (OnMissing::Keep | OnMissing::Null, _) => {}
            (OnMissing::Fail, Missing::Field) => {
                verdicts.reasons.add(row, "missing-field", &format!("the event has no value at `{name}`"));
            }
            (OnMissing::Fail, Missing::Match) => {
                verdicts.reasons.add(row, "no-match", &format!("`{name}` does not match the pattern"));
            }
            (OnMissing::Drop, missing) => {
                let rows = match missing {
                    Missing::Field => &mut verdicts.without_field,
                    Missing::Match => &mut verdicts.without_match,
                };
                rows.push(u32::try_from(row).unwrap_or(u32::MAX));
            }
        }
    }
}

/// The field to read and, if the path contains `[*]`, the rest of the path.
fn source(at: &str, from: &str, setup: &mut Setup<'_>) -> Option<(Field, Option<Path>)> {
    let option = format!("{at}.from");
    // The host reports errors of a path without `[*]`, because it knows the roots.
    let Some(path) = Path::parse(from).ok().filter(|path| path.around_each().is_some()) else {
        return Some((setup.read(&option, from)?, None));
    };
    let (before, after) = path.around_each()?;
    let before = Path::from(before.to_vec()).to_string();
    let each = [&[Segment::Each], after].concat();
    Some((setup.read(&option, &before)?, Some(each.into())))
}

/// The pattern, if the options have one. Returns `None` after it reported an error to `setup`.
fn pattern(at: &str, options: &FieldOptions, setup: &mut Setup<'_>) -> Option<Option<Pattern>> {
    let Some(pattern) = &options.pattern else {
        if options.group.is_some() {
            setup.error(format!("{at}.group"), "`group` needs a `pattern`; add one or remove `group`");
        }
        return Some(None);
    };
    let regex = match Regex::new(pattern) {
        Ok(regex) => regex,
        Err(error) => {
            setup.error(format!("{at}.pattern"), bad_pattern(&error));
            return None;
        }
    };
    let (group, shown) = match &options.group {
        None => (Some(usize::from(regex.captures_len() > 1)), String::new()),
        Some(Group::Number(number)) => (Some(*number), number.to_string()),
        Some(Group::Name(name)) => (regex.capture_names().position(|group| group == Some(name)), name.clone()),
    };
    let Some(group) = group.filter(|group| *group < regex.captures_len()) else {
        setup.error(format!("{at}.group"), format!("the pattern has no group `{shown}`"));
        return None;
    };
    Some(Some(Pattern::new(regex, group)))
}

/// Prepares the format of times. The error describes the problem.
fn format(option: Option<&FormatOption>) -> Result<Format, String> {
    let named = match option {
        None => TimeFormat::default(),
        Some(FormatOption::Named(named)) => *named,
        Some(FormatOption::Directives(text)) if !text.contains('%') => {
            const NAMES: &str = "`rfc3339`, `epoch`, `epoch_ms`, `epoch_us`, `epoch_ns`, `auto`";
            return Err(format!("`{text}` is no format; write {NAMES}, or directives such as `%d/%b/%Y:%H:%M:%S %z`"));
        }
        Some(FormatOption::Directives(text)) => return Directives::new(text).map(Format::Directives),
    };
    Ok(match named {
        TimeFormat::Rfc3339 => Format::Rfc3339,
        TimeFormat::Epoch => Format::Epoch(Epoch::Seconds),
        TimeFormat::EpochMs => Format::Epoch(Epoch::Milliseconds),
        TimeFormat::EpochUs => Format::Epoch(Epoch::Microseconds),
        TimeFormat::EpochNs => Format::Epoch(Epoch::Nanoseconds),
        TimeFormat::Auto => Format::Auto,
    })
}

/// The field to set.
fn target(at: &str, into: &str, setup: &mut Setup<'_>) -> Option<Field> {
    let option = format!("{at}.into");
    let root = into.split(['.', '[']).next().unwrap_or_default();
    let fits = match root {
        "body" | "timestamp" => into == root,
        "attributes" | "resource" => into != root,
        // The host reports which roots exist.
        _ => true,
    };
    if !fits {
        setup.error(option, "a value goes to `attributes.<key>`, `resource.<key>`, `body`, `timestamp`, `severity.number`, `severity.text`, `trace_id`, `span_id` or `scope.<key>`");
        return None;
    }
    setup.write(&option, into)
}

fn bad_timestamp(name: &str, format: &Format) -> String {
    format!("`{name}` is not {} between the years 1677 and 2262", format.meaning())
}
