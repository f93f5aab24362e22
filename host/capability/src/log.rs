//! `log`: lines of nodes in the agent's log, limited per second and per call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wattle_plan::{LogGrant, LogLevel};

/// Maximum number of lines per call.
pub const LINES_PER_CALL: u32 = 100;
/// Maximum length of a line in bytes; longer lines are cut.
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

/// Destination of lines.
#[derive(Clone, Debug, Default)]
pub enum LogTarget {
    /// The agent's log.
    #[default]
    Agent,
    /// Discarded, for shadows and measurements.
    Nowhere,
    /// Collected for a test of the node, without limits.
    Collected(Arc<Mutex<Vec<(LogLevel, String)>>>),
}

/// Counts of the current second.
#[derive(Debug)]
struct Window {
    began: Instant,
    lines: u32,
    /// Lines suppressed since the last summary.
    suppressed: u64,
}

/// Rate limit of one node, over all its instances.
#[derive(Debug)]
pub(crate) struct LogBudget {
    pipeline: String,
    node: String,
    window: Mutex<Window>,
    /// Whether the log already says that claims of keys end too early.
    has_short_claims: AtomicBool,
}

impl LogTarget {
    /// Whether lines go to the agent's log.
    pub(crate) fn is_agent(&self) -> bool {
        matches!(self, Self::Agent)
    }
}

impl LogBudget {
    /// Creates the budget of a node.
    pub(crate) fn new(pipeline: &str, node: &str) -> Self {
        let window = Window { began: Instant::now(), lines: 0, suppressed: 0 };
        let has_short_claims = AtomicBool::new(false);
        Self { pipeline: pipeline.into(), node: node.into(), window: Mutex::new(window), has_short_claims }
    }

    /// Warns once that the node claims keys for longer than its grant allows.
    pub(crate) fn warn_of_short_claims(&self, ttl_milliseconds: u64, max_age: Duration) {
        if !self.has_short_claims.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                pipeline = %self.pipeline,
                node = %self.node,
                wanted = ?Duration::from_millis(ttl_milliseconds),
                ?max_age,
                "the node remembers keys for a shorter time than it wants, so later duplicates pass; raise `max_age` of the \
                 grant `seen`"
            );
        }
    }

    /// Reserves one line. Returns `None` if the limit is reached, else the number of lines
    /// suppressed before it.
    fn take(&self, lines_per_second: u32, is_beyond_call: bool, now: Instant) -> Option<u64> {
        let mut window = self.window.lock();
        if now.duration_since(window.began) >= SECOND {
            (window.began, window.lines) = (now, 0);
        }
        if is_beyond_call || window.lines >= lines_per_second {
            window.suppressed += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.suppressed))
    }

    /// Writes a line of a node. `line_of_call` is the number of lines that its call wrote before.
    /// Returns false if the line was suppressed.
    pub(crate) fn write(
        &self,
        target: &LogTarget,
        grant: &LogGrant,
        level: LogLevel,
        message: &str,
        line_of_call: u32,
    ) -> bool {
        if let LogTarget::Collected(lines) = target {
            lines.lock().push((level, message.to_owned()));
            return true;
        }
        if level < grant.level {
            return true;
        }
        let Some(suppressed) = self.take(grant.lines_per_second, line_of_call >= LINES_PER_CALL, Instant::now()) else {
            return false;
        };
        if matches!(target, LogTarget::Agent) {
            self.summarise(suppressed);
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
            tracing::warn!(%pipeline, %node, lines, "suppressed log lines of a node; it wrote more than granted");
        }
    }

    /// Logs the number of suppressed lines if no later line reported it: those of a past second, or
    /// all of them at the end.
    pub(crate) fn report_suppressed(&self, is_end: bool) {
        let suppressed = {
            let mut window = self.window.lock();
            if window.suppressed == 0 || !is_end && window.began.elapsed() < SECOND {
                return;
            }
            std::mem::take(&mut window.suppressed)
        };
        self.summarise(suppressed);
    }
}

/// Escapes and cuts a message, so that it cannot look like another line of the log.
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
    fn lines_beyond_the_limit_per_second_or_per_call_are_counted() {
        let budget = LogBudget::new("main", "n");
        let start = Instant::now();
        assert_eq!(budget.take(2, false, start), Some(0));
        assert_eq!(budget.take(2, true, start), None, "too many of one call");
        assert_eq!(budget.take(2, false, start), Some(1));
        assert_eq!(budget.take(2, false, start), None);
        assert_eq!(budget.take(2, false, start + SECOND), Some(1));
    }

    #[test]
    fn a_line_below_the_granted_level_does_not_count_as_suppressed() {
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
