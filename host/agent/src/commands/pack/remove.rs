//! `wattle pack remove`: removes a version from the library folder, unless a configuration needs
//! it.

use std::path::{Path, PathBuf};

use wattle_pack::{LOCK_FILE, Lock};

use super::{library_folder, refused};
use crate::builtin;
use crate::cli::pack::RemoveOptions;
use crate::configuration::{catalog, load};
use crate::exit::{Done, Failure, print};
use wattle_supervisor::Configuration;

pub(super) fn remove(options: &RemoveOptions, color: bool) -> Done {
    let Some((name, version)) = options.pack.split_once('@') else {
        return Err(Failure::config(format!("`{}` is not of the form name@version", options.pack)));
    };
    let folder = library_folder(options.library.as_deref(), options.config.first().map(PathBuf::as_path))?;
    let libraries = builtin::library().with_folder(&folder).list();
    let is_version = |v: &wattle_pack::LibraryEntry| v.name == name && v.version.to_string() == version;
    if !libraries.iter().any(|entry| is_version(entry) && entry.folder.is_some()) {
        let carried = if libraries.iter().any(is_version) { "; it is built into the agent" } else { "" };
        return Err(Failure::new(format!("`{}` is not in `{}`{carried}", options.pack, folder.display())));
    }
    if !options.force {
        let here = PathBuf::from("agent.toml");
        let own = options.config.is_empty() && here.is_file();
        for config in options.config.iter().chain(own.then_some(&here)) {
            if let Some(use_of) = user(config, name, version, color)? {
                let message = format!("`{}` is used by `{}`, {use_of}; add --force", options.pack, config.display());
                return Err(Failure::new(message));
            }
        }
    }
    let gone = wattle_pack::remove(&folder, name, version).map_err(|error| Failure::new(error.to_string()))?;
    print(&format!("{} removed from {}", options.pack, gone.display()))
}

/// How a configuration uses a version: its lock pins it, or no other version meets its requirement.
fn user(config: &Path, name: &str, version: &str, color: bool) -> Result<Option<String>, Failure> {
    let lock = Lock::read(&config.with_file_name(LOCK_FILE)).map_err(|invalid| refused(&invalid, color))?;
    let pins = lock.map(|lock| lock.pins).unwrap_or_default();
    if let Some(pin) = pins.iter().find(|pin| pin.name == name && pin.version.to_string() == version) {
        return Ok(Some(format!("whose lock pins it for `{}`", pin.reference)));
    }
    let configuration = Configuration::File(config.to_owned());
    let settings = configuration.settings();
    let catalog = catalog(&settings.data_dir, settings.artifacts)?;
    // The packs of an invalid configuration are not known.
    let Ok((plan, _)) = load(&configuration, &catalog, &builtin::library()) else { return Ok(None) };
    let used = plan.packs.iter().find(|used| used.name == name && used.version.to_string() == version);
    Ok(used.map(|used| format!("which names it as `{}`", used.reference)))
}
