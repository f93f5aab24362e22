//! Machines that reach other hosts only through a proxy.

use std::net::SocketAddr;

use wattle_tests::{Agent, Config, Endpoint, Folder, free_address, wait_until};

/// A sink that sends three lines to this address.
fn config(uri: &str, more: &str) -> String {
    Config::new()
        .file_source("in", "in.log")
        .pipeline("main", &["in"])
        .output("all", &["input"])
        .http_sink("out", &["main.all"], uri)
        .with(more)
        .set("batch.timeout", "20ms")
        .set("request.retry_initial_backoff", "50ms")
        .set("request.retry_max_backoff", "200ms")
        .text()
}

fn start(uri: &str, more: &str, variables: &[(&str, &str)]) -> (Folder, Agent) {
    let folder = Folder::new();
    folder.write("in.log", "1\n2\n3\n");
    folder.write("agent.toml", config(uri, more));
    let mut agent =
        Agent::start(folder.wattle().envs(variables.iter().copied()).args(["run", "--config", "agent.toml"]));
    agent.wait_for("running");
    (folder, agent)
}

/// Checks that a server receives all events, as the proxy or as the destination.
fn arrives(at: SocketAddr, uri: &str, more: &str, variables: &[(&str, &str)]) -> String {
    let endpoint = Endpoint::listen(at);
    let (_folder, agent) = start(uri, more, variables);
    wait_until("the events", || endpoint.events().len() == 3);
    agent.stop().log
}

#[test]
fn the_proxy_of_the_environment_is_used_and_logged() {
    let at = free_address();
    let proxy = format!("http://me:geheim@{at}");
    for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY"] {
        let log = arrives(at, "http://in.example.invalid/", "", &[(name, &proxy)]);
        assert!(log.contains(&format!("proxy=\"{at}\"")) || log.contains(&format!("proxy={at}")), "{log}");
        assert!(!log.contains("geheim"), "a secret in the log");
    }
}

#[test]
fn hosts_in_no_proxy_are_reached_directly() {
    let (at, nowhere) = (free_address(), free_address());
    let proxy = format!("http://{nowhere}");
    arrives(at, &format!("http://{at}/"), "", &[("http_proxy", &proxy), ("no_proxy", "127.0.0.0/8")]);
    arrives(at, &format!("http://{at}/"), "proxy.enabled = false", &[("http_proxy", &proxy)]);
}

#[test]
fn the_option_overrides_the_environment() {
    let (at, nowhere) = (free_address(), free_address());
    let (option, proxy) = (format!("proxy = \"http://{at}\""), format!("http://{nowhere}"));
    arrives(at, "http://in.example.invalid/", &option, &[("http_proxy", &proxy)]);
}

#[test]
fn an_unusable_proxy_is_refused_at_the_start() {
    let folder = Folder::new();
    folder.write("agent.toml", config("http://in.example.invalid/", ""));
    let ended = wattle_tests::finish(
        folder.wattle().env("HTTP_PROXY", "socks5://me:geheim@h:1").args(["run", "--config", "agent.toml"]),
        b"",
    );
    assert_ne!(ended.code, 0);
    assert!(ended.log.contains("environment variable `HTTP_PROXY`") && !ended.log.contains("geheim"), "{}", ended.log);
    folder.write("agent.toml", config("http://in.example.invalid/", "proxy.htps = \"http://p:1\""));
    let ended = folder.run(&["validate", "agent.toml"]);
    let said = ended.text();
    assert!(said.contains("unknown option `proxy.htps`") && said.contains("did you mean `https`?"), "{said}");
}
