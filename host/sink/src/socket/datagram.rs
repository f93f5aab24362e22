//! Sends each event as a datagram.

use std::io;

use rustix::io::Errno;
use tokio::net::{UdpSocket, UnixDatagram};

use super::address::Destination;
use super::failure::Failure;
use super::options::Settings;
use super::outage::Attempts;
use crate::batcher::RequestBatch;
use crate::dead_letter::{DeadLetters, Rejection};
use crate::retry::Backoff;
use crate::sink::SinkContext;

/// A socket that sends to one server.
enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

/// Why not all events of a payload were sent.
enum Stopped {
    /// The next event does not fit into a datagram.
    TooLarge,
    Failed(io::Error),
}

impl Socket {
    async fn open(to: &Destination) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::connect(to, &error);
        if let Destination::Path(path) = to {
            let socket = UnixDatagram::unbound().map_err(failed)?;
            socket.connect(path).map_err(failed)?;
            return Ok(Self::Unix(socket));
        }
        let mut last = Failure::name(to, &io::Error::other("it has no address"));
        for address in to.resolve().await? {
            let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let connect = async {
                let socket = UdpSocket::bind(any).await?;
                socket.connect(address).await?;
                Ok(socket)
            };
            match connect.await {
                Ok(socket) => return Ok(Self::Udp(socket)),
                Err(error) => last = failed(error),
            }
        }
        Err(last)
    }

    async fn send(&self, event: &[u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.send(event).await,
            Self::Unix(socket) => socket.send(event).await,
        }
    }

    /// Sends the events of a payload. Returns how many were sent, and why not all.
    async fn send_all(&self, batch: &RequestBatch) -> (usize, Option<Stopped>) {
        let mut sent = 0;
        for event in batch.events() {
            match self.send(event).await {
                Ok(_) => sent += 1,
                Err(error) if Errno::from_io_error(&error) == Some(Errno::MSGSIZE) => {
                    return match self.pending_error() {
                        Some(error) => (self.arrived(sent), Some(Stopped::Failed(error))),
                        None => (sent, Some(Stopped::TooLarge)),
                    };
                }
                Err(error) => return (self.arrived(sent), Some(Stopped::Failed(error))),
            }
        }
        // The kernel reports that nothing listens at the next call only.
        match self.pending_error() {
            Some(error) => (self.arrived(sent), Some(Stopped::Failed(error))),
            None => (sent, None),
        }
    }

    /// How many of the sent datagrams count as sent when the next one fails. Over UDP, the failure is that of an earlier one.
    fn arrived(&self, sent: usize) -> usize {
        match self {
            Self::Udp(_) => 0,
            Self::Unix(_) => sent,
        }
    }

    fn pending_error(&self) -> Option<io::Error> {
        let pending = match self {
            Self::Udp(socket) => socket.take_error(),
            Self::Unix(socket) => socket.take_error(),
        };
        pending.unwrap_or_else(Some)
    }
}

/// Sends the events of a sink.
pub(super) struct Datagrams {
    settings: Settings,
    context: SinkContext,
    attempts: Attempts,
    dead_letters: DeadLetters,
    socket: Option<Socket>,
}

impl Datagrams {
    pub(super) fn new(settings: Settings, context: SinkContext) -> Self {
        let attempts = Attempts::new(context.name.clone(), &settings, context.stats.clone());
        let backoff = Backoff::new(settings.retry_initial_backoff, settings.retry_max_backoff);
        let address = settings.destination.to_string();
        let (sink, stats, path) = (context.name.clone(), context.stats.clone(), settings.dead_letter.clone());
        let dead_letters = DeadLetters::new(sink, address, stats, path, backoff);
        Self { settings, context, attempts, dead_letters, socket: None }
    }

    /// Sends events until the input has ended.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the events of the payload in work that were not sent stay unacknowledged.
    pub(super) async fn run(mut self) {
        while let Some(payload) = self.context.input.pop().await {
            let mut batch = RequestBatch::of(payload);
            while batch.len() > 0 {
                if let Err(failure) = self.send(&mut batch).await {
                    self.failed(&failure, &mut batch).await;
                }
            }
        }
    }

    /// Sends the events of a payload, and takes those out of it that were sent or can never be.
    async fn send(&mut self, batch: &mut RequestBatch) -> Result<(), Failure> {
        let to = &self.settings.destination;
        let socket = match &self.socket {
            Some(socket) => socket,
            None => self.socket.insert(Socket::open(to).await?),
        };
        let (sent, stopped) = socket.send_all(batch).await;
        if sent > 0 {
            batch.split_first(sent).deliver(&self.context.stats);
            self.attempts.succeeded();
        }
        match stopped {
            None => Ok(()),
            Some(Stopped::TooLarge) => {
                let event = batch.split_first(1);
                let reason = format!("an event of {} bytes does not fit into a datagram", event.byte_len());
                self.dead_letters.refuse(event, vec![(1, reason)]).await;
                Ok(())
            }
            Some(Stopped::Failed(error)) => Err(Failure::broken(to, &error)),
        }
    }

    /// Waits after a failed attempt. When the attempts are used up, gives up the events of the payload.
    async fn failed(&mut self, failure: &Failure, batch: &mut RequestBatch) {
        // The name of the server may have another address now.
        self.socket = None;
        match self.attempts.failed(failure) {
            Some(wait) => tokio::time::sleep(wait).await,
            None => {
                let rejection = Rejection { status: None, reason: failure.to_string() };
                let batch = std::mem::take(batch);
                self.dead_letters.reject(batch, &rejection, |ack, _| ack.give_up()).await;
            }
        }
    }
}
