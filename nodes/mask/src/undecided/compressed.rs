//! Compressed data, by its first bytes.

/// The first bytes of the formats. Source: RFC 1952, RFC 8878, the file formats of bzip2, xz, zip,
/// LZ4 and framed Snappy
const MAGIC: [&[u8]; 7] = [
    b"\x1f\x8b",
    b"\x28\xb5\x2f\xfd",
    b"\xfd7zXZ\0",
    b"PK\x03\x04",
    b"\x04\x22\x4d\x18",
    b"\xff\x06\0\0sNaPpY",
    b"BZh",
];
/// The bytes after `BZh` and a digit.
const BZIP2_BLOCK: &[u8] = b"1AY&SY";

/// Whether a text begins like compressed data.
pub(super) fn is_magic(text: &[u8]) -> bool {
    let Some(first) = text.first() else { return false };
    if !matches!(first, 0x1f | 0x28 | 0xfd | b'P' | 0x04 | 0xff | b'B') {
        return false;
    }
    let begins = MAGIC.iter().find(|magic| text.starts_with(magic));
    begins.is_some_and(|magic| *magic != b"BZh" || text.get(4..).is_some_and(|rest| rest.starts_with(BZIP2_BLOCK)))
}
