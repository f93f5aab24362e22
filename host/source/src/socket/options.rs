//! The options of the sources `socket` and `syslog`.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use wattle_options::{Number, OptionErrors, Period, Size};

use super::messages::StreamFraming;
use wattle_listen::{Tls, TlsOptions};

/// Least size of the receive buffer of the kernel that can be set.
const MIN_RECEIVE_BUFFER: u64 = 4 << 10;
/// Largest message; its buffer must stay below 4 GiB.
const MAX_MESSAGE_BYTES: u64 = 1 << 30;

/// The kind of the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// Connections over TCP, with TLS if `tls` is set.
    Tcp,
    /// Datagrams over UDP. Each datagram is an event.
    Udp,
    /// Connections to a Unix socket.
    #[serde(alias = "unix")]
    UnixStream,
    /// Datagrams to a Unix socket, as `/dev/log`. Each datagram is an event.
    UnixDatagram,
}

/// The options of a source `socket` or `syslog`, which differ in the default of `framing`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SocketOptions {
    /// The kind of the socket. Default: `tcp`.
    mode: Mode,
    /// Address to listen on, for `tcp` and `udp`: a host name or IP address, and a port. Default: none.
    address: Option<String>,
    /// Path of the socket, for `unix_stream` and `unix_datagram`. The source creates it, and replaces a socket that
    /// nothing listens on. Default: none.
    path: Option<PathBuf>,
    /// Permissions of the file in `path`, as an octal number such as `0660`. Default: those of the umask.
    socket_file_mode: Option<String>,
    /// How a stream is divided into events; for `tcp` and `unix_stream`. Default: `lines` for `socket`, `auto` for `syslog`.
    framing: Option<StreamFraming>,
    /// TLS of all connections, with certificates of clients if `tls.ca_file` is set; for `tcp`. Default: none;
    /// connections are not encrypted.
    tls: Option<TlsOptions>,
    /// Maximum length of a message in bytes. Longer messages are skipped, counted and logged. Default: `1MiB`.
    max_message_bytes: Size,
    /// Maximum bytes of events that wait for delivery. At this limit, the source stops reading: clients over TCP and
    /// Unix sockets wait, and the kernel drops UDP datagrams that do not fit into its buffer. Default: `64MiB`.
    max_in_flight_bytes: Size,
    /// Maximum number of connections. At this limit, further clients wait until one is closed. Default: 4096.
    max_connections: Number<usize>,
    /// How long a client may send nothing before its connection is closed. Default: none; it may stay, and TCP finds
    /// out after about two minutes if its host is down.
    idle_timeout: Option<Period>,
    /// Size of the kernel's buffer for received data that the source has not read yet. The kernel limits it to
    /// `net.core.rmem_max`. A large buffer bridges bursts of UDP datagrams. Default: that of the kernel.
    receive_buffer_bytes: Option<Size>,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            mode: Mode::Tcp,
            address: None,
            path: None,
            socket_file_mode: None,
            framing: None,
            tls: None,
            max_message_bytes: Size(1 << 20),
            max_in_flight_bytes: Size(64 << 20),
            max_connections: Number(4096),
            idle_timeout: None,
            receive_buffer_bytes: None,
        }
    }
}

/// Where a source listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// An IP address or host name, and a port.
    Address(String),
    /// A path, and the permissions of the file.
    Path(PathBuf, Option<u32>),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => formatter.write_str(address),
            Self::Path(path, _) => path.display().fmt(formatter),
        }
    }
}

/// The options as checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(super) mode: Mode,
    pub(super) place: Place,
    pub(super) framing: StreamFraming,
    pub(super) tls: Option<Tls>,
    pub(super) max_message_bytes: usize,
    pub(super) max_in_flight_bytes: usize,
    pub(super) max_connections: usize,
    pub(super) idle_timeout: Option<std::time::Duration>,
    pub(super) receive_buffer_bytes: Option<usize>,
}

impl SocketOptions {
    pub(crate) fn check(self, default_framing: StreamFraming, errors: &mut OptionErrors) -> Option<Settings> {
        let is_stream = matches!(self.mode, Mode::Tcp | Mode::UnixStream);
        if !is_stream {
            for (option, is_set) in [("framing", self.framing.is_some()), ("idle_timeout", self.idle_timeout.is_some())]
            {
                if is_set {
                    errors.add(option, "applies to connections; with datagrams, each one is an event. Remove it");
                }
            }
        }
        if self.tls.is_some() && self.mode != Mode::Tcp {
            errors.add("tls", "requires the mode `tcp`");
        }
        if !(1..=MAX_MESSAGE_BYTES).contains(&self.max_message_bytes.0) {
            errors.add("max_message_bytes", "must be at least 1 and at most `1GiB`");
        }
        errors.at_least_one("max_in_flight_bytes", self.max_in_flight_bytes.0);
        if !(1..=1 << 20).contains(&self.max_connections.0) {
            errors.add("max_connections", "must be at least 1 and at most 1048576");
        }
        if let Some(idle) = self.idle_timeout {
            errors.not_zero("idle_timeout", idle);
        }
        let receive_buffer = self.receive_buffer_bytes.map(|size| size.0);
        if receive_buffer.is_some_and(|bytes| !(MIN_RECEIVE_BUFFER..=1 << 30).contains(&bytes)) {
            errors.add("receive_buffer_bytes", "must be at least `4KiB` and at most `1GiB`");
        }
        let place = self.place(errors);
        let tls = self.tls.and_then(|tls| tls.check(&[], errors));
        Some(Settings {
            mode: self.mode,
            place: place?,
            framing: self.framing.unwrap_or(default_framing),
            tls,
            max_message_bytes: usize::try_from(self.max_message_bytes.0).unwrap_or(usize::MAX),
            max_in_flight_bytes: usize::try_from(self.max_in_flight_bytes.0).unwrap_or(usize::MAX),
            max_connections: self.max_connections.0,
            idle_timeout: self.idle_timeout.map(|idle| idle.0),
            receive_buffer_bytes: receive_buffer.and_then(|bytes| usize::try_from(bytes).ok()),
        })
    }

    fn place(&self, errors: &mut OptionErrors) -> Option<Place> {
        match self.mode {
            Mode::Tcp | Mode::Udp => {
                if self.path.is_some() {
                    errors.add(
                        "path",
                        "is for Unix sockets; set `mode` to `unix_stream` or `unix_datagram`, or remove it",
                    );
                }
                if self.socket_file_mode.is_some() {
                    errors.add("socket_file_mode", "is for Unix sockets; remove it");
                }
                let Some(address) = &self.address else {
                    errors.add("address", "is missing; write it like `0.0.0.0:514`");
                    return None;
                };
                let is_valid = address
                    .rsplit_once(':')
                    .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
                if !is_valid {
                    errors.add("address", format!("`{address}` has no port or no host; write it like `0.0.0.0:514`"));
                    return None;
                }
                Some(Place::Address(address.clone()))
            }
            Mode::UnixStream | Mode::UnixDatagram => {
                if self.address.is_some() {
                    errors.add("address", "is for the modes `tcp` and `udp`; remove it");
                }
                let permissions = match self.socket_file_mode.as_deref().map(permissions) {
                    Some(None) => {
                        errors.add("socket_file_mode", "must be an octal number from `0000` to `0777`, as a string");
                        return None;
                    }
                    permissions => permissions.flatten(),
                };
                match &self.path {
                    Some(path) if !path.as_os_str().is_empty() => Some(Place::Path(path.clone(), permissions)),
                    _ => {
                        errors.add("path", "is missing; write it like `/run/wattle/syslog.sock`");
                        None
                    }
                }
            }
        }
    }
}

fn permissions(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o777 && !digits.starts_with('+'))
}
