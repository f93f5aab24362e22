//! Masked points of small graphs, and of random ones against an enumeration of all ways through them.

use super::*;
use crate::plan::{CandidatePlan, PipelinePlan};
use crate::rollout::{CanarySettings, ShadowSettings};
use crate::sample::{node, pipeline, plan};

use Target::{Node, Output};

/// The masked points of the only pipeline, by name.
fn shown(pipeline: PipelinePlan) -> Vec<String> {
    all_shown(&plan(vec![pipeline]), 0)
}

fn all_shown(plan: &Plan, index: usize) -> Vec<String> {
    let masked = Masked::of(plan);
    let (pipeline, points) = (&plan.pipelines[index], masked.pipeline(index).unwrap());
    let mut names = Vec::new();
    names.extend(points.input.then(|| "input".to_owned()));
    for (index, node) in pipeline.nodes.iter().enumerate() {
        let ports = node.ports.iter().enumerate().filter(|(port, _)| points.port(index, *port));
        names.extend(ports.map(|(_, port)| format!("{}.{}", node.name, port.name)));
    }
    let outputs = pipeline.outputs.iter().enumerate().filter(|(output, _)| points.output(*output));
    names.extend(outputs.map(|(_, output)| output.name.clone()));
    names
}

#[test]
fn events_are_masked_after_the_last_mask_and_not_where_it_failed() {
    let nodes = vec![
        node("parse", false, &[("out", &[Node(1)]), ("failed", &[Output(1)])]),
        node("one", true, &[("out", &[Node(2)]), ("failed", &[Output(1)])]),
        node("two", true, &[("out", &[Node(3)]), ("failed", &[Output(1)])]),
        node("route", false, &[("a", &[Output(0)]), ("failed", &[Output(2)])]),
    ];
    let shown = shown(pipeline("main", &[Node(0)], nodes, &["ok", "fails", "late"]));
    assert_eq!(shown, ["two.out", "route.a", "route.failed", "ok", "late"]);
}

#[test]
fn a_way_around_the_mask_shows_nothing_behind_it() {
    let nodes = vec![
        node("split", false, &[("a", &[Node(1)]), ("b", &[Node(2)]), ("failed", &[Output(0)])]),
        node("mask", true, &[("out", &[Node(2)]), ("failed", &[Output(0)])]),
        node("join", false, &[("out", &[Output(1)]), ("failed", &[Output(0)])]),
    ];
    assert_eq!(shown(pipeline("main", &[Node(0)], nodes, &["fails", "ok"])), ["mask.out"]);
}

#[test]
fn a_pipeline_without_masks_shows_nothing() {
    let nodes = vec![node("parse", false, &[("out", &[Output(0)]), ("failed", &[Output(0)])])];
    assert!(shown(pipeline("main", &[Node(0)], nodes, &["ok"])).is_empty());
    assert!(shown(pipeline("direct", &[Output(0)], Vec::new(), &["ok"])).is_empty());
}

#[test]
fn what_a_mask_could_not_process_stays_hidden_behind_other_masks() {
    let nodes = vec![
        node("first", true, &[("out", &[Output(0)]), ("failed", &[Node(1)])]),
        node("second", true, &[("out", &[Output(1)]), ("failed", &[Output(1)])]),
    ];
    assert_eq!(shown(pipeline("main", &[Node(0)], nodes, &["ok", "rest"])), ["first.out", "ok"]);
}

#[test]
fn a_mask_that_an_open_circuit_passes_masks_nothing() {
    let mut mask = node("mask", true, &[("out", &[Output(0)]), ("failed", &[Output(1)])]);
    mask.on_fault = OnFault::Pass;
    assert!(shown(pipeline("main", &[Node(0)], vec![mask], &["ok", "fails"])).is_empty());
}

/// `main` with one mask, as in most packs.
fn masking(name: &str, masks: bool) -> PipelinePlan {
    let nodes = vec![node("mask", masks, &[("out", &[Output(0)]), ("failed", &[Output(1)])])];
    pipeline(name, &[Node(0)], nodes, &["ok", "fails"])
}

/// A pipeline behind others.
fn behind(name: &str, inputs: &[(usize, usize)], masks: bool) -> PipelinePlan {
    PipelinePlan { sources: Vec::new(), inputs: inputs.to_vec(), ..masking(name, masks) }
}

#[test]
fn a_masked_output_is_a_masked_input_of_the_next_pipeline() {
    let two = plan(vec![masking("first", true), behind("second", &[(0, 0)], false)]);
    assert_eq!(all_shown(&two, 0), ["mask.out", "ok"]);
    assert_eq!(all_shown(&two, 1), ["input", "mask.out", "mask.failed", "ok", "fails"]);

    let failures = plan(vec![masking("first", true), behind("second", &[(0, 0), (0, 1)], false)]);
    assert!(all_shown(&failures, 1).is_empty(), "one of its inputs is not masked");

    let mut mixed = two.clone();
    mixed.pipelines[1].sources = vec![0];
    assert!(all_shown(&mixed, 1).is_empty(), "a source is not masked");
}

#[test]
fn nothing_before_a_mask_of_a_later_pipeline_is_shown() {
    let two = plan(vec![masking("first", true), behind("second", &[(0, 0)], true)]);
    assert!(all_shown(&two, 0).is_empty());
    assert_eq!(all_shown(&two, 1), ["mask.out", "ok"]);
    // In any order of the file, and over a pipeline between them.
    let three = plan(vec![behind("last", &[(1, 0)], true), behind("middle", &[(2, 0)], false), masking("first", true)]);
    assert!(all_shown(&three, 2).is_empty() && all_shown(&three, 1).is_empty());
    assert_eq!(all_shown(&three, 0), ["mask.out", "ok"]);
}

#[test]
fn canaries_and_shadows_must_mask_as_well() {
    let candidate = |masks| masking("main", masks);
    for masks in [false, true] {
        let expected: &[&str] = if masks { &["mask.out", "ok"] } else { &[] };
        let settings = CanarySettings::default();
        let canary = Some(Box::new(CandidatePlan { candidate: candidate(masks), settings }));
        assert_eq!(shown(PipelinePlan { canary, ..masking("main", true) }), expected, "canary");
        let settings = ShadowSettings::default();
        let shadow = Some(Box::new(CandidatePlan { candidate: candidate(masks), settings }));
        assert_eq!(shown(PipelinePlan { shadow, ..masking("main", true) }), expected, "shadow");
    }
    // What the canary of the first pipeline sends reaches the second as well.
    let canary = CandidatePlan { candidate: candidate(false), settings: CanarySettings::default() };
    let first = PipelinePlan { canary: Some(Box::new(canary)), ..masking("first", true) };
    assert!(all_shown(&plan(vec![first, behind("second", &[(0, 0)], false)]), 1).is_empty());
    // A mask that only the canary of the second pipeline has.
    let canary = CandidatePlan { candidate: candidate(true), settings: CanarySettings::default() };
    let second = PipelinePlan { canary: Some(Box::new(canary)), ..behind("second", &[(0, 0)], false) };
    assert!(all_shown(&plan(vec![masking("first", true), second]), 0).is_empty());
}

/// The first points of a version, by name.
fn first(plan: &Plan, index: usize, version: &PipelinePlan) -> Vec<String> {
    let found = FirstPoints::of(version, &Masked::of(plan).of_version(plan, index, version));
    let mut names = Vec::from_iter(found.input.then(|| "input".to_owned()));
    for (index, node) in version.nodes.iter().enumerate() {
        let ports = node.ports.iter().enumerate().filter(|(port, _)| found.port(index, *port));
        names.extend(ports.map(|(_, port)| format!("{}.{}", node.name, port.name)));
    }
    assert_eq!(found.is_empty(), names.is_empty());
    names
}

#[test]
fn the_first_points_are_behind_the_last_mask_of_each_way() {
    let nodes = vec![
        node("split", false, &[("a", &[Node(1)]), ("b", &[Node(2)]), ("failed", &[Output(1)])]),
        node("one", true, &[("out", &[Node(3)]), ("failed", &[Output(1)])]),
        node("two", true, &[("out", &[Node(3)]), ("failed", &[Output(1)])]),
        node("route", false, &[("out", &[Output(0)]), ("failed", &[Output(0)])]),
    ];
    let main = plan(vec![pipeline("main", &[Node(0)], nodes, &["ok", "fails"])]);
    assert_eq!(first(&main, 0, &main.pipelines[0]), ["one.out", "two.out"]);
    assert!(FirstPoints::of_all(&main.pipelines[0]).input);
    let two = plan(vec![masking("first", true), behind("second", &[(0, 0)], false)]);
    assert_eq!(first(&two, 1, &two.pipelines[1]), ["input"]);
    let none = plan(vec![masking("main", false)]);
    assert!(first(&none, 0, &none.pipelines[0]).is_empty());
}

/// A random graph whose links lead to later nodes or to outputs.
fn random(random: &mut fastrand::Rng, name: &str) -> PipelinePlan {
    let (count, outputs) = (random.usize(0..5), random.usize(1..4));
    let targets = |random: &mut fastrand::Rng, after: usize| -> Vec<Target> {
        let target = |random: &mut fastrand::Rng| match random.usize(after..count + outputs) {
            node if node < count => Node(node),
            output => Output(output - count),
        };
        (0..random.usize(1..3)).map(|_| target(random)).collect()
    };
    let nodes = (0..count).map(|index| {
        let ports: Vec<(&str, Vec<Target>)> =
            ["a", "b", FAILED].iter().map(|port| (*port, targets(random, index + 1))).collect();
        let ports: Vec<(&str, &[Target])> = ports.iter().map(|(name, targets)| (*name, targets.as_slice())).collect();
        let mut node = node(&format!("n{index}"), random.u8(0..3) == 0, &ports);
        node.on_fault = if random.u8(0..10) == 0 { OnFault::Pass } else { OnFault::Fail };
        node
    });
    let nodes = nodes.collect();
    let entry = targets(random, 0);
    pipeline(name, &entry, nodes, &["x", "y", "z"][..outputs])
}

/// Gets each step of a way: the nodes and ports before it, and the target.
type Visit<'v> = dyn FnMut(&[(usize, usize)], Target) + 'v;

/// Follows all ways from a target to their ends, and calls `visit` with each step: the node, or none for an output.
fn ways(version: &PipelinePlan, target: Target, way: &mut Vec<(usize, usize)>, visit: &mut Visit<'_>) {
    visit(way, target);
    if let Node(index) = target {
        for (port, plan) in version.nodes[index].ports.iter().enumerate() {
            for next in &plan.targets {
                way.push((index, port));
                ways(version, *next, way, visit);
                way.pop();
            }
        }
    }
}

/// Whether a way from a target meets a masking node, also in the pipelines that its outputs feed, in any version.
fn meets_mask(plan: &Plan, index: usize, version: &PipelinePlan, target: Target) -> bool {
    let mut meets = false;
    ways(version, target, &mut Vec::new(), &mut |_, at| match at {
        Node(node) => meets |= version.nodes[node].shape.masks,
        Output(output) => {
            let name = &version.outputs[output].name;
            let output = plan.pipelines[index].outputs.iter().position(|known| known.name == *name);
            for (next, pipeline) in plan.pipelines.iter().enumerate() {
                if output.is_some_and(|output| pipeline.inputs.contains(&(index, output))) {
                    meets |= pipeline
                        .versions()
                        .any(|version| version.entry.iter().any(|entry| meets_mask(plan, next, version, *entry)));
                }
            }
        }
    });
    meets
}

/// Whether a way that left nodes on these ports masks its events: it left a mask on another port than `failed`, and
/// none on `failed` or with an open circuit.
fn masks(version: &PipelinePlan, way: &[(usize, usize)], arrives: bool) -> bool {
    let masks = way.iter().map(|(node, port)| (&version.nodes[*node], *port)).filter(|(node, _)| node.shape.masks);
    let (mut is_masked, mut has_failed) = (arrives, false);
    for (node, port) in masks {
        let failure = node.ports[port].name == FAILED || node.on_fault == OnFault::Pass;
        is_masked |= !failure;
        has_failed |= failure;
    }
    is_masked && !has_failed
}

/// Whether a point is masked, by its definition. `None` if the version has no such point.
fn expected(plan: &Plan, index: usize, version: &PipelinePlan, point: &str) -> Option<bool> {
    let pipeline = &plan.pipelines[index];
    let arrives = pipeline.sources.is_empty()
        && !pipeline.inputs.is_empty()
        && pipeline.inputs.iter().all(|(from, output)| {
            let output = format!(".{}", plan.pipelines[*from].outputs[*output].name);
            plan.pipelines[*from].versions().filter_map(|version| expected(plan, *from, version, &output)).all(|m| m)
        });
    let (mut exists, mut number, mut all) = (point == "input", 0, true);
    if point == "input" {
        let meets = version.entry.iter().any(|target| meets_mask(plan, index, version, *target));
        return Some(arrives && !meets);
    }
    exists |= version.outputs.iter().any(|output| format!(".{}", output.name) == point);
    exists |=
        version.nodes.iter().any(|node| node.ports.iter().any(|port| format!("{}.{}", node.name, port.name) == point));
    for entry in &version.entry {
        ways(version, *entry, &mut Vec::new(), &mut |way, at| {
            let left = way.last().map(|(node, port)| {
                let node = &version.nodes[*node];
                format!("{}.{}", node.name, node.ports[*port].name)
            });
            let output = match at {
                Output(output) => format!(".{}", version.outputs[output].name),
                Node(_) => String::new(),
            };
            if left.as_deref() == Some(point) || output == point {
                number += 1;
                let ahead = match way.last() {
                    Some((node, port)) if output != point => version.nodes[*node].ports[*port]
                        .targets
                        .iter()
                        .any(|target| meets_mask(plan, index, version, *target)),
                    _ => meets_mask(plan, index, version, at),
                };
                all &= masks(version, way, arrives) && !ahead;
            }
        });
    }
    exists.then_some(number > 0 && all)
}

#[test]
fn random_graphs_agree_with_an_enumeration_of_all_ways() {
    let mut rng = fastrand::Rng::with_seed(22);
    let (mut shown, mut hidden, mut kept) = (0, 0, 0);
    for round in 0..3000 {
        let mut pipelines: Vec<PipelinePlan> = Vec::new();
        for index in 0..rng.usize(1..4) {
            let mut next = random(&mut rng, &format!("p{index}"));
            if index > 0 && rng.bool() {
                next.sources.clear();
                for _ in 0..rng.usize(1..3) {
                    let from = rng.usize(0..index);
                    next.inputs.push((from, rng.usize(0..pipelines[from].outputs.len())));
                }
            }
            if rng.u8(0..3) == 0 {
                let mut candidate = random(&mut rng, "candidate");
                candidate.sources.clear();
                let names: Vec<String> = next.outputs.iter().map(|output| output.name.clone()).collect();
                // Its outputs are among those of the pipeline.
                if candidate.outputs.iter().all(|output| names.contains(&output.name)) {
                    let settings = CanarySettings::default();
                    next.canary = Some(Box::new(CandidatePlan { candidate, settings }));
                }
            }
            pipelines.push(next);
        }
        // The order of the file is not that of the links.
        let plan = plan(pipelines);
        let masked = Masked::of(&plan);
        for (index, pipeline) in plan.pipelines.iter().enumerate() {
            for version in pipeline.versions() {
                kept += check_first(&plan, index, version);
            }
        }
        for (index, pipeline) in plan.pipelines.iter().enumerate() {
            let points = masked.pipeline(index).unwrap();
            let mut found = vec![("input".to_owned(), points.input)];
            for (place, node) in pipeline.nodes.iter().enumerate() {
                let ports = node.ports.iter().enumerate();
                found.extend(
                    ports.map(|(port, plan)| (format!("{}.{}", node.name, plan.name), points.port(place, port))),
                );
            }
            let outputs = pipeline.outputs.iter().enumerate();
            found.extend(outputs.map(|(place, output)| (format!(".{}", output.name), points.output(place))));
            for (point, is_masked) in found {
                let mut versions = pipeline.versions().filter_map(|version| expected(&plan, index, version, &point));
                let expected = versions.all(|masked| masked);
                assert_eq!(is_masked, expected, "round {round}, pipeline {index}, point {point}: {plan:#?}");
                *(if is_masked { &mut shown } else { &mut hidden }) += 1;
            }
        }
    }
    assert!(shown > 1000 && hidden > 1000, "{shown} points are masked, {hidden} are not");
    assert!(kept > 1000, "only {kept} first points");
}

/// Events at the first points are masked by the definition of every version, and no way passes two of them. Returns their
/// number.
fn check_first(plan: &Plan, index: usize, version: &PipelinePlan) -> usize {
    let names = first(plan, index, version);
    for name in &names {
        let mut versions = plan.pipelines[index].versions().filter_map(|v| expected(plan, index, v, name));
        assert!(versions.all(|masked| masked), "{name}: {plan:#?}");
    }
    let is_input_first = names.iter().any(|name| name == "input");
    for entry in &version.entry {
        ways(version, *entry, &mut Vec::new(), &mut |way, _| {
            let passed = way.iter().filter(|(node, port)| {
                let node = &version.nodes[*node];
                names.contains(&format!("{}.{}", node.name, node.ports[*port].name))
            });
            let passed = passed.count() + usize::from(is_input_first);
            assert!(passed <= 1, "{names:?}, {way:?}: {plan:#?}");
        });
    }
    names.len()
}
