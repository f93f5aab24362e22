//! A TCP proxy in front of the server, whose address the server gives to clients: it can be slow, cut all connections, and
//! speak TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use wattle_tests::free_address;
use wattle_tls::ServerOptions;

/// Most bytes that pass at once.
const CHUNK: usize = 16 << 10;

/// What the proxy does with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It passes everything on.
    Open,
    /// It waits this long before each chunk, in both directions.
    Slow(Duration),
    /// It closes all connections, also new ones.
    Cut,
}

/// A running proxy.
pub(crate) struct Proxy {
    // Ends all tasks when it is dropped.
    _runtime: Runtime,
    state: watch::Sender<State>,
    address: SocketAddr,
    target: SocketAddr,
}

impl Proxy {
    /// A proxy on a separate address; with TLS if there are options.
    pub(crate) fn start(tls: Option<ServerOptions>) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let (address, target) = (listener.local_addr().unwrap(), free_address());
        let (state, states) = watch::channel(State::Open);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, target, tls.clone(), states.clone()));
            }
        });
        Self { _runtime: runtime, state, address, target }
    }

    pub(crate) fn set(&self, state: State) {
        self.state.send_replace(state);
    }

    /// Where clients connect. The name is that of the certificate.
    pub(crate) fn address(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// Where the server must listen.
    pub(crate) fn target(&self) -> SocketAddr {
        self.target
    }
}

/// Passes a connection on until one side closes it, or the proxy cuts it.
async fn connection(
    client: TcpStream,
    target: SocketAddr,
    tls: Option<ServerOptions>,
    mut states: watch::Receiver<State>,
) {
    let cut = states.clone();
    let passing = async {
        let Ok(server) = TcpStream::connect(target).await else { return };
        match tls {
            None => pass(client, server, cut).await,
            Some(options) => {
                let config = Arc::new(wattle_tls::server_config(&options).unwrap());
                if let Ok(client) = wattle_tls::accept(config, client).await {
                    pass(client, server, cut).await;
                }
            }
        }
    };
    tokio::select! {
        _ = states.wait_for(|state| *state == State::Cut) => {}
        () = passing => {}
    }
}

async fn pass(client: impl AsyncRead + AsyncWrite, server: TcpStream, states: watch::Receiver<State>) {
    let ((from_client, to_client), (from_server, to_server)) = (split(client), split(server));
    tokio::select! {
        () = copy(from_client, to_server, &states) => {}
        () = copy(from_server, to_client, &states) => {}
    }
}

async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, states: &watch::Receiver<State>) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        let state = *states.borrow();
        if let State::Slow(pause) = state {
            tokio::time::sleep(pause).await;
        }
        if to.write_all(&chunk[..length]).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
}
