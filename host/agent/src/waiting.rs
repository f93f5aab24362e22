//! Shows work that takes longer than a second: compiling, building, waiting for sinks.
//!
//! A terminal shows the text with a spinner until the work ends. Without a terminal, the log gets
//! one line.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use wattle_printable as printable;
use wattle_runtime::Runtime;

/// Shorter work is not shown.
const DELAY: Duration = Duration::from_secs(1);
/// How often the text is updated.
const TICK: Duration = Duration::from_millis(100);

/// Number of lines on standard error that their owners redraw.
static DRAWN: AtomicUsize = AtomicUsize::new(0);

/// The prefix of a line on standard error, which clears a spinner or progress bar.
pub(crate) fn clear_line() -> &'static str {
    if DRAWN.load(Ordering::Relaxed) > 0 { "\r\x1b[K" } else { "" }
}

/// Counts a redrawn line on standard error for as long as it lives.
pub(crate) struct Drawn;

impl Drawn {
    pub(crate) fn new() -> Self {
        DRAWN.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Drawn {
    fn drop(&mut self) {
        DRAWN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Work in progress. Dropping it ends the display.
pub(crate) struct Waiting {
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Waiting {
    /// Starts the display. The text is `verb` and the result of `what`; `None` shows nothing for
    /// now.
    pub(crate) fn start(verb: &'static str, what: impl Fn() -> Option<String> + Send + 'static) -> Self {
        Self::show(verb, what, std::io::stderr().is_terminal())
    }

    /// The same while other programs write to the terminal, such as compilers: one line in the log.
    pub(crate) fn beside_programs(verb: &'static str, what: String) -> Self {
        Self::show(verb, move || Some(what.clone()), false)
    }

    /// Shows the artifacts that a runtime compiles.
    pub(crate) fn compiling(runtime: &Arc<Runtime>) -> Self {
        let runtime = Arc::downgrade(runtime);
        Self::start("compiling", move || {
            let names = runtime.upgrade()?.compiling();
            (!names.is_empty()).then(|| names.join(", "))
        })
    }

    fn show(verb: &'static str, what: impl Fn() -> Option<String> + Send + 'static, is_drawn: bool) -> Self {
        let (done, is_done) = channel::<()>();
        let run = move || {
            let mut line = None;
            let mut since = None;
            while is_done.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let Some(what) = what() else { continue };
                if since.get_or_insert_with(Instant::now).elapsed() < DELAY {
                    continue;
                }
                line.get_or_insert_with(|| Line::new(verb, &what, is_drawn)).update(verb, &what);
            }
        };
        // Without the thread nothing is shown, but the work continues.
        let thread = std::thread::Builder::new().name("wattle-waiting".into()).spawn(run).ok();
        Self { done: Some(done), thread }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.done = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The text on a terminal. A line of the log has no state.
struct Line(Option<(ProgressBar, Drawn)>);

impl Line {
    fn new(verb: &'static str, what: &str, is_drawn: bool) -> Self {
        if !is_drawn {
            tracing::info!(what, "{verb}");
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
            bar.set_style(style);
        }
        // The work started before the line appears.
        Self(Some((bar.with_elapsed(DELAY), Drawn::new())))
    }

    fn update(&self, verb: &str, what: &str) {
        if let Some((bar, _)) = &self.0 {
            bar.set_message(format!("{verb} {}", printable::line(what)));
            bar.tick();
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some((bar, _)) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_clears_the_line_as_long_as_it_is_drawn() {
        assert_eq!(clear_line(), "");
        let drawn = Drawn::new();
        assert_eq!(clear_line(), "\r\x1b[K");
        drop(drawn);
        assert_eq!(clear_line(), "");
    }
}
