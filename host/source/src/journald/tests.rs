//! Tests of the source with a program that stands for `journalctl`: each of its runs writes what the test has prepared. The
//! suite `tests/journald` runs the real one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use wattle_batch::Batch;

use crate::stats::get;
use crate::testing::{Rig, Running};

/// Writes `out.N` and `err.N` of its run N. Then it fails if there is `err.N`, and otherwise follows, if it is to.
const PROGRAM: &str = r#"#!/bin/sh
cd "${0%/*}" || exit 9
echo "$*" >> calls
n=$(($(wc -l < calls)))
test -e "out.$n" && cat "out.$n"
test -e "err.$n" && { cat "err.$n" >&2; exit 1; }
case "$*" in *--follow*) exec sleep 1000 ;; esac
"#;

/// The program and its runs.
struct Journal {
    folder: tempfile::TempDir,
}

impl Journal {
    fn new() -> Self {
        let journal = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(journal.program(), PROGRAM).unwrap();
        fs::set_permissions(journal.program(), fs::Permissions::from_mode(0o755)).unwrap();
        journal
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("journalctl")
    }

    fn run(&self, number: usize, output: &[u8]) -> &Self {
        fs::write(self.folder.path().join(format!("out.{number}")), output).unwrap();
        self
    }

    fn fails(&self, number: usize, error: &str) -> &Self {
        fs::write(self.folder.path().join(format!("err.{number}")), error).unwrap();
        self
    }

    /// The arguments of each run.
    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }

    fn start(&self, rig: &Rig, options: Value) -> Running {
        let mut options = options;
        options["journalctl_path"] = self.program().to_str().unwrap().into();
        // No file of this folder is unreadable.
        options["journal_directory"] = self.folder.path().to_str().unwrap().into();
        rig.start("journald", options)
    }
}

/// An entry with this number and message.
fn entry(number: u64, fields: &str) -> Vec<u8> {
    let time = 1_700_000_000_000_000 + number;
    format!("__CURSOR=s=1;i={number}\n__REALTIME_TIMESTAMP={time}\n{fields}\n\n").into_bytes()
}

fn entries(numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
    numbers.into_iter().flat_map(|number| entry(number, &format!("MESSAGE=m{number}"))).collect()
}

fn events(batch: &Batch) -> Vec<Value> {
    let event = |row| {
        let mut text = Vec::new();
        batch.write_json(row, &mut text);
        serde_json::from_slice(&text).unwrap()
    };
    (0..batch.rows()).map(event).collect()
}

fn saved(data: &tempfile::TempDir) -> Value {
    let text = fs::read_to_string(data.path().join("sources/in/checkpoints.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["files"][0].clone()
}

#[tokio::test]
async fn an_event_has_all_fields_of_its_entry() {
    let (journal, data) = (Journal::new(), tempfile::tempdir().unwrap());
    let mut output = entry(
        1,
        "_SOURCE_REALTIME_TIMESTAMP=1600000000000001\nPRIORITY=4\n_HOSTNAME=web-1\n_MACHINE_ID=0f\n\
         _SYSTEMD_UNIT=nginx.service\nREPEATED=1\nREPEATED=2\nMESSAGE=two words\nMESSAGE=second",
    );
    output.extend(b"__CURSOR=s=1;i=2\nMESSAGE\n\x04\0\0\0\0\0\0\0a\n\xff\0\nBINARY\n\x02\0\0\0\0\0\0\0\xfe\n\n");
    output.extend(b"SYSLOG_IDENTIFIER=kernel\n_SYSTEMD_UNIT=session-1.scope\nPRIORITY=9\n\n");
    journal.run(1, &output);
    let rig = Rig::new(data.path()).once();
    let source = journal.start(&rig, json!({}));
    let batch = rig.pop().await;
    let events = events(&batch);
    let [first, second] = &events[..] else { panic!("{events:?}") };
    assert_eq!(batch.body().row(0), b"two words");
    assert_eq!(first["timestamp"], "2020-09-13T12:26:40.000001Z");
    assert_eq!(first["severity"], json!({ "text": "warning", "number": 13 }));
    let attributes = &first["attributes"];
    assert_eq!(attributes["REPEATED"], json!(["1", "2"]));
    assert_eq!(attributes["MESSAGE"], "second");
    assert_eq!((&attributes["_HOSTNAME"], &attributes["__CURSOR"]), (&json!("web-1"), &json!("s=1;i=1")));
    let resource = &first["resource"];
    assert_eq!(resource["source"], json!({ "name": "in", "type": "journald" }));
    assert_eq!(
        (&resource["host.name"], &resource["host.id"], &resource["service.name"]),
        (&json!("web-1"), &json!("0f"), &json!("nginx"))
    );
    assert_eq!(batch.body().row(1), b"a\n\xff\0");
    assert_eq!(second["attributes"]["BINARY"], json!({ "bytesValue": "/go=" }));
    assert_eq!((second.get("severity"), second["resource"].get("host.name")), (None, None));
    assert_eq!(second["resource"]["service.name"], "kernel");
    batch.into_ack().deliver();
    source.ended().await.unwrap();
    assert!(!journal.calls()[0].contains("--follow"));
}

#[tokio::test]
async fn the_position_moves_when_entries_are_delivered_and_the_next_start_follows_it() {
    let (journal, data) = (Journal::new(), tempfile::tempdir().unwrap());
    journal.run(1, &entries(1..=3)).run(2, &entries(1..=5));
    let mut rig = Rig::new(data.path());
    rig.limits.max_events = 1;
    let source = journal.start(&rig, json!({ "current_boot_only": false }));
    let (first, second, third) = (rig.pop().await, rig.pop().await, rig.pop().await);
    first.into_ack().deliver();
    third.into_ack().deliver();
    rig.until(|| saved(&data)["cursor"] == "s=1;i=1").await;
    rig.stop();
    drop(second);
    source.ended().await.unwrap();
    assert_eq!(saved(&data), json!({ "cursor": "s=1;i=1", "realtime": 1_700_000_000_000_001_u64 }));

    let rig = Rig::new(data.path());
    let source = journal.start(&rig, json!({ "current_boot_only": false }));
    assert_eq!(rig.take(4).await, ["m2", "m3", "m4", "m5"]);
    rig.stop();
    source.ended().await.unwrap();
    let calls = journal.calls();
    assert!(calls[0].contains("--since=@0.000000") && !calls[0].contains("--cursor"), "{calls:?}");
    assert!(calls[1].contains("--follow") && calls[1].contains("--cursor=s=1;i=1"), "{calls:?}");
}

#[tokio::test]
async fn a_program_that_ends_is_started_again_after_what_was_read() {
    let (journal, data) = (Journal::new(), tempfile::tempdir().unwrap());
    // The last entry is cut.
    let mut cut = entries(1..=3);
    cut.truncate(cut.len() - 5);
    journal.run(1, &cut).fails(1, "Failed to iterate: Bad message\n");
    journal.run(2, &entries(2..=3)).fails(2, "");
    journal.run(3, &entries(3..=4));
    let rig = Rig::new(data.path());
    let source = journal.start(&rig, json!({}));
    assert_eq!(rig.take(4).await, ["m1", "m2", "m3", "m4"]);
    rig.stop();
    source.ended().await.unwrap();
    let calls = journal.calls();
    assert!(calls[1].contains("--cursor=s=1;i=2") && calls[2].contains("--cursor=s=1;i=3"), "{calls:?}");
    assert_eq!(get(&rig.stats.failures), 2);
}

#[tokio::test]
async fn batches_that_return_are_sent_again_in_order() {
    let (journal, data) = (Journal::new(), tempfile::tempdir().unwrap());
    journal.run(1, &entries(1..=2));
    let mut rig = Rig::new(data.path());
    rig.limits.max_events = 1;
    let source = journal.start(&rig, json!({}));
    let (first, second) = (rig.pop().await, rig.pop().await);
    drop((second, first));
    assert_eq!(rig.take(2).await, ["m1", "m2"]);
    rig.until(|| saved(&data)["cursor"] == "s=1;i=2").await;
    rig.stop();
    source.ended().await.unwrap();
    assert_eq!((journal.calls().len(), get(&rig.stats.retries)), (1, 2));
}

#[tokio::test]
async fn excluded_and_too_long_entries_are_passed() {
    let (journal, data) = (Journal::new(), tempfile::tempdir().unwrap());
    let long = format!("MESSAGE={}", "x".repeat(3000));
    let output = [
        entry(1, "_SYSTEMD_UNIT=a.service\nMESSAGE=excluded"),
        entry(2, "_PID=1\nUNIT=a.service\nMESSAGE=excluded"),
        entry(3, "_PID=2\nUNIT=a.service\nMESSAGE=a program that claims to be of the unit"),
        entry(4, "_UID=7\nMESSAGE=excluded"),
        entry(5, &long),
    ];
    journal.run(1, &output.concat());
    let rig = Rig::new(data.path());
    let options = json!({ "exclude_units": ["a"], "exclude_matches": { "_UID": ["7", "8"] }, "max_event_bytes": 1000 });
    let source = journal.start(&rig, options);
    assert_eq!(rig.take(1).await, ["a program that claims to be of the unit"]);
    rig.until(|| saved(&data)["cursor"] == "s=1;i=5").await;
    assert_eq!(get(&rig.stats.skipped_long), 1);
    assert!(get(&rig.stats.skipped_long_bytes) > 3000);
    rig.stop();
    source.ended().await.unwrap();
}

#[tokio::test]
async fn reading_goes_on_where_the_cursor_is_missing_or_not_valid() {
    let (journal, data) = (Journal::new(), tempfile::tempdir().unwrap());
    let folder = data.path().join("sources/in");
    fs::create_dir_all(&folder).unwrap();
    let position = r#"{"version":1,"files":[{"cursor":"s=0;i=9","realtime":1700000000000002}]}"#;
    fs::write(folder.join("checkpoints.json"), position).unwrap();
    journal.fails(1, "Failed to seek to cursor: Invalid argument\n").run(2, &entries(2..=3)).fails(2, "");
    journal.run(3, &entries(7..=8));
    let rig = Rig::new(data.path());
    let source = journal.start(&rig, json!({}));
    assert_eq!(rig.take(4).await, ["m2", "m3", "m7", "m8"], "entry 3 was vacuumed");
    rig.stop();
    source.ended().await.unwrap();
    let calls = journal.calls();
    assert!(calls[0].contains("--cursor=s=0;i=9"), "{calls:?}");
    assert!(calls[1].contains("--since=@1700000000.000002") && !calls[1].contains("_BOOT_ID"), "{calls:?}");
    assert!(calls[2].contains("--cursor=s=1;i=3"), "{calls:?}");
}

#[tokio::test]
async fn the_first_start_is_saved_so_that_a_second_one_misses_nothing() {
    let (journal, data) = (Journal::new(), tempfile::tempdir().unwrap());
    for options in [json!({ "since_now": true }), json!({ "since_now": true })] {
        let rig = Rig::new(data.path());
        let runs = journal.calls().len();
        let source = journal.start(&rig, options);
        rig.until(|| journal.calls().len() > runs).await;
        rig.stop();
        source.ended().await.unwrap();
    }
    let calls = journal.calls();
    assert_eq!(calls[0], calls[1]);
    assert!(calls[0].contains("--since=@") && !calls[0].contains("--since=@0."), "{calls:?}");
}

#[tokio::test]
async fn with_once_a_failure_is_the_result_and_names_the_fix() {
    let (journal, data) = (Journal::new(), tempfile::tempdir().unwrap());
    journal.run(1, &entries(1..=1)).fails(1, "first\nNo journal files were opened\n");
    let rig = Rig::new(data.path()).once();
    let (bodies, result) = rig.drain(journal.start(&rig, json!({}))).await;
    assert_eq!(bodies, ["m1"], "entries before the failure are events");
    let error = result.unwrap_err().to_string();
    assert!(error.contains("exit status: 1: No journal files were opened"), "{error}");

    journal.run(2, b"-- No entries --\n");
    let error = rig.drain(journal.start(&rig, json!({}))).await.1.unwrap_err().to_string();
    assert!(error.contains("not a journal"), "{error}");

    let missing =
        json!({ "journalctl_path": "/missing/journalctl", "journal_directory": data.path().to_str().unwrap() });
    let error = rig.drain(rig.start("journald", missing)).await.1.unwrap_err().to_string();
    assert!(error.contains("/missing/journalctl") && error.contains("set `journalctl_path`"), "{error}");
}

#[tokio::test]
async fn reading_pauses_while_too_many_bytes_wait_for_delivery() {
    let (journal, data) = (Journal::new(), tempfile::tempdir().unwrap());
    // More than one read and the pipe between the programs take.
    let large = format!("MESSAGE={}", "x".repeat(10_000));
    journal.run(1, &(0..100).flat_map(|number| entry(number, &large)).collect::<Vec<_>>());
    let mut rig = Rig::new(data.path());
    rig.limits.max_events = 1;
    let source = journal.start(&rig, json!({ "max_in_flight_bytes": 1 }));
    let first = rig.pop().await;
    let read_on = rig.until(|| get(&rig.stats.read_bytes) > 100_000);
    assert!(tokio::time::timeout(Duration::from_millis(200), read_on).await.is_err());
    first.into_ack().deliver();
    assert_eq!(rig.take(99).await.len(), 99);
    rig.stop();
    source.ended().await.unwrap();
}

#[test]
fn wrong_options_are_all_reported() {
    let errors = super::options::settings(json!({
        "include_units": ["a", ""], "exclude_units": ["a.service", "b*"], "include_matches": { "message": ["x"], "X": [] },
        "exclude_matches": { "__CURSOR": ["x"] }, "priority": "loud", "journal_directory": "/j", "journal_namespace": "n",
        "journalctl_path": "", "since_now": true, "current_boot_only": false, "max_event_bytes": 0,
        "max_in_flight_bytes": 0,
    }))
    .unwrap_err();
    let paths: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "include_units[1]",
            "exclude_units[1]",
            "exclude_units[0]",
            "include_matches.X",
            "include_matches.message",
            "exclude_matches.__CURSOR",
            "priority",
            "journal_namespace",
            "journalctl_path",
            "current_boot_only",
            "max_event_bytes",
            "max_in_flight_bytes",
        ]
    );
}
