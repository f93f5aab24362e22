//! Signals from operators. The first SIGTERM or SIGINT begins the drain, a second one ends the process at once.
//!
//! `timeout`, `sudo`, npm and shells pass one signal on twice, to the process and to its group, so what follows the first
//! signal within a moment belongs to it.
//!
//! A thread of its own waits for these signals, so that the second one takes effect whatever the rest of the agent does:
//! in the middle of a reload, or while a node does not return.

use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::exit;

/// Exit code after a second signal: not everything was delivered.
const NOT_ALL: i32 = 1;
/// Signals that come within this time after the first one count as the same one.
const SAME_SIGNAL: Duration = Duration::from_millis(500);

/// A request by signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To drain and end.
    End,
    /// To load the configuration again.
    Reload,
}

/// Made before anything else, because a signal without a handler ends the process.
pub(crate) struct Signals {
    end: watch::Receiver<bool>,
    /// `None` where there is nothing to reload: then SIGHUP keeps its default, which ends the process.
    hangup: Option<Signal>,
}

impl Signals {
    /// Handles SIGTERM and SIGINT, and with `reloads` SIGHUP too.
    pub(crate) fn new(reloads: bool) -> io::Result<Self> {
        let hangup = if reloads { Some(signal(SignalKind::hangup())?) } else { None };
        let (asked, end) = watch::channel(false);
        let (ready, listens) = mpsc::channel();
        std::thread::Builder::new().name("wattle-signals".into()).spawn(move || {
            if let Err(error) = listen(&asked, &ready) {
                let _ = ready.send(Err(error));
            }
        })?;
        listens.recv().map_err(io::Error::other)??;
        Ok(Self { end, hangup })
    }

    /// Waits for the next request; returns at once if the end was requested before.
    pub(crate) async fn next(&mut self) -> Asked {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Ok(_) = self.end.wait_for(|asked| *asked) => Asked::End,
            Some(()) = hangup => Asked::Reload,
            // The handlers are gone, so no request can come.
            else => std::future::pending().await,
        }
    }
}

fn listen(asked: &watch::Sender<bool>, ready: &mpsc::Sender<io::Result<()>>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let _ = ready.send(Ok(()));
        let mut first: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            match first {
                None => {
                    first = Some(Instant::now());
                    asked.send_replace(true);
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
