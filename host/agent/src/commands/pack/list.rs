//! `wattle pack list`: lists the packs for `pack = "..."`, with their folders and their use in a
//! configuration.

use serde_json::json;
use wattle_pack::LibraryEntry;
use wattle_plan::PackUse;

use super::{library, refused};
use crate::builtin;
use crate::cli::config_paths;
use crate::cli::pack::ListOptions;
use crate::configuration::{catalog, load};
use crate::exit::{Done, Failure, print, print_json};
use wattle_supervisor::Configuration;

pub(super) fn list(options: &ListOptions, color: bool) -> Done {
    let packs = library(&options.library)?.list();
    let uses = if options.library.config.is_empty() { Vec::new() } else { uses(options, color)? };
    let users = |pack: &LibraryEntry| -> Vec<&str> {
        let own = if pack.folder.is_some() { "library" } else { "builtin" };
        let used = uses.iter().filter(|u| u.name == pack.name && u.version == pack.version && u.source == own);
        used.map(|used| used.reference.as_str()).collect()
    };
    if options.json {
        let pack = |pack: &LibraryEntry| json!({ "name": pack.name, "version": pack.version.to_string(), "folder": pack.folder, "used_as": users(pack) });
        return print_json(&serde_json::Value::from(packs.iter().map(pack).collect::<Vec<_>>()).to_string());
    }
    let width = packs.iter().map(|pack| pack.name.len() + 1 + pack.version.to_string().len()).max().unwrap_or_default();
    for pack in &packs {
        let id = format!("{}@{}", pack.name, pack.version);
        let place = pack.folder.as_ref().map_or_else(|| "built in".to_owned(), |folder| folder.display().to_string());
        let used = users(pack);
        let used = if used.is_empty() { String::new() } else { format!("  used as {}", used.join(", ")) };
        print(&format!("{id:<width$}  {place}{used}"))?;
    }
    Ok(())
}

/// The packs that the configuration uses.
fn uses(options: &ListOptions, color: bool) -> Result<Vec<PackUse>, Failure> {
    let configuration = Configuration::Files(config_paths(&options.library.config));
    let settings = configuration.settings();
    let catalog = catalog(&settings.data_dir, settings.artifacts)?;
    let (plan, _) = load(&configuration, &catalog, &builtin::library()).map_err(|invalid| refused(&invalid, color))?;
    Ok(plan.packs)
}
