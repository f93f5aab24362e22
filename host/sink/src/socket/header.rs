//! Headers of syslog messages (RFC 5424, section 6.2).

use std::io::Write as _;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use wattle_options::OptionErrors;

/// Names of facilities, by their numbers, as syslog.h, rsyslog and syslog-ng have them.
const FACILITIES: [&str; 24] = [
    "kern",
    "user",
    "mail",
    "daemon",
    "auth",
    "syslog",
    "lpr",
    "news",
    "uucp",
    "cron",
    "authpriv",
    "ftp",
    "ntp",
    "security",
    "console",
    "solaris-cron",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
];

/// Names of severities, by their numbers.
const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// Other names of severities.
const ALIASES: [(&str, &str); 6] = [
    ("emergency", "emerg"),
    ("panic", "emerg"),
    ("critical", "crit"),
    ("error", "err"),
    ("warn", "warning"),
    ("informational", "info"),
];

/// Priorities are below this.
const PRIORITIES: u16 = 192;

/// A facility or severity: its name or its number.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a name or a number")]
pub(crate) enum Code {
    /// The number.
    Number(u64),
    /// The name, or the number as a text.
    Name(String),
}

impl Code {
    fn find(&self, names: &[&str], aliases: &[(&str, &str)]) -> Option<usize> {
        let number = match self {
            Self::Number(number) => usize::try_from(*number).ok(),
            Self::Name(name) => {
                let name = aliases.iter().find(|(alias, _)| alias == name).map_or(name.as_str(), |(_, name)| name);
                names.iter().position(|known| *known == name).or_else(|| name.parse().ok())
            }
        };
        number.filter(|number| *number < names.len())
    }
}

/// What every header has in common.
#[derive(Clone, Debug)]
pub(super) struct Header {
    /// Priority and version, up to the timestamp.
    before: String,
    /// From the timestamp to the text.
    after: String,
}

impl Header {
    /// The header of these options; `None` if one of them is not valid.
    pub(super) fn check(
        facility: Option<&Code>,
        severity: Option<&Code>,
        app_name: Option<&str>,
        hostname: Option<&str>,
        errors: &mut OptionErrors,
    ) -> Option<Self> {
        let facility = facility.map_or(Some(1), |code| code.find(&FACILITIES, &[]));
        if facility.is_none() {
            errors.add("facility", format!("must be a number from 0 to 23, or one of `{}`", FACILITIES.join("`, `")));
        }
        let severity = severity.map_or(Some(6), |code| code.find(&SEVERITIES, &ALIASES));
        if severity.is_none() {
            errors.add("severity", format!("must be a number from 0 to 7, or one of `{}`", SEVERITIES.join("`, `")));
        }
        for (option, text, max) in [("app_name", app_name, 48), ("hostname", hostname, 255)] {
            if text.is_some_and(|text| !(1..=max).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_graphic()))
            {
                errors.add(option, format!("must have 1 to {max} characters of ASCII, without spaces"));
            }
        }
        let hostname = hostname.map_or_else(system_hostname, str::to_owned);
        let priority = facility? * 8 + severity?;
        let app_name = app_name.unwrap_or("wattle");
        Some(Self { before: format!("<{priority}>1 "), after: format!(" {hostname} {app_name} - - - ") })
    }

    /// Writes the header of an event with this timestamp in nanoseconds, with the space before the text.
    pub(super) fn write(&self, nanoseconds: i64, out: &mut Vec<u8>) {
        out.extend_from_slice(self.before.as_bytes());
        match Timestamp::from_nanosecond(i128::from(nanoseconds)) {
            // More digits of a second are not allowed.
            Ok(time) => drop(write!(out, "{time:.6}")),
            Err(_) => out.push(b'-'),
        }
        out.extend_from_slice(self.after.as_bytes());
    }
}

/// The name of this machine, as headers may have it.
fn system_hostname() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name: String = name.chars().filter(char::is_ascii_graphic).take(255).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

/// Whether a text begins with a priority, so that it is a message of syslog.
pub(super) fn has_priority(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"<") else { return false };
    let digits = rest.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    let number = rest.iter().take(digits).fold(0_u16, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    (1..=3).contains(&digits) && number < PRIORITIES && rest.get(digits) == Some(&b'>')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_begin_with_a_priority() {
        for text in ["<0>", "<34>1 - - - - - -", "<191>x", "<007>Jan"] {
            assert!(has_priority(text.as_bytes()), "{text}");
        }
        for text in ["", "<", "<>", "<34", "<192>x", "<0034>x", "<a>", " <34>x", "34>x", "<html>"] {
            assert!(!has_priority(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn headers_have_the_options_and_at_most_six_digits_of_a_second() {
        let mut errors = OptionErrors::default();
        let code = |text: &str| Code::Name(text.to_owned());
        for (facility, severity, priority) in [
            (None, None, "<14>"),
            (Some(code("local7")), Some(code("debug")), "<191>"),
            (Some(Code::Number(0)), Some(code("error")), "<3>"),
            (Some(code("4")), Some(Code::Number(2)), "<34>"),
        ] {
            let header = Header::check(facility.as_ref(), severity.as_ref(), Some("app"), Some("h"), &mut errors);
            let mut out = Vec::new();
            header.unwrap().write(1_700_000_000_123_456_789, &mut out);
            assert_eq!(
                String::from_utf8(out).unwrap(),
                format!("{priority}1 2023-11-14T22:13:20.123456Z h app - - - ")
            );
        }
        assert_eq!(errors.count(), 0);
        let wrong = Header::check(Some(&code("local8")), Some(&Code::Number(8)), Some("a b"), Some(""), &mut errors);
        assert!(wrong.is_none());
        assert_eq!(errors.count(), 4);
        assert!(!system_hostname().contains(' '));
    }
}
