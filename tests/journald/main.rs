//! The source `journald` with systemd's own writer and reader of journals.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod faults;
mod journal;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wattle_tests::{Config, Folder};

use journal::{Journal, binary, entries, entry, message};

/// A source of the journal with these options, and a file with its events.
fn config(journal: &Journal, options: &str, sink: &str) -> String {
    Config::new()
        .source("in", "journald")
        .set("journal_directory", journal.folder())
        .with(options)
        .pipeline("p", &["in"])
        .node("keep", "builtin:filter", &["input"])
        .with("options = { drop = { field = \"attributes.never\", exists = true } }")
        .ok_and_fails("keep")
        .file_sink("out", &["p.ok"], "out")
        .with(sink)
        .drop_sink("none", &["p.fails"])
        .text()
}

/// All entries, as their messages.
fn messages(journal: &Journal, options: &str) -> String {
    config(journal, &format!("current_boot_only = false\n{options}"), "encoding.codec = \"text\"")
}

/// How often each message was written.
fn written(folder: &Folder) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let bytes = std::fs::read(folder.path("out")).unwrap_or_default();
    for line in String::from_utf8_lossy(&bytes).lines().filter(|line| line.len() == message(0).len()) {
        *counts.entry(line.to_owned()).or_insert(0) += 1;
    }
    counts
}

/// Checks that every message arrived; returns how many arrived more than once.
#[track_caller]
fn check(folder: &Folder, numbers: impl IntoIterator<Item = u64>) -> usize {
    let arrived = written(folder);
    let sent: Vec<String> = numbers.into_iter().map(message).collect();
    let lost: Vec<&String> = sent.iter().filter(|message| !arrived.contains_key(*message)).collect();
    assert!(lost.is_empty(), "{} of {} lost: {:?}", lost.len(), sent.len(), &lost[..lost.len().min(5)]);
    assert_eq!(arrived.len(), sent.len());
    arrived.values().map(|times| times - 1).sum()
}

#[test]
fn an_event_has_every_byte_of_every_field() {
    let folder = Folder::new();
    let journal = Journal::new(&folder);
    let long = "x".repeat(100_000);
    let mut fields = format!("_HOSTNAME=web-1\n_SYSTEMD_UNIT=a.service\nPRIORITY=3\nTAG=one\nTAG=two\nLONG={long}\n");
    fields.push_str("_SOURCE_REALTIME_TIMESTAMP=1700000000123456\n");
    let several = [fields.into_bytes(), binary("MESSAGE", b"first line\nsecond line\n")].concat();
    let bytes =
        [b"SYSLOG_IDENTIFIER=kernel\n".to_vec(), binary("MESSAGE", b"\xfe\0\n"), binary("BIN", b"\xff")].concat();
    journal.write("a.journal", &[entry(1, several), entry(2, bytes), entry(3, "NO=message\n")].concat());
    folder.once(&config(&journal, "current_boot_only = false", ""));
    let events = folder.events("out");
    let [first, second, third] = &events[..] else { panic!("{events:?}") };
    assert_eq!(first["body"], "first line\nsecond line\n");
    assert_eq!(first["timestamp"], "2023-11-14T22:13:20.123456Z");
    assert_eq!(first["severity"], json!({ "text": "err", "number": 17 }));
    let mut tags: Vec<&str> = first["attributes"]["TAG"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    tags.sort_unstable();
    assert_eq!(tags, ["one", "two"]);
    assert_eq!(first["attributes"]["LONG"], long, "`journalctl` shortens long fields unless it is to show all");
    assert_eq!(first["resource"]["host.name"], "web-1");
    assert_eq!(first["resource"]["service.name"], "a");
    assert_eq!(second["body_base64"], "/gAK");
    assert_eq!(second["attributes"]["BIN"], json!({ "bytesValue": "/w==" }));
    assert_eq!(second["resource"]["service.name"], "kernel");
    assert_eq!((&third["body"], &third["attributes"]["NO"]), (&json!(""), &json!("message")));
}

#[test]
fn options_select_entries_by_unit_priority_field_and_boot() {
    let folder = Folder::new();
    let journal = Journal::new(&folder);
    let of = |number: u64, fields: &str| entry(number, format!("{fields}\nMESSAGE={}\n", message(number)));
    let all = [
        of(0, "_SYSTEMD_UNIT=a.service\nPRIORITY=3"),
        of(1, "_SYSTEMD_UNIT=a.service\nPRIORITY=6"),
        of(2, "_SYSTEMD_UNIT=b.service\nPRIORITY=3"),
        of(3, "_SYSTEMD_UNIT=init.scope\n_PID=1\nUNIT=a.service\nPRIORITY=4"),
        of(4, "_SYSTEMD_UNIT=evil.service\n_PID=77\nUNIT=a.service\nPRIORITY=4"),
        of(5, "_SYSTEMD_UNIT=a.service\n_TRANSPORT=kernel"),
        of(6, "_SYSTEMD_UNIT=c.timer\n_TRANSPORT=stdout\nPRIORITY=0"),
    ];
    journal.write("a.journal", &all.concat());
    for (options, expected) in [
        ("", &[0, 1, 2, 3, 4, 5, 6][..]),
        ("include_units = [\"a\"]", &[0, 1, 3, 5]),
        ("include_units = [\"a\", \"c.timer\"]\npriority = \"warning\"", &[0, 3, 6]),
        ("exclude_units = [\"a\", \"b.service\"]", &[4, 6]),
        ("priority = 3", &[0, 2, 6]),
        ("include_matches = { _TRANSPORT = [\"kernel\", \"stdout\"] }", &[5, 6]),
        ("include_matches = { _TRANSPORT = [\"kernel\", \"stdout\"], _SYSTEMD_UNIT = [\"a.service\"] }", &[5]),
        ("exclude_matches = { PRIORITY = [\"3\", \"4\"] }", &[1, 5, 6]),
    ] {
        let place = Folder::new();
        place.once(&messages(&journal, options));
        let expected: Vec<String> = expected.iter().map(|number| message(*number)).collect();
        assert_eq!(written(&place).into_keys().collect::<Vec<_>>(), expected, "{options}");
    }
    let place = Folder::new();
    place.once(&config(&journal, "", "encoding.codec = \"text\""));
    assert!(written(&place).is_empty(), "no entry is of the current boot");
}

#[test]
fn entries_above_the_limit_are_skipped_and_counted() {
    let folder = Folder::new();
    let journal = Journal::new(&folder);
    let long = entry(1, format!("MESSAGE={}\n", "x".repeat(50_000)));
    journal.write("a.journal", &[entries([0]), long, entries([2])].concat());
    let ended = folder.once_in_part(&messages(&journal, "max_event_bytes = 10000"));
    check(&folder, [0, 2]);
    assert!(ended.log.contains("raise the option"), "{}", ended.log);
}

#[test]
fn several_files_are_read_in_order_of_time_and_continued_where_they_were_left() {
    let folder = Folder::new();
    let journal = Journal::new(&folder);
    journal.write("system.journal", &entries((0..100).step_by(2)));
    journal.write("user-1000.journal", &entries((1..100).step_by(2)));
    let config = messages(&journal, "");
    folder.once(&config);
    let first = String::from_utf8(folder.read("out")).unwrap();
    assert_eq!(first.lines().collect::<Vec<_>>(), (0..100).map(message).collect::<Vec<_>>());
    journal.write("system.journal", &entries(100..150));
    journal.write("remote.journal", &entries(150..200));
    folder.once(&config);
    assert_eq!(check(&folder, 0..200), 0);
}
