//! Ends what the kernel takes for a socket, so that the source can read all of it before it closes the socket.
//!
//! The kernel accepts connections and acknowledges bytes whether or not a program reads them. Closing a socket throws away
//! what has arrived since the last read, and clients of these protocols never learn it. After [`seal`] nothing more
//! arrives: clients are refused, or their systems keep what the kernel has not acknowledged and report an error.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use tokio::net::{TcpStream, UnixStream};

use wattle_listen::Stream;

/// The family of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// TCP and UDP.
    Inet,
    Unix,
}

/// A connection whose socket can be sealed.
pub(super) trait Sealable: AsFd {
    const FAMILY: Family;
}

impl Sealable for TcpStream {
    const FAMILY: Family = Family::Inet;
}

impl Sealable for Stream {
    const FAMILY: Family = Family::Inet;
}

impl Sealable for UnixStream {
    const FAMILY: Family = Family::Unix;
}

/// From now on, the socket gets no connections, bytes or datagrams. Those that it has can still be taken.
pub(super) fn seal(socket: BorrowedFd<'_>, family: Family) {
    let sealed = match family {
        Family::Inet => drop_packets(socket),
        // The kernel refuses clients and what they write. It still gives what it has, also connections.
        Family::Unix => rustix::net::shutdown(socket, rustix::net::Shutdown::Read).map_err(io::Error::from),
    };
    if let Err(error) = sealed {
        tracing::warn!(%error, "cannot seal a socket; what arrives between the last read and the close is lost");
    }
}

/// Drops the packets that arrive. `shutdown` of the reading side does not: Linux resets the waiting connections of a
/// listener, and still acknowledges what comes on a connection.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn drop_packets(socket: BorrowedFd<'_>) -> io::Result<()> {
    /// The instruction `ret #0` of a packet filter: keep no byte (`linux/filter.h`).
    const KEEP_NOTHING: socket2::SockFilter = socket2::SockFilter::new(0x06, 0, 0, 0);
    socket2::SockRef::from(&socket).attach_filter(&[KEEP_NOTHING])
}

/// Other systems have no such filter.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn drop_packets(_socket: BorrowedFd<'_>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Has a sealed connection end with a reset: the client's next write fails. Otherwise its system would take one more write,
/// and no program would read it.
pub(super) fn reset_at_close(socket: BorrowedFd<'_>, family: Family) {
    if family == Family::Inet {
        // It fails only for connections that have ended.
        let _ = rustix::net::sockopt::set_socket_linger(socket, Some(std::time::Duration::ZERO));
    }
}
