//! `wattle inspect`: shows the imports, exports and options of an artifact.

use std::path::Path;

use wattle_plan::{Artifact, ArtifactLimits, Nodes as _, Origin};
use wattle_printable::Line;
use wattle_runtime::Inspection;

use crate::cli::InspectOptions;
use crate::configuration::catalog;
use crate::exit::{Done, Failure, print, print_json};
use wattle_supervisor::environment;

pub(crate) fn inspect(options: &InspectOptions) -> Done {
    let catalog = catalog(&wattle_manifest::default_data_dir(&environment), ArtifactLimits::default())?;
    let path = Path::new(&options.artifact);
    let name = options.artifact.strip_prefix("builtin:").unwrap_or(&options.artifact);
    let builtin = if path.is_file() { None } else { catalog.builtin(name) };
    let artifact = match builtin {
        Some(artifact) => artifact,
        None => {
            let bytes = std::fs::read(path).map_err(|error| {
                let known = catalog.builtin_names().join(", ");
                Failure::new(format!("`{}`: {error}; built-in nodes are {known}", path.display()))
            })?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            std::sync::Arc::new(Artifact::new(name, bytes, Origin::File(path.into())))
        }
    };
    let seen = wattle_runtime::inspect(catalog.runtime(), &artifact).map_err(|error| {
        let hint = error.hint.map(|h| format!("; {h}")).unwrap_or_default();
        Failure::new(format!("`{}`: {}{hint}", options.artifact, error.message))
    })?;
    if options.json { print_json(&json(&seen).to_string()) } else { print(&text(&seen)) }
}

fn json(seen: &Inspection) -> serde_json::Value {
    let node = match &seen.description {
        Ok(d) => serde_json::json!({
            "name": d.name, "version": d.version, "summary": d.summary, "masks": d.masks,
            "contract": d.contract, "state_version": d.state_version, "timer": d.has_timer,
            "options_schema": serde_json::from_str::<serde_json::Value>(&d.options_schema).unwrap_or_default(),
        }),
        Err(error) => serde_json::json!({ "error": error.message, "hint": error.hint }),
    };
    serde_json::json!({
        "bytes": seen.bytes, "digest": seen.digest, "imports": seen.imports,
        "capabilities": seen.capabilities.iter().map(|c| c.name()).collect::<Vec<_>>(), "exports": seen.exports, "node": node,
    })
}

fn text(seen: &Inspection) -> String {
    let mut lines = Vec::new();
    match &seen.description {
        Ok(d) => {
            lines.push(format!("{} {}: {}", Line(&d.name), Line(&d.version), Line(&d.summary)));
            if d.masks {
                lines.push("masks data: rows that it cannot process never leave unmasked".into());
            }
            if let Some(version) = d.state_version {
                lines.push(format!("keeps state between batches, version {version}"));
            }
            if d.has_timer {
                lines.push("acts on the time between batches".into());
            }
            lines.push(format!("built for the contract {}", d.contract));
        }
        Err(error) => {
            lines.push(format!("not usable as a node: {}", Line(&error.message)));
            lines.extend(error.hint.as_ref().map(|hint| format!("  help: {}", Line(hint))));
        }
    }
    lines.push(format!("{} bytes, {}", seen.bytes, seen.digest));
    if !seen.capabilities.is_empty() {
        let names: Vec<&str> = seen.capabilities.iter().map(|capability| capability.name()).collect();
        lines.push(format!("requests the capabilities {}", names.join(", ")));
    }
    for (title, names) in [("imports", &seen.imports), ("exports", &seen.exports)] {
        lines.push(format!("{title}:"));
        lines.extend(names.iter().map(|name| format!("  {}", Line(name))));
    }
    if let Ok(d) = &seen.description {
        lines.push("options (JSON schema):".into());
        lines.push(d.options_schema.trim_end().to_owned());
    }
    lines.join("\n")
}
