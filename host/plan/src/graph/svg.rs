//! Draws pipelines as one SVG: for websites, light and dark, with titles for screen readers.

use std::fmt::Write as _;

use wattle_api::graph::{Drawing, Edge, Node, Output, Pipeline, Rect};

use super::text;

/// Height of the title of a pipeline, if there are several.
const TITLE: f64 = 34.0;

/// Colors by the scheme of the reader; sizes as in `text.rs`.
const STYLE: &str = "\
.wattle{--page:#fff;--box:#f6f8fa;--line:#8b98a9;--edge:#c9d1db;--text:#1b2430;--quiet:#5b6776;--mask:#0f7b53;\
--mask-box:#e9f6f0;--end:#2456c6;--end-box:#edf2fd;--fail:#cf8a68;font-family:system-ui,-apple-system,'Segoe UI',\
Roboto,'Helvetica Neue',Arial,sans-serif}\
@media(prefers-color-scheme:dark){.wattle{--page:#10151c;--box:#1a222d;--line:#66758a;--edge:#37434f;--text:#e8edf3;\
--quiet:#98a6b6;--mask:#4cc895;--mask-box:#14291f;--end:#83a9f7;--end-box:#17233b;--fail:#a4634a}}\
.page{fill:var(--page)}\
.box{fill:var(--box);stroke:var(--edge);stroke-width:1.25}\
.mask .box{fill:var(--mask-box);stroke:var(--mask)}\
.input .box,.output .box{fill:var(--end-box);stroke:var(--end)}\
.discard .box{fill:none;stroke:var(--line);stroke-dasharray:4 3}\
.name{fill:var(--text);font-size:13px;font-weight:600}\
.detail{fill:var(--quiet);font-size:11px}\
.label{fill:var(--quiet);font-size:10.5px;paint-order:stroke;stroke:var(--page);stroke-width:3px;stroke-linejoin:round}\
.line{fill:none;stroke:var(--line);stroke-width:1.5}\
.failed .line{stroke:var(--fail);stroke-width:1.1;stroke-dasharray:4 3}\
.arrow{fill:var(--line)}\
.failed .arrow{fill:var(--fail)}\
.lock{fill:none;stroke:var(--mask);stroke-width:1.4}\
.title{fill:var(--text);font-size:15px;font-weight:600}";

/// Draws pipelines, one below the other. `masks` of a node shows as a lock.
pub fn svg(pipelines: &[Pipeline]) -> String {
    let is_titled = pipelines.len() > 1;
    let title = if is_titled { TITLE } else { 0.0 };
    let width = pipelines.iter().map(|pipeline| pipeline.drawing.width).fold(0.0, f64::max);
    let height: f64 = pipelines.iter().map(|pipeline| pipeline.drawing.height + title).sum();
    let names: Vec<String> = pipelines.iter().map(|pipeline| escaped(&name(pipeline))).collect();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"wattle\" role=\"img\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\">\n<title>{}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n",
        names.join(", "),
    );
    let mut top = 0.0;
    for (pipeline, name) in pipelines.iter().zip(&names) {
        if is_titled {
            let _ = writeln!(out, "<text class=\"title\" x=\"16\" y=\"{}\">{name}</text>", top + 26.0);
            top += TITLE;
        }
        let _ = writeln!(out, "<g transform=\"translate(0 {top})\">");
        draw(&mut out, pipeline);
        out.push_str("</g>\n");
        top += pipeline.drawing.height;
    }
    out.push_str("</svg>\n");
    out
}

fn name(pipeline: &Pipeline) -> String {
    let pack = pipeline.pack.as_deref().filter(|pack| !pack.starts_with(&format!("{}@", pipeline.name)));
    match (pack, &pipeline.pack) {
        (Some(pack), _) => format!("{}: {pack}", pipeline.name),
        (None, Some(pack)) => pack.clone(),
        (None, None) => pipeline.name.clone(),
    }
}

fn draw(out: &mut String, pipeline: &Pipeline) {
    let Drawing { boxes, paths, labels, .. } = &pipeline.drawing;
    // Failures below, since they matter less and are many.
    for is_failed in [true, false] {
        let lines = pipeline.edges.iter().zip(paths).filter(|(edge, _)| edge.failed == is_failed);
        for (edge, path) in lines {
            line(out, edge, path);
        }
    }
    let mut shown = "";
    for (edge, at) in pipeline.edges.iter().zip(labels) {
        // A port with several targets has one label.
        let label = text::label(edge);
        if !label.is_empty() && edge.point != shown {
            let _ = writeln!(out, "<text class=\"label\" x=\"{}\" y=\"{}\">{}</text>", at.x, at.y, escaped(label));
        }
        shown = &edge.point;
    }
    let mut places = boxes.iter();
    if let Some(place) = places.next() {
        let inputs = text::inputs(pipeline);
        let title =
            if inputs.is_empty() { "input".to_owned() } else { format!("input: {}", pipeline.inputs.join(", ")) };
        shape(out, place, &Shape { class: "input", title: &title, name: "input", detail: &inputs, round: true });
    }
    for (node, place) in pipeline.nodes.iter().zip(places.by_ref()) {
        let class = if node.masks { "node mask" } else { "node" };
        let title = node_title(node);
        shape(out, place, &Shape { class, title: &title, name: &node.name, detail: &node.type_name, round: false });
    }
    for (output, place) in pipeline.outputs.iter().zip(places) {
        let class = if output.discard { "output discard" } else { "output" };
        let (title, detail) = (output_title(output), text::outlet(output));
        shape(out, place, &Shape { class, title: &title, name: &output.title, detail: &detail, round: true });
    }
}

fn node_title(node: &Node) -> String {
    let masks = if node.masks { "; masks" } else { "" };
    let state = if node.stateful { "; has state" } else { "" };
    let summary = if node.description.is_empty() { String::new() } else { format!(": {}", node.description) };
    format!("{} ({}{masks}{state}){summary}", node.name, node.type_name)
}

fn output_title(output: &Output) -> String {
    let summary = if output.description.is_empty() { String::new() } else { format!(": {}", output.description) };
    format!("output {}{summary}", output.name)
}

fn line(out: &mut String, edge: &Edge, path: &str) {
    let from = edge.from.as_deref().map_or_else(|| "input".to_owned(), |from| format!("{from}.{}", edge.port));
    let class = if edge.failed { " class=\"failed\"" } else { "" };
    let _ = write!(out, "<g{class}><title>{} → {}</title>", escaped(&from), escaped(&edge.to));
    let _ = write!(out, "<path class=\"line\" d=\"{path}\"/>");
    if let Some((x, y)) = end(path) {
        let _ = write!(out, "<path class=\"arrow\" d=\"M{x} {y}m-4 -4l9 4l-9 4z\"/>");
    }
    out.push_str("</g>\n");
}

/// The last point of a path.
fn end(path: &str) -> Option<(&str, &str)> {
    let (rest, y) = path.rsplit_once(' ')?;
    let begin = rest.rfind(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').map_or(0, |at| at + 1);
    Some((rest.get(begin..)?, y))
}

struct Shape<'a> {
    class: &'a str,
    title: &'a str,
    name: &'a str,
    detail: &'a str,
    /// Whether it is an end of the pipeline.
    round: bool,
}

fn shape(out: &mut String, place: &Rect, shape: &Shape<'_>) {
    let Rect { x, y, width, height } = *place;
    let Shape { class, title, name, detail, round } = *shape;
    let (left, middle) = (x + 13.0, y + height / 2.0);
    let radius = if round { 23.0_f64.min(height / 2.0) } else { 7.0 };
    let lock = if class.ends_with("mask") { 16.0 } else { 0.0 };
    let room = width - 24.0 - lock;
    let _ = write!(
        out,
        "<g class=\"{class}\"><title>{}</title><rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{width}\" \
         height=\"{height}\" rx=\"{radius}\"/>",
        escaped(title),
    );
    let baseline = if detail.is_empty() { middle + 4.5 } else { middle - 3.0 };
    let name = escaped(&text::shortened(name, text::NAME, room));
    let _ = write!(out, "<text class=\"name\" x=\"{left}\" y=\"{baseline}\">{name}</text>");
    if !detail.is_empty() {
        let detail = escaped(&text::shortened(detail, text::DETAIL, room));
        let _ = write!(out, "<text class=\"detail\" x=\"{left}\" y=\"{}\">{detail}</text>", middle + 13.0);
    }
    if class.ends_with("mask") {
        let (x, y) = (x + width - 20.0, y + 9.0);
        let _ = write!(out, "<path class=\"lock\" d=\"M{x} {y}m0 4h9v7h-9zm1.5 0v-2a3 3 0 0 1 6 0v2\"/>");
    }
    out.push_str("</g>\n");
}

/// A text in XML, which allows no control characters.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_element() {
        let hostile = "</title><script>alert(\"1\")</script>\u{1b}\u{0}";
        let pipeline = Pipeline {
            name: hostile.into(),
            nodes: vec![Node { name: hostile.into(), type_name: hostile.into(), ..Node::default() }],
            drawing: Drawing { boxes: vec![Rect::default(); 2], ..Drawing::default() },
            ..Pipeline::default()
        };
        let drawn = svg(&[pipeline]);
        assert!(!drawn.contains("<script") && !drawn.chars().any(|c| c.is_control() && c != '\n'), "{drawn}");
    }

    #[test]
    fn the_end_of_a_path_is_its_last_point() {
        assert_eq!(end("M1 2L30.5 -4"), Some(("30.5", "-4")));
        assert_eq!(end("M1 2C3 2 3 7 40 7.1"), Some(("40", "7.1")));
        assert_eq!(end("M1 2H9L30 4"), Some(("30", "4")));
        assert_eq!(end(""), None);
    }
}
