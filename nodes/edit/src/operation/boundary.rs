//! Boundaries between characters, for regular expressions on bytes.
//!
//! An empty match of [`regex::bytes::Regex`] can lie inside a character, such as one of `x*` in `ä`. Text that is written
//! there would split the character. [`regex::Regex`] has no such matches, but it takes no text that is not UTF-8.

/// The longest character of UTF-8 in bytes.
const MAX_LENGTH: usize = 4;

/// Whether a place lies between two characters rather than inside of one. A byte that is part of no valid character stands
/// for itself.
pub(super) fn is_boundary(text: &[u8], at: usize) -> bool {
    let is_inside = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
    if !text.get(at).is_some_and(is_inside) {
        return true;
    }
    let before = text.get(at.saturating_sub(MAX_LENGTH - 1)..at).unwrap_or_default();
    let Some(distance) = before.iter().rev().position(|byte| !is_inside(byte)) else { return true };
    let start = at - distance - 1;
    // The rest of the text may be invalid; only the character that begins here counts.
    let rest = text.get(start..text.len().min(start + MAX_LENGTH)).unwrap_or_default();
    let first = rest.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
    first.is_none_or(|char| start + char.len_utf8() <= at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_of_no_character_stand_for_themselves() {
        let boundaries = |text: &[u8]| (0..=text.len()).filter(|at| is_boundary(text, *at)).collect::<Vec<_>>();
        assert_eq!(boundaries("aä€😀".as_bytes()), [0, 1, 3, 6, 10]);
        assert_eq!(boundaries(b"\xa4\xc3"), [0, 1, 2]);
        assert_eq!(boundaries(b"\xc3\xa4\xa4\xff\xc3\xa4"), [0, 2, 3, 4, 6]);
        assert_eq!(boundaries(b"\xe2\x82\xe2\x82\xac"), [0, 1, 2, 5]);
        assert_eq!(boundaries(b"\xf0\x9f\x98"), [0, 1, 2, 3]);
    }

    proptest! {
        #[test]
        fn boundaries_of_valid_text_are_those_of_str(text: String) {
            for at in 0..=text.len() {
                prop_assert_eq!(is_boundary(text.as_bytes(), at), text.is_char_boundary(at));
            }
        }
    }
}
