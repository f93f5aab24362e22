//! How often a quote was escaped, derived from the backslashes before it.

/// How often a quote after this many backslashes is escaped: escaping `d` times gives it `2^d - 1` of its own, and every
/// backslash that stands before it `2^d`.
pub(crate) fn depth_of(backslashes: usize) -> u32 {
    (backslashes + 1).trailing_zeros()
}

/// How many backslashes a quote of this depth has. Not for depths that did not come from [`depth_of`].
pub(crate) fn length_of(depth: u32) -> usize {
    1_usize.checked_shl(depth).unwrap_or_default().wrapping_sub(1)
}

/// Number of backslashes before `at`, not looking before `start`.
pub(crate) fn backslashes_before(text: &[u8], start: usize, at: usize) -> usize {
    text.get(start..at).unwrap_or_default().iter().rev().take_while(|&&b| b == b'\\').count()
}

/// Number of backslashes from `at` on.
pub(crate) fn backslashes_after(text: &[u8], at: usize) -> usize {
    text.get(at..).unwrap_or_default().iter().take_while(|&&b| b == b'\\').count()
}
