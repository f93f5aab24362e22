//! Misbehaving guests and corrupt state: the agent keeps running, healthy events all arrive,
//! poisonous events fail with the right code, and unmasked events never leave.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod circuit;
mod corrupt;
mod fused;
mod guests;
mod limits;
mod quarantine;
mod stuck;

use wattle_tests::Summary;

/// Faults of a node by kind in a summary, such as `trap (guest)`.
fn faults(summary: &Summary, pipeline: &str, kind: &str) -> u64 {
    let reasons = &summary.pipelines[pipeline].reasons;
    let lines = reasons.iter().filter_map(|line| line.strip_prefix("faults of ")?.split_once(": ")?.1.split_once(' '));
    lines.filter(|(_, what)| *what == kind).map(|(count, _)| count.parse::<u64>().unwrap()).sum()
}
