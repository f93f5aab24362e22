//! Rows that contain only base64 or hexadecimal digits: one line of an encoded document, a key or a
//! token. No rule can see their content.

/// Shorter rows are identifiers.
const MIN_LEN: usize = 48;
/// The longest hexadecimal digests, of SHA-512, have this many digits. They are not secrets, and
/// logs contain lines of them.
const DIGEST: usize = 128;
/// At least one in this many characters of base64 is upper case, and at least one is lower case. In
/// random data it is two in five; paths and identifiers have far fewer upper-case letters.
const LETTERS: usize = 6;
/// At most one in this many is neither letter nor digit: one in 32 in random data, more in paths.
const OTHERS: usize = 8;

/// Whether a row is one run of base64, in either alphabet, or of hexadecimal digits.
pub(super) fn is_base64_row(text: &[u8]) -> bool {
    // Nearly all rows have a space, a quote or a bracket among their first bytes.
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
    // Each alphabet has two characters other than letters and digits; a text with three of them is
    // neither.
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
