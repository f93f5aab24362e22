//! From the path of an option, as those who check options name it, to its place in the manifest.

use crate::artifact::OptionError;
use crate::codes::Code;
use crate::findings::{Findings, Place};
use crate::value::{Data, Item, Table};

/// A step of a path such as `rules[0]."a key"`.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// Takes a path apart as far as it makes sense; what does not is left off, so that the parent is shown.
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

/// The place of the value at a path, else of its nearest parent, and the note of the parameter it came from.
fn locate(path: &str, table: &Table, whole: Place) -> (Place, Option<String>) {
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
            // What is asked for is absent; the name of what lacks it says more than its whole text.
            return (name, item.and_then(|item| item.param.clone()));
        };
        item = Some(next);
        name = key_place;
        place = next.place;
    }
    (place, item.and_then(|item| item.param.clone()))
}

/// Reports what those who check options found wrong; `owner` is such as ``node `mask` ``.
pub(crate) fn report(
    code: Code,
    errors: Vec<OptionError>,
    owner: &str,
    options: &Table,
    whole: Place,
    findings: &mut Findings,
) {
    for OptionError { path, message } in errors {
        let (place, note) = locate(&path, options, whole);
        let message = match path.as_str() {
            "" => format!("bad options of {owner}: {message}"),
            path => format!("bad option `{path}` of {owner}: {message}"),
        };
        findings.report(code.at(place, message).note_if(note));
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
        let root = crate::value::parse(manifest, text, &mut findings).unwrap();
        let Data::Table(options) = &root.entry("options").unwrap().item.data else { panic!("a table") };
        let whole = root.entry("options").unwrap().place;
        for (path, column) in
            [("rules[0].pattern", 34), ("rules[0].group", 22), ("rules[7].group", 13), ("fields", 1), ("", 1)]
        {
            let (place, _) = locate(path, options, whole);
            assert_eq!(findings.describe(place), format!("a:1:{column}"), "{path}");
        }
    }
}
