//! The position of a source: where it continues after a restart.

use std::convert::Infallible;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::export::Entry;
use super::options::Settings;
use super::shared::Shared;
use crate::error::SourceError;
use crate::positions::{Saved, Store};
use crate::source::SourceContext;

/// Minimum time between two saves. After a kill, what was delivered since the last save is sent again.
const SAVE_INTERVAL: Duration = Duration::from_millis(50);
/// Pause after a failed save.
const SAVE_PAUSE: Duration = Duration::from_secs(2);

/// The id of the running system's boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A place in the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The cursor of the last entry that was read; `None` before the first one.
    pub(super) cursor: Option<String>,
    /// When journald received that entry, in microseconds since 1970. Reading continues there if the cursor is not valid,
    /// and begins there without one.
    pub(super) realtime: u64,
}

impl Position {
    /// The place of an entry that follows this one.
    pub(super) fn of(entry: &Entry, before: Option<Self>) -> Self {
        let before = before.map_or(0, |position| position.realtime);
        Self { cursor: Some(entry.cursor.clone()), realtime: entry.realtime.unwrap_or(before) }
    }
}

/// Where reading begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Begin {
    pub(super) position: Position,
    /// The boot whose entries are read, while there is no cursor.
    pub(super) boot: Option<String>,
    /// The machine whose entries are read, while there is no cursor.
    pub(super) machine: Option<String>,
}

/// Saves the position of a source.
pub(super) struct Saver {
    name: Arc<str>,
    store: Arc<Store<Position>>,
    shared: Arc<Shared>,
}

impl Saver {
    /// Opens the saved position. Returns where reading begins.
    ///
    /// The time of the first start is saved at once: without it, a source that stops before its first delivery would begin
    /// at its second start again, and miss what came in between.
    ///
    /// # Errors
    ///
    /// The position cannot be read or saved.
    pub(super) async fn open(
        context: &SourceContext,
        shared: &Arc<Shared>,
        settings: &Settings,
    ) -> Result<(Self, Begin), SourceError> {
        let folder = context.data_dir.join("sources").join(&*context.name);
        let store = Arc::new(Store::open(&folder)?);
        let saved = store.load()?;
        let is_lost = matches!(saved, Saved::Lost);
        let found = match saved {
            Saved::Entries(entries) => entries.into_iter().next(),
            Saved::Never | Saved::Lost => None,
        };
        if is_lost {
            tracing::warn!(
                source = %context.name,
                "the saved position is lost; reading from the begin, so events can be sent again"
            );
        }
        let saver = Self { name: context.name.clone(), store, shared: shared.clone() };
        // A folder has the entries that the operator wants.
        let machine = if settings.directory.is_none() { id_in("/etc/machine-id") } else { None };
        if let Some(position) = found {
            return Ok((saver, Begin { position, boot: None, machine }));
        }
        // After a loss, events since the last position must come again.
        let is_from_now = settings.since_now && !is_lost;
        let boot = if settings.current_boot_only && !is_from_now { id_in(BOOT_ID) } else { None };
        let realtime = match &boot {
            _ if is_from_now => now(),
            Some(_) => boot_time(),
            None => 0,
        };
        let begin = Begin { position: Position { cursor: None, realtime }, boot, machine };
        shared.begin_at(begin.position.clone());
        saver.save().await?;
        Ok((saver, begin))
    }

    /// Saves the position whenever it moved.
    pub(super) async fn keep(&self) -> Infallible {
        let mut outage = false;
        loop {
            self.shared.moved.notified().await;
            let start = Instant::now();
            match self.save().await {
                Ok(()) => {
                    if std::mem::take(&mut outage) {
                        tracing::info!(source = %self.name, "the position can be saved again");
                    }
                    // On a slow disk, saves take at most a tenth of the time.
                    tokio::time::sleep(SAVE_INTERVAL.max(start.elapsed() * 10)).await;
                }
                Err(error) => {
                    // The previous position stays valid; after a restart, later events are sent again.
                    if !std::mem::replace(&mut outage, true) {
                        tracing::warn!(
                            source = %self.name, %error,
                            "cannot save the position; retrying; after a restart, events since then are sent again"
                        );
                    }
                    tokio::time::sleep(SAVE_PAUSE).await;
                    self.shared.moved.notify_one();
                }
            }
        }
    }

    /// Saves the position, if it moved since it was saved.
    ///
    /// # Errors
    ///
    /// It cannot be saved.
    pub(super) async fn save(&self) -> Result<(), SourceError> {
        let (store, shared) = (self.store.clone(), self.shared.clone());
        let saved = tokio::task::spawn_blocking(move || {
            let mut taken = None;
            let result = store.save(|| {
                taken = shared.take_moved();
                taken.clone().map(|position| vec![position])
            });
            if let (Err(_), Some(position)) = (&result, taken) {
                shared.not_saved(position);
            }
            result
        });
        saved.await.unwrap_or_else(|_| Err(SourceError::ThreadPanicked("save positions".to_owned())))
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

/// The id in a file of the system, as the journal writes it.
fn id_in(path: &str) -> Option<String> {
    let id = fs::read_to_string(path).ok()?;
    let id: String = id.chars().filter(char::is_ascii_hexdigit).collect();
    (id.len() == 32).then_some(id)
}

/// When the system was booted, in microseconds since 1970. Entries of the boot can be older if the clock was wrong; they are
/// selected by the id of the boot at the first start, and by this time only if nothing was delivered then.
fn boot_time() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<u64>().ok());
    seconds.unwrap_or_default().saturating_mul(1_000_000)
}
