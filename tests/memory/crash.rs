//! What a kill, a stop and a sink that is down leave.

use std::time::Duration;

use wattle_tests::{Endpoint, SmallDisk, free_address, wait_until};

use super::{append, config, folder, pipeline, total, windows, windows_of};

#[test]
fn a_kill_loses_no_row_and_no_window() {
    for sharing in ["worker", "single", "key"] {
        let folder = folder();
        let node = "state = { snapshot_interval = \"50ms\" }";
        let text = config(&format!("sharing = \"{sharing}\""), node).text();
        let (mut written, mut seed) = (0, 7_u64);
        for _ in 0..6 {
            let agent = folder.start(&text);
            for _ in 0..4 {
                append(&folder, written, 500);
                written += 500;
                // A linear congruential generator: the same pauses in every run.
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                std::thread::sleep(Duration::from_millis((seed >> 33) % 60));
            }
            agent.kill();
        }
        let agent = folder.start(&text);
        wait_until("all rows", || total(&folder) >= written as u64);
        let ended = agent.stop();
        ended.summary();
        let by_key =
            |key: &str| windows(&folder).iter().filter(|(id, _)| id.starts_with(key)).map(|(_, n)| n).sum::<u64>();
        for key in 0..10 {
            let sum = by_key(&format!("k{key}-"));
            assert!(sum >= written as u64 / 10, "{sharing}: k{key} has {sum} of {}", written / 10);
        }
    }
}

#[test]
fn a_stop_keeps_an_open_window_for_the_next_start() {
    let folder = folder();
    let text = config("window_ms = 1500", "").text();
    let agent = folder.start(&text);
    append(&folder, 0, 700);
    wait_until("a snapshot", || folder.path("data/state/main/count").is_dir());
    let ended = agent.stop();
    assert_eq!(ended.summary().pipeline().received, 700);
    assert_eq!(total(&folder), 0, "the window is open");
    let agent = folder.start(&text);
    wait_until("the window", || total(&folder) == 700);
    let ended = agent.stop();
    assert_eq!(ended.summary().pipeline().received, 0, "the source did not send the rows again");
}

#[test]
fn rows_are_acknowledged_only_after_their_window_is_delivered() {
    let folder = folder();
    let address = free_address();
    let text = pipeline("", "state = { snapshot_interval = \"20ms\" }")
        .http_sink("summary", &["main.summary"], &format!("http://{address}/"))
        .text();
    // Nothing listens: the windows cannot be delivered, so no later snapshot may be written.
    let agent = folder.start(&text);
    append(&folder, 0, 400);
    std::thread::sleep(Duration::from_millis(600));
    agent.kill();
    let endpoint = Endpoint::listen(address);
    let agent = folder.start(&text);
    let sum = || windows_of(endpoint.events()).values().sum::<u64>();
    wait_until("all rows", || sum() >= 400);
    agent.stop();
}

#[test]
fn rows_that_pass_on_are_counted_once_while_their_sink_is_down() {
    let folder = folder();
    let address = free_address();
    let text = pipeline("window_ms = 600000, passes = true", "state = { snapshot_interval = \"20ms\" }")
        .file_sink("summary", &["main.summary"], "summary.ndjson")
        .http_sink("down", &["main.out"], &format!("http://{address}/"))
        .text()
        .replacen("[agent]", "[agent]\ndrain_timeout = \"1s\"", 1);
    append(&folder, 0, 300);
    let offered = format!("\"offered\":{}", folder.read("in.log").len());
    for is_killed in [true, false, true] {
        let agent = folder.start(&text);
        let positions = folder.path("data/sources/lines/checkpoints.json");
        wait_until("all rows", || std::fs::read_to_string(&positions).is_ok_and(|text| text.contains(&offered)));
        // Many snapshots, if they did not wait.
        std::thread::sleep(Duration::from_millis(300));
        if is_killed {
            agent.kill();
        } else {
            agent.signal("TERM");
            agent.ended();
        }
    }
    let endpoint = Endpoint::listen(address);
    let ended = folder.once(&text);
    assert_eq!(total(&folder), 300, "{}", ended.text());
    assert_eq!(endpoint.events().len(), 300);
}

#[test]
fn a_disk_that_is_full_while_snapshots_are_written_loses_nothing() {
    for is_killed in [false, true] {
        let folder = folder();
        let Some(disk) = SmallDisk::mount(folder.path("data/state"), "size=256k,mode=700") else {
            println!("only root may mount a small disk; see also state_that_cannot_be_written_holds_its_events_back");
            return;
        };
        let text = config("", "state = { snapshot_interval = \"20ms\" }").text();
        let mut agent = folder.start(&text);
        append(&folder, 0, 1000);
        wait_until("the first windows", || total(&folder) >= 1000);
        disk.fill();
        append(&folder, 1000, 1000);
        let line = agent.wait_for("cannot write the state of a node");
        assert!(line.contains("No space left") && line.contains("data/state/main/count/"), "{line}");
        append(&folder, 2000, 1000);
        // Their windows leave, since only the acknowledgements wait for snapshots.
        wait_until("the windows of a full disk", || total(&folder) >= 3000);
        if is_killed {
            agent.kill();
            std::fs::remove_file(disk.ballast()).unwrap();
            agent = folder.start(&text);
        } else {
            std::fs::remove_file(disk.ballast()).unwrap();
            agent.wait_for("the state of the node is written again");
        }
        append(&folder, 3000, 1000);
        wait_until("all rows", || total(&folder) >= 4000);
        let ended = agent.stop();
        let summary = ended.summary();
        assert!(!ended.log.contains("state is corrupt"), "{}", ended.log);
        if is_killed {
            // The last snapshot on disk lacks what came while the disk was full, so the source sent it again.
            assert!(summary.pipeline().received >= 3000, "{summary:?}");
        } else {
            assert_eq!((summary.pipeline().received, total(&folder)), (4000, 4000), "{summary:?}");
        }
    }
}
