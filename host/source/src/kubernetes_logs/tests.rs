//! The source on a folder like that of a kubelet, with an API server.

mod metadata;
mod replay;
mod selection;
mod server;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use wattle_batch::{Batch, format_rfc3339};

use crate::stats::get;
use crate::testing::{Rig, Running, texts};
use server::ApiServer;

/// Time of the line with the number 0, and between two.
const START: i64 = 1_767_225_600_000_000_000;

/// A node: its logs, and the data folder of the agent.
struct Node {
    folder: TempDir,
    rig: Rig,
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("pods")).unwrap();
        let rig = Rig::new(&folder.path().join("data"));
        Self { folder, rig }
    }

    /// The same node after a restart of the agent.
    fn again(self) -> Self {
        let rig = Rig::new(&self.folder.path().join("data"));
        Self { folder: self.folder, rig }
    }

    fn log(&self, pod: &str, file: &str) -> PathBuf {
        self.folder.path().join("pods").join(pod).join(file)
    }

    fn append(&self, pod: &str, file: &str, text: &str) {
        let path = self.log(pod, file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Starts the source with short times.
    fn start(&self, more: Value) -> Running {
        let mut options = json!({
            "directory": self.folder.path().join("pods"), "glob_interval": "20ms", "rotate_wait": "100ms",
        });
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.rig.start("kubernetes_logs", options)
    }

    /// Starts the source with this API server.
    fn start_with(&self, server: &ApiServer, more: Value) -> Running {
        let token = self.folder.path().join("token");
        if !token.exists() {
            fs::write(&token, "first\n").unwrap();
        }
        let mut options = json!({
            "api_server": format!("http://{}", server.address), "self_node_name": "n1", "token_file": token,
            "metadata_timeout": "20s",
        });
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.start(options)
    }

    /// The next batch, delivered: its bodies and its resource.
    #[track_caller]
    fn next(&self) -> impl Future<Output = (Vec<String>, Value)> {
        let next = self.rig.pop();
        async move {
            let batch = next.await;
            let found = (texts(&batch), resource(&batch));
            batch.into_ack().deliver();
            found
        }
    }

    async fn end(&self, running: Running) {
        self.rig.stop();
        running.ended().await.unwrap();
    }

    fn failures(&self) -> u64 {
        get(&self.rig.stats.failures)
    }
}

fn resource(batch: &Batch) -> Value {
    serde_json::from_str(&batch.origin().resource).unwrap()
}

fn written(batch: &Batch, row: usize) -> Value {
    let mut text = Vec::new();
    batch.write_json(row, &mut text);
    serde_json::from_slice(&text).unwrap()
}

fn line(stream: &str, tag: &str, text: &str) -> String {
    format!("{} {stream} {tag} {text}\n", format_rfc3339(START))
}

fn pod(uid: &str, name: &str) -> Value {
    json!({
        "metadata": { "uid": uid, "name": name, "namespace": "shop", "labels": { "app": "web" } },
        "spec": { "nodeName": "n1", "containers": [{ "name": "app", "image": "shop/web:1" }] },
        "status": { "containerStatuses": [{ "name": "app", "restartCount": 0, "containerID": "containerd://c1" }] },
    })
}

#[tokio::test]
async fn the_path_alone_describes_containers() {
    let node = Node::new();
    let lines = [line("stdout", "F", "one"), line("stderr", "P", "two "), line("stderr", "F", "parts")].concat();
    node.append("shop_web_u1", "app/2.log", &lines);
    let running = node.start(json!({ "metadata": "path", "self_node_name": "n1" }));
    let batch = node.rig.pop().await;
    assert_eq!(texts(&batch), ["one", "two parts"]);
    assert_eq!(
        resource(&batch),
        json!({ "source": { "name": "in", "type": "kubernetes_logs", "path": node.log("shop_web_u1", "app/2.log") },
            "k8s.namespace.name": "shop", "k8s.pod.name": "web", "k8s.pod.uid": "u1", "k8s.container.name": "app",
            "k8s.container.restart_count": 2, "k8s.node.name": "n1" })
    );
    let streams: Vec<Value> = (0..2).map(|row| written(&batch, row)["attributes"]["stream"].clone()).collect();
    assert_eq!(streams, ["stdout", "stderr"]);
    assert_eq!(batch.timestamp(0), Some(START));
    batch.into_ack().deliver();
    node.end(running).await;
    let node = node.again();
    let running = node.start(json!({ "metadata": "path" }));
    node.rig.expect_quiet(Duration::from_millis(200)).await;
    node.end(running).await;
}

#[tokio::test]
async fn docker_lines_behind_links_are_read() {
    let node = Node::new();
    let target = node.folder.path().join("c1-json.log");
    let text = "{\"log\":\"a\\u0026b\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:00Z\"}\n";
    fs::write(&target, text).unwrap();
    let link = node.log("shop_web_u1", "app/0.log");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(target, link).unwrap();
    let running = node.start(json!({ "metadata": "path" }));
    assert_eq!(node.next().await.0, ["a&b"]);
    node.end(running).await;
}
