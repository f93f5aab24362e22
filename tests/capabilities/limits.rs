//! Each limit holds, and the agent and healthy rows go on.

use crate::{ALL, all_but, answers, config, failures, folder, scrape};

#[test]
fn a_flood_of_lines_is_left_out_counted_and_summarised() {
    let lines = folder(&["flood", "of", "lines"]);
    let address = wattle_tests::free_address();
    let grants = all_but(&[("log", "{ level = \"info\", lines_per_second = 5 }")]);
    let config = format!("[admin]\nlisten = \"{address}\"\n{}", config("mode = \"log\", times = 1000", &grants, true));
    let mut agent = lines.start(&config);
    agent.wait_for("log lines of a node were left out");
    wattle_tests::wait_until("all rows are there", || answers(&lines).len() == 3);
    let left_out = scrape(address).sum("wattle_capability_suppressed_total", &[("capability", "log")]);
    let log = agent.stop().log;
    let written = log.lines().filter(|line| line.contains("pipeline=main") && line.contains("flood")).count();
    assert!((1..=10).contains(&written), "{written} lines: {log}");
    assert!((2900.0..3000.0).contains(&left_out), "{left_out}");
    assert!(failures(&lines).is_empty());
}

#[test]
fn a_line_cannot_forge_another() {
    let lines = folder(&[r#"{"a":1}"#]);
    lines.write("in.log", "first \u{1b}[31mred\u{7}\n");
    let log = lines.once(&config("mode = \"log\"", ALL, false)).log;
    assert!(log.contains("first \\u{1b}[31mred\\u{7}"), "{log}");
    assert!(log.lines().any(|line| line.contains("first") && line.contains("node=cap")), "{log}");
}

#[test]
fn a_flood_of_series_shares_one() {
    let lines = folder(&["one", "two"]);
    let address = wattle_tests::free_address();
    let grants = all_but(&[("metrics", "{ max_series = 10 }")]);
    let options = "mode = \"metrics\", times = 3000";
    let agent = lines.start(&format!("[admin]\nlisten = \"{address}\"\n{}", config(options, &grants, true)));
    let flood = |labels: &[(&str, &str)]| scrape(address).sum("wattle_guest_flood_total", labels);
    wattle_tests::wait_until("the flood is counted", || flood(&[]) >= 3000.0);
    wattle_tests::wait_until("all rows are there", || answers(&lines).len() == 2);
    let series = scrape(address).values("wattle_guest_flood_total", "series");
    assert!(series.len() <= 11 && series.contains(&"_other".to_owned()), "{series:?}");
    assert!(flood(&[("series", "_other")]) >= 2980.0, "{}", flood(&[("series", "_other")]));
    let left_out = scrape(address).sum("wattle_capability_suppressed_total", &[("capability", "metrics")]);
    assert!(left_out >= 2980.0, "{left_out}");
    agent.stop();
}
