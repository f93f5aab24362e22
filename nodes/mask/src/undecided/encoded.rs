//! Base64 of compressed data.
//!
//! Base64 is a run of few different bytes. Probes at fixed distances find runs that are long
//! enough, and only these are searched for the beginnings of compressed data, so most of a large
//! column is not even read.

use std::ops::Range;

use wide::u8x16;

use super::halves;
use crate::column::{Rows, Walk};
use crate::preset::ends_with_percent_escape;

/// The beginnings of gzip, zstd, xz and zip, in base64 of both alphabets.
const BEGINNINGS: [&[u8]; 6] = [b"H4sI", b"KLUv/", b"KLUv_", b"/Td6WFoA", b"_Td6WFoA", b"UEsDB"];
/// The same for bzip2: the part that is equal for all block sizes, and its offset.
const BZIP2: (&[u8], &[u8], usize) = (b"Qlpo", b"WSZT", 8);
/// Two bytes of each beginning, and their offset in it.
const PAIRS: [([u8; 2], usize); 5] = [(*b"H4", 0), (*b"KL", 0), (*b"Td", 1), (*b"UE", 0), (*b"Ql", 0)];
/// Vectors of the bytes of each pair.
const WANTED: [[u8x16; 2]; 5] = {
    let [(a, _), (b, _), (c, _), (d, _), (e, _)] = PAIRS;
    [splat(a), splat(b), splat(c), splat(d), splat(e)]
};
/// The smallest file of gzip, which holds nothing, has 20 bytes.
const MIN_LEN: usize = 27;

/// Bytes of a vector.
const LANES: usize = 16;
/// A column up to this size is searched completely.
pub(super) const SMALL: usize = 16 << 10;

/// Bytes of a probe.
const PROBE: usize = 2 * LANES;
/// Distance of the probes in rows of up to [`LONG`](super::LONG) bytes: finds runs of 95 bytes.
const NEAR: usize = 64;
/// Distance of the probes in longer rows: finds runs of 159 bytes.
const FAR: usize = 128;

/// The rows that hold base64 of compressed data, in order.
pub(super) fn rows(rows: Rows<'_>) -> Vec<usize> {
    if rows.bytes.len() <= SMALL { rows_of_small(rows) } else { rows_of_large(rows) }
}

/// Searches the complete column. This takes as long as probes for the shortest runs, and is
/// simpler.
fn rows_of_small(rows: Rows<'_>) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    let mut walk = Walk::default();
    any_pair(rows.bytes, 0..rows.bytes.len(), |at| {
        let (row, place) = walk.row_of(rows, at);
        let text = rows.bytes.get(place.clone()).unwrap_or_default();
        if found.last() != Some(&row) && begins_near(text, at - place.start) {
            found.push(row);
        }
        false
    });
    found
}

/// Probes a column, and searches the text around the probes that look like base64.
fn rows_of_large(rows: Rows<'_>) -> Vec<usize> {
    let mut found = Vec::new();
    // The column is searched up to here, in this row or an earlier one.
    let mut done = 0;
    for (row, (place, text)) in rows.iter().enumerate() {
        let is_long = text.len() > super::LONG;
        let mut at = done.max(place.start);
        while let Some(probe) = if is_long {
            next_probe::<FAR>(rows.bytes, at..place.end)
        } else {
            next_probe::<NEAR>(rows.bytes, at..place.end)
        } {
            let run = around(text, probe - place.start);
            done = place.start + run.end;
            if any_pair(text, run, |at| begins_near(text, at)) {
                found.push(row);
                break;
            }
            at = done.max(probe + PROBE);
        }
    }
    found
}

/// The first probe in a part of a text that looks like base64.
///
/// This loop, its check and the search of a run are separate functions: in one large function, the
/// compiler of the sandbox keeps their vectors on the stack, and loads a dozen of them for each
/// probe.
#[inline(never)]
fn next_probe<const STEP: usize>(text: &[u8], part: Range<usize>) -> Option<usize> {
    let (blocks, rest) = text.get(part.clone())?.as_chunks::<STEP>();
    let (fours, _) = blocks.as_chunks::<4>();
    // Nearly all probes fail, so four of them share a branch.
    let begins_run = |block: &[u8; STEP]| block.first_chunk().is_some_and(is_probe);
    for (four, at) in fours.iter().zip((part.start..).step_by(4 * STEP)) {
        if four.each_ref().map(|block| block.first_chunk().is_some_and(is_maybe_probe)).contains(&true)
            && let Some(block) = four.iter().position(begins_run)
        {
            return Some(at + block * STEP);
        }
    }
    let passed = 4 * fours.len();
    if let Some(block) = blocks.iter().skip(passed).position(begins_run) {
        return Some(part.start + (passed + block) * STEP);
    }
    // The last probe can extend into the next row.
    let last = part.end - rest.len();
    (!rest.is_empty() && text.get(last..)?.first_chunk().is_some_and(is_probe)).then_some(last)
}

fn is_probe(window: &[u8; PROBE]) -> bool {
    is_maybe_probe(window) && is_run(window)
}

/// Most probes contain a quote, comma, space or bracket, and one comparison finds three of them.
#[inline(always)]
fn is_maybe_probe(window: &[u8; PROBE]) -> bool {
    let [first, last] = halves(window);
    is_solid(first.min(last))
}

/// Whether no byte is a quote, comma, space, round bracket or control character, or far beyond
/// ASCII.
#[inline(always)]
fn is_solid(bytes: u8x16) -> bool {
    (bytes - u8x16::splat(b'+')).to_bitmask() == 0
}

/// Whether a probe is part of a run. Except for one in ten million, probes of base64 of compressed
/// data contain an upper-case letter; paths and identifiers often contain none.
#[inline(never)]
fn is_run(window: &[u8; PROBE]) -> bool {
    let [first, last] = halves(window);
    let (a, letters) = (u8x16::splat(b'A'), u8x16::splat(25));
    let is_capital = |bytes: u8x16| (bytes - a).min(letters).simd_eq(bytes - a);
    (is_capital(first) | is_capital(last)).to_bitmask() != 0
        && outside(first).to_bitmask() == 0
        && outside(last).to_bitmask() == 0
}

/// A part of a text that contains the run around a probe. It can contain a little more: the exact
/// end of a run only matters if compressed data seems to begin.
#[inline(never)]
fn around(text: &[u8], probe: usize) -> Range<usize> {
    // Base64 on several lines is one run, so a line feed does not end it.
    let goes_on = |bytes: u8x16| is_solid(bytes) || outside(bytes).to_bitmask() == 0;
    let (mut start, mut end) = (probe, text.len().min(probe + PROBE));
    loop {
        let Some(lanes) = text.get(..start).and_then(<[u8]>::last_chunk::<LANES>) else {
            start = 0;
            break;
        };
        start -= LANES;
        if !goes_on(u8x16::from(*lanes)) {
            break;
        }
    }
    loop {
        let Some(lanes) = text.get(end..).and_then(<[u8]>::first_chunk::<LANES>) else {
            end = text.len();
            break;
        };
        end += LANES;
        if !goes_on(u8x16::from(*lanes)) {
            break;
        }
    }
    start..end
}

/// Calls back with every place of a pair in a part of a text, until the callback returns true.
#[inline(never)]
fn any_pair(text: &[u8], part: Range<usize>, mut is_it: impl FnMut(usize) -> bool) -> bool {
    const BLOCK: usize = LANES + 1;
    // The last vectors end with the part.
    let Some(last) = part.end.checked_sub(BLOCK).filter(|last| *last >= part.start) else { return false };
    let mut at = part.start;
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
        let [first, second] = [lanes::<0>(block), lanes::<1>(block)];
        let is = |[a, b]: &[u8x16; 2]| first.simd_eq(*a) & second.simd_eq(*b);
        let [a, b, c, d, e] = &WANTED;
        let mut places = (is(a) | is(b) | is(c) | is(d) | is(e)).to_bitmask();
        while places != 0 {
            if is_it(at + places.trailing_zeros() as usize) {
                return true;
            }
            places &= places - 1;
        }
        if at == last {
            break;
        }
        at = (at + LANES).min(last);
    }
    false
}

/// Whether the pair at a place is part of a beginning of compressed data.
fn begins_near(text: &[u8], at: usize) -> bool {
    PAIRS.iter().any(|(pair, offset)| {
        let Some(at) = at.checked_sub(*offset) else { return false };
        let rest = text.get(at..).unwrap_or_default();
        rest.get(*offset..).is_some_and(|rest| rest.starts_with(pair)) && is_beginning(rest) && begins(text, at)
    })
}

fn is_beginning(text: &[u8]) -> bool {
    let (size, block, place) = BZIP2;
    BEGINNINGS.iter().any(|beginning| text.starts_with(beginning))
        || (text.starts_with(size) && text.get(place..).is_some_and(|rest| rest.starts_with(block)))
}

/// Whether data can begin here: no base64 precedes it, except for the end of an escape, and enough
/// text follows.
fn begins(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let is_first = match before {
        [.., b'\\', b'n' | b'r' | b't'] | [.., b'\\', b'/'] => true,
        [.., b'\\', b'u', a, b, c, d] if [a, b, c, d].iter().all(|d| d.is_ascii_hexdigit()) => true,
        [.., last] => !last.is_ascii_alphanumeric() || ends_with_percent_escape(before),
        [] => true,
    };
    (is_first || is_gzip(text.get(at..).unwrap_or_default()))
        && text.get(at..).unwrap_or_default().iter().take_while(|b| is_part(**b)).take(MIN_LEN).count() == MIN_LEN
}

/// Whether this is certainly a header of gzip, which can then follow a word directly. Base64 of
/// other data looks like it at one in 10^11 places. Source: RFC 1952, section 2.3
fn is_gzip(text: &[u8]) -> bool {
    let Some([b'H', b'4', b's', b'I', flags, _, _, _, _, _, time, extra, system, ..]) = text.first_chunk::<16>() else {
        return false;
    };
    // The upper flags are reserved; the extra flags are 0, 2 or 4; the system is one up to 13, or
    // unknown.
    matches!(flags, b'A'..=b'H')
        && matches!(
            time,
            b'A' | b'E'
                | b'I'
                | b'M'
                | b'Q'
                | b'U'
                | b'Y'
                | b'c'
                | b'g'
                | b'k'
                | b'o'
                | b's'
                | b'w'
                | b'0'
                | b'4'
                | b'8'
        )
        && matches!(extra, b'A' | b'C' | b'E')
        && matches!(system, b'A'..=b'D' | b'/' | b'_' | b'\\')
}

/// Base64 of both alphabets, with slashes as `\/`.
fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=' | b'\\')
}

/// The bytes that are not part of a run: neither base64 nor a line feed, because base64 on several
/// lines is one run.
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

/// Sixteen bytes of a block.
#[inline(always)]
fn lanes<const START: usize>(block: &[u8]) -> u8x16 {
    u8x16::from(block.get(START..).and_then(|rest| rest.first_chunk::<LANES>()).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_and_bytes_agree_about_runs() {
        for byte in 0..=255 {
            let is_in_run = is_part(byte) || matches!(byte, b'\n' | b'\r');
            assert_eq!(outside(u8x16::splat(byte)).to_bitmask() == 0, is_in_run, "{byte:#x}");
        }
    }

    #[test]
    fn gzip_directly_behind_a_word_is_found() {
        for data in [
            "H4sIAADxU2UC/6tWSkxOTi0u9k6t9ExRslJyDPZ09PQPdvN38fMzd41w9A3wcVWqBQDQoUjnJgAAAA==",
            "H4sIAAAAAAAAA6tWSkxOTi0u9k6t9ExRslJyDPZ09PQPdvN38fMzd41w9A3wcVWqBQDQoUjnJgAAAA==",
            "H4sIAAEAAAAEAKtWSkxOTi0u9k6t9ExRslJyDPZ09PQPdvN38fMzd41w9A3wcVWqBQDQoUjnJgAAAA==",
        ] {
            for data in [data.to_owned(), data.replace('/', "\\/"), data.replace('/', "_")] {
                for before in ["data", "x9", "\"data", "{\"m\":\"payload_v1", "DATA+/"] {
                    for after in ["", "\"}", " and more"] {
                        let text = format!("{before}{data}{after}");
                        let offsets = [0, u32::try_from(text.len()).unwrap()];
                        assert_eq!(rows(Rows { bytes: text.as_bytes(), offsets: &offsets }), [0], "{text}");
                    }
                }
            }
        }
        for text in
            ["dataH4sIzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", "dataH4sIAAAA", "dataH4sIAAAAAAAzz3zzzzzzzzzzzzzzzzzzzzzzz"]
        {
            let offsets = [0, u32::try_from(text.len()).unwrap()];
            assert!(rows(Rows { bytes: text.as_bytes(), offsets: &offsets }).is_empty(), "{text}");
        }
    }

    #[test]
    fn the_searched_part_contains_the_run_of_the_probe() {
        for start in 0..40 {
            for length in PROBE..100 {
                let run = b"aZ0+/-_=\\\n".iter().copied().cycle().take(length);
                let alone: Vec<u8> = std::iter::repeat_n(b'"', start).chain(run).collect();
                for text in [&alone, &[alone.as_slice(), b"\"\""].concat()] {
                    for probe in start..=start + length - PROBE {
                        let found = around(text, probe);
                        assert!(found.start <= start && found.end >= start + length, "{probe}: {found:?}");
                        assert!(found.end <= text.len());
                    }
                }
            }
        }
    }
}
