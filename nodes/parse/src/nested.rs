//! JSON inside strings: replaces a string by the object or array that its text is.

use memchr::{memchr, memchr2};
use wattle_node::Setup;
use wattle_node::json::{self, Kind, Path};

use crate::options::NestedStrings;

/// The deepest JSON that the host accepts.
const MAX_DEPTH: usize = 512;
/// Maximum depth of strings in strings. Each level escapes the next one, so texts at least double with each.
const MAX_LEVELS: usize = 8;

/// Which strings to parse, and memory for one value.
pub(crate) struct Nested {
    which: Which,
    text: Vec<u8>,
    spare: Vec<u8>,
    levels: Vec<Vec<u8>>,
}

enum Which {
    All,
    Paths(Vec<Path>),
}

impl Nested {
    /// Prepares the option. `None` if it is not set, and after reporting errors to `setup`.
    pub(crate) fn new(option: Option<&NestedStrings>, setup: &mut Setup<'_>) -> Option<Self> {
        let which = match option? {
            NestedStrings::All(false) => return None,
            NestedStrings::All(true) => Which::All,
            NestedStrings::Paths(texts) => {
                if texts.is_empty() {
                    setup.error("nested", "at least one path is needed; `true` stands for all strings");
                }
                let mut paths = Vec::new();
                for (number, text) in texts.iter().enumerate() {
                    match Path::parse(text) {
                        Ok(path) if path.is_root() => {
                            setup.error(format!("nested[{number}]"), "name a string inside of the parsed value");
                        }
                        Ok(path) => paths.push(path),
                        Err(error) => setup.error(format!("nested[{number}]"), error.to_string()),
                    }
                }
                Which::Paths(paths)
            }
        };
        Some(Self { which, text: Vec::new(), spare: Vec::new(), levels: vec![Vec::new(); MAX_LEVELS] })
    }

    /// The valid JSON text `value` with its strings parsed; `None` if there is nothing to parse.
    pub(crate) fn expand(&mut self, value: &[u8]) -> Option<&[u8]> {
        let Self { which, text, spare, levels } = self;
        let mut is_changed = false;
        text.clear();
        match which {
            Which::All => is_changed = expand_all(value, levels, text),
            Which::Paths(paths) => {
                for path in paths {
                    let before = if is_changed { &**text } else { value };
                    spare.clear();
                    if expand_at(before, path, levels, spare) {
                        std::mem::swap(text, spare);
                        is_changed = true;
                    }
                }
            }
        }
        // Parts that are accepted alone can be too deep together.
        (is_changed && json::check(text, MAX_DEPTH).is_ok()).then_some(text)
    }
}

/// Appends a text with all its strings parsed, and says whether there was one.
fn expand_all(text: &[u8], levels: &mut [Vec<u8>], out: &mut Vec<u8>) -> bool {
    let Some((level, deeper)) = levels.split_first_mut() else {
        out.extend_from_slice(text);
        return false;
    };
    let (mut at, mut copied) = (0, 0);
    while let Some(start) = text.get(at..).and_then(|rest| memchr(b'"', rest)).map(|quote| at + quote) {
        let end = end_of_string(text, start);
        let inner = text.get(start + 1..end).unwrap_or_default();
        at = end + 1;
        if !may_be_json(inner) || is_key(text, at) || !parse(inner, level) {
            continue;
        }
        out.extend_from_slice(text.get(copied..start).unwrap_or_default());
        expand_all(level, deeper, out);
        copied = at;
    }
    out.extend_from_slice(text.get(copied..).unwrap_or_default());
    copied > 0
}

/// Appends a text with the strings at a path parsed, and says whether there was one.
fn expand_at(text: &[u8], path: &Path, levels: &mut [Vec<u8>], out: &mut Vec<u8>) -> bool {
    let Some(level) = levels.first_mut() else { return false };
    let mut copied = 0;
    // The text is valid, so there is no error to report.
    let _ = json::each(text, path, |found| {
        if let Some(inner) = found.string(text)
            && may_be_json(inner)
            && parse(inner, level)
        {
            out.extend_from_slice(text.get(copied..found.start).unwrap_or_default());
            out.extend_from_slice(level);
            copied = found.end;
        }
    });
    out.extend_from_slice(text.get(copied..).unwrap_or_default());
    copied > 0
}

fn may_be_json(inner: &[u8]) -> bool {
    matches!(inner, [b'{' | b'[', ..])
}

/// Unescapes the inside of a string, and says whether it is an object or an array.
fn parse(inner: &[u8], level: &mut Vec<u8>) -> bool {
    level.clear();
    json::unescape(inner, level).is_ok()
        && json::check(level, MAX_DEPTH).is_ok_and(|kind| matches!(kind, Kind::Object | Kind::Array))
}

/// Offset of the closing quote of the string that begins at `start`.
fn end_of_string(text: &[u8], start: usize) -> usize {
    let mut end = start + 1;
    while let Some(stop) = text.get(end..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        end += stop;
        if text.get(end) == Some(&b'"') {
            return end;
        }
        end += 2;
    }
    text.len()
}

/// Whether the string before `at` is a key.
fn is_key(text: &[u8], at: usize) -> bool {
    let mut rest = text.get(at..).unwrap_or_default().iter();
    rest.find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}
