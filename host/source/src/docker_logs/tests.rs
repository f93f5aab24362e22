//! The source on a folder like that of Docker.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::config::Container;
use super::options::Filters;
use crate::testing::{Rig, Running, gzip, texts};

struct Machine {
    folder: TempDir,
    rig: Rig,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::new(&folder.path().join("data"));
        Self { folder, rig }
    }

    fn container(&self, id: &str, config: &Value) -> PathBuf {
        let folder = self.folder.path().join("containers").join(id);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.v2.json"), config.to_string()).unwrap();
        folder.join(format!("{id}-json.log"))
    }

    fn start(&self, more: Value) -> Running {
        let mut options = json!({
            "directory": self.folder.path().join("containers"), "glob_interval": "20ms", "rotate_wait": "100ms",
        });
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.rig.start("docker_logs", options)
    }
}

fn append(path: &Path, message: &str) {
    let line = json!({ "log": message, "stream": "stdout", "time": "2026-01-01T00:00:00.5Z" });
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

#[tokio::test]
async fn events_have_the_message_and_the_facts_of_the_container() {
    let machine = Machine::new();
    let config =
        json!({ "ID": "abc1", "Name": "/web", "Config": { "Image": "shop/web:2", "Labels": { "env": "prod" } } });
    let log = machine.container("abc1", &config);
    append(&log, "a long ");
    append(&log, "line\n");
    let running = machine.start(json!({}));
    let batch = machine.rig.pop().await;
    assert_eq!(texts(&batch), ["a long line"]);
    let resource: Value = serde_json::from_str(&batch.origin().resource).unwrap();
    assert_eq!(
        resource,
        json!({ "source": { "name": "in", "type": "docker_logs", "path": log }, "container.id": "abc1",
            "container.name": "web", "container.image.name": "shop/web", "container.image.tag": "2",
            "container.label.env": "prod" })
    );
    batch.into_ack().deliver();
    // Renamed, and a copy compressed, as with `max-file` and `compress`.
    append(&log, "two\n");
    fs::rename(&log, log.with_extension("log.1")).unwrap();
    append(&log, "three\n");
    let mut found = machine.rig.take(2).await;
    let packed = gzip(fs::read(log.with_extension("log.1")).unwrap());
    fs::write(log.with_extension("log.1.gz"), packed).unwrap();
    fs::remove_file(log.with_extension("log.1")).unwrap();
    append(&log, "four\n");
    found.extend(machine.rig.take(1).await);
    found.sort();
    assert_eq!(found, ["four", "three", "two"]);
    machine.rig.expect_quiet(Duration::from_millis(1500)).await;
    machine.rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn a_container_without_a_readable_configuration_has_its_id() {
    let machine = Machine::new();
    let log = machine.container("abc1", &json!([]));
    append(&log, "a\n");
    let running = machine.start(json!({}));
    let batch = machine.rig.pop().await;
    let resource: Value = serde_json::from_str(&batch.origin().resource).unwrap();
    assert_eq!((&resource["container.id"], resource.get("container.name")), (&json!("abc1"), None));
    batch.into_ack().deliver();
    machine.rig.stop();
    running.ended().await.unwrap();
}

#[test]
fn filters_select_by_name_id_image_and_labels() {
    let container = |label: &str| Container {
        name: "web-1".to_owned(),
        image: "reg:5000/shop/web:2".to_owned(),
        labels: [("env".to_owned(), "prod".to_owned()), (label.to_owned(), "true".to_owned())].into(),
    };
    let list = |text: &str| vec![text.to_owned()];
    let labels = |name: &str, value: Option<&str>| vec![(name.to_owned(), value.map(str::to_owned))];
    let none = Filters::default;
    for (filters, expected) in [
        (none(), true),
        (Filters { include: list("web"), ..none() }, true),
        (Filters { include: list("abc"), ..none() }, true),
        (Filters { include: list("db"), ..none() }, false),
        (Filters { exclude: list("web-1"), ..none() }, false),
        (Filters { images: list("reg:5000/shop/web"), ..none() }, true),
        (Filters { images: list("reg:5000/shop/web:2"), ..none() }, true),
        (Filters { images: list("reg:5000/shop/we"), ..none() }, false),
        (Filters { labels: labels("env", None), ..none() }, true),
        (Filters { labels: labels("env", Some("dev")), ..none() }, false),
    ] {
        assert_eq!(filters.select("abc1", Some(&container("x"))), expected, "{filters:?}");
    }
    assert!(!none().select("abc1", Some(&container("wattle.dev/exclude"))));
    assert!(none().select("abc1", None));
    assert!(
        !Filters { images: list("x"), ..none() }.select("abc1", None),
        "a filter that cannot be checked selects nothing"
    );
}
