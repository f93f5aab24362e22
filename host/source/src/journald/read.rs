//! Reads what `journalctl` writes, and starts it again when it ends.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use super::events::Builder;
use super::export::{Entry, NotExport, Parser};
use super::journalctl::{Ended, Journalctl, unreadable};
use super::options::Settings;
use super::position::{Begin, Position};
use super::shared::Shared;
use crate::error::SourceError;
use crate::pauses::Pauses;
use crate::source::SourceContext;
use crate::stats::add;
use crate::waits::Wait;

/// Pauses before `journalctl` is started again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// A program that ran for this long did not fail at its start.
const LONG_RUN: Duration = Duration::from_mins(1);
/// Bytes of one read.
const READ_BYTES: usize = 64 << 10;

/// Why reading failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot start `{program}`: {error}; install systemd, or set `journalctl_path`")]
    Start { program: String, error: io::Error },
    #[error("cannot read the output of journalctl: {0}")]
    Read(io::Error),
    #[error("the output of journalctl is not a journal: {0}")]
    Output(#[from] NotExport),
    #[error("journalctl ended with {}", ended(.0))]
    Ended(Ended),
    #[error("cannot make a batch of entries, which is a bug: {0}")]
    Batch(#[from] wattle_batch::ColumnTooLarge),
}

fn ended(Ended { status, error }: &Ended) -> String {
    if error.is_empty() { status.to_string() } else { format!("{status}: {error}") }
}

impl Failure {
    /// `journalctl` does not accept the cursor.
    fn is_bad_cursor(&self) -> bool {
        matches!(self, Self::Ended(ended) if ended.error.contains("seek to cursor"))
    }
}

/// How a run of the program ended.
enum End {
    /// The source must stop.
    Stopped,
    /// The program has written everything.
    Complete,
}

/// Reads until the source stops, or with `once` until everything that was there is delivered.
///
/// # Errors
///
/// With `once`, the journal cannot be read to its end.
pub(super) async fn run(
    settings: &Settings,
    context: &SourceContext,
    shared: &Arc<Shared>,
    begin: Begin,
) -> Result<(), SourceError> {
    let mut reader = Reader { settings, context, shared, begin, was_unreadable: false, skip: None };
    let mut stop = context.stop.clone();
    let mut pauses = Pauses::new(FIRST_PAUSE, LAST_PAUSE);
    let mut failing_since: Option<Instant> = None;
    loop {
        reader.check_permissions();
        let started = Instant::now();
        let before = reader.begin.position.cursor.clone();
        let failure = match reader.read().await {
            Ok(End::Stopped) => return Ok(()),
            Ok(End::Complete) if context.once => {
                delivered(context, shared).await;
                return Ok(());
            }
            Ok(End::Complete) => None,
            Err(failure) => Some(failure),
        };
        if reader.begin.position.cursor != before || started.elapsed() >= LONG_RUN {
            pauses.reset();
            if let Some(since) = failing_since.take() {
                tracing::info!(source = %context.name, failed_for = ?since.elapsed(), "the journal is read again");
            }
        }
        let text = failure.as_ref().map_or_else(|| "journalctl ended".to_owned(), ToString::to_string);
        if context.once {
            context.stats.fail(text.clone());
            delivered(context, shared).await;
            return Err(SourceError::Input { name: context.name.to_string(), error: text.into() });
        }
        if let Some(failure) = &failure {
            context.stats.fail(text.clone());
            if failure.is_bad_cursor() && reader.begin.position.cursor.take().is_some() {
                tracing::warn!(
                    source = %context.name,
                    "journalctl does not accept the saved cursor; continuing at its time, so events can be sent again"
                );
                continue;
            }
        }
        // Each of a series of failures is counted, and the first is logged.
        if failing_since.is_none() {
            failing_since = Some(Instant::now());
            tracing::warn!(source = %context.name, error = %text, "cannot read the journal; starting journalctl again");
        }
        tokio::select! {
            () = tokio::time::sleep(pauses.next()) => {}
            () = stop.stopped() => return Ok(()),
        }
    }
}

/// Waits until everything that was read is delivered.
async fn delivered(context: &SourceContext, shared: &Shared) {
    let _wait = context.end_of_input();
    loop {
        let ended = shared.ended.notified();
        if shared.is_idle() {
            return;
        }
        ended.await;
    }
}

struct Reader<'s> {
    settings: &'s Settings,
    context: &'s SourceContext,
    shared: &'s Arc<Shared>,
    /// Where the next run of the program begins: after what was read, which is in memory until it is delivered.
    begin: Begin,
    was_unreadable: bool,
    /// The cursor with which the program was started, until its first entry.
    skip: Option<String>,
}

impl Reader<'_> {
    /// Reports files that `journalctl` leaves out without a word. They can become readable later.
    fn check_permissions(&mut self) {
        let found = unreadable(self.settings);
        if let Some(path) = found.as_ref().filter(|_| !self.was_unreadable) {
            let text = format!(
                "cannot read `{}`; add the user of the agent to the group `systemd-journal`, and start the agent again",
                path.display()
            );
            tracing::error!(
                source = %self.context.name, path = %path.display(),
                "cannot read a part of the journal; add the user of the agent to the group `systemd-journal`, and start \
                 the agent again"
            );
            self.context.stats.fail(text);
        }
        self.was_unreadable = found.is_some();
    }

    /// Starts the program and reads what it writes, until the source stops or the program ends.
    async fn read(&mut self) -> Result<End, Failure> {
        let (settings, context) = (self.settings, self.context);
        let mut program = Journalctl::start(settings, &self.begin, !context.once, &context.name)
            .map_err(|error| Failure::Start { program: settings.program.display().to_string(), error })?;
        self.skip.clone_from(&self.begin.position.cursor);
        let mut parser = Parser::new(settings.max_event_bytes);
        let mut builder = Builder::default();
        let result = self.read_from(&mut program, &mut parser, &mut builder).await;
        // Entries before the end, or before what cannot be read, are events all the same.
        self.flush(&mut builder)?;
        match result? {
            End::Stopped => Ok(End::Stopped),
            End::Complete => match program.ended().await.map_err(Failure::Read)? {
                ended if ended.status.success() => Ok(End::Complete),
                ended => Err(Failure::Ended(ended)),
            },
        }
    }

    async fn read_from(
        &mut self,
        program: &mut Journalctl,
        parser: &mut Parser,
        builder: &mut Builder,
    ) -> Result<End, Failure> {
        let mut bytes = vec![0; READ_BYTES];
        let mut stop = self.context.stop.clone();
        let mut full: Option<Wait> = None;
        // When the events so far are sent.
        let mut due: Option<Instant> = None;
        loop {
            // Before the check, so that no acknowledgement in between is missed.
            let room = self.shared.ended.notified();
            let is_full = self.shared.is_full();
            if is_full {
                full.get_or_insert_with(|| self.context.waits.begin());
            } else {
                full = None;
            }
            let at = due.unwrap_or_else(Instant::now);
            tokio::select! {
                () = stop.stopped() => return Ok(End::Stopped),
                () = room, if is_full => {}
                () = tokio::time::sleep_until(at), if due.is_some() => {
                    due = None;
                    self.flush(builder)?;
                }
                read = program.output.read(&mut bytes), if !is_full => {
                    let read = match read {
                        Ok(read) => read,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        Err(error) => return Err(Failure::Read(error)),
                    };
                    if read == 0 {
                        return Ok(End::Complete);
                    }
                    add(&self.context.stats.read_bytes, read as u64);
                    let mut input = bytes.get(..read).unwrap_or_default();
                    while let Some(entry) = parser.next(&mut input)? {
                        self.take(entry, builder)?;
                    }
                    if builder.is_empty() {
                        due = None;
                    } else if due.is_none() {
                        due = Some(Instant::now() + self.context.limits.max_age);
                    }
                }
            }
        }
    }

    /// Adds an entry to the batch.
    fn take(&mut self, entry: &Entry, builder: &mut Builder) -> Result<(), Failure> {
        if let Some(cursor) = self.skip.take() {
            if cursor == entry.cursor {
                return Ok(());
            }
            tracing::warn!(
                source = %self.context.name,
                "the entry of the saved position is not in the journal any more, or the options exclude it; continuing \
                 with the next entry"
            );
        }
        builder.add(entry, self.settings)?;
        self.begin.position = Position::of(entry, Some(std::mem::take(&mut self.begin.position)));
        self.begin.boot = None;
        if builder.is_full(&self.context.limits) {
            self.flush(builder)?;
        }
        Ok(())
    }

    /// Sends the entries so far.
    fn flush(&self, builder: &mut Builder) -> Result<(), Failure> {
        let context = self.context;
        if let Some(skipped) = builder.skipped() {
            context.stats.skip(&context.name, "journal", &skipped);
        }
        if let Some(part) = builder.finish(|| context.origin("journald", &[]))? {
            self.shared.take(part);
        }
        Ok(())
    }
}
