//! The plans of pipelines that read other pipelines.

use wattle_plan::{ReplaceError, Target};

use crate::plan::plan;

#[test]
fn pipelines_feed_pipelines_and_a_sink_reads_a_source_through_a_pipeline_without_nodes() {
    let text = r#"
        [sources.a]
        type = "stdin"
        [sources.b]
        type = "demo"
        [pipelines.last]
        inputs = ["first.*", "b"]
        pack = "sample@1"
        [pipelines.first]
        inputs = ["a"]
        pack = "sample@1"
        [sinks.all]
        type = "console"
        inputs = ["last.*", "a"]
        [sinks.copy]
        type = "blackhole"
        inputs = ["*"]
    "#;
    let plan = plan(text);
    assert_eq!(plan.pipelines[0].sources, [1]);
    assert_eq!(plan.pipelines[0].inputs, [(1, 0), (1, 1)]);
    assert_eq!(plan.pipelines[1].inputs, []);
    assert_eq!(plan.sources_of(0).into_iter().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(plan.sources_of(1).into_iter().collect::<Vec<_>>(), [0]);
    let names: Vec<&str> = plan.pipelines.iter().map(|pipeline| pipeline.name.as_str()).collect();
    assert_eq!(names, ["last", "first", "a", "b"]);
    assert_eq!(plan.pipelines[2].sources, [0]);
    assert_eq!(plan.pipelines[2].entry, [Target::Output(0)]);
    assert!(plan.pipelines[2].nodes.is_empty());
    assert_eq!(plan.sinks[0].inputs, [(0, 0), (0, 1), (2, 0)]);
    assert_eq!(plan.sinks[1].inputs, [(2, 0), (3, 0)]);
    let changed = crate::plan::plan(
        &text
            .replace("\"first.*\", \"b\"", "\"first.masked\", \"b\"")
            .replace("inputs = [\"last.*\", \"a\"]", "inputs = [\"last.*\", \"a\", \"first.fails\"]"),
    );
    assert_ne!(plan.fingerprint(), changed.fingerprint());
    assert_eq!(plan.pipelines[0].fingerprint(), changed.pipelines[0].fingerprint());
}

#[test]
fn another_version_of_a_pipeline_keeps_its_links_to_pipelines() {
    let text = r#"
        [sources.a]
        type = "stdin"
        [pipelines.first]
        inputs = ["a"]
        pack = "sample@1.0.0"
        [pipelines.last]
        inputs = ["first.fails"]
        pack = "sample@1.0.0"
        [sinks.all]
        type = "console"
        inputs = ["first.masked", "last.*"]
    "#;
    let plan = plan(text);
    let mut other = plan.pipelines[0].clone();
    other.outputs.reverse();
    let swapped = plan.with_pipeline("first", &other).unwrap();
    assert_eq!(swapped.pipelines[1].inputs, [(0, 0)]);
    assert_eq!(swapped.sinks[0].inputs, [(0, 1), (1, 0), (1, 1)]);
    let last = plan.with_pipeline("last", &plan.pipelines[1].clone()).unwrap();
    assert_eq!(last.pipelines[1].inputs, [(0, 1)]);
}

#[test]
fn a_version_with_an_output_that_nothing_reads_cannot_replace_a_pipeline() {
    let text = r#"
        [sources.a]
        type = "stdin"
        [pipelines.first]
        inputs = ["a"]
        pack = "sample@1.0.0"
        [sinks.all]
        type = "console"
        inputs = ["first.*"]
    "#;
    let plan = plan(text);
    let mut other = plan.pipelines[0].clone();
    other.outputs[0].name = "news".to_owned();
    assert_eq!(plan.with_pipeline("first", &other).unwrap_err(), ReplaceError::UnreadOutput("news".to_owned()));
    assert_eq!(plan.with_pipeline("last", &other).unwrap_err(), ReplaceError::NoPipeline("last".to_owned()));
}
