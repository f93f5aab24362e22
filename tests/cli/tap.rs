//! `wattle tap`.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;
use wattle_tests::{FakeAgent, Folder, Terminal, finish, free_address, wait_until};

fn tap(folder: &Folder, address: SocketAddr, more: &[&str]) -> Command {
    let mut command = folder.wattle();
    command.args(["tap", "--url", &address.to_string()]).args(more);
    command
}

#[test]
fn events_are_written_in_each_format_and_the_figures_to_standard_error() {
    let (folder, address) = (Folder::new(), free_address());
    let agent = FakeAgent::listen(address);
    let ended = finish(&mut tap(&folder, address, &["--limit", "2", "--rate", "3"]), b"");
    assert_eq!(ended.code, 0, "{}", ended.log);
    let lines: Vec<&str> = ended.text().lines().collect();
    assert_eq!(lines.len(), 2, "{}", ended.text());
    assert!(lines[0].starts_with("{\"timestamp\":") && lines[0].contains("12345678901234567890123"), "{}", lines[0]);
    assert!(ended.log.contains("2 events shown, 4 skipped, 20 passed"), "{}", ended.log);
    assert!(ended.log.contains("warning: more than 3 events a second match"), "{}", ended.log);
    let expected = "/api/v1/tap?point=trail.processed&point=trail.other&point=web.all&rate=3&limit=2";
    assert!(agent.requests().contains(&expected.to_owned()), "{:?}", agent.requests());

    let options = ["main.out", "--filter", "body~a b", "--format", "json", "-n", "1", "--quiet"];
    let ended = finish(&mut tap(&folder, address, &options), b"");
    let whole: Value = serde_json::from_str(ended.text()).unwrap();
    assert_eq!((&whole["point"], &whole["generation"]), (&Value::from("trail.processed"), &Value::from(12)));
    assert!(!ended.log.contains("shown"), "{}", ended.log);
    let expected = "/api/v1/tap?point=main.out&filter=body%7Ea+b&rate=10&limit=1";
    assert!(agent.requests().contains(&expected.to_owned()), "{:?}", agent.requests());

    let pretty = finish(&mut tap(&folder, address, &["--format", "pretty", "-n", "1"]), b"");
    assert!(
        pretty.text().starts_with("trail.processed  2026-11-30T20:00:00Z\n2026-11-30T19:59:59Z\n    event 1\n"),
        "{}",
        pretty.text()
    );
}

#[test]
fn ctrl_c_ends_with_the_figures_and_code_0() {
    let (folder, address) = (Folder::new(), free_address());
    let _agent = FakeAgent::listen(address);
    let mut terminal = Terminal::start(&tap(&folder, address, &[]), 100, 40);
    terminal.wait_for("    event 2");
    assert!(terminal.has_colors());
    terminal.press("\x03");
    terminal.wait_for(" events shown, ");
    assert_eq!(terminal.ended(), 0);
}

#[test]
fn a_closed_output_ends_quietly() {
    let (folder, address) = (Folder::new(), free_address());
    let _agent = FakeAgent::listen(address);
    let mut shell = Command::new("bash");
    let wattle = tap(&folder, address, &[]);
    shell.args(["-c", "set -o pipefail; \"$@\" | head -n 1", "bash"]).arg(wattle.get_program()).args(wattle.get_args());
    let ended = finish(&mut shell, b"");
    assert_eq!((ended.code, ended.text().lines().count()), (0, 1), "{}", ended.log);
    assert!(!ended.log.contains("shown") && !ended.log.contains("panicked"), "{}", ended.log);
}

#[test]
fn the_connection_is_opened_again_unless_the_operator_does_not_want_it() {
    let (folder, address) = (Folder::new(), free_address());
    for more in [&[][..], &["--no-reconnect"]] {
        let agent = FakeAgent::listen(address);
        let mut terminal = Terminal::start(&tap(&folder, address, more), 100, 40);
        terminal.wait_for("    event 2");
        drop(agent);
        terminal.wait_for("the connection to the agent ended");
        if more.is_empty() {
            terminal.wait_for("connecting again");
            let _agent = FakeAgent::listen(address);
            terminal.wait_for("connected again");
            terminal.press("\x03");
        }
        assert_eq!(terminal.ended(), if more.is_empty() { 0 } else { 69 });
    }
}

#[test]
fn a_refusal_and_a_missing_agent_are_explained() {
    let (folder, address) = (Folder::new(), free_address());
    let none = finish(&mut tap(&folder, address, &[]), b"");
    assert_eq!(none.code, 69, "{}", none.log);
    let agent = FakeAgent::listen(address).without_tap();
    let refused = finish(&mut tap(&folder, address, &["main.out"]), b"");
    assert_eq!((refused.code, refused.log.as_str()), (1, "wattle: tap is off; set `tap` in `[admin]`\n"));
    drop(agent);
    let _agent = FakeAgent::listen(address).without_api();
    let mut old = None;
    wait_until("the other agent answers", || {
        let ended = finish(&mut tap(&folder, address, &[]), b"");
        let is_old = ended.log.contains("without the API");
        old = Some(ended);
        is_old
    });
    assert_eq!(old.unwrap().code, 69);
}
