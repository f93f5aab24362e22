//! `wattle pack diff`: shows the differences between two packs or versions.

use serde_json::json;
use wattle_manifest::{Change, PackView, Section};
use wattle_printable::Line;

use super::view::view;
use super::{library, refused};
use crate::cli::pack::DiffOptions;
use crate::configuration::plain_catalog;
use crate::exit::{Done, print, print_json};

pub(super) fn diff(options: &DiffOptions, color: bool) -> Done {
    let (library, catalog) = (library(&options.library)?, plain_catalog()?);
    let view = |reference: &str| view(reference, &library, &catalog).map_err(|invalid| refused(&invalid, color));
    let (from, to) = (view(&options.from)?, view(&options.to)?);
    let changes = wattle_manifest::diff(&from, &to);
    if options.json {
        let of = |view: &PackView| json!({ "name": view.outline.name, "version": view.outline.version, "digest": view.outline.digest });
        return print_json(&json!({ "from": of(&from), "to": of(&to), "changes": changes }).to_string());
    }
    if changes.is_empty() {
        return print("the packs are the same, file by file");
    }
    print(&render(&changes))
}

/// The changes under the headings of their sections.
pub(super) fn render(changes: &[Change]) -> String {
    let mut lines = Vec::new();
    let mut section: Option<Section> = None;
    for change in changes {
        if section != Some(change.section) {
            section = Some(change.section);
            lines.push(change.section.to_string());
        }
        lines.push(format!("  {}", Line(change)));
    }
    lines.join("\n")
}
