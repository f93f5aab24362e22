//! Finds the events that differ between the outputs of two versions.

use std::collections::HashMap;
use std::hash::Hash;

/// Maximum number of events of one side that are paired by similarity; more are paired by their order.
const MAX_SIMILAR: usize = 256;

/// An event of the left side and an event of the right side that differ, as indices; one is `None` for an event that
/// only the other side has.
pub(crate) type Pair = (Option<usize>, Option<usize>);

/// Lists the events that differ. Equal events are the same, wherever they are. Of the rest, both sides are paired place by
/// place if they have the same number; otherwise such that the sum of `similarity` is as high as possible, in order, and
/// an event that resembles none (a similarity of 0) has no partner.
pub fn differences<T: Eq + Hash>(left: &[T], right: &[T], similarity: impl Fn(&T, &T) -> u32) -> Vec<Pair> {
    let same = |(a, b): &(&T, &T)| a == b;
    let begin = left.iter().zip(right).take_while(same).count();
    let (rest_left, rest_right) = (left.get(begin..).unwrap_or_default(), right.get(begin..).unwrap_or_default());
    let end = rest_left.iter().rev().zip(rest_right.iter().rev()).take_while(same).count();
    let (left_end, right_end) = (left.len() - end, right.len() - end);
    if left.len() == right.len() {
        let unequal = (begin..left_end).filter(|&at| left.get(at) != right.get(at));
        return unequal.map(|at| (Some(at), Some(at))).collect();
    }
    let mut balance: HashMap<&T, i64> = HashMap::new();
    for event in left.get(begin..left_end).unwrap_or_default() {
        *balance.entry(event).or_default() += 1;
    }
    for event in right.get(begin..right_end).unwrap_or_default() {
        *balance.entry(event).or_default() -= 1;
    }
    let mut only = |events: &[T], until: usize, sign: i64| -> Vec<usize> {
        let mut own = Vec::new();
        for at in begin..until {
            let count = events.get(at).and_then(|event| balance.get_mut(event));
            if let Some(count) = count.filter(|count| **count * sign > 0) {
                *count -= sign;
                own.push(at);
            }
        }
        own
    };
    let (missing, added) = (only(left, left_end, 1), only(right, right_end, -1));
    if missing.len().max(added.len()) > MAX_SIMILAR {
        return by_order(&missing, &added);
    }
    let score = |at: usize, to: usize| match (left.get(at), right.get(to)) {
        (Some(a), Some(b)) => similarity(a, b),
        _ => 0,
    };
    by_similarity(&missing, &added, score)
}

fn by_order(missing: &[usize], added: &[usize]) -> Vec<Pair> {
    let longest = missing.len().max(added.len());
    (0..longest).map(|at| (missing.get(at).copied(), added.get(at).copied())).collect()
}

/// The best pairs in order, by dynamic programming.
fn by_similarity(missing: &[usize], added: &[usize], score: impl Fn(usize, usize) -> u32) -> Vec<Pair> {
    let width = added.len() + 1;
    let scores: Vec<u32> =
        missing.iter().flat_map(|&at| added.iter().map(move |&to| (at, to))).map(|(at, to)| score(at, to)).collect();
    let score = |row: usize, column: usize| scores.get(row * added.len() + column).copied().unwrap_or(0);
    // The best sum for the first `row` and `column` events.
    let mut best = vec![0_u32; (missing.len() + 1) * width];
    let at = |best: &[u32], row: usize, column: usize| best.get(row * width + column).copied().unwrap_or(0);
    for row in 1..=missing.len() {
        for column in 1..=added.len() {
            let paired = at(&best, row - 1, column - 1) + score(row - 1, column - 1);
            let sum = paired.max(at(&best, row - 1, column)).max(at(&best, row, column - 1));
            if let Some(cell) = best.get_mut(row * width + column) {
                *cell = sum;
            }
        }
    }
    let (mut row, mut column) = (missing.len(), added.len());
    let mut pairs = Vec::new();
    while row > 0 || column > 0 {
        let sum = at(&best, row, column);
        let is_pair = row > 0
            && column > 0
            && score(row - 1, column - 1) > 0
            && sum == at(&best, row - 1, column - 1) + score(row - 1, column - 1);
        if is_pair {
            (row, column) = (row - 1, column - 1);
            pairs.push((missing.get(row).copied(), added.get(column).copied()));
        } else if column > 0 && (row == 0 || sum == at(&best, row, column - 1)) {
            column -= 1;
            pairs.push((None, added.get(column).copied()));
        } else {
            row -= 1;
            pairs.push((missing.get(row).copied(), None));
        }
    }
    pairs.reverse();
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares words; two words resemble each other by the letters that they share at their start.
    #[track_caller]
    fn expect(left: &str, right: &str, expected: &[(&str, &str)]) {
        let (left, right): (Vec<&str>, Vec<&str>) =
            (left.split_whitespace().collect(), right.split_whitespace().collect());
        let similarity = |a: &&str, b: &&str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count() as u32;
        let word = |all: &[&str], at: Option<usize>| at.map_or("-".to_owned(), |at| all[at].to_owned());
        let found: Vec<(String, String)> = differences(&left, &right, similarity)
            .into_iter()
            .map(|(a, b)| (word(&left, a), word(&right, b)))
            .collect();
        let expected: Vec<(String, String)> = expected.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn differences_are_found_at_their_places() {
        expect("a b c", "a b c", &[]);
        expect("a b c", "a x c", &[("b", "x")]);
        expect("a b c", "a c", &[("b", "-")]);
        expect("a c", "a b c", &[("-", "b")]);
        expect("a b c d", "x c b", &[("a", "-"), ("d", "-"), ("-", "x")]);
        expect("", "a", &[("-", "a")]);
        expect("a a", "a", &[("a", "-")]);
    }

    #[test]
    fn changed_events_are_paired_by_similarity_if_the_numbers_differ() {
        expect("one1 two1 three1", "two2 three2", &[("one1", "-"), ("two1", "two2"), ("three1", "three2")]);
        expect(
            "two1 three1",
            "one2 two2 three2 four2",
            &[("-", "one2"), ("two1", "two2"), ("three1", "three2"), ("-", "four2")],
        );
        expect("a1 same b1", "b2 same", &[("a1", "-"), ("b1", "b2")]);
    }

    #[test]
    fn very_many_events_are_paired_by_their_order() {
        let many = |count: usize, sign: char| (0..count).map(|at| format!("{sign}{at}")).collect::<Vec<_>>();
        let found = differences(&many(1000, 'a'), &many(1001, 'b'), |_, _| 1);
        assert_eq!(found.len(), 1001);
        assert_eq!((found[0], found[1000]), ((Some(0), Some(0)), (None, Some(1000))));
    }
}
