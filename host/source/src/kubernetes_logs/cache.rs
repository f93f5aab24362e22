//! The pods of this node and the selected namespaces, as the API server reported them.
//!
//! The reading thread looks pods up; two tasks keep the cache up to date. A deleted pod stays for a while, because its
//! last lines are read after the API server reports its end.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Map;

use super::path::PodFile;
use super::pod::{Pod, RawPod, Wanted};
use crate::file::Facts;

/// What to do without metadata of a pod.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How long a log waits for metadata.
    pub(super) timeout: Duration,
    /// How long a deleted pod stays after its last use.
    pub(super) delay_deletion: Duration,
    /// Maximum memory of pods.
    pub(super) max_bytes: usize,
}

/// The answer about a log.
#[derive(Clone, Debug)]
pub(super) enum Found {
    Pod(Arc<Pod>),
    /// Only the path describes it.
    Unknown,
    Wait,
    Unwanted,
}

/// The cache.
#[derive(Debug)]
pub(super) struct Cache {
    wanted: Wanted,
    limits: Limits,
    /// Whether the API server selects pods by their labels.
    has_selector: bool,
    pods: Mutex<Pods>,
    /// The selected namespaces, if the API server selects them.
    namespaces: Option<Mutex<Namespaces>>,
}

#[derive(Debug, Default)]
struct Pods {
    by_uid: HashMap<String, Known>,
    bytes: usize,
    /// Whether all pods of the node were received once.
    is_synced: bool,
    /// A pod had no room.
    is_full: bool,
}

#[derive(Debug)]
struct Known {
    pod: Arc<Pod>,
    /// Since when the pod is deleted, or its logs were last read after that.
    deleted: Option<Instant>,
}

#[derive(Debug, Default)]
struct Namespaces {
    selected: HashSet<String>,
    is_synced: bool,
}

impl Pods {
    fn insert(&mut self, pod: Pod, max_bytes: usize) {
        self.remove(&pod.uid);
        // Deleted pods leave first, the ones that were not used for the longest time before the others.
        while self.bytes + pod.bytes > max_bytes {
            let deleted = self.by_uid.iter().filter_map(|(uid, known)| Some((known.deleted?, uid)));
            let Some(uid) = deleted.min().map(|(_, uid)| uid.clone()) else { break };
            self.remove(&uid);
        }
        if self.bytes + pod.bytes > max_bytes {
            if !std::mem::replace(&mut self.is_full, true) {
                tracing::warn!(
                    max_bytes,
                    "metadata of pods takes more than `max_metadata_bytes`; events of some pods have only what their path says"
                );
            }
            return;
        }
        self.bytes += pod.bytes;
        self.by_uid.insert(pod.uid.clone(), Known { pod: Arc::new(pod), deleted: None });
    }

    fn remove(&mut self, uid: &str) {
        if let Some(known) = self.by_uid.remove(uid) {
            self.bytes -= known.pod.bytes;
        }
    }

    fn expire(&mut self, delay: Duration) {
        let is_over = |known: &Known| known.deleted.is_some_and(|at| at.elapsed() >= delay);
        let over: Vec<String> =
            self.by_uid.iter().filter(|(_, known)| is_over(known)).map(|(uid, _)| uid.clone()).collect();
        over.iter().for_each(|uid| self.remove(uid));
    }
}

impl Cache {
    pub(super) fn new(wanted: Wanted, limits: Limits, has_selector: bool, selects_namespaces: bool) -> Self {
        let namespaces = selects_namespaces.then(Mutex::default);
        Self { wanted, limits, has_selector, pods: Mutex::default(), namespaces }
    }

    /// Replaces all pods by those of a list. Pods that are not in it are deleted.
    pub(super) fn replace_pods(&self, raw: Vec<RawPod>) {
        let pods: Vec<Pod> = raw.into_iter().map(|raw| Pod::new(raw, &self.wanted)).collect();
        let there: HashSet<&str> = pods.iter().map(|pod| pod.uid.as_str()).collect();
        let mut state = self.pods.lock();
        for (uid, known) in &mut state.by_uid {
            if !there.contains(uid.as_str()) {
                known.deleted.get_or_insert_with(Instant::now);
            }
        }
        state.expire(self.limits.delay_deletion);
        for pod in pods {
            state.insert(pod, self.limits.max_bytes);
        }
        state.is_synced = true;
    }

    pub(super) fn set_pod(&self, raw: RawPod) {
        let pod = Pod::new(raw, &self.wanted);
        let mut state = self.pods.lock();
        state.expire(self.limits.delay_deletion);
        state.insert(pod, self.limits.max_bytes);
    }

    pub(super) fn delete_pod(&self, raw: RawPod) {
        let uid = Pod::new(raw, &self.wanted).uid;
        let mut state = self.pods.lock();
        if let Some(known) = state.by_uid.get_mut(&uid) {
            known.deleted.get_or_insert_with(Instant::now);
        }
        state.expire(self.limits.delay_deletion);
    }

    /// Replaces the selected namespaces.
    pub(super) fn replace_namespaces(&self, names: impl Iterator<Item = String>) {
        if let Some(namespaces) = &self.namespaces {
            *namespaces.lock() = Namespaces { selected: names.collect(), is_synced: true };
        }
    }

    pub(super) fn select_namespace(&self, name: String, is_selected: bool) {
        let Some(namespaces) = &self.namespaces else { return };
        let selected = &mut namespaces.lock().selected;
        if is_selected {
            selected.insert(name);
        } else {
            selected.remove(&name);
        }
    }

    /// Returns whether everything was received once.
    pub(super) fn is_synced(&self) -> bool {
        self.pods.lock().is_synced && self.namespaces.as_ref().is_none_or(|namespaces| namespaces.lock().is_synced)
    }

    /// Looks the pod of a log up. `waited` is how long the source has known the log; `None` for a look without effect.
    pub(super) fn find(&self, file: &PodFile<'_>, waited: Option<Duration>) -> Found {
        let is_late = waited.is_some_and(|waited| waited >= self.limits.timeout);
        if let Some(namespaces) = &self.namespaces {
            let namespaces = namespaces.lock();
            if !namespaces.selected.contains(file.namespace) {
                return if namespaces.is_synced { Found::Unwanted } else { Found::Wait };
            }
        }
        let mut state = self.pods.lock();
        let is_synced = state.is_synced;
        match state.by_uid.get_mut(file.uid) {
            Some(known) if !known.pod.is_read(file.container) => Found::Unwanted,
            Some(known) => {
                // While its logs are read, a deleted pod stays.
                if let Some(deleted) = known.deleted.as_mut().filter(|_| waited.is_some()) {
                    *deleted = Instant::now();
                }
                Found::Pod(known.pod.clone())
            }
            // What the API server did not select must not be read, so nothing is assumed without it.
            None if self.has_selector && is_synced => Found::Unwanted,
            None if self.has_selector => Found::Wait,
            None if is_late => Found::Unknown,
            None => Found::Wait,
        }
    }

    /// Returns the facts about a log.
    pub(super) fn facts(&self, path: &Path, file: &PodFile<'_>, waited: Duration, node: Option<&str>) -> Facts {
        let mut facts = Map::new();
        super::about::describe(file, node, &mut facts);
        match self.find(file, Some(waited)) {
            Found::Pod(pod) => pod.describe(file, &mut facts),
            Found::Unknown => {
                tracing::debug!(path = %path.display(), "pod is not known; its events have only what the path says");
            }
            Found::Wait => return Facts::Wait,
            Found::Unwanted => return Facts::Unwanted,
        }
        Facts::Known(facts)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LIMITS: Limits =
        Limits { timeout: Duration::from_secs(5), delay_deletion: Duration::from_secs(60), max_bytes: 1 << 20 };

    fn raw(uid: &str, text: &str) -> RawPod {
        serde_json::from_value(json!({ "metadata": { "uid": uid, "labels": { "a": text } } })).unwrap()
    }

    fn cache(limits: Limits, has_selector: bool) -> Cache {
        Cache::new(Wanted { labels: true, annotations: Vec::new() }, limits, has_selector, false)
    }

    fn find(cache: &Cache, uid: &str, waited: u64) -> &'static str {
        let file = PodFile { namespace: "n", pod: "p", uid, container: "c", restarts: 0 };
        match cache.find(&file, Some(Duration::from_secs(waited))) {
            Found::Pod(_) => "pod",
            Found::Unknown => "unknown",
            Found::Wait => "wait",
            Found::Unwanted => "unwanted",
        }
    }

    #[test]
    fn a_log_waits_for_its_pod_up_to_the_timeout() {
        let cache = cache(LIMITS, false);
        assert_eq!((find(&cache, "u", 4), find(&cache, "u", 5)), ("wait", "unknown"));
        cache.set_pod(raw("u", "x"));
        assert_eq!((find(&cache, "u", 0), find(&cache, "v", 9)), ("pod", "unknown"));
    }

    #[test]
    fn with_a_selector_only_what_the_server_lists_is_read() {
        let cache = cache(LIMITS, true);
        assert_eq!(find(&cache, "u", 100), "wait", "nothing is assumed before the first list");
        cache.replace_pods(vec![raw("u", "x")]);
        assert_eq!((find(&cache, "u", 0), find(&cache, "v", 0)), ("pod", "unwanted"));
    }

    #[test]
    fn deleted_pods_stay_for_a_while_and_leave_first() {
        let cache = cache(LIMITS, false);
        cache.replace_pods(vec![raw("u", "x"), raw("v", "x")]);
        cache.delete_pod(raw("u", "x"));
        assert_eq!(find(&cache, "u", 0), "pod");
        cache.replace_pods(vec![raw("w", "x")]);
        assert_eq!((find(&cache, "v", 0), find(&cache, "w", 0)), ("pod", "pod"));
        let short = Limits { delay_deletion: Duration::ZERO, ..LIMITS };
        let cache = self::cache(short, false);
        cache.replace_pods(vec![raw("u", "x")]);
        cache.delete_pod(raw("u", "x"));
        assert_eq!(find(&cache, "u", 0), "wait");
    }

    #[test]
    fn pods_are_bounded_in_bytes() {
        let one = Pod::new(raw("u", &"x".repeat(1000)), &Wanted { labels: true, annotations: Vec::new() }).bytes;
        let cache = cache(Limits { max_bytes: 2 * one, ..LIMITS }, false);
        let big = |uid: &str| raw(uid, &"x".repeat(1000));
        cache.replace_pods(vec![big("a"), big("b"), big("c")]);
        assert_eq!(["a", "b", "c"].map(|uid| find(&cache, uid, 9)), ["pod", "pod", "unknown"]);
        cache.set_pod(big("b"));
        assert_eq!(find(&cache, "b", 9), "pod", "a change of a pod needs no more room");
        cache.delete_pod(big("a"));
        cache.set_pod(big("c"));
        assert_eq!(["a", "b", "c"].map(|uid| find(&cache, uid, 9)), ["unknown", "pod", "pod"]);
        assert!(cache.pods.lock().bytes <= 2 * one);
    }

    #[test]
    fn only_selected_namespaces_are_read() {
        let cache = Cache::new(Wanted::default(), LIMITS, false, true);
        cache.replace_pods(vec![raw("u", "x")]);
        assert_eq!(find(&cache, "u", 0), "wait");
        assert!(!cache.is_synced());
        cache.replace_namespaces(["n".to_owned()].into_iter());
        assert_eq!(find(&cache, "u", 0), "pod");
        assert!(cache.is_synced());
        cache.select_namespace("n".to_owned(), false);
        assert_eq!(find(&cache, "u", 0), "unwanted");
    }
}
