//! What `wattle tap` writes.

use expect_test::{Expect, expect};
use wattle_api::graph::{Output, Pipeline};

use super::write::render;
use super::*;

const EVENT: &str = r#"{"at":"2026-11-30T20:00:00.123Z","point":"main.processed","generation":3,"event":{"timestamp":"2026-11-30T19:59:59Z","severity":{"text":"warn"},"body":"one\ntwo\u001b[2J","attributes":{"id":123456789012345678901234567890,"user":"ann"},"resource":{"source":{"name":"trail","type":"file"}}},"bytes":210}"#;
const CUT: &str = r#"{"at":"2026-11-30T20:00:00Z","point":"main/parse.\u001b]0;pwned\u0007","generation":3,"event":"{\"body\":\"aaa\u001b[31m","cut":true,"bytes":2097152}"#;

fn check(data: &str, format: Format, expected: &Expect) {
    expected.assert_eq(&render(data, format).ok().unwrap().0);
}

#[test]
fn an_event_keeps_the_bytes_of_its_values_in_every_format() {
    assert_eq!(render(EVENT, Format::Json).ok().unwrap(), (EVENT.to_owned(), false));
    check(
        EVENT,
        Format::Ndjson,
        &expect![[
            r#"{"timestamp":"2026-11-30T19:59:59Z","severity":{"text":"warn"},"body":"one\ntwo\u001b[2J","attributes":{"id":123456789012345678901234567890,"user":"ann"},"resource":{"source":{"name":"trail","type":"file"}}}"#
        ]],
    );
    check(
        EVENT,
        Format::Pretty { color: false },
        &expect![[r#"
        main.processed  2026-11-30T20:00:00.123Z
        2026-11-30T19:59:59Z warn trail (file)
            one
            two\u{1b}[2J
          attributes:
            id:   123456789012345678901234567890
            user: ann
    "#]],
    );
}

#[test]
fn a_cut_event_and_control_sequences_are_shown_as_text() {
    check(
        CUT,
        Format::Pretty { color: false },
        &expect![[r#"
        main/parse.\u{1b}]0;pwned\u{7}  2026-11-30T20:00:00Z  only its beginning, of 2.0 MiB
            {"body":"aaa\u{1b}[31m
    "#]],
    );
    let (colored, is_cut) = render(CUT, Format::Pretty { color: true }).ok().unwrap();
    assert!(is_cut && colored.contains("\x1b[1;35mmain/parse.") && !colored.contains("\x1b]0"), "{colored:?}");
}

#[test]
fn a_response_of_another_server_is_refused() {
    for other in ["", "null", "{}", "<html>", "{\"event\":"] {
        assert!(render(other, Format::Ndjson).is_err(), "{other}");
    }
}

#[test]
fn all_outputs_that_may_be_shown_are_the_default() {
    let output = |name: &str, masked| Output { name: name.into(), masked, ..Output::default() };
    let pipeline = |name: &str, outputs| Pipeline { name: name.into(), outputs, ..Pipeline::default() };
    let graph = Graph {
        pipelines: vec![
            pipeline("a", vec![output("ok", true), output("raw", false)]),
            pipeline("b", vec![output("all", false)]),
        ],
        ..Graph::default()
    };
    let points = |tap, graph: &Graph| outputs(&Index { tap, ..Index::default() }, graph);
    assert_eq!(points(TapPolicy::Masked, &graph).ok().unwrap(), ["a.ok"]);
    assert_eq!(points(TapPolicy::All, &graph).ok().unwrap(), ["a.ok", "a.raw", "b.all"]);
    let refused = points(TapPolicy::Off, &graph).err().unwrap();
    assert!(refused.message.contains("tap = \"off\""), "{}", refused.message);
    let unmasked = Graph { pipelines: graph.pipelines[1..].to_vec(), ..Graph::default() };
    let refused = points(TapPolicy::Masked, &unmasked).err().unwrap();
    assert!(refused.message.contains("pipelines `b` may be shown"), "{}", refused.message);
}

#[test]
fn figures_are_summed_over_connections() {
    let mut report = Report::default();
    assert!(!report.is_begun());
    report.begin();
    report.show(false);
    report.update(r#"{"passed":10,"searched":8,"shown":1,"skipped":2}"#, 10);
    report.update("nonsense", 10);
    report.begin();
    report.show(true);
    report.update(r#"{"passed":5,"shown":1,"skipped":1}"#, 10);
    assert_eq!(
        report.to_string(),
        "2 events shown, 3 skipped, 15 passed, 8 of them searched; 1 of the shown events are cut, because they are too long"
    );
}
