//! The component of a command: a file, or the artifact of a project.

use std::path::Path;
use std::sync::Arc;

use wattle_devkit::{Provided, Sandboxed};
use wattle_plan::{Artifact, ArtifactLimits, Origin};
use wattle_runtime::{Compiled, Runtime};

use crate::cli::node::ComponentOptions;
use crate::exit::Failure;
use crate::waiting::Waiting;
use wattle_supervisor::environment;

use super::project::Project;

/// A component, its options, and its project.
pub(crate) struct Component {
    pub(crate) artifact: Artifact,
    pub(crate) options: String,
    pub(crate) project: Option<Project>,
}

impl Component {
    pub(crate) fn find(options: &ComponentOptions) -> Result<Self, Failure> {
        let given = options.options.clone();
        if options.component.is_dir() {
            let project = Project::open(&options.component)?;
            let options = given.map_or_else(|| project.options(), Ok)?;
            return Ok(Self { artifact: built(&project)?, options, project: Some(project) });
        }
        let options_of_none = || "{}".to_owned();
        Ok(Self {
            artifact: read(&options.component, "")?,
            options: given.unwrap_or_else(options_of_none),
            project: None,
        })
    }

    /// Grants and mocks of the project. A component without one has every capability, and no mocks.
    pub(crate) fn provided(&self) -> Provided {
        self.project.as_ref().map(|project| project.provided.clone()).unwrap_or_default()
    }
}

/// The artifact of a project.
pub(crate) fn built(project: &Project) -> Result<Artifact, Failure> {
    read(&project.artifact(), "; build it with `wattle node build`")
}

fn read(path: &Path, hint: &str) -> Result<Artifact, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::new(format!("`{}`: {error}{hint}", path.display())))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Artifact::new(name, bytes, Origin::File(path.into())))
}

/// Compiles the node of a project for test cases, with the grants and mocks of the project.
pub(crate) fn subject(project: &Project) -> Result<Sandboxed, Failure> {
    let compiled = compile(&runtime()?, &project.manifest.name, &built(project)?)?;
    project.provided.check(&compiled).map_err(Failure::config)?;
    Ok(Sandboxed::new(compiled, project.provided.clone()))
}

/// Compiles a component, and shows it if that takes long.
fn compile(runtime: &Arc<Runtime>, name: &str, artifact: &Artifact) -> Result<Arc<Compiled>, Failure> {
    let _waiting = Waiting::compiling(runtime);
    runtime.compile(artifact).map_err(|error| {
        let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        Failure::new(format!("{name}: {}{hint}", error.message))
    })
}

/// A runtime with the cache folder of the agent.
pub(crate) fn runtime() -> Result<Arc<Runtime>, Failure> {
    let cache = wattle_manifest::default_data_dir(&environment).join("cache");
    Ok(Runtime::new(Some(&cache), ArtifactLimits::default())?)
}
