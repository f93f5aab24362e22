//! `log`: what nodes write to the agent's log, so much a second and a call and no more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wattle_plan::{LogGrant, LogLevel};

/// Lines of one call that are written.
pub const LINES_PER_CALL: u32 = 100;
/// Bytes of a line that are written.
const MAX_LINE_BYTES: usize = 2 << 10;
const SECOND: Duration = Duration::from_secs(1);

/// Name of a level.
pub fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}

/// Where lines go.
#[derive(Clone, Debug, Default)]
pub enum LogTarget {
    /// To the agent's log.
    #[default]
    Agent,
    /// Nowhere: a shadow, a measurement.
    Nowhere,
    /// To whoever tests the node, limits or not.
    Kept(Arc<Mutex<Vec<(LogLevel, String)>>>),
}

/// Lines of the second that runs.
#[derive(Debug)]
struct Window {
    began: Instant,
    lines: u32,
    /// Lines left out since the last summary.
    left_out: u64,
}

/// How much one node has written of late, over all its instances.
#[derive(Debug)]
pub(crate) struct LogBudget {
    pipeline: String,
    node: String,
    window: Mutex<Window>,
}

impl LogBudget {
    /// The budget of a node that has written nothing.
    pub(crate) fn new(pipeline: &str, node: &str) -> Self {
        let window = Window { began: Instant::now(), lines: 0, left_out: 0 };
        Self { pipeline: pipeline.into(), node: node.into(), window: Mutex::new(window) }
    }

    /// Takes a place for a line. `None` if there is none; else how many lines were left out before it.
    fn take(&self, lines_per_second: u32, is_beyond_call: bool, now: Instant) -> Option<u64> {
        let mut window = self.window.lock();
        if now.duration_since(window.began) >= SECOND {
            (window.began, window.lines) = (now, 0);
        }
        if is_beyond_call || window.lines >= lines_per_second {
            window.left_out += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.left_out))
    }

    /// Writes a line of a node. `line_of_call` is how many its call wrote before. Answers whether it was written.
    pub(crate) fn write(
        &self,
        target: &LogTarget,
        grant: &LogGrant,
        level: LogLevel,
        message: &str,
        line_of_call: u32,
    ) -> bool {
        if let LogTarget::Kept(lines) = target {
            lines.lock().push((level, message.to_owned()));
            return true;
        }
        if level < grant.level {
            return true;
        }
        let Some(left_out) = self.take(grant.lines_per_second, line_of_call >= LINES_PER_CALL, Instant::now()) else {
            return false;
        };
        if matches!(target, LogTarget::Agent) {
            self.summarise(left_out);
            self.say(level, &on_one_line(message));
        }
        true
    }

    fn say(&self, level: LogLevel, message: &str) {
        let (pipeline, node) = (&self.pipeline, &self.node);
        match level {
            LogLevel::Debug => tracing::debug!(target: "guest", %pipeline, %node, "{message}"),
            LogLevel::Info => tracing::info!(target: "guest", %pipeline, %node, "{message}"),
            LogLevel::Warn => tracing::warn!(target: "guest", %pipeline, %node, "{message}"),
            LogLevel::Error => tracing::error!(target: "guest", %pipeline, %node, "{message}"),
        }
    }

    fn summarise(&self, lines: u64) {
        if lines > 0 {
            let (pipeline, node) = (&self.pipeline, &self.node);
            tracing::warn!(%pipeline, %node, lines, "log lines of a node were left out; it wrote more than is granted");
        }
    }

    /// Says how many lines were left out, where no line came after them to say it: those of a second that has passed, or at
    /// the end all of them.
    pub(crate) fn settle(&self, is_end: bool) {
        let left_out = {
            let mut window = self.window.lock();
            if window.left_out == 0 || !is_end && window.began.elapsed() < SECOND {
                return;
            }
            std::mem::take(&mut window.left_out)
        };
        self.summarise(left_out);
    }
}

/// The line as it may stand in a log: nothing in it can look like another line.
fn on_one_line(message: &str) -> String {
    let mut end = message.len().min(MAX_LINE_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    let mut line = String::with_capacity(end);
    for character in message.get(..end).unwrap_or_default().chars() {
        if wattle_printable::is_harmful(character) {
            line.extend(character.escape_default())
        } else {
            line.push(character)
        }
    }
    if end < message.len() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_second_or_the_call_are_counted() {
        let budget = LogBudget::new("main", "n");
        let start = Instant::now();
        assert_eq!(budget.take(2, false, start), Some(0));
        assert_eq!(budget.take(2, true, start), None, "too many of one call");
        assert_eq!(budget.take(2, false, start), Some(1));
        assert_eq!(budget.take(2, false, start), None);
        assert_eq!(budget.take(2, false, start + SECOND), Some(1));
    }

    #[test]
    fn a_level_below_the_granted_one_is_no_line_left_out() {
        let budget = LogBudget::new("main", "n");
        let grant = LogGrant { level: LogLevel::Warn, lines_per_second: 0 };
        assert!(budget.write(&LogTarget::Nowhere, &grant, LogLevel::Info, "quiet", 0));
        assert!(!budget.write(&LogTarget::Nowhere, &grant, LogLevel::Error, "loud", 0));
    }

    #[test]
    fn no_line_can_forge_another_or_be_endless() {
        assert_eq!(on_one_line("a\nERROR b\u{1b}[2J"), "a\\nERROR b\\u{1b}[2J");
        let long = on_one_line(&"é".repeat(5000));
        assert!(long.len() <= MAX_LINE_BYTES + 4 && long.ends_with("é…"), "{}", long.len());
    }
}
