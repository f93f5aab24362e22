//! `packaging/grafana`: every query of the dashboards is valid and reads series that the agent has.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use wattle_tests::{Folder, workspace};

use crate::alerts::{promtool, text};
use crate::promql;
use crate::table::Table;

/// What Grafana puts in place of its variables, longest names first.
const VARIABLES: &[(&str, &str)] =
    &[("$__rate_interval", "5m"), ("$__range", "1h"), ("$instance", "a"), ("$job", "wattle")];

/// The dashboards by their file names.
fn dashboards() -> Vec<(String, Value)> {
    let files = fs::read_dir(workspace().join("packaging/grafana")).unwrap();
    let mut dashboards: Vec<(String, Value)> = files
        .map(|file| {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
        })
        .collect();
    dashboards.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!dashboards.is_empty(), "there is a dashboard");
    dashboards
}

/// Calls `visit` with each object in a value.
fn objects<'a>(value: &'a Value, visit: &mut impl FnMut(&'a serde_json::Map<String, Value>)) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| objects(value, visit)),
        Value::Object(object) => {
            visit(object);
            object.values().for_each(|value| objects(value, visit));
        }
        _ => {}
    }
}

/// The queries of a dashboard, with variables replaced, and their legends.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    objects(dashboard, &mut |object| {
        let Some(expression) = object.get("expr").and_then(Value::as_str) else { return };
        let mut query = expression.to_owned();
        for (variable, value) in VARIABLES {
            query = query.replace(variable, value);
        }
        assert!(!query.contains('$'), "`{expression}` uses a variable that the test does not know");
        found.push((query, object.get("legendFormat").and_then(Value::as_str).unwrap_or_default().to_owned()));
    });
    found
}

#[test]
fn every_name_in_the_dashboards_is_one_of_the_agent() {
    let table = Table::read();
    for (file, dashboard) in dashboards() {
        let queries = queries(&dashboard);
        assert!(queries.len() > 10, "{file} has {} queries", queries.len());
        for (query, legend) in queries {
            let labels = promql::check(&file, &query, &table);
            for shown in legend.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap()) {
                assert!(labels.iter().any(|label| label == shown), "{file}: `{query}` shows the label `{shown}`");
            }
        }
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            let Some(query) = variable["query"]["query"].as_str() else { continue };
            let series = query.strip_prefix("label_values(").unwrap().split([',', '{']).next().unwrap();
            assert!(table.get(series).is_some(), "{file}: the agent has no series `{series}`");
        }
    }
}

#[test]
fn queries_of_the_dashboards_pass_promtool() {
    let folder = Folder::new();
    let mut rules = "groups:\n  - name: queries\n    rules:\n".to_owned();
    let mut count = 0;
    for (_, dashboard) in dashboards() {
        for (query, _) in queries(&dashboard) {
            // A text of JSON is one of YAML.
            rules += &format!("      - record: query:{count}\n        expr: {}\n", Value::from(query));
            count += 1;
        }
    }
    let path = folder.write("queries.yml", &rules);
    let output = promtool(&["check", "rules", path.to_str().unwrap()]);
    let said = text(&output);
    assert!(output.status.success() && said.contains(&format!("{count} rules found")), "{said}");
}

#[test]
fn dashboards_can_be_imported_together() {
    let mut uids = BTreeSet::new();
    for (file, dashboard) in dashboards() {
        assert!(uids.insert(dashboard["uid"].as_str().unwrap().to_owned()), "{file} has the uid of another");
        assert!(!dashboard["title"].as_str().unwrap().is_empty(), "{file}");
        let mut ids = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{file}: two panels have the id {}", panel["id"]);
            let place = &panel["gridPos"];
            assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24, "{file}: {panel}");
            let has_source = panel["type"] == "row" || panel["datasource"]["uid"] == "${datasource}";
            assert!(has_source, "{file}: a panel has a fixed data source: {}", panel["title"]);
        }
    }
}
