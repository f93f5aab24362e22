//! Trials of built-in packs on the inputs of their tests, which must give the events that the tests expect; and the text
//! of a result.

use std::time::SystemTime;

use serde_json::{Map, Value, json};
use wattle_manifest::{Expectations, Framing as TestFraming, PackTest};
use wattle_plan::ArtifactLimits;
use wattle_runtime::{Catalog, Runtime};
use wattle_source::{InputFraming, InputSettings};
use wattle_supervisor::pack_tests::Bench;
use wattle_supervisor::trial::{self, TrialSettings, Version};

use super::show::pair;
use crate::builtin;
use crate::commands::paint::Paint;

/// The members of an event that do not depend on where and when it was read.
fn parts(event: &Value) -> Vec<Option<&Value>> {
    ["body", "body_base64", "attributes", "severity", "failure"].map(|key| event.get(key)).into()
}

#[track_caller]
fn check(pack: &str, test: &PackTest, bench: &mut Bench<'_>, catalog: &Catalog) {
    let observed = bench.observe(test).unwrap();
    let version =
        Version::of_pack(pack, &test.params, &Map::new(), catalog, &builtin::library(), SystemTime::now()).unwrap();
    let framing = match test.framing {
        TestFraming::Document => InputFraming::Document,
        TestFraming::Lines => InputFraming::Lines,
    };
    let input = InputSettings { framing, ..InputSettings::default() };
    let settings = TrialSettings { input, samples: usize::MAX, traces: 3, ..TrialSettings::default() };
    let tried = trial::run(test.input.as_slice(), &version, None, &settings).unwrap().result;
    assert_eq!((tried.ended_early.as_ref(), tried.balance.unbalanced), (None, 0), "{}", test.name);
    for output in &tried.outputs {
        let expected = &observed.outputs[&output.name];
        assert_eq!(output.events, expected.len() as u64, "{}: {}", test.name, output.name);
        for (sample, expected) in output.sample.iter().zip(expected).filter(|(sample, _)| sample.is_object()) {
            assert_eq!(parts(sample), parts(expected), "{}: {}", test.name, output.name);
        }
    }
}

#[test]
fn a_trial_gives_the_events_of_the_tests_of_a_pack() {
    let runtime = Runtime::new(None, ArtifactLimits::default()).unwrap();
    let catalog = Catalog::new(runtime, builtin::artifacts());
    let (pack, library) = ("cloudtrail@1.2.0", builtin::library());
    let tests = wattle_manifest::load_tests(pack, &library, Expectations::Required).unwrap();
    let mut bench = Bench::new(pack, &catalog, &library);
    let plain: Vec<&PackTest> = tests.iter().filter(|test| test.mocks.is_empty()).collect();
    assert!(plain.len() >= 30, "{} tests", plain.len());
    for test in plain {
        check(pack, test, &mut bench, &catalog);
    }
}

#[test]
fn events_that_were_cut_are_compared_as_texts_and_the_output_says_so() {
    let shown = |before: Value, after: Value| pair(&(Some(before), Some(after)), Paint::new(false)).join("\n");
    let whole = shown(json!({"body": "a", "attributes": {}}), json!({"body": "b", "attributes": {}}));
    assert!(whole.contains("body") && !whole.contains("a part"), "{whole}");
    let (before, after) =
        (format!("{{\"body\":\"{}ä1", "x".repeat(500)), format!("{{\"body\":\"{}ö2", "x".repeat(500)));
    let differ = shown(json!(before), json!(after));
    let expected = "  compared is a part: the events are too long; their texts differ from byte 509 on\n  - ä1\n  + ö2";
    assert_eq!(differ, expected);
    let one = shown(json!({"body": "short"}), json!(before));
    assert!(one.contains("from byte 9 on\n  - short\"}\n  + xxx"), "{one}");
    let behind = shown(json!(before), json!(before));
    let expected =
        format!("  compared is a part: the events are too long, and differ behind their first {} bytes", before.len());
    assert_eq!(behind, expected);
}
