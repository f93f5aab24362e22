//! Checks that the versions of the pack `cloudtrail` are valid and that their tests can be read.
//!
//! Nodes are fakes here, which know the nodes of this pack only; the suite `packs` runs every pack on the real nodes.

use expect_test::{Expect, expect};
use serde_json::Map;
use wattle_manifest::{Expectations, PackTest, load_pack, load_tests};
use wattle_pack::Library;
use wattle_plan::{dot, mermaid};

use crate::fakes::FakeNodes;

/// The versions whose nodes the fakes know.
const PACKS: [&str; 3] = ["cloudtrail@1.0.0", "cloudtrail@1.1.0", "cloudtrail@1.2.0"];

fn library() -> Library {
    Library::default().with_folder("../../packs")
}

fn tests(pack: &str) -> Vec<PackTest> {
    load_tests(pack, &library(), Expectations::Required).unwrap_or_else(|invalid| panic!("{invalid:?}"))
}

#[test]
fn every_version_of_cloudtrail_is_valid_without_a_warning() {
    let packs = library().list();
    let versions = packs.iter().filter(|pack| pack.name == "cloudtrail" && pack.version.major == 1);
    let packs: Vec<String> = versions.map(|pack| format!("{}@{}", pack.name, pack.version)).collect();
    assert_eq!(packs, PACKS);
    for pack in PACKS {
        let (plan, warnings) = load_pack(pack, &Map::new(), &FakeNodes, &library()).unwrap();
        assert_eq!(plan.pack.unwrap().to_string(), pack);
        assert!(warnings.is_empty(), "{warnings:?}");
        let outputs: Vec<&str> = plan.outputs.iter().map(|output| output.title.as_str()).collect();
        assert_eq!(outputs, ["Processed", "get describe list", "Fails"]);
    }
}

#[test]
fn masks_come_before_every_other_node() {
    for pack in PACKS {
        let (plan, _) = load_pack(pack, &Map::new(), &FakeNodes, &library()).unwrap();
        let masks: Vec<bool> = plan.nodes.iter().map(|node| node.shape.masks).collect();
        let others = masks.iter().skip_while(|masks| **masks).count();
        assert!(others < masks.len() && masks.iter().rev().take(others).all(|masks| !masks), "{pack}: {masks:?}");
    }
}

#[test]
fn every_test_is_valid_with_its_parameters() {
    for pack in PACKS {
        for test in tests(pack) {
            let loaded = load_pack(pack, &test.params, &FakeNodes, &library());
            assert!(loaded.is_ok(), "{pack} {}: {loaded:?}", test.name);
            assert_eq!(test.expected.len(), 3, "{pack} {}", test.name);
        }
    }
}

#[test]
fn no_expectation_contains_a_masked_value() {
    for pack in PACKS {
        for test in tests(pack) {
            for event in test.expected.values().flatten() {
                let text = event.to_string();
                for secret in
                    ["AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE", "AROA3XFRBF535PLBIFPI4", "FwoGZXIvYXdzEBYa"]
                {
                    assert!(!text.contains(secret), "{pack} {}: {text}", test.name);
                }
            }
        }
    }
}

#[test]
fn the_second_version_passes_the_tests_of_the_first() {
    let second = tests("cloudtrail@1.1.0");
    for test in tests("cloudtrail@1.0.0") {
        assert!(second.contains(&test), "{}", test.name);
    }
}

#[test]
fn the_third_version_delivers_the_same_as_the_second() {
    let third = tests("cloudtrail@1.2.0");
    for test in tests("cloudtrail@1.1.0") {
        let same = third.iter().find(|other| other.name == test.name).unwrap();
        assert_eq!((&same.input, &same.params), (&test.input, &test.params), "{}", test.name);
        for output in ["processed", "get_describe_list"] {
            assert_eq!(same.expected[output], test.expected[output], "{} {output}", test.name);
        }
        assert_eq!(same.expected["fails"].len(), test.expected["fails"].len(), "{}", test.name);
    }
}

#[test]
fn only_the_test_without_masks_expects_unmasked_values() {
    let personal =
        ["192.0.2.7", "bob@example.com", "ct-1234", "page-2", "AAAAC3NzaC1lZDI1NTE5", "AIDAEXAMPLEEXAMPLE123"];
    let secret = ["hunter2", "MIIEow", "wJalrXUtnFEMI", "FwoG", "AROAEXAMPLEEXAMPLE123", "AKIAI44QH8DHBEXAMPLE"];
    let shown = |name: &str, values: &[&str]| {
        let test = tests("cloudtrail@1.2.0").into_iter().find(|test| test.name == name).unwrap();
        let text: String = test.expected["processed"].iter().map(ToString::to_string).collect();
        values.iter().map(|value| text.contains(value)).collect::<Vec<_>>()
    };
    for (name, shows_personal, shows_secret) in
        [("nothing-masked", true, true), ("secrets", true, false), ("personal-data", false, false)]
    {
        assert_eq!(shown(name, &personal), [shows_personal; 6], "{name}");
        assert_eq!(shown(name, &secret), [shows_secret; 6], "{name}");
    }
}

#[track_caller]
fn check(text: &str, expected: Expect) {
    expected.assert_eq(text);
}

#[test]
fn a_pack_is_drawn_in_mermaid_and_dot() {
    let (plan, _) = load_pack("cloudtrail@1.0.0", &Map::new(), &FakeNodes, &library()).unwrap();
    check(
        &mermaid(&plan),
        expect![[r#"
        flowchart LR
          input(["input"])
          n0["mask-access-key-id<br/><small>mask</small>"]
          n1["mask-assumed-role<br/><small>mask</small>"]
          n2["mask-session-token<br/><small>mask</small>"]
          n3["unroll<br/><small>unroll</small>"]
          n4["parse<br/><small>parse</small>"]
          n5["extract<br/><small>extract</small>"]
          n6["route<br/><small>route</small>"]
          o0(["Processed"])
          o1(["get describe list"])
          o2(["Fails"])
          input --> n0
          n0 --> n1
          n0 -.->|"failed"| o2
          n1 --> n2
          n1 -.->|"failed"| o2
          n2 --> n3
          n2 -.->|"failed"| o2
          n3 --> n4
          n3 -.->|"failed"| o2
          n4 --> n5
          n4 -.->|"failed"| o2
          n5 --> n6
          n5 -.->|"failed"| o2
          n6 -->|"not_important_event"| o1
          n6 -->|"unmatched"| o0
          n6 -.->|"failed"| o2
    "#]],
    );
    check(
        &dot(&plan),
        expect![[r#"
        digraph "cloudtrail" {
          rankdir=LR;
          input [shape=ellipse];
          n0 [shape=box, label="mask-access-key-id\nmask"];
          n1 [shape=box, label="mask-assumed-role\nmask"];
          n2 [shape=box, label="mask-session-token\nmask"];
          n3 [shape=box, label="unroll\nunroll"];
          n4 [shape=box, label="parse\nparse"];
          n5 [shape=box, label="extract\nextract"];
          n6 [shape=box, label="route\nroute"];
          o0 [shape=ellipse, label="Processed"];
          o1 [shape=ellipse, label="get describe list"];
          o2 [shape=ellipse, label="Fails"];
          input -> n0;
          n0 -> n1;
          n0 -> o2 [label="failed", style=dotted];
          n1 -> n2;
          n1 -> o2 [label="failed", style=dotted];
          n2 -> n3;
          n2 -> o2 [label="failed", style=dotted];
          n3 -> n4;
          n3 -> o2 [label="failed", style=dotted];
          n4 -> n5;
          n4 -> o2 [label="failed", style=dotted];
          n5 -> n6;
          n5 -> o2 [label="failed", style=dotted];
          n6 -> o1 [label="not_important_event"];
          n6 -> o0 [label="unmatched"];
          n6 -> o2 [label="failed", style=dotted];
        }
    "#]],
    );
}
