//! Parameters of a pack: the values given, and their use in options.

mod declaration;

pub(crate) use declaration::{KINDS, ParamManifest};

use serde_json::{Map, Value as Json};

use crate::template::{Piece, pieces, report_unclosed};
use wattle_diagnostics::{Data, Entry, Findings, Item, Place, Table, codes};
use wattle_options::suggest;

/// Stands for a value that is not shown.
const HIDDEN: &str = "***";

/// Parameters with their values.
pub(crate) struct Params(Vec<Param>);

struct Param {
    name: String,
    place: Place,
    /// `None` if an error was already reported.
    value: Option<Data>,
    /// Origin of the value, for a note.
    origin: String,
    is_secret: bool,
    used: bool,
}

impl Params {
    /// Resolves the value of each declared parameter. `given` is the table that the user wrote,
    /// `user` the place that names the pack.
    pub(crate) fn resolve(
        declared: &[ParamManifest],
        given: Option<&Table>,
        user: Place,
        findings: &mut Findings,
    ) -> Self {
        let mut unknown: Vec<&Entry> = given.map(|table| table.0.iter().collect()).unwrap_or_default();
        let mut params = Vec::new();
        for manifest in declared {
            let entry = given.and_then(|table| table.entry(&manifest.name));
            unknown.retain(|other| other.key != manifest.name);
            if let Some(entry) = entry.filter(|_| manifest.secret) {
                findings.keep_place_secret(entry.item.place);
                entry.item.clone().map_strings(&mut |_, text| {
                    findings.keep_secret(text);
                    None
                });
            }
            let (value, origin) = match (entry, &manifest.default) {
                (Some(entry), _) => {
                    let origin = format!("given at {}", findings.describe(entry.item.place));
                    (manifest.take(&entry.item, findings), origin)
                }
                // The declaration checks its default and reports it.
                (None, Some(default)) => (manifest.kind.and_then(|kind| kind.take(default)), "its default".to_owned()),
                (None, None) => {
                    let message = format!("missing parameter `{}`", manifest.name);
                    let hint = format!("add it, as in `params = {{ {} = ... }}`", manifest.name);
                    let note = format!("declared at {}", findings.describe(manifest.place));
                    findings.report(codes::MISSING_PARAM.at(user, message).hint(hint).note(note));
                    (None, String::new())
                }
            };
            let (name, place, is_secret) = (manifest.name.clone(), manifest.place, manifest.secret);
            params.push(Param { name, place, value, origin, is_secret, used: false });
        }
        for entry in unknown {
            // It may be the misspelt name of a secret parameter.
            if declared.iter().any(|manifest| manifest.secret) {
                findings.keep_place_secret(entry.item.place);
            }
            let message = format!("unknown parameter `{}`", entry.key);
            let names = declared.iter().map(|manifest| manifest.name.as_str());
            let hint = suggest::hint(&entry.key, names).unwrap_or_else(|| "the pack has no parameters".to_owned());
            findings.report(codes::UNKNOWN_PARAM.at(entry.place, message).hint(hint));
        }
        Self(params)
    }

    /// The values for display: those of secret parameters and those from the environment are hidden.
    pub(crate) fn shown(&self, findings: &Findings) -> Map<String, Json> {
        let shown = self.0.iter().filter_map(|param| {
            let mut value = Item::new(param.place, param.value.clone()?).to_json();
            hide(&mut value, &|text| !text.is_empty() && (param.is_secret || findings.is_secret(text)));
            if param.is_secret && !matches!(value, Json::String(_) | Json::Array(_)) {
                value = Json::from(HIDDEN);
            }
            Some((param.name.clone(), value))
        });
        shown.collect()
    }

    /// Substitutes the values into every string of the options.
    pub(crate) fn fill(&mut self, options: &mut Item, findings: &mut Findings) {
        options.map_strings(&mut |place, text| self.fill_string(place, text, findings));
    }

    fn fill_string(&mut self, place: Place, text: &str, findings: &mut Findings) -> Option<Item> {
        let Some(pieces) = pieces(text) else {
            report_unclosed(place, findings);
            return None;
        };
        // A string that consists of one reference takes the value with its type.
        if let [Piece::Reference(reference)] = pieces.as_slice() {
            let param = self.find(place, reference, findings)?;
            let mut item = Item::new(place, param.value.clone()?);
            mark(&mut item, place, &param.note());
            return Some(item);
        }
        let mut filled = Some(String::new());
        let mut note = None;
        for piece in pieces {
            let part = match piece {
                Piece::Text(text) => Some(text.to_owned()),
                Piece::Reference(reference) => self.find(place, reference, findings).and_then(|param| {
                    note = Some(param.note());
                    let item = Item::new(place, param.value.clone()?);
                    let text = plain(&item);
                    if text.is_none() {
                        let message = format!("parameter `{}` is a list and cannot be part of a string", param.name);
                        let hint = format!("write it alone, as in `\"${{params.{}}}\"`", param.name);
                        findings.report(codes::PARAM_TYPE.at(place, message).hint(hint));
                    }
                    text
                }),
            };
            filled = filled.zip(part).map(|(text, part)| text + &part);
        }
        filled.map(|text| Item { param: note, ..Item::new(place, Data::String(text)) })
    }

    fn find(&mut self, place: Place, reference: &str, findings: &mut Findings) -> Option<&Param> {
        let Some(name) = reference.strip_prefix("params.") else {
            let message = format!("bad reference: `${{{reference}}}`; a pack can refer only to its parameters");
            let hint = "write `${params.NAME}`, or `$$` for a literal dollar";
            findings.report(codes::BAD_REFERENCE.at(place, message).hint(hint));
            return None;
        };
        let Some(index) = self.0.iter().position(|param| param.name == name) else {
            let names = self.0.iter().map(|param| param.name.as_str());
            let hint = suggest::hint(name, names).unwrap_or_else(|| format!("declare it as `[params.{name}]`"));
            findings.report(codes::UNKNOWN_PARAM.at(place, format!("unknown parameter `{name}`")).hint(hint));
            return None;
        };
        let param = self.0.get_mut(index)?;
        param.used = true;
        Some(param)
    }

    /// Warns about parameters that no option uses.
    pub(crate) fn report_unused(&self, findings: &mut Findings) {
        for param in self.0.iter().filter(|param| !param.used) {
            let message = format!("no node uses the parameter `{}`", param.name);
            let hint = format!("write `${{params.{}}}` in the options of a node, or remove it", param.name);
            findings.report(codes::UNUSED_PARAM.at(param.place, message).hint(hint));
        }
    }
}

impl Param {
    fn note(&self) -> String {
        format!("the value comes from the parameter `{}`, {}", self.name, self.origin)
    }
}

/// Replaces the texts that must not be shown.
fn hide(value: &mut Json, is_secret: &dyn Fn(&str) -> bool) {
    match value {
        Json::String(text) if is_secret(text) => *text = HIDDEN.to_owned(),
        Json::Array(values) => values.iter_mut().for_each(|value| hide(value, is_secret)),
        Json::Object(values) => values.values_mut().for_each(|value| hide(value, is_secret)),
        _ => {}
    }
}

fn mark(item: &mut Item, place: Place, note: &str) {
    item.place = place;
    item.param = Some(note.to_owned());
    if let Data::List(items) = &mut item.data {
        items.iter_mut().for_each(|item| mark(item, place, note));
    }
}

/// Formats a value for use inside a string.
fn plain(item: &Item) -> Option<String> {
    match &item.data {
        Data::String(text) => Some(text.clone()),
        Data::Integer(number) => Some(number.to_string()),
        Data::Float(number) => Some(number.to_string()),
        Data::Boolean(value) => Some(value.to_string()),
        _ => None,
    }
}
