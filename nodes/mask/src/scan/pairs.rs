//! Finds pairs of adjacent bytes in a text: one pass for all pairs, 64 bytes per step.
//!
//! A rare pair identifies a word almost as well as the whole word, and the two vectors that the
//! loop loads serve all pairs. Separate searches for whole words took three times as long in the
//! sandbox.

use wide::u8x16;

/// Bytes per step.
const STEP: usize = 64;
/// A step and the byte after it, which forms a pair with the last byte of the step.
const BLOCK: usize = STEP + 1;
/// Number of pairs per pass.
pub(super) const AT_ONCE: usize = 4;

/// Calls back with the index of the pair and its place for each place of each pair; places of one
/// pair are in order.
pub(super) fn find(text: &[u8], pairs: &[[u8; 2]], mut found: impl FnMut(usize, usize)) {
    for (group, pairs) in pairs.chunks(AT_ONCE).enumerate() {
        let mut found = |index: usize, at: usize| found(group * AT_ONCE + index, at);
        match *pairs {
            [a] => pass(text, [a], &mut found),
            [a, b] => pass(text, [a, b], &mut found),
            [a, b, c] => pass(text, [a, b, c], &mut found),
            [a, b, c, d] => pass(text, [a, b, c, d], &mut found),
            _ => {}
        }
    }
}

fn pass<const N: usize>(text: &[u8], pairs: [[u8; 2]; N], found: &mut impl FnMut(usize, usize)) {
    let wanted = pairs.map(|pair| pair.map(u8x16::splat));
    let mut at = next_block(text, 0, &wanted);
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
        for (index, pair) in wanted.iter().enumerate() {
            for (lane, start) in lanes(block).iter().zip((at..).step_by(16)) {
                let mut mask = places(lane, pair).to_bitmask();
                while mask != 0 {
                    found(index, start + mask.trailing_zeros() as usize);
                    mask &= mask - 1;
                }
            }
        }
        at = next_block(text, at + STEP, &wanted);
    }
    let rest = text.get(at..).unwrap_or_default();
    for (start, window) in (at..).zip(rest.windows(2)) {
        for (index, pair) in pairs.iter().enumerate() {
            if window == pair {
                found(index, start);
            }
        }
    }
}

/// The first block from a place on that contains a pair, or the rest of the text.
///
/// This loop is a separate function: in a larger one, the compiler of the sandbox keeps its vectors
/// on the stack.
#[inline(never)]
fn next_block<const N: usize>(text: &[u8], mut at: usize, wanted: &[[u8x16; 2]; N]) -> usize {
    let wanted = *wanted;
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
        let mut any = u8x16::ZERO;
        for lane in &lanes(block) {
            for pair in &wanted {
                any |= places(lane, pair);
            }
        }
        if any.to_bitmask() != 0 {
            break;
        }
        at += STEP;
    }
    at
}

#[inline(always)]
fn lanes(block: &[u8; BLOCK]) -> [[u8x16; 2]; 4] {
    [lane::<0>(block), lane::<16>(block), lane::<32>(block), lane::<48>(block)]
}

/// Sixteen bytes, and the sixteen that follow each of them.
#[inline(always)]
fn lane<const START: usize>(block: &[u8; BLOCK]) -> [u8x16; 2] {
    let load = |start: usize| block.get(start..).and_then(|rest| rest.first_chunk::<16>()).copied().unwrap_or_default();
    [u8x16::from(load(START)), u8x16::from(load(START + 1))]
}

#[inline(always)]
fn places([first, second]: &[u8x16; 2], [a, b]: &[u8x16; 2]) -> u8x16 {
    first.simd_eq(*a) & second.simd_eq(*b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slow(text: &[u8], pairs: &[[u8; 2]]) -> Vec<Vec<usize>> {
        let places =
            |pair: &[u8; 2]| text.windows(2).enumerate().filter(|(_, w)| w == pair).map(|(at, _)| at).collect();
        pairs.iter().map(places).collect()
    }

    fn fast(text: &[u8], pairs: &[[u8; 2]]) -> Vec<Vec<usize>> {
        let mut places = vec![Vec::new(); pairs.len()];
        find(text, pairs, |index, at| places[index].push(at));
        places
    }

    proptest! {
        #[test]
        fn agrees_with_a_byte_loop(
            text in proptest::collection::vec(0_u8..4, 0..400),
            pairs in proptest::collection::vec([0_u8..4, 0_u8..4], 0..8),
        ) {
            prop_assert_eq!(fast(&text, &pairs), slow(&text, &pairs));
        }
    }

    #[test]
    fn finds_a_pair_at_every_place() {
        for length in 2..200 {
            for at in 0..length - 1 {
                let mut text = vec![b'x'; length];
                text[at..at + 2].copy_from_slice(b"ab");
                assert_eq!(fast(&text, &[*b"zz", *b"ab"]), [vec![], vec![at]], "{at} of {length}");
            }
        }
    }
}
