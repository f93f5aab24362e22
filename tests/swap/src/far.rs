//! The output: an HTTP server, and files that are read as they grow.

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use tokio::runtime::Runtime;
use wattle_tests::free_address;

use crate::ledger::Ledger;
use crate::load::OUTPUTS;
use crate::room::Room;

/// A server that records the events sent to `/<output>`.
pub(crate) struct Far {
    pub(crate) address: SocketAddr,
    pub(crate) ledger: Arc<Ledger>,
    _runtime: Runtime,
}

impl Far {
    pub(crate) fn listen(ledger: Arc<Ledger>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let app = Router::new()
            .route("/{output}", axum::routing::post(take))
            .layer(DefaultBodyLimit::disable())
            .with_state(ledger.clone());
        let address = free_address();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(address)).unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { address, ledger, _runtime: runtime }
    }
}

async fn take(State(ledger): State<Arc<Ledger>>, Path(output): Path<String>, body: Bytes) -> StatusCode {
    let Some(output) = OUTPUTS.iter().position(|name| *name == output) else { return StatusCode::NOT_FOUND };
    ledger.receive(output, &body);
    StatusCode::OK
}

/// Records the lines of files as they grow.
pub(crate) struct Tails {
    done: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Tails {
    pub(crate) fn follow(ledger: &Arc<Ledger>, paths: [PathBuf; 2]) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let threads = paths.into_iter().enumerate().map(|(output, path)| {
            let (ledger, done) = (ledger.clone(), done.clone());
            std::thread::spawn(move || follow(&ledger, output, &path, &done))
        });
        let threads = threads.collect();
        Self { done, threads }
    }

    /// Reads the rest, and ends.
    pub(crate) fn end(self) {
        self.done.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

fn follow(ledger: &Ledger, output: usize, path: &std::path::Path, done: &AtomicBool) {
    let mut file = loop {
        match File::open(path) {
            Ok(file) => break file,
            Err(_) if done.load(Ordering::SeqCst) => return,
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let mut rest = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    let mut room = Room::new(path);
    loop {
        let is_last = done.load(Ordering::SeqCst);
        let count = file.read(&mut buffer).unwrap();
        rest.extend_from_slice(&buffer[..count]);
        room.is_read(count as u64);
        if let Some(end) = memchr::memrchr(b'\n', &rest) {
            ledger.receive(output, &rest[..end]);
            rest.drain(..=end);
        }
        if count == 0 {
            if is_last {
                assert!(rest.is_empty(), "{}: the last line has no end", path.display());
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
