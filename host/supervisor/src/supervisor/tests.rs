//! Reloads of an agent in this process.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use wattle_topology::BatchTotals;

use super::*;
use crate::history::{self, Event};
use crate::outcome::Outcome;
use crate::requests::requests;
use crate::watch::Change;

struct Silent;

impl Frontend for Silent {
    fn show(&self, _: &[Diagnostic]) {}

    fn loading(&self, _: &Arc<Runtime>) -> Box<dyn Any> {
        Box::new(())
    }
}

struct Rig {
    folder: TempDir,
    agent: Agent,
}

impl Rig {
    async fn start(outputs: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        configure(folder.path(), outputs);
        let configuration = Configuration::Files(vec![folder.path().join("agent.toml")]);
        let options = Options { watch: true, ..Options::default() };
        let (library, manager) = (Library::new(Vec::new()), ServiceManager::from_variables(|_| None).unwrap());
        let supervisor =
            Supervisor::new(configuration, Vec::new(), library, options, Box::new(Silent), manager).unwrap();
        // Without a sender no request arrives.
        let (_, requests) = requests();
        let agent = supervisor.start(requests).await.unwrap();
        Self { folder, agent }
    }

    fn configure(&self, outputs: &[&str]) {
        configure(self.folder.path(), outputs);
    }

    fn break_configuration(&self) {
        std::fs::write(self.folder.path().join("agent.toml"), "[sources.in]\ntype = \"none\"\n").unwrap();
    }

    /// Reloads and returns the outcome and the generation that runs.
    async fn reload(&mut self) -> (Outcome, u64) {
        let response = self.agent.running.reload(&self.agent.loader, ReloadCause::Command).await.unwrap();
        (response.outcome, response.generation)
    }

    /// The events and generations in the history.
    fn history(&self) -> Vec<(Event, u64)> {
        let entries = history::read(&self.folder.path().join("data")).unwrap();
        entries.into_iter().map(|entry| (entry.what, entry.generation)).collect()
    }

    async fn end(self) {
        let report = self.agent.drain(End::Requested).await;
        assert!(report.problems.is_empty(), "{:?}", report.problems);
    }
}

/// Writes a configuration whose versions differ in their number of outputs.
fn configure(folder: &Path, outputs: &[&str]) {
    let root = folder.display();
    let mut text = format!(
        "[agent]\ndata_dir = \"{root}/data\"\nworkers = 1\n[sources.in]\ntype = \"file\"\n\
         include = [\"{root}/*.log\"]\n[sinks.out]\ntype = \"blackhole\"\ninputs = [\"main.*\"]\n\
         [pipelines.main]\ninputs = [\"in\"]\n"
    );
    for output in outputs {
        text += &format!("[pipelines.main.outputs.{output}]\ninputs = [\"input\"]\n");
    }
    std::fs::write(folder.join("agent.toml"), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_outcome_of_a_reload_is_returned_and_recorded_in_the_history() {
    let mut rig = Rig::start(&["all"]).await;
    assert_eq!(rig.reload().await, (Outcome::Unchanged, 1));
    rig.break_configuration();
    assert_eq!(rig.reload().await, (Outcome::Invalid, 1));
    rig.configure(&["all", "more"]);
    assert_eq!(rig.reload().await, (Outcome::Applied, 2));
    assert_eq!(rig.history(), [(Event::Started, 1), (Event::Invalid, 1), (Event::Applied, 2)]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_faults_after_a_reload_is_rolled_back() {
    let mut rig = Rig::start(&["all"]).await;
    let before = rig.agent.running.plan.pipelines[0].fingerprint();
    rig.configure(&["all", "more"]);
    assert_eq!(rig.reload().await, (Outcome::Applied, 2));
    let counts = rig.agent.observer().counts().pipeline("main");
    for _ in 0..100 {
        counts.observe(BatchTotals::default(), true, 1000, 1000);
    }
    rig.agent.running.decide(Moment::now()).await;
    assert_eq!(rig.agent.running.plan.pipelines[0].fingerprint(), before);
    assert_eq!(rig.reload().await, (Outcome::Unchanged, 3));
    assert_eq!(rig.history(), [(Event::Started, 1), (Event::Applied, 2), (Event::RolledBack, 3)]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_rolls_back_once() {
    let mut rig = Rig::start(&["all"]).await;
    rig.configure(&["all", "more"]);
    assert_eq!(rig.reload().await, (Outcome::Applied, 2));
    let response = rig.agent.running.roll_back(None).await;
    assert_eq!((response.outcome, response.generation, response.notes.len()), (Outcome::Applied, 3, 1));
    let response = rig.agent.running.roll_back(Some("main".into())).await;
    assert_eq!((response.outcome, response.generation), (Outcome::Failed, 3));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_invalid_change_is_not_reported_and_waits_for_more_files() {
    let mut rig = Rig::start(&["all"]).await;
    rig.break_configuration();
    let change = Change { files: [rig.folder.path().join("agent.toml")].into(), is_early: true };
    let response = rig.agent.running.reload(&rig.agent.loader, ReloadCause::Changed(change)).await;
    assert!(response.is_none());
    let change = rig.agent.running.watch.as_mut().unwrap().changed().await;
    assert!(!change.is_early);
    let response = rig.agent.running.reload(&rig.agent.loader, ReloadCause::Changed(change)).await;
    assert_eq!(response.map(|response| response.outcome), Some(Outcome::Invalid));
    assert_eq!(rig.history(), [(Event::Started, 1), (Event::Invalid, 1)]);
    rig.end().await;
}

/// Reads lines until one begins with this text.
async fn line_with(lines: &mut tokio::io::Lines<BufReader<UnixStream>>, begin: &str) -> String {
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.starts_with(begin) {
            return line;
        }
    }
    panic!("the stream ended before a line with {begin:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_and_the_drain_reach_a_stream_on_the_control_socket() {
    let mut rig = Rig::start(&["all"]).await;
    let mut socket = UnixStream::connect(rig.folder.path().join("data/control.sock")).await.unwrap();
    socket.write_all(b"GET /api/v1/stream HTTP/1.1\r\nhost: wattle\r\n\r\n").await.unwrap();
    let mut lines = BufReader::new(socket).lines();
    let first = line_with(&mut lines, "data: {\"generation\":").await;
    assert!(first.starts_with("data: {\"generation\":1,") && first.contains("\"title\":\"all\""), "{first}");
    rig.configure(&["all", "more"]);
    assert_eq!(rig.reload().await, (Outcome::Applied, 2));
    let second = line_with(&mut lines, "data: {\"generation\":").await;
    assert!(second.starts_with("data: {\"generation\":2,") && second.contains("\"title\":\"more\""), "{second}");
    rig.end().await;
    let reason = line_with(&mut lines, "data: {\"reason\":").await;
    assert!(reason.contains("the agent is draining"), "{reason}");
}
