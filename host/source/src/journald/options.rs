//! The options of a `journald` source, as written and as checked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use wattle_options::{Flag, OptionErrors, Size};

use super::entry::{PRIORITIES, UNIT_FIELDS, is_of_unit};
use super::export::Entry;
use crate::frame::check_max_bytes;

/// Default of `max_event_bytes`.
const DEFAULT_MAX_EVENT_BYTES: u64 = 16 << 20;

/// Most arguments that select entries: far below what the system allows a program.
const MAX_TERMS: usize = 1000;

/// Other names of priorities.
const ALIASES: [(&str, &str); 6] = [
    ("emergency", "emerg"),
    ("panic", "emerg"),
    ("critical", "crit"),
    ("error", "err"),
    ("warn", "warning"),
    ("informational", "info"),
];

/// The options as written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Units whose entries are read, such as `["sshd", "nginx.service"]`. A name without a suffix is that of a service. As
    /// with `journalctl --unit`, this includes what systemd says about the unit. Default: all entries.
    include_units: Vec<String>,
    /// Units whose entries are not read. Default: none.
    exclude_units: Vec<String>,
    /// Fields and the values of which an entry must have one, such as `{ _TRANSPORT = ["kernel", "audit"] }`. An entry must
    /// match all fields. Default: all entries.
    include_matches: BTreeMap<String, Vec<String>>,
    /// Fields and values; an entry that has one of them is not read. Default: none.
    exclude_matches: BTreeMap<String, Vec<String>>,
    /// The least severe priority that is read: `emerg`, `alert`, `crit`, `err`, `warning`, `notice`, `info`, `debug`, or its
    /// number from 0 to 7. With this option, entries without a priority are not read. Default: all entries.
    priority: Option<Priority>,
    /// Whether the first start begins with the entries of the current boot. With `false`, it begins with the oldest entry.
    /// Later starts continue after what was delivered, also over a boot. The journal of another machine needs `false`.
    /// Default: `true`.
    current_boot_only: Option<Flag>,
    /// Whether the first start reads only entries from then on. Default: `false`.
    since_now: Option<Flag>,
    /// Folder of journal files, as for `journalctl --directory`, such as `/var/log/journal/remote`.
    /// Default: the journal of this host.
    journal_directory: Option<PathBuf>,
    /// Namespace of the journal, as for `journalctl --namespace`; `*` stands for all of them, and `+` before a name adds the
    /// default namespace. Default: the default namespace.
    journal_namespace: Option<String>,
    /// Path or name of the program `journalctl`. Default: `journalctl`.
    journalctl_path: Option<PathBuf>,
    /// Maximum bytes of an entry with all its fields. A longer one is skipped, counted and logged. Default: `16MiB`.
    max_event_bytes: Option<Size>,
    /// Maximum bytes of events that wait for delivery. Reading pauses at this limit. Default: `64MiB`.
    max_in_flight_bytes: Option<Size>,
}

/// A priority: its name or its number.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a name or a number")]
enum Priority {
    /// The number.
    Number(u64),
    /// The name, or the number as a text.
    Name(String),
}

impl Priority {
    fn number(&self) -> Option<usize> {
        let number = match self {
            Self::Number(number) => usize::try_from(*number).ok(),
            Self::Name(name) => {
                let name = ALIASES.iter().find(|(alias, _)| alias == name).map_or(name.as_str(), |(_, name)| name);
                PRIORITIES.iter().position(|(known, _)| *known == name).or_else(|| name.parse().ok())
            }
        };
        number.filter(|number| *number < PRIORITIES.len())
    }
}

/// The options as checked.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) program: PathBuf,
    pub(super) directory: Option<PathBuf>,
    pub(super) namespace: Option<String>,
    include_units: Vec<String>,
    exclude_units: Vec<String>,
    /// Terms as `journalctl` takes them, `FIELD=value`.
    include: Vec<String>,
    exclude: Vec<(String, String)>,
    pub(super) current_boot_only: bool,
    pub(super) since_now: bool,
    pub(super) max_event_bytes: usize,
    pub(super) max_in_flight_bytes: usize,
}

impl Settings {
    /// Checks the options. `None` if they are not valid; all errors are in `errors`.
    pub(super) fn new(options: Options, errors: &mut OptionErrors) -> Option<Self> {
        let include_units = units("include_units", options.include_units, errors);
        let exclude_units = units("exclude_units", options.exclude_units, errors);
        for (index, unit) in exclude_units.iter().enumerate() {
            if include_units.contains(unit) {
                errors.add(&format!("exclude_units[{index}]"), format!("`{unit}` is in `include_units` as well"));
            }
        }
        let included = matches("include_matches", options.include_matches, errors);
        let exclude = matches("exclude_matches", options.exclude_matches, errors);
        if let Some((name, value)) = exclude.iter().find(|term| included.contains(term)) {
            errors.add(&format!("exclude_matches.{name}"), format!("`{value}` is in `include_matches` as well"));
        }
        let mut include: Vec<String> = included.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if let Some(priority) = &options.priority {
            match priority.number() {
                Some(least) => include.extend((0..=least).map(|number| format!("PRIORITY={number}"))),
                None => {
                    let names = PRIORITIES.map(|(name, _)| name).join("`, `");
                    errors.add("priority", format!("must be a number from 0 to 7, or one of `{names}`"));
                }
            }
            if included.iter().any(|(name, _)| name == "PRIORITY") {
                errors.add("include_matches.PRIORITY", "cannot be combined with `priority`; remove one of the two");
            }
        }
        if UNIT_FIELDS.len() * (include.len() + include_units.len()) > MAX_TERMS {
            errors.add("include_matches", "names too many units and values; `journalctl` takes some hundred");
        }
        if options.journal_namespace.is_some() && options.journal_directory.is_some() {
            errors.add("journal_namespace", "has no effect with `journal_directory`; remove one of the two");
        }
        if options.journal_namespace.as_ref().is_some_and(|name| name.is_empty() || name.contains('\0')) {
            errors.add("journal_namespace", "must not be empty");
        }
        for (name, path) in
            [("journal_directory", &options.journal_directory), ("journalctl_path", &options.journalctl_path)]
        {
            if path.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
                errors.add(name, "a path must not be empty");
            }
        }
        let since_now = options.since_now.is_some_and(|since_now| since_now.0);
        if since_now && options.current_boot_only.is_some_and(|only| !only.0) {
            errors.add(
                "current_boot_only",
                "`false` reads older entries, which `since_now` excludes; remove one of the two",
            );
        }
        let max_event_bytes = options.max_event_bytes.unwrap_or(Size(DEFAULT_MAX_EVENT_BYTES));
        errors.accept::<()>(Err(check_max_bytes("max_event_bytes", max_event_bytes).into_iter().collect()));
        let max_in_flight_bytes = options.max_in_flight_bytes.map_or(64 << 20, |size| size.0);
        errors.at_least_one("max_in_flight_bytes", max_in_flight_bytes);
        Some(Self {
            program: options.journalctl_path.unwrap_or_else(|| "journalctl".into()),
            directory: options.journal_directory,
            namespace: options.journal_namespace,
            include_units,
            exclude_units,
            include,
            exclude,
            current_boot_only: options.current_boot_only.is_none_or(|only| only.0),
            since_now,
            max_event_bytes: usize::try_from(max_event_bytes.0).unwrap_or(usize::MAX),
            max_in_flight_bytes: usize::try_from(max_in_flight_bytes).unwrap_or(usize::MAX),
        })
    }

    /// The terms by which `journalctl` selects entries, with those of `more`. Different fields must all match, and of the
    /// values of one field one must; `+` separates alternatives.
    pub(super) fn terms(&self, more: Vec<String>) -> Vec<String> {
        let common: Vec<String> = self.include.iter().cloned().chain(more).collect();
        if self.include_units.is_empty() {
            return common;
        }
        let mut terms = Vec::new();
        for (index, (field, condition)) in UNIT_FIELDS.iter().enumerate() {
            if index > 0 {
                terms.push("+".to_owned());
            }
            terms.extend(self.include_units.iter().map(|unit| format!("{field}={unit}")));
            terms.extend(condition.map(str::to_owned));
            terms.extend(common.iter().cloned());
        }
        terms
    }

    /// Whether an entry is not read. `journalctl` cannot exclude entries.
    pub(super) fn excludes(&self, entry: &Entry) -> bool {
        self.exclude_units.iter().any(|unit| is_of_unit(entry, unit))
            || self.exclude.iter().any(|(name, value)| entry.all(name).any(|found| found == value.as_bytes()))
    }
}

/// Checks names of units, and adds the suffix of services to names without one.
fn units(option: &str, names: Vec<String>, errors: &mut OptionErrors) -> Vec<String> {
    for (index, name) in names.iter().enumerate() {
        let place = format!("{option}[{index}]");
        if name.is_empty() || name.contains(|c: char| c.is_control() || c == '/') {
            errors.add(&place, format!("`{}` is not the name of a unit", name.escape_debug()));
        } else if name.contains(['*', '?', '[']) {
            errors.add(&place, format!("`{name}` is a pattern; write the full names of units"));
        }
    }
    names.into_iter().map(|name| if name.contains('.') { name } else { format!("{name}.service") }).collect()
}

/// Checks fields and their values.
fn matches(option: &str, fields: BTreeMap<String, Vec<String>>, errors: &mut OptionErrors) -> Vec<(String, String)> {
    let mut terms = Vec::new();
    for (name, values) in fields {
        let place = format!("{option}.{name}");
        let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || !name.bytes().all(is_name) {
            errors.add(&place, "is not a field of the journal: these have capital letters, digits and underscores");
        } else if name.starts_with("__") {
            errors.add(&place, "is an address of an entry, by which the journal cannot select entries");
        }
        if values.is_empty() {
            errors.add(&place, "has no value; add one or remove the field");
        }
        if values.iter().any(|value| value.contains('\0')) {
            errors.add(&place, "a value must not have a zero byte");
        }
        terms.extend(values.into_iter().map(|value| (name.clone(), value)));
    }
    terms
}

#[cfg(test)]
pub(super) fn settings(options: serde_json::Value) -> Result<Settings, Vec<wattle_options::OptionError>> {
    wattle_options::read(&options, Settings::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn terms_select_the_entries_of_units_and_what_systemd_says_about_them() {
        let none = settings(json!({})).unwrap();
        assert_eq!(none.terms(Vec::new()), [""; 0]);
        assert_eq!(none.terms(vec!["_BOOT_ID=b".into()]), ["_BOOT_ID=b"]);
        let options = json!({ "include_units": ["a", "b.timer"], "priority": 1, "include_matches": { "X": ["y"] } });
        let common = "X=y PRIORITY=0 PRIORITY=1 _BOOT_ID=b";
        let expected = format!(
            "_SYSTEMD_UNIT=a.service _SYSTEMD_UNIT=b.timer {common} + UNIT=a.service UNIT=b.timer _PID=1 {common} \
             + OBJECT_SYSTEMD_UNIT=a.service OBJECT_SYSTEMD_UNIT=b.timer _UID=0 {common} \
             + COREDUMP_UNIT=a.service COREDUMP_UNIT=b.timer _UID=0 {common}"
        );
        assert_eq!(settings(options).unwrap().terms(vec!["_BOOT_ID=b".into()]).join(" "), expected);
    }

    #[test]
    fn a_priority_has_a_name_or_a_number() {
        for (priority, terms) in [(json!("crit"), 3), (json!("error"), 4), (json!(7), 8), (json!("0"), 1)] {
            assert_eq!(settings(json!({ "priority": priority })).unwrap().terms(Vec::new()).len(), terms, "{priority}");
        }
        for priority in [json!("loud"), json!(8), json!(""), json!("-1")] {
            assert_eq!(settings(json!({ "priority": priority })).unwrap_err().len(), 1, "{priority}");
        }
    }
}
