//! Opens connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_nats::{AuthError, Client, ConnectOptions, Event, ServerAddr, ServerError};
use parking_lot::Mutex;
use tokio::sync::watch;
use wattle_tls::ClientOptions;

use crate::auth::Identity;
use crate::failure::{Failure, FailureKind};

/// Time limit for a connection to a server, with TLS and credentials.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Interval of pings. A server that answers none of three counts as lost.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// How long an error of the server explains what gets no answer.
const SAID_RECENTLY: Duration = Duration::from_secs(30);

/// The checked options of a connection.
#[derive(Clone, Debug)]
pub struct Connection {
    pub(crate) servers: Vec<ServerAddr>,
    pub(crate) name: String,
    pub(crate) identity: Identity,
    pub(crate) tls: ClientOptions,
    /// TLS also with servers that do not ask for it.
    pub(crate) is_required: bool,
}

/// One connection to a server. It ends for good when it breaks.
#[derive(Debug)]
pub struct Session {
    /// The client. Without a connection, what it is asked fails.
    pub client: Client,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    is_lost: watch::Sender<bool>,
    /// The last error that the server sent on its own, such as a missing permission.
    said: Mutex<Option<(Instant, String)>>,
    /// Messages of subscriptions that the client dropped because they were not taken in time.
    dropped: AtomicU64,
}

impl State {
    fn note(&self, event: Event) {
        match event {
            Event::Disconnected | Event::Closed => {
                self.is_lost.send_replace(true);
            }
            Event::SlowConsumer(_) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            Event::ServerError(error) => {
                let text = match error {
                    ServerError::Other(text) => text,
                    error => error.to_string(),
                };
                *self.said.lock() = Some((Instant::now(), text));
            }
            _ => {}
        }
    }
}

impl Connection {
    /// The addresses of the servers. For the log.
    pub fn servers(&self) -> String {
        let urls: Vec<&str> = self.servers.iter().map(ServerAddr::as_url_str).collect();
        urls.join(",")
    }

    /// Whether connections use TLS without checking certificates.
    pub fn is_unverified(&self) -> bool {
        !self.tls.verify
    }

    /// Connects to one of the servers, with certificates and credentials as their files are now. `capacity` is how many
    /// messages of each subscription the client holds until they are taken; it drops further ones.
    ///
    /// # Errors
    ///
    /// No server accepts the connection and the credentials.
    pub async fn connect(&self, capacity: usize, request_timeout: Duration) -> Result<Session, Failure> {
        let this = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            let used = this.is_required || this.servers.iter().any(ServerAddr::tls_required);
            let tls = wattle_tls::client_config(&this.tls, used).map_err(|error| Failure {
                kind: FailureKind::Authentication,
                text: format!("{error}; check `tls`"),
            })?;
            let proof = this.identity.read().map_err(|error| Failure {
                kind: FailureKind::Authentication,
                text: format!("{error}; check `auth`"),
            })?;
            Ok((tls, proof))
        });
        let (tls, proof) = read.await.unwrap_or_else(|error| {
            Err(Failure {
                kind: FailureKind::Invalid,
                text: format!("cannot read certificates and credentials: {error}"),
            })
        })?;
        let (proof, is_connected) = (Arc::new(proof), Arc::new(AtomicBool::new(false)));
        let state =
            Arc::new(State { is_lost: watch::Sender::new(false), said: Mutex::default(), dropped: AtomicU64::new(0) });
        let options = {
            let (is_connected, state) = (is_connected.clone(), state.clone());
            // The client would connect again and send what it still has. This refuses it.
            ConnectOptions::with_auth_callback(move |nonce| {
                let (proof, is_connected) = (proof.clone(), is_connected.clone());
                async move {
                    match is_connected.load(Ordering::Acquire) {
                        true => Err(AuthError::new("this connection has ended")),
                        false => proof.answer(&nonce),
                    }
                }
            })
            .event_callback(move |event| {
                let state = state.clone();
                async move { state.note(event) }
            })
        };
        let connecting = options
            .name(&self.name)
            .tls_client_config(tls)
            .require_tls(self.is_required)
            .connection_timeout(CONNECT_TIMEOUT)
            .ping_interval(PING_INTERVAL)
            .request_timeout(Some(request_timeout))
            .subscription_capacity(capacity)
            .max_reconnects(Some(self.servers.len()))
            .reconnect_delay_callback(|_| Duration::ZERO)
            .ignore_discovered_servers()
            .connect(self.servers.clone());
        let client = connecting.await.map_err(|error| Failure::of_connect(&error))?;
        is_connected.store(true, Ordering::Release);
        Ok(Session { client, state })
    }
}

impl Session {
    /// Whether the connection has ended.
    pub fn is_lost(&self) -> bool {
        *self.state.is_lost.borrow()
    }

    /// Waits until the connection has ended.
    pub async fn lost(&self) {
        let mut lost = self.state.is_lost.subscribe();
        // The sender lives in `self`.
        let _ = lost.wait_for(|lost| *lost).await;
    }

    /// The last error that the server sent on its own, if that was not long ago: probably the reason why something that was
    /// sent since gets no answer.
    pub fn said(&self) -> Option<String> {
        let said = self.state.said.lock();
        said.as_ref().filter(|(at, _)| at.elapsed() < SAID_RECENTLY).map(|(_, text)| text.clone())
    }

    /// The same, and forgets it.
    pub fn take_said(&self) -> Option<String> {
        self.state.said.lock().take().map(|(_, text)| text)
    }

    /// Number of messages that the client dropped since the last call.
    pub fn dropped(&self) -> u64 {
        self.state.dropped.swap(0, Ordering::Relaxed)
    }

    /// Why the connection ended.
    pub fn failure(&self) -> Failure {
        let text = match self.said() {
            Some(said) => return Failure::of_server(&said),
            None => "the connection was closed".to_owned(),
        };
        Failure { kind: FailureKind::Connection, text }
    }
}
