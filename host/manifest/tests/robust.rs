//! No input makes the crate panic, and every failure has a diagnostic.

use proptest::prelude::*;
use serde_json::Map;
use wattle_diagnostics::Severity;
use wattle_manifest::load_pack;

use crate::fakes::{FakeNodes, library, load};

const GOOD: &str = r#"
[agent]
workers = 2
[agent.batch]
max_bytes = "256KiB"
[sources.trail]
type = "file"
path = "${SECRET}"
[pipelines.main]
inputs = ["trail"]
pack = "sample@1.0.0"
params = { mode = "strict", keep = ["a"] }
[pipelines.inline]
inputs = ["trail"]
[pipelines.inline.nodes.route]
artifact = "builtin:route"
inputs = ["input"]
options = { paths = [{ name = "quiet", when = { field = "body", regex = "^Get" } }] }
[pipelines.inline.outputs.all]
inputs = ["route.*"]
[sinks.all]
type = "console"
inputs = ["main.*", "inline.all"]
"#;

fn check(text: &str) {
    if let Err(invalid) = load(text) {
        assert!(invalid.diagnostics.iter().any(|d| d.severity == Severity::Error), "{text}");
        for diagnostic in &invalid.diagnostics {
            diagnostic.render(true);
            diagnostic.render_line();
            diagnostic.render_json();
        }
    }
}

#[test]
fn the_valid_text_is_valid() {
    assert!(load(GOOD).is_ok());
}

#[test]
fn any_truncated_text_gives_a_plan_or_diagnostics() {
    for end in 0..GOOD.len() {
        check(&GOOD[..end]);
        check(&GOOD[end..]);
    }
}

#[test]
fn deep_and_long_texts_give_a_plan_or_diagnostics() {
    check(&"[".repeat(100_000));
    check(&format!("a = {}", "[".repeat(100_000)));
    check(&format!("a = {}", "{ a = ".repeat(50_000)));
    check(&format!("{} = 1", vec!["a"; 50_000].join(".")));
    check(&format!("[{}]", vec!["a"; 50_000].join(".")));
    check(&format!("x = \"{}\"", "${".repeat(50_000)));
    check("\u{feff}[agent]\r\nworkers = \"\u{1b}[31m\"\r\n");
}

/// Text with the parts of a configuration in any order.
fn pieces() -> impl Strategy<Value = String> {
    let lines: Vec<&'static str> = GOOD.lines().collect();
    proptest::collection::vec(
        prop_oneof![
            6 => proptest::sample::select(lines).prop_map(str::to_owned),
            1 => "[a-z.*\"\\[\\]{}=$ ]{0,20}",
            1 => "\\PC{0,8}",
        ],
        0..30,
    )
    .prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn any_text_gives_a_plan_or_diagnostics(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn any_mixture_of_pieces_gives_a_plan_or_diagnostics(text in pieces()) {
        check(&text);
    }

    #[test]
    fn any_change_of_a_valid_text_gives_a_plan_or_diagnostics(at in 0..GOOD.len(), length in 0_usize..12, new in "\\PC{0,6}") {
        let end = (at + length).min(GOOD.len());
        check(&format!("{}{new}{}", &GOOD[..at], &GOOD[end..]));
    }

    #[test]
    fn any_reference_to_a_pack_resolves_or_gives_diagnostics(reference in "[a-z@./*0-9^~ -]{0,12}") {
        let loaded = load_pack(&reference, &Map::new(), &FakeNodes, &library());
        prop_assert!(loaded.is_ok() || loaded.is_err_and(|invalid| !invalid.diagnostics.is_empty()));
    }

    #[test]
    fn graphs_with_any_links_are_sorted_or_refused(links in proptest::collection::vec((0_usize..6, 0_usize..6), 0..12)) {
        let mut text = String::from("[sources.s]\ntype = \"stdin\"\n[pipelines.p]\ninputs = [\"s\"]\n");
        for node in 0..6 {
            let from = links.iter().filter(|(_, to)| *to == node).map(|(from, _)| format!("\"n{from}\""));
            let inputs: Vec<String> = from.chain((node == 0).then(|| "\"input\"".to_owned())).collect();
            text += &format!("[pipelines.p.nodes.n{node}]\nartifact = \"builtin:parse\"\ninputs = [{}]\n", inputs.join(", "));
        }
        text += "[pipelines.p.outputs.o]\ninputs = [\"*.*\"]\n[sinks.k]\ntype = \"console\"\ninputs = [\"p.o\"]\n";
        check(&text);
        if let Ok((plan, _)) = load(&text) {
            for (index, node) in plan.pipelines[0].nodes.iter().enumerate() {
                for target in node.ports.iter().flat_map(|port| &port.targets) {
                    let forward = matches!(target, wattle_plan::Target::Node(to) if *to > index);
                    prop_assert!(forward || matches!(target, wattle_plan::Target::Output(0)));
                }
            }
        }
    }
}
