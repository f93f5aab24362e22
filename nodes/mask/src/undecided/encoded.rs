//! Base64 of compressed data.
//!
//! Base64 is a run of few different bytes. Probes at fixed distances tell where runs are that are long enough, and only these are
//! searched for what compressed data begins with. So nearly all of a column is not even read.

use std::ops::Range;

use wide::u8x16;

use crate::column::Rows;

/// What gzip, zstd, xz and zip begin with, in base64 of both alphabets.
const BEGINNINGS: [&[u8]; 6] = [b"H4sI", b"KLUv/", b"KLUv_", b"/Td6WFoA", b"_Td6WFoA", b"UEsDB"];
/// The same for bzip2: a part that is the same for all block sizes, and where it stands.
const BZIP2: (&[u8], &[u8], usize) = (b"Qlpo", b"WSZT", 8);
/// Two bytes of each of these, and where they stand in it.
const PAIRS: [([u8; 2], usize); 5] = [(*b"H4", 0), (*b"KL", 0), (*b"Td", 1), (*b"UE", 0), (*b"Ql", 0)];
/// Vectors of the bytes of each pair.
const WANTED: [[u8x16; 2]; 5] = {
    let [(a, _), (b, _), (c, _), (d, _), (e, _)] = PAIRS;
    [splat(a), splat(b), splat(c), splat(d), splat(e)]
};
/// The smallest file of gzip, which holds nothing, has 20 bytes.
const SHORTEST: usize = 27;

/// Bytes of a vector.
const LANES: usize = 16;
/// Up to here every run of a column is searched.
pub(super) const SMALL: usize = 16 << 10;

/// How a row is probed.
#[derive(Clone, Copy)]
struct Probes {
    /// Distance between two.
    step: usize,
    /// Length of each, from one vector to two.
    length: usize,
}

/// Finds every run of [`SHORTEST`] bytes.
const CLOSE: Probes = Probes { step: SHORTEST - LANES + 1, length: LANES };
/// For rows of up to [`LONG`](super::LONG) bytes: finds runs of 95 bytes.
const NEAR: Probes = Probes { step: 64, length: 2 * LANES };
/// For longer rows: finds runs of 159 bytes.
const FAR: Probes = Probes { step: 128, length: 2 * LANES };

/// The rows that hold base64 of compressed data, in order.
pub(super) fn rows(rows: Rows<'_>) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 0;
    for (row, (place, text)) in rows.iter().enumerate() {
        let probes = match () {
            () if rows.bytes.len() <= SMALL => CLOSE,
            () if text.len() > super::LONG => FAR,
            () => NEAR,
        };
        // Probes go on over the ends of rows, so that short rows share one.
        at = at.clamp(place.start, place.start + probes.step - 1);
        while let Some(probe) = probes.next(rows.bytes, at..place.end) {
            let Range { start, end } = run_around(text, probe - place.start);
            if end - start >= SHORTEST && is_encoded(text, start, end) {
                found.push(row);
                at = place.end;
                break;
            }
            at = (probe + probes.step).max(place.start + end);
        }
    }
    found
}

impl Probes {
    /// The first probe in a part of a text that looks like one of a run.
    fn next(self, text: &[u8], part: Range<usize>) -> Option<usize> {
        match self.length {
            LANES => next::<LANES>(text, part, self.step),
            _ => next::<{ 2 * LANES }>(text, part, self.step),
        }
    }
}

fn next<const LENGTH: usize>(text: &[u8], part: Range<usize>, step: usize) -> Option<usize> {
    let least = u8x16::splat(b'+');
    let mut at = part.start;
    while at < part.end {
        let window = text.get(at..)?.first_chunk::<LENGTH>()?;
        let [first, last] = [vector(window, 0), vector(window, LENGTH - LANES)];
        // A quote, comma, space or bracket is in most probes, and one comparison finds three of them.
        if (first.min(last) - least).to_bitmask() == 0 && is_run(first, last, LENGTH > LANES) {
            return Some(at);
        }
        at += step;
    }
    None
}

/// Whether two vectors are of a run. Where they are two of them, base64 of compressed data has a capital letter among
/// them but for one in ten million; paths and identifiers have none more often.
fn is_run(first: u8x16, last: u8x16, with_capital: bool) -> bool {
    let (a, letters) = (u8x16::splat(b'A'), u8x16::splat(25));
    let is_capital = |bytes: u8x16| (bytes - a).min(letters).simd_eq(bytes - a);
    (outside(first) | outside(last)).to_bitmask() == 0
        && (!with_capital || (is_capital(first) | is_capital(last)).to_bitmask() != 0)
}

/// The run that a place is in.
fn run_around(text: &[u8], at: usize) -> Range<usize> {
    let (mut start, mut end) = (at, at);
    loop {
        let Some(lanes) = text.get(end..).and_then(|rest| rest.first_chunk::<LANES>()) else {
            let rest = text.get(end..).unwrap_or_default();
            end += rest.iter().take_while(|b| is_in_run(**b)).count();
            break;
        };
        let outside = outside(u8x16::from(*lanes)).to_bitmask();
        if outside != 0 {
            end += outside.trailing_zeros() as usize;
            break;
        }
        end += LANES;
    }
    loop {
        let before = text.get(..start).unwrap_or_default();
        let Some(lanes) = before.last_chunk::<LANES>() else {
            start -= before.iter().rev().take_while(|b| is_in_run(**b)).count();
            break;
        };
        let outside = outside(u8x16::from(*lanes)).to_bitmask();
        if outside != 0 {
            start -= (outside << LANES).leading_zeros() as usize;
            break;
        }
        start -= LANES;
    }
    start..end
}

/// Whether compressed data begins in a run.
fn is_encoded(text: &[u8], start: usize, end: usize) -> bool {
    // From here on the last two vectors, of which one begins a byte later, end with the run.
    let Some(last) = end.checked_sub(LANES + 1).filter(|last| *last >= start) else { return false };
    let mut at = start;
    loop {
        let [first, second] = [vector(text, at), vector(text, at + 1)];
        let is = |[a, b]: &[u8x16; 2]| first.simd_eq(*a) & second.simd_eq(*b);
        let [a, b, c, d, e] = &WANTED;
        let mut places = (is(a) | is(b) | is(c) | is(d) | is(e)).to_bitmask();
        while places != 0 {
            if begins_near(text, start, at + places.trailing_zeros() as usize) {
                return true;
            }
            places &= places - 1;
        }
        if at == last {
            return false;
        }
        at = (at + LANES).min(last);
    }
}

/// Whether one of the pairs stands at a place as a part of what compressed data begins with, not before `start`.
fn begins_near(text: &[u8], start: usize, at: usize) -> bool {
    PAIRS.iter().any(|(pair, offset)| {
        let Some(at) = at.checked_sub(*offset).filter(|at| *at >= start) else { return false };
        let rest = text.get(at..).unwrap_or_default();
        rest.get(*offset..).is_some_and(|rest| rest.starts_with(pair)) && is_beginning(rest) && begins(text, at)
    })
}

fn is_beginning(text: &[u8]) -> bool {
    let (size, block, place) = BZIP2;
    BEGINNINGS.iter().any(|beginning| text.starts_with(beginning))
        || (text.starts_with(size) && text.get(place..).is_some_and(|rest| rest.starts_with(block)))
}

/// Whether data may begin here: nothing of base64 stands before it, unless as the end of an escape, and enough follows.
fn begins(text: &[u8], at: usize) -> bool {
    let is_first = match text.get(..at).unwrap_or_default() {
        [.., b'\\', b'n' | b'r' | b't'] | [.., b'\\', b'/'] => true,
        [.., b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => true,
        [.., b'\\', b'u', a, b, c, d] if [a, b, c, d].iter().all(|d| d.is_ascii_hexdigit()) => true,
        [.., before] => !before.is_ascii_alphanumeric(),
        [] => true,
    };
    is_first
        && text.get(at..).unwrap_or_default().iter().take_while(|b| is_part(**b)).take(SHORTEST).count() == SHORTEST
}

/// Base64 on several lines is one run.
fn is_in_run(byte: u8) -> bool {
    is_part(byte) || matches!(byte, b'\n' | b'\r')
}

/// Base64 of both alphabets, with slashes as `\/`.
fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=' | b'\\')
}

/// The bytes for which [`is_in_run`] does not hold.
#[inline]
fn outside(bytes: u8x16) -> u8x16 {
    let splat = u8x16::splat;
    let (case, a, letters, slash, digits, ones) =
        (splat(0x20), splat(b'a'), splat(25), splat(b'/'), splat(10), splat(0xff));
    let is_up_to = |bytes: u8x16, most: u8x16| bytes.min(most).simd_eq(bytes);
    let is = |byte| bytes.simd_eq(u8x16::splat(byte));
    let plain = is_up_to((bytes | case) - a, letters) | is_up_to(bytes - slash, digits);
    let others = is(b'+') | is(b'-') | is(b'_') | is(b'=') | is(b'\\') | is(b'\n') | is(b'\r');
    (plain | others) ^ ones
}

const fn splat([a, b]: [u8; 2]) -> [u8x16; 2] {
    [u8x16::new([a; LANES]), u8x16::new([b; LANES])]
}

#[inline]
fn vector(text: &[u8], at: usize) -> u8x16 {
    u8x16::from(text.get(at..).and_then(|rest| rest.first_chunk::<LANES>()).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_and_bytes_agree_about_runs() {
        for byte in 0..=255 {
            assert_eq!(outside(u8x16::splat(byte)).to_bitmask() == 0, is_in_run(byte), "{byte:#x}");
        }
    }

    #[test]
    fn a_run_ends_where_its_bytes_do() {
        for start in 0..40 {
            for length in 1..60 {
                let text =
                    format!("{}{}{}", "\"".repeat(start), "aZ0+/-_=\\\n".repeat(6).get(..length).unwrap(), "\"\"");
                for at in [start, start + length / 2, start + length - 1] {
                    assert_eq!(run_around(text.as_bytes(), at), start..start + length, "{at} in {text}");
                    assert_eq!(run_around(&text.as_bytes()[..start + length], at), start..start + length);
                }
            }
        }
    }
}
