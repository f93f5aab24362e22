//! The options of a `docker_logs` source, as written and as checked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use wattle_options::{Number, OptionErrors, Period, Size};

use super::ContainerLogs;
use super::config::{Configs, Container};
use crate::file::{ContainerFiles, Links, ReadFrom, Settings};

/// Label of a container whose logs are not read, if it is `true`.
const EXCLUDE: &str = "wattle.dev/exclude";

/// The options as written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// Folder with a folder for each container. Default: `/var/lib/docker/containers`.
    directory: Option<PathBuf>,
    /// Globs of log files to exclude, as in a source `file`. Default: none.
    #[serde(default)]
    exclude: Vec<String>,
    /// Containers to read, by the beginning of their name or ID. Default: all.
    #[serde(default)]
    include_containers: Vec<String>,
    /// Containers not to read, by the beginning of their name or ID. Default: none.
    #[serde(default)]
    exclude_containers: Vec<String>,
    /// Images of containers to read, with or without a tag. Default: all.
    #[serde(default)]
    include_images: Vec<String>,
    /// Labels of containers to read, `name` or `name=value`; a container has all of them. Default: none.
    #[serde(default)]
    include_labels: Vec<String>,
    /// Where to start reading logs that existed before the first run of the source, or before it lost its positions:
    /// `beginning` or `end`. Default: `beginning`.
    #[serde(default)]
    read_from: ReadFrom,
    /// Interval between searches for new logs. Default: `1s`.
    glob_interval: Option<Period>,
    /// How long the source continues to read a renamed or deleted log after its last change. Default: `5s`.
    rotate_wait: Option<Period>,
    /// Maximum length of an event in bytes, after its parts are joined. Longer events are skipped, counted and logged.
    /// Default: `1MiB`.
    max_event_bytes: Option<Size>,
    /// Maximum number of open files. If the limit of the process is lower, the sources share it. Default: `1024`.
    max_open_files: Option<Number<u64>>,
}

/// Which containers are read.
#[derive(Debug, Default)]
pub(super) struct Filters {
    pub(super) include: Vec<String>,
    pub(super) exclude: Vec<String>,
    pub(super) images: Vec<String>,
    /// Name, and the value if one is required.
    pub(super) labels: Vec<(String, Option<String>)>,
}

impl Filters {
    /// Returns whether a container is read. Without its configuration, filters that need it select nothing.
    pub(super) fn select(&self, id: &str, container: Option<&Container>) -> bool {
        let is_named = |prefix: &String| {
            id.starts_with(prefix.as_str()) || container.is_some_and(|it| it.name.starts_with(prefix.as_str()))
        };
        let is_image = |image: &String| {
            let without_image = |of: &str| of.strip_prefix(image.as_str()).map(str::to_owned);
            container
                .and_then(|container| without_image(&container.image))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '@']))
        };
        let has_label = |(name, value): &(String, Option<String>)| {
            let found = container.and_then(|container| container.labels.get(name));
            found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
        };
        let is_excluded = has_label(&(EXCLUDE.to_owned(), Some("true".to_owned())));
        (self.include.is_empty() || self.include.iter().any(is_named))
            && !self.exclude.iter().any(is_named)
            && (self.images.is_empty() || self.images.iter().any(is_image))
            && self.labels.iter().all(has_label)
            && !is_excluded
    }
}

impl Options {
    /// Checks the options. `None` if they are not valid; all errors are in `errors`.
    pub(super) fn check(self, errors: &mut OptionErrors) -> Option<Settings> {
        let before = errors.count();
        for (option, texts) in [
            ("include_containers", &self.include_containers),
            ("exclude_containers", &self.exclude_containers),
            ("include_images", &self.include_images),
            ("include_labels", &self.include_labels),
        ] {
            for (index, _) in texts.iter().enumerate().filter(|(_, text)| text.is_empty()) {
                errors.add(&format!("{option}[{index}]"), "is empty");
            }
        }
        let label = |text: String| match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (text, None),
        };
        let filters = Filters {
            include: self.include_containers,
            exclude: self.exclude_containers,
            images: self.include_images,
            labels: self.include_labels.into_iter().map(label).collect(),
        };
        let directory = self.directory.unwrap_or_else(|| PathBuf::from("/var/lib/docker/containers"));
        if directory.as_os_str().is_empty() {
            errors.add("directory", "names no folder");
        }
        let mut exclude = self.exclude;
        // Docker compresses to this file, and renames it.
        exclude.push("*.tmp".to_owned());
        let files = ContainerFiles {
            include: vec![format!("{}/*/*-json.log*", globset::escape(&directory.to_string_lossy()))],
            exclude,
            read_from: self.read_from,
            follow_symlinks: Links::SameOwner,
            glob_interval: self.glob_interval.unwrap_or(Period(Duration::from_secs(1))),
            rotate_wait: self.rotate_wait.unwrap_or(Period(Duration::from_secs(5))),
            max_event_bytes: self.max_event_bytes.unwrap_or(Size(1 << 20)),
            max_open_files: self.max_open_files.unwrap_or(Number(1024)),
            about: Arc::new(ContainerLogs { filters, configs: Configs::default() }),
        };
        let settings = errors.accept(files.check());
        settings.filter(|_| errors.count() == before)
    }
}
