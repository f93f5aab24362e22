//! Metrics account for every event, at rest and over reloads.

use std::sync::atomic::{AtomicBool, Ordering};

use wattle_tests::{Config, Folder, Metrics, Trail, built, free_address, send, wait_until};

use crate::{is_ready, scrape};

/// Asserts that every event is accounted for.
#[track_caller]
fn assert_conserved(metrics: &Metrics) {
    for pipeline in metrics.values("wattle_pipeline_received_events_total", "pipeline") {
        let of = |what: &str| metrics.sum(&format!("wattle_pipeline_{what}_total"), &[("pipeline", &pipeline)]);
        let events_in = of("received_events") + of("split_children") - of("split_parents") + of("copied_events");
        let events_out = of("delivered_events") + of("failed_events") + of("dropped_events");
        assert!(events_in == events_out && events_in > 0.0, "pipeline {pipeline}: {events_in} in, {events_out} out");
        for node in metrics.values("wattle_node_received_events_total", "node") {
            let labels = [("pipeline", pipeline.as_str()), ("node", node.as_str())];
            let of = |what: &str| metrics.sum(&format!("wattle_node_{what}_total"), &labels);
            let events_in = of("received_events") + of("split_children") - of("split_parents") + of("copied_events");
            let events_out = of("sent_events") + of("dropped_events");
            assert_eq!(events_in, events_out, "node {pipeline}.{node}");
            let failed = [labels[0], labels[1], ("port", "failed")];
            assert_eq!(of("failed_events"), metrics.sum("wattle_node_sent_events_total", &failed), "{node}");
        }
    }
    for sink in metrics.values("wattle_sink_received_events_total", "sink") {
        let of = |what: &str| metrics.sum(&format!("wattle_sink_{what}_events_total"), &[("sink", &sink)]);
        assert_eq!(of("received"), of("delivered") + of("failed"), "sink {sink}");
        assert_eq!(metrics.sum("wattle_sink_buffer_bytes", &[("sink", &sink)]), 0.0);
    }
}

#[test]
fn counters_never_decrease_over_reloads_and_add_up_when_all_is_delivered() {
    let folder = Folder::new();
    let (admin, from) = (free_address(), free_address());
    let config = |version: &str, more: &str| {
        Config::new()
            .admin(admin)
            .http_source("in", from)
            .pack("main", &["in"], &format!("cloudtrail@{version}"))
            .file_sink("kept", &["main.processed", "main.fails"], "kept.ndjson")
            .drop_sink("reads", &["main.get_describe_list"])
            .with(more)
            .text()
    };
    let copy = "[sinks.copy]\ntype = \"blackhole\"\ninputs = [\"main.*\"]\n";
    let mut agent = folder.start(&config("1.0.0", copy));
    wait_until("the agent is ready", || is_ready(admin));
    let sending = AtomicBool::new(true);
    let (sent, last) = std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut trail = Trail::new(41, 30);
            let mut sent = 0;
            while sending.load(Ordering::Relaxed) {
                let (kind, document) = match sent % 5 {
                    4 => ("text/plain", b"this is no document".to_vec()),
                    _ => ("application/json", trail.document()),
                };
                let answer = send(from, &[("content-type", kind)], &document);
                assert_eq!(answer.status, 200, "{}", answer.text);
                sent += 1;
            }
            sent
        });
        let mut last = scrape(admin);
        for (version, more) in [("1.1.0", copy), ("1.0.0", ""), ("1.1.0", "")] {
            for _ in 0..20 {
                let next = scrape(admin);
                next.assert_not_before(&last);
                last = next;
            }
            folder.replace("agent.toml", config(version, more));
            agent.wait_for("reloaded");
            assert_eq!(scrape(admin).values("wattle_pipeline_info", "version"), [version]);
        }
        let received = |metrics: &Metrics| metrics.sum("wattle_pipeline_received_events_total", &[]);
        wait_until("events after the last reload", || received(&scrape(admin)) > received(&last) + 10.0);
        sending.store(false, Ordering::Relaxed);
        (client.join().unwrap(), last)
    });
    let end = scrape(admin);
    end.assert_not_before(&last);
    assert_conserved(&end);
    let of = |name: &str, labels: &[(&str, &str)]| end.sum(name, labels);
    assert_eq!(of("wattle_source_received_events_total", &[("source", "in")]), f64::from(sent));
    assert_eq!(of("wattle_pipeline_received_events_total", &[("pipeline", "main")]), f64::from(sent));
    assert_eq!(of("wattle_node_failed_events_total", &[("node", "unroll")]), f64::from(sent / 5));
    assert_eq!(of("wattle_pipeline_failed_events_total", &[]), f64::from(sent / 5));
    assert_eq!(of("wattle_generation", &[]), 4.0);
    assert!(
        of("wattle_sink_delivered_events_total", &[("sink", "copy")]) > 0.0,
        "a sink that is gone keeps its counts"
    );
    assert_eq!(end.values("wattle_sink_up", "sink"), ["kept", "reads"]);
    let calls = of("wattle_node_call_seconds_count", &[("node", "unroll")]);
    assert_eq!(of("wattle_node_call_seconds_bucket", &[("node", "unroll"), ("le", "+Inf")]), calls);
    assert!(calls >= f64::from(sent) && of("wattle_node_memory_bytes", &[("node", "unroll")]) > 0.0);
    assert!(of("process_resident_memory_bytes", &[]) > 1e6 && of("process_open_fds", &[]) > 5.0);
    assert!(of("wattle_compile_cache_hits_total", &[]) > 0.0);
    let summary = agent.stop().summary();
    assert_eq!(summary.pipeline().received, sent as u64);
}

#[test]
fn faults_are_counted_by_kind_and_blame() {
    let folder = Folder::new();
    let (admin, from) = (free_address(), free_address());
    folder.write("faulty.wasm", std::fs::read(built("guests/faulty.wasm")).unwrap());
    let agent = folder.start(
        &Config::new()
            .admin(admin)
            .http_source("in", from)
            .pipeline("main", &["in"])
            .set("discard", vec!["fails"])
            .node("faulty", "faulty.wasm", &["input"])
            .set("options.fault", "panic")
            .ok_and_fails("faulty")
            .drop_sink("ok", &["main.ok"])
            .text(),
    );
    wait_until("the agent is ready", || is_ready(admin));
    let rows = "{\"kind\":\"healthy\"}\n{\"kind\":\"poison\"}\n{\"kind\":\"healthy\"}\n";
    assert_eq!(send(from, &[], rows.as_bytes()).status, 200);
    let metrics = scrape(admin);
    assert_conserved(&metrics);
    let faults = [("pipeline", "main"), ("node", "faulty"), ("kind", "trap"), ("blame", "guest")];
    // Twice for the whole batch, then for the half with the poison, then for the row itself.
    assert!(metrics.sum("wattle_node_faults_total", &faults) >= 3.0);
    assert_eq!(metrics.sum("wattle_node_failed_events_total", &[("code", "trap")]), 1.0);
    assert_eq!(metrics.sum("wattle_pipeline_delivered_events_total", &[]), 2.0);
    assert_eq!(metrics.sum("wattle_pipeline_dropped_events_total", &[]), 1.0, "its output is discarded");
    assert!(metrics.sum("wattle_node_restarts_total", &[]) >= 1.0);
    agent.stop();
}

#[test]
fn a_quarantine_with_events_shows_in_metrics_and_status() {
    let folder = Folder::new();
    let (admin, from) = (free_address(), free_address());
    let agent = folder.start(
        &Config::new()
            .admin(admin)
            .http_source("in", from)
            .pipeline("trail", &["in"])
            .set("discard", vec!["fails"])
            .node("hide", "builtin:mask", &["input"])
            .with("options = { fields = [\"body\"], rules = [{ pattern = \"AKIA[A-Z0-9]{16}\" }] }")
            .set("limits.host_calls", 1)
            .ok_and_fails("hide")
            .drop_sink("ok", &["trail.ok"])
            .text(),
    );
    wait_until("the agent is ready", || is_ready(admin));
    let bytes = |metrics: &Metrics| metrics.sum("wattle_pipeline_quarantine_bytes", &[("pipeline", "trail")]);
    assert_eq!(
        scrape(admin).values("wattle_pipeline_quarantine_bytes", "pipeline"),
        ["trail"],
        "also while it is empty"
    );
    assert_eq!(send(from, &[], b"AKIA0000000000000001\n").status, 200);
    let kept = folder.read("data/quarantine/trail.ndjson").len();
    #[expect(clippy::cast_precision_loss, reason = "some hundred")]
    let expected = kept as f64;
    assert!(kept > 0);
    assert_eq!(bytes(&scrape(admin)), expected);
    let seen = folder.run(&["status", "--config", "agent.toml"]);
    assert!(
        seen.text().contains("pipeline `trail`: ") && seen.text().contains("wattle quarantine list"),
        "{}",
        seen.text()
    );
    let dropped = folder.run(&["quarantine", "drop", "trail", "--all", "--yes"]);
    assert_eq!(dropped.code, 0, "{}", dropped.log);
    assert_eq!(bytes(&scrape(admin)), 0.0);
    agent.stop();
}

#[test]
fn an_unreadable_file_is_counted_and_explained_once() {
    let folder = Folder::new();
    let admin = free_address();
    let config = Config::new()
        .admin(admin)
        .file_source("files", "in/*")
        .set("stable_after", "1ms")
        .set("glob_interval", "20ms")
        .pack("main", &["files"], "cloudtrail@1.0.0")
        .drop_sink("all", &["main.*"])
        .text();
    // Its header says gzip, but the rest is not gzip.
    folder.write("in/bad.json.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xff\xff\xff\xff");
    let failures = |metrics: &Metrics| metrics.sum("wattle_source_failures_total", &[("source", "files")]);
    let agent = folder.start(&config);
    wait_until("the agent is ready", || is_ready(admin));
    wait_until("the failure", || failures(&scrape(admin)) == 1.0);
    let seen = folder.run(&["status", "--config", "agent.toml"]);
    let text = seen.text();
    assert!(text.contains("source `files`: 1 failures of inputs"), "{text}");
    assert!(text.contains("bad.json.gz` is damaged after 0 decompressed bytes"), "{text}");
    // The agent reads a later file, and does not retry the bad one, neither now nor after a
    // restart.
    folder.write("in/good.json", br#"{"Records":[{"eventID":"1","eventName":"PutObject"}]}"#);
    let received = |metrics: &Metrics| metrics.sum("wattle_source_received_events_total", &[]);
    wait_until("the good file", || received(&scrape(admin)) == 1.0);
    assert_eq!(failures(&scrape(admin)), 1.0);
    agent.stop().summary();
    let agent = folder.start(&config);
    wait_until("the agent is ready", || is_ready(admin));
    folder.write("in/better.json", br#"{"Records":[{"eventID":"2","eventName":"PutObject"}]}"#);
    wait_until("the better file", || received(&scrape(admin)) == 1.0);
    assert_eq!(failures(&scrape(admin)), 0.0, "what failed before is known");
    agent.stop().summary();
}
