//! Compares the events of two versions, batch by batch.

use std::collections::{BTreeMap, BTreeSet};

use wattle_api::trial::OutputDifference;
use wattle_topology::differences;

use super::collect::{Line, Lines};
use super::render;
use super::side::Side;

/// The differences so far.
pub(super) struct Comparison {
    by_output: BTreeMap<String, OutputDifference>,
    max_pairs: usize,
}

impl Comparison {
    pub(super) fn new(max_pairs: usize) -> Self {
        Self { by_output: BTreeMap::new(), max_pairs }
    }

    /// Compares what both versions made of the last batch.
    pub(super) fn add(&mut self, sides: &mut [Side]) {
        let [result, against] = sides else { return };
        let (new, old) = (result.take_lines(), against.take_lines());
        let is_whole = new.left_out == 0 && old.left_out == 0;
        let (new, old) = (by_name(result.outputs(), new), by_name(against.outputs(), old));
        let names: BTreeSet<&String> = new.keys().chain(old.keys()).collect();
        for name in names {
            let (new, old) = (lines(&new, name), lines(&old, name));
            if new.is_empty() && old.is_empty() {
                continue;
            }
            let output = self.by_output.entry(name.clone()).or_default();
            if !is_whole {
                output.uncompared += new.len().max(old.len()) as u64;
                continue;
            }
            let pairs = differences(old, new, Line::similarity);
            let (mut changed, mut missing, mut added) = (0, 0, 0);
            for (before, after) in pairs {
                match (before, after) {
                    (Some(_), Some(_)) => changed += 1,
                    (Some(_), None) => missing += 1,
                    (None, _) => added += 1,
                }
                let text = |lines: &[Line], at: Option<usize>| lines.get(at?)?.text.clone();
                let (left, right) = (text(old, before), text(new, after));
                // An event that was too long to be kept cannot be shown.
                let is_shown = left.is_some() == before.is_some() && right.is_some() == after.is_some();
                if is_shown && output.first.len() < self.max_pairs {
                    let event = |text: Option<Box<[u8]>>| text.map(|text| render::event(&text, render::MAX_PAIR));
                    output.first.push((event(left), event(right)));
                }
            }
            output.same += (new.len() as u64).saturating_sub(changed + added);
            output.changed += changed;
            output.missing += missing;
            output.added += added;
        }
    }

    pub(super) fn finish(self) -> BTreeMap<String, OutputDifference> {
        self.by_output
    }
}

fn by_name(names: Vec<String>, lines: Lines) -> BTreeMap<String, Vec<Line>> {
    names.into_iter().zip(lines.by_output).collect()
}

fn lines<'a>(all: &'a BTreeMap<String, Vec<Line>>, name: &str) -> &'a [Line] {
    all.get(name).map(Vec::as_slice).unwrap_or_default()
}
