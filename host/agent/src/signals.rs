//! Signals from operators. The first SIGTERM or SIGINT begins the drain, a second one ends the
//! process at once. SIGHUP reloads.
//!
//! `timeout`, `sudo`, npm and shells pass one signal on twice, to the process and to its group. A
//! signal shortly after the first one therefore counts as the same.
//!
//! A separate thread waits for signals, so the second one takes effect whatever the agent does: in
//! the middle of a reload, or while a node does not return.

use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use wattle_supervisor::Requester;

use crate::exit;

/// Exit code after a second signal: not everything was delivered.
const NOT_ALL: i32 = 1;
/// Signals that come within this time after the first one count as the same one.
const SAME_SIGNAL: Duration = Duration::from_millis(500);

/// Handles SIGTERM and SIGINT, and with `reloads` SIGHUP too. Without a handler, SIGHUP ends the
/// process.
///
/// # Errors
///
/// The system cannot create the thread or install a handler.
pub(crate) fn handle(requester: Requester, reloads: bool) -> io::Result<()> {
    let (ready, listens) = mpsc::channel();
    std::thread::Builder::new().name("wattle-signals".into()).spawn(move || {
        if let Err(error) = listen(&requester, reloads, &ready) {
            let _ = ready.send(Err(error));
        }
    })?;
    listens.recv().map_err(io::Error::other)?
}

fn listen(requester: &Requester, reloads: bool, ready: &mpsc::Sender<io::Result<()>>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut hangup = if reloads { Some(signal(SignalKind::hangup())?) } else { None };
        // Without a handler, the kernel ends the process when a file reaches its limit (`ulimit
        // -f`, `LimitFSIZE=`). With a handler, the write fails with EFBIG, and the sink handles it
        // like a full disk.
        let _file_size = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
        let _ = ready.send(Ok(()));
        let mut first: Option<Instant> = None;
        loop {
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hung_up => {
                    requester.reload();
                    continue;
                }
            }
            match first {
                None => {
                    first = Some(Instant::now());
                    requester.stop();
                }
                Some(first) if first.elapsed() < SAME_SIGNAL => {}
                Some(_) => {
                    exit::say(
                        "wattle: stopped by a second signal; the sources offer what was not delivered again at the next start",
                    );
                    std::process::exit(NOT_ALL);
                }
            }
        }
    })
}
