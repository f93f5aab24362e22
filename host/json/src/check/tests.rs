//! Valid and invalid JSON, case by case, in the manner of JSONTestSuite.

use super::*;
use crate::ErrorKind;
use proptest::prelude::*;

/// Checks the text, and that blocks and tokens agree with every instruction set of the processor.
#[track_caller]
fn check(text: &[u8], max_depth: usize) -> Result<Kind, Error> {
    let checked = exact::check(text, max_depth);
    if matches!(text.trim_ascii_start().first(), Some(b'{' | b'[')) {
        for (way, valid) in blocks::valid_in_every_way(text, max_depth).into_iter().enumerate() {
            assert_eq!(valid, checked.is_ok(), "way {way}, `{}`", String::from_utf8_lossy(text));
        }
    }
    assert_eq!(super::check(text, max_depth), checked);
    checked
}

#[track_caller]
fn valid(text: impl AsRef<[u8]>, kind: Kind) {
    let text = text.as_ref();
    for space in ["", " ", "\n\t\r ", &" ".repeat(70)] {
        let whole = [space.as_bytes(), text, space.as_bytes()].concat();
        assert_eq!(check(&whole, 100), Ok(kind), "`{}`", String::from_utf8_lossy(&whole));
    }
}

#[track_caller]
fn invalid(text: impl AsRef<[u8]>, kind: ErrorKind, offset: usize) {
    let text = text.as_ref();
    assert_eq!(check(text, 100), Err(Error { kind, offset }), "`{}`", String::from_utf8_lossy(text));
    assert!(serde_json::from_slice::<serde_json::Value>(text).is_err());
}

#[test]
fn accepts_valid_json() {
    for text in ["0", "-0", "1", "-12", "0.0", "1e5", "1E+5", "1.25e-7", "-0e0", &"9".repeat(400), "1e999999"] {
        valid(text, Kind::Number);
    }
    for text in [
        r#""""#,
        r#""a""#,
        r#""\"\\\/\b\f\n\r\t""#,
        r#""\u0000\uFFFF\uabCD""#,
        r#""\ud834\udd1e""#,
        "\"\u{7f}\u{80}\u{2028}\"",
        "\"\u{10ffff}é漢😀\"",
        r#""\\u12""#,
        r#""//""#,
        "\"[{,:}]\"",
    ] {
        valid(text, Kind::String);
    }
    valid("null", Kind::Null);
    valid("true", Kind::Bool);
    valid("false", Kind::Bool);
    for text in ["[]", "[ ]", "[null,1,\"x\",[[]],{}]", "[1 , 2\n]", "[\"\u{fffd}\"]"] {
        valid(text, Kind::Array);
    }
    for text in ["{}", "{ }", r#"{"":0}"#, r#"{"a":1,"a":2}"#, r#"{ "a" : { "b" : [ { } ] } , "\u0000" : "" }"#] {
        valid(text, Kind::Object);
    }
}

#[test]
fn refuses_broken_structure() {
    use ErrorKind::*;
    invalid("", EndOfText, 0);
    invalid("  ", EndOfText, 2);
    invalid("[", EndOfText, 1);
    invalid("[1", EndOfText, 2);
    invalid("[1,", EndOfText, 3);
    invalid("{\"a\":", EndOfText, 5);
    invalid("{\"a", EndOfText, 3);
    invalid("[1,]", ExpectedValue, 3);
    invalid("[,1]", ExpectedValue, 1);
    invalid("[1,,2]", ExpectedValue, 3);
    invalid("[1 2]", ExpectedCommaOrBracket, 3);
    invalid("[1:2]", ExpectedCommaOrBracket, 2);
    invalid("[1}", ExpectedCommaOrBracket, 2);
    invalid("[\"a\"\"b\"]", ExpectedCommaOrBracket, 4);
    invalid("{\"a\":1]", ExpectedCommaOrBrace, 6);
    invalid("{\"a\":1 \"b\":2}", ExpectedCommaOrBrace, 7);
    invalid("{\"a\",1}", ExpectedColon, 4);
    invalid("{\"a\" 1}", ExpectedColon, 5);
    invalid("{\"a\":}", ExpectedValue, 5);
    invalid("{\"a\":1,}", ExpectedKey, 7);
    invalid("{,}", ExpectedKeyOrClose, 1);
    invalid("{1:1}", ExpectedKeyOrClose, 1);
    invalid("{\"a\":1,b:2}", ExpectedKey, 7);
    invalid("{'a':1}", ExpectedKeyOrClose, 1);
    invalid("]", ExpectedValue, 0);
    invalid("[]]", AfterEnd, 2);
    invalid("{}{}", AfterEnd, 2);
    invalid("1 2", AfterEnd, 2);
    invalid("null,", AfterEnd, 4);
    invalid("[1]\0", AfterEnd, 3);
    invalid("[1/**/]", ExpectedCommaOrBracket, 2);
    invalid("[1\u{a0}]", ExpectedCommaOrBracket, 2);
    invalid("[\x0c1]", ExpectedValue, 1);
    invalid("\u{feff}1", ExpectedValue, 0);
    invalid("\u{feff}", ExpectedValue, 0);
}

#[test]
fn refuses_broken_scalars() {
    use ErrorKind::*;
    invalid("tru", EndOfText, 3);
    invalid("True", ExpectedValue, 0);
    invalid("truE", BadLiteral, 0);
    invalid("truex", AfterEnd, 4);
    invalid("nan", BadLiteral, 0);
    invalid("NaN", ExpectedValue, 0);
    invalid("-Infinity", BadNumber, 1);
    invalid("+1", ExpectedValue, 0);
    invalid(".5", ExpectedValue, 0);
    invalid("-", EndOfText, 1);
    invalid("--1", BadNumber, 1);
    invalid("00", BadNumber, 1);
    invalid("-012", BadNumber, 2);
    invalid("1.", EndOfText, 2);
    invalid("[1.]", BadNumber, 3);
    invalid("[1.e1]", BadNumber, 3);
    invalid("[1e]", BadNumber, 3);
    invalid("[1e+-2]", BadNumber, 4);
    invalid("0x10", AfterEnd, 1);
    invalid("1_000", AfterEnd, 1);
    invalid("1.2.3", AfterEnd, 3);
    invalid("１", ExpectedValue, 0);
}

#[test]
fn refuses_broken_strings_at_every_position() {
    use ErrorKind::*;
    // At both positions, so that the error is found in a step of 32 bytes and in the tail.
    for before in (0..4).chain(29..36) {
        for after in [0, 3, 40] {
            let check = |content: &[u8], kind, at: usize| {
                let (before, after) = ("x".repeat(before), "y".repeat(after));
                let text = [b"[\"", before.as_bytes(), content, after.as_bytes(), b"\"]"].concat();
                invalid(text, kind, 2 + before.len() + at);
            };
            check(b"\n", ControlCharacter, 0);
            check(b"a\0", ControlCharacter, 1);
            check(b"\x1f", ControlCharacter, 0);
            check(b"\\x", BadEscape, 0);
            check(b"\\'", BadEscape, 0);
            check(b"\\\n", BadEscape, 0);
            check(b"\\\xc3\xa9", BadEscape, 0);
            check(b"\\U0041", BadEscape, 0);
            check(b"\\u00g0", BadEscape, 4);
            check(b"\\u\xef\xbc\x91", BadEscape, 2);
            check(b"\\ud800", LoneSurrogate, 0);
            check(b"\\udc00", LoneSurrogate, 0);
            check(b"\\ud800\\n", LoneSurrogate, 0);
            check(b"\\ud800\\ud800", LoneSurrogate, 0);
            check(b"\\ud800\\u0041", LoneSurrogate, 0);
            check(b"\\ud83d\\ude00\\udc00", LoneSurrogate, 12);
            check(b"\xff", NotUtf8, 0);
            check(b"\xc3", NotUtf8, 0);
            check(b"\xc0\xaf", NotUtf8, 0);
            check(b"\xed\xa0\x80", NotUtf8, 0);
            check(b"\xf4\x90\x80\x80", NotUtf8, 0);
            check("é\u{10ffff}\x01".as_bytes(), ControlCharacter, 6);
        }
    }
    invalid("\"", EndOfText, 1);
    invalid("\"a\\", EndOfText, 3);
    invalid("\"a\\\"", EndOfText, 4);
    invalid("\"\\u00", EndOfText, 5);
    invalid(b"[\xff]", ExpectedValue, 1);
}

#[test]
fn depth_is_limited_and_uses_no_stack() {
    let nested = |open: &str, close: &str, depth| format!("{}{}", open.repeat(depth), close.repeat(depth));
    for depth in [1, 2, 63, 64, 65, 127, 128, 129, 1_000, 100_000] {
        let arrays = nested("[", "]", depth);
        let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let mixed = format!("{}{}", "[{\"a\":".repeat(depth), "[]") + &"}]".repeat(depth);
        assert_eq!(check(arrays.as_bytes(), depth), Ok(Kind::Array));
        assert_eq!(check(objects.as_bytes(), depth), Ok(Kind::Object));
        assert_eq!(check(mixed.as_bytes(), 2 * depth + 1), Ok(Kind::Array));
        let too_deep = |offset| Err(Error { kind: ErrorKind::TooDeep, offset });
        assert_eq!(check(arrays.as_bytes(), depth - 1), too_deep(depth - 1));
        assert_eq!(check(objects.as_bytes(), depth - 1), too_deep((depth - 1) * 5));
        // One bracket of the wrong kind, at the bottom of the stack.
        let swapped = format!("{}{}", "[{\"a\":".repeat(depth), "[]") + &"}]".repeat(depth - 1) + "]]";
        assert_eq!(check(swapped.as_bytes(), usize::MAX).unwrap_err().kind, ErrorKind::ExpectedCommaOrBrace);
    }
    assert_eq!(check(b"1", 0), Ok(Kind::Number));
    assert_eq!(check(b"[]", 0), Err(Error { kind: ErrorKind::TooDeep, offset: 0 }));
    assert_eq!(check("[".repeat(100_000).as_bytes(), usize::MAX).unwrap_err().kind, ErrorKind::EndOfText);
}

#[test]
fn errors_read_as_sentences() {
    let message = |text: &str| check(text.as_bytes(), 9).unwrap_err().to_string();
    assert_eq!(message("{\"a\":1;}"), "expected `,` or `}` at byte 6");
    assert_eq!(message("[tru"), "unexpected end of text at byte 4");
    assert_eq!(message("\"\\ud800\""), "surrogate without its other half at byte 1");
}

/// Pieces of JSON in mostly valid order, so that texts with and without errors occur.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let white = prop_oneof![4 => Just(String::new()), 1 => "[ \t\r\n]{1,3}", 1 => " {60,70}"];
    let string = prop_oneof![
        6 => "\"[a-z{}\\[\\],: ]{0,9}\"",
        2 => "\"[a-z]{50,70}\"",
        2 => r#""(x|\\\\|\\"|\\n|\\u00e9|\\ud83d\\ude00|é|漢){0,12}""#,
        1 => r#""(x|\\|\\u12|\\ud83d|\\udc00|\x1f){0,4}""#,
    ];
    let scalar =
        prop_oneof![8 => "-?(0|[1-9][0-9]{0,9})([.][0-9]{1,3})?(e[0-9])?|true|false|null", 1 => "[-+.e0-9a-z]{1,4}"];
    let leaf = prop_oneof![string.clone(), scalar];
    let tree = leaf.prop_recursive(5, 60, 6, move |inner| {
        let spaced = (white.clone(), inner, white.clone()).prop_map(|(a, b, c)| a + &b + &c);
        let member = (white.clone(), string.clone(), white.clone(), spaced.clone())
            .prop_map(|(a, key, b, value)| format!("{a}{key}{b}:{value}"));
        prop_oneof![
            prop::collection::vec(spaced, 0..6).prop_map(|all| format!("[{}]", all.join(","))),
            prop::collection::vec(member, 0..6).prop_map(|all| format!("{{{}}}", all.join(","))),
        ]
    });
    let change = (any::<prop::sample::Index>(), 0..3_u8, prop::sample::select(b"{}[]\",:\\u0-e \n1t\x01\xff".to_vec()));
    (tree, prop::collection::vec(change, 0..3)).prop_map(|(tree, changes)| {
        let mut text = tree.into_bytes();
        for (place, action, byte) in changes {
            let at = place.index(text.len().max(1));
            match action {
                0 => text.insert(at.min(text.len()), byte),
                1 if at < text.len() => drop(text.remove(at)),
                _ => text.get_mut(at).into_iter().for_each(|place| *place = byte),
            }
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn blocks_and_tokens_agree(text in pieces(), depth in prop_oneof![4 => Just(100_usize), 1 => 0..4_usize]) {
        let _ = check(&text, depth);
    }
}
