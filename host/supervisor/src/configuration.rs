//! Loads a configuration from files, or from the text that a command line generates.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wattle_diagnostics::{Diagnostic, Invalid};
use wattle_manifest::ConfigOrigin;
use wattle_pack::{Library, Remote};
use wattle_plan::{AgentSettings, PipelinePlan, Plan};
use wattle_registry::Store;
use wattle_runtime::Catalog;

use crate::endpoints::Builtin;
use crate::env_file;

/// A configuration that can be loaded repeatedly.
#[derive(Clone, Debug)]
pub enum Configuration {
    /// Files, and folders with files `*.toml`; at least one.
    Files(Vec<PathBuf>),
    /// A text without a file. Such a run keeps nothing in the data folder and cannot be reloaded.
    Text(String),
}

/// The name of a text in diagnostics.
const COMMAND_LINE: &str = "<command line>";

impl Configuration {
    /// Its name in messages.
    pub fn name(&self) -> String {
        match self {
            Self::Files(paths) => paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
            Self::Text(_) => COMMAND_LINE.to_owned(),
        }
    }

    /// Path of its lock; a text has none.
    pub fn lock(&self) -> Option<PathBuf> {
        match self {
            Self::Files(paths) => paths.first().map(|path| wattle_manifest::lock_of(path)),
            Self::Text(_) => None,
        }
    }

    /// Where it is read from.
    pub fn origin(&self) -> ConfigOrigin<'_> {
        match self {
            Self::Files(paths) => ConfigOrigin::Files(paths),
            Self::Text(text) => ConfigOrigin::Text { name: COMMAND_LINE, text },
        }
    }

    /// The settings of the agent only, before anything is compiled.
    pub fn settings(&self) -> AgentSettings {
        wattle_manifest::peek_settings(self.origin(), &environment)
    }

    /// The settings of the agent, for commands that do not load the rest of the configuration.
    ///
    /// # Errors
    ///
    /// A file cannot be read, is not TOML, or does not name the data folder.
    pub fn known_settings(&self) -> Result<AgentSettings, Invalid> {
        match self {
            Self::Files(_) => wattle_manifest::read_settings(self.origin(), &environment),
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
        wattle_manifest::load(self.origin(), &environment, catalog, &Builtin, library)
    }

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
        wattle_manifest::load_version(self.origin(), &environment, catalog, library, (pipeline, reference))
            .map(|(plan, _)| plan)
    }
}

/// A variable of the environment, or of the files of `--env-file`; one that is not UTF-8 counts as unset.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().or_else(|| env_file::variable(name))
}

/// The images in a data folder, for commands that pull nothing.
pub fn stored(data_dir: &Path) -> Arc<dyn Remote> {
    Arc::new(Store::new(data_dir))
}
