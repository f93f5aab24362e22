//! Escapes foreign text before it is printed: names, messages, events, file names.
//!
//! A terminal executes control sequences, and some characters make a line look different from its
//! content. This crate escapes all of them: control characters (C0, DEL, C1), bidirectional
//! controls, zero-width and invisible characters, line separators, noncharacters that carry hidden
//! text. Every other character stays unchanged.
//!
//! | function | for | line feed and tab |
//! | --- | --- | --- |
//! | [`line`], [`Line`] | a text inside a line of output | escaped |
//! | [`text`] | output of several lines | kept |
//! | [`styled`] | the same, for text with the agent's own colors | kept |
//! | [`json`] | a JSON document: the escapes are JSON's, so the value is the same | kept |
//! | [`bytes`] | bytes that may not be UTF-8, such as an event | kept |

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Whether a character must be escaped.
pub fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Soft hyphen, combining grapheme joiner, Arabic letter mark, Hangul fillers, Mongolian
            // vowel separator.
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
            // Zero-width characters and directional marks; line and paragraph separators,
            // embeddings, overrides.
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            // Word joiner, invisible operators, isolates, deprecated format controls.
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
            // Tags and the supplementary variation selectors, which can carry invisible text.
            | '\u{e0000}'..='\u{e0fff}')
}

/// Escapes a text inside a line, including line feeds and tabs.
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, is_harmful, |out, c| out.extend(c.escape_default()))
}

/// Escapes a text of several lines; keeps line feeds and tabs.
pub fn text(text: &str) -> Cow<'_, str> {
    escape(text, is_harmful_in_text, |out, c| out.extend(c.escape_default()))
}

/// Escapes a text but keeps terminal styles (colors, bold), which only the agent may have added.
pub fn styled(shown: &str) -> Cow<'_, str> {
    if !shown.contains('\x1b') {
        return text(shown);
    }
    let mut out = String::with_capacity(shown.len());
    let mut rest = shown;
    while let Some((before, after)) = rest.split_once('\x1b') {
        out.push_str(&text(before));
        let style = after.strip_prefix('[').and_then(|code| code.split_once('m')).map(|(code, _)| code);
        match style.filter(|code| code.bytes().all(|b| b.is_ascii_digit() || b == b';')) {
            Some(_) => out.push('\x1b'),
            None => out.push_str("\\u{1b}"),
        }
        rest = after;
    }
    out.push_str(&text(rest));
    Cow::Owned(out)
}

/// Escapes a JSON document with JSON's own escapes. Harmful characters occur only inside its
/// strings.
pub fn json(document: &str) -> Cow<'_, str> {
    escape(document, is_harmful_in_text, |out, c| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    })
}

/// Escapes bytes as [`text`] does. Bytes that are not UTF-8 become `\xNN`.
pub fn bytes(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(valid) = std::str::from_utf8(bytes) {
        return text(valid);
    }
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(&text(chunk.valid()));
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    Cow::Owned(out)
}

/// Displays a value escaped by [`line`].
#[derive(Debug, Clone, Copy)]
pub struct Line<T>(pub T);

impl<T: fmt::Display> fmt::Display for Line<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `pad` makes a width in the format count the escaped characters.
        f.pad(&line(&self.0.to_string()))
    }
}

fn is_harmful_in_text(c: char) -> bool {
    is_harmful(c) && c != '\n' && c != '\t'
}

fn escape(text: &str, is_harmful: impl Fn(char) -> bool, mut write: impl FnMut(&mut String, char)) -> Cow<'_, str> {
    let Some(first) = text.find(&is_harmful) else { return Cow::Borrowed(text) };
    let (clean, rest) = text.split_at(first);
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(clean);
    for c in rest.chars() {
        if is_harmful(c) { write(&mut out, c) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_of_terminals_are_escaped() {
        assert_eq!(line("a\x1b[31mb\x07\r\n\tc\x7f\u{9b}2J"), "a\\u{1b}[31mb\\u{7}\\r\\n\\tc\\u{7f}\\u{9b}2J");
        assert_eq!(text("a\n\tb\r\x1b"), "a\n\tb\\r\\u{1b}");
        assert_eq!(line("user\u{202e}gnp.exe\u{200b}"), "user\\u{202e}gnp.exe\\u{200b}");
        assert_eq!(bytes(b"a\xffb\x1b\xc2\x9b"), "a\\xffb\\u{1b}\\u{9b}");
        assert_eq!(format!("[{:>8}]", Line("a\n")), "[     a\\n]");
    }

    #[test]
    fn every_control_and_every_invisible_format_character_is_escaped() {
        let formats = "\u{ad}\u{61c}\u{180e}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\
            \u{202c}\u{202d}\u{202e}\u{2060}\u{2064}\u{2066}\u{2067}\u{2068}\u{2069}\u{206f}\u{feff}\u{fff9}\u{e0001}\
            \u{e007f}\u{e0100}";
        for c in ('\0'..='\u{1f}').chain('\u{7f}'..='\u{9f}').chain(formats.chars()) {
            let shown = line(c.encode_utf8(&mut [0; 4])).into_owned();
            assert!(shown.is_ascii() && !shown.contains(|c: char| c.is_ascii_control()), "{shown:?}");
        }
    }

    #[test]
    fn other_text_stays_unchanged_and_is_not_copied() {
        for plain in ["", "plain", "Grüße, 東京, Привет, שלום, ❤\u{fe0f}, e\u{301}", "a\\b \"c\""] {
            assert!(matches!(line(plain), Cow::Borrowed(same) if same == plain));
        }
    }

    #[test]
    fn only_styled_text_keeps_terminal_styles() {
        assert_eq!(
            styled("\x1b[1;31mred\x1b[0m \x1b[2J \x1b]0;t\x07 \x1b"),
            "\x1b[1;31mred\x1b[0m \\u{1b}[2J \\u{1b}]0;t\\u{7} \\u{1b}"
        );
        assert_eq!(styled("a\u{202e}"), "a\\u{202e}");
    }

    #[test]
    fn escaped_json_has_the_same_value() {
        assert_eq!(json("{\"a\":\"\u{202e}\u{9b}\u{e0041}ü\"}\n"), "{\"a\":\"\\u202e\\u009b\\udb40\\udc41ü\"}\n");
    }
}
