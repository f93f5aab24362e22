//! Listening sockets that outlive a source.
//!
//! The owner of the sources keeps one [`Listeners`] and passes it to each source that it builds. A
//! source that replaces another one at the same address continues with its socket, so that no
//! connection is refused in between: new connections wait in the backlog of the socket.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, ToSocketAddrs as _};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle;

/// Maximum number of connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Sockets of running sources, by their address as configured. Clones share the sockets.
#[derive(Clone, Debug, Default)]
pub struct Listeners(Arc<Mutex<Vec<Running>>>);

/// The address of a running source and its socket.
type Running = (String, Weak<OwnedFd>);

/// Registers a socket while its source runs; dropping it ends the registration.
pub(crate) struct Registration {
    socket: Arc<OwnedFd>,
}

impl Listeners {
    /// Registers the socket of a running source, so that its successor can continue with it.
    pub(crate) fn register(&self, address: &str, socket: &impl AsFd) -> io::Result<Registration> {
        let socket = Arc::new(socket.as_fd().try_clone_to_owned()?);
        let mut running = self.0.lock();
        running.retain(|(_, socket)| socket.strong_count() > 0);
        running.push((address.to_owned(), Arc::downgrade(&socket)));
        Ok(Registration { socket })
    }

    /// Ends the registration of a source that stops. If no successor has the same socket, `close` runs before another
    /// source can look for it. Returns whether it ran. Otherwise the socket must stay as it is: the successor accepts the
    /// clients that wait.
    pub(crate) fn end(&self, registration: Registration, close: impl FnOnce()) -> bool {
        // Two sockets can have the same key: port 0 requests a different port each time.
        let identity = |socket: &OwnedFd| rustix::fs::fstat(socket).ok().map(|stat| (stat.st_dev, stat.st_ino));
        let own = identity(&registration.socket);
        let mut running = self.0.lock();
        drop(registration);
        running.retain(|(_, socket)| socket.strong_count() > 0);
        let is_last = !running.iter().filter_map(|(_, socket)| socket.upgrade()).any(|socket| identity(&socket) == own);
        if is_last {
            close();
        }
        is_last
    }

    /// Returns a socket for a source that is being built: the socket of the source that it
    /// replaces, or a new one. Returns `None` if the port is still in use by a running source; then
    /// the source must bind when it runs.
    ///
    /// # Errors
    ///
    /// The system does not allow listening on the address.
    pub(crate) fn prepare(&self, address: &str) -> io::Result<Option<StdListener>> {
        let running = self.running();
        // Port 0 requests a different free port each time.
        let is_fixed = !address.ends_with(":0");
        if let Some((_, socket)) = running.iter().find(|(known, _)| known == address && is_fixed) {
            return socket.try_clone().map(|socket| Some(StdListener::from(socket)));
        }
        // Tokio can create a socket only inside a runtime. Without one, the source binds when it
        // runs.
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

    /// The same for a socket of another kind: that of the source that is replaced, or the one that `create` creates. `key`
    /// names the kind and the address.
    ///
    /// # Errors
    ///
    /// Those of `create`.
    pub(crate) fn prepare_with(&self, key: &str, create: impl FnOnce() -> io::Result<OwnedFd>) -> io::Result<OwnedFd> {
        let running = self.running();
        let is_fixed = !key.ends_with(":0");
        match running.iter().find(|(known, _)| known == key && is_fixed) {
            Some((_, socket)) => socket.try_clone(),
            None => create(),
        }
    }

    fn running(&self) -> Vec<(String, Arc<OwnedFd>)> {
        self.0.lock().iter().filter_map(|(address, socket)| Some((address.clone(), socket.upgrade()?))).collect()
    }
}

/// Listens on the first address of a host that works.
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
