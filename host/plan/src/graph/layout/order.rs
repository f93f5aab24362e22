//! The order of boxes and lanes in their ranks, so that few lines cross.

use super::layers::{Layers, small};

/// Number of sweeps over all ranks, each in both directions.
const SWEEPS: usize = 24;
/// Above this number of boxes and lanes, the order needs to be found quickly rather than well.
const MANY: usize = 4000;

/// Orders each rank by the mean place of the neighbours, sweep by sweep, and keeps the best order.
pub(super) fn order(layers: &mut Layers) {
    let neighbours = layers.neighbours();
    let is_large = layers.vertices.len() > MANY;
    let mut places = places(layers);
    let mut best = (crossings(layers, &places), layers.ranks.clone());
    for _ in 0..if is_large { 2 } else { SWEEPS } {
        for side in [0, 1] {
            sweep(layers, &neighbours, side, &mut places);
            if !is_large {
                exchange(layers, &neighbours, &mut places);
            }
            let count = crossings(layers, &places);
            if count < best.0 {
                best = (count, layers.ranks.clone());
            }
        }
        if best.0 == 0 {
            break;
        }
    }
    layers.ranks = best.1;
}

/// The place of each vertex in its rank.
fn places(layers: &Layers) -> Vec<usize> {
    let mut places = vec![0; layers.vertices.len()];
    for rank in &layers.ranks {
        note(rank, &mut places);
    }
    places
}

fn note(rank: &[usize], places: &mut [usize]) {
    for (place, vertex) in rank.iter().enumerate() {
        if let Some(known) = places.get_mut(*vertex) {
            *known = place;
        }
    }
}

fn place(places: &[usize], vertex: usize) -> usize {
    places.get(vertex).copied().unwrap_or_default()
}

/// Sorts each rank by its neighbours: those before it from left to right (side 0), or those after it from right to left.
fn sweep(layers: &mut Layers, neighbours: &[[Vec<usize>; 2]], side: usize, places: &mut [usize]) {
    let count = layers.ranks.len();
    for step in 0..count {
        let Some(rank) = layers.ranks.get_mut(if side == 0 { step } else { count - 1 - step }) else { continue };
        let mean = |vertex: usize| {
            let near = neighbours.get(vertex).and_then(|sides| sides.get(side)).map(Vec::as_slice).unwrap_or_default();
            // Without neighbours it stays where it is.
            if near.is_empty() {
                return small(place(places, vertex));
            }
            near.iter().map(|near| small(place(places, *near))).sum::<f64>() / small(near.len())
        };
        let mut sorted: Vec<(f64, usize)> = rank.iter().map(|vertex| (mean(*vertex), *vertex)).collect();
        sorted.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        *rank = sorted.into_iter().map(|(_, vertex)| vertex).collect();
        note(rank, places);
    }
}

/// Exchanges neighbours in a rank as long as that removes crossings.
fn exchange(layers: &mut Layers, neighbours: &[[Vec<usize>; 2]], places: &mut [usize]) {
    for rank in &mut layers.ranks {
        let mut is_better = true;
        let mut rounds = rank.len();
        while is_better && rounds > 0 {
            (is_better, rounds) = (false, rounds - 1);
            for upper in 1..rank.len() {
                let (Some(&a), Some(&b)) = (rank.get(upper - 1), rank.get(upper)) else { continue };
                let count = |a, b| between(neighbours, places, a, b);
                if count(b, a) < count(a, b) {
                    rank.swap(upper - 1, upper);
                    is_better = true;
                }
            }
            note(rank, places);
        }
    }
}

/// Crossings of the lines of two neighbours in a rank, `a` above `b`.
fn between(neighbours: &[[Vec<usize>; 2]], places: &[usize], a: usize, b: usize) -> usize {
    let near = |vertex: usize, side: usize| neighbours.get(vertex).and_then(|sides| sides.get(side));
    let crossing = |side| {
        let (Some(a), Some(b)) = (near(a, side), near(b, side)) else { return 0 };
        let below = |place_of_a: usize| b.iter().filter(|near| place(places, **near) < place_of_a).count();
        a.iter().map(|near| below(place(places, *near))).sum::<usize>()
    };
    crossing(0) + crossing(1)
}

/// Crossings of all lines.
fn crossings(layers: &Layers, places: &[usize]) -> usize {
    let mut by_rank: Vec<Vec<(usize, usize)>> = vec![Vec::new(); layers.ranks.len()];
    for link in &layers.links {
        if let Some(lines) = by_rank.get_mut(layers.rank(link.from)) {
            lines.push((place(places, link.from), place(places, link.to)));
        }
    }
    let count = |mut lines: Vec<(usize, usize)>| {
        lines.sort_unstable();
        inversions(&mut lines.into_iter().map(|(_, to)| to).collect::<Vec<_>>())
    };
    by_rank.into_iter().map(count).sum()
}

/// Number of pairs in the wrong order. Sorts the list.
fn inversions(list: &mut [usize]) -> usize {
    if list.len() < 2 {
        return 0;
    }
    let (left, right) = list.split_at_mut(list.len() / 2);
    let mut count = inversions(left) + inversions(right);
    let mut rest = left.iter().peekable();
    let mut passed = 0;
    for value in right.iter() {
        while rest.next_if(|left| *left <= value).is_some() {
            passed += 1;
        }
        count += left.len() - passed;
    }
    list.sort_unstable();
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inversions_are_counted() {
        for (list, expected) in
            [(vec![1, 2, 3], 0), (vec![3, 2, 1], 3), (vec![2, 2, 1], 2), (vec![1, 4, 2, 3], 2), (vec![], 0)]
        {
            let mut sorted = list.clone();
            assert_eq!(inversions(&mut sorted), expected, "{list:?}");
            assert!(sorted.is_sorted());
        }
    }
}
