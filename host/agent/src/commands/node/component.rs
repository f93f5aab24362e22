//! The component of a command: a file, or the artifact of a project.

use std::path::Path;
use std::sync::Arc;

use wattle_devkit::{Provided, Sandboxed};
use wattle_plan::{Artifact, ArtifactLimits, Origin};
use wattle_runtime::{Compiled, Runtime};

use crate::builtin;
use crate::cli::node::ComponentOptions;
use crate::exit::Failure;
use crate::waiting::Waiting;
use wattle_supervisor::environment;

use super::project::{Project, json_of};

/// A component, its options, and its project.
pub(crate) struct Component {
    pub(crate) artifact: Artifact,
    pub(crate) options: String,
    pub(crate) project: Option<Project>,
}

impl Component {
    pub(crate) fn find(options: &ComponentOptions) -> Result<Self, Failure> {
        let given = options.options.as_deref().map(json_options).transpose()?;
        if options.component.is_dir() {
            let project = Project::open(&options.component)?;
            let options = given.map_or_else(|| project.options(), Ok)?;
            return Ok(Self { artifact: built(&project)?, options, project: Some(project) });
        }
        let artifact = match options.component.to_str().and_then(|name| name.strip_prefix("builtin:")) {
            Some(name) => builtin_node(name)?,
            None => read(&options.component, "")?,
        };
        Ok(Self { artifact, options: given.unwrap_or_else(|| "{}".to_owned()), project: None })
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

/// Options as JSON text: an object as it is written, or the contents of a file.
fn json_options(given: &str) -> Result<String, Failure> {
    if given.trim_start().starts_with('{') {
        return Ok(given.to_owned());
    }
    let path = Path::new(given);
    let wrong = |error: &dyn std::fmt::Display| Failure::config(format!("`{given}`: {error}"));
    let text = std::fs::read_to_string(path).map_err(|error| {
        let hint = "options are a JSON object such as '{\"field\": \"body\"}', or a file in TOML or JSON";
        Failure::config(format!("`{given}`: {error}; {hint}"))
    })?;
    if path.extension().is_some_and(|extension| extension == "json") {
        return Ok(text);
    }
    let table: toml::Table = toml::from_str(&text).map_err(|error| wrong(&error))?;
    Ok(json_of(&toml::Value::Table(table)).to_string())
}

fn builtin_node(name: &str) -> Result<Artifact, Failure> {
    let mut all = builtin::artifacts();
    match all.iter().position(|artifact| artifact.name == name) {
        Some(index) => Ok(all.swap_remove(index)),
        None => {
            let known: Vec<&str> = all.iter().map(|artifact| artifact.name.as_str()).collect();
            Err(Failure::new(format!("there is no built-in node `{name}`; built-in nodes are {}", known.join(", "))))
        }
    }
}

fn read(path: &Path, hint: &str) -> Result<Artifact, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::new(format!("`{}`: {error}{hint}", path.display())))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Artifact::new(name, bytes, Origin::File(path.into())))
}

/// Compiles the node of a project for test cases, with the grants and mocks of the project.
pub(crate) fn subject(project: &Project) -> Result<Sandboxed, Failure> {
    let compiled = compile(&runtime()?, &project.manifest.name, &built(project)?)?;
    project.provided.check(&compiled.capabilities).map_err(Failure::config)?;
    Ok(Sandboxed::new(compiled, project.provided.clone()))
}

/// Compiles a component, and shows it if that takes long.
pub(crate) fn compile(runtime: &Arc<Runtime>, name: &str, artifact: &Artifact) -> Result<Arc<Compiled>, Failure> {
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
