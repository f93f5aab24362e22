//! Times to nanoseconds since 1970-01-01T00:00:00Z, and back.

mod calendar;
mod directives;
mod epoch;
mod iso;
mod logs;
#[cfg(feature = "zones")]
mod named;
mod output;
mod parts;
mod zone;

use jiff::fmt::rfc2822;

pub use directives::Directives;
pub use output::Output;
pub use parts::Context;
pub use zone::Zone;

/// How a time is written.
#[derive(Debug)]
pub enum Format {
    /// As in RFC 3339, such as `2023-10-17T04:53:21.5Z`.
    Rfc3339,
    /// As in ISO 8601, with a zone or without, such as `2023-10-17 04:53:21,5`, `20231017T0453` and `2023-10-17`.
    Iso8601,
    /// As in RFC 2822 and HTTP, such as `Tue, 17 Oct 2023 04:53:21 +0000`.
    Rfc2822,
    /// As in an access log of Apache or nginx, such as `17/Oct/2023:04:53:21 +0000`.
    Clf,
    /// As in an error log of nginx, such as `2023/10/17 04:53:21`.
    Nginx,
    /// As in RFC 3164, such as `Oct 17 04:53:21`.
    Syslog,
    /// As in logs of Kubernetes, such as `1017 04:53:21.123456`.
    Klog,
    /// As Kubernetes writes times: RFC 3339 before lines of containers and in objects, klog in logs of its own programs.
    Kubernetes,
    /// A number since 1970, with a fraction and an exponent or without.
    Epoch(Epoch),
    /// A number since 1970, whose unit depends on its size.
    AnyEpoch,
    /// A date and time of ISO 8601, or a number since 1970, whose unit depends on its size.
    Auto,
    /// Directives of `strptime`.
    Directives(Directives),
}

/// The unit of a number since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epoch {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
}

/// The names of formats in options.
const NAMES: &str = "`rfc3339`, `iso8601`, `rfc2822`, `clf`, `apache`, `nginx`, `syslog`, `klog`, `kubernetes`, `epoch`, \
                     `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns`";

impl Format {
    /// The format with this name, or with these directives of `strptime`.
    ///
    /// # Errors
    /// Describes what is wrong with the text.
    pub fn new(text: &str) -> Result<Self, String> {
        Ok(match text {
            "rfc3339" => Self::Rfc3339,
            "iso8601" => Self::Iso8601,
            "rfc2822" => Self::Rfc2822,
            "clf" | "apache" => Self::Clf,
            "nginx" => Self::Nginx,
            "syslog" => Self::Syslog,
            "klog" => Self::Klog,
            "kubernetes" => Self::Kubernetes,
            "epoch" => Self::AnyEpoch,
            "epoch_s" => Self::Epoch(Epoch::Seconds),
            "epoch_ms" => Self::Epoch(Epoch::Milliseconds),
            "epoch_us" => Self::Epoch(Epoch::Microseconds),
            "epoch_ns" => Self::Epoch(Epoch::Nanoseconds),
            _ if text.contains('%') => Self::Directives(Directives::partial(text)?),
            _ => {
                return Err(format!("`{text}` is no format; write {NAMES}, or directives such as `%Y-%m-%d %H:%M:%S`"));
            }
        })
    }

    /// Describes a text in this format, for messages.
    pub fn meaning(&self) -> String {
        match self {
            Self::Rfc3339 => "a time of RFC 3339 such as `2023-10-17T04:53:21Z`".to_owned(),
            Self::Iso8601 => "a time of ISO 8601 such as `2023-10-17T04:53:21`".to_owned(),
            Self::Rfc2822 => "a time of RFC 2822 such as `Tue, 17 Oct 2023 04:53:21 +0000`".to_owned(),
            Self::Clf => "a time of an access log such as `17/Oct/2023:04:53:21 +0000`".to_owned(),
            Self::Nginx => "a time of an error log of nginx such as `2023/10/17 04:53:21`".to_owned(),
            Self::Syslog => "a time of syslog such as `Oct 17 04:53:21`".to_owned(),
            Self::Klog => "a time of klog such as `1017 04:53:21.123456`".to_owned(),
            Self::Kubernetes => {
                "a time of Kubernetes such as `2023-10-17T04:53:21.5Z` or `I1017 04:53:21.123456`".to_owned()
            }
            Self::Epoch(Epoch::Seconds) => "a number of seconds since 1970".to_owned(),
            Self::Epoch(Epoch::Milliseconds) => "a number of milliseconds since 1970".to_owned(),
            Self::Epoch(Epoch::Microseconds) => "a number of microseconds since 1970".to_owned(),
            Self::Epoch(Epoch::Nanoseconds) => "a number of nanoseconds since 1970".to_owned(),
            Self::AnyEpoch => "a number since 1970".to_owned(),
            Self::Auto => "a time of ISO 8601 or a number since 1970".to_owned(),
            Self::Directives(directives) => format!("a time in the format `{}`", directives.text()),
        }
    }

    /// Whether texts in this format can lack the year or the date, so that [`Context::near`] decides.
    pub const fn needs_near(&self) -> bool {
        match self {
            Self::Syslog | Self::Klog | Self::Kubernetes => true,
            Self::Directives(directives) => directives.needs_near(),
            _ => false,
        }
    }

    /// Reads a whole time; without a zone, it is UTC. Returns `None` if the text has another format, or does not fit into
    /// 64 bits of nanoseconds, of which the host reserves the lowest number.
    pub fn parse(&self, text: &[u8]) -> Option<i64> {
        self.parse_in(text, &Context::UTC)
    }

    /// Reads a time that can lack its zone, its year or its date. Returns `None` if the text has another format, there is
    /// no such day, or the time does not fit into 64 bits of nanoseconds, of which the host reserves the lowest number.
    pub fn parse_in(&self, text: &[u8], context: &Context<'_>) -> Option<i64> {
        // To the host, the lowest number means "leave the time unchanged".
        self.parse_any_in(text, context).filter(|nanoseconds| *nanoseconds != i64::MIN)
    }

    /// Like [`parse_in`](Self::parse_in), and also the time of the lowest number, 1677-09-21T00:12:43.145224192Z. It can be
    /// written, but the host cannot set it.
    pub fn parse_any_in(&self, text: &[u8], context: &Context<'_>) -> Option<i64> {
        let parts = match self {
            Self::Rfc3339 => iso::rfc_3339(text)?,
            Self::Iso8601 => iso::iso_8601(text)?,
            Self::Clf => logs::clf(text)?,
            Self::Nginx => logs::nginx(text)?,
            Self::Syslog => logs::syslog(text)?,
            Self::Klog => logs::klog(text)?,
            Self::Kubernetes => iso::rfc_3339(text).or_else(|| logs::klog(text))?,
            Self::Auto => match iso::lenient(text) {
                Some(parts) => parts,
                None => return epoch::parse(text, Epoch::of(text)),
            },
            Self::Epoch(unit) => return epoch::parse(text, *unit),
            Self::AnyEpoch => return epoch::parse(text, Epoch::of(text)),
            Self::Rfc2822 => return rfc_2822(text),
            Self::Directives(directives) => return directives.parse(text, context),
        };
        parts.resolve(context)
    }
}

/// Reads a time of RFC 2822. Servers write wrong weekdays, so they do not count.
fn rfc_2822(text: &[u8]) -> Option<i64> {
    const PARSER: rfc2822::DateTimeParser = rfc2822::DateTimeParser::new().relaxed_weekday(true);
    i64::try_from(PARSER.parse_timestamp(text.trim_ascii()).ok()?.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests;
