//! The component that a command is about: a file, or what a project has built.

use std::path::Path;
use std::sync::Arc;

use wattle_pack::{Artifact, ArtifactLimits, Origin};
use wattle_runtime::Runtime;

use crate::cli::node::ComponentOptions;
use crate::configuration::environment;
use crate::exit::Failure;

use super::project::Project;

/// A component and the options to run it with.
pub(crate) struct Component {
    pub(crate) artifact: Artifact,
    pub(crate) options: String,
}

impl Component {
    pub(crate) fn find(options: &ComponentOptions) -> Result<Self, Failure> {
        let given = options.options.clone();
        if options.component.is_dir() {
            let project = Project::open(&options.component)?;
            let options = given.map_or_else(|| project.options(), Ok)?;
            return Ok(Self { artifact: built(&project)?, options });
        }
        Ok(Self { artifact: read(&options.component, "")?, options: given.unwrap_or_else(|| "{}".into()) })
    }
}

/// What a project has built.
pub(crate) fn built(project: &Project) -> Result<Artifact, Failure> {
    read(&project.artifact(), "; build it with `wattle node build`")
}

fn read(path: &Path, hint: &str) -> Result<Artifact, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::new(format!("`{}`: {error}{hint}", path.display())))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Artifact::new(name, bytes, Origin::File(path.into())))
}

/// A runtime that keeps compiled code where the agent does.
pub(crate) fn runtime() -> Result<Arc<Runtime>, Failure> {
    let cache = wattle_pack::default_data_dir(&environment).join("cache");
    Ok(Runtime::new(Some(&cache), ArtifactLimits::default())?)
}
