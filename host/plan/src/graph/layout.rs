//! The places of boxes and lines in the drawing of a pipeline: a layered layout from left to right.
//!
//! The steps are those of Sugiyama and others: the rank of a box is the longest way to it (`layers.rs`); sweeps order
//! the boxes of each rank so that few lines cross (`order.rs`); sweeps move them close to what they are linked with
//! (`place.rs`). A line that passes ranks has a lane in each of them, between the boxes, so that no line crosses a box.
//! Lines to the same box share their lanes, since every node has a line to where its failures go.
//!
//! No crate does this: `rust-sugiyama` places boxes without sizes and routes no lines, and depends on `petgraph` and
//! `rand`; `layout-rs` draws DOT, with its own text and shapes, lets lines cross boxes, and has had no release for
//! years.

mod layers;
mod order;
mod place;

use std::collections::HashMap;
use std::fmt::Write as _;

use wattle_api::graph::{Drawing, Edge, Node, Pipeline, Point, Rect};

use self::layers::{Anchors, Layers, Route, small};
use super::text;

/// Space around the drawing.
const MARGIN: f64 = 16.0;
/// Space for curves between two columns of boxes.
const GAP: f64 = 44.0;
/// Maximum additional space between two columns with steep lines.
const STEEP_GAP: f64 = 48.0;
/// Straight part at the beginning of a line, for figures.
const LEAD: f64 = 14.0;
/// Space for the lock of a masking node.
const LOCK: f64 = 16.0;
/// Minimum and maximum width of a box.
const WIDTH: (f64, f64) = (104.0, 232.0);
/// Space between the text of a box and both of its sides.
const PADDING: f64 = 28.0;
/// Minimum height of a box.
const HEIGHT: f64 = 46.0;
/// Space between two ports of a box.
const PORT: f64 = 18.0;
/// Space between the last port and that for failures, and between a port and the corner of its box.
const LAST_PORT: f64 = 15.0;
/// Space for the point of an arrow.
const ARROW: f64 = 5.0;

/// Places the boxes and the lines of a pipeline.
pub fn lay_out(pipeline: &Pipeline) -> Drawing {
    let boxes = boxes(pipeline);
    let mut layers = Layers::new(&boxes, &edges(pipeline));
    order::order(&mut layers);
    let centers = place::place(&mut layers);
    let columns = columns(pipeline, &boxes, &layers, &centers);
    draw(pipeline, &boxes, &layers, &centers, &columns)
}

/// A box before it has a place.
pub(crate) struct Sized {
    width: f64,
    height: f64,
    /// Whether it is an output, which stands in the last rank.
    is_output: bool,
}

/// An edge between boxes, by index.
struct Link {
    from: usize,
    /// Place of the port among those of its node.
    port: usize,
    to: usize,
    failed: bool,
}

/// The input, the nodes and the outputs.
fn boxes(pipeline: &Pipeline) -> Vec<Sized> {
    let sized = |lines: [&str; 2], ports: usize, is_output| {
        let [name, detail] = lines;
        let wide = text::width(name, text::NAME).max(text::width(detail, text::DETAIL)) + PADDING;
        // Half of the ports above the center, and below it the other half and the port for failures.
        let height = PORT * small(ports.saturating_sub(1)) + 2.0 * (LAST_PORT + 6.0);
        Sized { width: wide.clamp(WIDTH.0, WIDTH.1), height: HEIGHT.max(height), is_output }
    };
    let ports = |name: &str| {
        let mut ports: Vec<&str> = Vec::new();
        for edge in pipeline.edges.iter().filter(|edge| edge.from.as_deref() == Some(name) && !edge.failed) {
            if !ports.contains(&edge.port.as_str()) {
                ports.push(&edge.port);
            }
        }
        ports.len()
    };
    let node = |node: &Node| {
        let sized = sized([&node.name, &node.type_name], ports(&node.name), false);
        let lock = if node.masks { LOCK } else { 0.0 };
        Sized { width: (sized.width + lock).min(WIDTH.1), ..sized }
    };
    let input = sized(["input", &text::inputs(pipeline)], 1, false);
    let nodes = pipeline.nodes.iter().map(node);
    let outputs = pipeline.outputs.iter().map(|output| sized([&output.title, &text::outlet(output)], 1, true));
    std::iter::once(input).chain(nodes).chain(outputs).collect()
}

fn edges(pipeline: &Pipeline) -> Vec<Link> {
    let nodes: HashMap<&str, usize> =
        pipeline.nodes.iter().enumerate().map(|(i, n)| (n.name.as_str(), i + 1)).collect();
    let first = pipeline.nodes.len() + 1;
    let outputs: HashMap<&str, usize> =
        pipeline.outputs.iter().enumerate().map(|(i, o)| (o.name.as_str(), i + first)).collect();
    let link = |edge: &Edge| {
        let from = edge.from.as_deref().map_or(Some(0), |from| nodes.get(from).copied())?;
        let to = if edge.to_output { outputs.get(edge.to.as_str()) } else { nodes.get(edge.to.as_str()) };
        let node = edge.from.as_deref().and_then(|name| pipeline.nodes.iter().find(|node| node.name == name));
        let port = node.and_then(|node| node.ports.iter().position(|port| *port == edge.port)).unwrap_or(0);
        Some(Link { from, port, to: *to?, failed: edge.failed })
    };
    // An edge without ends, which no agent sends, is drawn from the input to itself: as a point.
    pipeline.edges.iter().map(|edge| link(edge).unwrap_or(Link { from: 0, port: 0, to: 0, failed: false })).collect()
}

/// Left and right side of each column.
fn columns(pipeline: &Pipeline, boxes: &[Sized], layers: &Layers, centers: &[f64]) -> Vec<(f64, f64)> {
    let mut columns = Vec::with_capacity(layers.ranks.len());
    let mut left = MARGIN;
    for (rank, vertices) in layers.ranks.iter().enumerate() {
        let width = vertices.iter().filter_map(|vertex| boxes.get(*vertex)).map(|sized| sized.width);
        let right = left + width.fold(0.0, f64::max);
        columns.push((left, right));
        let leaves = |(_, route): &(&Edge, &Route)| layers.rank(route.from) == rank;
        let edges = pipeline.edges.iter().zip(&layers.routes).filter(leaves);
        let lead = edges.map(|(edge, _)| lead(edge)).fold(0.0, f64::max);
        let steep = layers.links.iter().filter(|link| layers.rank(link.from) == rank).map(|link| {
            let center = |vertex: usize| centers.get(vertex).copied().unwrap_or_default();
            (center(link.to) - center(link.from)).abs()
        });
        let steep = steep.fold(0.0, f64::max) / 6.0;
        left = right + lead + GAP + steep.min(STEEP_GAP);
    }
    columns
}

/// Length of the straight part of a line that has the label.
fn lead(edge: &Edge) -> f64 {
    let label = text::label(edge);
    if label.is_empty() { LEAD } else { LEAD + text::width(label, text::LABEL) }
}

fn draw(pipeline: &Pipeline, boxes: &[Sized], layers: &Layers, centers: &[f64], columns: &[(f64, f64)]) -> Drawing {
    let heights = || layers.vertices.iter().zip(centers).map(|(vertex, center)| (center, vertex.height / 2.0));
    let top = heights().map(|(center, half)| center - half).fold(f64::INFINITY, f64::min);
    let bottom = heights().map(|(center, half)| center + half).fold(f64::NEG_INFINITY, f64::max);
    let y = |center: f64| round(center - top + MARGIN);
    let column = |vertex: usize| columns.get(layers.rank(vertex)).copied().unwrap_or_default();
    let center = |vertex: usize| centers.get(vertex).copied().unwrap_or_default();
    let rect = |(index, sized): (usize, &Sized)| {
        let (left, right) = column(index);
        // All boxes of a column are as wide as the widest.
        Rect {
            x: round(left),
            y: y(center(index) - sized.height / 2.0),
            width: round(right - left),
            height: round(sized.height),
        }
    };
    let anchors = Anchors::of(layers, centers);
    let (mut paths, mut labels) = (Vec::new(), Vec::new());
    for (edge, route) in pipeline.edges.iter().zip(&layers.routes) {
        let at = (column(route.from).1, y(center(route.from) + anchors.offset(route)));
        labels.push(Point { x: round(at.0 + 7.0), y: round(at.1 - 4.0) });
        let mut path = Path::new(at);
        path.straight(at.0 + lead(edge));
        for (place, &vertex) in route.through.iter().chain([&route.to]).enumerate() {
            let (left, right) = column(vertex);
            let is_last = place == route.through.len();
            path.curve((if is_last { left - ARROW } else { left }, y(center(vertex))));
            if !is_last {
                path.straight(right);
            }
        }
        let path = path.end();
        paths.push(path);
    }
    Drawing {
        width: round(columns.last().map_or(0.0, |(_, right)| *right) + MARGIN),
        height: round((bottom - top).max(0.0) + 2.0 * MARGIN),
        boxes: boxes.iter().enumerate().map(rect).collect(),
        paths,
        labels,
    }
}

/// The data of an SVG path that only goes to the right.
struct Path {
    text: String,
    at: (f64, f64),
    /// Where the last command ends; a straight part from there is not written yet.
    written: f64,
}

impl Path {
    fn new((x, y): (f64, f64)) -> Self {
        let (x, y) = (round(x), round(y));
        Self { text: format!("M{x} {y}"), at: (x, y), written: x }
    }

    /// A horizontal part. Several in a row become one.
    fn straight(&mut self, x: f64) {
        self.at.0 = round(x).max(self.at.0);
    }

    /// A curve that leaves and arrives horizontally, so it stays between its ends in both directions.
    fn curve(&mut self, (x, y): (f64, f64)) {
        let (x, y) = (round(x), round(y));
        if (y - self.at.1).abs() < 0.5 {
            return self.straight(x);
        }
        self.write_straight();
        let middle = round((self.at.0 + x) / 2.0);
        let _ = write!(self.text, "C{middle} {} {middle} {y} {x} {y}", self.at.1);
        (self.at, self.written) = ((x, y), x);
    }

    fn write_straight(&mut self) {
        if self.at.0 > self.written {
            let _ = write!(self.text, "L{} {}", self.at.0, self.at.1);
            self.written = self.at.0;
        }
    }

    fn end(mut self) -> String {
        self.write_straight();
        self.text
    }
}

/// To a tenth of a pixel, for short documents.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests;
