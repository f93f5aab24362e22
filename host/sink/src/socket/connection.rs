//! A connection, and how much of it the server's kernel has acknowledged.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use wattle_tls::ClientTls;

use super::address::Destination;
use super::failure::Failure;

/// Time limit for a TCP connection to one address.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit for a connection: name resolution, TCP and TLS.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A server that acknowledges nothing for this time is gone, in milliseconds. It also limits the answers to keepalive probes.
const USER_TIMEOUT: u32 = 60_000;

/// In TLS 1.3, a server can refuse the certificate of a client after the client has completed the handshake and sent data,
/// which the kernel of the server has acknowledged and no program reads. Servers that send something, usually tickets for later
/// sessions, have accepted; others get this time to refuse.
const REFUSAL: Duration = Duration::from_secs(1);

/// A silent connection is probed after this time, and again at this interval.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(15));

/// A byte stream.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// An open connection.
pub(super) struct Connection {
    pub(super) io: Box<dyn Io>,
    pub(super) progress: Progress,
}

/// Counts what the kernel has taken, below TLS, and what of that the server has acknowledged.
pub(super) struct Progress {
    counts: Arc<Counts>,
    /// The same socket, for questions to the kernel.
    socket: OwnedFd,
    is_tcp: bool,
    has_user_timeout: bool,
    handshake: Option<Handshake>,
}

/// The end of a TLS handshake, which is not yet known to be one.
struct Handshake {
    /// Bytes that were read before.
    read: u64,
    ended: Instant,
}

/// Bytes of a stream.
#[derive(Default)]
struct Counts {
    read: AtomicU64,
    written: AtomicU64,
}

/// A stream that counts its bytes.
struct Counted<S> {
    stream: S,
    counts: Arc<Counts>,
}

impl Connection {
    /// Connects to a server, with TLS if there is a configuration for it.
    ///
    /// # Errors
    ///
    /// There is no connection within 20 s.
    pub(super) async fn open(to: &Destination, tls: Option<&ClientTls>) -> Result<Self, Failure> {
        let opened = tokio::time::timeout(TIMEOUT, Self::connect(to, tls)).await;
        opened.unwrap_or_else(|_| Err(Failure::Timeout { at: to.to_string(), limit: TIMEOUT }))
    }

    async fn connect(to: &Destination, tls: Option<&ClientTls>) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::connect(to, &error);
        let counts = Arc::<Counts>::default();
        let progress = |socket, is_tcp| Progress {
            counts: counts.clone(),
            socket,
            is_tcp,
            has_user_timeout: false,
            handshake: None,
        };
        let (host, stream) = match to {
            Destination::Path(path) => {
                let stream = UnixStream::connect(path).await.map_err(failed)?;
                let socket = stream.as_fd().try_clone_to_owned().map_err(failed)?;
                let progress = progress(socket, false);
                return Ok(Self { io: Box::new(Counted { stream, counts }), progress });
            }
            Destination::Address { host, .. } => (host, dial(to).await?),
        };
        let socket = stream.as_fd().try_clone_to_owned().map_err(failed)?;
        let mut progress = progress(socket, true);
        progress.set_user_timeout(true);
        let stream = Counted { stream, counts };
        let Some(tls) = tls else { return Ok(Self { io: Box::new(stream), progress }) };
        let name = ServerName::try_from(host.clone()).map_err(|error| failed(io::Error::other(error)))?;
        let config = tls.current().await;
        let stream = TlsConnector::from(config).connect(name, stream).await;
        let stream = stream.map_err(|error| Failure::tls(to, &error))?;
        progress.handshake =
            Some(Handshake { read: progress.counts.read.load(Ordering::Relaxed), ended: Instant::now() });
        Ok(Self { io: Box::new(stream), progress })
    }
}

/// Connects to the first address of a host that accepts.
async fn dial(to: &Destination) -> Result<TcpStream, Failure> {
    let mut last = Failure::name(to, &io::Error::other("it has no address"));
    for address in to.resolve().await? {
        match tokio::time::timeout(TCP_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Without these, some errors are noticed later, and small events wait for others.
                let _ = stream.set_nodelay(true);
                let _ = sockopt::set_socket_keepalive(&stream, true)
                    .and_then(|()| sockopt::set_tcp_keepidle(&stream, KEEP_ALIVE.0))
                    .and_then(|()| sockopt::set_tcp_keepintvl(&stream, KEEP_ALIVE.1));
                return Ok(stream);
            }
            Ok(Err(error)) => last = Failure::connect(to, &error),
            Err(_) => last = Failure::Timeout { at: to.to_string(), limit: TCP_TIMEOUT },
        }
    }
    Err(last)
}

impl Progress {
    /// Bytes that the kernel has taken since the connection was opened.
    pub(super) fn written(&self) -> u64 {
        self.counts.written.load(Ordering::Relaxed)
    }

    /// How many of these bytes the server's kernel has acknowledged; for a Unix socket, at most those that the server has
    /// read. On systems that do not say it, all of them.
    pub(super) fn acknowledged(&mut self) -> u64 {
        if let Some(Handshake { read, ended }) = self.handshake {
            if self.counts.read.load(Ordering::Relaxed) == read && ended.elapsed() < REFUSAL {
                return 0;
            }
            self.handshake = None;
        }
        // A Unix socket counts memory instead of bytes, which is more, and 0 if there are none.
        self.written().saturating_sub(kernel::unacknowledged(&self.socket).unwrap_or(0))
    }

    /// Whether the server has reset the connection.
    pub(super) fn has_failed(&self) -> bool {
        !matches!(sockopt::socket_error(&self.socket), Ok(Ok(())))
    }

    /// Adapts the limit of time to the server, if it acknowledges nothing for a while. The limit is for servers that have
    /// vanished. It would also end connections to a server that answers, but does not read since it waits itself.
    pub(super) fn check_user_timeout(&mut self) {
        if !self.is_tcp {
            return;
        }
        let (waiting, unsent) = (kernel::unacknowledged(&self.socket), kernel::unsent(&self.socket));
        // Nothing is on its way, although something is there to be sent: the server has no room.
        let is_held_up = matches!((waiting, unsent), (Some(waiting), Some(unsent)) if waiting > 0 && waiting == unsent);
        self.set_user_timeout(!is_held_up);
    }

    fn set_user_timeout(&mut self, is_set: bool) {
        if self.has_user_timeout != is_set {
            let value = if is_set { USER_TIMEOUT } else { 0 };
            // Without it, the retransmissions of the system end after some 15 minutes.
            #[cfg(target_os = "linux")]
            let _ = sockopt::set_tcp_user_timeout(&self.socket, value);
            self.has_user_timeout = is_set;
        }
    }
}

#[cfg(target_os = "linux")]
mod kernel {
    //! The queue of a socket for sending (`tcp(7)`, `unix_ioctl` in Linux).

    use std::os::fd::AsFd;

    use rustix::ioctl::{Getter, Opcode, ioctl};

    /// `SIOCOUTQ`, which is the same as `TIOCOUTQ`.
    const OUTQ: Opcode = if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
        0x7472
    } else if cfg!(any(target_arch = "powerpc", target_arch = "powerpc64", target_arch = "sparc64")) {
        0x4004_7473
    } else {
        0x5411
    };
    /// `SIOCOUTQNSD`.
    const OUTQ_NOT_SENT: Opcode = 0x894b;

    /// Bytes that were written and that the other side has not acknowledged.
    pub(super) fn unacknowledged(socket: &impl AsFd) -> Option<u64> {
        get::<OUTQ>(socket)
    }

    /// Those of them that were not sent yet.
    pub(super) fn unsent(socket: &impl AsFd) -> Option<u64> {
        get::<OUTQ_NOT_SENT>(socket)
    }

    fn get<const OPCODE: Opcode>(socket: &impl AsFd) -> Option<u64> {
        #[expect(unsafe_code, reason = "rustix has no safe function for these; both write one `int`")]
        let bytes = unsafe { ioctl(socket, Getter::<OPCODE, i32>::new()) };
        u64::try_from(bytes.ok()?).ok()
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    //! Other systems do not say what the other side has acknowledged.

    use std::os::fd::AsFd;

    pub(super) fn unacknowledged(_: &impl AsFd) -> Option<u64> {
        None
    }

    pub(super) fn unsent(_: &impl AsFd) -> Option<u64> {
        None
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        this.counts.read.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        read
    }
}

impl<S: AsyncWrite + Unpin> Counted<S> {
    fn count(&self, written: io::Result<usize>) -> Poll<io::Result<usize>> {
        if let Ok(bytes) = written {
            self.counts.written.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        Poll::Ready(written)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(context, bytes));
        this.count(written)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(context, slices));
        this.count(written)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn a_server_that_answers_and_does_not_read_is_not_taken_for_a_vanished_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = Destination::Address { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
        let Connection { mut io, mut progress } = Connection::open(&to, None).await.unwrap();
        let limit = |progress: &Progress| sockopt::tcp_user_timeout(&progress.socket).unwrap();
        progress.check_user_timeout();
        assert_eq!((limit(&progress), progress.acknowledged()), (USER_TIMEOUT, 0));
        let (mut server, _) = listener.accept().unwrap();
        let chunk = vec![b'x'; 1 << 16];
        // Until neither kernel takes more.
        while tokio::time::timeout(Duration::from_millis(500), io.write_all(&chunk)).await.is_ok() {}
        let acknowledged = progress.acknowledged();
        assert!(0 < acknowledged && acknowledged < progress.written(), "{acknowledged} of {}", progress.written());
        progress.check_user_timeout();
        assert_eq!(limit(&progress), 0);
        let reading = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 20];
            while server.read(&mut buffer).unwrap() > 0 {}
        });
        while progress.acknowledged() < progress.written() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        progress.check_user_timeout();
        assert_eq!(limit(&progress), USER_TIMEOUT);
        drop((io, progress));
        reading.join().unwrap();
    }
}
