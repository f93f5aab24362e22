//! Values of the headers `Cookie`, `Set-Cookie` and `Authorization`, which can contain spaces,
//! semicolons and quotes: they extend to the end of the line, or of the string around the header.

use super::super::unit::{Style, Unit, spaces, unit, unit_before};
use super::value::{bare_end, is_scheme};
use super::{Name, Reached, Sign};

/// Ends of the names of such headers, in lower case without separators.
const HEADERS: [&[u8]; 4] = [b"cookie", b"cookies", b"cookie2", b"authorization"];

/// The longest spelling of a name to compare.
const MAX_NAME: usize = 64;

/// How far before a header to look for the quote that begins the string around it. With no limit,
/// the work would not be linear.
const MAX_BEFORE: usize = 4096;

/// What ends the value, besides the end of the line.
enum Around {
    Nothing,
    Quote(Unit),
    /// The line is too long to look for its quotes.
    Unknown,
}

/// Where the value of a header that begins here ends; `None` if the name is not of such a header.
pub(super) fn header_end(text: &[u8], name: &Name<'_>, reached: &Reached, start: usize) -> Option<usize> {
    if reached.sign != Sign::Assigns || !is_header(name) {
        return None;
    }
    let sign = unit_before(name.text, name.end, reached.at)?;
    if sign.byte != b':' {
        return pairs_end(text, reached, start);
    }
    let around = around(name, reached);
    let opening = name.open.map_or(name.start, |open| open.start);
    let word = bare_end(text, start, reached);
    let before = name.text.get(name.row_start..opening)?.trim_ascii_end();
    // In a list, as in `{cookie: a=b; c=d, host: x}`, the next element is not part of the value.
    let is_element =
        matches!(before.last(), Some(b'{' | b'[' | b'(' | b',')) && !text.get(start..word).is_some_and(is_scheme);
    let is_encoded = matches!(sign.style, Style::Percent(..));
    let mut at = start;
    while let Some(next) = unit(text, at) {
        let ends = next.is_line_feed()
            || match &around {
                Around::Nothing => false,
                Around::Quote(open) => next.is_quote() && next.closes(open),
                Around::Unknown => next.is_quote(),
            }
            || is_element && matches!(next.byte, b',' | b'}' | b']' | b')')
            || is_encoded && next.style == Style::Plain(0) && (next.is_space() || next.is_quote() || next.byte == b'&');
        if ends {
            break;
        }
        at = next.end;
    }
    Some(at)
}

/// Whether a name is one of such a header.
fn is_header(name: &Name<'_>) -> bool {
    let spelled = match name.start == name.end {
        // The name is before a quote.
        true => name.text.get(name.start.saturating_sub(MAX_NAME).max(name.row_start)..name.start),
        false => name.text.get(name.end.saturating_sub(MAX_NAME).max(name.start)..name.end),
    };
    let letters = spelled.unwrap_or_default().iter().rev().filter(|b| b.is_ascii_alphanumeric());
    HEADERS.iter().any(|header| {
        let mut letters = letters.clone();
        header.iter().rev().all(|expected| letters.next().is_some_and(|b| b.to_ascii_lowercase() == *expected))
    })
}

/// Where `a=b; c=d` after an equals sign ends.
fn pairs_end(text: &[u8], reached: &Reached, start: usize) -> Option<usize> {
    let mut end = bare_end(text, start, reached);
    if !text.get(start..end)?.contains(&b'=') {
        return None;
    }
    while unit(text, end).is_some_and(|next| next.byte == b';' && next.style == Style::Plain(0)) {
        let next = spaces(text, end + 1, false);
        let last = bare_end(text, next, reached);
        if last == next {
            break;
        }
        end = last;
    }
    Some(end)
}

/// What surrounds a header on its line.
fn around(name: &Name<'_>, reached: &Reached) -> Around {
    if let Some(open) = name.open.filter(|_| reached.quotes == 0) {
        return Around::Quote(open);
    }
    let from = name.start.saturating_sub(MAX_BEFORE).max(name.row_start);
    let before = name.text.get(from..name.start).unwrap_or_default();
    let line = before.iter().rposition(|b| matches!(b, b'\n' | b'\r')).map(|feed| from + feed + 1);
    let Some(mut at) = line.or_else(|| (from == name.row_start).then_some(from)) else { return Around::Unknown };
    let mut open: Option<Unit> = None;
    while let Some(next) = unit(name.text, at).filter(|next| next.end <= name.start) {
        if next.is_line_feed() && open.is_none() {
            at = next.end;
            continue;
        }
        if next.is_quote() {
            // An apostrophe begins no string.
            let is_inside =
                at.checked_sub(1).and_then(|last| name.text.get(last)).is_some_and(u8::is_ascii_alphanumeric);
            open = match open {
                Some(quote) if next.closes(&quote) => None,
                None if !is_inside => Some(next),
                open => open,
            };
        }
        at = next.end;
    }
    open.map_or(Around::Nothing, Around::Quote)
}
