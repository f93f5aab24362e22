//! `wattle pack show`: shows the inputs, parameters, nodes and outputs of a pack.

use serde_json::json;
use wattle_manifest::{PackOutline, PackView, ParamOutline};
use wattle_printable::{Line, line};

use super::view::view;
use super::{library, refused};
use crate::cli::pack::ShowOptions;
use crate::configuration::plain_catalog;
use crate::exit::{Done, print, print_json};

pub(super) fn show(options: &ShowOptions, color: bool) -> Done {
    let view = view(&options.pack, &library(&options.library)?, &plain_catalog()?);
    let view = view.map_err(|invalid| refused(&invalid, color))?;
    if options.json { print_json(&json(&view).to_string()) } else { print(&text(&view)) }
}

fn json(view: &PackView) -> serde_json::Value {
    let mut shown = serde_json::to_value(&view.outline).unwrap_or_default();
    let nodes = view.plan.iter().flat_map(|plan| &plan.nodes).map(|node| {
        json!({
            "node": node.name, "artifact": node.artifact.name, "digest": node.artifact.digest,
            "imports": view.imports.get(&node.name), "version": node.shape.version,
            "ports": node.ports.iter().map(|port| &port.name).collect::<Vec<_>>(),
        })
    });
    let nodes: Vec<_> = nodes.collect();
    let files: serde_json::Map<String, serde_json::Value> =
        view.outline.files.iter().map(|(path, digest)| (path.to_owned(), digest.into())).collect();
    if let serde_json::Value::Object(shown) = &mut shown {
        shown.insert("artifacts".into(), nodes.into());
        shown.insert("files".into(), files.into());
    }
    shown
}

fn text(view: &PackView) -> String {
    let outline = &view.outline;
    let mut lines = head(outline);
    if !outline.params.is_empty() {
        lines.extend([String::new(), "parameters".into()]);
        lines.extend(table(outline.params.iter().map(|p| [p.name.clone(), kind(p), p.description.clone()]).collect()));
    }
    if !outline.capabilities.is_empty() {
        lines.extend([String::new(), "asks for".into()]);
        let rows = outline.capabilities.iter().map(|c| [c.name.clone(), c.reason.clone(), String::new()]);
        lines.extend(table(rows.collect()));
    }
    lines.extend([String::new(), "graph".into()]);
    let nodes =
        outline.nodes.iter().map(|n| [n.name.clone(), n.uses.clone(), format!("after {}", n.inputs.join(", "))]);
    lines.extend(table(nodes.collect()));
    lines.extend([String::new(), "outputs".into()]);
    let outputs = outline.outputs.iter();
    let outputs = outputs.map(|o| [o.name.clone(), format!("after {}", o.inputs.join(", ")), o.description.clone()]);
    lines.extend(table(outputs.collect()));
    if let Some(plan) = &view.plan {
        lines.extend([String::new(), "artifacts".into()]);
        for node in &plan.nodes {
            let shape = &node.shape;
            lines.push(format!(
                "  {}: {} {}, {}",
                node.name,
                Line(&shape.name),
                Line(&shape.version),
                node.artifact.digest
            ));
        }
        let mut imports: Vec<&String> = view.imports.values().flatten().collect();
        imports.sort();
        imports.dedup();
        lines.extend([String::new(), "imports of its artifacts".into()]);
        lines.extend(imports.into_iter().map(|import| format!("  {}", Line(import))));
    } else {
        lines.push("the graph needs parameters, so artifacts and imports are not shown".into());
    }
    let tests = outline.tests.len();
    lines.extend([String::new(), format!("{tests} tests, {} files, {}", outline.files.len(), outline.digest)]);
    lines.join("\n")
}

fn head(outline: &PackOutline) -> Vec<String> {
    let place = outline.folder.as_ref().map_or_else(|| "built in".to_owned(), |folder| folder.display().to_string());
    let mut lines = vec![format!("{}@{}: {}", outline.name, outline.version, Line(&outline.description))];
    for (name, value) in [
        ("where", &place),
        ("contract", &outline.contract),
        ("licence", &outline.license),
        ("authors", &outline.authors.join(", ")),
        ("takes", &outline.input),
    ] {
        if !value.is_empty() {
            lines.push(format!("  {name}: {}", Line(value)));
        }
    }
    lines
}

fn kind(param: &ParamOutline) -> String {
    let default = param.default.as_ref().map_or_else(|| "required".to_owned(), |value| format!("default {value}"));
    let mut text = format!("{}, {default}", param.kind);
    if !param.allowed.is_empty() {
        text += &format!(", {}", param.allowed);
    }
    if param.secret {
        text += ", secret";
    }
    text
}

/// Rows of three aligned cells; the last cell has any length.
fn table(rows: Vec<[String; 3]>) -> Vec<String> {
    let rows: Vec<[String; 3]> = rows.into_iter().map(|row| row.map(|cell| line(&cell).into_owned())).collect();
    let width = |cell: fn(&[String; 3]) -> &String| rows.iter().map(|row| cell(row).chars().count()).max().unwrap_or(0);
    let (first, second) = (width(|[a, _, _]| a), width(|[_, b, _]| b).min(60));
    let row = |[a, b, c]: &[String; 3]| format!("  {a:<first$}  {b:<second$}  {c}").trim_end().to_owned();
    rows.iter().map(row).collect()
}
