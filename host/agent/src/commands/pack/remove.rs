//! `wattle pack remove`: removes a version from the library folder, unless a configuration needs
//! it.

use std::path::PathBuf;

use wattle_pack::Lock;

use super::{library_folder, refused};
use crate::builtin;
use crate::cli::config_paths;
use crate::cli::pack::RemoveOptions;
use crate::configuration::{catalog, load};
use crate::exit::{Done, Failure, print};
use wattle_supervisor::Configuration;

pub(super) fn remove(options: &RemoveOptions, color: bool) -> Done {
    let Some((name, version)) = options.pack.split_once('@') else {
        return Err(Failure::config(format!("`{}` is not of the form name@version", options.pack)));
    };
    let folder = library_folder(options.library.as_deref(), &options.config)?;
    let libraries = builtin::library().with_folder(&folder).list();
    let is_version = |v: &wattle_pack::LibraryEntry| v.name == name && v.version.to_string() == version;
    if !libraries.iter().any(|entry| is_version(entry) && entry.folder.is_some()) {
        let carried = if libraries.iter().any(is_version) { "; it is built into the agent" } else { "" };
        return Err(Failure::new(format!("`{}` is not in `{}`{carried}", options.pack, folder.display())));
    }
    if !options.force {
        let here = vec![PathBuf::from("agent.toml")];
        let own = options.config.is_empty() && here.iter().all(|file| file.is_file());
        let all = config_paths(&options.config).into_iter().map(|path| vec![path]);
        // Files that are one configuration may be invalid alone.
        let whole = (options.config.len() > 1).then(|| options.config.clone());
        for config in all.chain(whole).chain(own.then_some(here)) {
            let configuration = Configuration::Files(config);
            if let Some(use_of) = user(&configuration, name, version, color)? {
                let message =
                    format!("`{}` is used by `{}`, {use_of}; add --force", options.pack, configuration.name());
                return Err(Failure::new(message));
            }
        }
    }
    let gone = wattle_pack::remove(&folder, name, version).map_err(|error| Failure::new(error.to_string()))?;
    print(&format!("{} removed from {}", options.pack, gone.display()))
}

/// How a configuration uses a version: its lock pins it, or no other version meets its requirement.
fn user(configuration: &Configuration, name: &str, version: &str, color: bool) -> Result<Option<String>, Failure> {
    let lock = configuration.lock().map_or(Ok(None), |lock| Lock::read(&lock));
    let lock = lock.map_err(|invalid| refused(&invalid, color))?;
    let pins = lock.map(|lock| lock.pins).unwrap_or_default();
    if let Some(pin) = pins.iter().find(|pin| pin.name == name && pin.version.to_string() == version) {
        return Ok(Some(format!("whose lock pins it for `{}`", pin.reference)));
    }
    let settings = configuration.settings();
    let catalog = catalog(&settings.data_dir, settings.artifacts)?;
    // The packs of an invalid configuration are not known.
    let Ok((plan, _)) = load(configuration, &catalog, &builtin::library()) else { return Ok(None) };
    let used = plan.packs.iter().find(|used| used.name == name && used.version.to_string() == version);
    Ok(used.map(|used| format!("which names it as `{}`", used.reference)))
}
