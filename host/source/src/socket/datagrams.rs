//! Receives datagrams. Each one is an event, whole or not at all.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use tokio::net::{UdpSocket, UnixDatagram};
use tokio::time::Instant;
use wattle_batch::ColumnBuilder;

use super::messages::trimmed;
use super::{LAST_READ, Ownership, QUIET, Shared};
use crate::assemble::Unwanted;
use crate::frame::Skipped;
use crate::stats::add;

/// Size of the buffer for a datagram. UDP has at most 65,507 bytes; Unix sockets as many as the sender's buffer, which is
/// 208 KiB unless an administrator raised it.
const DATAGRAM_BYTES: usize = 1 << 20;

/// Maximum number of senders with a separate batch. Beyond it, all batches are sent.
const MAX_SENDERS: usize = 1024;

/// A socket for datagrams.
pub(super) enum DatagramSocket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl DatagramSocket {
    /// Receives a datagram that has arrived. A longer one than the buffer fills it.
    fn try_receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Option<IpAddr>)> {
        match self {
            Self::Udp(socket) => {
                socket.try_recv_from(buffer).map(|(bytes, peer)| (bytes, Some(peer.ip().to_canonical())))
            }
            Self::Unix(socket) => socket.try_recv(buffer).map(|bytes| (bytes, None)),
        }
    }

    async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.readable().await,
            Self::Unix(socket) => socket.readable().await,
        }
    }

    fn into_waiting(self) -> io::Result<Waiting> {
        match self {
            Self::Udp(socket) => socket.into_std().map(Waiting::Udp),
            Self::Unix(socket) => socket.into_std().map(Waiting::Unix),
        }
    }
}

impl AsFd for DatagramSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Udp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

/// The datagrams that wait at a sealed socket.
enum Waiting {
    Udp(std::net::UdpSocket),
    Unix(std::os::unix::net::UnixDatagram),
}

impl Waiting {
    fn next(&self, buffer: &mut [u8]) -> io::Result<(usize, Option<IpAddr>)> {
        match self {
            Self::Udp(socket) => socket.recv_from(buffer).map(|(bytes, peer)| (bytes, Some(peer.ip().to_canonical()))),
            Self::Unix(socket) => socket.recv(buffer).map(|bytes| (bytes, None)),
        }
    }
}

/// Collects datagrams, by their senders, into batches.
pub(super) struct Receiver {
    shared: Arc<Shared>,
    buffer: Vec<u8>,
    batches: HashMap<Option<IpAddr>, ColumnBuilder>,
    bytes: usize,
    events: usize,
    skipped: Skipped,
}

impl Receiver {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            buffer: vec![0; DATAGRAM_BYTES],
            batches: HashMap::new(),
            bytes: 0,
            events: 0,
            skipped: Skipped::default(),
        }
    }

    /// Receives datagrams until the source stops. `dropped_before` are those that the kernel had dropped before.
    pub(super) async fn run(mut self, socket: DatagramSocket, dropped_before: u64, ownership: Ownership) {
        let shared = self.shared.clone();
        let drops = async {
            match &socket {
                DatagramSocket::Udp(socket) => super::drops::follow(socket, dropped_before, &shared.context).await,
                DatagramSocket::Unix(_) => std::future::pending().await,
            }
        };
        let received = tokio::select! {
            received = self.receive(&socket) => received,
            never = drops => match never {},
        };
        if let DatagramSocket::Udp(socket) = &socket {
            // A sealed socket counts what it refuses.
            super::drops::check(socket, dropped_before, &shared.context);
        }
        // An error says that the agent ends without waiting.
        if ownership.seal(&socket, &shared.settings) && received.is_ok() {
            let _ = self.receive_rest(socket).await;
        }
    }

    /// Receives all that a sealed socket has. It asks the kernel: Tokio knows only of what it has been notified of.
    async fn receive_rest(&mut self, socket: DatagramSocket) -> Result<(), Unwanted> {
        let limits = self.shared.context.limits;
        let waiting = match socket.into_waiting() {
            Ok(waiting) => waiting,
            Err(error) => {
                self.failed(&error).await;
                return Ok(());
            }
        };
        loop {
            match waiting.next(&mut self.buffer) {
                Ok((bytes, sender)) => self.add(bytes, sender),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    self.failed(&error).await;
                    break;
                }
            }
            if limits.reached(self.bytes, self.events) || self.batches.len() >= MAX_SENDERS {
                self.send().await?;
            }
        }
        self.send().await
    }

    async fn receive(&mut self, socket: &DatagramSocket) -> Result<(), Unwanted> {
        let limits = self.shared.context.limits;
        let mut stop = self.shared.context.stop.clone();
        let mut due: Option<Instant> = None;
        let mut stop_at: Option<Instant> = None;
        loop {
            // After the stop, what has arrived is received, until nothing comes for a moment.
            let wake = stop_at.map(|_| Instant::now() + QUIET).or(due);
            tokio::select! {
                ready = socket.readable() => {
                    if let Err(error) = ready {
                        self.failed(&error).await;
                    }
                }
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    self.send().await?;
                    due = None;
                    if stop_at.is_some() {
                        return Ok(());
                    }
                    continue;
                }
                () = stop.stopped(), if stop_at.is_none() => {
                    stop_at = Some(Instant::now() + LAST_READ);
                    continue;
                }
            }
            self.receive_ready(socket).await;
            let mut now = Instant::now();
            let is_full = limits.reached(self.bytes, self.events) || self.batches.len() >= MAX_SENDERS;
            if due.is_none() && self.events > 0 {
                due = Some(now + limits.max_age);
            }
            let is_last = stop_at.is_some_and(|at| at <= now);
            if is_full || is_last || due.is_some_and(|due| due <= now) {
                self.send().await?;
                due = None;
                // The time for the last datagrams does not run while events wait for room.
                let waited = now.elapsed();
                stop_at = stop_at.map(|at| at + waited);
                now += waited;
                // Other tasks get a turn, also if datagrams arrive without a pause.
                tokio::task::yield_now().await;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Receives the datagrams that have arrived, until the batches are full.
    async fn receive_ready(&mut self, socket: &DatagramSocket) {
        let limits = self.shared.context.limits;
        while !limits.reached(self.bytes, self.events) && self.batches.len() < MAX_SENDERS {
            match socket.try_receive(&mut self.buffer) {
                Ok((bytes, sender)) => self.add(bytes, sender),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return self.failed(&error).await,
            }
        }
    }

    fn add(&mut self, bytes: usize, sender: Option<IpAddr>) {
        add(&self.shared.context.stats.read_bytes, bytes as u64);
        let datagram = self.buffer.get(..bytes).unwrap_or_default();
        let message = trimmed(datagram);
        // A datagram that fills the buffer was cut by the kernel.
        if message.len() > self.shared.settings.max_message_bytes || bytes == self.buffer.len() {
            self.skipped.too_long += 1;
            self.skipped.too_long_bytes += bytes as u64;
            self.skipped.too_long_at.get_or_insert(0);
        } else if message.is_empty() {
            self.skipped.empty += 1;
        } else {
            let batch =
                self.batches.entry(sender).or_insert_with(|| ColumnBuilder::with_capacity(message.len() * 4, 4));
            // A batch is sent long before it has 4 GiB.
            if batch.push(message).is_ok() {
                self.bytes += message.len();
                self.events += 1;
            }
        }
    }

    /// Sends the batches of all senders.
    async fn send(&mut self) -> Result<(), Unwanted> {
        let context = &self.shared.context;
        self.shared.skip("datagrams", &std::mem::take(&mut self.skipped));
        (self.bytes, self.events) = (0, 0);
        for (sender, batch) in self.batches.drain() {
            let remote = sender.map(|sender| sender.to_string());
            let resource: Vec<(&str, &str)> = remote.iter().map(|remote| ("remote", remote.as_str())).collect();
            self.shared.intake.send(batch.finish(), context.origin(self.shared.type_name, &resource)).await?;
        }
        Ok(())
    }

    async fn failed(&self, error: &io::Error) {
        let context = &self.shared.context;
        context.stats.fail(format!("cannot receive datagrams: {error}"));
        tracing::warn!(source = %context.name, %error, "cannot receive datagrams");
        tokio::time::sleep(super::ACCEPT_PAUSE).await;
    }
}
