//! The result of a trial as text.

use serde_json::Value;
use wattle_api::trial::{OutputDifference, Recent, RecentEntry, Tried, TriedOutput, TriedPack};
use wattle_printable::{Line, line};

use super::trace;
use crate::cli::try_pack::TryOptions;
use crate::commands::changes::{changes, member};
use crate::commands::paint::{BOLD, DIM, GREEN, Paint, RED, YELLOW, body, cut};
use crate::commands::status::table::{Align, Column, table};
use crate::commands::status::units::size;

/// Maximum number of characters of a value, such that a line of a terminal of 80 columns has it with most paths.
pub(super) const MAX_VALUE: usize = 100;
/// Maximum number of changes of one event.
const MAX_CHANGES: usize = 20;
/// Maximum number of characters of the message of a failure.
const MAX_MESSAGE: usize = 200;

/// Renders the whole result.
pub(super) fn render(tried: &Tried, options: &TryOptions, color: bool) -> String {
    let paint = Paint::new(color);
    let mut out = head(tried, paint);
    out.extend(outputs(tried, paint));
    if options.output.is_some() {
        out.extend(tried.result.outputs.iter().flat_map(|output| sample(output, paint)));
    }
    out.extend(drops(tried, paint));
    out.extend(failures(&tried.result, paint));
    out.extend(costs(tried, paint));
    out.extend(tried.differences.iter().flat_map(|(name, found)| differences(name, found, paint)));
    for (number, found) in tried.result.traces.iter().enumerate() {
        out.push(String::new());
        out.extend(trace::render(number + 1, found, paint));
    }
    out.join("\n")
}

/// What ran, and whether every event is accounted for.
fn head(tried: &Tried, paint: Paint) -> Vec<String> {
    let result = &tried.result;
    let mut title = paint.paint(BOLD, &line(&result.pack));
    if let Some(against) = &tried.against {
        title += &format!(" against {}", paint.paint(BOLD, &line(&against.pack)));
    }
    let read = format!("{} of {}", events(result.events), size(result.bytes));
    let mut out = vec![format!("{title}: {read}")];
    out.extend(tried.recent.iter().flat_map(|recent| self::recent(recent, paint)));
    for pack in [Some(result), tried.against.as_ref()].into_iter().flatten() {
        let name = if tried.against.is_some() { format!("{}: ", Line(&pack.pack)) } else { String::new() };
        out.push(format!("  {}", paint.paint(DIM, &format!("{name}{}", balance(pack)))));
        if pack.balance.unbalanced > 0 {
            let lost = format!("{} not accounted for: please report this", events(pack.balance.unbalanced));
            out.push(format!("  {}", paint.paint(RED, &lost)));
        }
    }
    if result.skipped_events > 0 {
        let skipped = format!("{} skipped, because they are too long", events(result.skipped_events));
        out.push(format!("  {}", paint.paint(YELLOW, &skipped)));
    }
    if let Some(reason) = &result.ended_early {
        out.push(format!("  {}", paint.paint(YELLOW, &format!("not the whole input: {}", Line(reason)))));
    }
    out
}

/// Where recent events come from, and what that means for the result.
fn recent(recent: &Recent, paint: Paint) -> Vec<String> {
    let points: Vec<String> = recent.taken.iter().map(|point| line(&point.point).into_owned()).collect();
    let (oldest, newest) = (Line(&recent.oldest), Line(&recent.newest));
    let taken = format!("recent events of {} from {oldest} to {newest}", Line(&recent.pipeline));
    let at = points.join(", ");
    let entered = match recent.entered {
        RecentEntry::Taken => format!("they enter where the agent took them, at {at}; nodes before that did not run"),
        RecentEntry::Input => format!(
            "the agent took them at {at}, and they enter at the input; nodes before that point process them once more"
        ),
    };
    [taken, entered].iter().map(|text| format!("  {}", paint.paint(DIM, text))).collect()
}

/// Both sides of the balance, without the parts that are 0.
fn balance(pack: &TriedPack) -> String {
    let of = &pack.balance;
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let side = |parts: &[(i64, &str)]| {
        let mut text = String::new();
        for (count, what) in parts.iter().filter(|(count, _)| *count != 0) {
            let sign = match (text.is_empty(), *count < 0) {
                (true, false) => "",
                (true, true) => "-",
                (false, false) => " + ",
                (false, true) => " - ",
            };
            text += &format!("{sign}{} {what}", count.unsigned_abs());
        }
        if text.is_empty() { "0".to_owned() } else { text }
    };
    let came = side(&[
        (signed(of.received), "received"),
        (of.split, "by splitting"),
        (signed(of.copied), "copied"),
        (signed(of.made), "made"),
    ]);
    let went = side(&[
        (signed(of.delivered), "delivered"),
        (signed(of.failed), "failed"),
        (signed(of.dropped), "dropped"),
        (signed(of.held), "held"),
        (signed(of.returned), "returned"),
    ]);
    format!("{came} = {went}")
}

fn outputs(tried: &Tried, paint: Paint) -> Vec<String> {
    let mut out = vec![String::new()];
    let result = &tried.result;
    let total: f64 = result.outputs.iter().map(|output| output.share).sum();
    match &tried.against {
        None => {
            let columns: [Column; 5] = [
                ("OUTPUT", Align::Left),
                ("EVENTS", Align::Right),
                ("FAILED", Align::Right),
                ("BYTES", Align::Right),
                ("SHARE", Align::Right),
            ];
            let row = |output: &TriedOutput| {
                let failed = output.failed_events.to_string();
                vec![output.name.clone(), output.events.to_string(), failed, size(output.bytes), percent(output.share)]
            };
            let rows: Vec<Vec<String>> = result.outputs.iter().map(row).collect();
            out.extend(table(&columns, &rows).lines().map(str::to_owned));
        }
        Some(against) => {
            let columns: [Column; 8] = [
                ("OUTPUT", Align::Left),
                ("BEFORE", Align::Right),
                ("EVENTS", Align::Right),
                ("SAME", Align::Right),
                ("CHANGED", Align::Right),
                ("ADDED", Align::Right),
                ("MISSING", Align::Right),
                ("BYTES", Align::Right),
            ];
            let none = OutputDifference::default();
            let row = |name: &str| {
                let (new, old) = (find(result, name), find(against, name));
                let count = |side: Option<&TriedOutput>| side.map_or("-".into(), |side| side.events.to_string());
                let bytes = |side: Option<&TriedOutput>| side.map_or(0, |side| side.bytes);
                let found = tried.differences.get(name).unwrap_or(&none);
                let [same, changed, added, missing] =
                    [found.same, found.changed, found.added, found.missing].map(|count| count.to_string());
                let growth = growth(bytes(old), bytes(new));
                vec![name.to_owned(), count(old), count(new), same, changed, added, missing, growth]
            };
            let mut names: Vec<&str> = result.outputs.iter().map(|output| output.name.as_str()).collect();
            for output in &against.outputs {
                if !names.contains(&output.name.as_str()) {
                    names.push(&output.name);
                }
            }
            let rows: Vec<Vec<String>> = names.into_iter().map(row).collect();
            out.extend(table(&columns, &rows).lines().map(str::to_owned));
        }
    }
    let reduction = |total: f64| {
        let less = 1.0 - total;
        if less >= 0.0 { format!("{} fewer", percent(less)) } else { format!("{} more", percent(-less)) }
    };
    let mut reduced = format!("all outputs have {} bytes than the input", reduction(total));
    if let Some(against) = &tried.against {
        let before: f64 = against.outputs.iter().map(|output| output.share).sum();
        reduced += &format!("; {} before", reduction(before));
    }
    if result.bytes > 0 {
        out.push(paint.paint(DIM, &reduced));
    }
    out
}

fn find<'t>(pack: &'t TriedPack, output: &str) -> Option<&'t TriedOutput> {
    pack.outputs.iter().find(|found| found.name == output)
}

/// The first events of an output.
fn sample(output: &TriedOutput, paint: Paint) -> Vec<String> {
    let mut out = vec![String::new(), paint.paint(BOLD, &line(&output.name))];
    out.extend(output.sample.iter().flat_map(|event| self::event(event, "", None, paint)));
    if output.sample.is_empty() {
        out.push("  no events".to_owned());
    }
    out
}

/// An event on two lines: its body, and its attributes.
fn event(event: &Value, sign: &str, color: Option<&str>, paint: Paint) -> Vec<String> {
    let colored = |text: String| color.map_or(text.clone(), |color| paint.paint(color, &text));
    let text = match event {
        // An event that was cut.
        Value::String(text) => return vec![colored(format!("  {sign}{}", cut(text, MAX_VALUE)))],
        event => event.to_string(),
    };
    let mut out = vec![colored(format!("  {sign}{}", cut(&body(&text), MAX_VALUE)))];
    if let Some((attributes, _)) = member(&text, "attributes").filter(|(attributes, _)| *attributes != "{}") {
        out.push(paint.paint(DIM, &format!("    attributes {}", cut(attributes, MAX_VALUE))));
    }
    out
}

fn drops(tried: &Tried, paint: Paint) -> Vec<String> {
    let mut rows = Vec::new();
    for node in &tried.result.nodes {
        rows.extend(node.dropped.iter().map(|(code, count)| vec![node.name.clone(), code.clone(), count.to_string()]));
    }
    let columns: [Column; 3] = [("DROPPED AT", Align::Left), ("REASON", Align::Left), ("EVENTS", Align::Right)];
    let mut out = Vec::new();
    if !rows.is_empty() {
        out.push(String::new());
        out.extend(table(&columns, &rows).lines().map(str::to_owned));
    }
    if tried.result.held_events > 0 {
        out.push(paint.paint(YELLOW, &format!("{} ended in the memory of nodes", events(tried.result.held_events))));
    }
    out
}

fn failures(pack: &TriedPack, paint: Paint) -> Vec<String> {
    let mut out = Vec::new();
    for failed in &pack.failures {
        out.push(String::new());
        let what = format!("{} failed at {}: {}", events(failed.events), Line(&failed.node), Line(&failed.code));
        out.push(paint.paint(RED, &what));
        if let Some(sample) = failed.samples.first() {
            out.push(format!("  {}", cut(&sample.message, MAX_MESSAGE)));
            out.extend(sample.event.iter().flat_map(|event| self::event(event, "", None, paint)));
        }
    }
    out
}

fn costs(tried: &Tried, paint: Paint) -> Vec<String> {
    let result = &tried.result;
    let has_fuel = result.nodes.iter().any(|node| node.fuel.is_some());
    let has_faults = result.nodes.iter().any(|node| node.faults > 0);
    let before = |name: &str| tried.against.iter().flat_map(|pack| &pack.nodes).find(|node| node.name == name);
    let mut columns: Vec<Column> = vec![
        ("NODE", Align::Left),
        ("TYPE", Align::Left),
        ("EVENTS", Align::Right),
        ("CPU", Align::Right),
        ("NS/EVENT", Align::Right),
    ];
    if tried.against.is_some() {
        columns.push(("BEFORE", Align::Right));
    }
    columns.push(("MEMORY", Align::Right));
    if has_fuel {
        columns.push(("FUEL", Align::Right));
    }
    if has_faults {
        columns.push(("FAULTS", Align::Right));
    }
    let rows: Vec<Vec<String>> = result
        .nodes
        .iter()
        .map(|node| {
            let mut row = vec![
                node.name.clone(),
                node.type_name.clone(),
                node.received_events.to_string(),
                seconds(node.cpu_seconds),
                nanos(node.cpu_seconds, node.received_events),
            ];
            if tried.against.is_some() {
                row.push(before(&node.name).map_or("-".into(), |old| nanos(old.cpu_seconds, old.received_events)));
            }
            row.push(size(node.peak_memory_bytes));
            if has_fuel {
                row.push(node.fuel.map_or("-".into(), |fuel| fuel.to_string()));
            }
            if has_faults {
                row.push(node.faults.to_string());
            }
            row
        })
        .collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let mut out = vec![String::new()];
    out.extend(table(&columns, &rows).lines().map(str::to_owned));
    let mut total = format!("{} of CPU", seconds(result.cpu_seconds));
    if result.cpu_seconds > 0.0 {
        total += &format!(", {}/s", size(rate(result.bytes, result.cpu_seconds)));
    }
    if let Some(against) = &tried.against {
        total += &format!("; {} before", seconds(against.cpu_seconds));
    }
    out.push(paint.paint(DIM, &total));
    out
}

/// The first events that differ, field by field.
fn differences(name: &str, found: &OutputDifference, paint: Paint) -> Vec<String> {
    if found.changed + found.added + found.missing + found.uncompared == 0 {
        return Vec::new();
    }
    let counts = [(found.changed, "changed"), (found.added, "added"), (found.missing, "missing")];
    let counts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let mut out = vec![String::new(), format!("{}: {}", paint.paint(BOLD, &line(name)), counts.join(", "))];
    if found.uncompared > 0 {
        let text = format!("  {} not compared: one event became too many", events(found.uncompared));
        out.push(paint.paint(YELLOW, &text));
    }
    for (number, pair) in found.first.iter().enumerate() {
        if number > 0 {
            out.push(paint.paint(DIM, "  --"));
        }
        out.extend(self::pair(pair, paint));
    }
    let shown = found.first.len() as u64;
    let all = found.changed + found.added + found.missing;
    if shown < all {
        out.push(paint.paint(DIM, &format!("  ... and {} more; `--limit` shows more", all - shown)));
    }
    out
}

pub(super) fn pair(pair: &(Option<Value>, Option<Value>), paint: Paint) -> Vec<String> {
    match pair {
        (Some(before), Some(after)) if before.is_string() || after.is_string() => cut_pair(before, after, paint),
        (Some(before), Some(after)) => {
            let found = changes(&before.to_string(), &after.to_string());
            let mut out: Vec<String> =
                paint.changes(found.get(..MAX_CHANGES).unwrap_or(&found), "  ", MAX_VALUE).collect();
            match found.len() {
                0 => out
                    .push(paint.paint(YELLOW, "  the events differ in their text only, such as in the order of keys")),
                count if count > MAX_CHANGES => {
                    out.push(paint.paint(DIM, &format!("  ... and {} more values", count - MAX_CHANGES)));
                }
                _ => {}
            }
            out
        }
        (Some(before), None) => event(before, "- ", Some(RED), paint),
        (None, Some(after)) => event(after, "+ ", Some(GREEN), paint),
        (None, None) => Vec::new(),
    }
}

/// Events of which at least one was cut: their texts from the first difference on.
fn cut_pair(before: &Value, after: &Value, paint: Paint) -> Vec<String> {
    let text = |event: &Value| event.as_str().map_or_else(|| event.to_string(), str::to_owned);
    let (old, new) = (text(before), text(after));
    let kept = |event: &Value, text: &str| if event.is_string() { text.len() } else { usize::MAX };
    let common = old.bytes().zip(new.bytes()).take_while(|(old, new)| old == new).count();
    let start = old.floor_char_boundary(common).min(new.floor_char_boundary(common));
    if common >= kept(before, &old).min(kept(after, &new)) {
        let text =
            format!("  compared is a part: the events are too long, and differ behind their first {common} bytes");
        return vec![paint.paint(YELLOW, &text)];
    }
    let text = format!("  compared is a part: the events are too long; their texts differ from byte {start} on");
    let rest = |text: &str| cut(text.get(start..).unwrap_or_default(), MAX_VALUE);
    vec![
        paint.paint(YELLOW, &text),
        paint.paint(RED, &format!("  - {}", rest(&old))),
        paint.paint(GREEN, &format!("  + {}", rest(&new))),
    ]
}

fn events(count: u64) -> String {
    if count == 1 { "1 event".into() } else { format!("{count} events") }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[expect(clippy::cast_precision_loss, reason = "a rounded figure for people")]
fn growth(before: u64, after: u64) -> String {
    match (before, after) {
        (before, after) if before == after => "=".into(),
        (0, after) => format!("+{}", size(after)),
        (before, after) => format!("{:+.1} %", (after as f64 / before as f64 - 1.0) * 100.0),
    }
}

fn seconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.1} ms", seconds * 1e3) } else { format!("{seconds:.2} s") }
}

#[expect(clippy::cast_precision_loss, reason = "a rounded figure for people")]
fn nanos(seconds: f64, events: u64) -> String {
    if events == 0 { "-".into() } else { format!("{:.0}", seconds * 1e9 / events as f64) }
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded")]
fn rate(bytes: u64, seconds: f64) -> u64 {
    (bytes as f64 / seconds) as u64
}
