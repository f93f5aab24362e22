//! Windows that end by time and with the input.

use wattle_tests::{Metrics, free_address, get, wait_until};

use super::{append, config, folder, total};

#[test]
fn held_rows_become_one_event_for_each_key_and_window() {
    let folder = folder();
    let address = free_address();
    let text = config("", "").admin(address).text();
    let agent = folder.start(&text);
    append(&folder, 0, 1000);
    wait_until("all windows", || total(&folder) == 1000);
    let metrics = || Metrics::read(&get(address, "/metrics").unwrap().text);
    let of = |name: &str| metrics().sum(name, &[("pipeline", "main")]);
    assert_eq!(of("wattle_pipeline_held_events_total"), 1000.0);
    assert_eq!(of("wattle_node_held_events_total"), 1000.0);
    let made = folder.events("summary.ndjson").len() as f64;
    assert_eq!(of("wattle_pipeline_made_events_total"), made);
    let ended = agent.stop();
    let summary = ended.summary();
    let pipeline = summary.pipeline();
    assert_eq!((pipeline.received, pipeline.held), (1000, 1000));
    assert_eq!(pipeline.made, pipeline.output("summary"));
    assert_eq!(pipeline.output("out"), 0);
}

#[test]
fn a_run_that_ends_with_its_input_makes_what_is_still_owed() {
    for sharing in ["worker", "single", "key"] {
        let folder = folder();
        append(&folder, 0, 500);
        let text = config(&format!("window_ms = 600000, sharing = \"{sharing}\""), "").text();
        let ended = folder.once(&text);
        assert_eq!(total(&folder), 500, "{sharing}: {}", ended.text());
        assert_eq!(ended.summary().pipeline().held, 500);
    }
}

#[test]
fn rows_that_pass_on_are_not_held() {
    let folder = folder();
    append(&folder, 0, 300);
    let ended = folder.once(&config("passes = true", "").text());
    let summary = ended.summary();
    let pipeline = summary.pipeline();
    assert_eq!((pipeline.held, pipeline.output("out")), (0, 300));
    assert_eq!(total(&folder), 300);
}

#[test]
fn the_last_tick_may_make_all_that_the_node_still_owes() {
    let folder = folder();
    append(&folder, 0, 10);
    // More than any other tick may make.
    let text = config("window_ms = 600000, sharing = \"single\", owes_mib = 8", "").text();
    let ended = folder.once(&text);
    let pipeline = ended.summary().pipeline().clone();
    assert_eq!((pipeline.output("out"), total(&folder)), (3 * 8 * 16, 10), "{}", ended.text());
}
