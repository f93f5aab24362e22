//! Creates the socket of a source, or continues with that of the source that it replaces.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};

use super::datagrams::DatagramSocket;
use super::drops;
use super::options::{Mode, Place, Settings};
use super::seal::{Family, seal};
use crate::error::SourceError;
use wattle_listen::{Listeners, Registration};

/// A client that was silent for this time is probed; it counts as gone after four probes without an answer.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
const PROBE_INTERVAL: Duration = Duration::from_secs(15);
const PROBES: u32 = 4;

/// An open socket.
pub(super) enum Bound {
    Streams(StreamListener),
    Datagrams(DatagramSocket),
}

/// A socket that accepts connections.
pub(super) enum StreamListener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// An accepted connection.
pub(super) enum Client {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl StreamListener {
    pub(super) async fn accept(&self) -> io::Result<Client> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, peer)| Client::Tcp(stream, peer)),
            Self::Unix(listener) => listener.accept().await.map(|(stream, _)| Client::Unix(stream)),
        }
    }

    /// The same socket, to take the connections that wait.
    pub(super) fn into_waiting(self) -> io::Result<Waiting> {
        match self {
            Self::Tcp(listener) => listener.into_std().map(Waiting::Tcp),
            Self::Unix(listener) => listener.into_std().map(Waiting::Unix),
        }
    }
}

impl AsFd for StreamListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

/// The connections that wait at a sealed socket. It asks the kernel each time: Tokio knows only of those that it has been
/// notified of.
pub(super) enum Waiting {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

impl Waiting {
    /// The next connection; `None` after the last one.
    pub(super) fn next(&self) -> io::Result<Option<Client>> {
        let accepted = match self {
            Self::Tcp(listener) => listener.accept().and_then(|(stream, peer)| {
                stream.set_nonblocking(true)?;
                Ok(Client::Tcp(TcpStream::from_std(stream)?, peer))
            }),
            Self::Unix(listener) => listener.accept().and_then(|(stream, _)| {
                stream.set_nonblocking(true)?;
                Ok(Client::Unix(UnixStream::from_std(stream)?))
            }),
        };
        match accepted {
            Ok(client) => Ok(Some(client)),
            // A sealed Unix socket without connections is an invalid argument.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::InvalidInput) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Bound {
    /// The address, unless it is a path.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Streams(StreamListener::Tcp(listener)) => listener.local_addr().ok(),
            Self::Datagrams(DatagramSocket::Udp(socket)) => socket.local_addr().ok(),
            _ => None,
        }
    }
}

/// Name of the socket among those of running sources.
fn key(settings: &Settings) -> String {
    match (&settings.place, settings.mode) {
        // As the other sources over TCP name it.
        (Place::Address(address), Mode::Tcp) => address.clone(),
        (Place::Address(address), _) => format!("udp {address}"),
        (Place::Path(path, _), mode) => format!("{mode:?} {}", path.display()),
    }
}

/// A socket that a source has taken before it runs.
pub(super) struct Taken {
    socket: OwnedFd,
    /// Also keeps the file of a Unix socket.
    registration: Registration,
    /// Datagrams that the kernel had dropped: those of the source that is replaced.
    dropped_before: u64,
}

impl Taken {
    fn new(settings: &Settings, socket: OwnedFd, listeners: &Listeners) -> io::Result<Self> {
        let registration = listeners.register(&key(settings), &socket)?;
        let dropped_before = if settings.mode == Mode::Udp { drops::dropped(&socket).unwrap_or(0) } else { 0 };
        Ok(Self { socket, registration, dropped_before })
    }
}

/// The socket of a running source.
pub(super) struct Opened {
    pub(super) bound: Bound,
    pub(super) registration: Registration,
    /// Datagrams that the kernel had dropped when the source took the socket.
    pub(super) dropped_before: u64,
    /// Size of the kernel's buffer, if the options set it.
    pub(super) receive_buffer: Option<usize>,
}

/// Takes the socket before the source runs. `None` if it can only be bound when the source that uses the address has ended.
pub(super) fn prepare(settings: &Settings, listeners: &Listeners) -> Result<Option<Taken>, SourceError> {
    let key = key(settings);
    let taken = || {
        let socket = match (&settings.place, settings.mode) {
            (Place::Address(address), Mode::Tcp) => listeners.prepare(address)?.map(OwnedFd::from),
            _ => Some(listeners.prepare_with(&key, || create(settings))?),
        };
        socket.map(|socket| Taken::new(settings, socket, listeners)).transpose()
    };
    taken().map_err(|error| SourceError::listen(&settings.place.to_string(), error))
}

/// Opens the socket of a running source.
pub(super) fn bind(settings: &Settings, taken: Option<Taken>, listeners: &Listeners) -> Result<Opened, SourceError> {
    let opened = || {
        let taken = match taken {
            Some(taken) => taken,
            None => Taken::new(settings, create(settings)?, listeners)?,
        };
        let Taken { socket, registration, dropped_before } = taken;
        let receive_buffer = match settings.receive_buffer_bytes {
            Some(bytes) => Some(set_receive_buffer(&socket, bytes)?),
            None => None,
        };
        // Again for a socket of the source that is replaced, which can have other options.
        if let Place::Path(path, Some(mode)) = &settings.place {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode))?;
        }
        rustix::io::ioctl_fionbio(&socket, true)?;
        let bound = match settings.mode {
            Mode::Tcp => Bound::Streams(StreamListener::Tcp(TcpListener::from_std(socket.into())?)),
            Mode::UnixStream => Bound::Streams(StreamListener::Unix(UnixListener::from_std(socket.into())?)),
            Mode::Udp => Bound::Datagrams(DatagramSocket::Udp(UdpSocket::from_std(socket.into())?)),
            Mode::UnixDatagram => Bound::Datagrams(DatagramSocket::Unix(UnixDatagram::from_std(socket.into())?)),
        };
        io::Result::Ok(Opened { bound, registration, dropped_before, receive_buffer })
    };
    opened().map_err(|error| SourceError::listen(&settings.place.to_string(), error))
}

/// Sets the size of the kernel's buffer. Returns what the kernel made of it.
fn set_receive_buffer(socket: &OwnedFd, bytes: usize) -> io::Result<usize> {
    sockopt::set_socket_recv_buffer_size(socket, bytes)?;
    // Linux doubles the size for its own data, and reports the doubled one (`socket(7)`).
    let factor = if cfg!(target_os = "linux") { 2 } else { 1 };
    Ok(sockopt::socket_recv_buffer_size(socket)? / factor)
}

fn create(settings: &Settings) -> io::Result<OwnedFd> {
    match &settings.place {
        Place::Address(address) if settings.mode == Mode::Tcp => bind_any(address, std::net::TcpListener::bind),
        Place::Address(address) => bind_any(address, std::net::UdpSocket::bind),
        Place::Path(path, permissions) => {
            remove_unused(path)?;
            let socket = match settings.mode {
                Mode::UnixStream => OwnedFd::from(std::os::unix::net::UnixListener::bind(path)?),
                _ => OwnedFd::from(std::os::unix::net::UnixDatagram::bind(path)?),
            };
            if let Some(mode) = permissions {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode))?;
            }
            Ok(socket)
        }
    }
}

/// Binds the first address of a host that works.
fn bind_any<S: Into<OwnedFd>>(address: &str, bind: impl Fn(SocketAddr) -> io::Result<S>) -> io::Result<OwnedFd> {
    let mut last = io::Error::other("the host has no address");
    for address in address.to_socket_addrs()? {
        match bind(address) {
            Ok(socket) => return Ok(socket.into()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Removes the file of a socket that nothing listens on, as a killed agent leaves it. Other files stay, which makes binding
/// fail.
fn remove_unused(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(file) if file.file_type().is_socket() => {}
        Ok(_) => return Err(io::Error::other("a file that is not a socket is there; remove it or set another `path`")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let is_used = match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => true,
        // A socket of the other kind: a client for datagrams can say whether it is used.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PROTOTYPE.raw_os_error()) => {
            std::os::unix::net::UnixDatagram::unbound()?.connect(path).is_ok()
        }
        Err(error) => error.kind() != io::ErrorKind::ConnectionRefused,
    };
    if is_used { Err(io::ErrorKind::AddrInUse.into()) } else { std::fs::remove_file(path) }
}

/// Ends the use of a socket: seals it and removes its file, unless another source has taken it over. Returns whether it is
/// sealed: then what it has must be taken before it is closed.
pub(super) fn end(socket: &impl AsFd, settings: &Settings, listeners: &Listeners, registration: Registration) -> bool {
    listeners.end(registration, || {
        let family = match &settings.place {
            Place::Address(_) => Family::Inet,
            Place::Path(path, _) => {
                let _ = std::fs::remove_file(path);
                Family::Unix
            }
        };
        seal(socket.as_fd(), family);
    })
}

/// Lets TCP find out that the host of a silent client is gone.
pub(super) fn keep_alive(stream: &TcpStream) {
    // Without it, the connection stays until the source stops.
    let _ = sockopt::set_socket_keepalive(stream, true)
        .and_then(|()| sockopt::set_tcp_keepidle(stream, KEEP_ALIVE))
        .and_then(|()| sockopt::set_tcp_keepintvl(stream, PROBE_INTERVAL))
        .and_then(|()| sockopt::set_tcp_keepcnt(stream, PROBES));
}
