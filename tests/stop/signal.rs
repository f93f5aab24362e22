//! Signals: the agent stops quickly if nothing delays it, and within its timeout otherwise.

use std::time::{Duration, Instant};

use wattle_tests::{Agent, Endpoint, Folder, free_address, wait_until};

use super::{append, file, head, http, lines, numbers, text};

/// Longer than any of these tests.
const LONG: &str = "drain_timeout = \"5m\"";

fn folder_with_lines(count: usize) -> Folder {
    let folder = Folder::new();
    folder.write("in/a.log", lines(0..count, 10));
    folder
}

/// Stops an agent, which must take less than its drain timeout.
#[track_caller]
fn stop_soon(agent: Agent) {
    let since = Instant::now();
    agent.stop().summary();
    assert!(since.elapsed() < Duration::from_secs(60), "{:?}", since.elapsed());
}

/// Events that wait for a full request or for the next sync leave at once when the agent stops.
#[test]
fn waiting_events_are_delivered_at_once_by_a_stop() {
    let to = free_address();
    let server = Endpoint::listen(to);
    for sink in [
        http("out", to, "batch.timeout = \"1h\""),
        file("out", "out.txt") + "fsync = \"interval\"\nfsync_interval = \"1h\"\n",
        http("out", to, "batch.timeout = \"1h\"\nbuffer = { type = \"disk\", max_size = \"64MiB\" }"),
    ] {
        let folder = folder_with_lines(3);
        let agent = folder.start(&(head(LONG) + &sink));
        let before = server.text().len();
        let has_disk = sink.contains("disk");
        wait_until("the lines are read", || {
            has_disk || sink.contains("http") || numbers(&text(&folder, "out.txt")).len() == 3
        });
        wait_until("the source knows its file", || folder.path("data/sources/lines/checkpoints.json").exists());
        stop_soon(agent);
        match sink.contains("http") {
            // Events on disk may stay there.
            true if has_disk => {}
            true => assert!(numbers(&server.text()[before..]).into_iter().eq(0..3)),
            false => assert!(numbers(&text(&folder, "out.txt")).into_iter().eq(0..3)),
        }
    }
}

/// A reload that changes the sink, or the source before it, waits for no batch either.
#[test]
fn waiting_events_are_delivered_at_once_by_a_reload() {
    for (from, to) in [("batch.timeout = \"1h\"", "batch.timeout = \"59m\""), ("\"20ms\"", "\"21ms\"")] {
        let address = free_address();
        let server = Endpoint::listen(address);
        let folder = folder_with_lines(3);
        let config = head(LONG) + &http("out", address, "batch.timeout = \"1h\"");
        let agent = folder.start(&config);
        wait_until("the source knows its file", || folder.path("data/sources/lines/checkpoints.json").exists());
        folder.replace("agent.toml", config.replacen(from, to, 1));
        assert_eq!(folder.run(&["reload", "--config", "agent.toml"]).code, 0);
        wait_until("the lines", || numbers(&server.text()).len() == 3);
        append(&folder, "in/a.log", &lines(3..6, 10));
        stop_soon(agent);
        let came = numbers(&server.text());
        assert!(came.iter().copied().eq(0..came.len()) && came.len() >= 3, "{came:?}");
    }
}

/// `timeout`, `sudo` and npm pass a signal on to the process and to its group.
#[test]
fn two_signals_within_a_moment_are_one() {
    let folder = folder_with_lines(3);
    let agent = folder.start(&(head(LONG) + &file("out", "out.txt")));
    agent.signal("TERM");
    agent.signal("TERM");
    agent.signal("INT");
    let ended = agent.ended();
    assert_eq!(ended.code, 0, "{}", ended.log);
    ended.summary();
    assert!(!ended.log.contains("second signal"), "{}", ended.log);
}

/// With a server that is down, the agent stops in time and reports the undelivered events; the next
/// start delivers them.
#[test]
fn a_stop_with_a_server_that_is_down_ends_in_time_and_names_undelivered_events() {
    let to = free_address();
    let folder = folder_with_lines(100);
    let config = head("drain_timeout = \"2s\"") + &http("out", to, "batch.timeout = \"20ms\"");
    let server = Endpoint::listen(to);
    server.answer(503);
    let agent = folder.start(&config);
    wait_until("attempts that fail", || server.refused() > 1);
    let since = Instant::now();
    agent.signal("TERM");
    let ended = agent.ended();
    assert!(since.elapsed() >= Duration::from_secs(1) && since.elapsed() < Duration::from_secs(30));
    assert_eq!(ended.code, 1, "{}", ended.log);
    assert!(ended.log.contains("sink `out` did not deliver 100 events"), "{}", ended.log);
    assert!(!ended.log.contains("did not return in time"), "no node is at work: {}", ended.log);
    ended.summary();
    server.answer(200);
    let agent = folder.start(&config);
    wait_until("the lines", || numbers(&server.text()).len() >= 100);
    stop_soon(agent);
    assert!(numbers(&server.text()).into_iter().eq(0..100));
}

/// A second signal that is not the echo of the first one ends the agent at once.
#[test]
fn a_second_signal_ends_a_long_drain() {
    let to = free_address();
    let folder = folder_with_lines(10);
    let server = Endpoint::listen(to);
    server.answer(503);
    let mut agent = folder.start(&(head(LONG) + &http("out", to, "")));
    wait_until("attempts that fail", || server.refused() > 1);
    wait_until("the end", || {
        agent.signal("TERM");
        !agent.is_running()
    });
    let ended = agent.ended();
    assert_eq!(ended.code, 1);
    assert!(ended.log.contains("second signal"), "{}", ended.log);
}

/// A closing terminal ends its processes, unless there is a configuration to reload.
#[test]
fn sighup_ends_a_run_without_a_configuration() {
    let folder = Folder::new();
    // Under `nohup`, the tests ignore the signal, and so would the agent.
    let mut command = std::process::Command::new("env");
    command.arg("--default-signal=HUP").arg(folder.wattle().get_program()).env("WATTLE_DATA_DIR", folder.path("data"));
    command.args(["run", "--pack", "cloudtrail@1.2.0"]).stdin(std::process::Stdio::piped());
    let mut agent = Agent::start(&mut command);
    agent.wait_for("running");
    agent.signal("HUP");
    assert_eq!(agent.ended().code, -1, "as by default");
}
