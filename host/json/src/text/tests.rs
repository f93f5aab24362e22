//! Escaping, unescaping and removing white space.

use super::*;
use crate::ErrorKind;

/// The text appended to `>`, with which each test begins: existing content must stay.
fn added(out: Vec<u8>) -> String {
    String::from_utf8(out).unwrap().strip_prefix('>').unwrap().to_owned()
}

fn unescaped(inner: &str) -> Result<String, Error> {
    let mut out = b">".to_vec();
    unescape(inner.as_bytes(), &mut out).map(|()| added(out))
}

fn escaped(text: &[u8]) -> String {
    let mut out = b">".to_vec();
    escape(text, &mut out);
    added(out)
}

#[test]
fn unescapes_every_escape_at_every_place() {
    for filler in (0..5).chain(26..70) {
        let x = "x".repeat(filler);
        let check = |inner: &str, plain: &str| {
            assert_eq!(unescaped(&format!("{x}{inner}{x}{inner}")), Ok(format!("{x}{plain}{x}{plain}")));
        };
        check("", "");
        check(r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t");
        check(r"\u0041\u00e9\u6f22\ud83d\ude00\u0000", "Aé漢😀\0");
        check(r"\\\\u0041", "\\\\u0041");
        check("é\\n漢", "é\n漢");
    }
}

#[track_caller]
fn refuse(inner: &str, kind: ErrorKind, offset: usize, lossy: &str) {
    assert_eq!(unescaped(inner), Err(Error { kind, offset }), "`{inner}`");
    let mut out = Vec::new();
    unescape_lossy(inner.as_bytes(), &mut out);
    assert_eq!(String::from_utf8(out).as_deref(), Ok(lossy), "`{inner}`");
}

#[test]
fn invalid_escapes_are_errors_or_repaired() {
    use ErrorKind::{BadEscape, EndOfText, LoneSurrogate};
    refuse(r"a\xb\n", BadEscape, 1, "a\\xb\n");
    refuse(r"a\", EndOfText, 2, "a\\");
    refuse(r"a\u12", EndOfText, 5, "a\\u12");
    refuse(r"a\u12g4\t", BadEscape, 5, "a\\u12g4\t");
    refuse(r"a\ud800b", LoneSurrogate, 1, "a\u{fffd}b");
    refuse(r"a\udc00\ud83d\ude00", LoneSurrogate, 1, "a\u{fffd}😀");
    refuse(r"\ud83d\ud83d\ude00", LoneSurrogate, 0, "\u{fffd}😀");
    refuse(r"\ud83d\n", LoneSurrogate, 0, "\u{fffd}\n");
}

#[test]
fn a_lenient_reader_keeps_lone_surrogates_as_they_are_written() {
    for (inner, plain) in [
        (r"a\ud83d", r"a\ud83d"),
        (r"\ud83d\n\uDE00\u00e9", "\\ud83d\n\\uDE00é"),
        (r"\ud83d\ude00", "😀"),
        (r"\ud83d\ud83d\ude00", "\\ud83d😀"),
        (r"\x\", r"\x\"),
    ] {
        let mut out = Vec::new();
        unescape_leniently(inner.as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).as_deref(), Ok(plain), "`{inner}`");
    }
}

#[test]
fn escapes_only_what_json_requires() {
    assert_eq!(escaped(b""), "");
    assert_eq!(escaped("a/é\u{7f}😀".as_bytes()), "a/é\u{7f}😀");
    assert_eq!(escaped(b"\"\\\x08\t\n\x0c\r\0\x0b\x1f"), r#"\"\\\b\t\n\f\r\u0000\u000b\u001f"#);
    assert_eq!(escaped(b"a\xffb\xc3\"\xe6\xbc"), "a\u{fffd}b\u{fffd}\\\"\u{fffd}");
    for filler in 0..70 {
        let text = format!("{0}\"{0}\n", "x".repeat(filler));
        assert_eq!(escaped(text.as_bytes()), format!("{0}\\\"{0}\\n", "x".repeat(filler)));
    }
}

#[test]
fn minifies_outside_strings_only() {
    let small = |text: &str| {
        let mut out = b">".to_vec();
        minify(text.as_bytes(), &mut out);
        added(out)
    };
    assert_eq!(small(""), "");
    assert_eq!(small(" \r\n\t"), "");
    assert_eq!(small("{ \"a b\" :\n\t[ 1 , \" \\\" \" ] }\n"), "{\"a b\":[1,\" \\\" \"]}");
    assert_eq!(small("[ \"never closed "), "[\"never closed ");
    for filler in 0..140 {
        let (x, gap) = ("x y".repeat(filler), " ".repeat(filler));
        let pretty = format!("[{gap}\"{x}\\\\\"{gap},{gap}\"\\\" {x}\"{gap}]{gap}");
        assert_eq!(small(&pretty), format!("[\"{x}\\\\\",\"\\\" {x}\"]"));
    }
}

#[test]
fn plain_texts_are_those_that_escaping_keeps() {
    for length in 0..=40 {
        for at in 0..length {
            for byte in 0..=255 {
                let mut text = vec![b'x'; length];
                text[at] = byte;
                let stays = byte.is_ascii() && escaped(&text).as_bytes() == text;
                assert_eq!(is_plain(&text), stays, "{byte} at {at} of {length}");
            }
        }
    }
}
