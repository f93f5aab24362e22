//! `wattle pack install`: installs a pack into the library folder, completely or not at all.

use wattle_pack::InstallError;

use super::view::view;
use super::{library, library_folder, refused};
use crate::cli::pack::InstallOptions;
use crate::configuration::plain_catalog;
use crate::exit::{Done, Failure, print};

pub(super) fn install(options: &InstallOptions, color: bool) -> Done {
    let library = library(&options.library)?;
    // Check now, because a broken pack would otherwise fail only when a configuration uses it.
    let view = view(&options.pack, &library, &plain_catalog()?).map_err(|invalid| refused(&invalid, color))?;
    if view.plan.is_none() {
        let linted = wattle_manifest::lint_pack(&options.pack, &plain_catalog()?, &library);
        linted.map_err(|invalid| refused(&invalid, color))?;
    }
    let folder = library_folder(options.library.library.as_deref(), &options.library.config)?;
    let installed = wattle_manifest::install(&options.pack, &library, &folder).map_err(|error| match error {
        InstallError::Invalid(invalid) => refused(&invalid, color),
        error => Failure::new(error.to_string()),
    })?;
    let how = if installed.is_new { "installed" } else { "already installed" };
    print(&format!("{} {how} at {}\n{}", installed.id, installed.folder.display(), installed.digest))
}
