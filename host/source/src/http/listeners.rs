//! Sockets that outlive a source: a source that takes the place of another at the same address goes on with its socket, so
//! that no connection is refused between them. Those that come meanwhile wait in it.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, ToSocketAddrs as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Sockets of sources that run, by the address as it is configured.
static RUNNING: Mutex<Vec<(String, Weak<OwnedFd>)>> = Mutex::new(Vec::new());

/// Keeps a socket findable as long as its source runs.
pub(super) struct Shown {
    _socket: Arc<OwnedFd>,
}

/// Lets the successor of a source find its socket.
pub(super) fn show(address: &str, listener: &TcpListener) -> io::Result<Shown> {
    let socket = Arc::new(listener.as_fd().try_clone_to_owned()?);
    let mut running = RUNNING.lock();
    running.retain(|(_, socket)| socket.strong_count() > 0);
    running.push((address.to_owned(), Arc::downgrade(&socket)));
    Ok(Shown { _socket: socket })
}

/// A socket for a source that is being built: that of the source which it takes the place of, or a new one. `None` if that
/// can only be told once another source has given up its port.
///
/// # Errors
///
/// The address cannot be listened at.
pub(super) fn prepare(address: &str) -> io::Result<Option<StdListener>> {
    let running: Vec<(String, Arc<OwnedFd>)> =
        RUNNING.lock().iter().filter_map(|(address, socket)| Some((address.clone(), socket.upgrade()?))).collect();
    // Any free port is another one each time.
    let is_fixed = !address.ends_with(":0");
    if let Some((_, socket)) = running.iter().find(|(known, _)| known == address && is_fixed) {
        return socket.try_clone().map(|socket| Some(StdListener::from(socket)));
    }
    // Sockets belong to a runtime; whoever builds a source outside of one gets it when it runs.
    if Handle::try_current().is_err() {
        return Ok(None);
    }
    let port = |address: &str| address.rsplit_once(':').map(|(_, port)| port.to_owned());
    match bind(address) {
        Ok(listener) => listener.into_std().map(Some),
        Err(_) if running.iter().any(|(known, _)| port(known) == port(address)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Listens at an address.
fn bind(address: &str) -> io::Result<TcpListener> {
    let mut last = io::Error::other("the host has no address");
    for address in address.to_socket_addrs()? {
        match listen_at(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
