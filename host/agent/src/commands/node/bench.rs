//! `wattle node bench`: measures a node.

use serde_json::json;
use wattle_devkit::Figures;

use crate::cli::node::BenchOptions;
use crate::exit::{Done, Failure, print, print_json};

use super::component::{Component, read_text};
use super::project::Project;

/// The default event.
const LINE: &str = r#"{"time":"2026-01-01T12:00:00Z","level":"info","name":"checkout","message":"order placed","user":{"id":4711,"plan":"free"},"tags":["shop","eu-central-1"],"took_ms":12.5,"status":"done"}"#;

pub(crate) fn bench(options: &BenchOptions) -> Done {
    let component = Component::find(&options.component)?;
    let bodies = match &options.input {
        Some(path) => {
            read_text(path)?.split(|&b| b == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
        }
        None => vec![LINE.as_bytes().to_vec()],
    };
    let provided = component.provided();
    let fuel = !options.no_fuel;
    let figures = wattle_devkit::measure(&component.artifact, &component.options, &provided, &bodies, fuel)
        .map_err(Failure::new)?;
    component.project.iter().for_each(Project::report_missing_mocks);
    if options.component.json { print_json(&json_of(&figures).to_string()) } else { print(&text(&figures)) }
}

fn json_of(figures: &Figures) -> serde_json::Value {
    let calls: Vec<serde_json::Value> = figures
        .calls
        .iter()
        .map(|call| json!({ "rows": call.rows, "ns_per_row": call.ns_per_row(), "mb_per_s": call.mb_per_s() }))
        .collect();
    json!({
        "size_kb": figures.size as f64 / 1e3,
        "compile_ms": figures.compile.as_secs_f64() * 1e3,
        "instantiate_us": figures.start.as_secs_f64() * 1e6,
        "memory_at_start_kb": figures.memory_at_start as f64 / 1e3,
        "memory_kb": figures.memory as f64 / 1e3,
        "replaced": figures.replaced,
        "fuel_per_byte": figures.fuel_per_byte,
        "calls": calls,
    })
}

fn text(figures: &Figures) -> String {
    let mut lines = vec![
        format!("size          {:>10.1} kB", figures.size as f64 / 1e3),
        format!("compile       {:>10.1} ms, once per artifact", figures.compile.as_secs_f64() * 1e3),
        format!("start         {:>10.1} us", figures.start.as_secs_f64() * 1e6),
        format!("memory        {:>10.1} kB at the start", figures.memory_at_start as f64 / 1e3),
        format!("              {:>10.1} kB after batches of up to 1000 rows", figures.memory as f64 / 1e3),
    ];
    if figures.replaced > 0 {
        lines.push(format!("              {:>10} instances replaced because of their memory", figures.replaced));
    }
    if let Some(fuel) = figures.fuel_per_byte {
        lines.push(format!("fuel          {fuel:>10.2} per byte"));
    }
    lines.push(format!("\n{:>8} {:>12} {:>10}", "rows", "ns/row", "MB/s"));
    for call in &figures.calls {
        lines.push(format!("{:>8} {:>12.0} {:>10.1}", call.rows, call.ns_per_row(), call.mb_per_s()));
    }
    lines.join("\n")
}
