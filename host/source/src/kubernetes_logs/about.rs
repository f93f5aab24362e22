//! Which logs are read, and what their events say about their containers.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Map, Value};

use super::cache::{Cache, Found};
use super::path::PodFile;
use crate::file::{About, Facts};

/// The logs of the pods of this node.
#[derive(Debug)]
pub(super) struct PodLogs {
    /// If not empty, only these namespaces are read.
    pub(super) namespaces: Vec<String>,
    pub(super) exclude_namespaces: Vec<String>,
    pub(super) node: Option<String>,
    /// `None` without metadata of the API.
    pub(super) cache: Option<Arc<Cache>>,
    /// A path without a pod was logged.
    pub(super) has_logged: AtomicBool,
}

impl PodLogs {
    fn is_in_namespace(&self, file: &PodFile<'_>) -> bool {
        let has = |names: &[String]| names.iter().any(|name| name == file.namespace);
        (self.namespaces.is_empty() || has(&self.namespaces)) && !has(&self.exclude_namespaces)
    }
}

impl About for PodLogs {
    fn type_name(&self) -> &'static str {
        "kubernetes_logs"
    }

    fn is_wanted(&self, path: &Path) -> bool {
        let Some(file) = PodFile::parse(path) else {
            if !self.has_logged.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    path = %path.display(),
                    "file is not named like a log of a pod, `NAMESPACE_POD_UID/CONTAINER/RESTARTS.log`; not reading such files"
                );
            }
            return false;
        };
        let is_selected = |cache: &Arc<Cache>| !matches!(cache.find(&file, None), Found::Unwanted);
        self.is_in_namespace(&file) && self.cache.as_ref().is_none_or(is_selected)
    }

    fn facts(&self, path: &Path, waited: Duration) -> Facts {
        let Some(file) = PodFile::parse(path) else { return Facts::Unwanted };
        let node = self.node.as_deref();
        if let Some(cache) = &self.cache {
            return cache.facts(path, &file, waited, node);
        }
        let mut facts = Map::new();
        describe(&file, node, &mut facts);
        Facts::Known(facts)
    }

    fn stays_in_folder(&self) -> bool {
        true
    }
}

/// Adds the facts that the path of a log contains.
pub(super) fn describe(file: &PodFile<'_>, node: Option<&str>, facts: &mut Map<String, Value>) {
    let texts = [
        ("k8s.namespace.name", Some(file.namespace)),
        ("k8s.pod.name", Some(file.pod)),
        ("k8s.pod.uid", Some(file.uid)),
        ("k8s.container.name", Some(file.container)),
        ("k8s.node.name", node),
    ];
    facts.extend(texts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into()))));
    facts.insert("k8s.container.restart_count".to_owned(), file.restarts.into());
}
