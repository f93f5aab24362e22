//! `wattle shadow`: shows the reports of shadows.

use std::time::Duration;

use hyper::Method;
use serde_json::Value;
use wattle_printable::{Line, line};

use crate::cli::ShadowOptions;
use crate::client::{self, data_dir};
use crate::exit::{Done, Failure, print, print_json};

/// The agent responds from memory, after a reload in progress.
const TIMEOUT: Duration = Duration::from_mins(1);

pub(crate) fn shadow(options: &ShadowOptions) -> Done {
    let text = client::send(&data_dir(&options.place)?, Method::GET, "/api/v1/shadows", TIMEOUT)?;
    let all: Value = serde_json::from_str(&text)?;
    let all = all.get("shadows");
    if options.json {
        return print_json(&all.unwrap_or(&Value::Null).to_string());
    }
    let all = all.and_then(Value::as_object).filter(|all| !all.is_empty());
    let all = all.ok_or_else(|| Failure::new("no pipeline has a `shadow`"))?;
    for (pipeline, shadow) in all {
        print(&render(pipeline, shadow))?;
    }
    Ok(())
}

fn render(pipeline: &str, shadow: &Value) -> String {
    let text = |key: &str| shadow.get(key).and_then(Value::as_str).unwrap_or_default();
    let number = |key: &str| shadow.get(key).and_then(Value::as_u64).unwrap_or(0);
    let mut lines = vec![
        format!("{pipeline}: {} since {}", Line(text("candidate")), Line(text("since"))),
        format!(
            "  {} batches compared, {} skipped, {} faulted, {} events differ, {:.2} times the cost",
            number("batches"),
            number("skipped_batches"),
            number("faulted_batches"),
            number("differing_events"),
            shadow.get("cpu_ratio").and_then(Value::as_f64).unwrap_or(0.0)
        ),
    ];
    for (name, output) in shadow.get("outputs").and_then(Value::as_object).into_iter().flatten() {
        let count = |key: &str| output.get(key).and_then(Value::as_u64).unwrap_or(0);
        lines.push(format!(
            "  {name:<24} {:>10} events, the candidate {:>10}: {} missing, {} added, {} changed",
            count("primary"),
            count("candidate"),
            count("missing"),
            count("added"),
            count("changed")
        ));
    }
    for difference in shadow.get("first").and_then(Value::as_array).into_iter().flatten() {
        let side = |key: &str| difference.get(key).and_then(Value::as_str);
        let (primary, candidate) = (side("primary"), side("candidate"));
        let same =
            primary.zip(candidate).map_or(0, |(a, b)| a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count());
        let output = difference.get("output").and_then(Value::as_str).unwrap_or_default();
        if difference.get("hidden").and_then(Value::as_bool) == Some(true) {
            lines.push(format!(
                "  on {}: not shown, since it is not masked; `tap = \"all\"` in [admin] shows it",
                Line(output)
            ));
            continue;
        }
        lines.push(format!("  on {output}:"));
        lines.push(format!("    runs       {}", part(primary, same)));
        lines.push(format!("    candidate  {}", part(candidate, same)));
    }
    lines.join("\n")
}

/// Number of characters to show before the first difference, and after it.
const BEFORE: usize = 60;
const AFTER: usize = 100;

/// The part of an event around the first difference; `--json` shows the whole event.
fn part(event: Option<&str>, same: usize) -> String {
    let Some(event) = event else { return "(not there)".to_owned() };
    let skipped = same.saturating_sub(BEFORE);
    let shown: String = event.chars().skip(skipped).take(BEFORE + AFTER).collect();
    let (start, end) = (if skipped > 0 { "…" } else { "" }, event.chars().count() > skipped + BEFORE + AFTER);
    format!("{start}{}{}", line(&shown), if end { "…" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_events_are_cut_around_the_difference() {
        let event = |middle: &str| format!("{}{middle}{}", "a".repeat(500), "z".repeat(500));
        let (runs, other) = (event("one"), event("two"));
        let shadow = serde_json::json!({ "first": [
            { "output": "ok", "primary": runs, "candidate": other },
            { "output": "ok", "primary": "short", "candidate": null },
            { "output": "fails", "hidden": true },
        ]});
        let text = render("main", &shadow);
        let (start, end) = ("a".repeat(60), "z".repeat(97));
        assert!(text.contains(&format!("    runs       …{start}one{end}…\n")), "{text}");
        assert!(text.contains(&format!("    candidate  …{start}two{end}…\n")), "{text}");
        assert!(text.contains("    runs       short\n    candidate  (not there)\n  on fails: not shown"), "{text}");
    }
}
