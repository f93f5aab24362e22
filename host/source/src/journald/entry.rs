//! What an entry says about itself: its units, its service, its severity.

use super::export::Entry;

/// Names of priorities, by their numbers, and the severity numbers of OpenTelemetry.
pub(super) const PRIORITIES: [(&str, u8); 8] = [
    ("emerg", 21),
    ("alert", 19),
    ("crit", 18),
    ("err", 17),
    ("warning", 13),
    ("notice", 10),
    ("info", 9),
    ("debug", 5),
];

/// Fields with the unit that an entry is about, and the field that makes each of them credible: journald sets fields with an
/// underscore, and any program can set others.
pub(super) const UNIT_FIELDS: [(&str, Option<&str>); 4] = [
    ("_SYSTEMD_UNIT", None),
    ("UNIT", Some("_PID=1")),
    ("OBJECT_SYSTEMD_UNIT", Some("_UID=0")),
    ("COREDUMP_UNIT", Some("_UID=0")),
];

/// Whether an entry belongs to a unit, as `journalctl --unit` selects entries.
pub(super) fn is_of_unit(entry: &Entry, unit: &str) -> bool {
    UNIT_FIELDS.iter().any(|(field, condition)| {
        entry.all(field).any(|value| value == unit.as_bytes())
            && condition
                .and_then(|condition| condition.split_once('='))
                .is_none_or(|(name, value)| entry.all(name).any(|found| found == value.as_bytes()))
    })
}

/// Name and number of the severity.
pub(super) fn severity(entry: &Entry) -> Option<(&'static str, u8)> {
    match entry.get("PRIORITY")? {
        [digit @ b'0'..=b'7'] => PRIORITIES.get(usize::from(digit - b'0')).copied(),
        _ => None,
    }
}

/// The name of the service: its unit without the suffix, or the name that the program gave itself.
pub(super) fn service(entry: &Entry) -> Option<&[u8]> {
    let unit = ["_SYSTEMD_USER_UNIT", "_SYSTEMD_UNIT"].into_iter().find_map(|field| {
        // The manager of a user is the unit of all programs of that user, so it says nothing.
        entry.get(field)?.strip_suffix(b".service").filter(|name| !name.is_empty() && !name.starts_with(b"user@"))
    });
    unit.or_else(|| entry.get("SYSLOG_IDENTIFIER")).or_else(|| entry.get("_COMM")).filter(|name| !name.is_empty())
}

/// When the entry was made, in nanoseconds since 1970.
pub(super) fn time(entry: &Entry) -> Option<i64> {
    let source = entry.get("_SOURCE_REALTIME_TIMESTAMP").and_then(super::export::number);
    i64::try_from(source.or(entry.realtime)?).ok()?.checked_mul(1000)
}
