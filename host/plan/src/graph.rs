//! Draws a pipeline as SVG or as a Mermaid or Graphviz graph, and describes the graph of a plan for the API.

mod document;
mod layout;
mod svg;
mod text;

pub use self::document::{document, drawn};
pub use self::layout::lay_out;
pub use self::svg::svg;

use std::fmt::Write as _;

use crate::plan::{PipelinePlan, PortPlan, Target};

/// A link of the drawing.
struct Edge<'a> {
    from: String,
    to: String,
    port: &'a str,
    failed: bool,
}

/// Lists the links: those of the input first, then those of each node.
fn edges(pipeline: &PipelinePlan) -> Vec<Edge<'_>> {
    let mut edges = Vec::new();
    for target in &pipeline.entry {
        edges.push(Edge { from: "input".to_owned(), to: id(*target), port: "", failed: false });
    }
    for (index, node) in pipeline.nodes.iter().enumerate() {
        for PortPlan { name, targets } in &node.ports {
            // The label of a node's only port would add nothing.
            let port = if name == "out" { "" } else { name };
            for target in targets {
                let failed = name == crate::plan::FAILED;
                edges.push(Edge { from: id(Target::Node(index)), to: id(*target), port, failed });
            }
        }
    }
    edges
}

fn id(target: Target) -> String {
    match target {
        Target::Node(index) => format!("n{index}"),
        Target::Output(index) => format!("o{index}"),
    }
}

/// Draws a pipeline as a Mermaid flowchart: nodes with their type, ports as labels, dotted links
/// for failures.
pub fn mermaid(pipeline: &PipelinePlan) -> String {
    let text = |text: &str| {
        let mut out = String::new();
        for c in text.chars() {
            match c {
                // Mermaid has its own escapes, which begin with a number sign.
                '"' | '#' | '<' | '>' | '&' | '|' => {
                    let _ = write!(out, "#{};", u32::from(c));
                }
                c if c.is_control() => out.push(' '),
                c => out.push(c),
            }
        }
        out
    };
    let mut out = "flowchart LR\n  input([\"input\"])\n".to_owned();
    for (index, node) in pipeline.nodes.iter().enumerate() {
        let label = format!("{}<br/><small>{}</small>", text(&node.name), text(&node.artifact.name));
        let _ = writeln!(out, "  n{index}[\"{label}\"]");
    }
    for (index, output) in pipeline.outputs.iter().enumerate() {
        let discarded = if output.discard { " (discarded)" } else { "" };
        let _ = writeln!(out, "  o{index}([\"{}{discarded}\"])", text(&output.title));
    }
    for Edge { from, to, port, failed } in edges(pipeline) {
        let arrow = if failed { "-.->" } else { "-->" };
        let label = if port.is_empty() { String::new() } else { format!("|\"{}\"|", text(port)) };
        let _ = writeln!(out, "  {from} {arrow}{label} {to}");
    }
    out
}

/// Draws a pipeline in Graphviz's DOT language.
pub fn dot(pipeline: &PipelinePlan) -> String {
    let text = |text: &str| {
        let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        plain.replace('\\', "\\\\").replace('"', "\\\"")
    };
    let mut out = format!("digraph \"{}\" {{\n  rankdir=LR;\n  input [shape=ellipse];\n", text(&pipeline.name));
    for (index, node) in pipeline.nodes.iter().enumerate() {
        let _ =
            writeln!(out, "  n{index} [shape=box, label=\"{}\\n{}\"];", text(&node.name), text(&node.artifact.name));
    }
    for (index, output) in pipeline.outputs.iter().enumerate() {
        let discarded = if output.discard { " (discarded)" } else { "" };
        let _ = writeln!(out, "  o{index} [shape=ellipse, label=\"{}{discarded}\"];", text(&output.title));
    }
    for Edge { from, to, port, failed } in edges(pipeline) {
        let mut attributes = Vec::new();
        if !port.is_empty() {
            attributes.push(format!("label=\"{}\"", text(port)));
        }
        if failed {
            attributes.push("style=dotted".to_owned());
        }
        let attributes = if attributes.is_empty() { String::new() } else { format!(" [{}]", attributes.join(", ")) };
        let _ = writeln!(out, "  {from} -> {to}{attributes};");
    }
    out.push_str("}\n");
    out
}
