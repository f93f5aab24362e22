//! Keys and values that survive kills of the agent.

use std::time::Duration;

use wattle_tests::{ALL_GRANTS as ALL, Folder, capable_config, wait_until};

use super::{append, folder};

/// The highest count that an event got.
fn highest(folder: &Folder) -> u64 {
    let counts = folder.events("all.ndjson").into_iter();
    counts.map(|event| event["attributes"]["answer"].as_str().unwrap().parse().unwrap()).max().unwrap_or_default()
}

#[test]
fn durable_counts_lose_no_row_by_kills_and_are_exact_over_stops() {
    let folder = folder(&[]);
    let grants = ALL.replace("kv = true", "kv = { durable = true }");
    assert_ne!(grants, ALL);
    let text = capable_config("workers = 2", "glob_interval = \"20ms\"", &grants, "mode = \"kv-add\"");
    let (mut written, mut seed) = (0, 11_u64);
    for _ in 0..6 {
        let agent = folder.start(&text);
        for _ in 0..4 {
            append(&folder, &["row"; 250].join("\n"));
            written += 250;
            // A linear congruential generator: the same pauses in every run.
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            std::thread::sleep(Duration::from_millis((seed >> 33) % 60));
        }
        agent.kill();
    }
    let agent = folder.start(&text);
    append(&folder, "last");
    wait_until("the last row", || folder.events("all.ndjson").iter().any(|event| event["body"] == "last"));
    agent.stop().summary();
    let counted = highest(&folder);
    assert!(counted >= written, "{counted} of {written} rows");
    for more in 1..=3 {
        let agent = folder.start(&text);
        append(&folder, "row");
        wait_until("the row", || highest(&folder) > counted + more - 1);
        agent.stop().summary();
        assert_eq!(highest(&folder), counted + more);
    }
}
