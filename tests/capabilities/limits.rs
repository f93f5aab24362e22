//! Each limit holds, and the agent and healthy rows continue.

use wattle_tests::capable_config;

use crate::{ALL, all_but, answers, append, config, failures, folder, scrape};

#[test]
fn a_flood_of_log_lines_is_suppressed_counted_and_summarised() {
    let lines = folder(&["flood", "of", "lines"]);
    let address = wattle_tests::free_address();
    let grants = all_but(&[("log", "{ level = \"info\", lines_per_second = 5 }")]);
    let config = format!("[admin]\nlisten = \"{address}\"\n{}", config("mode = \"log\", times = 1000", &grants, true));
    let mut agent = lines.start(&config);
    agent.wait_for("suppressed log lines of a node");
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
fn a_flood_of_series_shares_one_series() {
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

#[test]
fn keys_and_values_stay_within_their_quota_and_survive_a_swap() {
    let lines = folder(&["a", "b", "c"]);
    lines.once(&config("mode = \"kv-set\", times = 5000", &all_but(&[("kv", "{ max_size = \"10KiB\" }")]), false));
    let said = answers(&lines);
    assert!(said.len() == 3 && said.iter().all(|answer| answer.contains("bytes would be kept")), "{said:?}");

    let lines = folder(&["seen", "seen"]);
    let mut agent = lines.start(&config("mode = \"kv-add\"", ALL, true));
    wattle_tests::wait_until("two are counted", || answers(&lines).contains(&"2".to_owned()));
    lines.write("agent.toml", config("mode = \"kv-get\"", ALL, true));
    let reloaded = lines.run(&["reload", "--config", "agent.toml"]);
    assert_eq!(reloaded.code, 0, "{}{}", reloaded.text(), reloaded.log);
    append(&lines, "seen");
    wattle_tests::wait_until("the next version reads what the former wrote", || answers(&lines).len() == 3);
    assert_eq!(answers(&lines)[2], "2");
    assert!(agent.is_running());
    agent.stop();
}

#[test]
fn delivered_keys_are_known_after_a_kill_and_a_call_that_faults_claims_nothing() {
    let lines = folder(&["a", "b", "a"]);
    let grants = all_but(&[("seen", "{ durable = true }")]);
    let options = "mode = \"claim\", poison = \"poison\"";
    let config = capable_config("data_dir = \"data\"", "follow = true", &grants, options);
    let agent = lines.start(&config);
    wattle_tests::wait_until("the rows are there", || answers(&lines).len() == 3);
    assert_eq!(answers(&lines), ["new", "new", "old"]);
    // The row of the poison fails; the calls before had claimed the key of the other.
    append(&lines, "c\npoison");
    wattle_tests::wait_until("the other row is there", || answers(&lines).len() == 4);
    assert_eq!(answers(&lines)[3], "new");
    let log = || lines.read("data/seen/main/cap").len();
    wattle_tests::wait_until("three claims of 28 bytes are written", || log() == 16 + 3 * 28);
    agent.kill();
    append(&lines, "c\nd");
    let agent = lines.start(&config);
    let all = || lines.events("all.ndjson");
    wattle_tests::wait_until("the new row is there", || all().iter().any(|event| event["body"] == "d"));
    let all = all();
    let answer = |body: &str| {
        let last = all.iter().rfind(|event| event["body"] == body).unwrap();
        last["attributes"]["answer"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!((answer("c"), answer("d")), ("old".into(), "new".into()));
    agent.stop();
}

#[test]
fn requests_go_to_granted_hosts_and_public_addresses_only() {
    let address = wattle_tests::free_address();
    let port = address.port();
    for (url, grants, code) in [
        (
            format!("http://127.0.0.1:{port}/"),
            format!("{{ hosts = [\"http://127.0.0.1:{port}\"] }}"),
            "address-not-allowed",
        ),
        (
            format!("http://localhost:{port}/"),
            format!("{{ hosts = [\"http://localhost:{port}\"] }}"),
            "address-not-allowed",
        ),
        (
            "http://169.254.169.254/latest/meta-data/".into(),
            "{ hosts = [\"http://169.254.169.254\"] }".into(),
            "address-not-allowed",
        ),
        ("https://example.com/".into(), "{ hosts = [\"api.example.com\"] }".into(), "host-not-allowed"),
        ("file:///etc/passwd".into(), "{ hosts = [\"api.example.com\"] }".into(), "bad-request"),
    ] {
        let lines = folder(&["one", "two"]);
        lines.once(&config(&format!("mode = \"http\", url = \"{url}\""), &all_but(&[("http-client", &grants)]), false));
        assert_eq!(answers(&lines), [code, code], "{url}");
    }
}

#[test]
fn a_silent_server_costs_its_budget_and_no_fault() {
    // It accepts connections and never responds.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let lines = folder(&["one"]);
    let grant = format!(
        "{{ hosts = [\"http://127.0.0.1:{port}\"], timeout = \"3s\", time_per_batch = \"2s\", allow_private = true }}"
    );
    let options = format!("mode = \"http\", times = 3, url = \"http://127.0.0.1:{port}/\"");
    // Far less time than the requests take.
    let config = config(&options, &all_but(&[("http-client", &grant)]), false)
        .replace("artifact = \"capable.wasm\"", "artifact = \"capable.wasm\"\nlimits = { time = \"300ms\" }");
    let since = std::time::Instant::now();
    lines.once(&config);
    assert!(since.elapsed().as_secs() < 30);
    let said = answers(&lines);
    assert!(said.len() == 1 && said[0].contains("timeout"), "{said:?} {:?}", failures(&lines));
    assert!(failures(&lines).is_empty(), "{:?}", failures(&lines));
}

#[test]
fn a_table_of_a_million_rows_is_looked_up_and_reloaded_when_it_changes() {
    let lines = folder(&["id-0", "id-999999", "missing"]);
    let table = |team: &str| {
        let rows = (0..1_000_000).map(|i| format!("id-{i},{team}-{}\n", i % 100));
        std::iter::once("id,team\n".to_owned()).chain(rows).collect::<String>()
    };
    lines.write("accounts.csv", table("team"));
    let grants = all_but(&[("lookup", "{ tables = { accounts = \"accounts.csv\" } }")]);
    let config = config("mode = \"lookup\", table = \"accounts\", column = \"team\"", &grants, true);
    let agent = lines.start(&config);
    wattle_tests::wait_until("all rows are there", || answers(&lines).len() == 3);
    assert_eq!(answers(&lines), ["team-0", "team-99", ""]);
    println!("memory of the agent: {} MiB", agent.memory() >> 20);
    lines.replace("accounts.csv", table("crew"));
    let reloaded = lines.run(&["reload", "--config", "agent.toml"]);
    assert_eq!(reloaded.code, 0, "{}{}", reloaded.text(), reloaded.log);
    append(&lines, "id-5");
    wattle_tests::wait_until("the fourth row is there", || answers(&lines).len() == 4);
    assert_eq!(answers(&lines)[3], "crew-5");
    // An invalid table does not replace the current one.
    lines.replace("accounts.csv", "nothing,of\nthe,kind\n");
    let refused = lines.run(&["reload", "--config", "agent.toml"]);
    assert_ne!(refused.code, 0, "{}", refused.text());
    append(&lines, "id-7");
    wattle_tests::wait_until("the fifth row is there", || answers(&lines).len() == 5);
    assert_eq!(answers(&lines)[4], "crew-7");
    agent.stop();
}
