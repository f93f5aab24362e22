//! The source `docker_logs`: reads the logs that Docker writes to files (`json-file`, its default), without its daemon.
//!
//! It is the source `file` on `/var/lib/docker/containers/ID/ID-json.log`. This module adds facts about containers,
//! from `config.v2.json` in the same folder, and filters.

mod config;
mod options;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;
use wattle_options::OptionErrors;

use crate::error::SourceError;
use crate::file::{About, Facts, FileSource, Settings};
use crate::source::{Source, SourceContext};
use config::{Configs, Container};
use options::Filters;
pub(crate) use options::Options;

/// The source, ready to run.
pub(crate) struct DockerLogs {
    settings: Settings,
}

impl DockerLogs {
    pub(crate) fn new(options: Options, errors: &mut OptionErrors) -> Option<Self> {
        options.check(errors).map(|settings| Self { settings })
    }
}

impl Source for DockerLogs {
    fn run(self: Box<Self>, context: SourceContext) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::new(FileSource::of(self.settings)).run(context)
    }
}

/// The logs of the containers of this machine.
#[derive(Debug)]
struct ContainerLogs {
    filters: Filters,
    configs: Configs,
}

impl ContainerLogs {
    /// The ID in the path, and the configuration of the container.
    fn container<'p>(&self, path: &'p Path) -> Option<(&'p str, Option<Arc<Container>>)> {
        let folder = path.parent()?;
        Some((folder.file_name()?.to_str()?, self.configs.of(folder)))
    }
}

impl About for ContainerLogs {
    fn type_name(&self) -> &'static str {
        "docker_logs"
    }

    fn is_wanted(&self, path: &Path) -> bool {
        self.container(path).is_some_and(|(id, container)| self.filters.select(id, container.as_deref()))
    }

    fn facts(&self, path: &Path, _: Duration) -> Facts {
        let Some((id, container)) = self.container(path) else { return Facts::Unwanted };
        let mut facts = Map::new();
        facts.insert("container.id".to_owned(), id.into());
        if let Some(container) = container {
            container.describe(&mut facts);
        }
        Facts::Known(facts)
    }

    fn stays_in_folder(&self) -> bool {
        true
    }
}
