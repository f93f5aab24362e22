//! Finds rows that a mask cannot search, because it cannot read their text.
//!
//! Most rows are text, so only small windows of each row are examined, at fixed distances. Dense
//! data (binary data, UTF-16, base64 of compressed data) fills some of them.

mod base64_row;
mod compressed;
mod cut;
mod encoded;

use memchr::memchr;
use wide::u8x16;

use crate::column::Rows;

/// Rows longer than this are documents.
const LONG: usize = 4 << 10;
/// Bytes of a window.
const WINDOW: usize = 32;
/// Number of windows per row.
const WINDOWS: usize = 8;
/// A window is examined if more than one byte in this many is not plain text.
const DENSE: usize = 4;
/// More bytes than this that are not UTF-8, or more than one in this many, are binary data.
const BINARY: usize = 16;

/// Why a row cannot be searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undecided {
    /// Two or four bytes per character, as in UTF-16.
    Wide,
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// Compressed data.
    Compressed,
    /// Base64 of compressed data.
    Encoded,
    /// Only base64 or hexadecimal digits.
    Base64Row,
    /// The end of a JSON text whose beginning is missing.
    Cut,
    /// Escapes of escapes of escapes.
    TooDeep,
}

impl Undecided {
    /// The code of the failure.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Wide | Self::NotUtf8 => "not-text",
            Self::Compressed | Self::Encoded => "compressed",
            Self::Base64Row => "encoded",
            Self::Cut => "cut",
            Self::TooDeep => "escaped-too-often",
        }
    }

    /// The message for the operator: it continues a sentence that begins with the field.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Wide => "is not UTF-8: it looks like UTF-16; set the encoding at the source",
            Self::NotUtf8 => "is not UTF-8 text; set the encoding at the source",
            Self::Compressed => "looks compressed; decompress it before the mask",
            Self::Encoded => "holds base64 of compressed data; decode and decompress it before the mask",
            Self::Base64Row => "is one run of base64 or hexadecimal digits; decode it before the mask",
            Self::Cut => "begins in the middle of a JSON text, so that the keys of its first values are unknown",
            Self::TooDeep => "is escaped more than 16 times, so that it could not be searched in full",
        }
    }
}

/// Calls back with every row that cannot be searched, in order. `keys` means that rules search for
/// keys, so a value without its key is undecidable.
#[inline(never)]
pub(crate) fn each(rows: Rows<'_>, keys: bool, mut found: impl FnMut(usize, Undecided)) {
    let mut encoded = encoded::rows(rows).into_iter().peekable();
    for (row, (_, text)) in rows.iter().enumerate() {
        let is_encoded = encoded.next_if_eq(&row).is_some();
        let undecided = match text.first() {
            None => None,
            // Most rows are JSON, and only the windows can identify those that are not text.
            Some(b'{' | b'[') if !is_encoded && is_plain(text) => continue,
            Some(_) => if is_odd(text) { binary(text) } else { None }
                .or_else(|| is_encoded.then_some(Undecided::Encoded))
                .or_else(|| base64_row::is_base64_row(text).then_some(Undecided::Base64Row))
                .or_else(|| (keys && cut::has_no_head(text)).then_some(Undecided::Cut)),
        };
        if let Some(undecided) = undecided {
            found(row, undecided);
        }
    }
}

/// Whether bytes next to a place are not UTF-8, so the value can continue after them.
pub(crate) fn is_torn(text: &[u8], start: usize, end: usize) -> bool {
    let (before, after) = (text.get(..start).unwrap_or_default(), text.get(end..).unwrap_or_default());
    let starts_torn = after.first().is_some_and(|b| !b.is_ascii())
        && after
            .get(..after.len().min(4))
            .unwrap_or_default()
            .utf8_chunks()
            .next()
            .is_some_and(|c| c.valid().is_empty());
    let ends_torn = before.last().is_some_and(|b| !b.is_ascii()) && {
        // A character has its first byte at most four bytes back.
        let last = before.iter().rev().take(4).position(|b| !(0x80..0xc0).contains(b)).unwrap_or(0);
        str::from_utf8(before.get(before.len().saturating_sub(last + 1)..).unwrap_or_default()).is_err()
    };
    starts_torn || ends_torn
}

/// Whether windows of a row contain more than a few bytes that are not plain text, or the row
/// begins with magic bytes.
fn is_odd(text: &[u8]) -> bool {
    text.chunks(step(text)).any(is_dense) || compressed::is_magic(text)
}

/// Whether the windows of a row contain only plain text: a quick check that avoids the detailed
/// one.
fn is_plain(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk::<WINDOW>() else {
        return text.iter().all(|byte| byte.wrapping_sub(1) < 0x7f);
    };
    let step = step(text);
    let one = u8x16::splat(1);
    // NUL becomes the highest byte.
    let highest = |window| halves(window).map(|half| half - one);
    let [first, second] = highest(last);
    let mut all = first | second;
    let mut at = 0;
    while let Some(window) = text.get(at..).and_then(|rest| rest.first_chunk::<WINDOW>()) {
        let [first, second] = highest(window);
        all |= first | second;
        at += step;
    }
    all.to_bitmask() == 0
}

/// Distance of the windows.
fn step(text: &[u8]) -> usize {
    // Two divisions, each by a constant: shifts.
    let step = if text.len() > LONG { text.len() / WINDOWS } else { text.len() / (WINDOWS / 2) };
    step.max(WINDOW)
}

/// Whether too many of the first bytes are NUL or beyond ASCII.
fn is_dense(part: &[u8]) -> bool {
    let Some(window) = part.first_chunk::<WINDOW>() else {
        let odd = part.iter().filter(|byte| byte.wrapping_sub(1) >= 0x7f).count();
        return odd * DENSE > part.len();
    };
    // NUL becomes the highest byte.
    let [one, highest] = [1, 0x7f].map(u8x16::splat);
    let odd = halves(window).map(|half| {
        let half = half - one;
        half.max(highest).simd_eq(half).to_bitmask().count_ones() as usize
    });
    odd.iter().sum::<usize>() * DENSE > WINDOW
}

fn halves(window: &[u8; WINDOW]) -> [u8x16; 2] {
    let half =
        |start: usize| window.get(start..).and_then(|rest| rest.first_chunk::<16>()).copied().unwrap_or_default();
    [u8x16::from(half(0)), u8x16::from(half(16))]
}

/// Classifies a row that contains bytes that are not plain text.
fn binary(text: &[u8]) -> Option<Undecided> {
    if compressed::is_magic(text) {
        return Some(Undecided::Compressed);
    }
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") || is_wide(text) {
        return Some(Undecided::Wide);
    }
    str::from_utf8(text).err()?;
    let invalid: usize = text.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    (invalid > BINARY || invalid * BINARY > text.len()).then_some(Undecided::NotUtf8)
}

/// Whether some characters have NULs on both sides, as nearly all have in UTF-16 and UTF-32.
fn is_wide(text: &[u8]) -> bool {
    const ENOUGH: usize = 3;
    let is_alone = |window: &&[u8; 3]| matches!(window, [0, byte, 0] if *byte != 0);
    // Text in another alphabet has no NUL.
    memchr(0, text).is_some() && text.array_windows::<3>().filter(is_alone).take(ENOUGH).count() == ENOUGH
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(rows: &[&[u8]]) -> Vec<(usize, Undecided)> {
        let mut offsets = vec![0];
        for row in rows {
            offsets.push(offsets.last().unwrap() + u32::try_from(row.len()).unwrap());
        }
        let mut found = Vec::new();
        each(Rows { bytes: &rows.concat(), offsets: &offsets }, true, |row, why| found.push((row, why)));
        found
    }

    #[track_caller]
    fn check(row: &[u8], expected: Option<Undecided>) {
        let shown = String::from_utf8_lossy(row).into_owned();
        let found = |rows: &[&[u8]]| judged(rows).iter().find(|(row, _)| *row == 1).map(|(_, why)| *why);
        assert_eq!(found(&[b"x", row]), expected, "{shown:?}");
        // In a column that is too large to be searched byte by byte.
        let large = b"{\"a\": \"b c d\"} ".repeat(encoded::SMALL / 10);
        assert_eq!(found(&[&large, row]), expected, "beside a large row: {shown:?}");
    }

    fn wide(text: &str, big: bool) -> Vec<u8> {
        text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    #[test]
    fn text_of_other_encodings_is_undecided() {
        let text = r#"{"accessKeyId":"ASIAIOSFODNN7EXAMPLE"}"#;
        for big in [false, true] {
            check(&wide(text, big), Some(Undecided::Wide));
            check(&wide(&format!("\u{feff}{text}"), big), Some(Undecided::Wide));
            // What is left of a row when a source ends lines at the byte 0x0a.
            check(&wide(text, big)[1..], Some(Undecided::Wide));
        }
        let utf32: Vec<u8> = text.chars().flat_map(|c| (c as u32).to_le_bytes()).collect();
        check(&utf32, Some(Undecided::Wide));
        // EBCDIC has its letters beyond ASCII.
        check(b"\xc1\x92\x81\xc1\xd2\xc9\xc1\x40\x7e\x40\xc5\xe7\xc1\xd4\xd7\xd3\xc5", Some(Undecided::NotUtf8));
    }

    #[test]
    fn plain_log_lines_are_decided() {
        for line in [
            "",
            "plain text",
            "Grüße, 日本語, 👍 — “quoted”",
            "2025-01-01T00:00:00Z INFO it's the users', and 5\" of it",
            "he said \"hello\", then left (smiling :-])",
            "[tag=\"a\"] {\"a\":\"b\"} rest}",
            "12:00:01] INFO {\"a\":\"b\"}",
            "\"a\",\"b\",\"c\"",
            "\"x\",\"{\"\"a\"\":1}\"",
            "    \"arn\": \"aws\",",
            "  },",
            "key=\",\", other=\"x\"",
            "error in \"foo\": bar",
            "\x1b[31mred\x1b[0m",
            "H4sI is the beginning, H4sIAAAA too short",
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "/usr/share/doc/Some-Package-1.2/examples/a/b/c/README",
            "/var/lib/containers/Storage/overlay/volumes/data-of-service-7/_data",
            "ThisIsAnIdentifierInCamelCaseThatIsVeryLongButHoldsNoDigitAtAll",
            "AROAIOSFODNN7EXAMPLE",
            "id=aGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8gd29ybGQ",
        ] {
            check(line.as_bytes(), None);
        }
        // The hole that a truncated file leaves.
        check(&[&[0; 300][..], b"a line of text"].concat(), None);
        // One byte of Latin-1 hides nothing.
        check(b"Gr\xfc\xdfe aus dem Norden, viele Zeichen, die alle gut zu lesen sind, und noch ein paar", None);
    }

    #[test]
    fn a_place_beside_bytes_that_are_not_utf8_is_torn() {
        assert!(is_torn(b"password=p\xe4ss", 9, 10));
        assert!(is_torn(b"\xe4ss=x", 1, 3));
        assert!(is_torn(b"a\xc3", 0, 1));
        assert!(!is_torn("p\u{e4}ss".as_bytes(), 0, 1));
        assert!(!is_torn("p\u{e4}\u{65e5}ss".as_bytes(), 6, 8));
        assert!(!is_torn(b"ab", 0, 2));
    }

    #[test]
    fn compressed_data_is_undecided() {
        use std::io::Write as _;
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gz.write_all(br#"{"eventName":"x","userIdentity":{"accessKeyId":"ASIAIOSFODNN7EXAMPLE","sessionToken":"FwoGZXIvYXdzEJr"}}"#)
            .unwrap();
        let gz = gz.finish().unwrap();
        check(&gz, Some(Undecided::Compressed));
        for magic in [&b"\x28\xb5\x2f\xfd\x04\x00"[..], b"BZh91AY&SY", b"\xfd7zXZ\0\0", b"PK\x03\x04\x14\0"] {
            check(magic, Some(Undecided::Compressed));
        }
        // A piece of it, as a line feed in it leaves one.
        check(&gz[20..], Some(Undecided::NotUtf8));
        let std = base64(&gz, b"+/");
        let url = base64(&gz, b"-_");
        let (line, rest) = std.split_at(76);
        let wrapped = format!("{line}\n{rest}\n{std}{std}");
        for text in [std.clone(), url.clone(), std.replace('/', "\\/"), wrapped.clone()] {
            for (before, after) in [
                ("", ""),
                ("{\"data\":\"", "\"}"),
                ("{\"m\":\"{\\\"data\\\":\\\"", "\\\"}\"}"),
                ("payload=", "&x=1"),
                ("data:application/gzip;base64,", ""),
                ("a long line of text before it, and then some more: ", " and text"),
                ("\\n", "\\n"),
            ] {
                check(format!("{before}{text}{after}").as_bytes(), Some(Undecided::Encoded));
            }
        }
        check(b"{\"d\":\"KLUv/QRYAQEAeyJhIjoiYiJ9eyJhIjoiYiJ9eyJhIjoiYiJ9eyJhIjoiYiJ9eyJhIjoiYiJ9eyJhIjoiYiJ9eyJhIjoiYiJ9\"}", Some(Undecided::Encoded));
    }

    #[test]
    fn rows_of_only_base64_or_hexadecimal_digits_are_undecided() {
        let text = br#"{"eventName":"x","userIdentity":{"accessKeyId":"ASIAIOSFODNN7EXAMPLE","type":"IAMUser"}}"#;
        for alphabet in [b"+/", b"-_"] {
            let encoded = base64(text, alphabet);
            for row in [
                encoded.clone(),
                format!("{encoded}\r"),
                format!("  {encoded}="),
                encoded.get(4..68).unwrap().to_owned(),
            ] {
                check(row.as_bytes(), Some(Undecided::Base64Row));
            }
        }
        // A line of an RSA key in PEM.
        check(b"MIIEpAIBAAKCAQEA3Tz2mr7SZiAMfQyuvBjM9OiZ1BjP5CE/Wm/Rr500P+RK+Lh9", Some(Undecided::Base64Row));
        let hex: String = text.iter().map(|byte| format!("{byte:02x}")).collect();
        check(hex.as_bytes(), Some(Undecided::Base64Row));
        check(hex.to_uppercase().as_bytes(), Some(Undecided::Base64Row));
    }

    fn base64(bytes: &[u8], last: &[u8; 2]) -> String {
        let digit = |n: u32| match n & 63 {
            n @ 0..26 => char::from(b'A' + n as u8),
            n @ 26..52 => char::from(b'a' + n as u8 - 26),
            n @ 52..62 => char::from(b'0' + n as u8 - 52),
            n => char::from(last[n as usize - 62]),
        };
        let group = |chunk: &[u8]| {
            let bits = chunk.iter().fold(0, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
            (0..=chunk.len()).map(|i| digit(bits >> (18 - 6 * i))).collect::<String>()
        };
        bytes.chunks(3).map(group).collect()
    }

    #[test]
    fn the_end_of_a_document_without_its_beginning_is_undecided() {
        let secret = "AKIAIOSFODNN7EXAMPLE";
        let compact = format!(r#"{{"a":[{{"b":1}}],"accessKeyId":"{secret}","c":{{"d":"e"}},"f":2}}"#);
        let pretty = format!("{{\n  \"accessKeyId\" : \"{secret}\",\n  \"c\" : \"d\"\n}}");
        let last = format!(r#"{{"a":"b","accessKeyId":"{secret}"}}"#);
        let python = format!("{{'a': 'b', 'accessKeyId': '{secret}', 'c': 'd'}}");
        let escaped = format!(r#"{{"m":"{}"}}"#, compact.replace('"', r#"\""#));
        for document in [&compact, &pretty, &last, &python, &escaped] {
            let start = document.find(secret).unwrap();
            // Up to the last but three letters of the secret.
            for cut in start - 2..start + secret.len() - 3 {
                check(document.get(cut..).unwrap().as_bytes(), Some(Undecided::Cut));
            }
            for whole in [document, &format!("INFO got {document} and more")] {
                check(whole.as_bytes(), None);
            }
        }
    }

    #[test]
    fn hostile_text_takes_linear_time() {
        for piece in ["H4sI", "a", "+", "\\", "\"", "\",", "'", " ", "\0a", "\u{e9}", "KLUv/", "\\n", "\":"] {
            let text = piece.repeat(2_000_000 / piece.len());
            let started = std::time::Instant::now();
            judged(&[text.as_bytes()]);
            assert!(started.elapsed().as_secs() < 10, "{piece}: {:?}", started.elapsed());
        }
    }
}
