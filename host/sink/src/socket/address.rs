//! Where a sink sends to.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use wattle_options::OptionErrors;

use super::failure::Failure;
use super::options::Mode;

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// A host name or IP address, and a port.
    Address {
        /// IPv6 addresses have no brackets.
        host: String,
        port: u16,
    },
    /// A Unix socket.
    Path(PathBuf),
}

impl fmt::Display for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { host, port } if host.contains(':') => write!(formatter, "[{host}]:{port}"),
            Self::Address { host, port } => write!(formatter, "{host}:{port}"),
            Self::Path(path) => path.display().fmt(formatter),
        }
    }
}

impl Destination {
    /// The address of the options.
    pub(super) fn check(
        mode: Mode,
        address: Option<String>,
        path: Option<PathBuf>,
        errors: &mut OptionErrors,
    ) -> Option<Self> {
        if matches!(mode, Mode::UnixStream | Mode::UnixDatagram) {
            if address.is_some() {
                errors.add("address", "is for the modes `tcp` and `udp`; remove it");
            }
            let path = path.filter(|path| !path.as_os_str().is_empty());
            if path.is_none() {
                errors.add("path", "is missing; write it like `/dev/log`");
            }
            return path.map(Self::Path);
        }
        if path.is_some() {
            errors.add("path", "is for Unix sockets; set `mode` to `unix_stream` or `unix_datagram`, or remove it");
        }
        let Some(address) = address else {
            errors.add("address", "is missing; write it like `logs.example.com:514`");
            return None;
        };
        let parsed = parse(&address);
        if parsed.is_none() {
            let error =
                format!("`{address}` has no port or no host; write it like `logs.example.com:514` or `[::1]:514`");
            errors.add("address", error);
        }
        parsed
    }

    /// The addresses of the host.
    ///
    /// # Errors
    ///
    /// The name cannot be resolved.
    pub(super) async fn resolve(&self) -> Result<Vec<SocketAddr>, Failure> {
        let Self::Address { host, port } = self else { return Ok(Vec::new()) };
        match tokio::net::lookup_host((host.as_str(), *port)).await {
            Ok(found) => Ok(found.collect()),
            Err(error) => Err(Failure::name(self, &error)),
        }
    }
}

fn parse(address: &str) -> Option<Destination> {
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    // Without brackets, the last part of an IPv6 address would be taken for the port.
    let host = in_brackets.or_else(|| (!host.contains(':')).then_some(host)).filter(|host| !host.is_empty())?;
    Some(Destination::Address { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hosts_with_ports() {
        let shown = |text| parse(text).map(|destination| destination.to_string());
        for text in ["logs.example.com:514", "127.0.0.1:1", "[::1]:6514"] {
            assert_eq!(shown(text).as_deref(), Some(text));
        }
        for text in ["logs", ":514", "a:0", "a:70000", "a:", "::1:514", "[]:1"] {
            assert_eq!(shown(text), None, "{text}");
        }
    }
}
