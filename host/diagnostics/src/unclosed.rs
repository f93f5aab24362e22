//! Finds the bracket or quote that is never closed in TOML that does not parse.
//!
//! A parser continues after an unclosed bracket and reports each further line of the file as an
//! error of the array. One error at the bracket is more useful.

/// Returns the byte position and character of the unclosed opening bracket.
///
/// An array or inline table is assumed to end at a line that looks like a table header or, for an
/// array, like `key = `; neither can begin a line inside an array.
pub(crate) fn unclosed(text: &str) -> Option<(usize, char)> {
    let bytes = text.as_bytes();
    let mut open: Vec<(usize, u8)> = Vec::new();
    let mut at = 0;
    let mut is_line_start = true;
    while let Some(&byte) = bytes.get(at) {
        if is_line_start {
            let line = text.get(at..).unwrap_or_default().lines().next().unwrap_or_default();
            if let Some(&(place, bracket)) = open.last()
                && (is_header(line) || bracket == b'[' && is_assignment(line))
            {
                return Some((place, char::from(bracket)));
            }
            if open.is_empty() && line.trim_start().starts_with('[') {
                // A table header; errors in it are reported separately.
                at += line.len();
                is_line_start = false;
                continue;
            }
        }
        is_line_start = byte == b'\n';
        match byte {
            b'#' => {
                at += text.get(at..).unwrap_or_default().lines().next().unwrap_or_default().len();
                continue;
            }
            b'"' | b'\'' => {
                at = string_end(bytes, at)?;
                continue;
            }
            b'[' | b'{' => open.push((at, byte)),
            b']' | b'}' => match open.pop() {
                Some((_, bracket)) if (bracket == b'[') == (byte == b']') => {}
                // The closing bracket belongs to an outer bracket, so the inner one is unclosed.
                Some((place, bracket)) => return Some((place, char::from(bracket))),
                // A surplus closing bracket is not an unclosed one.
                None => return None,
            },
            _ => {}
        }
        at += 1;
    }
    open.last().map(|&(place, bracket)| (place, char::from(bracket)))
}

/// An unclosed string.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Quote {
    /// Byte position of the opening quote.
    pub(crate) start: usize,
    /// The missing quote: one character, or three for a text of several lines.
    pub(crate) quote: &'static str,
    /// Whether an array or inline table is open, so the parser cannot continue with the next line.
    pub(crate) is_in_brackets: bool,
}

/// Finds the first string that does not end in its line or, if it begins with three quotes,
/// anywhere.
pub(crate) fn unclosed_quote(text: &str) -> Option<Quote> {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut depth = 0_usize;
    // The previous string, if the text after it in its line cannot follow a string.
    let mut suspect: Option<usize> = None;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\n' => suspect = None,
            b'#' => {
                at += text.get(at..).unwrap_or_default().lines().next().unwrap_or_default().len();
                continue;
            }
            b'"' | b'\'' => match string_end(bytes, at) {
                Some(end) => {
                    let after = text.get(end..).unwrap_or_default().trim_start_matches([' ', '\t', '\r']);
                    let is_followed = after.is_empty() || after.starts_with([',', ']', '}', '\n', '#', '=', '.']);
                    suspect = suspect.or((!is_followed).then_some(at));
                    at = end;
                    continue;
                }
                None => {
                    let is_long = bytes.get(at..at + 3) == Some(&[byte; 3]);
                    let quote = match (byte, is_long) {
                        (b'"', false) => "\"",
                        (b'"', true) => "\"\"\"",
                        (_, false) => "'",
                        (_, true) => "\'\'\'",
                    };
                    return Some(Quote { start: suspect.unwrap_or(at), quote, is_in_brackets: depth > 0 });
                }
            },
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// Returns the end of the string that begins at `start`; `None` for an unterminated string, a
/// separate error.
fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let quote = *bytes.get(start)?;
    let long = [quote; 3];
    let is_long = bytes.get(start..start + 3) == Some(&long);
    let mut at = start + if is_long { 3 } else { 1 };
    loop {
        match *bytes.get(at)? {
            b'\\' if quote == b'"' => at += 1,
            b'\n' if !is_long => return None,
            byte if byte == quote && !is_long => return Some(at + 1),
            byte if byte == quote && bytes.get(at..at + 3) == Some(&long) => {
                at += 3;
                // Up to two more quotes belong to the string.
                while bytes.get(at) == Some(&quote) {
                    at += 1;
                }
                return Some(at);
            }
            _ => {}
        }
        at += 1;
    }
}

/// Whether a line is the header of a table, such as `[sinks.out]`.
fn is_header(line: &str) -> bool {
    let line = line.split('#').next().unwrap_or_default().trim();
    let Some(inner) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) else { return false };
    let inner = inner.strip_prefix('[').and_then(|l| l.strip_suffix(']')).unwrap_or(inner);
    is_key(inner) && inner.chars().any(|c| c.is_ascii_alphabetic())
}

/// Whether a line begins with `key =`.
fn is_assignment(line: &str) -> bool {
    line.split_once('=').is_some_and(|(key, _)| is_key(key))
}

/// Whether a text is a key, possibly dotted.
fn is_key(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'' | ' ' | '@');
    let is_even = |quote| text.matches(quote).count() % 2 == 0;
    !text.trim().is_empty() && text.chars().all(is_part) && is_even('"') && is_even('\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the text before the bracket that is found.
    fn before(text: &str) -> Option<&str> {
        unclosed(text).and_then(|(at, _)| text.get(..at))
    }

    #[test]
    fn finds_the_bracket_wherever_the_array_stops() {
        for (text, expected) in [
            ("a = [1, 2\nb = 3\n", Some("a = ")),
            ("a = [\"x\",\n[sinks.out]\ntype = \"console\"\n", Some("a = ")),
            ("a = [\n  [1, 2],\n  [3\n[[pipelines.p.rules]]\n", Some("a = [\n  [1, 2],\n  ")),
            ("a = { b = 1, c = [2 }\nd = 4", Some("a = { b = 1, c = ")),
            ("a = { b = 1\n[t]\n", Some("a = ")),
            ("a = [\"]\", ']', 1 # ]\nb = 1", Some("a = ")),
            ("a = \"\"\"[\n\"\"\"\nb = [\n", Some("a = \"\"\"[\n\"\"\"\nb = ")),
            ("rules = [{ a = 1 ]\n", Some("rules = [")),
            ("a = [1, 2]\nb = { c = [1] }\n[t]\n[[u]]\n", None),
            ("a = [\n  \"x\", # [\n  \"y=z\",\n]\n", None),
            ("a = 1]\n", None),
            ("a = \"x\n", None),
            ("[pipelines.main\na = 1\n", None),
        ] {
            assert_eq!(before(text), expected, "{text}");
        }
    }

    #[test]
    fn finds_the_unclosed_quote() {
        for (text, expected) in [
            ("a = [\"x]\nb = [\"y\"]\n", Some(("a = [", "\"", true))),
            ("a = [\"x, \"y\"]\n", Some(("a = [", "\"", true))),
            ("a = [\n  'x',\n  'y\n]\n", Some(("a = [\n  'x',\n  ", "'", true))),
            ("a = \"x\nb = 1\n", Some(("a = ", "\"", false))),
            ("a = \"\"\"x\n\"y\"\n", Some(("a = ", "\"\"\"", false))),
            ("a = \"x\"\nb = 'it' # it's\n", None),
        ] {
            let found = unclosed_quote(text);
            let found =
                found.as_ref().map(|quote| (text.get(..quote.start).unwrap(), quote.quote, quote.is_in_brackets));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn every_truncated_array_is_found_whatever_follows() {
        let whole = "[a]\nx = [\"1\", \"2\"]\ny = { k = [1], l = \"[\" }\nz = [\n  { n = 1 },\n]\n[b]\nw = 1\n";
        assert_eq!(unclosed(whole), None);
        for (at, _) in whole
            .match_indices([']', '}'])
            .filter(|(at, _)| !["[a]", "[b]"].contains(&whole.get(at - 2..=*at).unwrap_or("")))
        {
            let mut cut = whole.to_owned();
            cut.remove(at);
            let found = unclosed(&cut).unwrap_or_else(|| panic!("nothing is found in\n{cut}"));
            assert!(found.0 < at, "{cut}");
        }
    }
}
