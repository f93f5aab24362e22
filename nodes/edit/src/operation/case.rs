//! Letters in lower and upper case, and the case of keys.

use wattle_node::json::Kind;

use super::value::{Change, Made};
use crate::options::Case;
use crate::problem::Problem;

/// The text of a string, for changes of strings only.
pub(super) fn string(kind: Kind) -> Result<(), Problem> {
    if kind == Kind::String { Ok(()) } else { Err(Problem::WrongType(kind, "a string")) }
}

pub(crate) struct Lower;

pub(crate) struct Upper;

impl Change for Lower {
    fn change(&mut self, kind: Kind, text: &[u8], out: &mut Vec<u8>) -> Result<Made, Problem> {
        string(kind)?;
        lower(text, out);
        Ok(Made::Text)
    }
}

impl Change for Upper {
    fn change(&mut self, kind: Kind, text: &[u8], out: &mut Vec<u8>) -> Result<Made, Problem> {
        string(kind)?;
        upper(text, out);
        Ok(Made::Text)
    }
}

fn lower(text: &[u8], out: &mut Vec<u8>) {
    // The letter sigma depends on its neighbours, so a text is changed as a whole.
    each_text(text, out, u8::to_ascii_lowercase, |text| text.to_lowercase());
}

fn upper(text: &[u8], out: &mut Vec<u8>) {
    each_text(text, out, u8::to_ascii_uppercase, |text| text.to_uppercase());
}

/// Changes the parts of a text that are UTF-8, and copies the other bytes.
fn each_text(text: &[u8], out: &mut Vec<u8>, ascii: impl Fn(&u8) -> u8, change: impl Fn(&str) -> String) {
    if text.is_ascii() {
        out.extend(text.iter().map(ascii));
        return;
    }
    for chunk in text.utf8_chunks() {
        out.extend_from_slice(change(chunk.valid()).as_bytes());
        out.extend_from_slice(chunk.invalid());
    }
}

/// Writes a key in this case.
pub(super) fn write(key: &[u8], case: Case, out: &mut Vec<u8>) {
    match case {
        Case::Lower => lower(key, out),
        Case::Upper => upper(key, out),
        Case::Snake => words(key, out, |word, is_first, out| {
            if !is_first {
                out.push('_');
            }
            out.extend(word.chars().flat_map(char::to_lowercase));
        }),
        Case::Camel => words(key, out, |word, is_first, out| {
            let mut chars = word.chars();
            if !is_first {
                out.extend(chars.by_ref().take(1).flat_map(char::to_uppercase));
            }
            out.extend(chars.flat_map(char::to_lowercase));
        }),
    }
}

/// Calls back with the words of a key: parts between characters that are neither letters nor digits, and parts that begin
/// with an upper-case letter, where several such letters in a row are one word but for the last before a lower-case one.
fn words(key: &[u8], out: &mut Vec<u8>, mut write: impl FnMut(&str, bool, &mut String)) {
    let key = String::from_utf8_lossy(key);
    let mut text = String::with_capacity(key.len() + 4);
    let mut is_first = true;
    for part in key.split(|char: char| !char.is_alphanumeric()).filter(|part| !part.is_empty()) {
        let mut start = 0;
        let mut chars = part.char_indices().peekable();
        let mut before = ' ';
        while let Some((at, char)) = chars.next() {
            let after = chars.peek().map_or(' ', |(_, after)| *after);
            let begins = char.is_uppercase()
                && (before.is_lowercase() || before.is_numeric() || (before.is_uppercase() && after.is_lowercase()));
            if begins && let Some(word) = part.get(start..at) {
                write(word, std::mem::take(&mut is_first), &mut text);
                start = at;
            }
            before = char;
        }
        if let Some(word) = part.get(start..) {
            write(word, std::mem::take(&mut is_first), &mut text);
        }
    }
    // A key without letters and digits stays.
    out.extend_from_slice(if text.is_empty() { key.as_bytes() } else { text.as_bytes() });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(key: &str, case: Case) -> String {
        let mut out = Vec::new();
        write(key.as_bytes(), case, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn keys_change_their_case() {
        for (key, snake, camel) in [
            ("userName", "user_name", "userName"),
            ("user_name", "user_name", "userName"),
            ("User-Name", "user_name", "userName"),
            ("HTTPServerID", "http_server_id", "httpServerId"),
            ("sha256Sum", "sha256_sum", "sha256Sum"),
            ("Émile Zola", "émile_zola", "émileZola"),
            ("a", "a", "a"),
            ("--", "--", "--"),
            ("", "", ""),
        ] {
            assert_eq!((written(key, Case::Snake), written(key, Case::Camel)), (snake.into(), camel.into()), "{key}");
        }
        assert_eq!(written("Straße", Case::Upper), "STRASSE");
        assert_eq!(written("ÀB", Case::Lower), "àb");
    }

    #[test]
    fn bytes_that_are_not_utf8_stay() {
        let mut out = Vec::new();
        lower(b"\xffCAF\xc3\x89 \xc3A", &mut out);
        assert_eq!(out, b"\xffcaf\xc3\xa9 \xc3a");
        out.clear();
        upper(b"a\xe9b", &mut out);
        assert_eq!(out, b"A\xe9B");
    }
}
