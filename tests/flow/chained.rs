//! Pipelines that feed pipelines, and sinks that read sources.

use serde_json::Value;
use wattle_tests::{Config, Folder, Summary};

/// Three pipelines on the source of a configuration. Lines that are errors, and lines that are not
/// JSON, go to the third one.
fn pipelines(source: Config) -> Config {
    source
        .pipeline("clean", &["lines"])
        .node("parse", "builtin:parse", &["input"])
        .output("good", &["parse"])
        .output("fails", &["parse.failed"])
        .pipeline("sort", &["clean.good"])
        .node("route", "builtin:route", &["input"])
        .with("options.paths = [{ name = \"errors\", when = { field = \"attributes.level\", equals = \"error\" } }]")
        .output("errors", &["route.errors"])
        .output("rest", &["route.unmatched"])
        .output("fails", &["route.failed"])
        .pipeline("alerts", &["sort.errors", "clean.fails"])
        .node("extract", "builtin:extract", &["input"])
        .with("options.fields = [{ from = \"body\", into = \"attributes.text\" }]")
        .output("all", &["extract", "extract.failed"])
}

/// Lines of which every third is an error, and every seventh is not JSON.
fn lines(count: usize) -> (String, usize, usize) {
    let (mut text, mut errors, mut broken) = (String::new(), 0, 0);
    for number in 0..count {
        if number % 7 == 0 {
            broken += 1;
            text += &format!("broken {number}\n");
        } else {
            let level = if number % 3 == 0 { "error" } else { "info" };
            errors += usize::from(level == "error");
            text += &format!("{{\"level\":\"{level}\",\"number\":{number}}}\n");
        }
    }
    (text, errors, broken)
}

#[test]
fn events_pass_from_pipeline_to_pipeline_and_every_balance_closes() {
    let folder = Folder::new();
    let (text, errors, broken) = lines(20_000);
    folder.write("in.log", text);
    let config = pipelines(Config::new().file_source("lines", "in.log"))
        .file_sink("alerts", &["alerts.all"], "alerts.ndjson")
        .file_sink("rest", &["sort.rest", "sort.fails"], "rest.ndjson")
        .file_sink("copy", &["lines"], "copy.ndjson")
        .file_sink("good", &["clean.good"], "good.ndjson");
    let ended = folder.once(&config.text());
    // Reading the summary asserts that the balance of each pipeline closes.
    let summary = Summary::read(&ended.log);
    let received = |name: &str| summary.pipelines[name].received as usize;
    assert_eq!(received("clean"), 20_000);
    assert_eq!(received("sort"), 20_000 - broken);
    assert_eq!(received("alerts"), errors + broken);
    assert_eq!(received("lines"), 20_000);
    assert_eq!(summary.pipelines["clean"].failed as usize, broken);
    let events = |name: &str| folder.events(&format!("{name}.ndjson"));
    assert_eq!(events("copy").len(), 20_000);
    assert_eq!(events("good").len(), 20_000 - broken);
    assert_eq!(events("rest").len(), 20_000 - broken - errors);
    let alerts = events("alerts");
    assert_eq!(alerts.len(), errors + broken);
    // Events that failed keep the reason in the next pipeline, whose nodes still process them.
    let failed: Vec<&Value> = alerts.iter().filter(|event| event["failure"].is_object()).collect();
    assert_eq!(failed.len(), broken);
    assert!(failed.iter().all(|event| event["failure"]["node"] == "parse"), "{}", failed[0]);
    assert!(alerts.iter().all(|event| event["attributes"]["text"] == event["body"]), "{}", alerts[0]);
    // The order of the source is kept on the way through both pipelines.
    let number = |event: &Value| event["attributes"]["number"].as_u64();
    assert!(alerts.iter().filter_map(number).is_sorted());
}

#[test]
fn a_reload_changes_the_links_between_pipelines_without_a_loss() {
    let folder = Folder::new();
    folder.write("in/0.log", lines(3_000).0);
    let config = |inputs: &[&str]| {
        let source = Config::new().file_source("lines", "in/*").set("glob_interval", "20ms");
        pipelines(source).file_sink("out", inputs, "out.ndjson").text()
    };
    let linked = config(&["alerts.all", "sort.rest", "sort.fails"]);
    let direct = config(&["alerts.all", "sort.rest", "sort.fails", "sort.errors"])
        .replace("inputs = [\"sort.errors\", \"clean.fails\"]", "inputs = [\"clean.fails\"]");
    let agent = folder.start(&linked);
    for number in 1..10 {
        folder.write(format!("in/{number}.log"), lines(3_000).0);
        // Alternately, the errors leave directly.
        folder.replace("agent.toml", if number % 2 == 0 { &linked } else { &direct });
        let reload = folder.run(&["reload", "--config", "agent.toml"]);
        assert_eq!(reload.code, 0, "{}", reload.log);
    }
    wattle_tests::wait_until("all events arrive", || folder.events("out.ndjson").len() >= 30_000);
    let ended = agent.stop();
    Summary::read(&ended.log);
    assert_eq!(folder.events("out.ndjson").len(), 30_000, "each event exactly once");
}
