//! Facilities and severities of syslog by number and by name.
//!
//! `syslog.h` has no names for the facilities 12 to 15. The nodes write the names that Vector writes
//! (`ntp`, `audit`, `alert`, `clockd`) and read also those of rsyslog.

/// Names of the facilities, by number.
pub const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clockd", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// Names of the severities, by number.
pub const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// Further names of facilities.
const OTHER_FACILITIES: &[(&str, u32)] = &[("security", 13), ("console", 14), ("solaris-cron", 15)];

/// Further names of severities, and names of levels in logs.
const OTHER_SEVERITIES: &[(&str, u32)] = &[
    ("emergency", 0),
    ("panic", 0),
    ("critical", 2),
    ("fatal", 2),
    ("error", 3),
    ("warn", 4),
    ("information", 6),
    ("informational", 6),
    ("trace", 7),
];

/// The number of a facility from its name in any case, or from its number as text.
pub fn facility(text: &[u8]) -> Option<u32> {
    number(text, &FACILITIES, OTHER_FACILITIES)
}

/// The number of a severity from its name in any case, or from its number as text.
pub fn severity(text: &[u8]) -> Option<u32> {
    number(text, &SEVERITIES, OTHER_SEVERITIES)
}

fn number(text: &[u8], names: &[&str], others: &[(&str, u32)]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let mut all = (0..).zip(names).map(|(number, name)| (*name, number)).chain(others.iter().copied());
    let named = all.find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, number)| number);
    named.or_else(|| text.parse().ok().filter(|number| (*number as usize) < names.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facilities_and_severities_are_numbers_or_names() {
        assert_eq!(
            (facility(b"local7"), facility(b"16"), facility(b"24"), facility(b"x")),
            (Some(23), Some(16), None, None)
        );
        assert_eq!(
            (severity(b"ERROR"), severity(b" 0 "), severity(b"8"), severity(b"")),
            (Some(3), Some(0), None, None)
        );
    }

    #[test]
    fn every_name_has_its_number() {
        for (number, name) in (0..).zip(FACILITIES) {
            assert_eq!(facility(name.as_bytes()), Some(number), "{name}");
        }
        for (number, name) in (0..).zip(SEVERITIES) {
            assert_eq!(severity(name.as_bytes()), Some(number), "{name}");
        }
        assert_eq!(facility(b"solaris-cron"), facility(b"clockd"));
    }
}
