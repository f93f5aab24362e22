//! From the path of an option, as those who check options name it, to its place in the manifest.

use crate::artifact::OptionError;
use crate::codes::Code;
use crate::findings::{Findings, Place};
use crate::suggest;
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
        let (message, hint) = reword(&path, message);
        let message = match path.as_str() {
            "" => format!("bad options of {owner}: {message}"),
            path => format!("bad option `{path}` of {owner}: {message}"),
        };
        findings.report(code.at(place, message).hint_if(hint).note_if(note));
    }
}

/// Puts what the reader of options says of names into words for people, with the name that may have been meant as hint.
fn reword(path: &str, message: String) -> (String, Option<String>) {
    if let Some((name, rest)) = quoted(&message, "missing field ") {
        return (format!("option `{name}` is missing{rest}"), None);
    }
    let (text, known) = if let Some((name, known)) = quoted(&message, "unknown field ") {
        let is_named = matches!(steps(path).last(), Some(Step::Key(last)) if *last == name);
        (
            if is_named { "there is no such option".to_owned() } else { format!("there is no option `{name}`") },
            (name, known),
        )
    } else if let Some((name, known)) = quoted(&message, "unknown variant ") {
        (format!("`{name}` is not a value of it"), (name, known))
    } else {
        return (message, None);
    };
    // `, expected one of `a`, `b``, `, expected `a` or `b``, or `, there are no fields`.
    let (name, known) = known;
    let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    let hint = match suggest::closest(name, known.iter().copied()) {
        Some(close) => Some(format!("did you mean `{close}`?")),
        None if known.is_empty() => None,
        None => Some(format!("it takes {}", suggest::list(known))),
    };
    (text, hint)
}

/// The name in backticks after this beginning, and what follows it.
fn quoted<'m>(message: &'m str, begin: &str) -> Option<(&'m str, &'m str)> {
    message.strip_prefix(begin)?.strip_prefix('`')?.split_once('`')
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
    fn names_that_do_not_exist_come_with_those_that_do() {
        for (path, message, text, hint) in [
            (
                "request.concurency",
                "unknown field `concurency`, expected one of `timeout`, `concurrency`",
                "there is no such option",
                Some("did you mean `concurrency`?"),
            ),
            (
                "proxy",
                "unknown field `x`, expected `http` or `https`",
                "there is no option `x`",
                Some("it takes `http`, `https`"),
            ),
            ("", "unknown field `x`, there are no fields", "there is no option `x`", None),
            (
                "codec",
                "unknown variant `jsn`, expected `json` or `text`",
                "`jsn` is not a value of it",
                Some("did you mean `json`?"),
            ),
            ("", "missing field `uri`", "option `uri` is missing", None),
            ("uri", "must begin with `http://`", "must begin with `http://`", None),
        ] {
            let found = reword(path, message.to_owned());
            assert_eq!((found.0.as_str(), found.1.as_deref()), (text, hint), "{message}");
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
