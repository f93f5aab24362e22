//! Chooses rows of a batch, spread over all of it.

/// Chooses `count` of `rows` rows in order: one at a random place of each of `count` equal parts.
pub(super) fn spread(rows: usize, count: usize, random: u64) -> impl Iterator<Item = usize> {
    let count = count.min(rows);
    let start = move |part: usize| part * rows / count.max(1);
    (0..count).map(move |part| {
        let (from, to) = (start(part), start(part + 1));
        let wide = u64::try_from((to - from).max(1)).unwrap_or(1);
        let step = mix(random.wrapping_add(part as u64)) % wide;
        from + usize::try_from(step).unwrap_or(0)
    })
}

/// The finalizer of SplitMix64.
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_rows_are_distinct_in_order_and_come_from_the_whole_batch() {
        for (rows, count) in [(0, 3), (1, 1), (5, 5), (10, 3), (1000, 7), (3, 10)] {
            for seed in 0..50 {
                let chosen: Vec<usize> = spread(rows, count, mix(seed)).collect();
                assert_eq!(chosen.len(), count.min(rows));
                assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]) && chosen.iter().all(|row| *row < rows));
            }
        }
        let mut hits = [0; 10];
        (0..1000).for_each(|seed| spread(10, 1, mix(seed)).for_each(|row| hits[row] += 1));
        assert!(hits.iter().all(|hit| (50..200).contains(hit)), "{hits:?}");
    }
}
