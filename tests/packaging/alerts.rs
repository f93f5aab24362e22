//! `packaging/prometheus`: the rules, their tests, and the runbooks in `docs/OPERATE.md`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use wattle_tests::workspace;

use crate::promql;
use crate::table::Table;

/// What surrounds the groups of the plain rules in the resource of the Prometheus Operator. They are four columns to the
/// right there.
const RESOURCE: &str = "\
# For the Prometheus Operator. The groups are those of wattle.rules.yml; `UPDATE_EXPECT=1 cargo test -p wattle-tests --test
# packaging` writes this file.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: wattle
  labels:
    app.kubernetes.io/name: wattle
spec:
";

fn folder() -> PathBuf {
    workspace().join("packaging/prometheus")
}

fn rules() -> String {
    fs::read_to_string(folder().join("wattle.rules.yml")).unwrap()
}

/// Runs `promtool` in the folder of the rules.
pub(crate) fn promtool(arguments: &[&str]) -> Output {
    let output = Command::new("promtool").args(arguments).current_dir(folder()).output();
    output.expect("`promtool` does not start; run the tests by `cargo xtask test`, or `apt-get install prometheus`")
}

pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// An alert of the rules, as far as the tests need it.
#[derive(Default)]
struct Alert {
    name: String,
    expression: String,
    lines: Vec<String>,
}

impl Alert {
    fn value(&self, key: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
    }

    /// The labels that the annotations show.
    fn shown_labels(&self) -> impl Iterator<Item = &str> {
        let texts = self.lines.iter().flat_map(|line| line.split("$labels.").skip(1));
        texts.map(|rest| rest.split(|c: char| !c.is_ascii_lowercase() && c != '_').next().unwrap())
    }
}

/// Reads the alerts. The file uses a small part of YAML: a key and its value on one line, except expressions, which can be
/// folded (`>-`). `promtool` says below whether all rules were found.
fn alerts(rules: &str) -> Vec<Alert> {
    let mut alerts: Vec<Alert> = Vec::new();
    let mut folded = false;
    for line in rules.lines() {
        let (indent, line) = (line.len() - line.trim_start().len(), line.trim());
        if let Some(name) = line.strip_prefix("- alert: ") {
            alerts.push(Alert { name: name.to_owned(), ..Alert::default() });
        }
        let Some(alert) = alerts.last_mut() else { continue };
        folded &= indent > 8;
        if let Some(expression) = line.strip_prefix("expr: ") {
            folded = expression == ">-";
            alert.expression = if folded { String::new() } else { expression.to_owned() };
        } else if folded {
            alert.expression += line;
            alert.expression.push(' ');
        } else {
            alert.lines.push(line.to_owned());
        }
    }
    alerts
}

#[test]
fn rules_pass_promtool() {
    let output = promtool(&["check", "rules", "wattle.rules.yml"]);
    assert!(output.status.success(), "{}", text(&output));
    let found = format!("{} rules found", alerts(&rules()).len());
    assert!(text(&output).contains(&found), "the test reads {found}, promtool says {}", text(&output));
}

#[test]
fn each_alert_fires_for_the_bad_agent_only() {
    let output = promtool(&["test", "rules", "wattle.rules.test.yml"]);
    assert!(output.status.success(), "{}", text(&output));
    let tests = fs::read_to_string(folder().join("wattle.rules.test.yml")).unwrap();
    for alert in alerts(&rules()) {
        let expected = format!("- labels: 'ALERTS{{alertname=\"{}\", alertstate=\"firing\"", alert.name);
        assert!(tests.contains(&expected), "no test fires {}", alert.name);
    }
}

#[test]
fn the_resource_for_the_operator_has_the_same_groups() {
    let rules = rules();
    let (_, groups) = rules.split_once("groups:\n").unwrap();
    let mut resource = format!("{RESOURCE}  groups:\n");
    for line in groups.lines() {
        resource += &if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") };
    }
    let path = folder().join("wattle-prometheusrule.yaml");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &resource).unwrap();
    }
    assert!(fs::read_to_string(path).unwrap() == resource, "set UPDATE_EXPECT=1 to write wattle-prometheusrule.yaml");
}

#[test]
fn every_name_in_the_rules_is_one_of_the_agent() {
    let table = Table::read();
    for alert in alerts(&rules()) {
        let labels = promql::check(&alert.name, &alert.expression, &table);
        for shown in alert.shown_labels() {
            assert!(labels.iter().any(|label| label == shown), "{} shows the label `{shown}`", alert.name);
        }
    }
}

#[test]
fn every_alert_says_how_bad_it_is_and_has_a_runbook() {
    let page = fs::read_to_string(workspace().join("docs/OPERATE.md")).unwrap();
    let (_, runbooks) = page.split_once("\n## Runbooks\n").expect("docs/OPERATE.md has the runbooks");
    let mut headings: BTreeSet<&str> = runbooks.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    for alert in alerts(&rules()) {
        let Alert { name, .. } = &alert;
        let severity = alert.value("severity");
        assert!(matches!(severity, Some("critical" | "warning" | "info")), "{name} has the severity {severity:?}");
        assert!(alert.value("summary").is_some_and(|text| !text.ends_with('.')), "{name} has no summary");
        assert!(alert.value("description").is_some_and(|text| text.trim_end_matches('\'').ends_with('.')), "{name}");
        let runbook = format!("docs/OPERATE.md#{}", name.to_ascii_lowercase());
        assert_eq!(alert.value("runbook"), Some(runbook.as_str()), "{name}");
        assert!(headings.remove(name.as_str()), "{name} has no runbook, or two alerts have the name");
    }
    assert!(headings.is_empty(), "runbooks without an alert: {headings:?}");
}
