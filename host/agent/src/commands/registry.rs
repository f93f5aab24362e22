//! `wattle pack archive|keygen|sign|verify|push|pull`: archives, registries and signatures, one
//! file per command.

mod archive;
mod keygen;
mod pull;
mod push;
mod sign;
mod verify;

use std::path::{Path, PathBuf};

use wattle_manifest::ConfigOrigin;
use wattle_pack::Distrust;
use wattle_plan::AgentSettings;
use wattle_registry::files::{self, Files};
use wattle_registry::{Image, archive as layout};

use crate::cli::registry::RegistryCommand;
use crate::client;
use crate::exit::{Done, Failure};
use wattle_supervisor::environment;

pub(crate) fn registry(command: &RegistryCommand) -> Done {
    match command {
        RegistryCommand::Archive(options) => archive::archive(options),
        RegistryCommand::Keygen(options) => keygen::keygen(options),
        RegistryCommand::Sign(options) => sign::sign(options),
        RegistryCommand::Verify(options) => verify::verify(options),
        RegistryCommand::Push(options) => push::push(options),
        RegistryCommand::Pull(options) => pull::pull(options),
    }
}

/// The settings of a configuration, or the defaults.
fn settings(config: &[PathBuf]) -> Result<AgentSettings, Failure> {
    match config {
        [_, ..] => client::settings(config, "leave out `--config`"),
        [] => Ok(wattle_manifest::peek_settings(ConfigOrigin::Text { name: "", text: "" }, &environment)),
    }
}

/// The files of a folder or an archive.
fn read(path: &Path) -> Result<Files, Failure> {
    if path.is_dir() { read_folder(path) } else { Ok(read_archive(path)?.unpack().map_err(|e| refused(path, e))?) }
}

/// The files of a folder with a manifest.
fn read_folder(folder: &Path) -> Result<Files, Failure> {
    let files = files::read_folder(folder).map_err(|error| refused(folder, error))?;
    if files.contains_key("pack.toml") {
        return Ok(files);
    }
    Err(Failure::config(format!("`{}` is not a pack: it has no `pack.toml`", folder.display())))
}

/// The image of a folder or an archive.
fn image(path: &Path) -> Result<Image, Failure> {
    if path.is_dir() {
        return Image::of_files(&read_folder(path)?).map_err(|error| refused(path, error));
    }
    read_archive(path)
}

fn read_archive(path: &Path) -> Result<Image, Failure> {
    let bytes = std::fs::read(path).map_err(|error| refused(path, error))?;
    layout::read(&bytes).map_err(|error| refused(path, error))
}

fn refused(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::config(format!("{}: {error}", path.display()))
}

/// The reasons why a pack is not trusted.
fn distrusted(problems: &[Distrust]) -> Failure {
    let lines = problems.iter().map(|problem| {
        let hint = problem.hint.as_ref().map(|hint| format!("\n  = help: {hint}")).unwrap_or_default();
        format!("error[{}]: {}{hint}", problem.code(), problem.message)
    });
    Failure::config(format!("the pack is not trusted\n{}", lines.collect::<Vec<_>>().join("\n")))
}
