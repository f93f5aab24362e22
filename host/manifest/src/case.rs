//! Reads the tests of a pack: an input, and the expected events of each output.
//!
//! A test is a folder `tests/<case>/` with exactly one `input.json`, `input.ndjson` or `input.txt`,
//! each optionally with `.gz` appended, one `expected.<output>.ndjson` for every output, and
//! optionally a `case.toml`. Each line of an expectation is one event, in order. `docs/PACKS.md`
//! describes how events are compared; the crate that runs the tests compares them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use crate::pipeline::read_manifest;
use crate::raw::graph::GraphManifest;
use wattle_diagnostics::{Data, Findings, Invalid, Place, Reader, bytes_to_text, codes, value};
use wattle_options::suggest;
use wattle_pack::{Library, PackFiles, find_named, trust};
use wattle_plan::TrustPolicy;

/// Keys that a line of an expectation can have: those that the codec `json` writes for an event,
/// and `body_json`.
pub const EVENT_KEYS: [&str; 12] = [
    "timestamp",
    "kind",
    "severity",
    "trace_id",
    "span_id",
    "scope",
    "body",
    "body_base64",
    "body_json",
    "attributes",
    "resource",
    "failure",
];

/// Folder of the tests in a pack.
pub(crate) const TESTS: &str = "tests";

/// How the input is split into events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Framing {
    /// The whole input is one event.
    #[default]
    Document,
    /// Each line is one event.
    Lines,
}

/// Which expectations a test must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectations {
    /// One file for each output.
    Required,
    /// Missing files are accepted, since the caller is about to write them.
    Optional,
}

/// A test of a pack.
#[derive(Debug, Clone, PartialEq)]
pub struct PackTest {
    /// Name of the test's folder.
    pub name: String,
    /// Parameters of the pack in this test; all others have their defaults.
    pub params: Map<String, Json>,
    /// What capabilities answer, in the form of the mocks of `wattle_cases`; the crate that runs the tests reads it.
    pub mocks: Map<String, Json>,
    /// How the input is split into events.
    pub framing: Framing,
    /// How far the time of the mocks moves between two events.
    pub clock_step: Duration,
    /// File name of the input; its extension gives the compression.
    pub input_name: String,
    /// Content of the input file, not decompressed.
    pub input: Vec<u8>,
    /// Expected events of each output, in order.
    pub expected: BTreeMap<String, Vec<Json>>,
}

/// Reads the tests of a pack; [`crate::load_pack`] describes `reference`. Returns an empty list for
/// a pack without tests.
///
/// # Errors
///
/// Every error in the tests or in the manifest of the pack.
pub fn load_tests(reference: &str, library: &Library, rule: Expectations) -> Result<Vec<PackTest>, Invalid> {
    let mut findings = Findings::default();
    let (found, place) = find_named(reference, library, &mut findings);
    let tests = found.and_then(|found| {
        let trust::Opened { files, .. } = trust::open(&found, &TrustPolicy::default(), place, &mut findings)?;
        let (manifest, _) = read_manifest(&files, &mut findings)?;
        Some(load_all(&files, &manifest.graph, rule, &mut findings))
    });
    findings.finish(tests).map(|(tests, _, _)| tests)
}

/// Reads all tests; reports the errors of a test and leaves that test out.
pub(crate) fn load_all(
    files: &PackFiles,
    graph: &GraphManifest,
    rule: Expectations,
    findings: &mut Findings,
) -> Vec<PackTest> {
    test_names(files, TESTS).into_iter().filter_map(|name| load_test(files, name, graph, rule, findings)).collect()
}

/// Lists the names of the tests in a folder of a pack.
pub(crate) fn test_names(files: &PackFiles, folder: &str) -> Vec<String> {
    let names = files.list(folder).into_iter();
    names.filter(|name| !files.list(&format!("{folder}/{name}")).is_empty()).collect()
}

fn load_test(
    files: &PackFiles,
    name: String,
    graph: &GraphManifest,
    rule: Expectations,
    findings: &mut Findings,
) -> Option<PackTest> {
    let folder = format!("{TESTS}/{name}");
    let entries = files.list(&folder);
    let place = Place::file(findings.add_manifest(&files.path(&folder), ""));
    let CaseFile { params, mocks, framing, clock_step } = if entries.iter().any(|entry| entry == "case.toml") {
        read_case(files, &format!("{folder}/case.toml"), findings)?
    } else {
        CaseFile::default()
    };
    let input = read_input(files, &folder, &entries, place, findings);
    let mut expected = BTreeMap::new();
    for output in &graph.outputs {
        let file = format!("expected.{}.ndjson", output.name);
        if entries.contains(&file) {
            expected.insert(output.name.clone(), read_expectation(files, &format!("{folder}/{file}"), findings));
        } else if rule == Expectations::Optional {
            expected.insert(output.name.clone(), Vec::new());
        } else {
            let message = format!("the test `{name}` has no `{file}`");
            let hint = "`wattle pack test --update` writes it; an empty file expects no events";
            findings.report(codes::TEST_EXPECTATION.at(place, message).hint(hint));
        }
    }
    for entry in &entries {
        let output = entry.strip_prefix("expected.").and_then(|rest| rest.strip_suffix(".ndjson"));
        if let Some(output) = output.filter(|output| !expected.contains_key(*output) && !has_output(graph, output)) {
            let message =
                format!("the test `{name}` has expectations for `{output}`, which is not an output of the pack");
            let hint = format!("the outputs are {}", graph.output_names());
            findings.report(codes::TEST_EXPECTATION.at(place, message).hint(hint));
        }
    }
    let (input_name, input) = input?;
    Some(PackTest { name, params, mocks, framing, clock_step, input_name, input, expected })
}

fn has_output(graph: &GraphManifest, name: &str) -> bool {
    graph.outputs.iter().any(|output| output.name == name)
}

/// The contents of `case.toml`.
#[derive(Default)]
struct CaseFile {
    params: Map<String, Json>,
    mocks: Map<String, Json>,
    framing: Framing,
    clock_step: Duration,
}

/// Longest time between two events of a test.
const MAX_STEP: Duration = Duration::from_hours(366 * 24);

fn read_case(files: &PackFiles, relative: &str, findings: &mut Findings) -> Option<CaseFile> {
    let path = files.path(relative);
    let text = bytes_to_text(&path, files.read(relative), findings)?;
    let number = findings.add_manifest(&path, &text);
    let table = value::parse(number, &text, findings)?;
    let mut reader = Reader::new(&table, Place::file(number), "the file");
    let [params, mocks] = ["params", "mocks"].map(|key| match reader.table(key, findings) {
        Some((table, _)) => match value::table_to_json(table) {
            Json::Object(values) => values,
            _ => Map::new(),
        },
        None => Map::new(),
    });
    reader.string("description", findings);
    let framing = match reader.optional("framing").map(|entry| (&entry.item.data, entry)) {
        None => Framing::Document,
        Some((Data::String(text), _)) if text == "document" => Framing::Document,
        Some((Data::String(text), _)) if text == "lines" => Framing::Lines,
        Some((_, entry)) => {
            let finding = codes::BAD_VALUE.at(entry.item.place, "bad `framing`");
            findings.report(finding.hint("write `\"document\"` or `\"lines\"`"));
            Framing::Document
        }
    };
    let step = reader.optional("clock_step").map(|entry| entry.place);
    let clock_step = reader.duration("clock_step", Duration::ZERO..=MAX_STEP, findings).unwrap_or_default();
    if let Some(place) = step.filter(|_| !mocks.contains_key("clock")) {
        let finding = codes::BAD_VALUE.at(place, "`clock_step` needs `clock` in `[mocks]`, the time to start with");
        findings.report(finding.hint("add `mocks.clock = 2024-05-01T00:00:00Z`"));
    }
    reader.finish(findings);
    Some(CaseFile { params, mocks, framing, clock_step })
}

fn read_input(
    files: &PackFiles,
    folder: &str,
    entries: &[String],
    place: Place,
    findings: &mut Findings,
) -> Option<(String, Vec<u8>)> {
    let inputs: Vec<&String> = entries.iter().filter(|entry| entry.starts_with("input.")).collect();
    let hint = "add one `input.json`, `input.ndjson` or `input.txt`, plain or compressed with `.gz` appended";
    let [input] = inputs.as_slice() else {
        let message = match inputs.as_slice() {
            [] => "the test has no input".to_owned(),
            several => {
                format!("the test has several inputs: {}", suggest::list(several.iter().map(|name| name.as_str())))
            }
        };
        findings.report(codes::TEST_INPUT.at(place, message).hint(hint));
        return None;
    };
    let form = input.strip_suffix(".gz").unwrap_or(input);
    if !matches!(form, "input" | "input.json" | "input.ndjson" | "input.txt") {
        let finding = codes::TEST_INPUT.at(place, format!("the input `{input}` has an unknown extension"));
        findings.report(finding.hint(hint));
        return None;
    }
    match files.read(&format!("{folder}/{input}")) {
        Ok(bytes) => Some(((*input).clone(), bytes)),
        Err(error) => {
            let message = format!("the input `{input}` cannot be read: {}", wattle_diagnostics::in_words(&error));
            findings.report(codes::UNREADABLE.at(place, message));
            None
        }
    }
}

fn read_expectation(files: &PackFiles, relative: &str, findings: &mut Findings) -> Vec<Json> {
    let path = files.path(relative);
    let Some(text) = bytes_to_text(&path, files.read(relative), findings) else { return Vec::new() };
    let number = findings.add_manifest(&path, &text);
    let mut events = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let place = Place::new(number, start..start + line.len());
        start += line.len();
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str::<Json>(line) {
            Ok(Json::Object(event)) => {
                for key in event.keys().filter(|key| !EVENT_KEYS.contains(&key.as_str())) {
                    let finding = codes::TEST_LINE.at(place, format!("an event has no `{key}`"));
                    findings.report(finding.hint(format!("keys are {}", suggest::list(EVENT_KEYS.iter().copied()))));
                }
                events.push(Json::Object(event));
            }
            Ok(_) => findings.report(codes::TEST_LINE.at(place, "an event must be a JSON object")),
            Err(error) => {
                // The parser counts lines from the start of its text, which is this line, so its
                // line number would mislead.
                let error = error.to_string();
                let problem = error.split(" at line ").next().unwrap_or_default();
                findings.report(codes::TEST_LINE.at(place, format!("not JSON: {problem}")));
            }
        }
    }
    events
}
