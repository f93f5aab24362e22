//! Ranks, and lanes for lines that pass ranks.

use std::collections::{BTreeMap, HashMap};

use super::{LAST_PORT, Link, PORT, Sized};

/// Height of a lane.
const LANE: f64 = 10.0;

/// A box, or a lane for a line in the rank of other boxes. The boxes come first, in the order of the drawing.
pub(super) struct Vertex {
    pub(super) rank: usize,
    pub(super) height: f64,
    pub(super) is_lane: bool,
}

/// A line between neighbouring ranks.
pub(super) struct Hop {
    pub(super) from: usize,
    pub(super) to: usize,
}

/// The way of an edge: its ends and the lanes between them.
pub(super) struct Route {
    pub(super) from: usize,
    pub(super) port: usize,
    pub(super) failed: bool,
    pub(super) through: Vec<usize>,
    pub(super) to: usize,
}

impl Route {
    /// Where the first part of the line ends.
    pub(super) fn next(&self) -> usize {
        self.through.first().copied().unwrap_or(self.to)
    }
}

/// Boxes and lanes by rank.
pub(super) struct Layers {
    pub(super) vertices: Vec<Vertex>,
    /// Vertices of each rank from top to bottom.
    pub(super) ranks: Vec<Vec<usize>>,
    /// Each once, also if several edges use it.
    pub(super) links: Vec<Hop>,
    /// For each edge.
    pub(super) routes: Vec<Route>,
}

impl Layers {
    pub(super) fn new(boxes: &[Sized], edges: &[Link]) -> Self {
        let ranks = ranks(boxes, edges);
        let rank = |vertex: usize| ranks.get(vertex).copied().unwrap_or_default();
        let vertex =
            |(index, sized): (usize, &Sized)| Vertex { rank: rank(index), height: sized.height, is_lane: false };
        let mut vertices: Vec<Vertex> = boxes.iter().enumerate().map(vertex).collect();
        // Failures have lanes of their own, since their lines look different.
        let mut lanes: HashMap<(usize, bool, usize), usize> = HashMap::new();
        let mut links: BTreeMap<(usize, usize), ()> = BTreeMap::new();
        let mut routes = Vec::with_capacity(edges.len());
        for edge in edges {
            let mut through = Vec::new();
            for rank in rank(edge.from) + 1..rank(edge.to) {
                let lane = *lanes.entry((edge.to, edge.failed, rank)).or_insert_with(|| {
                    vertices.push(Vertex { rank, height: LANE, is_lane: true });
                    vertices.len() - 1
                });
                through.push(lane);
            }
            let mut from = edge.from;
            for &to in through.iter().chain([&edge.to]) {
                if from != to {
                    links.insert((from, to), ());
                }
                from = to;
            }
            routes.push(Route { from: edge.from, port: edge.port, failed: edge.failed, through, to: edge.to });
        }
        let mut by_rank = vec![Vec::new(); vertices.iter().map(|vertex| vertex.rank + 1).max().unwrap_or(0)];
        for (index, vertex) in vertices.iter().enumerate() {
            if let Some(rank) = by_rank.get_mut(vertex.rank) {
                rank.push(index);
            }
        }
        let links = links.into_keys().map(|(from, to)| Hop { from, to }).collect();
        Self { vertices, ranks: by_rank, links, routes }
    }

    pub(super) fn rank(&self, vertex: usize) -> usize {
        self.vertices.get(vertex).map_or(0, |vertex| vertex.rank)
    }

    /// For each vertex, those of the next lower and of the next higher rank that it is linked with.
    pub(super) fn neighbours(&self) -> Vec<[Vec<usize>; 2]> {
        let mut all = vec![[Vec::new(), Vec::new()]; self.vertices.len()];
        for link in &self.links {
            if let Some([_, after]) = all.get_mut(link.from) {
                after.push(link.to);
            }
            if let Some([before, _]) = all.get_mut(link.to) {
                before.push(link.from);
            }
        }
        all
    }
}

/// The longest way from the input to each box. Outputs are in the last rank, and so are all boxes without a way from
/// the input at least in the second.
fn ranks(boxes: &[Sized], edges: &[Link]) -> Vec<usize> {
    let mut ranks: Vec<usize> = (0..boxes.len()).map(|index| usize::from(index > 0)).collect();
    // Nodes are in the order of the graph, so all edges to a node come from boxes before it.
    let mut sorted: Vec<&Link> = edges.iter().filter(|edge| edge.from < edge.to).collect();
    sorted.sort_by_key(|edge| edge.from);
    for edge in sorted {
        let from = ranks.get(edge.from).copied().unwrap_or_default();
        if let Some(rank) = ranks.get_mut(edge.to) {
            *rank = (*rank).max(from + 1);
        }
    }
    let last = ranks.iter().copied().max().unwrap_or_default();
    for (rank, sized) in ranks.iter_mut().zip(boxes) {
        if sized.is_output {
            *rank = last;
        }
    }
    ranks
}

/// Where lines leave their boxes: the ports of a box from top to bottom, in the order in which their lines continue, and
/// the port for failures beside them.
pub(super) struct Anchors(HashMap<(usize, usize), f64>);

impl Anchors {
    pub(super) fn of(layers: &Layers, centers: &[f64]) -> Self {
        let center = |vertex: usize| centers.get(vertex).copied().unwrap_or_default();
        // For each box and port, the sum and the number of the next places.
        let mut ports: BTreeMap<(usize, bool, usize), (f64, f64)> = BTreeMap::new();
        for route in &layers.routes {
            let (sum, count) = ports.entry((route.from, route.failed, route.port)).or_default();
            *sum += center(route.next());
            *count += 1.0;
        }
        let mut of_box: BTreeMap<usize, [Vec<(usize, f64)>; 2]> = BTreeMap::new();
        for ((from, failed, port), (sum, count)) in ports {
            let [usual, failures] = of_box.entry(from).or_default();
            if failed { failures } else { usual }.push((port, sum / count));
        }
        let mut offsets = HashMap::new();
        for (from, [mut usual, failures]) in of_box {
            usual.sort_by(|(_, a), (_, b)| a.total_cmp(b));
            // The usual ports are in the middle, so that a chain is a straight line.
            let end = PORT * (small(usual.len()) - 1.0).max(0.0) / 2.0;
            let mut offset = -end;
            for (port, _) in usual {
                offsets.insert((from, port), offset);
                offset += PORT;
            }
            for (port, next) in failures {
                let offset = end + LAST_PORT;
                offsets.insert((from, port), if next < center(from) { -offset } else { offset });
            }
        }
        Self(offsets)
    }

    /// Distance of a line from the center of its box.
    pub(super) fn offset(&self, route: &Route) -> f64 {
        self.0.get(&(route.from, route.port)).copied().unwrap_or_default()
    }
}

/// A count as a number of pixels.
pub(super) fn small(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
