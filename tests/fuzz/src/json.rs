//! JSON as text: the same verdict as serde_json, the same values at every path, and no span outside
//! of the text.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use wattle_json::{Path, Segment, check, each, elements, escape, find, find_many, members, minify, skip, unescape};

const DEPTH: usize = 1_000;

/// A value that keeps every member of an object, including duplicate keys.
#[derive(Debug, PartialEq)]
enum Tree {
    Leaf(serde_json::Value),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf(serde_json::Value::Null))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }
    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut all = Vec::new();
        while let Some(element) = access.next_element()? {
            all.push(element);
        }
        Ok(Tree::Array(all))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut all = Vec::new();
        while let Some(member) = access.next_entry()? {
            all.push(member);
        }
        Ok(Tree::Object(all))
    }
}

impl Tree {
    /// The expected value at a path: of members with the same key, the first counts.
    fn at(&self, path: &[Segment]) -> Option<&Self> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        match (self, first) {
            (Self::Object(members), Segment::Key(key)) => members.iter().find(|(k, _)| **k == **key)?.1.at(rest),
            (Self::Array(elements), Segment::Index(index)) => elements.get(*index)?.at(rest),
            _ => None,
        }
    }
}

/// The result of serde_json; `None` if its own limits decide, which the grammar does not have.
fn parse(text: &[u8]) -> Option<Result<Tree, serde_json::Error>> {
    match serde_json::from_slice::<Tree>(text) {
        Err(error) if ["out of range", "recursion limit"].iter().any(|limit| error.to_string().contains(limit)) => None,
        answer => Some(answer),
    }
}

fn parsed(text: &[u8]) -> Tree {
    serde_json::from_slice(text).unwrap()
}

/// The first line is a path, the rest is a text.
pub fn json(bytes: &[u8]) {
    let (line, text) = bytes.split_at(bytes.iter().position(|b| *b == b'\n').map_or(0, |at| at + 1));
    let path = std::str::from_utf8(line).ok().and_then(|line| Path::parse(line.trim_end_matches('\n')).ok());
    if let Some(path) = &path {
        assert_eq!(Path::parse(&path.to_string()).as_ref(), Ok(path), "a path is written as it is read");
    }
    let path = path.unwrap_or_default();
    survive(text, &path);
    match parse(text) {
        None => {}
        Some(Err(error)) => assert!(check(text, DEPTH).is_err(), "serde_json refuses it: {error}"),
        Some(Ok(tree)) => agree(text, &tree, &path),
    }
}

fn agree(text: &[u8], tree: &Tree, path: &Path) {
    check(text, DEPTH).unwrap();
    let mut small = Vec::new();
    minify(text, &mut small);
    assert_eq!(parsed(&small), *tree);
    let Some((before, after)) = path.around_each() else {
        let found = find(text, path).unwrap();
        assert_eq!(found.map(|value| parsed(value.text(text))).as_ref(), tree.at(path.segments()), "{path}");
        let mut many = [None; 2];
        find_many(text, &[path, &Path::default()], &mut many).unwrap();
        assert_eq!((many[0], many[1]), (found, find(text, &Path::default()).unwrap()), "{path}");
        return;
    };
    if after.contains(&Segment::Each) {
        return;
    }
    let mut found = Vec::new();
    each(text, path, |value| found.push(parsed(value.text(text)))).unwrap();
    let expected: Vec<&Tree> = match tree.at(before) {
        Some(Tree::Array(elements)) => elements.iter().filter_map(|element| element.at(after)).collect(),
        _ => Vec::new(),
    };
    assert!(found.iter().eq(expected), "{path}");
}

/// Any bytes: spans are inside the text, and escaping and unescaping gives the same text.
fn survive(text: &[u8], path: &Path) {
    let mut out = [None; 2];
    let _ = find_many(text, &[path, &Path::default()], &mut out);
    for value in out.into_iter().flatten() {
        assert!(!value.text(text).is_empty());
    }
    let _ = each(text, path, |value| assert!(!value.text(text).is_empty()));
    if let Ok(root) = skip(text, 0) {
        assert!(!root.text(text).is_empty());
        let _ = members(text, root, |key, value| assert!(key.end <= value.start && value.end <= text.len()));
        let _ = elements(text, root, |value| assert!(value.start < value.end && value.end <= text.len()));
    }
    let mut plain = Vec::new();
    let _ = unescape(text, &mut plain);
    let mut escaped = vec![b'"'];
    escape(text, &mut escaped);
    escaped.push(b'"');
    let lossy = String::from_utf8_lossy(text);
    assert_eq!(serde_json::from_slice::<String>(&escaped).unwrap(), lossy);
    plain.clear();
    unescape(&escaped[1..escaped.len() - 1], &mut plain).unwrap();
    assert_eq!(plain, lossy.as_bytes());
}
