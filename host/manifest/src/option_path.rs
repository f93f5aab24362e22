//! Finds the place of an option in the manifest from the path that the checker of the option
//! reports.

use wattle_diagnostics::{Data, Findings, Item, Place, Table, codes::Code};
use wattle_options::{OptionError, Problem, suggest};

/// A step of a path such as `rules[0]."a key"`.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// Splits a path into steps. Stops at the first part that it cannot parse, so that the diagnostic
/// points at the parent.
fn steps(path: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let (step, after) = if let Some(after) = rest.strip_prefix('[') {
            let Some((index, after)) = after.split_once(']') else { break };
            let Ok(index) = index.parse() else { break };
            (Step::Index(index), after)
        } else if let Some(after) = rest.strip_prefix('"') {
            let Some((key, after)) = after.split_once('"') else { break };
            (Step::Key(key), after)
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let Some((key, after)) = rest.split_at_checked(end) else { break };
            (Step::Key(key), after)
        };
        steps.push(step);
        rest = after.strip_prefix('.').unwrap_or(after);
    }
    steps
}

/// The place of an option.
struct Located {
    /// Place of the value, or of the name of its nearest parent.
    value: Place,
    /// Place of the name, or of the name of its nearest parent.
    name: Place,
    /// Note about the parameter that supplied the value.
    note: Option<String>,
}

/// Finds the option at a path, or its nearest parent.
fn locate(path: &str, table: &Table, whole: Place) -> Located {
    let mut place = whole;
    let mut item: Option<&Item> = None;
    let mut name = whole;
    for step in steps(path) {
        let next = match (item.map(|item| &item.data), &step) {
            (None, Step::Key(key)) => table.entry(key).map(|entry| (entry.place, &entry.item)),
            (Some(Data::Table(table)), Step::Key(key)) => table.entry(key).map(|entry| (entry.place, &entry.item)),
            (Some(Data::List(items)), Step::Index(index)) => items.get(*index).map(|item| (item.place, item)),
            _ => None,
        };
        let Some((key_place, next)) = next else {
            // The option is absent. The name of its parent is more useful than the parent's whole
            // text.
            return Located { value: name, name, note: item.and_then(|item| item.param.clone()) };
        };
        item = Some(next);
        name = key_place;
        place = next.place;
    }
    Located { value: place, name, note: item.and_then(|item| item.param.clone()) }
}

/// Reports errors in options; `owner` names the node or endpoint, such as ``node `mask` ``.
/// `others` are the keys of the same table that the manifest reads itself: a misspelt one arrives
/// here as an unknown option.
pub(crate) fn report(
    code: Code,
    errors: Vec<OptionError>,
    owner: &str,
    others: &[&str],
    options: &Table,
    whole: Place,
    findings: &mut Findings,
) {
    for OptionError { path, problem } in errors {
        let Located { value, name, note } = locate(&path, options, whole);
        let unknown = match &problem {
            Problem::UnknownOption { name, .. } => Some(name.as_str()),
            _ => None,
        };
        let (message, place) = match (unknown, path.as_str()) {
            (Some(unknown), path) => {
                let is_named = matches!(steps(path).last(), Some(Step::Key(last)) if *last == unknown);
                let dot = if path.is_empty() { "" } else { "." };
                let full = if is_named { path.to_owned() } else { format!("{path}{dot}{unknown}") };
                (format!("unknown option `{full}` of {owner}"), name)
            }
            (None, "") => (format!("bad options of {owner}: {problem}"), value),
            (None, path) => (format!("bad option `{path}` of {owner}: {problem}"), value),
        };
        let is_key_of_table = steps(&path).len() <= 1;
        let other = unknown.filter(|_| is_key_of_table);
        let other = other.and_then(|unknown| suggest::closest(unknown, others.iter().copied()));
        let hint = other.map(|key| format!("did you mean `{key}`?")).or_else(|| problem.hint());
        findings.report(code.at(place, message).hint_if(hint).note_if(note));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn takes_paths_apart() {
        let cases = [
            ("", vec![]),
            ("rules[0].pattern", vec![Step::Key("rules"), Step::Index(0), Step::Key("pattern")]),
            ("a.\"b.c\"[12][0]", vec![Step::Key("a"), Step::Key("b.c"), Step::Index(12), Step::Index(0)]),
            ("a[x].b", vec![Step::Key("a")]),
            ("a[0", vec![Step::Key("a")]),
        ];
        for (path, expected) in cases {
            assert_eq!(steps(path), expected, "{path}");
        }
    }

    #[test]
    fn falls_back_to_the_nearest_parent() {
        let text = "options = { rules = [{ pattern = \"(\" }] }";
        let mut findings = Findings::default();
        let manifest = findings.add_manifest(Path::new("a"), text);
        let root = wattle_diagnostics::value::parse(manifest, text, &mut findings).unwrap();
        let Data::Table(options) = &root.entry("options").unwrap().item.data else { panic!("a table") };
        let whole = root.entry("options").unwrap().place;
        for (path, column) in
            [("rules[0].pattern", 34), ("rules[0].group", 22), ("rules[7].group", 13), ("fields", 1), ("", 1)]
        {
            let place = locate(path, options, whole).value;
            assert_eq!(findings.describe(place), format!("a:1:{column}"), "{path}");
        }
    }
}
