//! How far large objects were delivered, so that a restart continues inside of them.
//!
//! An object whose events need several batches can take minutes. After a crash, its message comes again, or the listing
//! finds it again. The positions of such objects are on disk until they are delivered to their end.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::read::{Place, Start};
use crate::error::SourceError;
use crate::positions::{Saved, Store};

/// Maximum number of objects. Those that fall out are read again from their start after a restart.
const MAX_OBJECTS: usize = 1000;

/// Interval of saves.
const SAVE_INTERVAL: Duration = Duration::from_millis(500);

/// An object, as saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    bucket: String,
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    etag: String,
    /// Everything before this decompressed byte is delivered.
    position: u64,
}

/// The positions of a source.
pub(super) struct Resume {
    source: Arc<str>,
    /// `None` if the folder cannot be used. Then positions last as long as the source.
    store: Option<Arc<Store<Entry>>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<Id, Kept>,
    /// Number of the next change.
    next: u64,
    has_changed: bool,
}

struct Kept {
    entry: Entry,
    /// Number of its last change: the entry with the least one is the oldest.
    number: u64,
    /// An earlier run of the agent came this far, and this one no further. Only then is the object continued: an object
    /// that is announced twice is read twice.
    is_earlier: bool,
}

/// Bucket, key and version.
type Id = (String, String, Option<String>);

fn id_of(place: &Place) -> Id {
    (place.bucket.clone(), place.key.clone(), place.version.clone())
}

impl Resume {
    /// Loads the positions from a folder. Without them, objects are read from their start.
    pub(super) fn load(source: Arc<str>, folder: &Path) -> Arc<Self> {
        let loaded = Store::<Entry>::open(folder).and_then(|store| store.load().map(|saved| (store, saved)));
        let (store, saved) = match loaded {
            Ok((store, Saved::Entries(entries))) => (Some(Arc::new(store)), entries),
            Ok((store, Saved::Never | Saved::Lost)) => (Some(Arc::new(store)), Vec::new()),
            Err(error) => {
                tracing::warn!(%source, %error, "large objects that are in work at a crash are read again from their start");
                (None, Vec::new())
            }
        };
        let mut state = State::default();
        for entry in saved {
            state.insert((entry.bucket.clone(), entry.key.clone(), entry.version.clone()), entry, true);
        }
        state.has_changed = false;
        Arc::new(Self { source, store, state: Mutex::new(state) })
    }

    /// Where to continue in an object that an earlier run of the agent did not deliver to its end.
    pub(super) fn find(&self, place: &Place) -> Option<Start> {
        let state = self.state.lock();
        let Kept { entry, .. } = state.entries.get(&id_of(place)).filter(|kept| kept.is_earlier)?;
        Some(Start { position: entry.position, etag: Some(entry.etag.clone()), is_again: true })
    }

    /// The object is delivered to its end, cannot be read to its end, or is another one now.
    pub(super) fn forget(&self, place: &Place) {
        let mut state = self.state.lock();
        state.has_changed |= state.entries.remove(&id_of(place)).is_some();
    }

    /// Saves the positions when they changed. Never returns.
    pub(super) async fn keep_saving(self: &Arc<Self>) -> std::convert::Infallible {
        let mut had_failed = false;
        loop {
            tokio::time::sleep(SAVE_INTERVAL).await;
            had_failed = match self.save().await {
                Ok(()) => false,
                Err(error) => {
                    if !had_failed {
                        tracing::warn!(source = %self.source, %error, "cannot save positions in large objects; retrying");
                    }
                    true
                }
            };
        }
    }

    /// Saves the positions if they changed.
    ///
    /// # Errors
    ///
    /// The file cannot be written. The positions of before stay valid.
    pub(super) async fn save(self: &Arc<Self>) -> Result<(), SourceError> {
        let Some(store) = self.store.clone() else { return Ok(()) };
        if !self.state.lock().has_changed {
            return Ok(());
        }
        let resume = self.clone();
        let saved = tokio::task::spawn_blocking(move || store.save(|| resume.state.lock().snapshot())).await;
        let result = saved.unwrap_or_else(|_| Err(SourceError::ThreadPanicked("save positions".to_owned())));
        if result.is_err() {
            self.state.lock().has_changed = true;
        }
        result
    }
}

impl State {
    fn insert(&mut self, id: Id, entry: Entry, is_earlier: bool) {
        self.entries.insert(id, Kept { entry, number: self.next, is_earlier });
        self.next += 1;
        self.has_changed = true;
        if self.entries.len() > MAX_OBJECTS {
            let oldest = self.entries.iter().min_by_key(|(_, kept)| kept.number).map(|(id, _)| id.clone());
            oldest.and_then(|oldest| self.entries.remove(&oldest));
        }
    }

    /// The entries, the oldest one first, if they changed since the last snapshot.
    fn snapshot(&mut self) -> Option<Vec<Entry>> {
        if !std::mem::take(&mut self.has_changed) {
            return None;
        }
        let mut entries: Vec<_> = self.entries.values().collect();
        entries.sort_unstable_by_key(|kept| kept.number);
        Some(entries.into_iter().map(|kept| kept.entry.clone()).collect())
    }
}

/// Keeps the position of one object while it is delivered.
pub(super) struct Progress {
    resume: Arc<Resume>,
    place: Place,
    etag: String,
}

impl Progress {
    /// The progress of an object; its entity tag says whether it is still the same after a restart.
    pub(super) fn new(resume: &Arc<Resume>, place: &Place, etag: &str) -> Self {
        Self { resume: resume.clone(), place: place.clone(), etag: etag.to_owned() }
    }

    /// Everything before a position is delivered.
    pub(super) fn keep(&self, position: u64) {
        let Place { bucket, key, version, .. } = self.place.clone();
        let entry = Entry { bucket, key, version, etag: self.etag.clone(), position };
        self.resume.state.lock().insert(id_of(&self.place), entry, false);
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress").field("place", &self.place).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(key: impl ToString) -> Place {
        Place { bucket: "logs".to_owned(), key: key.to_string(), version: None, region: None }
    }

    #[tokio::test]
    async fn requirement_17_positions_are_bounded_and_the_oldest_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let resume = Resume::load("in".into(), folder.path());
        for number in 0..MAX_OBJECTS {
            Progress::new(&resume, &place(number), "e").keep(10);
        }
        // The first one is newer now than the second one.
        Progress::new(&resume, &place(0), "e").keep(20);
        Progress::new(&resume, &place("one more"), "e").keep(10);
        assert_eq!(resume.state.lock().entries.len(), MAX_OBJECTS);
        assert_eq!(resume.find(&place(0)), None, "it is announced twice in one run");
        resume.save().await.unwrap();
        let again = Resume::load("in".into(), folder.path());
        assert_eq!(again.state.lock().entries.len(), MAX_OBJECTS);
        assert_eq!(again.find(&place(1)), None);
        let expected = Start { position: 20, etag: Some("e".to_owned()), is_again: true };
        assert_eq!(again.find(&place(0)), Some(expected));
        again.forget(&place(0));
        again.save().await.unwrap();
        assert_eq!(Resume::load("in".into(), folder.path()).find(&place(0)), None);
        // Another version of the key is another object.
        let version = Place { version: Some("v2".to_owned()), ..place(5) };
        assert_eq!((again.find(&version), again.find(&place(5)).is_some()), (None, true));
    }

    #[tokio::test]
    async fn without_a_folder_positions_last_as_long_as_the_source() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let resume = Resume::load("in".into(), &file.join("objects"));
        Progress::new(&resume, &place("a"), "e").keep(10);
        resume.save().await.unwrap();
        assert_eq!(resume.state.lock().entries.len(), 1);
    }
}
