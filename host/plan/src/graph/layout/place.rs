//! The height at which each box and lane stands, close to what it is linked with.

use super::layers::{Anchors, Layers};

/// Number of sweeps over all ranks, each in both directions.
const SWEEPS: usize = 24;
/// Space between two boxes, and between a box and a lane.
const SPACE: f64 = 22.0;
/// Space between two lanes.
const LANE_SPACE: f64 = 4.0;

/// The center of each vertex.
pub(super) fn place(layers: &mut Layers) -> Vec<f64> {
    let mut centers = vec![0.0; layers.vertices.len()];
    // Everything stands as high as possible at first, in the middle of the highest rank.
    for rank in &layers.ranks {
        let gaps = gaps(layers, rank);
        let total: f64 = gaps.iter().sum();
        let mut at = -total / 2.0;
        for (vertex, gap) in rank.iter().zip(gaps) {
            at += gap;
            set(&mut centers, *vertex, at);
        }
    }
    for _ in 0..SWEEPS {
        for is_back in [false, true] {
            // Ports move with what they lead to.
            let anchors = Anchors::of(layers, &centers);
            let wishes = Wishes::of(layers, &anchors);
            let count = layers.ranks.len();
            for step in 0..count {
                let index = if is_back { count - 1 - step } else { step };
                let Some(rank) = layers.ranks.get(index) else { continue };
                let wished: Vec<(f64, f64)> = rank.iter().map(|vertex| wishes.of_vertex(*vertex, &centers)).collect();
                let gaps = gaps(layers, rank);
                for (vertex, center) in rank.iter().zip(spread(&wished, &gaps)) {
                    set(&mut centers, *vertex, center);
                }
            }
        }
    }
    centers
}

fn get(centers: &[f64], vertex: usize) -> f64 {
    centers.get(vertex).copied().unwrap_or_default()
}

fn set(centers: &mut [f64], vertex: usize, center: f64) {
    if let Some(place) = centers.get_mut(vertex) {
        *place = center;
    }
}

/// The minimum distance of each vertex of a rank from the one above it; the first has none.
fn gaps(layers: &Layers, rank: &[usize]) -> Vec<f64> {
    let vertex = |index: &usize| layers.vertices.get(*index);
    let gap = |pair: &[usize]| match pair {
        [above, below] => match (vertex(above), vertex(below)) {
            (Some(a), Some(b)) => {
                let space = if a.is_lane && b.is_lane { LANE_SPACE } else { SPACE };
                (a.height + b.height) / 2.0 + space
            }
            _ => SPACE,
        },
        _ => SPACE,
    };
    std::iter::once(0.0).chain(rank.windows(2).map(gap)).take(rank.len()).collect()
}

/// Where each vertex should stand for straight lines: the other end of each of its lines, how far beside it, and with
/// which weight.
struct Wishes(Vec<Vec<(usize, f64, f64)>>);

impl Wishes {
    fn of(layers: &Layers, anchors: &Anchors) -> Self {
        let mut all = vec![Vec::new(); layers.vertices.len()];
        let is_lane = |vertex: usize| layers.vertices.get(vertex).is_some_and(|vertex| vertex.is_lane);
        let mut add = |vertex: usize, other: usize, beside: f64, weight: f64| {
            if let Some(wishes) = all.get_mut(vertex) {
                wishes.push((other, beside, weight));
            }
        };
        for route in &layers.routes {
            let (from, to, beside) = (route.from, route.next(), anchors.offset(route));
            let weight = if is_lane(to) { 0.5 } else { 2.0 };
            // A lane for failures follows the boxes, which have one each, but does not bend their chain.
            let of = |vertex: usize| if route.failed && !is_lane(vertex) { weight / 20.0 } else { weight };
            add(to, from, beside, of(to));
            add(from, to, -beside, of(from));
        }
        // Lanes, once for all edges that share them. Long lines should be straight.
        for link in layers.links.iter().filter(|link| is_lane(link.from)) {
            let weight = if is_lane(link.to) { 30.0 } else { 0.5 };
            add(link.to, link.from, 0.0, weight);
            add(link.from, link.to, 0.0, weight);
        }
        Self(all)
    }

    /// The wish of a vertex and its weight.
    fn of_vertex(&self, vertex: usize, centers: &[f64]) -> (f64, f64) {
        let wishes = self.0.get(vertex).map(Vec::as_slice).unwrap_or_default();
        let weight: f64 = wishes.iter().map(|(.., weight)| weight).sum();
        if weight <= 0.0 {
            return (get(centers, vertex), 0.1);
        }
        let sum: f64 = wishes.iter().map(|(other, beside, weight)| (get(centers, *other) + beside) * weight).sum();
        (sum / weight, weight)
    }
}

/// The centers that are closest to the wishes and keep the order and the gaps: groups of neighbours that want the same
/// room move together to the mean of their wishes.
fn spread(wished: &[(f64, f64)], gaps: &[f64]) -> Vec<f64> {
    /// Neighbours that stand as close as they can.
    struct Group {
        /// Mean wish for the first of them.
        first: f64,
        weight: f64,
        count: usize,
    }
    let mut groups: Vec<Group> = Vec::new();
    let mut offset = 0.0;
    for ((wish, weight), gap) in wished.iter().zip(gaps) {
        offset += gap;
        // Without the gaps, the order is the only condition.
        let mut group = Group { first: wish - offset, weight: *weight, count: 1 };
        while let Some(above) = groups.pop_if(|above| above.first > group.first) {
            let weight = above.weight + group.weight;
            group = Group {
                first: (above.first * above.weight + group.first * group.weight) / weight,
                weight,
                count: above.count + group.count,
            };
        }
        groups.push(group);
    }
    let firsts = groups.iter().flat_map(|group| std::iter::repeat_n(group.first, group.count));
    let mut offset = 0.0;
    let centers = firsts.zip(gaps).map(|(first, gap)| {
        offset += gap;
        first + offset
    });
    centers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_that_want_the_same_place_share_it() {
        assert_eq!(spread(&[(0.0, 1.0), (100.0, 1.0)], &[0.0, 10.0]), [0.0, 100.0]);
        assert_eq!(spread(&[(5.0, 1.0), (5.0, 1.0)], &[0.0, 10.0]), [0.0, 10.0]);
        assert_eq!(spread(&[(5.0, 3.0), (5.0, 1.0)], &[0.0, 8.0]), [3.0, 11.0], "the heavier one moves less");
        assert_eq!(spread(&[(9.0, 1.0), (0.0, 1.0), (50.0, 1.0)], &[0.0, 2.0, 2.0]), [3.5, 5.5, 50.0]);
    }
}
