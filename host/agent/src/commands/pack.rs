//! `wattle pack`: commands on packs, one file each.

mod build;
mod diff;
mod digests;
mod expectations;
mod install;
mod lint;
mod list;
mod new;
mod propose;
mod remove;
mod rollback;
mod show;
mod test;
mod upgrade;
mod view;

use std::path::{Path, PathBuf};

use wattle_diagnostics::{Diagnostic, Invalid};
use wattle_pack::Library;

use crate::builtin;
use crate::cli::pack::{LibraryOption, PackCommand};
use crate::cli::{DiagnosticFormat, config_paths};
use crate::client::settings;
use crate::commands::registry::registry;
use crate::commands::validate::show;
use crate::exit::{Done, Failure};
use wattle_supervisor::stored;
use wattle_supervisor::{Configuration, environment};

pub(crate) fn pack(command: &PackCommand, color: bool) -> Done {
    match command {
        PackCommand::New(options) => new::new(options, color),
        PackCommand::Build(options) => build::build(options),
        PackCommand::Test(options) => test::test(options, color),
        PackCommand::Lint(options) => lint::lint(options, color),
        PackCommand::List(options) => list::list(options, color),
        PackCommand::Show(options) => show::show(options, color),
        PackCommand::Diff(options) => diff::diff(options, color),
        PackCommand::Install(options) => install::install(options, color),
        PackCommand::Upgrade(options) => upgrade::upgrade(options, color),
        PackCommand::Rollback(options) => rollback::rollback(options, color),
        PackCommand::Remove(options) => remove::remove(options, color),
        PackCommand::Travel(command) => registry(command),
    }
}

/// What to do if the configuration cannot be read.
const WITHOUT_CONFIG: &str = "name the folder with `--library` in place of `--config`";

/// The library folder that the options name.
fn library_folder(library: Option<&Path>, config: &[PathBuf]) -> Result<PathBuf, Failure> {
    match (library, config) {
        (Some(folder), _) => Ok(folder.to_owned()),
        (None, [_, ..]) => Ok(settings(config, WITHOUT_CONFIG)?.packs),
        (None, []) => Ok(wattle_manifest::default_data_dir(&environment).join("packs")),
    }
}

/// Path of the lock of a configuration.
fn lock_path(config: &[PathBuf]) -> Result<PathBuf, Failure> {
    let lock = Configuration::Files(config_paths(config)).lock();
    lock.ok_or_else(|| Failure::config("no configuration is named; add `--config FILE`"))
}

/// The built-in packs with those of the library folder.
pub(super) fn library(option: &LibraryOption) -> Result<Library, Failure> {
    let data_dir = match option.config.as_slice() {
        config @ [_, ..] => settings(config, WITHOUT_CONFIG)?.data_dir,
        [] => wattle_manifest::default_data_dir(&environment),
    };
    let folder = library_folder(option.library.as_deref(), &option.config)?;
    Ok(builtin::library().with_folder(folder).with_remote(stored(&data_dir)))
}

/// Every diagnostic as text.
fn texts(diagnostics: &[Diagnostic], color: bool) -> String {
    let all: Vec<String> = diagnostics.iter().map(|d| show(d, DiagnosticFormat::Text, color)).collect();
    all.join("\n")
}

/// An invalid pack or configuration, with all errors.
pub(super) fn refused(invalid: &Invalid, color: bool) -> Failure {
    Failure::diagnostics(texts(&invalid.diagnostics, color))
}
