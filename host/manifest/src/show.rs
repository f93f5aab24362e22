//! Shows what the files of a configuration are together, without secrets, and where each table comes from.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};
use wattle_diagnostics::{Data, Diagnostic, Entry, Findings, Invalid, Item, Place, Table};
use wattle_pack::Library;

use crate::load::Env;
use crate::origin::ConfigOrigin;
use crate::outline::outline;
use crate::template::{self, Piece, pieces};

/// In place of a value.
const HIDDEN: &str = "***";

/// A merged configuration as written: references are not replaced, and secrets are hidden.
pub struct Shown {
    /// As TOML, with the file and line of each table in a comment.
    pub toml: String,
    /// As JSON: `configuration`, and `from` with the file and line of each table.
    pub json: Json,
}

/// Reads the files of a configuration and merges them, without checking what they mean. `library` has the packs that say
/// which of their parameters are secret.
///
/// # Errors
///
/// A file cannot be read or is not TOML, or two files define the same.
pub fn show(origin: ConfigOrigin<'_>, env: Env<'_>, library: &Library) -> Result<(Shown, Vec<Diagnostic>), Invalid> {
    let mut findings = Findings::default();
    let shown = origin.read(&mut findings).map(|(mut table, file)| {
        hide_params(&mut table, env, library);
        let mut writer = Writer { findings: &findings, toml: String::new(), from: Map::new() };
        let configuration = writer.table(&table, file, &mut Vec::new());
        let from = writer.from;
        Shown { toml: writer.toml, json: json!({ "configuration": configuration, "from": from }) }
    });
    findings.finish(shown).map(|(shown, warnings, _)| (shown, warnings))
}

/// Hides the parameters that their packs declare secret; if a pack cannot be read, all of them.
fn hide_params(table: &mut Table, env: Env<'_>, library: &Library) {
    let Some(pipelines) = table.0.iter_mut().find(|entry| entry.key == "pipelines") else { return };
    let Data::Table(pipelines) = &mut pipelines.item.data else { return };
    for pipeline in &mut pipelines.0 {
        let Data::Table(pipeline) = &mut pipeline.item.data else { continue };
        let reference = pipeline.entry("pack").map(|entry| {
            let mut filled = entry.item.clone();
            template::fill_environment(&mut filled, env, &mut Findings::default());
            filled.data
        });
        let known = match reference {
            Some(Data::String(reference)) => outline(&reference, library).ok(),
            _ => None,
        };
        let is_secret = |name: &str| {
            let declared = known.as_ref().map(|pack| pack.params.iter().find(|param| param.name == name));
            declared.is_none_or(|declared| declared.is_none_or(|param| param.secret))
        };
        let params = pipeline.0.iter_mut().filter(|entry| entry.key == "params");
        for params in params {
            let Data::Table(params) = &mut params.item.data else { continue };
            params.0.iter_mut().filter(|param| is_secret(&param.key)).for_each(|param| hide(&mut param.item));
        }
    }
}

/// Replaces a value, unless it is a reference and nothing else.
fn hide(item: &mut Item) {
    match &mut item.data {
        Data::List(items) => items.iter_mut().for_each(hide),
        Data::Table(table) => table.0.iter_mut().for_each(|entry| hide(&mut entry.item)),
        Data::String(text) if is_reference(text) => {}
        data => *data = Data::String(HIDDEN.to_owned()),
    }
}

/// Whether a string is one reference without a default: the default of a secret is a secret.
fn is_reference(text: &str) -> bool {
    matches!(pieces(text).as_deref(), Some([Piece::Reference(name)]) if !name.contains(":-"))
}

struct Writer<'a> {
    findings: &'a Findings,
    toml: String,
    from: Map<String, Json>,
}

impl Writer<'_> {
    /// Writes a table of the file: keys with values first, since they belong to the last header. Returns it as JSON.
    fn table(&mut self, table: &Table, place: Place, path: &mut Vec<String>) -> Json {
        let mut entries: Vec<&Entry> = table.0.iter().collect();
        entries.sort_by_key(|entry| entry.place);
        let (tables, values): (Vec<&Entry>, Vec<&Entry>) =
            entries.into_iter().partition(|entry| matches!(entry.item.data, Data::Table(_)));
        if !path.is_empty() && (!values.is_empty() || tables.is_empty()) {
            let from = self.findings.describe(place);
            let gap = if self.toml.is_empty() { "" } else { "\n" };
            let _ = writeln!(self.toml, "{gap}# {from}\n[{}]", path.join("."));
            self.from.insert(path.join("."), from.into());
        }
        let mut json = Map::new();
        for entry in values {
            let shown = self.visible(&entry.item);
            let _ = write!(self.toml, "{} = {}", key(&entry.key), inline(&shown));
            if !entry.place.is_beside(place) {
                let from = self.findings.describe(entry.place);
                let _ = write!(self.toml, " # {from}");
                let mut full = path.clone();
                full.push(key(&entry.key));
                self.from.insert(full.join("."), from.into());
            }
            self.toml.push('\n');
            json.insert(entry.key.clone(), shown.to_json());
        }
        for entry in tables {
            let Data::Table(table) = &entry.item.data else { continue };
            path.push(key(&entry.key));
            json.insert(entry.key.clone(), self.table(table, entry.place, path));
            path.pop();
        }
        Json::Object(json)
    }

    /// A value without what no excerpt of a diagnostic shows.
    fn visible(&self, item: &Item) -> Item {
        let mut shown = item.clone();
        match &mut shown.data {
            Data::List(items) => items.iter_mut().for_each(|item| *item = self.visible(item)),
            Data::Table(table) => table.0.iter_mut().for_each(|entry| entry.item = self.visible(&entry.item)),
            _ if self.findings.is_hidden(item.place) => hide(&mut shown),
            _ => {}
        }
        shown
    }
}

/// A key as TOML.
fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if is_bare { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            // Control characters and those that change the direction of text must not reach a terminal.
            c if c.is_control() || wattle_diagnostics::is_harmful(c) => _ = write!(quoted, "\\U{:08X}", c as u32),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A value as TOML on one line.
fn inline(item: &Item) -> String {
    match &item.data {
        Data::String(text) => quoted(text),
        Data::Integer(number) => number.to_string(),
        // With a decimal point, which makes it a float.
        Data::Float(number) => format!("{number:?}"),
        Data::Boolean(value) => value.to_string(),
        Data::List(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Data::Table(table) => {
            let entry = |entry: &Entry| format!("{} = {}", key(&entry.key), inline(&entry.item));
            format!("{{ {} }}", table.0.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        Data::Unknown => quoted(HIDDEN),
    }
}
