//! Spans of elements and members, and errors between them.

use super::*;
use crate::{Kind, skip};

fn shown(text: &str, value: Value) -> &str {
    std::str::from_utf8(value.text(text.as_bytes())).unwrap()
}

fn split(text: &str) -> Result<Vec<&str>, Error> {
    let mut found = Vec::new();
    let whole = skip(text.as_bytes(), 0)?;
    let count = elements(text.as_bytes(), whole, |element| found.push(shown(text, element)))?;
    assert_eq!(count, found.len());
    Ok(found)
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(split(text).as_deref(), Ok(expected), "in `{text}`");
}

#[test]
fn splits_arrays() {
    check("[]", &[]);
    check(" [ ] ", &[]);
    check("[1]", &["1"]);
    check("[1,\"a,b\",[2,3],{\"x\":[4,5]},null]", &["1", "\"a,b\"", "[2,3]", "{\"x\":[4,5]}", "null"]);
    check("\n[\n  {\n \"a\": 1\n },\r\n\t[ ] \n]\n", &["{\n \"a\": 1\n }", "[ ]"]);
    check("[[[]],{}]", &["[[]]", "{}"]);
}

#[test]
fn splits_arrays_at_every_offset_of_a_block() {
    for width in 0..150 {
        let element =
            format!("{{\"k\":\"{}\\\\\",\"l\":[\"]\",{{}}]}}", "é[\\\"".repeat(width / 4) + &"x".repeat(width % 4));
        let text = format!("[{}]", [element.as_str(); 9].join(","));
        check(&text, &[element.as_str(); 9]);
        check(&text.replace("},{\"k", "} , {\"k"), &[element.as_str(); 9]);
    }
}

#[track_caller]
fn refuse(text: &str, kind: ErrorKind, offset: usize) {
    assert_eq!(elements_from(text.as_bytes(), 0, |_| ()), Err(Error { kind, offset }), "in `{text}`");
}

#[test]
fn refuses_text_that_is_not_an_array_of_values() {
    use ErrorKind::{EndOfText, ExpectedArray, ExpectedCommaOrBracket, ExpectedValue, Unbalanced};
    refuse("", EndOfText, 0);
    refuse("{}", ExpectedArray, 0);
    refuse("12", ExpectedArray, 0);
    refuse("[", EndOfText, 1);
    refuse("[1", EndOfText, 2);
    refuse("[1,", EndOfText, 3);
    refuse("[1,]", ExpectedValue, 3);
    refuse("[,1]", ExpectedValue, 1);
    refuse("[1 2]", ExpectedCommaOrBracket, 3);
    refuse("[1}", ExpectedCommaOrBracket, 2);
    refuse("[{]]", Unbalanced, 2);
    refuse("[{},{]", Unbalanced, 5);
    refuse("[[1,2]", EndOfText, 6);
}

#[test]
fn spans_that_are_not_the_array_are_refused() {
    let span = |start, end| Value { start, end, kind: Kind::Array };
    let found = |value| elements(b" [1,2] ", value, |_| ()).map_err(|error| error.kind);
    assert_eq!(found(span(1, 6)), Ok(2));
    assert_eq!(found(span(1, 7)), Err(ErrorKind::AfterEnd));
    assert_eq!(found(span(1, 5)), Err(ErrorKind::EndOfText));
    assert_eq!(found(span(0, 6)), Err(ErrorKind::ExpectedArray));
    assert_eq!(found(span(9, 6)), Err(ErrorKind::EndOfText));
    assert_eq!(found(span(usize::MAX, usize::MAX)), Err(ErrorKind::EndOfText));
    assert_eq!(elements_from(b"[1] tail", 0, |_| ()), Ok(Elements { count: 1, end: 3 }));
}

#[test]
fn elements_before_an_error_are_visited() {
    let mut found = 0;
    assert!(elements_from(b"[{},{},x]", 0, |_| found += 1).is_err());
    assert_eq!(found, 2);
}

fn pairs(text: &str) -> Result<Vec<(&str, &str)>, Error> {
    let mut found = Vec::new();
    let whole = skip(text.as_bytes(), 0)?;
    let count = members(text.as_bytes(), whole, |key, value| {
        found.push((shown(text, key), shown(text, value)));
    })?;
    assert_eq!(count, found.len());
    Ok(found)
}

#[test]
fn walks_members() {
    assert_eq!(pairs("{}"), Ok(vec![]));
    assert_eq!(pairs(" { } "), Ok(vec![]));
    assert_eq!(
        pairs("{\"a\":1,\"a\" : [ ],\"\\\"\":{\"b\":2}}"),
        Ok(vec![("\"a\"", "1"), ("\"a\"", "[ ]"), ("\"\\\"\"", "{\"b\":2}")])
    );
    for (text, kind, offset) in [
        ("[]", ErrorKind::ExpectedObject, 0),
        ("{1:2}", ErrorKind::ExpectedKeyOrClose, 1),
        ("{\"a\"}", ErrorKind::ExpectedColon, 4),
        ("{\"a\":}", ErrorKind::ExpectedValue, 5),
        ("{\"a\":1,}", ErrorKind::ExpectedKey, 7),
        ("{\"a\":1 \"b\":2}", ErrorKind::ExpectedCommaOrBrace, 7),
    ] {
        assert_eq!(pairs(text), Err(Error { kind, offset }), "in `{text}`");
    }
}
