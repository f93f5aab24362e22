//! Listening sockets that outlive a source or a sink.
//!
//! The owner of the sources and sinks keeps one [`Listeners`] and passes it to each server that it builds. A server that
//! replaces another one at the same address continues with its socket, so that no connection is refused in between: new
//! connections wait in the backlog of the socket.

use std::any::Any;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, ToSocketAddrs as _};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;

/// Maximum number of connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Pause after a failed accept, which happens when too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Sockets of running servers, by their address as configured. Clones share the sockets.
#[derive(Clone, Debug, Default)]
pub struct Listeners(Arc<Mutex<Vec<Running>>>);

/// What a running server passes to its successor in addition to the socket.
pub type State = Arc<dyn Any + Send + Sync>;

/// A running server.
#[derive(Debug)]
struct Running {
    address: String,
    socket: Weak<OwnedFd>,
    state: Option<Weak<dyn Any + Send + Sync>>,
}

/// Registers a socket while its server runs; dropping it ends the registration.
#[derive(Debug)]
pub struct Registration {
    socket: Arc<OwnedFd>,
}

impl Listeners {
    /// Registers the socket of a running server, so that its successor can continue with it.
    ///
    /// # Errors
    ///
    /// Too many files are open.
    pub fn register(&self, address: &str, socket: &impl AsFd) -> io::Result<Registration> {
        self.register_with(address, socket, None)
    }

    /// The same with state that the successor can ask for ([`state`](Self::state)) as long as something else holds it.
    fn register_with(&self, address: &str, socket: &impl AsFd, state: Option<&State>) -> io::Result<Registration> {
        let socket = Arc::new(socket.as_fd().try_clone_to_owned()?);
        let mut running = self.0.lock();
        running.retain(Running::is_open);
        let state = state.map(Arc::downgrade);
        running.push(Running { address: address.to_owned(), socket: Arc::downgrade(&socket), state });
        Ok(Registration { socket })
    }

    /// The state of the running server at an address, if it is of this type.
    pub fn state<T: Any + Send + Sync>(&self, address: &str) -> Option<Arc<T>> {
        let running = self.0.lock();
        // The last one is the latest.
        let mut states = running.iter().rev().filter(|server| server.address == address && server.is_open());
        states.find_map(|server| server.state.as_ref()?.upgrade()?.downcast().ok())
    }

    /// Listens on an address with the socket that [`prepare`](Self::prepare) returned, and registers it. Returns the
    /// bound address, too.
    ///
    /// # Errors
    ///
    /// The system does not allow listening on the address.
    pub async fn open(
        &self,
        address: &str,
        socket: Option<StdListener>,
        state: Option<&State>,
    ) -> io::Result<(TcpListener, Registration, SocketAddr)> {
        let listener = match socket {
            Some(socket) => TcpListener::from_std(socket)?,
            None => TcpListener::bind(address).await?,
        };
        let at = listener.local_addr()?;
        let registration = self.register_with(address, &listener, state)?;
        Ok((listener, registration, at))
    }

    /// Ends the registration of a server that stops. If no successor has the same socket, `close` runs before another
    /// server can look for it. Returns whether it ran. Otherwise the socket must stay as it is: the successor accepts the
    /// clients that wait.
    pub fn end(&self, registration: Registration, close: impl FnOnce()) -> bool {
        // Two sockets can have the same key: port 0 requests a different port each time.
        let identity = |socket: &OwnedFd| rustix::fs::fstat(socket).ok().map(|stat| (stat.st_dev, stat.st_ino));
        let own = identity(&registration.socket);
        let mut running = self.0.lock();
        drop(registration);
        running.retain(Running::is_open);
        let is_last =
            !running.iter().filter_map(|server| server.socket.upgrade()).any(|socket| identity(&socket) == own);
        if is_last {
            close();
        }
        is_last
    }

    /// Returns a socket for a server that is being built: the socket of the server that it
    /// replaces, or a new one. Returns `None` if the port is still in use by a running server; then
    /// the server must bind when it runs.
    ///
    /// # Errors
    ///
    /// The system does not allow listening on the address.
    pub fn prepare(&self, address: &str) -> io::Result<Option<StdListener>> {
        let running = self.running();
        // Port 0 requests a different free port each time.
        let is_fixed = !address.ends_with(":0");
        if let Some((_, socket)) = running.iter().find(|(known, _)| known == address && is_fixed) {
            return socket.try_clone().map(|socket| Some(StdListener::from(socket)));
        }
        // Tokio can create a socket only inside a runtime. Without one, the server binds when it
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

    /// The same for a socket of another kind: that of the server that is replaced, or the one that `create` creates. `key`
    /// names the kind and the address.
    ///
    /// # Errors
    ///
    /// Those of `create`.
    pub fn prepare_with(&self, key: &str, create: impl FnOnce() -> io::Result<OwnedFd>) -> io::Result<OwnedFd> {
        let running = self.running();
        let is_fixed = !key.ends_with(":0");
        match running.iter().find(|(known, _)| known == key && is_fixed) {
            Some((_, socket)) => socket.try_clone(),
            None => create(),
        }
    }

    fn running(&self) -> Vec<(String, Arc<OwnedFd>)> {
        let running = self.0.lock();
        running.iter().filter_map(|server| Some((server.address.clone(), server.socket.upgrade()?))).collect()
    }
}

impl Running {
    fn is_open(&self) -> bool {
        self.socket.strong_count() > 0
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

/// Accepts a connection on any of the sockets.
pub async fn accept(sockets: &[TcpListener]) -> (TcpStream, SocketAddr) {
    loop {
        let any = std::future::poll_fn(|context| {
            let ready = sockets.iter().map(|socket| socket.poll_accept(context)).find(Poll::is_ready);
            ready.unwrap_or(Poll::Pending)
        });
        match any.await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(error = %error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
