//! The end of a value: every kind, at every place of a block, and errors.

use super::*;

/// Skips the value at the start of `text`, followed by `after`; the value must end before `after`.
#[track_caller]
fn check(text: &str, kind: Kind) {
    for before in (0..3).chain(60..68) {
        for after in ["", " ", ",", "]", "}", " }]\"x\\\"{[", &" x".repeat(70)] {
            let whole = format!("{}{text}{after}", "\n".repeat(before));
            let found = skip(whole.as_bytes(), 0).unwrap_or_else(|error| panic!("{error} in `{whole}`"));
            assert_eq!(found, Value { start: before, end: before + text.len(), kind }, "in `{whole}`");
        }
    }
}

#[test]
fn finds_the_end_of_every_kind() {
    check("null", Kind::Null);
    check("true", Kind::Bool);
    check("false", Kind::Bool);
    check("-0.5e+10", Kind::Number);
    check("0", Kind::Number);
    check("\"\"", Kind::String);
    check("\"\\\\\"", Kind::String);
    check("\"\\\"]}\"", Kind::String);
    check("[]", Kind::Array);
    check("{ }", Kind::Object);
    check("[[],{\"]\":\"}\"},\"\\\\\"]", Kind::Array);
    check("{\"a\":[{\"b\":[1,2,{}]}],\"c\":\"[[[\"}", Kind::Object);
}

#[test]
fn structures_may_cross_blocks() {
    for filler in 0..140 {
        let run = "x".repeat(filler);
        check(&format!("\"{run}\\\"\\\\\""), Kind::String);
        check(&format!("\"{run}\""), Kind::String);
        check(&format!("[\"{run}\",[\"]\",{{}}],\"{run}\"]"), Kind::Array);
        check(&format!("{{\"{run}\\\\\":{{\"a\":\"}}\"}}}}"), Kind::Object);
        check(&format!("[\"{}\",\"]\"]", "\\\\".repeat(filler)), Kind::Array);
        check(&format!("[\"{}\\\"\",\"]\"]", "\\\\".repeat(filler)), Kind::Array);
        check(&format!("{}{}", "[".repeat(filler + 1), "]".repeat(filler + 1)), Kind::Array);
    }
}

#[track_caller]
fn refuse(text: &[u8], kind: ErrorKind, offset: usize) {
    assert_eq!(skip(text, 0), Err(Error { kind, offset }), "in `{}`", String::from_utf8_lossy(text));
}

#[test]
fn errors_have_a_kind_and_a_place() {
    use ErrorKind::{BadLiteral, BadNumber, EndOfText, ExpectedValue, Unbalanced};
    refuse(b"", EndOfText, 0);
    refuse(b"  ", EndOfText, 2);
    refuse(b" x", ExpectedValue, 1);
    refuse(b"\x00", ExpectedValue, 0);
    refuse(b"\xff", ExpectedValue, 0);
    refuse(b"\"abc", EndOfText, 4);
    refuse(b"\"abc\\\"", EndOfText, 6);
    refuse(b"[[]", EndOfText, 3);
    refuse(b"[\"]", EndOfText, 3);
    refuse(b"{\"a\":1]", Unbalanced, 6);
    refuse(b"tru", EndOfText, 3);
    refuse(b"trux", BadLiteral, 0);
    refuse(b"nul!", BadLiteral, 0);
    refuse(b"-", EndOfText, 1);
    refuse(b"-x", BadNumber, 1);
    refuse(b"01", BadNumber, 1);
    refuse(b"1.", EndOfText, 2);
    refuse(b"1.e5", BadNumber, 2);
    refuse(b"1e+,", BadNumber, 3);
}

#[test]
fn offsets_past_the_end_count_as_the_end() {
    for at in [1, 2, 100, usize::MAX - 1, usize::MAX] {
        assert_eq!(skip(b"1", at), Err(Error { kind: ErrorKind::EndOfText, offset: 1 }));
    }
}

#[test]
fn depth_uses_no_stack() {
    for depth in [100_000, 1_000_000] {
        let text = ["[".repeat(depth), "]".repeat(depth)].concat();
        assert_eq!(skip(text.as_bytes(), 0).unwrap().end, 2 * depth);
        refuse("{\"a\":".repeat(depth).as_bytes(), ErrorKind::EndOfText, depth * 5);
    }
}
