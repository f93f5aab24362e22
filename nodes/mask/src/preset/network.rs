//! E-mail and IP addresses.

use std::net::Ipv6Addr;
use std::ops::Range;

use super::{after_escape, begins, byte, ends, is_word, run, run_before};

/// An e-mail address whose `@` (or `%40`, in a URL) is here.
///
/// Of the characters that can precede the `@`, the check excludes those that more often separate
/// the address from the text before it, such as `/` in an ARN and `=` in a query. Source: RFC 5321
/// section 4.1.2 with the lengths of 4.5.3.1, RFC 6531 (UTF-8),
/// <https://www.rfc-editor.org/rfc/rfc5321>
pub(super) fn email(text: &[u8], at: usize) -> Option<Range<usize>> {
    let start = quoted_local_part(text, at).or_else(|| local_part(text, at))?;
    let domain = if byte(text, at) == b'@' { at + 1 } else { at + 3 };
    let mut end = domain;
    let mut dots = 0;
    loop {
        // A label continues with characters beyond ASCII, which are letters here.
        let label = run(text, end, |b| b.is_ascii_alphanumeric() || b == b'-' || !b.is_ascii());
        let label = without_closing_quotes(text, end, label);
        if label == end {
            // A full stop after the address belongs to the sentence.
            end -= usize::from(dots > 0);
            dots = dots.max(1) - 1;
            break;
        }
        end = label;
        if byte(text, label) != b'.' {
            break;
        }
        dots += 1;
        end += 1;
    }
    // An underscore or a longer word follows, so this is not a host name.
    let last_label = run_before(text, end, end - domain, |b| b.is_ascii_alphabetic() || !b.is_ascii());
    let is_punycode = text.get(domain..end)?.windows(5).any(|w| w.eq_ignore_ascii_case(b".xn--"));
    let long_enough = end - last_label >= 2 || is_punycode;
    (start < at && dots > 0 && long_enough && byte(text, domain) != b'-').then_some(start..end)
}

/// Where a quoted local part begins, as in `"john doe"@example.com`, also with escaped quotes.
fn quoted_local_part(text: &[u8], at: usize) -> Option<usize> {
    const MAX_LEN: usize = 64;
    let close = at.checked_sub(1).filter(|&close| byte(text, close) == b'"')?;
    let escapes = |quote: usize| quote - run_before(text, quote, 16, |b| b == b'\\');
    let depth = escapes(close);
    let inside = text.get(close.saturating_sub(depth + MAX_LEN)..close - depth)?;
    let open = memchr::memrchr(b'"', inside)? + close.saturating_sub(depth + MAX_LEN);
    // `"name"@` with letters only before the quote is the end of another string.
    (escapes(open) == depth && !inside.get(open - close.saturating_sub(depth + MAX_LEN) + 1..)?.is_empty())
        .then_some(open - depth)
}

/// Where a local part of plain characters begins.
fn local_part(text: &[u8], at: usize) -> Option<usize> {
    const MAX_USER: usize = 64;
    let is_plain = |b: u8| {
        b.is_ascii_alphanumeric()
            || matches!(b, b'.' | b'_' | b'+' | b'-' | b'\'' | b'!' | b'#' | b'$' | b'*' | b'~')
            || !b.is_ascii()
    };
    let mut start = at;
    let floor = at.saturating_sub(MAX_USER);
    loop {
        start = run_before(text, start, start - floor, is_plain);
        // Percent escapes belong to it, unless they are separators in a URL:
        // `mailto=%3Cbob@example.com`.
        let escape = text.get(start.saturating_sub(1)..start + 2)?;
        let code = |digits: &[u8]| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok();
        match escape {
            [b'%', digits @ ..] if start > floor && start + 2 <= at && digits.len() == 2 => match code(digits) {
                Some(b'+' | b'\'' | b'!' | b'#' | b'$' | b'*' | b'~' | b'_' | b'-' | b'.' | 0x80..) => start -= 1,
                Some(_) => {
                    start += 2;
                    break;
                }
                // The percent sign of `user%example.com@relay.example`.
                None => start -= 1,
            },
            _ => break,
        }
    }
    // Quotes, dashes and apostrophes beyond ASCII are not part of it.
    let mut start = run(text, start, |b| matches!(b, b'.' | b'\'' | b'!' | b'#' | b'$' | b'*' | b'~' | 0x80..0xc0));
    while let Some(rest) = text.get(start..at)
        && let [0xe2, 0x80, _, ..] | [0xc2, _, ..] | [0xe3, 0x80, _, ..] | [0xef, 0xbc, _, ..] = rest
    {
        start += if rest.first() == Some(&0xc2) { 2 } else { 3 };
        start = run(text, start, |b| matches!(b, b'.' | b'\''));
    }
    Some(start.min(at))
}

/// Typographic quotes and brackets at the end of a sentence are not part of a label.
fn without_closing_quotes(text: &[u8], start: usize, end: usize) -> usize {
    let label = text.get(start..end).unwrap_or_default();
    let marks = [&b"\xe2\x80"[..], b"\xc2\xbb", b"\xc2\xab", b"\xc2\xa0", b"\xe3\x80", b"\xef\xbc"];
    let first = marks.iter().filter_map(|mark| memchr::memmem::find(label, mark)).min();
    start + first.unwrap_or(label.len())
}

/// An IPv4 address whose first dot is here.
/// Source: RFC 3986 section 3.2.2 (`IPv4address`), <https://www.rfc-editor.org/rfc/rfc3986>
pub(super) fn ipv4(text: &[u8], at: usize) -> Option<Range<usize>> {
    if !byte(text, at + 1).is_ascii_digit() {
        return None;
    }
    let first = run_before(text, at, 3, |b| b.is_ascii_digit());
    // The digits before it can belong to an escape.
    let start = (first..at).find(|&start| {
        begins(text, start) && (after_escape(text, start) || start.checked_sub(1).is_none_or(|b| byte(text, b) != b'.'))
    })?;
    let mut end = at;
    octet(text.get(start..at)?)?;
    for _ in 0..3 {
        if byte(text, end) != b'.' {
            return None;
        }
        let digits = end + 1;
        end = run(text, digits, |b| b.is_ascii_digit());
        octet(text.get(digits..end)?)?;
    }
    let goes_on = matches!(byte(text, end), b'.' | b'-' | b'+') && byte(text, end + 1).is_ascii_alphanumeric();
    // A range continues with another address, a version with any other text.
    let goes_on = goes_on && !(byte(text, end) == b'-' && is_address(text, end + 1));
    (ends(text, end) && !goes_on && !is_version(text, start)).then_some(start..end)
}

/// Whether four numbers with dots stand here.
fn is_address(text: &[u8], at: usize) -> bool {
    let end = run(text, at, |b| b.is_ascii_digit() || b == b'.');
    let parts = text.get(at..end).unwrap_or_default().split(|b| *b == b'.').filter(|part| !part.is_empty());
    let mut count = 0;
    let all = parts.inspect(|_| count += 1).all(|part| octet(part).is_some());
    all && count == 4
}

/// Whether the text before a number marks it as a version: `v1.2.3.4`, `version 1.2.3.4`,
/// `Chrome/120.0.0.1`.
fn is_version(text: &[u8], start: usize) -> bool {
    let before = text.get(start.saturating_sub(24)..start).unwrap_or_default();
    // A product and its version, but not a path or a network in a URL.
    if let [.., name, b'/'] = before
        && name.is_ascii_alphabetic()
    {
        let word = run_before(text, start - 1, 32, |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        let is_path = matches!(word.checked_sub(1).map(|at| byte(text, at)), Some(b'/' | b':'));
        return !is_path;
    }
    if matches!(before, [.., b'-']) {
        let word = run_before(text, start - 1, 32, |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_'));
        let word = text.get(word..start - 1).unwrap_or_default();
        return word.iter().any(u8::is_ascii_alphabetic) && !word.eq_ignore_ascii_case(b"ip");
    }
    let is_between = |b: u8| matches!(b, b' ' | b'\t' | b'"' | b'\'' | b'\\' | b':' | b'=');
    let word = before.get(..run_before(before, before.len(), 12, is_between)).unwrap_or_default();
    let word =
        word.get(word.len() - word.iter().rev().take_while(|b| b.is_ascii_alphabetic()).count()..).unwrap_or_default();
    [&b"version"[..], b"ver", b"release", b"build", b"firmware", b"revision"]
        .iter()
        .any(|w| word.eq_ignore_ascii_case(w))
        && before.last().is_some_and(|b| !b.is_ascii_alphabetic())
}

fn octet(digits: &[u8]) -> Option<()> {
    let number = match digits {
        [b'0', _, ..] => return None,
        [_] | [_, _] | [_, _, _] => digits.iter().fold(0_u32, |n, d| n * 10 + u32::from(d - b'0')),
        _ => return None,
    };
    (number <= 255).then_some(())
}

/// An IPv6 address whose first colon is here.
/// Source: RFC 4291 section 2.2, <https://www.rfc-editor.org/rfc/rfc4291>
pub(super) fn ipv6(text: &[u8], at: usize) -> Option<Range<usize>> {
    const MAX_LEN: usize = 45;
    let next = byte(text, at + 1);
    if next != b':' && !next.is_ascii_hexdigit() {
        return None;
    }
    let first = run_before(text, at, 4, |b| b.is_ascii_hexdigit());
    let start = (first..=at).find(|&start| {
        let before = start.checked_sub(1).map_or(0, |b| byte(text, b));
        after_escape(text, start) || !(is_word(before) || matches!(before, b':' | b'.'))
    })?;
    // Only a double colon can begin an address.
    if start == at && next != b':' {
        return None;
    }
    let all = run(text, start, |b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'));
    let mut end = all.min(start + MAX_LEN + 1);
    // Punctuation at the end of a sentence is not part of it, and neither is a colon before other
    // text.
    while end > start
        && (byte(text, end - 1) == b'.' || (byte(text, end - 1) == b':' && byte(text, end.checked_sub(2)?) != b':'))
    {
        end -= 1;
    }
    let address = str::from_utf8(text.get(start..end)?).ok()?;
    (ends(text, end) && address.len() > 2 && address.parse::<Ipv6Addr>().is_ok()).then_some(start..end)
}
