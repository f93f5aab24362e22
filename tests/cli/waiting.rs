//! Work that takes longer than a second is shown.

use wattle_tests::{Folder, free_address, wait_until};

#[test]
fn a_build_that_takes_longer_than_a_second_is_shown_and_a_short_one_is_not() {
    let folder = Folder::new();
    let project = |seconds: &str| {
        format!(
            "name = \"own\"\nartifact = \"own.wasm\"\n[build]\noutput = \"made.wasm\"\nwatch = []\n\
             steps = [{{ run = [\"sleep\", \"{seconds}\"] }}]\n"
        )
    };
    folder.write("own/node.toml", project("1.5"));
    let slow = folder.run(&["--color", "never", "node", "build", "own"]);
    assert!(slow.log.contains("building what=\"sleep 1.5\""), "{}", slow.log);
    folder.write("own/node.toml", project("0"));
    let quick = folder.run(&["node", "build", "own"]);
    assert!(!quick.log.contains("building"), "{}", quick.log);
}

#[test]
fn a_drain_names_the_sinks_that_it_waits_for() {
    let folder = Folder::new();
    folder.write("in.log", "one\ntwo\n");
    let server = free_address();
    let agent = folder.start(&format!(
        "[agent]\ndrain_timeout = \"3s\"\n\
         [sources.lines]\ntype = \"file\"\ninclude = [\"in.log\"]\nframing = \"lines\"\n\
         [pipelines.main]\ninputs = [\"lines\"]\n\
         nodes.parse = {{ artifact = \"builtin:parse\", inputs = [\"input\"], options = {{ format = \"json\" }} }}\n\
         outputs.all.inputs = [\"parse.*\"]\n\
         [sinks.down]\ntype = \"http\"\ninputs = [\"main.all\"]\nuri = \"http://{server}/\"\n"
    ));
    let backlog = || folder.run(&["status", "--data-dir", "data", "--json"]).text().contains("\"retries\":");
    wait_until("the agent answers", backlog);
    agent.signal("TERM");
    let ended = agent.ended();
    assert_eq!(ended.code, 1, "{}", ended.log);
    let line = ended.log.lines().find(|line| line.contains("draining")).unwrap_or_else(|| panic!("{}", ended.log));
    assert!(line.contains("sink `down` has 2 events left; exits in "), "{line}");
}
