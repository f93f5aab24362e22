//! Loads a configuration from a file, or from the text that a command line generates.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wattle_diagnostics::{Diagnostic, Invalid};
use wattle_pack::{Library, Remote};
use wattle_plan::{AgentSettings, PipelinePlan, Plan};
use wattle_registry::Store;
use wattle_runtime::Catalog;

use crate::endpoints::Builtin;

/// A configuration that can be loaded repeatedly.
#[derive(Clone, Debug)]
pub enum Configuration {
    /// The path of a file.
    File(PathBuf),
    /// A text without a file. Such a run keeps nothing in the data folder and cannot be reloaded.
    Text(String),
}

/// The name of a text in diagnostics.
const COMMAND_LINE: &str = "<command line>";

impl Configuration {
    /// Its name in diagnostics.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Text(_) => COMMAND_LINE.to_owned(),
        }
    }

    fn folder(&self) -> &Path {
        match self {
            Self::File(path) => path.parent().unwrap_or(Path::new("")),
            Self::Text(_) => Path::new(""),
        }
    }

    /// The settings of the agent only, before anything is compiled.
    pub fn settings(&self) -> AgentSettings {
        let text = match self {
            Self::File(path) => std::fs::read_to_string(path).unwrap_or_default(),
            Self::Text(text) => text.clone(),
        };
        wattle_manifest::peek_settings(&text, self.folder(), &environment)
    }

    /// The settings of the agent, for commands that do not load the rest of the configuration.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not TOML, or does not name the data folder.
    pub fn known_settings(&self) -> Result<AgentSettings, Invalid> {
        match self {
            Self::File(path) => wattle_manifest::read_settings(path, &environment),
            Self::Text(_) => Ok(self.settings()),
        }
    }

    /// Loads and validates the configuration, and returns its plan and warnings.
    ///
    /// # Errors
    ///
    /// All errors in the configuration.
    pub fn load(&self, catalog: &Catalog, library: &Library) -> Result<(Plan, Vec<Diagnostic>), Invalid> {
        let settings = self.settings();
        catalog.runtime().limit_describe(settings.limits);
        // Commands use only images that were pulled before. The library of an agent can also pull.
        let library = &library.clone().or_remote(|| stored(&settings.data_dir));
        match self {
            Self::File(path) => wattle_manifest::load(path, &environment, catalog, &Builtin, library),
            Self::Text(text) => {
                wattle_manifest::load_text(COMMAND_LINE, text, self.folder(), &environment, catalog, &Builtin, library)
            }
        }
    }
}

impl Configuration {
    /// Loads another version of the pack of a pipeline, with the parameters and grants of the pipeline.
    ///
    /// # Errors
    ///
    /// All errors in the configuration or in the pack.
    pub(crate) fn load_version(
        &self,
        catalog: &Catalog,
        library: &Library,
        pipeline: &str,
        reference: &str,
    ) -> Result<PipelinePlan, Invalid> {
        let text = match self {
            // A file that cannot be read has no such pipeline.
            Self::File(path) => std::fs::read_to_string(path).unwrap_or_default(),
            Self::Text(text) => text.clone(),
        };
        let (name, folder) = (self.name(), self.folder());
        wattle_manifest::load_version(&name, &text, folder, &environment, catalog, library, (pipeline, reference))
            .map(|(plan, _)| plan)
    }
}

/// A variable of the environment; one that is not UTF-8 counts as unset.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The images in a data folder, for commands that pull nothing.
pub fn stored(data_dir: &Path) -> Arc<dyn Remote> {
    Arc::new(Store::new(data_dir))
}
