//! Sources that read on only after acknowledgements, before nodes whose snapshots are an hour apart.

use wattle_tests::{Config, finish_in_time};

use super::{folder, total};

/// Longer than any of these runs may take, so that a run that waits for it fails.
const HOUR: &str = "1h";
/// Four times the bytes that `stdin` holds unacknowledged.
const LINES: usize = 64 << 10;

#[test]
fn a_source_that_waits_for_acknowledgements_gets_snapshots_at_once() {
    for sharing in ["sharing = \"single\"", "key = [\"body\"], shards = 8"] {
        // The node sees one line of a hundred, so the bytes that it has seen say little about the source.
        for keeps in [1, 100] {
            let folder = folder();
            let config = Config::new()
                .agent("workers = 2")
                .source("lines", "stdin")
                .pipeline("main", &["lines"])
                .node("keep", "builtin:filter", &["input"])
                .with("options = { keep = { field = \"body\", starts_with = \"k\" } }")
                .node("count", "memory.wasm", &["keep.out"])
                .with(format!(
                    "options = {{ tick_ms = 20, window_ms = 100 }}\n\
                     state = {{ {sharing}, durability = \"disk\", snapshot_interval = \"{HOUR}\" }}"
                ))
                .output("summary", &["count.summary"])
                .output("rest", &["count.out", "count.failed", "keep.failed"])
                .file_sink("summary", &["main.summary"], "summary.ndjson")
                .sink("rest", "blackhole", &["main.rest"]);
            folder.write("agent.toml", config.text());
            let line = |number: usize| {
                let first = if number.is_multiple_of(keeps) { 'k' } else { 'x' };
                format!("{first}{} {}\n", number % 10, "y".repeat(1020))
            };
            let input: String = (0..LINES).map(line).collect();
            let mut command = folder.wattle();
            command.args(["run", "--once", "--config", "agent.toml"]);
            let ended = finish_in_time(&command, input.as_bytes());
            assert_eq!(ended.code, 0, "{sharing}, 1 of {keeps}: {}", ended.log);
            assert_eq!(total(&folder), LINES.div_ceil(keeps) as u64, "{sharing}, 1 of {keeps}");
        }
    }
}
