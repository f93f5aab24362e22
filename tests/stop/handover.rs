//! A reload repairs, moves, renames or removes a sink that cannot deliver. The model: each line of
//! the source is at a sink of the new configuration, or in the disk buffer that the log names, in
//! the order of the source. No line is there twice unless a working sink had it before.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use wattle_tests::{Agent, Endpoint, Folder, Trail, free_address, wait_until};

use super::{append, assert_in_order, file, head, http, lines, numbers, text};

const AGENT: &str = "sink_handover_timeout = \"500ms\"\ndrain_timeout = \"20s\"";
const DISK: &str = "buffer = { type = \"disk\", max_size = \"64MiB\" }";
/// Lines before and after the reload.
const MORE: usize = 200;

/// Starts an agent whose sink is stuck with `count` lines of this width.
fn stuck(folder: &Folder, config: &str, server: &Endpoint, count: usize, width: usize) -> Agent {
    append_dir(folder);
    append(folder, "in/a.log", &lines(0..count, width));
    let agent = folder.start(config);
    wait_until("attempts that fail", || server.refused() > 1);
    agent
}

fn append_dir(folder: &Folder) {
    std::fs::create_dir_all(folder.path("in")).unwrap();
}

/// Loads another configuration, which takes effect at once, whatever the sink does.
#[track_caller]
fn reload(folder: &Folder, config: String) {
    folder.replace("agent.toml", config);
    let since = Instant::now();
    let ended = folder.run(&["reload", "--config", "agent.toml"]);
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
}

/// Stops the agent, whose counts must add up.
#[track_caller]
fn stop(agent: Agent) {
    let summary = agent.stop().summary();
    let pipeline = summary.pipeline();
    assert_eq!(pipeline.received, pipeline.delivered, "{pipeline:?}");
}

/// One sink, repaired in each way, with a small and a large backlog, in memory and on disk, under
/// load.
#[test]
fn a_sink_that_cannot_deliver_is_stopped_and_its_events_take_the_new_path() {
    for (count, width, buffer) in [(50, 10, ""), (12_000, 1000, ""), (50, 10, DISK), (6_000, 1000, DISK)] {
        for repair in ["address", "token", "renamed", "file"] {
            // A disk buffer belongs to the name of its sink.
            if !buffer.is_empty() && matches!(repair, "renamed" | "file") {
                continue;
            }
            let what = format!("{repair}, {count} lines, {buffer}");
            let folder = Folder::new();
            let (wrong, right) = (free_address(), free_address());
            let (broken, works) = (Endpoint::listen(wrong), Endpoint::listen(right));
            broken.answer(503);
            if repair == "token" {
                broken.answer(200);
                broken.require("Bearer right");
            }
            let token = |token| format!("auth = {{ strategy = \"bearer\", token = \"{token}\" }}\n{buffer}");
            let config = |sink: String| head(AGENT) + &sink;
            let mut agent = stuck(&folder, &config(http("out", wrong, &token("wrong"))), &broken, count, width);
            append(&folder, "in/a.log", &lines(count..count + MORE, width));
            let sink = match repair {
                "address" => http("out", right, &token("wrong")),
                "token" => http("out", wrong, &token("right")),
                "renamed" => http("other", right, ""),
                _ => file("other", "out.txt"),
            };
            reload(&folder, config(sink));
            append(&folder, "in/a.log", &lines(count + MORE..count + 2 * MORE, width));
            let came = || match repair {
                "token" => numbers(&broken.text()),
                "file" => numbers(&text(&folder, "out.txt")),
                _ => numbers(&works.text()),
            };
            let all = count + 2 * MORE;
            wait_until(&what, || came().iter().collect::<BTreeSet<_>>().len() == all);
            if buffer.is_empty() {
                agent.wait_for("they return to their sources");
            }
            stop(agent);
            assert!(came().into_iter().eq(0..all), "{what}: lines came twice or not in order");
        }
    }
}

/// Two sinks on one output, one of which is stuck: the other one loses nothing and keeps the order.
#[test]
fn a_working_sink_beside_a_stuck_one_loses_nothing_when_that_is_stopped() {
    for (count, width) in [(50, 10), (12_000, 1000)] {
        let folder = Folder::new();
        let (wrong, right) = (free_address(), free_address());
        let (broken, works) = (Endpoint::listen(wrong), Endpoint::listen(right));
        broken.answer(503);
        let config = |to| head(AGENT) + &file("good", "good.txt") + &http("out", to, "");
        let agent = stuck(&folder, &config(wrong), &broken, count, width);
        reload(&folder, config(right));
        append(&folder, "in/a.log", &lines(count..count + MORE, width));
        let all = count + MORE;
        let distinct = |numbers: Vec<usize>| numbers.into_iter().collect::<BTreeSet<_>>().len();
        wait_until("all lines at the repaired sink", || distinct(numbers(&works.text())) == all);
        wait_until("all lines at the other sink", || distinct(numbers(&text(&folder, "good.txt"))) == all);
        stop(agent);
        assert!(numbers(&works.text()).into_iter().eq(0..all), "the stuck sink had none of them");
        assert_in_order(&numbers(&text(&folder, "good.txt")), all);
    }
}

/// The events of a removed sink stay on disk and are named; later events go to the other sink.
#[test]
fn the_disk_buffer_of_a_removed_sink_is_kept_and_named() {
    let folder = Folder::new();
    let wrong = free_address();
    let broken = Endpoint::listen(wrong);
    broken.answer(503);
    let config = |sink: String| head(AGENT) + &sink;
    let mut agent = stuck(&folder, &config(http("out", wrong, DISK)), &broken, 50, 10);
    reload(&folder, config(file("other", "out.txt")));
    assert!(agent.wait_for("keeping the disk buffer of a sink that is not configured").contains("buffer/out"));
    append(&folder, "in/a.log", &lines(50..60, 10));
    wait_until("what came later", || numbers(&text(&folder, "out.txt")).len() == 10);
    // The sink comes back with a memory buffer, and gets the events on disk.
    broken.answer(200);
    reload(&folder, config(http("out", wrong, "")));
    wait_until("what was on disk", || numbers(&broken.text()).len() == 50);
    stop(agent);
    assert_in_order(&numbers(&broken.text()), 50);
    assert!(numbers(&text(&folder, "out.txt")).into_iter().eq(50..60));
}

/// A source that cannot read twice sends returned events again, in order.
#[test]
fn a_source_that_cannot_read_twice_sends_its_events_again_in_order() {
    let folder = Folder::new();
    let (wrong, right) = (free_address(), free_address());
    let (broken, works) = (Endpoint::listen(wrong), Endpoint::listen(right));
    broken.answer(503);
    let config = |to| {
        let demo = "type = \"demo\"\nseed = 7\nrecords_per_document = 5\nrate = 200";
        head(AGENT).replace("type = \"file\"\ninclude = [\"in/*.log\"]\nglob_interval = \"20ms\"", demo)
            + &http("out", to, "")
    };
    let agent = folder.start(&config(wrong));
    wait_until("attempts that fail", || broken.refused() > 1);
    reload(&folder, config(right));
    wait_until("documents at the repaired sink", || works.text().lines().count() > 300);
    let summary = agent.stop().summary();
    let came = works.text();
    let unique: BTreeSet<&str> = came.lines().collect();
    assert_eq!(unique.len(), came.lines().count(), "none came twice");
    assert!(summary.pipeline().received >= unique.len() as u64);
    let mut expected = Trail::new(7, 5);
    assert!(came.lines().all(|line| line.as_bytes() == expected.document()), "in the order of the source");
}
