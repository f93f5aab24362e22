//! Options of the sinks `socket` and `syslog`: as written, and validated.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use wattle_options::{Number, OptionError, OptionErrors, Period};
use wattle_tls::{ClientOptions, TlsOptions};

use super::address::Destination;
use super::format::{Frame, SocketFormat};
use super::header::{self, Header};
use crate::encode::{Encoding, EncodingOptions, Framing, schema_without_parquet};

/// The kind of the socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// A connection over TCP, with TLS if `tls` is set.
    #[default]
    Tcp,
    /// Datagrams over UDP. Each event is a datagram.
    Udp,
    /// A connection to a Unix socket.
    #[serde(alias = "unix")]
    UnixStream,
    /// Datagrams to a Unix socket, as `/dev/log`. Each event is a datagram.
    UnixDatagram,
}

/// How a connection is divided into events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StreamFraming {
    /// A line feed follows each event.
    Lines,
    /// The length of each event is before it, as a number and a space (RFC 6587, section 3.4.1). Events may have line feeds.
    /// An event without a text is left out, since the length must not be 0.
    OctetCounting,
}

/// Wait before retries, and their number.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RequestOptions {
    /// Upper bound of the wait before the first retry. It doubles with each retry; the wait is random below it.
    /// Default: `1s`.
    retry_initial_backoff: Period,
    /// Maximum of that bound. Default: `30s`.
    retry_max_backoff: Period,
    /// Maximum number of retries in a row. After them, the events that wait for the connection count as failed.
    /// Default: no limit.
    retry_attempts: Option<Number<usize>>,
}

impl Default for RequestOptions {
    fn default() -> Self {
        Self {
            retry_initial_backoff: Period(Duration::from_secs(1)),
            retry_max_backoff: Period(Duration::from_secs(30)),
            retry_attempts: None,
        }
    }
}

/// Defines the options of a sink that sends to a socket; `serde(flatten)` would do without a macro, but accepts unknown
/// options.
macro_rules! sink_options {
    ($(#[$meta:meta])* $name:ident, $(#[$framing:meta])* framing, $(#[$encoding:meta])* encoding, { $($more:tt)* }) => {
        $(#[$meta])*
        #[derive(Debug, Default, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub(super) struct $name {
            /// The kind of the socket. Default: `tcp`.
            mode: Mode,
            /// Address of the server, for `tcp` and `udp`: a host name or IP address, and a port. Default: none.
            address: Option<String>,
            /// Path of the socket, for `unix_stream` and `unix_datagram`. Default: none.
            path: Option<PathBuf>,
            $(#[$framing])*
            framing: Option<StreamFraming>,
            $(#[$encoding])*
            encoding: EncodingOptions,
            /// TLS of the connection, also as an empty table; for `tcp`. The certificate must be for the host in `address`.
            /// Default: none; the connection is not encrypted.
            tls: Option<TlsOptions>,
            /// Wait before retries, and their number.
            request: RequestOptions,
            /// File for events that cannot be sent, one JSON object per line: `time`, `sink`, `status`, `reason`, and the
            /// event as it was encoded in `event`, or as base64 in `event_base64` if it is not UTF-8. Default: none; these
            /// events are counted and discarded.
            dead_letter: Option<PathBuf>,
            $($more)*
        }

        impl $name {
            /// The options that both sinks have.
            fn common(self) -> Common {
                Common {
                    mode: self.mode,
                    address: self.address,
                    path: self.path,
                    framing: self.framing,
                    encoding: self.encoding,
                    tls: self.tls,
                    request: self.request,
                    dead_letter: self.dead_letter,
                }
            }
        }
    };
}

sink_options! {
    /// Options of the sink `socket`.
    ///
    /// # Delivery
    ///
    /// TCP and Unix sockets have no acknowledgements of events. With `tcp`, events count as delivered when the kernel of the
    /// server has acknowledged their bytes; with `unix_stream`, when the server has read them. If the connection breaks, the
    /// sink connects again and sends the others again, so the server can receive an event twice. Events that the kernel of
    /// the server had accepted and the server had not read when it crashed are lost. With `udp` and `unix_datagram`, events
    /// count as delivered when they are sent; the network, or the kernel of the server, can drop UDP datagrams.
    ///
    /// # Events that cannot be sent
    ///
    /// A datagram over UDP has at most 65,507 bytes; one to a Unix socket about 200 KB, as the system is configured. Longer
    /// events go to `dead_letter` if it is set, and count as rejected.
    SocketOptions,
    /// How the connection is divided into events; for `tcp` and `unix_stream`. Default: `lines`.
    framing,
    /// How to write an event. `framing` of the sink replaces `encoding.framing`; `minify` is on by default with the framing
    /// `lines`.
    encoding,
    {}
}

sink_options! {
    /// Options of the sink `syslog`: the sink `socket` with messages of syslog.
    ///
    /// An event whose text begins with a priority, such as `<34>`, is a message and is sent unchanged. Others get a header of
    /// RFC 5424 with the timestamp of the event and the options below. With the framing `lines`, line feeds in a message are
    /// written as `#012` and zero bytes as `#000`, as rsyslog does.
    ///
    /// # Delivery
    ///
    /// Syslog has no acknowledgements of messages. With `tcp`, events count as delivered when the kernel of the server has
    /// acknowledged their bytes; with `unix_stream`, when the server has read them. If the connection breaks, the sink
    /// connects again and sends the others again, so the server can receive a message twice. Messages that the kernel of the
    /// server had accepted and the server had not read when it crashed are lost. With `udp` and `unix_datagram`, events count
    /// as delivered when they are sent; the network, or the kernel of the server, can drop UDP datagrams.
    ///
    /// # Events that cannot be sent
    ///
    /// A datagram over UDP has at most 65,507 bytes; one to a Unix socket about 200 KB, as the system is configured. Longer
    /// messages go to `dead_letter` if it is set, and count as rejected.
    SyslogOptions,
    /// How the connection is divided into messages; for `tcp` and `unix_stream`. Default: `octet_counting`.
    framing,
    /// How to write the text of a message. The codec is `text` by default. `framing` of the sink replaces
    /// `encoding.framing`; `minify` is on by default with the framing `lines`.
    encoding,
    {
        /// Facility of messages without a header: a name such as `local0`, or a number from 0 to 23. Default: `user`.
        facility: Option<header::Code>,
        /// Severity of messages without a header: a name such as `warning`, or a number from 0 to 7. Default: `info`.
        severity: Option<header::Code>,
        /// Name of the application in messages without a header: up to 48 characters of ASCII without spaces.
        /// Default: `wattle`.
        app_name: Option<String>,
        /// Name of the host in messages without a header: up to 255 characters of ASCII without spaces. Default: that of the
        /// system.
        hostname: Option<String>,
    }
}

/// The options that both sinks have, as written.
struct Common {
    mode: Mode,
    address: Option<String>,
    path: Option<PathBuf>,
    framing: Option<StreamFraming>,
    encoding: EncodingOptions,
    tls: Option<TlsOptions>,
    request: RequestOptions,
    dead_letter: Option<PathBuf>,
}

/// Validated options of both halves.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) format: SocketFormat,
    pub(super) settings: Settings,
}

/// Validated options of the sending half.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) mode: Mode,
    pub(super) destination: Destination,
    pub(super) tls: Option<ClientOptions>,
    pub(super) retry_initial_backoff: Duration,
    pub(super) retry_max_backoff: Duration,
    pub(super) retry_attempts: Option<usize>,
    pub(super) dead_letter: Option<PathBuf>,
}

/// The JSON schema of the options of the sink `socket`.
pub(crate) fn schema_of_socket() -> Value {
    schema_without_parquet::<SocketOptions>()
}

/// The JSON schema of the options of the sink `syslog`.
pub(crate) fn schema_of_syslog() -> Value {
    schema_without_parquet::<SyslogOptions>()
}

/// Reads and validates options of the sink `socket`.
///
/// # Errors
///
/// Every error that was found.
pub(super) fn read_socket(options: &Value) -> Result<Checked, Vec<OptionError>> {
    wattle_options::read(options, |options: SocketOptions, errors| {
        options.common().check(StreamFraming::Lines, None, errors)
    })
}

/// Reads and validates options of the sink `syslog`.
///
/// # Errors
///
/// Every error that was found.
pub(super) fn read_syslog(options: &Value) -> Result<Checked, Vec<OptionError>> {
    let mut options = options.clone();
    // The other sinks have another default codec.
    if let Some(options) = options.as_object_mut()
        && let Some(encoding) = options.entry("encoding").or_insert_with(|| json!({})).as_object_mut()
    {
        encoding.entry("codec").or_insert_with(|| json!("text"));
    }
    wattle_options::read(&options, |options: SyslogOptions, errors| {
        let (facility, severity) = (options.facility.as_ref(), options.severity.as_ref());
        let (app_name, hostname) = (options.app_name.as_deref(), options.hostname.as_deref());
        let header = Header::check(facility, severity, app_name, hostname, errors);
        options.common().check(StreamFraming::OctetCounting, Some(header?), errors)
    })
}

impl Common {
    fn check(
        self,
        default_framing: StreamFraming,
        header: Option<Header>,
        errors: &mut OptionErrors,
    ) -> Option<Checked> {
        let is_stream = matches!(self.mode, Mode::Tcp | Mode::UnixStream);
        if self.framing.is_some() && !is_stream {
            errors.add("framing", "applies to connections; each datagram is an event. Remove it");
        }
        if self.encoding.framing.is_some() {
            errors.add("encoding.framing", "is not an option of this sink; use `framing`");
        }
        let tls = self.tls.as_ref().map(|tls| tls.check(errors));
        if self.tls.is_some() && self.mode != Mode::Tcp {
            errors.add("tls", "requires the mode `tcp`");
        }
        if self.dead_letter.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            errors.add("dead_letter", "a path must not be empty");
        }
        let frame = match self.framing.unwrap_or(default_framing) {
            _ if !is_stream => Frame::Datagram,
            StreamFraming::Lines => Frame::Line,
            StreamFraming::OctetCounting => Frame::Count,
        };
        let mut encoding = Encoding::new(&self.encoding, errors);
        encoding.framing = Framing::None;
        encoding.minify = self.encoding.minify.map_or(frame == Frame::Line, |minify| minify.0);
        let destination = Destination::check(self.mode, self.address, self.path, errors);
        let settings = Settings {
            mode: self.mode,
            destination: destination?,
            tls,
            retry_initial_backoff: self.request.retry_initial_backoff.0,
            retry_max_backoff: self.request.retry_max_backoff.0,
            retry_attempts: self.request.retry_attempts.map(|count| count.0),
            dead_letter: self.dead_letter,
        };
        Some(Checked { format: SocketFormat { encoding, frame, header }, settings })
    }
}
