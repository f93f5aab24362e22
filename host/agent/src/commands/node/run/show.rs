//! The output of `wattle node run` as text: the event, the changes of each step, the result.

use serde_json::value::RawValue;
use wattle_cases::CaseFault;
use wattle_json::Kind;
use wattle_printable::{Line, line};

use super::changes::{member, string};
use super::{Change, Ran, Shown, Step, only};

/// Maximum number of characters of a value.
const MAX_VALUE: usize = 200;
/// Maximum number of characters of a step.
const MAX_STEP: usize = 100;

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const DIM: &str = "2";
const BOLD: &str = "1";

/// Writes text with colors or without.
pub(super) struct Painter {
    color: bool,
}

impl Painter {
    pub(super) const fn new(color: bool) -> Self {
        Self { color }
    }

    /// The lines for an event. Foreign text in them is escaped.
    pub(super) fn event(&self, number: usize, shown: &Shown) -> String {
        let mut out = vec![self.paint(BOLD, &format!("line {number}"))];
        out.push(format!("  {}", body(&shown.before)));
        for Step { number, step, changes } in &shown.steps {
            let step = cut(&step.to_string(), MAX_STEP);
            out.push(format!("  {}", self.paint(DIM, &format!("steps[{number}] {step}"))));
            out.extend(self.changes(changes));
        }
        match &shown.outcome {
            Err(fault) => out.push(self.fault(fault)),
            Ok(ran) => {
                // With steps, their changes are already there.
                if shown.steps.is_empty() && only(ran).is_some() {
                    out.extend(self.changes(&shown.changes));
                }
                self.ran(ran, only(ran).is_some() && shown.changes.is_empty(), &mut out);
            }
        }
        out.join("\n")
    }

    /// The lines for a line that is not an event.
    pub(super) fn odd(&self, number: usize, text: &str, problem: &str) -> String {
        let problem = format!("  {} {}", self.paint(RED, "not an event"), Line(problem));
        [self.paint(BOLD, &format!("line {number}")), format!("  {}", cut(text, MAX_VALUE)), problem].join("\n")
    }

    /// The lines for what a timer made.
    pub(super) fn timer(&self, is_last: bool, made: &Result<Ran, CaseFault>) -> String {
        let mut out = vec![self.paint(BOLD, if is_last { "end of the input" } else { "timer" })];
        match made {
            Err(fault) => out.push(self.fault(fault)),
            Ok(ran) => self.ran(ran, false, &mut out),
        }
        out.join("\n")
    }

    fn fault(&self, fault: &CaseFault) -> String {
        format!("  {} {}", self.paint(RED, "fault"), Line(&fault.message))
    }

    fn ran(&self, ran: &Ran, is_unchanged: bool, out: &mut Vec<String>) {
        for (port, events) in &ran.ports {
            for event in events {
                let name = self.paint(GREEN, &line(port));
                let same = if is_unchanged { self.paint(DIM, " (unchanged)") } else { String::new() };
                out.push(format!("  {name} {}{same}", body(event)));
                if let Some((attributes, _)) = member(event, "attributes") {
                    out.push(format!("    attributes {}", cut(attributes, MAX_VALUE)));
                }
            }
        }
        for event in &ran.failed {
            let failure = member(event, "failure").map_or("{}", |(failure, _)| failure);
            let text = |key: &str| member(failure, key).map(|(text, _)| string(text)).unwrap_or_default();
            let name = self.paint(RED, "failed");
            out.push(format!("  {name} {}: {}", Line(&text("code")), Line(&text("message"))));
        }
        if ran.held > 0 {
            out.push(format!("  {} in the memory of the node", self.paint(YELLOW, "held")));
        }
        for code in ran.dropped.keys() {
            out.push(format!("  {} {}", self.paint(YELLOW, "dropped"), Line(code)));
        }
        for (name, count) in &ran.counts {
            out.push(format!("  {}", self.paint(DIM, &format!("count {} {count}", Line(name)))));
        }
    }

    fn changes<'a>(&'a self, changes: &'a [Change]) -> impl Iterator<Item = String> + 'a {
        changes.iter().flat_map(|change| {
            let side = |sign: &str, code: &str, value: &Option<Box<RawValue>>| {
                let value = cut(value.as_ref()?.get(), MAX_VALUE);
                Some(self.paint(code, &format!("    {sign} {} {value}", Line(&change.path))))
            };
            [side("-", RED, &change.before), side("+", GREEN, &change.after)].into_iter().flatten()
        })
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn body(event: &str) -> String {
    let text =
        member(event, "body").map(|(body, kind)| if kind == Kind::String { string(body) } else { body.to_owned() });
    let bytes = || member(event, "body_base64").map(|(bytes, _)| bytes.to_owned());
    cut(&text.or_else(bytes).unwrap_or_default(), MAX_VALUE)
}

/// The beginning of a text, escaped, on one line.
fn cut(text: &str, limit: usize) -> String {
    let cut: String = text.chars().take(limit).collect();
    if cut.len() < text.len() { format!("{}...", line(&cut)) } else { line(&cut).into_owned() }
}
