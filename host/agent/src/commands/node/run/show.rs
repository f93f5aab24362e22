//! The output of `wattle node run` as text: the event, the changes of each step, the result.

use wattle_cases::CaseFault;
use wattle_printable::{Line, line};

use super::{Ran, Shown, Step, only};
use crate::commands::changes::{member, string};
use crate::commands::paint::{BOLD, DIM, GREEN, MAX_VALUE, Paint, RED, YELLOW, body, cut};

/// Maximum number of characters of a step.
const MAX_STEP: usize = 100;

/// Writes text with colors or without.
pub(super) struct Painter(Paint);

impl Painter {
    pub(super) const fn new(color: bool) -> Self {
        Self(Paint::new(color))
    }

    /// The lines for an event. Foreign text in them is escaped.
    pub(super) fn event(&self, number: usize, shown: &Shown) -> String {
        let mut out = vec![self.0.paint(BOLD, &format!("line {number}"))];
        out.push(format!("  {}", body(&shown.before)));
        for Step { number, step, changes } in &shown.steps {
            let step = cut(&step.to_string(), MAX_STEP);
            out.push(format!("  {}", self.0.paint(DIM, &format!("steps[{number}] {step}"))));
            out.extend(self.0.changes(changes, "    ", MAX_VALUE));
        }
        match &shown.outcome {
            Err(fault) => out.push(self.fault(fault)),
            Ok(ran) => {
                // With steps, their changes are already there.
                if shown.steps.is_empty() && only(ran).is_some() {
                    out.extend(self.0.changes(&shown.changes, "    ", MAX_VALUE));
                }
                self.ran(ran, only(ran).is_some() && shown.changes.is_empty(), &mut out);
            }
        }
        out.join("\n")
    }

    /// The lines for a line that is not an event.
    pub(super) fn odd(&self, number: usize, text: &str, problem: &str) -> String {
        let problem = format!("  {} {}", self.0.paint(RED, "not an event"), Line(problem));
        [self.0.paint(BOLD, &format!("line {number}")), format!("  {}", cut(text, MAX_VALUE)), problem].join("\n")
    }

    /// The lines for what a timer made.
    pub(super) fn timer(&self, is_last: bool, made: &Result<Ran, CaseFault>) -> String {
        let mut out = vec![self.0.paint(BOLD, if is_last { "end of the input" } else { "timer" })];
        match made {
            Err(fault) => out.push(self.fault(fault)),
            Ok(ran) => self.ran(ran, false, &mut out),
        }
        out.join("\n")
    }

    fn fault(&self, fault: &CaseFault) -> String {
        format!("  {} {}", self.0.paint(RED, "fault"), Line(&fault.message))
    }

    fn ran(&self, ran: &Ran, is_unchanged: bool, out: &mut Vec<String>) {
        for (port, events) in &ran.ports {
            for event in events {
                let name = self.0.paint(GREEN, &line(port));
                let same = if is_unchanged { self.0.paint(DIM, " (unchanged)") } else { String::new() };
                out.push(format!("  {name} {}{same}", body(event)));
                if let Some((attributes, _)) = member(event, "attributes") {
                    out.push(format!("    attributes {}", cut(attributes, MAX_VALUE)));
                }
            }
        }
        for event in &ran.failed {
            let failure = member(event, "failure").map_or("{}", |(failure, _)| failure);
            let text = |key: &str| member(failure, key).map(|(text, _)| string(text)).unwrap_or_default();
            let name = self.0.paint(RED, "failed");
            out.push(format!("  {name} {}: {}", Line(&text("code")), Line(&text("message"))));
        }
        if ran.held > 0 {
            out.push(format!("  {} in the memory of the node", self.0.paint(YELLOW, "held")));
        }
        for code in ran.dropped.keys() {
            out.push(format!("  {} {}", self.0.paint(YELLOW, "dropped"), Line(code)));
        }
        for (name, count) in &ran.counts {
            out.push(format!("  {}", self.0.paint(DIM, &format!("count {} {count}", Line(name)))));
        }
    }
}
