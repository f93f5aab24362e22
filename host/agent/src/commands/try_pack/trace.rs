//! The way of one event through the graph as text.

use wattle_api::tap::Step;
use wattle_api::trial::TriedTrace;
use wattle_printable::{Line, line};

use super::show::MAX_VALUE;
use crate::commands::changes::changes;
use crate::commands::paint::{BOLD, DIM, Paint, RED, YELLOW, body, cut};

/// The points that an event passed, each with what changed since the point before.
pub(super) fn render(number: usize, trace: &TriedTrace, paint: Paint) -> Vec<String> {
    let mut out = vec![paint.paint(BOLD, &format!("event {number}"))];
    let mut last: Option<String> = None;
    for step in &trace.steps {
        out.extend(self::step(step, last.as_deref(), paint));
        if let Some(event) = &step.event {
            last = Some(event.to_string());
        }
    }
    if trace.cut {
        out.push(paint.paint(DIM, "  ... further steps are left out"));
    }
    out
}

fn step(step: &Step, last: Option<&str>, paint: Paint) -> Vec<String> {
    let point = paint.paint(DIM, &line(&step.point));
    if let Some(reason) = &step.ended {
        return vec![format!("  {point} {}", paint.paint(YELLOW, &format!("ended: {}", Line(reason))))];
    }
    let mut out = vec![format!("  {point}")];
    if let Some(failure) = &step.failure {
        let failure =
            format!("{} at {}: {}", Line(&failure.code), Line(&failure.node), cut(&failure.message, MAX_VALUE));
        out.push(format!("    {}", paint.paint(RED, &failure)));
    }
    let Some(event) = step.event.as_ref().map(ToString::to_string) else { return out };
    match last {
        None => out.push(format!("    {}", cut(&body(&event), MAX_VALUE))),
        Some(last) => out.extend(paint.changes(&changes(last, &event), "    ", MAX_VALUE)),
    }
    out
}
