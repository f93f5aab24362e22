//! The component of a command: a file, or the artifact of a project.

use std::io::Read as _;
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

use super::project::Project;

/// What the name of a built-in node begins with.
const BUILTIN: &str = "builtin:";

/// A component, its options, and its project.
pub(crate) struct Component {
    pub(crate) artifact: Artifact,
    pub(crate) options: String,
    pub(crate) project: Option<Project>,
}

impl Component {
    pub(crate) fn find(options: &ComponentOptions) -> Result<Self, Failure> {
        let builtin = options.component.to_str().filter(|name| name.starts_with(BUILTIN));
        let given = options.options.as_deref().map(|given| json_options(given, builtin)).transpose()?;
        if options.component.is_dir() {
            let project = Project::open(&options.component)?;
            let options = given.map_or_else(|| project.options(), Ok)?;
            return Ok(Self { artifact: built(&project)?, options, project: Some(project) });
        }
        let artifact = match builtin.and_then(|name| name.strip_prefix(BUILTIN)) {
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

/// How options are given.
const OPTIONS: &str = "options are a JSON object such as '{\"field\": \"body\"}', or a file in TOML or JSON with the \
                       options or with the block of the node";

/// The artifact of a project.
pub(crate) fn built(project: &Project) -> Result<Artifact, Failure> {
    read(&project.artifact(), "; build it with `wattle node build`")
}

/// The contents of a file of sample events, as the sources read it.
pub(crate) fn read_text(path: &Path) -> Result<Vec<u8>, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::new(format!("`{}`: {error}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| wrong(&error))?;
    let mut text = Vec::new();
    wattle_source::text(file).and_then(|mut input| input.read_to_end(&mut text)).map_err(|error| wrong(&error))?;
    Ok(text)
}

/// Options as JSON text: an object as it is written, or the contents of a file.
fn json_options(given: &str, builtin: Option<&str>) -> Result<String, Failure> {
    if given.trim_start().starts_with('{') {
        // The node reports text that is not JSON, with the place.
        return match serde_json::from_str(given) {
            Ok(options) => match of_node(&options, builtin) {
                Ok(Some(options)) => Ok(options),
                // As it is written, so that the node can report its places.
                Ok(None) => Ok(given.to_owned()),
                Err(problem) => Err(Failure::config(format!("--options: {problem}"))),
            },
            Err(_) => Ok(given.to_owned()),
        };
    }
    if given.trim().is_empty() {
        return Err(Failure::config(format!("--options is empty; {OPTIONS}")));
    }
    let path = Path::new(given);
    let wrong = |error: &dyn std::fmt::Display| Failure::config(format!("`{given}`: {error}"));
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::config(format!("`{given}`: {error}; {OPTIONS}")))?;
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let options = match is_json {
        true => serde_json::from_str(&text).map_err(|error| wrong(&error))?,
        false => toml_options(path, &text, None)?,
    };
    let of_node = of_node(&options, builtin).map_err(|problem| wrong(&problem))?;
    Ok(of_node.unwrap_or(if is_json { text } else { options.to_string() }))
}

/// Options in a text of TOML, or in one of its keys, with environment variables, as in a configuration.
pub(super) fn toml_options(path: &Path, text: &str, key: Option<&str>) -> Result<serde_json::Value, Failure> {
    wattle_manifest::read_options(path, text, key, &|name| std::env::var(name).ok())
        .map_err(|invalid| Failure::config(invalid.text()))
}

/// The options in the block of a node, as a pack, a configuration and the READMEs of nodes have it; `None` if these are
/// the options themselves.
fn of_node(given: &serde_json::Value, builtin: Option<&str>) -> Result<Option<String>, String> {
    let Some(nodes) = given.get("nodes").and_then(serde_json::Value::as_object) else {
        let is_block = given.get("artifact").is_some_and(serde_json::Value::is_string);
        return Ok(is_block.then(|| options_of(given)));
    };
    let artifact = |node: &serde_json::Value| node.get("artifact").and_then(|name| name.as_str().map(str::to_owned));
    let fits = |node: &serde_json::Value| match (builtin, artifact(node)) {
        (Some(wanted), Some(artifact)) => artifact == wanted,
        _ => true,
    };
    let mut fitting = nodes.iter().filter(|(_, node)| fits(node));
    match (fitting.next(), fitting.next()) {
        (Some((_, node)), None) => Ok(Some(options_of(node))),
        (None, _) => Err(format!("no block in `nodes` has the artifact `{}`", builtin.unwrap_or_default())),
        (Some((first, _)), Some((second, _))) => {
            Err(format!("`nodes.{first}` and `nodes.{second}` both fit this node; leave only one of them in the file"))
        }
    }
}

fn options_of(node: &serde_json::Value) -> String {
    node.get("options").map_or_else(|| "{}".to_owned(), serde_json::Value::to_string)
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
