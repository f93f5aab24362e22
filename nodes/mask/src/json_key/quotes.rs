//! Derives how often a quote was escaped from the backslashes before it.

/// How often a quote after this many backslashes is escaped. Escaping `d` times gives the quote
/// `2^d - 1` backslashes, and turns every backslash before it into `2^d`.
pub(crate) fn depth_of(backslashes: usize) -> u32 {
    (backslashes + 1).trailing_zeros()
}

/// Number of backslashes of a quote of this depth. Call it only with depths that [`depth_of`]
/// returned.
pub(crate) fn length_of(depth: u32) -> usize {
    1_usize.checked_shl(depth).unwrap_or_default().wrapping_sub(1)
}

/// Number of backslashes before `at`; does not look before `start`.
pub(crate) fn backslashes_before(text: &[u8], start: usize, at: usize) -> usize {
    text.get(start..at).unwrap_or_default().iter().rev().take_while(|&&b| b == b'\\').count()
}

/// Number of backslashes from `at` on.
pub(crate) fn backslashes_after(text: &[u8], at: usize) -> usize {
    text.get(at..).unwrap_or_default().iter().take_while(|&&b| b == b'\\').count()
}
