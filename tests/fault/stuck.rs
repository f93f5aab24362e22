//! A node that does not return within its limit, and an agent that must end.

use std::fmt::Write as _;

use wattle_tests::evil::{LINES, folder, pipeline};
use wattle_tests::{Agent, Folder, Metrics, free_address, get, wait_until};

/// An agent in a call of a node that does not return for an hour.
fn stuck() -> (Folder, Agent) {
    let (folder, admin) = (folder(3, &[1]), free_address());
    let mut config = LINES.to_owned() + &pipeline("spin", "time = \"1h\"", "");
    let _ = write!(config, "[admin]\nlisten = \"{admin}\"\n[agent]\ndrain_timeout = \"8s\"\n");
    let agent = folder.start(&config);
    // The event is counted before the node is called.
    wait_until("the node is called", || {
        let metrics = get(admin, "/metrics").map(|answer| Metrics::read(&answer.text));
        metrics.is_some_and(|metrics| metrics.sum("wattle_node_received_events_total", &[]) > 0.0)
    });
    (folder, agent)
}

#[test]
fn a_second_signal_ends_the_agent_at_once_although_a_node_does_not_return() {
    for second in ["TERM", "INT"] {
        let (folder, mut agent) = stuck();
        agent.signal("TERM");
        // On a busy machine, the agent sees the signal later than it is sent.
        agent.wait_for("draining");
        // Signals that follow the first one within half a second count as the same.
        std::thread::sleep(std::time::Duration::from_millis(700));
        assert!(agent.is_running(), "it drains");
        agent.signal(second);
        let ended = agent.ended();
        assert_eq!(ended.code, 1, "{}", ended.log);
        assert!(ended.log.contains("stopped by a second signal"), "{}", ended.log);
        assert!(folder.read("spin-ok.ndjson").is_empty() && folder.read("spin-fails.ndjson").is_empty());
    }
}

#[test]
fn a_drain_leaves_a_node_that_does_not_return_and_loses_nothing() {
    let (folder, agent) = stuck();
    agent.signal("TERM");
    let ended = agent.ended();
    assert_eq!(ended.code, 1, "{}", ended.log);
    assert!(ended.log.contains("a node did not return in time"), "{}", ended.log);
    assert!(ended.log.contains("the sources offer it again at the next start"), "{}", ended.log);
    // The next start processes all events.
    folder.once(&(LINES.to_owned() + &pipeline("spin", "time = \"100ms\"", ""))).summary();
    assert_eq!(folder.read("spin-ok.ndjson").iter().filter(|b| **b == b'\n').count(), 2);
    assert_eq!(folder.events("spin-fails.ndjson").len(), 1);
}
