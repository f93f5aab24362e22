//! Nodes that work as one: each is still counted, blamed, watched and swapped by its own name.

use std::net::{SocketAddr, TcpStream};

use wattle_tests::{Config, Folder, Metrics, built, free_address, get, send, wait_until};

/// Nodes in a row that replace `a` by `b1`, `c` by `d1` and `e` by `f1`; `more` are further options of the second one.
fn config(source: SocketAddr, admin: SocketAddr, more: &str) -> String {
    let guest = built("guests/fusible.wasm").display().to_string();
    let options = |from: &str, to: &str, more: &str| format!("options = {{ from = \"{from}\", to = \"{to}\"{more} }}");
    Config::new()
        .agent("workers = 1")
        .admin(admin)
        .http_source("lines", source)
        .pipeline("letters", &["lines"])
        .node("first", &guest, &["input"])
        .with(options("a", "b1", ""))
        .node("second", &guest, &["first"])
        .with(options("c", "d1", more))
        .node("third", &guest, &["second"])
        .with(options("e", "f1", ""))
        .output("ok", &["third"])
        .output("fails", &["first.failed", "second.failed", "third.failed"])
        .file_sinks(&["ok", "fails"])
        .text()
}

fn metrics(admin: SocketAddr) -> Metrics {
    Metrics::read(&get(admin, "/metrics").unwrap().text)
}

/// A metric of each node.
fn of_nodes(metrics: &Metrics, name: &str, labels: &[(&str, &str)]) -> [f64; 3] {
    ["first", "second", "third"].map(|node| metrics.sum(name, &[labels, &[("node", node)]].concat()))
}

fn bodies(folder: &Folder, output: &str) -> Vec<String> {
    folder.events(output).iter().map(|event| event["body"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn nodes_that_work_as_one_are_counted_blamed_and_swapped_separately() {
    let folder = Folder::new();
    let (source, admin) = (free_address(), free_address());
    let agent = folder.start(&config(source, admin, ", panics_on = \"poison\", refuses = \"each alone\""));
    wait_until("the source listens", || TcpStream::connect(source).is_ok());
    let batch = |text: &str| assert_eq!(send(source, &[], text.as_bytes()).status, 200);

    batch("ace\naa");
    let seen = metrics(admin);
    assert_eq!(of_nodes(&seen, "wattle_node_counts_total", &[("name", "fused")]), [1.0, 0.0, 0.0]);
    assert_eq!(of_nodes(&seen, "wattle_node_counts_total", &[("name", "replaced")]), [3.0, 1.0, 1.0]);
    assert_eq!(of_nodes(&seen, "wattle_node_received_events_total", &[]), [2.0; 3]);
    assert_eq!(of_nodes(&seen, "wattle_node_sent_events_total", &[("port", "out")]), [2.0; 3]);

    // The one that faults is blamed, and only its row fails.
    batch("ace\na poison");
    let seen = metrics(admin);
    assert_eq!(of_nodes(&seen, "wattle_node_counts_total", &[("name", "fused")]), [1.0, 0.0, 0.0]);
    assert_eq!(of_nodes(&seen, "wattle_node_failed_events_total", &[]), [0.0, 1.0, 0.0]);
    let faults = of_nodes(&seen, "wattle_node_faults_total", &[]);
    assert!(faults[0] == 0.0 && faults[1] > 0.0 && faults[2] == 0.0, "{faults:?}");

    // Then they are not asked for one batch, and refuse the next one as one.
    batch("ace");
    batch("ace each alone");
    let seen = metrics(admin);
    assert_eq!(of_nodes(&seen, "wattle_node_counts_total", &[("name", "fused")]), [1.0, 0.0, 0.0]);
    wait_until("all events", || bodies(&folder, "ok.ndjson").len() == 5);
    assert_eq!(bodies(&folder, "fails.ndjson"), ["b1 poison"]);

    // A swap of the second one swaps that one; the instance for all is new as well.
    folder.replace("agent.toml", config(source, admin, "").replace("\"d1\"", "\"d2\""));
    assert_eq!(folder.run(&["reload", "--config", "agent.toml"]).code, 0);
    (0..3).for_each(|_| batch("ace"));
    let seen = metrics(admin);
    assert_eq!(of_nodes(&seen, "wattle_node_counts_total", &[("name", "fused")]), [4.0, 0.0, 0.0]);
    wait_until("events of the new version", || bodies(&folder, "ok.ndjson").len() == 8);
    let expected = ["b1d1f1", "b1b1", "b1d1f1", "b1d1f1", "b1d1f1 f1b1d1h b1lonf1", "b1d2f1", "b1d2f1", "b1d2f1"];
    assert_eq!(bodies(&folder, "ok.ndjson"), expected);
    let summary = agent.stop().summary();
    assert_eq!((summary.pipeline().delivered, summary.pipeline().failed), (8, 1));
}
