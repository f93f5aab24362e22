//! Agreement with serde_json on generated values, on mutations of their text, and on real samples
//! if they exist.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may stop at an impossible state")]

use std::path::{Path as FilePath, PathBuf};

use proptest::prelude::*;
use serde_json::Value as Tree;
use wattle_json::{Kind, Path, Segment, check, each, elements_from, escape, find, find_many, members, minify, skip};

const DEPTH: usize = 1_000;

fn trees() -> impl Strategy<Value = Tree> {
    let text = prop_oneof!["[a-z]{0,12}", any::<String>(), "[\\\\\"\\x00-\\x20é{}\\[\\]:, ]{0,80}"];
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::from),
        any::<i64>().prop_map(Tree::from),
        any::<f64>().prop_map(Tree::from),
        text.clone().prop_map(Tree::from),
    ];
    leaf.prop_recursive(6, 80, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Tree::from),
            prop::collection::vec((text.clone(), inner), 0..8).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// Returns a tree and its text, compact or pretty.
fn texts() -> impl Strategy<Value = (Tree, Vec<u8>)> {
    (trees(), any::<bool>()).prop_map(|(tree, pretty)| {
        let text = if pretty { serde_json::to_vec_pretty(&tree) } else { serde_json::to_vec(&tree) };
        (tree, text.expect("a tree has a text"))
    })
}

/// Whether serde_json accepts the text; `None` if serde_json refuses it for a limit that the
/// grammar does not have.
fn accepts(text: &[u8]) -> Option<bool> {
    match serde_json::from_slice::<Tree>(text) {
        Ok(_) => Some(true),
        Err(error) if error.to_string().contains("number out of range") => None,
        Err(error) if error.to_string().contains("recursion limit") => None,
        Err(_) => Some(false),
    }
}

fn kind(tree: &Tree) -> Kind {
    match tree {
        Tree::Null => Kind::Null,
        Tree::Bool(_) => Kind::Bool,
        Tree::Number(_) => Kind::Number,
        Tree::String(_) => Kind::String,
        Tree::Array(_) => Kind::Array,
        Tree::Object(_) => Kind::Object,
    }
}

fn parse(text: &[u8]) -> Tree {
    serde_json::from_slice(text).expect("a span of valid JSON is valid")
}

/// Compares every value of the text with the tree, by every function that finds it.
fn compare(text: &[u8], tree: &Tree) {
    assert_eq!(check(text, DEPTH), Ok(kind(tree)));
    let root = skip(text, 0).expect("valid json");
    assert_eq!((root.kind, &parse(root.text(text))), (kind(tree), tree));
    let mut small = Vec::new();
    minify(text, &mut small);
    // Numbers keep their spelling, so the text may differ from the tree's; the parsed value must
    // not.
    assert_eq!(&parse(&small), tree);
    assert_eq!(minify_twice(&small), small);
    match tree {
        Tree::Array(expected) => {
            let mut found = Vec::new();
            let walked = elements_from(text, root.start, |element| found.push(parse(element.text(text))));
            assert_eq!(walked.map(|walked| (walked.count, walked.end)), Ok((expected.len(), root.end)));
            assert_eq!(&found, expected);
        }
        Tree::Object(expected) => {
            let mut found = serde_json::Map::new();
            let walked = members(text, root, |key, value| {
                let Tree::String(name) = parse(key.text(text)) else { panic!("a key is a string") };
                let mut plain = Vec::new();
                wattle_json::unescape(key.string(text).expect("quotes"), &mut plain).expect("valid escapes");
                assert_eq!(plain, name.as_bytes());
                found.insert(name, parse(value.text(text)));
            });
            assert!(walked.is_ok());
            assert_eq!(&found, expected);
        }
        _ => {}
    }
    let mut places = Vec::new();
    paths_of(tree, &mut String::from("$"), &mut places);
    let paths: Vec<Path> = places.iter().map(|(path, _)| path.parse().expect("a path")).collect();
    let paths: Vec<&Path> = paths.iter().collect();
    let mut many = vec![None; paths.len()];
    find_many(text, &paths, &mut many).expect("valid json");
    for ((path, (_, expected)), many) in paths.iter().zip(places).zip(many) {
        let found = find(text, path).expect("valid json");
        assert_eq!(found.map(|value| parse(value.text(text))).as_ref(), Some(expected), "{path}");
        assert_eq!(many, found, "{path}");
        if let (Tree::Array(elements), true) = (expected, path.segments().len() < 60) {
            let all: Path = format!("{path}[*]").parse().expect("a path");
            assert_eq!(all.segments().last(), Some(&Segment::Each));
            assert_eq!(each(text, &all, |_| ()), Ok(elements.len()));
        }
    }
}

fn minify_twice(small: &[u8]) -> Vec<u8> {
    let mut again = Vec::new();
    minify(small, &mut again);
    again
}

/// Collects the path of each value in the tree, up to a few hundred.
fn paths_of<'a>(tree: &'a Tree, path: &mut String, places: &mut Vec<(String, &'a Tree)>) {
    if places.len() > 300 || path.parse::<Path>().is_err() {
        return;
    }
    places.push((path.clone(), tree));
    let length = path.len();
    match tree {
        Tree::Array(elements) => {
            for (number, element) in elements.iter().enumerate() {
                path.push_str(&format!("[{number}]"));
                paths_of(element, path, places);
                path.truncate(length);
            }
        }
        Tree::Object(members) => {
            for (key, value) in members {
                let mut name = Vec::new();
                escape(key.as_bytes(), &mut name);
                path.push_str(&format!(".\"{}\"", String::from_utf8(name).expect("escaped text is utf-8")));
                paths_of(value, path, places);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

/// Runs every function on arbitrary bytes: none may panic, and spans must lie in the text.
fn survive(text: &[u8]) {
    let path = |text: &str| text.parse::<Path>().expect("a path");
    let [a, b, all] = [path("a.b"), path("[1]"), path("[*].a")];
    let mut out = [None; 2];
    let _ = find_many(text, &[&a, &b], &mut out);
    let _ = each(text, &all, |value| assert!(!value.text(text).is_empty()));
    for value in out.into_iter().flatten() {
        assert!(!value.text(text).is_empty());
    }
    if let Ok(root) = skip(text, 0) {
        assert!(!root.text(text).is_empty());
        let _ = members(text, root, |key, value| assert!(key.end <= value.start && value.end <= text.len()));
        let _ = wattle_json::elements(text, root, |value| assert!(value.end <= text.len()));
    }
    let mut out = Vec::new();
    wattle_json::unescape_lossy(text, &mut out);
    let _ = wattle_json::unescape(text, &mut out);
    minify(text, &mut out);
    out.clear();
    out.push(b'"');
    escape(text, &mut out);
    out.push(b'"');
    assert_eq!(parse(&out), Tree::from(String::from_utf8_lossy(text)));
    assert_eq!(check(&out, 0), Ok(Kind::String));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_on_valid_text((tree, text) in texts()) {
        // Parsed once more, because floats may change on the way through text.
        let read = parse(&text);
        prop_assert_eq!(kind(&read), kind(&tree));
        compare(&text, &read);
    }

    #[test]
    fn agrees_on_mutations(
        (_, text) in texts(),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8, prop_oneof![
            prop::sample::select(b"{}[]\",:\\u0-.eE+tfn \n/\x00\x1f\x7f\x80\xc3\xed\xff".to_vec()), any::<u8>()]), 1..4),
    ) {
        let mut text = text;
        for (place, action, byte) in mutations {
            let at = place.index(text.len() + 1);
            match action {
                0 => text.insert(at, byte),
                1 => text.truncate(at),
                2 if at < text.len() => drop(text.remove(at)),
                _ => text.get_mut(at).into_iter().for_each(|place| *place = byte),
            }
        }
        if let Some(valid) = accepts(&text) {
            let checked = check(&text, DEPTH);
            prop_assert_eq!(checked.is_ok(), valid, "{:?} on `{}`", checked, String::from_utf8_lossy(&text));
        }
        survive(&text);
    }

    #[test]
    fn any_bytes_are_safe(text in prop::collection::vec(prop_oneof![
        prop::sample::select(b"{}[]\",:\\ud80 1-ab".to_vec()), any::<u8>()], 0..300)) {
        if let Some(valid) = accepts(&text) {
            prop_assert_eq!(check(&text, DEPTH).is_ok(), valid);
        }
        survive(&text);
    }
}

#[test]
fn every_cut_of_a_text_is_safe() {
    let text = br#"{"a":{"b":[1,-2.5e3,"\ud83d\ude00\\\"",true]},"c":[{},[],null,"0123456789012345678901234567890123456789"]}"#;
    for start in 0..text.len() {
        for end in start..text.len() {
            let cut = &text[start..end];
            assert_eq!(Some(check(cut, DEPTH).is_ok()), accepts(cut), "`{}`", String::from_utf8_lossy(cut));
            survive(cut);
        }
    }
}

#[test]
fn agrees_on_real_samples() {
    let folder = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let mut files = Vec::new();
    list(&folder, &mut files);
    if files.is_empty() {
        println!("skipped: no samples in `{}`", folder.display());
        return;
    }
    let mut compared = 0;
    for file in files {
        let bytes = std::fs::read(&file).expect("a sample can be read");
        // A sample is one document or one document per line; some are invalid on purpose.
        let whole = std::iter::once(&bytes[..]);
        for text in whole.chain(bytes.split(|byte| *byte == b'\n')).filter(|text| !text.trim_ascii().is_empty()) {
            match serde_json::from_slice::<Tree>(text) {
                Ok(tree) => {
                    compare(text, &tree);
                    compared += 1;
                }
                Err(_) => assert!(check(text, DEPTH).is_err(), "{}", file.display()),
            }
        }
    }
    println!("{compared} texts compared");
    assert!(compared > 50, "only {compared} texts were json");
}

fn list(folder: &FilePath, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            list(&path, files);
        } else if path.extension().is_some_and(|end| end == "json" || end == "jsonl") {
            files.push(path);
        }
    }
}
