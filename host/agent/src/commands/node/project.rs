//! The project of a node: what `node.toml` says.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use wattle_cases::Mocks;
use wattle_printable as printable;
use wattle_workbench::Provided;

use crate::exit::{self, Failure};

/// Name of the file.
const FILE: &str = "node.toml";

/// A project.
pub(crate) struct Project {
    /// Its folder.
    pub(crate) root: PathBuf,
    /// What its file says.
    pub(crate) manifest: Manifest,
    /// Grants and mocks.
    pub(crate) provided: Provided,
}

/// `node.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// Name of the node.
    pub(crate) name: String,
    /// Where the component goes.
    pub(crate) artifact: PathBuf,
    /// Options that the node is measured, checked and shown with.
    #[serde(default)]
    pub(crate) options: toml::Table,
    /// Capabilities that the commands give to the node; read by `wattle_pack`, which knows the form. Default: all.
    #[serde(default, rename = "grants")]
    _grants: toml::Table,
    /// What capabilities answer.
    #[serde(default)]
    mocks: toml::Table,
    /// How it is built.
    pub(crate) build: Build,
}

/// How a node is built.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Build {
    /// What the last step makes: a core module, or a component.
    pub(crate) output: PathBuf,
    /// Files and folders whose change asks for another build.
    pub(crate) watch: Vec<PathBuf>,
    /// Programs and what else must be there.
    #[serde(default)]
    pub(crate) needs: Vec<Need>,
    /// Commands, in order.
    pub(crate) steps: Vec<Step>,
}

/// Something that must be there before anything is built.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Need {
    /// What it is called in messages; `{name}` in a command stands for the program that was found.
    pub(crate) name: String,
    /// Programs, the first of which that is there is taken; `rust:` looks in the toolchain of Rust.
    #[serde(default)]
    pub(crate) any: Vec<String>,
    /// A command that must say `says`.
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
    /// It is passed over if this file is there, and not older than `newer_than`.
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
            Failure::config(format!("`{path}`: {error}; `wattle node new` begins a project"))
        })?;
        let wrong = |error: &dyn std::fmt::Display| Failure::config(format!("`{}`: {error}", path.display()));
        let manifest: Manifest = toml::from_str(&text).map_err(|error| wrong(&error))?;
        let grants = wattle_pack::read_grants(&path, &text).map_err(|invalid| {
            Failure::config(invalid.diagnostics.iter().map(|d| d.render(false)).collect::<Vec<_>>().join("\n"))
        })?;
        let mocks =
            Mocks::read(&json_of(&toml::Value::Table(manifest.mocks.clone()))).map_err(|error| wrong(&error))?;
        let provided = Provided::new(grants, mocks).map_err(|error| wrong(&error))?;
        Ok(Self { root: root.to_owned(), manifest, provided })
    }

    /// Says which requests had no mock, each with what to write.
    pub(crate) fn report_missing_mocks(&self) {
        for request in self.provided.missing() {
            let key = serde_json::Value::from(request.as_str());
            exit::say(&format!(
                "`{}` has no mock; add it to `{FILE}`:\n    [mocks.http-client]\n    \
                 {key} = {{ status = 200, body = \"...\" }}",
                printable::line(&request)
            ));
        }
    }

    /// Where the component goes.
    pub(crate) fn artifact(&self) -> PathBuf {
        self.root.join(&self.manifest.artifact)
    }

    /// Folder of the cases.
    pub(crate) fn cases(&self) -> PathBuf {
        self.root.join("tests/cases")
    }

    /// The options as JSON text.
    pub(crate) fn options(&self) -> Result<String, Failure> {
        Ok(serde_json::to_string(&self.manifest.options)?)
    }
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
