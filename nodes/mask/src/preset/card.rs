//! Numbers of payment cards.

use std::ops::Range;

/// Digits of a card number.
const LENGTH: std::ops::RangeInclusive<usize> = 13..=19;

/// Digits of the shortest group in a card number.
const MIN_GROUP: usize = 3;

/// Calls `check` at the first digit of every run of digits, single spaces, dashes and dots that is
/// long enough for a card number. `check` returns the end of the number that it found.
///
/// Every such run covers one of the probed places, so most bytes are never read.
pub(super) fn each_candidate(text: &[u8], mut check: impl FnMut(usize) -> Option<usize>) {
    let step = *LENGTH.start();
    let part = |b: &u8| b.is_ascii_digit() || matches!(b, b' ' | b'-' | b'.');
    let mut done = 0;
    let mut probe = step - 1;
    while let Some(byte) = text.get(probe) {
        if !part(byte) {
            probe += step;
            continue;
        }
        let before = text.get(done..probe).unwrap_or_default().iter().rev().take_while(|b| part(b)).count();
        let after = text.get(probe..).unwrap_or_default().iter().take_while(|b| part(b)).count();
        let mut at = probe - before;
        done = probe + after;
        while at + step <= done {
            let is_first = text.get(at).is_some_and(u8::is_ascii_digit)
                && at.checked_sub(1).and_then(|b| text.get(b)).is_none_or(|b| !b.is_ascii_digit());
            at = if is_first { check(at).unwrap_or(at + 1) } else { at + 1 };
        }
        probe = done + step - 1;
    }
}

/// A card number that begins here: 13 to 19 digits, in groups or not, of a payment network, with a
/// right check digit.
///
/// The first digit of payment cards is 3 to 6, and 2221 to 2720 for newer ones of Mastercard.
/// Source: ISO/IEC 7812-1 (numbers, check digit),
/// <https://en.wikipedia.org/wiki/Payment_card_number> (networks)
pub(super) fn number(text: &[u8], at: usize) -> Option<Range<usize>> {
    let before = at.checked_sub(1).and_then(|b| text.get(b));
    if before.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'.') && !super::after_escape(text, at) {
        return None;
    }
    let mut digits = [0_u8; 19];
    let mut count = 0;
    let mut found = None;
    let mut index = at;
    // One card has one kind of separator, and groups of three digits and more.
    let mut separator = None;
    let mut group = 0;
    while let Some(&byte) = text.get(index) {
        match byte {
            b'0'..=b'9' => {
                let Some(place) = digits.get_mut(count) else { break };
                *place = byte - b'0';
                count += 1;
                group += 1;
                let next = text.get(index + 1);
                let ends = next.is_none_or(|b| !b.is_ascii_alphanumeric() && *b != b'_');
                let known = digits.get(..count).unwrap_or_default();
                let dotted = next == Some(&b'.') && text.get(index + 2).is_some_and(u8::is_ascii_digit);
                let dashed = next == Some(&b'-') && text.get(index + 2).is_some_and(u8::is_ascii_alphanumeric);
                let ends = ends && !dotted && !dashed && (group >= MIN_GROUP || separator.is_none());
                if ends && LENGTH.contains(&count) && is_card(known) && passes_luhn(known) {
                    found = Some(at..index + 1);
                }
            }
            b' ' | b'-' | b'.' if text.get(index + 1).is_some_and(u8::is_ascii_digit) => {
                if group < MIN_GROUP || separator.is_some_and(|s| s != byte) {
                    break;
                }
                (separator, group) = (Some(byte), 0);
            }
            _ => break,
        }
        index += 1;
    }
    found
}

fn is_card(digits: &[u8]) -> bool {
    match digits {
        [3..=6, ..] => true,
        [a, b, c, d, ..] if digits.len() == 16 => {
            (2221..=2720).contains(&[a, b, c, d].iter().fold(0, |n, d| n * 10 + u32::from(**d)))
        }
        _ => false,
    }
}

fn passes_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, &digit)| match (index % 2, u32::from(digit)) {
            (0, digit) => digit,
            (_, digit @ 0..=4) => 2 * digit,
            (_, digit) => 2 * digit - 9,
        })
        .sum();
    sum.is_multiple_of(10)
}
