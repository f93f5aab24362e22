//! Tests of records that are recovered after a broken part.

use proptest::prelude::*;
use wattle_node::json::Path;

use super::Piece;
use crate::records::{Found, Shapes};
use crate::rules::Rules;

fn cloudtrail() -> Shapes {
    let path = |text: &str| Path::parse(text).unwrap();
    let paths = vec![path("Records"), path("$")];
    Shapes { paths, single: Some(path("eventVersion")), rules: Rules::default(), salvages: true, broken_port: 0 }
}

/// Records, and broken parts with a `!` before them.
fn salvaged(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let part = |from, to| text.get(from..to).unwrap().to_owned();
    cloudtrail().salvage(text.as_bytes(), 0, |piece| match piece {
        Piece::Found(Found::Record(record)) => all.push(part(record.start, record.end)),
        Piece::Found(other) => panic!("{other:?}"),
        Piece::Broken(broken) => all.push(format!("!{}", part(broken.start, broken.end))),
    });
    all
}

#[test]
fn records_around_a_broken_part_are_recognised_by_their_key() {
    let (a, b) = (r#"{"eventVersion":"1","a":[{}]}"#, r#"{"eventVersion":"2"}"#);
    let cases = [
        (format!("{a}\n{{\"x\":\n{b}\n"), vec![a, "!{\"x\":", b]),
        (format!("{a}\nplain text\r\n{b}"), vec![a, "!plain text", b]),
        (format!("[{a},{{\"x\":[,{b}]"), vec![a, "!{\"x\":[", b]),
        (
            format!(r#"{{"Records":[{a},{{"eventVersion":"3","x":{{,{b}]}}"#),
            vec![a, r#"!{"eventVersion":"3","x":{"#, b],
        ),
        (format!("{a}{{\"Records\":[{b}]}}{{\"eventVersion"), vec![a, b, "!{\"eventVersion"]),
        (format!("{a},,{b}]}}"), vec![a, b]),
        (format!("{a} {{\"foo\":1}} {b}"), vec![a, "!{\"foo\":1}", b]),
        ("nothing".to_owned(), vec!["!nothing"]),
        (String::new(), vec![]),
    ];
    for (text, expected) in cases {
        let mut all = salvaged(&text);
        // The opening of the array belongs to no record.
        all.retain(|part| part != "!{\"Records\":[");
        all.iter_mut().for_each(|part| *part = part.replace("!{\"Records\":[", "!"));
        assert_eq!(all, expected, "{text}");
    }
}

#[test]
fn a_broken_part_that_resembles_records_takes_linear_time() {
    let text = "},{\"a\":[".repeat(200_000);
    let since = std::time::Instant::now();
    assert!(salvaged(&text).len() == 1);
    assert!(since.elapsed().as_secs() < 10);
}

proptest! {
    #[test]
    fn good_neighbours_of_any_line_continue(line in "[^\n{]{0,20}|\\{[^\n{]{0,20}") {
        let good = r#"{"eventVersion":"1","n":1}"#;
        let all = salvaged(&format!("{good}\n{line}\n{good}"));
        prop_assert!(all.iter().filter(|part| *part == good).count() == 2, "{all:?}");
    }
}
