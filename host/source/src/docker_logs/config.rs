//! The configuration of a container, as Docker saves it.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::file::add_image;

/// Name of the file.
const CONFIG: &str = "config.v2.json";

/// Maximum size of the file.
const MAX_BYTES: u64 = 1 << 20;

/// Maximum number of containers whose configuration is kept.
const MAX_CONTAINERS: usize = 4096;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawConfig {
    #[serde(default)]
    name: String,
    #[serde(default)]
    config: RawContainer,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawContainer {
    image: String,
    labels: Option<BTreeMap<String, String>>,
}

/// What is known about a container.
#[derive(Debug, PartialEq)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) labels: BTreeMap<String, String>,
}

impl Container {
    fn parse(text: &[u8]) -> Option<Self> {
        let RawConfig { name, config: RawContainer { image, labels } } = serde_json::from_slice(text).ok()?;
        // Docker saves the name with a slash.
        let name = name.strip_prefix('/').unwrap_or(&name).to_owned();
        Some(Self { name, image, labels: labels.unwrap_or_default() })
    }

    pub(super) fn describe(&self, facts: &mut Map<String, Value>) {
        if !self.name.is_empty() {
            facts.insert("container.name".to_owned(), self.name.as_str().into());
        }
        add_image(&self.image, facts);
        for (name, value) in &self.labels {
            facts.insert(format!("container.label.{name}"), value.as_str().into());
        }
    }
}

/// Identifies a version of the file: Docker replaces it.
type Version = (u64, i64, i64);

/// A version of the file and what it says; `None` if it has another form.
type Read = (Version, Option<Arc<Container>>);

/// The configurations of containers, by folder. They are read again when they change.
#[derive(Debug, Default)]
pub(super) struct Configs(Mutex<HashMap<PathBuf, Read>>);

impl Configs {
    /// `None` if the file does not exist, or has another form.
    pub(super) fn of(&self, folder: &Path) -> Option<Arc<Container>> {
        let path = folder.join(CONFIG);
        let mut known = self.0.lock();
        let Ok(metadata) = std::fs::metadata(&path) else {
            // Docker removes it before the log; the last lines keep its facts.
            return known.get(folder).and_then(|(_, container)| container.clone());
        };
        let version = (metadata.ino(), metadata.mtime(), metadata.mtime_nsec());
        if let Some((read, container)) = known.get(folder)
            && *read == version
        {
            return container.clone();
        }
        let read = wattle_files::read(&path, MAX_BYTES);
        let container = read.as_ref().ok().and_then(|text| Container::parse(text)).map(Arc::new);
        if container.is_none() {
            let reason =
                read.err().map_or_else(|| "it is not the configuration of a container".to_owned(), |e| e.to_string());
            tracing::warn!(path = %path.display(), reason, "cannot read the configuration of a container; its events have its ID only");
        }
        if known.len() >= MAX_CONTAINERS {
            known.retain(|folder, _| folder.exists());
            // Facts are read again when they are needed.
            if known.len() >= MAX_CONTAINERS {
                known.clear();
            }
        }
        known.insert(folder.to_owned(), (version, container.clone()));
        container
    }
}
