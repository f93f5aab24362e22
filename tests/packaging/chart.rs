//! `packaging/helm/wattle`: rendered by Helm's engine and checked against the schemas of Kubernetes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use wattle_tests::{Folder, workspace};

use crate::alerts::text;

fn chart() -> PathBuf {
    workspace().join("packaging/helm/wattle")
}

/// Renders the chart with a file of `ci/`, and with changes such as `replicas=2`.
fn rendered(values: Option<&str>, changes: &[&str]) -> Output {
    let programs =
        std::env::var_os("WATTLE_HELM").expect("run the tests by `cargo xtask test`, which sets WATTLE_HELM");
    let mut python = Command::new(Path::new(&programs).join("python3"));
    python.arg(workspace().join("tests/packaging/render.py")).arg(chart());
    let nothing = Path::new("/dev/null").to_owned();
    python.arg(values.map_or(nothing, |values| chart().join("ci").join(values))).args(changes);
    python.output().unwrap()
}

fn resources(values: Option<&str>, changes: &[&str]) -> Vec<Value> {
    let output = rendered(values, changes);
    assert!(output.status.success(), "{values:?} {changes:?}: {}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn one<'a>(resources: &'a [Value], kind: &str) -> &'a Value {
    let found: Vec<&Value> = resources.iter().filter(|resource| resource["kind"] == kind).collect();
    let [resource] = found[..] else { panic!("{} resources of the kind {kind}", found.len()) };
    resource
}

fn kinds(resources: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<&str> = resources.iter().map(|resource| resource["kind"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    kinds
}

/// The container of the agent.
fn container(workload: &Value) -> &Value {
    &workload["spec"]["template"]["spec"]["containers"][0]
}

#[test]
fn the_default_is_an_agent_on_each_node() {
    let resources = resources(None, &[]);
    let expected = ["ClusterRole", "ClusterRoleBinding", "ConfigMap", "DaemonSet", "NetworkPolicy", "ServiceAccount"];
    assert_eq!(kinds(&resources), expected);
    assert_eq!(one(&resources, "ClusterRole")["rules"][0]["resources"], serde_json::json!(["pods"]));
    let config = one(&resources, "ConfigMap")["data"]["agent.toml"].as_str().unwrap();
    assert!(config.contains("tap = \"off\""), "the port is open to the cluster and has no passwords");
    let daemon_set = one(&resources, "DaemonSet");
    let pod = &daemon_set["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], true, "the source asks for pods");
    let security = &container(daemon_set)["securityContext"];
    assert_eq!(security["capabilities"], serde_json::json!({"drop": ["ALL"], "add": ["DAC_READ_SEARCH"]}));
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > 25, "longer than the drain");
}

#[test]
fn each_example_renders_resources_that_kubernetes_accepts() {
    let daemons = resources(Some("daemonset-values.yaml"), &[]);
    let expected = [
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "DaemonSet",
        "NetworkPolicy",
        "Service",
        "ServiceAccount",
        "ServiceMonitor",
    ];
    assert_eq!(kinds(&daemons), expected);
    let mounts = container(one(&daemons, "DaemonSet"))["volumeMounts"].to_string();
    for path in ["/etc/wattle-packs/shop", "/etc/wattle-registry", "/var/lib/docker/containers", "/var/log/pods"] {
        assert!(mounts.contains(path), "{path} is not mounted: {mounts}");
    }
    let receivers = resources(Some("deployment-values.yaml"), &[]);
    let expected = ["ConfigMap", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceAccount"];
    assert_eq!(kinds(&receivers), expected, "no permission is asked for without `kubernetes_logs`");
    let deployment = one(&receivers, "Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(
        (&pod["securityContext"]["runAsNonRoot"], &pod["automountServiceAccountToken"]),
        (&true.into(), &false.into())
    );
    assert!(container(deployment)["image"].as_str().unwrap().contains("@sha256:"));
    let claim = resources(Some("claim-values.yaml"), &[]);
    assert_eq!(kinds(&claim), ["Deployment", "PersistentVolumeClaim"]);
    assert_eq!(one(&claim, "Deployment")["spec"]["strategy"]["type"], "Recreate", "two pods would share a claim");
}

#[test]
fn ports_selectors_and_names_fit_together() {
    for values in ["daemonset-values.yaml", "deployment-values.yaml"] {
        let resources = resources(Some(values), &["serviceMonitor.enabled=true"]);
        let workload = resources.iter().find(|r| r["spec"]["template"].is_object()).unwrap();
        let labels = workload["spec"]["template"]["metadata"]["labels"].as_object().unwrap();
        let selects = |selector: &Value| selector.as_object().unwrap().iter().all(|(key, value)| labels[key] == *value);
        assert!(selects(&workload["spec"]["selector"]["matchLabels"]));
        let ports: Vec<&Value> =
            container(workload)["ports"].as_array().unwrap().iter().map(|port| &port["name"]).collect();
        for service in resources.iter().filter(|resource| resource["kind"] == "Service") {
            assert!(selects(&service["spec"]["selector"]), "{service}");
            for port in service["spec"]["ports"].as_array().unwrap() {
                assert!(ports.contains(&&port["targetPort"]), "{port}");
            }
        }
        let monitor = one(&resources, "ServiceMonitor");
        let wanted = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
        let monitored = resources.iter().filter(|resource| {
            resource["kind"] == "Service"
                && wanted.iter().all(|(key, value)| resource["metadata"]["labels"][key] == *value)
        });
        assert_eq!(monitored.count(), 1, "the monitor selects the service of the metrics, and no other");
        assert!(selects(&one(&resources, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"]));
    }
}

#[test]
fn the_agent_accepts_each_configuration() {
    for values in [None, Some("daemonset-values.yaml"), Some("deployment-values.yaml")] {
        let resources = resources(values, &[]);
        let config = one(&resources, "ConfigMap")["data"]["agent.toml"].as_str().unwrap().to_owned();
        let folder = Folder::new();
        folder.write("agent.toml", config);
        let ended = folder.run(&["validate", "agent.toml"]);
        assert_eq!(ended.code, 0, "{values:?}: {}", ended.log);
    }
}

#[test]
fn values_that_cannot_work_are_refused_with_the_reason() {
    for (values, changes, reason) in [
        (None, &["kind=Deployment"][..], "a Deployment needs emptyDir or persistentVolumeClaim"),
        (None, &["data.type=persistentVolumeClaim"], "the agents of a DaemonSet cannot share a claim"),
        (Some("claim-values.yaml"), &["replicas=2"], "agents cannot share a data folder"),
        (Some("deployment-values.yaml"), &["kubernetesLogs.enabled=true"], "only a DaemonSet reads the logs"),
        (None, &["adminPort=9000"], "probes need [admin] with listen"),
        (None, &["config='[sources.in]'"], "probes need [admin] with listen"),
        (None, &["kind=StatefulSet"], "kind"),
        (None, &["replica=2"], "replica"),
        (None, &["image.digest=sha256:1"], "digest"),
        (Some("claim-values.yaml"), &["service.enabled=true"], "the Service needs ports"),
    ] {
        let output = rendered(values, changes);
        assert_eq!(output.status.code(), Some(3), "{changes:?} pass: {}", text(&output));
        assert!(text(&output).contains(reason), "{changes:?}: {}", text(&output));
    }
}
