//! `wattle status`: its output and its exit codes.

use serde_json::Value;
use wattle_tests::{Config, Endpoint, Folder, free_address, get, wait_until};

use crate::{config, is_ready};

#[test]
fn status_shows_a_running_agent_and_its_exit_code_is_the_readiness() {
    let folder = Folder::new();
    let admin = free_address();
    let none = folder.run(&["status", "--url", &format!("http://{admin}")]);
    assert_eq!(none.code, 69, "{}", none.log);
    assert!(none.log.contains(&format!("no agent answers at `{admin}`")), "{}", none.log);

    let mut agent = folder.start(&config(admin));
    wait_until("the agent is ready", || is_ready(admin));
    wait_until("events in the status", || {
        let status: Value = serde_json::from_str(&get(admin, "/status").unwrap().text).unwrap();
        status["pipelines"][0]["events_per_second"].as_f64().unwrap() > 0.0
    });
    let seen = folder.run(&["status", "--config", "agent.toml"]);
    assert_eq!(seen.code, 0, "{}", seen.log);
    let text = seen.text();
    assert!(text.starts_with("● wattle ") && text.contains(": ready\n"), "{text}");
    for part in
        ["Config: agent.toml", "Generation: 1,", "SOURCE", "load    demo  running", "main      cloudtrail@1.0.0"]
    {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let json = folder.run(&["status", "--url", &admin.to_string(), "--json"]);
    let status: Value = serde_json::from_str(json.text()).unwrap();
    assert_eq!((&status["ready"], &status["sinks"][0]["type"]), (&Value::from(true), &Value::from("blackhole")));
    let nodes = status["pipelines"][0]["nodes"].as_array().unwrap();
    assert!(nodes.iter().any(|n| n["type"].as_str().unwrap().starts_with("mask@") && n["calls"].as_u64() > Some(0)));

    folder.replace("agent.toml", config(admin).replace("cloudtrail@1.0.0", "cloudtrail@9.9.9"));
    agent.wait_for("the running one stays");
    let refused = folder.run(&["status", "--config", "agent.toml"]);
    assert_eq!(refused.code, 0, "what runs is well: {}", refused.text());
    assert!(refused.text().contains("Reload: invalid at "), "{}", refused.text());
    agent.stop();
}

#[test]
fn a_source_that_cannot_start_makes_the_agent_not_ready_and_is_named() {
    let folder = Folder::new();
    let admin = free_address();
    // A file in place of the folder for its positions.
    folder.write("data/sources/broken", "");
    let more = Config::new().file_source("broken", "in/*").text();
    let config = config(admin).replace("inputs = [\"load\"]", "inputs = [\"load\", \"broken\"]") + &more;
    let agent = folder.start(&config);
    wait_until("the source has ended", || {
        get(admin, "/readyz").is_some_and(|answer| answer.text.starts_with("source `broken` ended: "))
    });
    let seen = folder.run(&["status", "--config", "agent.toml"]);
    assert_eq!(seen.code, 1, "{}", seen.text());
    let text = seen.text();
    assert!(text.contains(": not ready\n") && text.contains("     Reason: source `broken` ended: "), "{text}");
    assert!(text.contains("broken  file  failed"), "{text}");
    let json = folder.run(&["status", "--config", "agent.toml", "--json"]);
    assert_eq!(json.code, 1);
    drop(agent.kill());
}

#[test]
fn status_works_without_an_admin_listener_and_names_the_place_without_an_agent() {
    let folder = Folder::new();
    let listen = "[admin]\nlisten = \"127.0.0.1:0\"\n";
    for config in ["", listen] {
        folder.write("agent.toml", config);
        let ended = folder.run(&["status", "--config", "agent.toml"]);
        assert_eq!(ended.code, 69);
        assert!(ended.log.contains("no agent answers at `") && ended.log.contains("control.sock"), "{}", ended.log);
    }
    let to = free_address();
    let server = Endpoint::listen(to);
    server.answer(503);
    folder.write("in/a.log", "one\ntwo\n");
    let agent = folder.start(
        &Config::new()
            .file_source("lines", "in/*.log")
            .pipeline("main", &["lines"])
            .output("all", &["input"])
            .http_sink("out", &["main.all"], &format!("http://{to}/"))
            .set("request.retry_max_backoff", "50ms")
            .text(),
    );
    wait_until("attempts that fail", || server.refused() > 1);
    for place in [["--config", "agent.toml"], ["--data-dir", "data"]] {
        let seen = folder.run(&["status", place[0], place[1]]);
        assert_eq!(seen.code, 0, "{}", seen.log);
        assert!(seen.text().contains("out   http  retrying"), "{}", seen.text());
        let text = seen.text();
        assert!(text.contains("sink `out`: retrying for ") && text.contains("; 2 events ("), "{text}");
        assert!(text.contains("wait, the oldest for "), "{text}");
    }
    server.answer(200);
    wait_until("the sink delivers again", || {
        let seen = folder.run(&["status", "--config", "agent.toml", "--json"]);
        let status: Value = serde_json::from_str(seen.text()).unwrap();
        status["sinks"][0]["state"] == "running" && status["sinks"][0]["backlog"]["events"] == 0
    });
    agent.stop().summary();
    for (arguments, code) in [(["--config", "absent.toml"], 78), (["--url", "https://localhost"], 78)] {
        assert_eq!(folder.run(&["status", arguments[0], arguments[1]]).code, code);
    }
}
