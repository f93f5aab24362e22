//! The files of a proposed pack.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::configuration::escape_dollar;
use crate::exit::Failure;

use super::super::new::{LICENSE, write};
use super::Proposal;
use super::fields::Rule;
use super::sample::Sample;

/// How the test gets tables, for an author who adds the node `enrich`.
const TABLES: &str = "\n# A table for lookups of the node `enrich`, instead of the file that the operator grants:\n\
                      # [mocks.lookup]\n# accounts = { key = \"id\", rows = [{ id = \"1\", name = \"prod\" }] }\n";
/// Maximum number of events in the test.
const MAX_TEST: usize = 20;
/// Number of lines in the test that fail.
const MAX_FAILING: usize = 3;
/// Maximum number of bytes of a line in the test; the expectations repeat it.
const MAX_LINE: usize = 64 << 10;
/// Maximum number of bytes of the input of the test.
const MAX_BYTES: usize = 512 << 10;
/// Number of records of a document in the test.
const MAX_RECORDS: usize = 5;

/// Writes the pack, without the expectations of its test. Returns the number of lines that are too
/// long for the test.
pub(super) fn write_all(proposal: &Proposal, sample: &Sample, name: &str, folder: &Path) -> Result<usize, Failure> {
    let (file, lines) = match proposal.records {
        Some(ref path) => ("input.ndjson", vec![document(sample, path)]),
        None => ("input.txt", representative(proposal, sample)),
    };
    let left_out = match proposal.records {
        Some(_) => 0,
        None => sample.lines.iter().filter(|line| line.len() > MAX_LINE).count(),
    };
    let bytes: usize = lines.iter().map(String::len).sum();
    if bytes == 0 || bytes > MAX_BYTES {
        return Err(Failure::new(format!(
            "the sample is too long for the test of a pack: a line may have {} KiB, and a document with {MAX_RECORDS} \
             records {} KiB; give a file with shorter ones",
            MAX_LINE >> 10,
            MAX_BYTES >> 10
        )));
    }
    write(&folder.join("pack.toml"), &manifest(proposal, name))?;
    write(&folder.join("README.md"), &readme(proposal, name))?;
    write(&folder.join("LICENSE"), LICENSE)?;
    let mut text = lines.join("\n");
    text.push('\n');
    let test = folder.join("tests/sample");
    write(&test.join(file), &text)?;
    if proposal.records.is_none() {
        write(&test.join("case.toml"), &format!("framing = \"lines\"\n{TABLES}"))?;
    }
    // A line of the expectations says which keys the test compares.
    let compared = match proposal.fields.time {
        Some(_) => "{\"timestamp\":\"\",\"body\":\"\",\"attributes\":null}\n",
        None => "{\"body\":\"\",\"attributes\":null}\n",
    };
    for output in outputs(proposal) {
        write(&test.join(format!("expected.{output}.ndjson")), compared)?;
    }
    Ok(left_out)
}

/// `pack.toml`.
fn manifest(proposal: &Proposal, name: &str) -> String {
    let description = description(proposal);
    let out = format!(
        "[pack]\nname = {}\nversion = \"0.1.0\"\ncontract = \"0.1\"\ndescription = {}\nlicense = \"Apache-2.0\"\n\
         authors = []\n\n[input]\ndescription = {}\n",
        text(name),
        text(&description),
        text(if proposal.records.is_some() {
            "JSON documents with an array of records."
        } else {
            "One line per event."
        }),
    );
    let mut graph = Graph { out, last: "input".to_owned() };
    if let Some(options) = proposal.secrets.options_of_pack() {
        graph.out.push_str("\n# Masks come first, so that no later node and no failure sees an unmasked value.\n");
        graph.node("mask", "mask", &options);
    }
    if let Some(path) = &proposal.records {
        graph.node("unroll", "unroll", &json!({ "path": path }));
    }
    if let Some(options) = &proposal.format.options {
        graph.node("parse", "parse", options);
    }
    if let Some(time) = &proposal.fields.time {
        graph.node("time", "timestamp", &json!({ "from": time.path, "formats": time.formats }));
    }
    if proposal.fields.errors.is_empty() {
        // A pack has at least one node.
        if graph.last == "input" {
            graph.node("all", "filter", &json!({ "keep": { "field": "body", "exists": true } }));
        }
        let last = graph.last.clone();
        graph.output("events", "Events", "All events.", &last);
    } else {
        let rules: Vec<Value> = proposal.fields.errors.iter().map(Rule::condition).collect();
        let when = match rules.as_slice() {
            [rule] => rule.clone(),
            rules => json!({ "any": rules }),
        };
        graph.node("route", "route", &json!({ "paths": [{ "name": "errors", "when": when }] }));
        graph.output("errors", "Errors", &format!("Events with {}.", errors(proposal)), "route.errors");
        graph.output("events", "Events", "All other events.", "route.unmatched");
    }
    let fails = "What a node could not process, with the node, a code and a message.";
    graph.output("fails", "Fails", fails, "*.failed");
    graph.out
}

/// The graph of nodes as it is written, each node after the one before.
struct Graph {
    out: String,
    last: String,
}

impl Graph {
    /// Adds a node with the input of the last one.
    fn node(&mut self, name: &str, artifact: &str, options: &Value) {
        let input = text(&self.last);
        let _ = write!(self.out, "\n[nodes.{name}]\nartifact = \"builtin:{artifact}\"\ninputs = [{input}]\n");
        for (key, value) in options.as_object().into_iter().flatten() {
            let _ = writeln!(self.out, "options.{} = {}", key_of(key), inline(value));
        }
        name.clone_into(&mut self.last);
    }

    fn output(&mut self, name: &str, title: &str, description: &str, input: &str) {
        let (description, input) = (text(description), text(input));
        let _ = write!(
            self.out,
            "\n[outputs.{name}]\ntitle = \"{title}\"\ndescription = {description}\ninputs = [{input}]\n"
        );
    }
}

/// The outputs for events that no node fails.
fn outputs(proposal: &Proposal) -> &'static [&'static str] {
    if proposal.fields.errors.is_empty() { &["events"] } else { &["errors", "events"] }
}

/// What the pack does, in one sentence.
fn description(proposal: &Proposal) -> String {
    if proposal.format.options.is_none() {
        return "Keeps lines as they are.".to_owned();
    }
    let label = &proposal.format.label;
    format!("Parses {}.", label.split([',', '(']).next().unwrap_or(label).trim_end())
}

/// What selects errors, in words.
fn errors(proposal: &Proposal) -> String {
    let rules = proposal.fields.errors.iter().map(|rule| match rule {
        Rule::Levels(field, levels) => format!("`{field}` {}", levels.join(", ")),
        Rule::Status(field) => format!("`{field}` of 500 or more"),
    });
    rules.collect::<Vec<_>>().join(", or with ")
}

/// `README.md`.
fn readme(proposal: &Proposal, name: &str) -> String {
    let mut out = format!("# {name}\n\n{}\n\n| output | events |\n| --- | --- |\n", description(proposal));
    if proposal.fields.errors.is_empty() {
        out.push_str("| `events` | all events |\n");
    } else {
        let _ = writeln!(out, "| `errors` | events with {} |\n| `events` | all other events |", errors(proposal));
    }
    out.push_str("| `fails` | what a node could not process, with the reason |\n");
    let masked = proposal.secrets.masked_labels();
    if !masked.is_empty() {
        let _ = writeln!(out, "\nThe pack masks {}; see the rules of the node `mask`.", masked.join(", "));
    }
    if let Some(time) = &proposal.fields.time {
        let _ = writeln!(
            out,
            "\nThe timestamp of an event is `{}`, in the format `{}`.",
            time.path,
            time.formats.join("` or `")
        );
    }
    if !proposal.fields.all.is_empty() {
        out.push_str("\n| field | type |\n| --- | --- |\n");
        for (path, kind) in &proposal.fields.all {
            let _ = writeln!(out, "| `{}` | {kind} |", path.replace('|', "\\|"));
        }
    }
    let _ = write!(
        out,
        "\n```toml\n[pipelines.{name}]\ninputs = [\"files\"]\npack = \"{name}@^0.1\"\n```\n\n\
         ```sh\nwattle pack test .\nwattle pack lint .\nwattle pack install .\n```\n"
    );
    out
}

/// Lines for the test: for each set of keys one, then others, and some that fail.
fn representative(proposal: &Proposal, sample: &Sample) -> Vec<String> {
    let mut shapes = BTreeSet::new();
    let (mut chosen, mut others) = (BTreeSet::new(), Vec::new());
    let failing: BTreeSet<&str> = proposal.format.failures.iter().map(String::as_str).take(MAX_FAILING).collect();
    let mut failed = 0;
    let mut parsed = proposal.format.events.iter();
    let mut next = parsed.next();
    for (number, line) in sample.bodies.iter().enumerate() {
        let is_next = next.is_some_and(|event| event.get("body").and_then(Value::as_str) == Some(line));
        if is_next {
            let keys: Vec<&String> = next
                .and_then(|event| event.get("attributes")?.as_object())
                .into_iter()
                .flat_map(|o| o.keys())
                .collect();
            if shapes.insert(keys) {
                chosen.insert(number);
            } else {
                others.push(number);
            }
            next = parsed.next();
        } else if failed < MAX_FAILING && failing.iter().any(|failing| line.starts_with(failing)) {
            failed += 1;
            chosen.insert(number);
        } else if number == 0 {
            // The header of columns.
            chosen.insert(number);
        }
    }
    let mut bytes = 0;
    let length = |number: &usize| sample.lines.get(*number).map_or(0, String::len);
    let mut chosen: Vec<usize> = chosen
        .into_iter()
        .chain(others)
        .filter(|number| length(number) <= MAX_LINE)
        .take(MAX_TEST)
        .take_while(|number| {
            bytes += length(number);
            bytes <= MAX_BYTES
        })
        .collect();
    chosen.sort_unstable();
    chosen.into_iter().filter_map(|number| sample.lines.get(number).cloned()).collect()
}

/// The first document, with its first records.
fn document(sample: &Sample, path: &str) -> String {
    let first = sample.lines.first().map(String::as_str).unwrap_or_default();
    let mut document: Value = serde_json::from_str(first).unwrap_or_default();
    let records = match path {
        "$" => document.as_array_mut(),
        // The only array of objects is the one at the path.
        _ => document
            .as_object_mut()
            .into_iter()
            .flatten()
            .find_map(|(_, value)| value.as_array_mut().filter(|all| all.first().is_some_and(Value::is_object))),
    };
    if let Some(records) = records {
        records.truncate(MAX_RECORDS);
    }
    document.to_string()
}

/// A string in TOML, in which no `$` stands for a parameter.
fn text(value: &str) -> String {
    let is_read = value.contains("${") || value.contains("$$");
    let value = if is_read { escape_dollar(value) } else { value.to_owned() };
    toml::Value::from(value).to_string()
}

/// A value in TOML on one line.
fn inline(value: &Value) -> String {
    match value {
        Value::String(value) => text(value),
        Value::Array(elements) => format!("[{}]", elements.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let members = members.iter().map(|(key, value)| format!("{} = {}", key_of(key), inline(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_string(),
    }
}

/// A key in TOML.
fn key_of(key: &str) -> String {
    let is_bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if is_bare { key.to_owned() } else { Value::from(key).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_keep_their_values_in_toml() {
        let value = json!({ "a b": ["x'y\"z\n", 1, true, { "c": 1.5 }], "d": {}, "e": "^a$" });
        let table: toml::Table = toml::from_str(&format!("options = {}", inline(&value))).unwrap();
        assert_eq!(serde_json::to_value(&table["options"]).unwrap(), value);
        assert!(inline(&json!("${HOME}")).contains("$${HOME}"));
        // In strings of options, `$$` is one `$`.
        assert_eq!(inline(&json!("a$$b $c")), "\"a$$$$b $$c\"");
    }
}
