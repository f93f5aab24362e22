//! `only_fields` and `except_fields`: writes a part of the JSON object of an event or of a body.

use wattle_document::{Documents, Route};
use wattle_json::{Path, Segment};
use wattle_options::OptionErrors;

/// The first keys of an event as the codec `json` writes it.
const ROOTS: [&str; 10] =
    ["timestamp", "kind", "severity", "trace_id", "span_id", "scope", "body", "attributes", "resource", "failure"];
/// Those that are one text.
const TEXTS: [&str; 5] = ["timestamp", "kind", "trace_id", "span_id", "body"];

/// Whether the listed fields are the ones that are written, or those that are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    Only,
    Except,
}

/// The listed fields.
#[derive(Debug)]
pub(super) struct Fields {
    selection: Selection,
    paths: Vec<String>,
}

impl Fields {
    /// Checks the paths; with `is_event` they begin with a root of the event.
    pub(super) fn new(selection: Selection, paths: &[String], is_event: bool, errors: &mut OptionErrors) -> Self {
        let name = match selection {
            Selection::Only => "only_fields",
            Selection::Except => "except_fields",
        };
        if paths.is_empty() && selection == Selection::Only {
            errors.add("encoding.only_fields", "names no field, so nothing would be written; add one or remove it");
        }
        let mut paths = paths.to_vec();
        for (index, text) in paths.iter().enumerate() {
            let place = format!("encoding.{name}[{index}]");
            let path = match Path::parse(text) {
                Ok(path) => path,
                Err(error) => {
                    errors.add(&place, format!("`{text}` is not a path: {error}"));
                    continue;
                }
            };
            let root = match path.segments() {
                [Segment::Key(root), ..] => &**root,
                _ => "",
            };
            if is_event && !ROOTS.contains(&root) {
                errors.add(&place, format!("`{text}` must begin with one of `{}`", ROOTS.join("`, `")));
            }
            if is_event && TEXTS.contains(&root) && path.segments().len() > 1 {
                let hint = if root == "body" { "; the codec `ndjson` selects fields of the body" } else { "" };
                errors.add(&place, format!("`{root}` is written as one text{hint}"));
            }
            let is_key = |segment: &Segment| matches!(segment, Segment::Key(key) if !key.contains('*'));
            if selection == Selection::Only && !path.segments().iter().all(is_key) {
                errors.add(&place, format!("`{text}` must have keys only, no element of an array and no `*`"));
            }
        }
        if is_event && paths.iter().any(|path| path == "body") {
            // A body that is not UTF-8 is written under this key.
            paths.push("body_base64".to_owned());
        }
        Self { selection, paths }
    }

    /// Prepares writing the events of a batch.
    pub(super) fn bind(&self) -> Bound<'_> {
        let mut documents = Documents::default();
        // `new` has checked all paths.
        let routes = self.paths.iter().filter_map(|path| documents.pattern(path).ok()).collect();
        Bound { fields: self, documents, routes, found: Vec::new() }
    }
}

/// The fields, prepared for one batch.
pub(super) struct Bound<'a> {
    fields: &'a Fields,
    documents: Documents,
    routes: Vec<Route>,
    found: Vec<wattle_document::Place>,
}

impl Bound<'_> {
    /// Writes the selected fields of a JSON object. Any other value has no fields: of it, nothing is
    /// selected by `only_fields`, which writes `{}`, and all by `except_fields`.
    pub(super) fn write(&mut self, json: &[u8], out: &mut Vec<u8>) {
        let Self { fields, documents, routes, found } = self;
        if json.trim_ascii_start().first() != Some(&b'{') {
            return match fields.selection {
                Selection::Only => out.extend_from_slice(b"{}"),
                Selection::Except => out.extend_from_slice(json),
            };
        }
        documents.clear();
        let content = documents.new_json(json.trim_ascii());
        let root = documents.open_content(content);
        match fields.selection {
            Selection::Only => {
                let only = documents.open_empty();
                for route in routes {
                    if let Some(place) = documents.get(root, route) {
                        let content = documents.content(place);
                        // Paths of keys in a new object always have a place, unless an earlier path was a scalar on the
                        // way, as in `["a", "a.b"]`, and then nothing is at `a.b`.
                        let _ = documents.put(only, route, content);
                    }
                }
                documents.write(only, out);
            }
            Selection::Except => {
                found.clear();
                for route in routes {
                    documents.all(root, route, found);
                }
                for place in found {
                    documents.remove(*place);
                }
                documents.write(root, out);
            }
        }
    }
}
