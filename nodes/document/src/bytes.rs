//! Comparing and copying short texts.
//!
//! Keys and values have a few bytes, and in WebAssembly `memcmp` and `memcpy` are calls that take longer than the work.

/// Whether two texts are equal.
#[inline]
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let ends = |left: &[u8], right: &[u8]| match (left.last_chunk::<8>(), right.last_chunk::<8>()) {
        (Some(a), Some(b)) => Some(a == b),
        _ => None,
    };
    match (left.first_chunk::<8>(), right.first_chunk::<8>(), ends(left, right)) {
        // The chunks overlap or meet.
        (Some(a), Some(b), Some(is_end_same)) if left.len() <= 16 => a == b && is_end_same,
        (Some(_), Some(_), Some(is_end_same)) => {
            is_end_same && left.chunks_exact(8).zip(right.chunks_exact(8)).all(|(a, b)| word(a) == word(b))
        }
        _ => same_short(left, right),
    }
}

/// Compares texts of one length, below 8.
#[inline]
fn same_short(left: &[u8], right: &[u8]) -> bool {
    match (left.first_chunk::<4>(), right.first_chunk::<4>(), left.last_chunk::<4>(), right.last_chunk::<4>()) {
        (Some(a), Some(b), Some(c), Some(d)) => a == b && c == d,
        _ => left.iter().zip(right).all(|(a, b)| a == b),
    }
}

/// Whether a text has a backslash.
#[inline]
pub(crate) fn has_backslash(text: &[u8]) -> bool {
    const SHORT: usize = 64;
    const ONES: u64 = 0x0101_0101_0101_0101;
    // A backslash becomes 0, the only byte that lends to its neighbour, so there are no wrong hits.
    let hits = |bytes: &[u8; 8]| {
        let zeros = u64::from_le_bytes(*bytes) ^ (ONES * u64::from(b'\\'));
        zeros.wrapping_sub(ONES) & !zeros & (ONES * 0x80)
    };
    if text.len() > SHORT {
        return memchr::memchr(b'\\', text).is_some();
    }
    let (words, rest) = text.as_chunks::<8>();
    words.iter().any(|word| hits(word) != 0)
        || match text.last_chunk::<8>() {
            Some(last) => hits(last) != 0,
            None => rest.contains(&b'\\'),
        }
}

#[inline]
fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Appends a part of a text.
#[inline]
pub(crate) fn copy(text: &[u8], start: usize, end: usize, out: &mut Vec<u8>) {
    const SHORT: usize = 32;
    let length = end.saturating_sub(start);
    match text.get(start..).and_then(|rest| rest.first_chunk::<SHORT>()) {
        Some(chunk) if length <= SHORT => {
            // A copy of fixed length and a cut cost less than a copy of the right length.
            let before = out.len();
            out.extend_from_slice(chunk);
            out.truncate(before + length);
        }
        _ => out.extend_from_slice(text.get(start..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_all_lengths_compare_and_copy() {
        let text: Vec<u8> = (0..100).collect();
        for length in 0..60 {
            let part = &text[3..3 + length];
            assert!(same(part, part) && !same(part, &text[3..4 + length]));
            for place in 0..length {
                let mut other = part.to_vec();
                other[place] ^= 1;
                assert!(!same(part, &other), "{length} {place}");
            }
            for place in 0..length {
                let mut other = vec![b'x'; length];
                assert!(!has_backslash(&other));
                other[place] = b'\\';
                assert!(has_backslash(&other), "{length} {place}");
            }
            for start in [0, 3, 40] {
                let mut out = b"x".to_vec();
                copy(&text, start, start + length, &mut out);
                assert_eq!(out, [b"x", &text[start..start + length]].concat());
            }
        }
    }
}
