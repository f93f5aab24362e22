//! Rows that are nothing but base64 or hexadecimal digits: one line of an encoded document, a key or a token. No rule can
//! see what they hold.

/// Shorter rows are identifiers.
const MIN_LEN: usize = 48;
/// The longest digests in hexadecimal, of SHA-512, have this many digits. They are no secrets, and logs have lines of them.
const DIGEST: usize = 128;
/// At least one in so many characters of base64 is a capital letter, and at least one a small one. Of random data it is two
/// in five; paths and identifiers have far fewer capital letters.
const LETTERS: usize = 6;
/// At most one in so many is no letter and no digit: one in 32 of random data, more in paths.
const OTHERS: usize = 8;

/// Whether a row is one run of base64, in either alphabet, or of hexadecimal digits.
pub(super) fn is_base64_row(text: &[u8]) -> bool {
    // Nearly all rows have a space, a quote or a bracket in their first bytes.
    let text = text.trim_ascii();
    let padding = text.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    let text = text.get(..text.len() - padding).unwrap_or_default();
    if text.len() < MIN_LEN || !text.iter().all(|byte| is_digit(*byte)) {
        return false;
    }
    let count = |is: fn(&u8) -> bool| text.iter().filter(|byte| is(byte)).count();
    if text.iter().all(u8::is_ascii_hexdigit) {
        return text.len() > DIGEST;
    }
    let (capital, small) = (count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase));
    let others = count(|byte| !byte.is_ascii_alphanumeric());
    // Each alphabet has two characters beside letters and digits; a text with three of them is neither.
    let has = |byte| text.contains(&byte);
    let is_mixed = (has(b'+') || has(b'/')) && (has(b'-') || has(b'_'));
    count(u8::is_ascii_digit) > 0
        && capital * LETTERS >= text.len()
        && small * LETTERS >= text.len()
        && others * OTHERS <= text.len()
        && !is_mixed
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}
