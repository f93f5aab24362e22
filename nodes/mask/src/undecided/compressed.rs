//! Compressed data, by its first bytes, and the base64 of it.

use memchr::memmem;

/// The first bytes of formats.
/// Source: RFC 1952, RFC 8878, the file formats of bzip2, xz, zip, LZ4 and framed Snappy
const MAGIC: [&[u8]; 7] = [
    b"\x1f\x8b",
    b"\x28\xb5\x2f\xfd",
    b"\xfd7zXZ\0",
    b"PK\x03\x04",
    b"\x04\x22\x4d\x18",
    b"\xff\x06\0\0sNaPpY",
    b"BZh",
];
/// What follows `BZh` and a digit.
const BZIP2_BLOCK: &[u8] = b"1AY&SY";

/// The same in base64, of both alphabets: gzip, zstd, xz, zip.
const ENCODED: [&[u8]; 6] = [b"H4sI", b"KLUv/", b"KLUv_", b"/Td6WFoA", b"_Td6WFoA", b"UEsDB"];
/// bzip2: a part that is the same for all block sizes, and where it stands.
const ENCODED_BZIP2: (&[u8], usize) = (b"WSZT", 8);
/// The smallest file of gzip, which holds nothing, has 20 bytes.
const SHORTEST: usize = 27;

/// Whether a text begins like compressed data.
pub(super) fn is_magic(text: &[u8]) -> bool {
    let Some(first) = text.first() else { return false };
    if !matches!(first, 0x1f | 0x28 | 0xfd | b'P' | 0x04 | 0xff | b'B') {
        return false;
    }
    let begins = MAGIC.iter().find(|magic| text.starts_with(magic));
    begins.is_some_and(|magic| *magic != b"BZh" || text.get(4..).is_some_and(|rest| rest.starts_with(BZIP2_BLOCK)))
}

/// Whether something in a column, rows not regarded, looks like the beginning of base64 of compressed data.
pub(super) fn may_be_encoded(text: &[u8]) -> bool {
    ENCODED.iter().chain([&&b"Qlpo"[..]]).any(|prefix| memmem::find(text, prefix).is_some())
}

/// Whether base64 of compressed data begins anywhere in a text.
pub(super) fn is_encoded_anywhere(text: &[u8]) -> bool {
    let mut before = 0_u8;
    text.iter().enumerate().any(|(at, &byte)| {
        // An escape may end with a letter or digit, so that data can begin behind one too.
        let is_first = matches!(byte, b'H' | b'K' | b'/' | b'_' | b'U' | b'Q')
            && (!before.is_ascii_alphanumeric()
                || matches!(before, b'n' | b'r' | b't' | b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F'));
        before = byte;
        is_first && is_prefix(text.get(at..).unwrap_or_default()) && begins(text, at)
    })
}

fn is_prefix(text: &[u8]) -> bool {
    let (block, place) = ENCODED_BZIP2;
    ENCODED.iter().any(|prefix| text.starts_with(prefix))
        || (text.starts_with(b"Qlpo") && text.get(place..).is_some_and(|rest| rest.starts_with(block)))
}

/// Looks at the run of base64 that a place is in: whether compressed data begins in it, and where it ends.
pub(super) fn is_encoded_around(text: &[u8], at: usize) -> (bool, usize) {
    let before = text.get(..at).unwrap_or_default().iter().rev().take_while(|b| is_in_run(**b)).count();
    let after = text.get(at..).unwrap_or_default().iter().take_while(|b| is_in_run(**b)).count();
    if before + after < SHORTEST {
        return (false, at + after);
    }
    let start = at - before;
    // With a byte before it, by which the beginning is judged.
    let run = text.get(start.saturating_sub(1)..at + after).unwrap_or_default();
    (is_encoded_anywhere(run), at + after)
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
