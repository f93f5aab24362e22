//! The project of a node, from `node.toml`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use wattle_cases::Mocks;
use wattle_devkit::Provided;
use wattle_printable as printable;

use super::component::toml_options;
use crate::exit::{self, Failure};

/// Name of the file.
const FILE: &str = "node.toml";

/// A project.
pub(crate) struct Project {
    /// Its folder.
    pub(crate) root: PathBuf,
    /// The contents of its file.
    pub(crate) manifest: Manifest,
    /// The text of the manifest.
    text: String,
    /// Grants and mocks.
    pub(crate) provided: Provided,
}

/// `node.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// Name of the node.
    pub(crate) name: String,
    /// Path of the component.
    pub(crate) artifact: PathBuf,
    /// Options for the commands; the reader of manifests parses them, as those in a configuration.
    #[serde(default, rename = "options")]
    _options: toml::Table,
    /// Capabilities of the node in commands; the reader of manifests parses them. Default: all.
    #[serde(default, rename = "grants")]
    _grants: toml::Table,
    /// Responses of capabilities.
    #[serde(default)]
    mocks: toml::Table,
    /// Its build.
    pub(crate) build: Build,
}

/// The build of a node.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Build {
    /// Output of the last step: a core module, or a component.
    pub(crate) output: PathBuf,
    /// Files and folders whose change starts a build.
    pub(crate) watch: Vec<PathBuf>,
    /// Programs and other requirements.
    #[serde(default)]
    pub(crate) needs: Vec<Need>,
    /// Commands, in order.
    pub(crate) steps: Vec<Step>,
}

/// A requirement of the build.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Need {
    /// Name in messages; `{name}` in a command stands for the program that was found.
    pub(crate) name: String,
    /// Programs; the build uses the first that exists. `rust:` looks in the Rust toolchain.
    #[serde(default)]
    pub(crate) any: Vec<String>,
    /// A command that must print `says`.
    #[serde(default)]
    pub(crate) check: Vec<String>,
    /// A line that `check` must print.
    #[serde(default)]
    pub(crate) says: String,
    /// How to install it.
    pub(crate) install: String,
}

/// A command.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// Program and arguments.
    pub(crate) run: Vec<String>,
    /// The step is skipped if this file exists and is not older than `newer_than`.
    pub(crate) unless: Option<PathBuf>,
    /// See `unless`.
    pub(crate) newer_than: Option<PathBuf>,
}

impl Project {
    /// Opens the project of a folder.
    pub(crate) fn open(root: &Path) -> Result<Self, Failure> {
        let path = root.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let path = path.display();
            Failure::config(format!("`{path}`: {error}; `wattle node new` creates a project"))
        })?;
        let wrong = |error: &dyn std::fmt::Display| Failure::config(format!("`{}`: {error}", path.display()));
        let manifest: Manifest = toml::from_str(&text).map_err(|error| wrong(&error))?;
        let provided = provided(&path, &text, &manifest.mocks)?;
        Ok(Self { root: root.to_owned(), text, manifest, provided })
    }

    /// Prints each request without a mock, with the lines to add.
    pub(crate) fn report_missing_mocks(&self) {
        report_missing_mocks(&self.provided, Path::new(FILE));
    }

    /// Path of the component.
    pub(crate) fn artifact(&self) -> PathBuf {
        self.root.join(&self.manifest.artifact)
    }

    /// Folder of the cases.
    pub(crate) fn cases(&self) -> PathBuf {
        self.root.join("tests/cases")
    }

    /// The options as JSON text.
    pub(crate) fn options(&self) -> Result<String, Failure> {
        Ok(toml_options(&self.root.join(FILE), &self.text, Some("options"))?.to_string())
    }
}

/// The grants in the text of a TOML file, with these mocks.
fn provided(path: &Path, text: &str, mocks: &toml::Table) -> Result<Provided, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::config(format!("`{}`: {error}", path.display()));
    let grants = wattle_manifest::read_grants(path, text).map_err(|invalid| Failure::config(invalid.text()))?;
    let mocks = Mocks::read(&json_of(&toml::Value::Table(mocks.clone()))).map_err(|error| wrong(&error))?;
    Provided::new(grants, mocks).map_err(|error| wrong(&error))
}

/// Prints each request without a mock, with the lines to add to a file.
pub(crate) fn report_missing_mocks(provided: &Provided, file: &Path) {
    for request in provided.missing() {
        let key = serde_json::Value::from(request.as_str());
        exit::say(&format!(
            "`{}` has no mock; add it to `{}`:\n    [mocks.http-client]\n    \
             {key} = {{ status = 200, body = \"...\" }}",
            printable::line(&request),
            file.display()
        ));
    }
}

/// A file with nothing but grants and mocks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Environment {
    /// Capabilities; the reader of manifests parses them.
    #[serde(default, rename = "grants")]
    _grants: toml::Table,
    /// Responses of capabilities.
    #[serde(default)]
    mocks: toml::Table,
}

/// Grants and mocks of a file. Without a clock among the mocks, the clock has the present time.
pub(crate) fn read_environment(path: Option<&Path>) -> Result<Provided, Failure> {
    let mut environment = Environment { _grants: toml::Table::new(), mocks: toml::Table::new() };
    let mut text = String::new();
    if let Some(path) = path {
        let wrong = |error: &dyn std::fmt::Display| Failure::config(format!("`{}`: {error}", path.display()));
        text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
        environment = toml::from_str(&text).map_err(|error| wrong(&error))?;
    }
    environment.mocks.entry("clock").or_insert_with(|| jiff::Timestamp::now().to_string().into());
    provided(path.unwrap_or(Path::new("")), &text, &environment.mocks)
}

/// TOML as JSON; times become text.
fn json_of(value: &toml::Value) -> serde_json::Value {
    match value {
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(items) => items.iter().map(json_of).collect(),
        toml::Value::Table(table) => {
            serde_json::Value::Object(table.iter().map(|(key, value)| (key.clone(), json_of(value))).collect())
        }
        scalar => serde_json::to_value(scalar).unwrap_or_default(),
    }
}
