//! Packs of registries for a running agent: the current image of each reference, and polling of
//! tags.
//!
//! When a tag changes, the poller pulls, verifies and offers the new image, and the next load of
//! the configuration uses it. The new image becomes the current image of the tag only when that
//! load takes effect. If the load is refused, the tag keeps its image, also over a restart. So a
//! registry cannot stop the running configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Condvar, Mutex};
use wattle_pack::{Located, NotLocated, Remote};

use crate::client::{Client, ClientOptions, PullError};
use crate::reference::Reference;
use crate::store::{Store, StoreError, Stored};

/// Maximum pause between two polls of a registry that does not respond, in intervals.
const MAX_BACKOFF: u32 = 10;
/// Number of intervals after which a refused image is offered again.
const FORGIVEN_AFTER: u32 = 10;

/// The outcome of a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Polling {
    /// The tag has the same image.
    Unchanged,
    /// The tag has a new image, which was pulled and offered.
    Changed,
    /// The request failed, or the image is not valid.
    Failed,
}

impl Polling {
    /// All outcomes.
    pub const ALL: [Self; 3] = [Self::Unchanged, Self::Changed, Self::Failed];

    /// Name for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Changed => "changed",
            Self::Failed => "failed",
        }
    }
}

/// State of one reference.
#[derive(Debug, Clone, Default)]
pub struct PollState {
    /// Whether the running configuration uses the reference.
    pub is_used: bool,
    /// Digest of the running image.
    pub digest: Option<String>,
    /// Digest of the refused image.
    pub refused: Option<String>,
    /// Number of polls by outcome, in the order of [`Polling::ALL`].
    pub polls: [u64; Polling::ALL.len()],
    /// Time of the last successful response of the registry.
    pub answered: Option<SystemTime>,
    /// The last error, until it is resolved.
    pub error: Option<String>,
}

/// One reference of the configuration.
#[derive(Default)]
struct Entry {
    state: PollState,
    /// Digest of an image that the next load uses.
    offered: Option<String>,
    /// Digest of the offered image that the current load uses.
    tried: Option<String>,
    /// Time of the next poll.
    next: Option<Instant>,
    failures: u32,
    /// Polls since an image was refused.
    since_refused: u32,
}

#[derive(Default)]
struct Inner {
    entries: BTreeMap<Reference, Entry>,
    /// References of the current load, or of the last one.
    requested: BTreeSet<Reference>,
    /// References of the load whose image is not in the store.
    missing: BTreeSet<Reference>,
    ends: bool,
}

/// The packs of registries that an agent uses.
pub struct Poller {
    store: Store,
    client: Mutex<Arc<Client>>,
    inner: Mutex<Inner>,
    changed: Condvar,
    interval: Mutex<Option<Duration>>,
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Poller {
    /// Creates a poller. `interval` is the time between two polls of a tag; `None` disables
    /// polling.
    pub fn new(store: Store, options: ClientOptions, interval: Option<Duration>) -> Self {
        Self {
            store,
            client: Mutex::new(Arc::new(Client::new(options))),
            inner: Mutex::default(),
            changed: Condvar::new(),
            interval: Mutex::new(interval),
        }
    }

    /// Replaces the options.
    pub fn configure(&self, options: ClientOptions, interval: Option<Duration>) {
        *self.client.lock() = Arc::new(Client::new(options));
        *self.interval.lock() = interval;
        self.changed.notify_all();
    }

    /// Begins a load. The references that are located until its end are the references of the
    /// configuration.
    pub fn begin(&self) {
        let mut inner = self.inner.lock();
        inner.requested.clear();
        inner.missing.clear();
        for entry in inner.entries.values_mut() {
            entry.tried = None;
        }
    }

    /// Pulls the missing images of the load, each once. Returns whether a second load can find
    /// more.
    pub fn fetch_missing(&self) -> bool {
        let missing: Vec<Reference> = self.inner.lock().missing.iter().cloned().collect();
        let mut found = false;
        for reference in missing {
            let client = self.client.lock().clone();
            // Pull a damaged image again by its digest, so that the tag keeps its image.
            let wanted = match self.store.digest(&reference) {
                Some(digest) => reference.pinned(&digest),
                None => reference.clone(),
            };
            match self.fetch(&client, &reference, &wanted) {
                Ok(stored) => {
                    tracing::info!(%reference, digest = stored.digest, "pulled");
                    found = true;
                    self.note(&reference, Polling::Changed, None);
                }
                Err(error) => {
                    tracing::warn!(%reference, %error, "cannot pull a pack");
                    self.note(&reference, Polling::Failed, Some(error.to_string()));
                }
            }
        }
        found
    }

    /// Pulls an image to the store. A tag without an image gets it.
    fn fetch(&self, client: &Client, reference: &Reference, wanted: &Reference) -> Result<Stored, PullError> {
        let failed = PullError::store(reference);
        let stored = self.store.insert(&client.pull(wanted, &self.store)?).map_err(&failed)?;
        // Only a tag without an image gets this one; otherwise the load decides.
        if reference.digest.is_none() && self.store.digest(reference).is_none() {
            self.store.set(reference, &stored.digest).map_err(&failed)?;
        }
        Ok(stored)
    }

    /// Ends a load. If the configuration was applied, offered images become the current images of
    /// their tags; otherwise they are refused.
    pub fn end_load(&self, applied: bool) {
        let mut inner = self.inner.lock();
        let requested = inner.requested.clone();
        for (reference, entry) in &mut inner.entries {
            let Some(tried) = entry.tried.take() else {
                if applied {
                    // The configuration changed and may now work with an image that was refused
                    // before.
                    entry.state.refused = None;
                }
                continue;
            };
            if entry.offered.as_ref() == Some(&tried) {
                entry.offered = None;
            }
            if !applied {
                tracing::warn!(%reference, digest = tried, "the new image of a tag is refused; the previous image stays");
                entry.state.error = Some(format!("the configuration with the image `{tried}` is refused; see the log"));
                entry.state.refused = Some(tried);
                entry.since_refused = 0;
                continue;
            }
            if let Err(error) = self.store.set(reference, &tried) {
                tracing::error!(%reference, %error, "cannot save the current image of a tag");
            }
            entry.state.refused = None;
            entry.state.error = None;
            entry.state.digest = Some(tried);
        }
        if applied {
            // Unused references keep their counts but are not polled.
            for (reference, entry) in &mut inner.entries {
                entry.state.is_used = requested.contains(reference);
                if entry.state.is_used {
                    entry.state.digest = self.store.digest(reference);
                }
            }
        }
        drop(inner);
        self.changed.notify_all();
    }

    /// Returns the state of each reference that a configuration used.
    pub fn states(&self) -> Vec<(Reference, PollState)> {
        self.inner.lock().entries.iter().map(|(reference, entry)| (reference.clone(), entry.state.clone())).collect()
    }

    /// Polls until [`Poller::end`], and calls `changed` when an image is offered. Blocks its
    /// thread.
    pub fn run(&self, changed: &dyn Fn()) {
        loop {
            let Some(reference) = self.wait() else { return };
            let polled = self.poll(&reference);
            let is_changed = matches!(polled, Ok(Polling::Changed));
            match polled {
                Ok(polling) => self.note(&reference, polling, None),
                Err(error) => {
                    tracing::warn!(%reference, %error, "cannot poll a tag; the running version stays");
                    self.note(&reference, Polling::Failed, Some(error.to_string()));
                }
            }
            if is_changed {
                changed();
            }
        }
    }

    /// Ends [`Poller::run`] after the current poll.
    pub fn end(&self) {
        self.inner.lock().ends = true;
        self.changed.notify_all();
    }

    /// Waits until a tag is due. Returns `None` at the end.
    fn wait(&self) -> Option<Reference> {
        let mut inner = self.inner.lock();
        loop {
            if inner.ends {
                return None;
            }
            let interval = *self.interval.lock();
            let now = Instant::now();
            let mut soonest: Option<(Instant, Reference)> = None;
            if let Some(interval) = interval {
                let polled =
                    |(reference, entry): &(&Reference, &mut Entry)| entry.state.is_used && reference.digest.is_none();
                for (reference, entry) in inner.entries.iter_mut().filter(polled) {
                    // The first poll is at a random time, because after a power failure all agents
                    // of a fleet start at once.
                    let due = *entry.next.get_or_insert_with(|| now + interval.mul_f64(fastrand::f64()));
                    if soonest.as_ref().is_none_or(|(soonest, _)| due < *soonest) {
                        soonest = Some((due, reference.clone()));
                    }
                }
            }
            match soonest {
                Some((due, reference)) if due <= now => return Some(reference),
                Some((due, _)) => {
                    self.changed.wait_until(&mut inner, due);
                }
                None => self.changed.wait(&mut inner),
            }
        }
    }

    fn poll(&self, reference: &Reference) -> Result<Polling, PullError> {
        let client = self.client.lock().clone();
        let (known, refused) = {
            let mut inner = self.inner.lock();
            let entry = inner.entries.entry(reference.clone()).or_default();
            entry.since_refused += 1;
            if entry.since_refused > FORGIVEN_AFTER {
                entry.state.refused = None;
            }
            (entry.offered.clone(), entry.state.refused.clone())
        };
        let known = known.or_else(|| self.store.digest(reference));
        // A registry may omit the digest, so the image is compared again after the pull.
        let said = client.digest(reference)?;
        let is_known = |digest: &String| Some(digest) == known.as_ref() || Some(digest) == refused.as_ref();
        if said.as_ref().is_some_and(is_known) {
            return Ok(Polling::Unchanged);
        }
        let image = client.pull(reference, &self.store)?;
        let digest = image.digest();
        if is_known(&digest) {
            return Ok(Polling::Unchanged);
        }
        self.store.insert(&image).map_err(PullError::store(reference))?;
        tracing::info!(%reference, digest, "a tag changed; its new image was pulled");
        self.inner.lock().entries.entry(reference.clone()).or_default().offered = Some(digest);
        Ok(Polling::Changed)
    }

    fn note(&self, reference: &Reference, polling: Polling, error: Option<String>) {
        let interval = self.interval.lock().unwrap_or_default();
        let mut inner = self.inner.lock();
        let entry = inner.entries.entry(reference.clone()).or_default();
        if let Some(count) = entry.state.polls.get_mut(polling as usize) {
            *count += 1;
        }
        if polling == Polling::Failed {
            entry.failures += 1;
            entry.state.error = error;
        } else {
            entry.failures = 0;
            entry.state.answered = Some(SystemTime::now());
            // The error of a refused image stays visible until the tag changes.
            if entry.state.refused.is_none() {
                entry.state.error = None;
            }
        }
        let backoff = 2_u32.saturating_pow(entry.failures.min(8)).clamp(1, MAX_BACKOFF);
        // Jitter keeps the agents of a fleet apart.
        entry.next = Some(Instant::now() + (interval * backoff).mul_f64(0.8 + 0.4 * fastrand::f64()));
    }
}

impl Remote for Poller {
    fn locate(&self, text: &str) -> Result<Located, NotLocated> {
        let reference: Reference = text.parse().map_err(|error: crate::reference::BadReference| NotLocated {
            message: error.to_string(),
            is_malformed: true,
            hint: None,
        })?;
        let mut inner = self.inner.lock();
        inner.requested.insert(reference.clone());
        let entry = inner.entries.entry(reference.clone()).or_default();
        let digest = entry.offered.clone().or_else(|| self.store.digest(&reference));
        entry.tried.clone_from(&entry.offered);
        let error = entry.state.error.clone();
        let stored = digest.ok_or(StoreError::Absent).and_then(|digest| self.store.get(&digest));
        match stored {
            Ok(stored) => Ok(located(&reference, stored)),
            Err(problem) => {
                inner.missing.insert(reference.clone());
                Err(not_located(&reference, &problem, error))
            }
        }
    }
}

impl Remote for Store {
    fn locate(&self, text: &str) -> Result<Located, NotLocated> {
        let reference: Reference = text.parse().map_err(|error: crate::reference::BadReference| NotLocated {
            message: error.to_string(),
            is_malformed: true,
            hint: None,
        })?;
        let stored = self.digest(&reference).ok_or(StoreError::Absent).and_then(|digest| self.get(&digest));
        match stored {
            Ok(stored) => Ok(located(&reference, stored)),
            Err(problem) => Err(not_located(&reference, &problem, None)),
        }
    }
}

fn located(reference: &Reference, stored: Stored) -> Located {
    Located {
        folder: stored.folder,
        list: stored.list,
        pinned: reference.pinned(&stored.digest).to_string(),
        source: reference.source(),
    }
}

fn not_located(reference: &Reference, problem: &StoreError, error: Option<String>) -> NotLocated {
    NotLocated {
        message: match error {
            Some(error) => format!("the pack `{reference}` is not available: {problem}; {error}"),
            None => format!("the pack `{reference}` is not available: {problem}"),
        },
        is_malformed: false,
        hint: Some(format!("pull it with `wattle pack pull {reference}`")),
    }
}
