//! Requested and granted capabilities.

use wattle_tests::{Config, Folder, get};

use crate::{ALL, all_but, answers, append, config, failures, folder, pack};

#[test]
fn a_node_without_a_grant_for_an_import_does_not_start() {
    let folder = folder(&["one"]);
    let without_kv: String =
        ALL.lines().filter(|line| !line.starts_with("kv")).map(|line| format!("{line}\n")).collect();
    folder.write("agent.toml", config("mode = \"log\"", &without_kv, false));
    let ended = folder.run(&["run", "--once", "--config", "agent.toml"]);
    assert_eq!(ended.code, 78, "{}", ended.log);
    for part in ["wattle:node/kv@0.2.0", "node `cap`", "pipeline `main`", "`kv = true`", "agent.toml:"] {
        assert!(ended.log.contains(part), "`{part}` is not in {}", ended.log);
    }
    assert!(!ended.log.contains("node/log@"), "a granted import is not reported: {}", ended.log);
    folder.write("agent.toml", config("mode = \"log\"", ALL, false));
    assert_eq!(folder.run(&["validate", "agent.toml"]).code, 0);
}

#[test]
fn a_pack_gives_a_reason_and_the_operator_grants() {
    let folder = folder(&["one"]);
    pack(&folder, "pack", "1.0.0", r#"mode = "clock""#);
    let agent = |grants: &str| {
        Config::new()
            .file_source("lines", "in.log")
            .set("follow", false)
            .pack("main", &["lines"], "./pack")
            .grants(grants)
            .file_sink("all", &["main.all"], "all.ndjson")
            .text()
    };
    let without_clock: String =
        ALL.lines().filter(|line| !line.starts_with("clock")).map(|line| format!("{line}\n")).collect();
    folder.write("agent.toml", agent(&without_clock));
    let ended = folder.run(&["validate", "agent.toml"]);
    assert_eq!(ended.code, 78, "{}", ended.text());
    for part in ["wattle:node/clock@0.2.0", "node `cap` of pack `probe@1.0.0`", "`clock = true`", "to test clock"] {
        assert!(ended.text().contains(part), "`{part}` is not in {}", ended.text());
    }
    folder.once(&agent(ALL));
    assert_eq!(answers(&folder).len(), 1);
}

#[test]
fn a_built_in_node_that_remembers_keys_needs_the_grant() {
    let folder = Folder::new();
    let pack = |capabilities: &str| {
        format!(
            "[pack]\nname = \"unique\"\nversion = \"1.0.0\"\ncontract = \"0.2\"\ndescription = \"Unique lines.\"\n\
             [input]\ndescription = \"Lines.\"\n{capabilities}\n[nodes.once]\nartifact = \"builtin:dedup\"\n\
             inputs = [\"input\"]\noptions = {{ key = \"body\" }}\n[outputs.all]\ninputs = [\"once\", \"once.failed\"]\n"
        )
    };
    let agent = |grants: &str| {
        let config = Config::new().file_source("lines", "in.log").pack("main", &["lines"], "./unique");
        config.grants(grants).file_sink("all", &["main.all"], "all.ndjson").text()
    };
    let check = |capabilities: &str, grants: &str| {
        folder.write("unique/pack.toml", pack(capabilities));
        folder.write("agent.toml", agent(grants));
        folder.run(&["validate", "agent.toml"])
    };
    let asked = "[capabilities.seen]\nreason = \"finds duplicates\"";
    let ended = check(asked, "clock = true");
    assert_eq!(ended.code, 78, "{}", ended.text());
    for part in ["E0210", "node `once` of pack `unique@1.0.0` needs", "`seen = true`", "finds duplicates"] {
        assert!(ended.text().contains(part), "`{part}` is not in {}", ended.text());
    }
    let ended = check("", "seen = true");
    assert!(ended.code == 78 && ended.text().contains("E0209"), "{}", ended.text());
    let ended = check(asked, "seen = true");
    assert_eq!(ended.code, 0, "{}", ended.text());
    let shown = folder.run(&["pack", "lint", "unique"]);
    assert!(!shown.text().contains("W0604") && !shown.log.contains("W0604"), "{}{}", shown.text(), shown.log);
}

#[test]
fn an_inspected_artifact_shows_the_capabilities_that_it_imports() {
    let folder = folder(&[]);
    let shown = folder.run(&["inspect", "capable.wasm"]);
    let all = "requests the capabilities log, metrics, clock, random, host, lookup, kv, http-client";
    assert!(shown.text().contains(all), "{}{}", shown.text(), shown.log);
    let plain = folder.run(&["inspect", "builtin:mask"]);
    assert!(plain.code == 0 && !plain.text().contains("requests the capabilities"), "{}", plain.text());
}

#[test]
fn clock_and_random_answer() {
    let lines = folder(&["one", "two"]);
    lines.once(&config("mode = \"clock\"", ALL, false));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i64;
    for answer in answers(&lines) {
        let age = now - answer.parse::<i64>().unwrap();
        assert!((0..60_000_000_000).contains(&age), "{age} ns ago");
    }
    let lines = folder(&["one", "two"]);
    lines.once(&config("mode = \"random\", times = 16", ALL, false));
    let answers = answers(&lines);
    assert!(answers.iter().all(|answer| answer.len() == 32) && answers[0] != answers[1], "{answers:?}");
}

#[test]
fn facts_about_the_machine_answer() {
    let lines = folder(&["host.name", "os.type", "agent.version", "host.nmae"]);
    lines.once(&config("mode = \"host\"", ALL, false));
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(answers(&lines), [name.trim(), std::env::consts::OS, env!("CARGO_PKG_VERSION")]);
    let failures = failures(&lines);
    assert!(failures.len() == 1 && failures[0].contains("there is no fact `host.nmae`"), "{failures:?}");
    assert!(failures[0].starts_with("invalid-decision"), "{failures:?}");
}

#[test]
fn breaking_a_rule_of_a_capability_is_a_fault_of_the_node() {
    let lines = folder(&["one"]);
    lines.once(&config("mode = \"bad-metric\"", ALL, false));
    let failures = failures(&lines);
    assert!(failures.len() == 1 && failures[0].contains("`no name` is not a metric name"), "{failures:?}");
    assert!(failures[0].starts_with("invalid-decision"), "{failures:?}");
    let lines = folder(&["one"]);
    lines.write("agent.toml", config("mode = \"kv-on-configure\"", ALL, false));
    let ended = lines.run(&["validate", "agent.toml"]);
    assert_eq!(ended.code, 78, "{}", ended.text());
    assert!(ended.text().contains("called the capability `kv` outside of `process`"), "{}", ended.text());
}

#[test]
fn metrics_of_a_node_are_shown_and_survive_a_swap() {
    let folder = folder(&["four", "a line that is longer than ten"]);
    let address = wattle_tests::free_address();
    let config = |options: &str| {
        format!(
            "[admin]\nlisten = \"{address}\"\n{}",
            config(options, &all_but(&[("metrics", "{ max_series = 20 }")]), true)
        )
    };
    let mut agent = folder.start(&config("mode = \"count\""));
    let rows = |labels: &[(&str, &str)]| crate::scrape(address).sum("wattle_guest_rows_total", labels);
    let own = [("pipeline", "main"), ("node", "cap"), ("kind", "any")];
    wattle_tests::wait_until("two rows are counted", || rows(&own) == 2.0);
    let metrics = crate::scrape(address);
    assert_eq!(metrics.sum("wattle_guest_size_count", &[("node", "cap")]), 2.0);
    assert_eq!(metrics.sum("wattle_guest_size_bucket", &[("le", "10")]), 1.0);
    assert_eq!(metrics.sum("wattle_guest_size_sum", &[]), 34.0);
    let calls = metrics.sum("wattle_capability_calls_total", &[("node", "cap"), ("capability", "metrics")]);
    assert!(calls >= 6.0, "{calls}");
    folder.write("agent.toml", config("mode = \"count\", times = 2"));
    let reloaded = folder.run(&["reload", "--config", "agent.toml"]);
    assert_eq!(reloaded.code, 0, "{}{}", reloaded.text(), reloaded.log);
    append(&folder, "more");
    wattle_tests::wait_until("the third row is added to the two", || rows(&own) == 3.0);
    assert!(get(address, "/readyz").is_some() && agent.is_running());
    agent.stop();
}

#[test]
fn a_case_can_mock_capabilities() {
    let folder = folder(&[]);
    folder.write(
        "node.toml",
        "name = \"capable\"\nartifact = \"capable.wasm\"\n[build]\noutput = \"capable.wasm\"\nwatch = []\nsteps = []\n",
    );
    let out = |answers: &[&str]| {
        let events: Vec<_> = answers.iter().map(|a| serde_json::json!({ "attributes": { "answer": a } })).collect();
        serde_json::json!({ "out": events })
    };
    let input = serde_json::json!([{ "body": "1" }, { "body": "2" }]);
    for (name, mut case) in [
        (
            "clock",
            serde_json::json!({
                "options": { "mode": "clock" }, "mocks": { "clock": "1970-01-01T00:00:01Z" },
                "expected": out(&["1000000000", "1000000000"]),
            }),
        ),
        (
            "host",
            serde_json::json!({
                "options": { "mode": "host" }, "mocks": { "host": { "host.name": "web-1", "host.id": null } },
                "input": [{ "body": "host.name" }, { "body": "host.id" }, { "body": "os.type" }],
                "expected": { "out": [
                    { "attributes": { "answer": "web-1" } }, { "body": "host.id" }, { "attributes": { "answer": "linux" } },
                ] },
            }),
        ),
        (
            "lookup",
            serde_json::json!({
                "options": { "mode": "lookup", "table": "accounts", "column": "name" },
                "mocks": { "lookup": { "accounts": { "key": "id", "rows": [{ "id": "1", "name": "prod" }] } } },
                "expected": { "out": [{ "attributes": { "answer": "prod" } }, { "body": "2" }] },
            }),
        ),
        (
            "kv",
            serde_json::json!({
                "options": { "mode": "kv-add" }, "mocks": { "kv": { "1": 41 } }, "expected": out(&["42", "1"]),
            }),
        ),
        (
            "seen",
            serde_json::json!({
                "options": { "mode": "claim" }, "mocks": { "seen": ["1"] }, "expected": out(&["old", "new"]),
            }),
        ),
        (
            "http",
            serde_json::json!({
                "options": { "mode": "http", "url": "https://a.example/x" },
                "mocks": { "http": { "GET https://a.example/x": { "status": 418, "body": "tea" } } },
                "expected": out(&["418 tea", "418 tea"]),
            }),
        ),
        (
            "log-and-metrics",
            serde_json::json!({
                "options": { "mode": "count" }, "log": [], "expected": { "out": [{ "body": "1" }, { "body": "2" }] },
                "metrics": { "rows_total{kind=\"any\"}": 2, "last_batch": 2, "size_bucket{le=\"10\"}": 2 },
            }),
        ),
        (
            "log",
            serde_json::json!({
                "options": { "mode": "log" }, "log": ["info: 1", "info: 2"],
                "expected": { "out": [{ "body": "1" }, { "body": "2" }] },
            }),
        ),
    ] {
        if case.get("input").is_none() {
            case["input"] = input.clone();
        }
        folder.write(format!("tests/cases/{name}.json"), case.to_string());
    }
    let ended = folder.run(&["node", "test"]);
    assert_eq!(ended.code, 0, "{}{}", ended.text(), ended.log);
    assert!(ended.text().contains("8 passed, 0 failed"), "{}", ended.text());
    folder.write(
        "tests/cases/log.json",
        serde_json::json!({
            "options": { "mode": "log" }, "log": ["info: 1"], "input": input,
            "expected": { "out": [{ "body": "1" }, { "body": "2" }] },
        })
        .to_string(),
    );
    let ended = folder.run(&["node", "test"]);
    assert!(ended.code != 0 && ended.text().contains("log: expected"), "{}", ended.text());
}
