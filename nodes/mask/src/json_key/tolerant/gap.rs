//! Skips text between a key, its colon and its value that has no meaning: white space of any kind,
//! comments, terminal colours, a stray byte.

use memchr::memmem;

use super::super::quotes::backslashes_after;
use super::super::unit::{Style, Unit, spaces, unit};

/// Maximum length and number of skipped comments: comments can contain keys, each of which looks
/// ahead.
const MAX_COMMENT: usize = 4096;
const COMMENTS: usize = 4;

/// The longest colour sequence.
const MAX_COLOUR: usize = 32;

/// Where the text without meaning ends.
pub(super) fn gap(text: &[u8], mut at: usize, line_feeds: bool) -> usize {
    let mut comments = 0;
    loop {
        let from = at;
        at = spaces(text, at, line_feeds);
        at += blank(text, at);
        at = colour_end(text, at).unwrap_or(at);
        if at != from {
            continue;
        }
        match comment_end(text, at, line_feeds).filter(|_| comments < COMMENTS) {
            Some(end) => (at, comments) = (end, comments + 1),
            None => return at,
        }
    }
}

/// The length of a blank character that is not white space in JSON.
fn blank(text: &[u8], at: usize) -> usize {
    match text.get(at..).unwrap_or_default() {
        [0 | 0x0b | 0x0c | 0x1c..=0x1f | 0x7f, ..] => 1,
        [0xc2, 0x85 | 0xa0 | 0xad, ..] => 2,
        [0xe2, 0x80, 0x80..=0x8f | 0xa8..=0xaf, ..]
        | [0xe2, 0x81, 0x9f..=0xa4, ..]
        | [0xe3, 0x80, 0x80, ..]
        | [0xef, 0xbb, 0xbf, ..] => 3,
        [b'\\', ..] => {
            let count = backslashes_after(text, at);
            match text.get(at + count..).unwrap_or_default() {
                [b'f' | b'v' | b'0', ..] => count + 1,
                [b'u', digits @ ..] => match digits.get(..4).map(<[u8]>::to_ascii_lowercase).as_deref() {
                    Some(b"0000" | b"000b" | b"000c" | b"0085" | b"00a0" | b"200b" | b"2028" | b"2029" | b"feff") => {
                        count + 5
                    }
                    _ => 0,
                },
                _ => 0,
            }
        }
        _ => 0,
    }
}

/// Where the colour sequence that begins here ends: ESC, `[`, numbers, `m`.
fn colour_end(text: &[u8], at: usize) -> Option<usize> {
    let escape = unit(text, at).filter(|next| next.byte == 0x1b)?;
    let rest = text.get(escape.end..)?.strip_prefix(b"[")?;
    let numbers = rest.iter().take(MAX_COLOUR).take_while(|b| b.is_ascii_digit() || **b == b';').count();
    matches!(rest.get(numbers), Some(b'm' | b'K')).then_some(escape.end + 1 + numbers + 1)
}

/// Where the comment that begins here ends. A comment to the end of the line counts only with
/// `line_feeds`.
fn comment_end(text: &[u8], at: usize, line_feeds: bool) -> Option<usize> {
    let rest = text.get(at..)?;
    let rest = rest.get(..rest.len().min(MAX_COMMENT))?;
    match rest {
        [b'/', b'*', comment @ ..] => memmem::find(comment, b"*/").map(|end| at + 2 + end + 2),
        [b'/', b'/', ..] if line_feeds => Some(line_end(text.get(..at + rest.len())?, at)),
        _ => None,
    }
}

/// Where the line ends.
pub(super) fn line_end(text: &[u8], mut at: usize) -> usize {
    while let Some(next) = unit(text, at).filter(|next| !next.is_line_feed()) {
        at = next.end;
    }
    at
}

/// Where the stray byte or character that begins here ends.
pub(super) fn stray_end(text: &[u8], at: usize) -> Option<usize> {
    let next = unit(text, at)?;
    if next.is_quote() || next.is_space() || next.style != Style::Plain(0) {
        return None;
    }
    match next.byte {
        b',' | b';' | b':' | b'=' | b'{' | b'}' | b'[' | b']' | b'(' | b')' | b'<' | b'>' | b'_' => None,
        byte if byte.is_ascii_alphanumeric() => None,
        byte if byte.is_ascii() => Some(next.end),
        _ => Some(at + text.get(at..)?.iter().take(4).take_while(|b| !b.is_ascii()).count()),
    }
}

/// Where the content of the last string ends, if more strings or other text follow a string instead
/// of a comma, a bracket or the end of a line: `"a" "b"`, `"a" + "b"`, `""b"`. The content of the
/// first string is at `start..end`.
pub(super) fn joined(text: &[u8], open: &Unit, start: usize, end: usize) -> Option<usize> {
    let close = unit(text, end).filter(|close| close.is_like(open))?;
    let is_inner = |next: &Unit| next.is_quote() && (next.byte != b'"' || next.style == open.style);
    let mut last = None;
    let mut at = close.end;
    loop {
        let after = gap(text, at, false);
        let Some(next) = unit(text, after) else { return last };
        let mut string = Some(next).filter(is_inner);
        if string.is_none() && matches!(next.byte, b'+' | b'.' | b'&' | b'|' | b'~' | b'\\' | b'*') {
            let again = unit(text, next.end).filter(|again| again.is_like(&next)).map_or(next.end, |again| again.end);
            string = unit(text, gap(text, again, true)).filter(is_inner);
        }
        if let Some(string) = string {
            let content_end = super::value::string_end(text, string.end, &string, 1).unwrap_or(text.len());
            last = Some(content_end);
            match unit(text, content_end).filter(|close| close.is_like(&string)) {
                Some(close) => at = close.end,
                None => return last,
            }
            continue;
        }
        let is_word = next.byte.is_ascii_alphanumeric() || next.byte == b'_' || !next.byte.is_ascii();
        // An escape may be white space that was escaped more often.
        let is_plain = next.style == Style::Plain(0);
        let is_rest =
            after == at && is_plain && (is_word || (start == end && !is_delimiter(&next) && !next.is_quote()));
        return if is_rest { Some(rest_end(text, after, open)) } else { last };
    }
}

fn is_delimiter(next: &Unit) -> bool {
    next.is_space() || matches!(next.byte, b',' | b';' | b'}' | b']' | b')' | b'<' | b'>' | b'&' | b'|' | b'\\')
}

/// Where misplaced text after a string ends: at a comma, a bracket, the end of the line or of the
/// enclosing string.
fn rest_end(text: &[u8], from: usize, open: &Unit) -> usize {
    let (mut at, mut end) = (from, from);
    while let Some(next) = unit(text, at) {
        let is_outer = next.is_quote() && next.closes(open) && !next.is_like(open);
        if is_outer || next.is_line_feed() || matches!(next.byte, b',' | b'}' | b']') {
            break;
        }
        at = next.end;
        if !next.is_space() {
            // Exclude the quote that ends the enclosing string.
            end = if next.is_like(open) { next.start } else { next.end };
        }
    }
    end
}
