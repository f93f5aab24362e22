//! A pod of the API, reduced to what the source needs.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::path::PodFile;
use crate::file::add_image;

/// Annotation or label of a pod whose logs are not read.
const EXCLUDE: &str = "wattle.dev/exclude";

/// Annotation with the names of containers whose logs are not read, separated by commas.
const EXCLUDE_CONTAINERS: &str = "wattle.dev/exclude-containers";

/// Annotation of the API's copy of a static pod: the UID that the kubelet uses in paths.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Label that the controller of a deployment gives to pods: the end of the name of the replica set.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// Memory of a pod in addition to its texts, and of each text.
const POD_BYTES: usize = 512;
const TEXT_BYTES: usize = 64;

/// Which metadata is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) labels: bool,
    /// Names of annotations; one that ends with `*` is a prefix.
    pub(super) annotations: Vec<String>,
}

impl Wanted {
    fn has_annotation(&self, name: &str) -> bool {
        self.annotations.iter().any(|wanted| match wanted.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => wanted == name,
        })
    }
}

/// An object of the API, as far as it is read.
#[derive(Debug, Deserialize)]
pub(super) struct RawPod {
    pub(super) metadata: RawMeta,
    #[serde(default)]
    spec: RawSpec,
    #[serde(default)]
    status: RawStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawMeta {
    pub(super) name: String,
    namespace: String,
    pub(super) uid: String,
    pub(super) resource_version: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    owner_references: Vec<RawOwner>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawOwner {
    kind: String,
    name: String,
    controller: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawSpec {
    node_name: String,
    containers: Vec<RawContainer>,
    init_containers: Vec<RawContainer>,
    ephemeral_containers: Vec<RawContainer>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawContainer {
    name: String,
    image: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawStatus {
    container_statuses: Vec<RawContainerStatus>,
    init_container_statuses: Vec<RawContainerStatus>,
    ephemeral_container_statuses: Vec<RawContainerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawContainerStatus {
    name: String,
    restart_count: u64,
    #[serde(rename = "containerID")]
    container_id: Option<String>,
    last_state: RawState,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawState {
    terminated: Option<RawTerminated>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawTerminated {
    #[serde(rename = "containerID")]
    container_id: Option<String>,
}

/// A pod.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Pod {
    /// The UID in paths.
    pub(super) uid: String,
    /// Whether its logs are not read.
    is_excluded: bool,
    excluded_containers: Vec<String>,
    /// Facts about all of its containers.
    facts: Map<String, Value>,
    containers: BTreeMap<String, Container>,
    /// Approximate memory.
    pub(super) bytes: usize,
}

#[derive(Debug, Default, PartialEq)]
struct Container {
    image: String,
    /// IDs by the number of restarts.
    ids: Vec<(u64, String)>,
}

impl Pod {
    pub(super) fn new(raw: RawPod, wanted: &Wanted) -> Self {
        let RawPod { metadata, spec, status } = raw;
        let uid = metadata.annotations.get(MIRROR).cloned().unwrap_or_else(|| metadata.uid.clone());
        let is_true = |map: &BTreeMap<String, String>| map.get(EXCLUDE).is_some_and(|value| value == "true");
        let is_excluded = is_true(&metadata.annotations) || is_true(&metadata.labels);
        let excluded_containers = metadata
            .annotations
            .get(EXCLUDE_CONTAINERS)
            .map(|names| names.split(',').map(|name| name.trim().to_owned()).collect())
            .unwrap_or_default();
        let mut facts = Map::new();
        let mut add = |key: &str, value: &str| {
            if !value.is_empty() {
                facts.insert(key.to_owned(), value.into());
            }
        };
        add("k8s.node.name", &spec.node_name);
        for (key, name) in workloads(&metadata) {
            add(key, &name);
        }
        for (name, value) in metadata.labels.iter().filter(|_| wanted.labels) {
            add(&format!("k8s.pod.label.{name}"), value);
        }
        for (name, value) in metadata.annotations.iter().filter(|(name, _)| wanted.has_annotation(name)) {
            add(&format!("k8s.pod.annotation.{name}"), value);
        }
        let mut containers: BTreeMap<String, Container> = BTreeMap::new();
        for raw in [spec.containers, spec.init_containers, spec.ephemeral_containers].into_iter().flatten() {
            containers.entry(raw.name).or_default().image = raw.image;
        }
        let RawStatus { container_statuses, init_container_statuses, ephemeral_container_statuses } = status;
        for raw in [container_statuses, init_container_statuses, ephemeral_container_statuses].into_iter().flatten() {
            let ids = &mut containers.entry(raw.name).or_default().ids;
            let last = raw.last_state.terminated.and_then(|last| last.container_id);
            let before = raw.restart_count.checked_sub(1).zip(last);
            let now = raw.container_id.map(|id| (raw.restart_count, id));
            ids.extend(before.into_iter().chain(now).map(|(restarts, id)| (restarts, bare_id(&id).to_owned())));
        }
        let mut pod = Self { uid, is_excluded, excluded_containers, facts, containers, bytes: 0 };
        pod.bytes = pod.count_bytes();
        pod
    }

    fn count_bytes(&self) -> usize {
        let text = |value: &Value| value.as_str().map_or(0, str::len);
        let facts = self.facts.iter().map(|(key, value)| key.len() + text(value) + TEXT_BYTES);
        let names = self.excluded_containers.iter().map(|name| name.len() + TEXT_BYTES);
        let containers = self.containers.iter().map(|(name, container)| {
            let ids: usize = container.ids.iter().map(|(_, id)| id.len() + TEXT_BYTES).sum();
            name.len() + container.image.len() + 2 * TEXT_BYTES + ids
        });
        POD_BYTES + self.uid.len() + facts.chain(names).chain(containers).sum::<usize>()
    }

    /// Returns whether the logs of a container are read.
    pub(super) fn is_read(&self, container: &str) -> bool {
        !self.is_excluded && !self.excluded_containers.iter().any(|name| name == container)
    }

    /// Adds the facts about a log.
    pub(super) fn describe(&self, file: &PodFile<'_>, facts: &mut Map<String, Value>) {
        facts.extend(self.facts.iter().map(|(key, value)| (key.clone(), value.clone())));
        let Some(container) = self.containers.get(file.container) else { return };
        add_image(&container.image, facts);
        if let Some((_, id)) = container.ids.iter().find(|(restarts, _)| *restarts == file.restarts) {
            facts.insert("container.id".to_owned(), id.as_str().into());
        }
    }
}

/// The ID without the name of the runtime, as in `containerd://3f2a`.
fn bare_id(id: &str) -> &str {
    id.split_once("://").map_or(id, |(_, id)| id)
}

/// The names of the workloads that a pod belongs to.
fn workloads(metadata: &RawMeta) -> Vec<(&'static str, String)> {
    let owners = &metadata.owner_references;
    let Some(owner) = owners.iter().find(|owner| owner.controller).or(owners.first()) else { return Vec::new() };
    let mut found = Vec::new();
    match owner.kind.as_str() {
        "ReplicaSet" => {
            found.push(("k8s.replicaset.name", owner.name.clone()));
            // A replica set without a deployment has another name.
            let hash = metadata.labels.get(TEMPLATE_HASH);
            let deployment = hash.and_then(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-'));
            found.extend(deployment.map(|name| ("k8s.deployment.name", name.to_owned())));
        }
        "DaemonSet" => found.push(("k8s.daemonset.name", owner.name.clone())),
        "StatefulSet" => found.push(("k8s.statefulset.name", owner.name.clone())),
        "Job" => {
            found.push(("k8s.job.name", owner.name.clone()));
            // A cron job adds the minute of the start: at least eight digits.
            let cron_job = owner
                .name
                .rsplit_once('-')
                .filter(|(_, minute)| minute.len() >= 8 && minute.bytes().all(|byte| byte.is_ascii_digit()));
            found.extend(cron_job.map(|(name, _)| ("k8s.cronjob.name", name.to_owned())));
        }
        _ => {}
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(raw: Value, wanted: &Wanted) -> Pod {
        Pod::new(serde_json::from_value(raw).unwrap(), wanted)
    }

    fn facts(pod: &Pod, container: &str, restarts: u64) -> Value {
        let mut facts = Map::new();
        pod.describe(&PodFile { namespace: "shop", pod: "p", uid: "u", container, restarts }, &mut facts);
        facts.into()
    }

    #[test]
    fn facts_are_those_of_the_container_and_its_restart() {
        let raw = json!({
            "metadata": { "name": "web-5d9-x", "uid": "u", "resourceVersion": "7",
                "labels": { "app": "web", "pod-template-hash": "5d9" },
                "annotations": { "team/on-call": "ops", "team/x": "y", "other": "z" },
                "ownerReferences": [{ "kind": "ReplicaSet", "name": "web-5d9", "controller": true }] },
            "spec": { "nodeName": "n1", "containers": [{ "name": "app", "image": "reg:5000/shop/web:1.2@sha256:00" }],
                "initContainers": [{ "name": "init", "image": "busybox" }] },
            "status": { "containerStatuses": [{ "name": "app", "restartCount": 2, "containerID": "containerd://cc",
                "lastState": { "terminated": { "containerID": "containerd://bb", "exitCode": 1 } } }] },
        });
        let all = pod(raw.clone(), &Wanted { labels: true, annotations: vec!["team/*".to_owned(), "oth".to_owned()] });
        assert_eq!(
            facts(&all, "app", 2),
            json!({ "k8s.node.name": "n1", "k8s.replicaset.name": "web-5d9", "k8s.deployment.name": "web",
                "k8s.pod.label.app": "web", "k8s.pod.label.pod-template-hash": "5d9",
                "k8s.pod.annotation.team/on-call": "ops", "k8s.pod.annotation.team/x": "y",
                "container.id": "cc", "container.image.name": "reg:5000/shop/web", "container.image.tag": "1.2" })
        );
        assert_eq!(facts(&all, "app", 1)["container.id"], "bb");
        assert_eq!(facts(&all, "app", 0).get("container.id"), None);
        let few = pod(raw, &Wanted::default());
        assert!(few.bytes < all.bytes);
        let expected = json!({ "k8s.node.name": "n1", "k8s.replicaset.name": "web-5d9", "k8s.deployment.name": "web",
            "container.image.name": "busybox" });
        assert_eq!(facts(&few, "init", 0), expected);
    }

    #[test]
    fn each_kind_of_workload_has_its_name() {
        for (kind, name, expected) in [
            ("DaemonSet", "agent", json!({ "k8s.daemonset.name": "agent" })),
            ("StatefulSet", "db", json!({ "k8s.statefulset.name": "db" })),
            ("Job", "backup", json!({ "k8s.job.name": "backup" })),
            ("Job", "backup-29012345", json!({ "k8s.job.name": "backup-29012345", "k8s.cronjob.name": "backup" })),
            ("ReplicaSet", "bare", json!({ "k8s.replicaset.name": "bare" })),
            ("Node", "n1", json!({})),
        ] {
            let raw =
                json!({ "metadata": { "ownerReferences": [{ "kind": kind, "name": name, "controller": true }] } });
            assert_eq!(facts(&pod(raw, &Wanted::default()), "app", 0), expected, "{kind} {name}");
        }
    }

    #[test]
    fn a_static_pod_has_the_uid_of_its_path() {
        let raw = json!({ "metadata": { "uid": "api", "annotations": { "kubernetes.io/config.mirror": "path" } } });
        assert_eq!(pod(raw, &Wanted::default()).uid, "path");
    }

    #[test]
    fn annotations_and_labels_exclude_pods_and_containers() {
        let read = |metadata: Value| {
            let pod = pod(json!({ "metadata": metadata }), &Wanted::default());
            ["app", "proxy"].map(|container| pod.is_read(container))
        };
        assert_eq!(read(json!({})), [true, true]);
        assert_eq!(read(json!({ "annotations": { "wattle.dev/exclude": "true" } })), [false, false]);
        assert_eq!(read(json!({ "labels": { "wattle.dev/exclude": "true" } })), [false, false]);
        assert_eq!(read(json!({ "labels": { "wattle.dev/exclude": "false" } })), [true, true]);
        assert_eq!(read(json!({ "annotations": { "wattle.dev/exclude-containers": "proxy, log" } })), [true, false]);
    }
}
