//! The source against an API.

mod failures;
mod pages;
mod recipes;
mod restarts;
mod runs;
mod secrets;
mod secure;
mod server;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::testing::{Rig, Running};
use server::{Api, Reply};

/// The environment of a source, with its data folder.
struct Place {
    folder: TempDir,
    rig: Rig,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::new(folder.path());
        Self { folder, rig }
    }

    /// The same after a restart of the agent: batches in the queue are lost.
    fn again(self) -> Self {
        let rig = Rig::new(self.folder.path());
        Self { folder: self.folder, rig }
    }

    fn once(self) -> Self {
        Self { rig: self.rig.once(), ..self }
    }

    /// Starts the source with short times.
    fn start(&self, api: &Api, more: Value) -> Running {
        let mut options = json!({ "endpoint": api.url("/logs"), "interval": "20ms", "timeout": "5s" });
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.rig.start("http_client", options)
    }

    /// Reads one run to its end; returns the bodies.
    async fn read(&self, api: &Api, more: Value) -> Vec<String> {
        let running = self.start(api, more);
        let (bodies, ended) = self.rig.drain(running).await;
        ended.unwrap();
        bodies
    }

    async fn end(&self, running: Running) {
        self.rig.stop();
        running.ended().await.unwrap();
    }

    /// The saved position; null while the file is replaced.
    fn saved(&self) -> Value {
        let Ok(text) = std::fs::read(self.folder.path().join("sources/in/checkpoints.json")) else {
            return json!(null);
        };
        serde_json::from_slice::<Value>(&text).unwrap()["files"][0].clone()
    }
}

fn event(number: u64) -> Value {
    json!({ "id": number })
}

fn events(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|number| event(number).to_string()).collect()
}

/// An array of events.
fn array(numbers: std::ops::Range<u64>) -> Value {
    numbers.map(event).collect()
}

/// A page of a list of so many events, by `offset` in the query, with a header `Link` while there are more.
fn linked(asked: &server::Asked, count: u64, size: u64) -> Reply {
    let from = asked.number("offset").unwrap_or(0).min(count);
    let to = (from + size).min(count);
    let reply = Reply::json(&array(from..to));
    if to < count { reply.link(&format!("/logs?offset={to}")) } else { reply }
}
