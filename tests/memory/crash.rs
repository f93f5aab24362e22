//! What a kill, a stop and a sink that is down leave.

use std::time::Duration;

use wattle_tests::{Endpoint, free_address, wait_until};

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
