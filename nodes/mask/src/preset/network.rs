//! Addresses: of people and of machines.

use std::net::Ipv6Addr;
use std::ops::Range;

use super::{after_escape, begins, byte, ends, is_word, run, run_before};

/// An e-mail address whose `@` (or `%40`, in a URL) is here.
///
/// Of the characters that an address may hold before the `@`, those are left out that more often separate it from what
/// stands before it, such as `/` in an ARN and `=` in a query.
/// Source: RFC 5321 section 4.1.2 with the lengths of 4.5.3.1, <https://www.rfc-editor.org/rfc/rfc5321>
pub(super) fn email(text: &[u8], at: usize) -> Option<Range<usize>> {
    const LONGEST_USER: usize = 64;
    let local = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'-');
    let mut start = run_before(text, at, LONGEST_USER, local);
    // As in `mailto=%3Cbob@example.com`.
    if start.checked_sub(1).is_some_and(|b| byte(text, b) == b'%') && after_escape(text, start + 2) {
        start += 2;
    }
    let start = run(text, start, |b| b == b'.');
    let domain = if byte(text, at) == b'@' { at + 1 } else { at + 3 };
    let mut end = domain;
    let mut dots = 0;
    loop {
        let label = run(text, end, |b| b.is_ascii_alphanumeric() || b == b'-');
        if label == end {
            // A full stop behind the address belongs to the sentence.
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
    let last_label = run_before(text, end, end - domain, |b| b.is_ascii_alphabetic());
    (start < at && dots > 0 && end - last_label >= 2 && byte(text, domain) != b'-').then_some(start..end)
}

/// An IPv4 address whose first dot is here.
/// Source: RFC 3986 section 3.2.2 (`IPv4address`), <https://www.rfc-editor.org/rfc/rfc3986>
pub(super) fn ipv4(text: &[u8], at: usize) -> Option<Range<usize>> {
    if !byte(text, at + 1).is_ascii_digit() {
        return None;
    }
    let first = run_before(text, at, 3, |b| b.is_ascii_digit());
    // Digits before it may belong to an escape.
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
    let goes_on = byte(text, end) == b'.' && byte(text, end + 1).is_ascii_digit();
    (ends(text, end) && !goes_on).then_some(start..end)
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
    const LONGEST: usize = 45;
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
    let mut end = all.min(start + LONGEST + 1);
    // What ends a sentence is no part of it, nor is a colon that something else follows.
    while end > start
        && (byte(text, end - 1) == b'.' || (byte(text, end - 1) == b':' && byte(text, end.checked_sub(2)?) != b':'))
    {
        end -= 1;
    }
    let address = str::from_utf8(text.get(start..end)?).ok()?;
    (ends(text, end) && address.len() > 2 && address.parse::<Ipv6Addr>().is_ok()).then_some(start..end)
}
