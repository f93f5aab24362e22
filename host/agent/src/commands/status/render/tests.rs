//! What `wattle status` prints.

use super::*;
use wattle_api::status::{Canary, Fault, LastFailure, LastReload, Node, Pipeline, Quarantined, Reloads, Sink, Source};

fn status() -> Status {
    Status {
        version: "0.1.0".into(),
        phase: "running".into(),
        ready: true,
        pid: 4711,
        started_at: "2026-11-22T10:00:00Z".into(),
        uptime_seconds: 93_784.0,
        config: "/etc/wattle/agent.toml".into(),
        workers: 2,
        cpu_seconds: 75.0,
        resident_memory_bytes: 47_395_635,
        generation: 3,
        loaded_at: "2026-11-23T11:00:00Z".into(),
        sources: vec![Source {
            name: "trail".into(),
            type_name: "file".into(),
            state: "running".into(),
            counts: [("received_events", 1_234_567), ("received_bytes", 3 << 30)].into_iter().collect(),
            buffer: Queue { events: 3, bytes: 1 << 20, max_bytes: 4 << 20 },
            blocked_seconds: 3.12,
            ..Source::default()
        }],
        pipelines: vec![Pipeline {
            name: "cloudtrail".into(),
            pack: Some("cloudtrail@1.1.0".into()),
            counts: [
                ("received_events", 1_234_567),
                ("delivered_events", 12_345_678),
                ("dropped_events", 3),
                ("failed_events", 12),
            ]
            .into_iter()
            .collect(),
            events_per_second: 812.4,
            bytes_per_second: 21_480_000.0,
            ..Pipeline::default()
        }],
        sinks: vec![Sink {
            name: "archive".into(),
            type_name: "http".into(),
            state: "running".into(),
            counts: [("delivered_events", 12_345_690), ("delivered_bytes", 999), ("retries", 7)].into_iter().collect(),
            ..Sink::default()
        }],
        ..Status::default()
    }
}

#[test]
fn a_status_is_readable_in_eighty_columns() {
    let text = render(&status(), false);
    let expected = "\
● wattle 0.1.0: ready
     Uptime: 1d2h, since 2026-11-22T10:00:00Z
    Process: 4711, 45.2 MiB memory, 1m15s CPU, 2 workers
     Config: /etc/wattle/agent.toml
 Generation: 3, loaded 2026-11-23T11:00:00Z

SOURCE  TYPE  STATE     EVENTS    BYTES  LOST  QUEUE  BLOCKED
trail   file  running  1234567  3.0 GiB     0    25%     3.1s

PIPELINE    PACK                   IN       OUT  FAILED  DROPPED  IN/S  MB/S
cloudtrail  cloudtrail@1.1.0  1234567  12345678      12        3   812  21.5

SINK     TYPE  STATE    DELIVERED  BYTES  FAILED  RETRIES  QUEUE
archive  http  running   12345690  999 B       0        7     0%";
    assert_eq!(text, expected);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn a_shadow_is_a_line() {
    let mut status = status();
    let found = serde_json::json!({ "candidate": "cloudtrail@1.2.0", "batches": 812, "skipped_batches": 3,
            "faulted_batches": 0, "differing_events": 1, "cpu_ratio": 1.068 });
    status.shadows.insert("cloudtrail".into(), found);
    let expected = "\n
SHADOW OF   CANDIDATE         BATCHES  SKIPPED  FAULTED  DIFFERING    CPU
cloudtrail  cloudtrail@1.2.0      812        3        0          1  1.07x";
    assert!(render(&status, false).ends_with(expected), "{}", render(&status, false));
}

#[test]
fn problems_are_at_the_top_and_faults_at_the_end() {
    let mut status = status();
    status.ready = false;
    status.reason = Some("source `trail` ended: it is gone".into());
    status.reloads = Reloads {
        invalid: 1,
        last: Some(LastReload {
            outcome: "invalid".into(),
            at: "2026-11-23T12:00:00Z".into(),
            error: Some("2 errors".into()),
        }),
        ..Reloads::default()
    };
    status.pipelines[0].nodes = vec![Node {
        name: "parse".into(),
        type_name: "parse@1.0.0".into(),
        faults: vec![Fault { kind: "trap".into(), blame: "guest".into(), count: 5 }],
        ..Node::default()
    }];
    let text = render(&status, true);
    assert!(text.starts_with("\u{1b}[1;31m●\u{1b}[0m wattle 0.1.0: \u{1b}[1;31mnot ready\u{1b}[0m\n"), "{text}");
    assert!(text.contains("     Reason: source `trail` ended: it is gone\n"), "{text}");
    assert!(text.contains("\n     Reload: invalid at 2026-11-23T12:00:00Z: 2 errors\n"), "{text}");
    assert!(text.ends_with("cloudtrail.parse  parse@1.0.0  trap   guest      5"), "{text}");
}

#[test]
fn masked_values_are_a_table_by_rule() {
    let mut status = status();
    status.pipelines[0].nodes = vec![Node {
        name: "mask".into(),
        masked_values: [("access-keys".to_owned(), 1234), ("email".to_owned(), 5)].into(),
        ..Node::default()
    }];
    let expected = "
MASK             RULE         VALUES
cloudtrail.mask  access-keys    1234
cloudtrail.mask  email             5
";
    assert!(render(&status, false).contains(expected), "{}", render(&status, false));
}

#[test]
fn canaries_and_sinks_that_retry_are_shown() {
    let mut status = status();
    status.canaries = vec![Canary {
        pipeline: "cloudtrail".into(),
        candidate: Some("cloudtrail@1.2.0".into()),
        share: 0.05,
        received_events: 812,
        min_events: 1000,
        failed_events: 1,
        ..Canary::default()
    }];
    status.sinks[0].state = "retrying".into();
    status.sinks[0].retrying_seconds = Some(72.0);
    status.sinks[0].backlog = Backlog { events: 1048, bytes: 1 << 20, oldest_seconds: Some(75.0) };
    let expected = "\n
CANARY OF   CANDIDATE         SHARE  EVENTS  NEEDED  FAILED  FAULTED
cloudtrail  cloudtrail@1.2.0     5%     812    1000       1        0

sink `archive`: retrying for 1m12s; 1048 events (1.0 MiB) wait, the oldest for 1m15s";
    assert!(render(&status, false).ends_with(expected), "{}", render(&status, false));
}

#[test]
fn failed_inputs_and_quarantines_are_last() {
    let mut status = status();
    status.sources[0].counts = [("failures", 2), ("lost_bytes", 3000)].into_iter().collect();
    status.sources[0].last_failure =
        Some(LastFailure { at: "2026-11-23T12:00:00Z".into(), reason: "file `/in/a.gz` is damaged".into() });
    status.sources[0].unmatched = vec!["`~/x` finds no file: `~` is not expanded; write the whole path".into()];
    status.quarantines = vec![Quarantined { pipeline: "cloudtrail".into(), bytes: 2048 }];
    let text = render(&status, false);
    let expected = "\n
source `trail`: 2 failures of inputs; see the log

source `trail`: 3000 bytes of files were lost before they were read; see the log

source `trail`: last failure at 2026-11-23T12:00:00Z:
  file `/in/a.gz` is damaged

source `trail`: `~/x` finds no file: `~` is not expanded; write the whole path

pipeline `cloudtrail`: 2.0 KiB in quarantine; see `wattle quarantine list`";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn every_count_with_a_column_or_a_note_is_shown() {
    fn numbers<S>(table: &[Count<S>]) -> Counted {
        table.iter().zip(100..).map(|(count, number)| (count.key(), number)).collect()
    }
    fn check<S>(table: &[Count<S>], text: &str) {
        let counted = numbers(table);
        for (count, number) in table.iter().zip(100..) {
            if let Some(title) = count.title([&counted].into_iter()) {
                assert!(text.contains(title) && text.contains(&format!(" {number}")), "{title}: {text}");
            }
            if let Some(note) = count.status_note() {
                assert!(text.contains(&format!(": {number} {note}")), "{note}: {text}");
            }
        }
    }
    let mut status = status();
    status.sources[0].counts = numbers(counts::SOURCES);
    status.pipelines[0].counts = numbers(counts::PIPELINES);
    status.pipelines[0].nodes = vec![Node { counts: numbers(counts::NODES), ..Node::default() }];
    status.sinks[0].counts = numbers(counts::SINKS);
    let text = render(&status, false);
    check(counts::SOURCES, &text);
    check(counts::PIPELINES, &text);
    check(counts::NODES, &text);
    check(counts::SINKS, &text);
}

#[test]
fn times_and_sizes_have_units() {
    let times = [0.04, 9.0, 59.0, 61.0, 3_720.0, 90_000.0].map(ago);
    assert_eq!(times, ["0.0s", "9.0s", "59s", "1m1s", "1h2m", "1d1h"]);
    assert_eq!([0, 1023, 1536, 5 << 40].map(size), ["0 B", "1023 B", "1.5 KiB", "5.0 TiB"]);
}

#[test]
fn columns_of_rare_counts_are_shown_only_with_numbers() {
    let mut status = status();
    let counts = |held: u64| [("received_events", 7), ("held_events", held)].into_iter().collect();
    status.pipelines[0].counts = counts(0);
    assert!(!render(&status, false).contains("HELD"));
    status.pipelines[0].counts = counts(5);
    let text = render(&status, false);
    assert!(text.contains("HELD") && !text.contains("MADE"), "{text}");
}
