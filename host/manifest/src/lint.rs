//! Warns about valid packs that lack what users expect: tests, a README, a licence, secrets without
//! defaults, and so on.

use serde_json::Value as Json;

use crate::case::{self, Expectations, TESTS, test_names};
use crate::pipeline::{Builder, read_manifest};
use crate::raw::graph::NodeWork;
use crate::raw::pack::PackManifest;
use wattle_diagnostics::{Data, Diagnostic, Findings, Invalid, Item, Place, codes};
use wattle_pack::{FileList, Found, Library, find_named, trust};
use wattle_plan::{CircuitSettings, NodeLimits, Nodes, TrustPolicy};

/// Checks a pack as [`crate::load_pack`] and [`crate::load_tests`] do, and adds the warnings of
/// this module. Parameters without a default take the values of the first test that has any.
///
/// # Errors
///
/// The pack is invalid; the diagnostics include the warnings too.
pub fn lint_pack(reference: &str, nodes: &dyn Nodes, library: &Library) -> Result<Vec<Diagnostic>, Invalid> {
    let mut findings = Findings::default();
    let (found, place) = find_named(reference, library, &mut findings);
    let done = found.and_then(|found| {
        let trust = TrustPolicy::default();
        let trust::Opened { files, list, .. } = trust::open(&found, &trust, place, &mut findings)?;
        let (manifest, file) = read_manifest(&files, &mut findings)?;
        let tests = case::load_all(&found.files, &manifest.graph, Expectations::Required, &mut findings);
        let params = tests.iter().map(|test| &test.params).find(|params| !params.is_empty());
        let given = params.map(|params| Item::from_json(place, &Json::Object(params.clone())));
        let given = given.as_ref().and_then(|item| match &item.data {
            Data::Table(table) => Some(table),
            _ => None,
        });
        let (limits, circuit) = (NodeLimits::default(), CircuitSettings::default());
        Builder::new(nodes, library, &limits, &circuit, &trust).build_pack(&found, given, place, &mut findings)?;
        lint(&found, &manifest, file, &list, &mut findings);
        Some(())
    });
    findings.finish(done).map(|((), warnings, _)| warnings)
}

fn lint(found: &Found, manifest: &PackManifest, file: Place, list: &FileList, findings: &mut Findings) {
    let head = &manifest.head;
    if test_names(&found.files, TESTS).is_empty() {
        let finding = codes::NO_TESTS.at(file, "the pack has no tests");
        findings.report(
            finding.hint("add a folder `tests/NAME` with an input and an `expected.OUTPUT.ndjson` for each output"),
        );
    }
    if list.get(head.readme_path()).is_none() {
        let place = head.readme.as_ref().map_or(file, |readme| readme.place);
        findings.report(codes::NO_README.at(place, format!("the pack has no `{}`", head.readme_path())));
    }
    if head.license.as_ref().is_none_or(|license| license.trim().is_empty()) {
        let finding = codes::NO_LICENSE.at(file, "the pack has no `license`");
        findings.report(finding.hint("add `license = \"Apache-2.0\"`, or another SPDX identifier, to `[pack]`"));
    } else if !list.iter().any(|(path, _)| path.starts_with("LICENSE") || path.starts_with("LICENCE")) {
        let finding = codes::NO_LICENSE.at(file, "the pack has no file `LICENSE`");
        findings.report(finding.hint("add the text of the licence that `[pack]` names"));
    }
    lint_descriptions(manifest, file, findings);
    for param in manifest.params.iter().filter(|param| param.secret) {
        let default =
            param.default.as_ref().filter(|item| !matches!(&item.data, Data::String(text) if text.is_empty()));
        if let Some(default) = default {
            findings.keep_place_secret(default.place);
            let message =
                format!("the secret parameter `{}` has a default, which every reader of the pack can see", param.name);
            findings.report(codes::SECRET_DEFAULT.at(default.place, message).hint("remove it, or make it empty"));
        }
    }
    for node in &manifest.graph.nodes {
        match &node.work {
            NodeWork::Artifact(artifact) if artifact.digest.is_none() && !artifact.artifact.text.contains(':') => {
                let message = format!("the artifact of node `{}` has no `digest`", node.name);
                findings.report(codes::NO_DIGEST.at(artifact.artifact.place, message).hint("run `wattle pack build`"));
            }
            NodeWork::Pack { reference, .. } if !reference.text.contains('@') => {
                let message = format!("node `{}` accepts any version of `{}`", node.name, reference.text);
                let hint = "add a requirement, as in `\"name@^1\"`; other versions can have other outputs";
                findings.report(codes::ANY_VERSION.at(reference.place, message).hint(hint));
            }
            _ => {}
        }
    }
}

fn lint_descriptions(manifest: &PackManifest, file: Place, findings: &mut Findings) {
    let is_empty = |text: &Option<String>| text.as_ref().is_none_or(|text| text.trim().is_empty());
    let mut report = |place: Place, owner: String| {
        let finding = codes::NO_DESCRIPTION.at(place, format!("{owner} has no `description`"));
        findings.report(finding.hint("describe it in one sentence; `wattle pack show` prints it"));
    };
    if is_empty(&manifest.head.description) {
        report(file, "the pack".to_owned());
    }
    for param in manifest.params.iter().filter(|param| is_empty(&param.description)) {
        report(param.place, format!("the parameter `{}`", param.name));
    }
    for output in manifest.graph.outputs.iter().filter(|output| is_empty(&output.description)) {
        report(output.place, format!("the output `{}`", output.name));
    }
}
