//! What operators send. The first request to end begins the drain, a second one ends the process at once.
//!
//! Requests to end are heard on a thread of its own, so that a second one counts whatever everything else is at: in the
//! middle of a reload, or held up by a node that does not come back.

use std::io;
use std::sync::mpsc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::exit;

/// Exit code after a second signal: not everything was delivered.
const NOT_ALL: i32 = 1;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To drain and end.
    End,
    /// To load the configuration again.
    Reload,
}

/// Made before anything else, because a signal that nobody waits for ends the process.
pub(crate) struct Signals {
    end: watch::Receiver<bool>,
    hangup: Signal,
}

impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        let hangup = signal(SignalKind::hangup())?;
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

    /// Waits until somebody asks for something; at once if somebody has asked for the end.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            biased;
            Ok(_) = self.end.wait_for(|asked| *asked) => Asked::End,
            Some(()) = self.hangup.recv() => Asked::Reload,
            // Nobody listens any more, so nobody will ask.
            else => std::future::pending().await,
        }
    }
}

fn listen(asked: &watch::Sender<bool>, ready: &mpsc::Sender<io::Result<()>>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let _ = ready.send(Ok(()));
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if asked.send_replace(true) {
                exit::say(
                    "wattle: stopped by a second signal; what was not delivered is offered again at the next start",
                );
                std::process::exit(NOT_ALL);
            }
        }
    })
}
