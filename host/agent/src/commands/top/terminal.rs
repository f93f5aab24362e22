//! The terminal while `wattle top` runs: the alternate screen in raw mode, restored however the program ends.

use std::io::{self, Stdout, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::layout::Rect;
use rustix::process::{Signal, kill_current_process_group};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

/// How long a stop by [`Screen::suspend`] may take. If it does not come, because no shell could continue the program, the
/// program goes on.
const STOP: Duration = Duration::from_millis(300);

/// Whether the terminal is in raw mode. A panic hook has no other way to know it.
static IS_RAW: AtomicBool = AtomicBool::new(false);

/// The terminal. Dropping it restores the screen of the shell.
pub(crate) struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    ///
    /// It is not a terminal.
    pub(crate) fn take() -> io::Result<Self> {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // The message would be lost on the alternate screen.
            restore();
            hook(panic);
        }));
        enter()?;
        match Terminal::new(CrosstermBackend::new(io::stdout())) {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }

    /// The terminal for drawing.
    pub(crate) fn terminal(&mut self) -> &mut Terminal<CrosstermBackend<Stdout>> {
        &mut self.0
    }

    /// Takes the terminal again after another program had it, and clears it.
    ///
    /// # Errors
    ///
    /// It is not a terminal any more.
    pub(crate) fn resume(&mut self) -> io::Result<()> {
        enter()?;
        let size = self.0.size()?;
        // `Terminal::clear` would ask the terminal for the cursor, and the thread that reads keys would get the answer.
        self.0.resize(Rect::new(0, 0, size.width, size.height))
    }

    /// Stops the process group, as Ctrl-Z does in a program that is not in raw mode, until the shell continues it.
    ///
    /// # Errors
    ///
    /// The terminal cannot be taken again.
    pub(crate) async fn suspend(&mut self) -> io::Result<()> {
        let mut continued = signal(SignalKind::from_raw(Signal::CONT.as_raw()))?;
        restore();
        kill_current_process_group(Signal::TSTP)?;
        // The signal is not always delivered before this line, and never to a group without a shell.
        let _ = timeout(STOP, continued.recv()).await;
        self.resume()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn enter() -> io::Result<()> {
    if IS_RAW.load(Ordering::Relaxed) {
        // The shell may have changed the mode while the program was stopped, which `enable_raw_mode` would not notice.
        disable_raw_mode()?;
    }
    enable_raw_mode()?;
    IS_RAW.store(true, Ordering::Relaxed);
    execute!(io::stdout(), EnterAlternateScreen, Hide)
}

/// Restores the terminal, once.
fn restore() {
    if IS_RAW.swap(false, Ordering::Relaxed) {
        // A terminal that was closed needs no restoring.
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
        let _ = io::stdout().flush();
    }
}
