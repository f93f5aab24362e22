//! The number of records per document: fixed, from a range, or distributed as CloudTrail delivers.

use std::ops::RangeInclusive;

use crate::random::Random;

/// The number of records in a document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DocumentSize {
    /// As CloudTrail delivers: a median of 6, with a long tail up to 7,677.
    #[default]
    Natural,
    /// Always the same number.
    Fixed(u32),
    /// Uniformly from a range; an empty range gives its start.
    Between(RangeInclusive<u32>),
}

/// The natural distribution as pairs of quantile (in parts per million) and number of records. It
/// is interpolated linearly in integers, since logarithms differ between platforms in their last
/// bit.
const NATURAL: [(u32, u32); 9] = [
    (0, 1),
    (250_000, 2),
    (500_000, 6),
    (750_000, 19),
    (900_000, 60),
    (950_000, 120),
    (990_000, 600),
    (999_000, 3_000),
    (1_000_000, 7_677),
];

impl DocumentSize {
    /// Draws the number of records of one document.
    pub(crate) fn draw(&self, random: &mut Random) -> usize {
        let records = match self {
            Self::Natural => natural(random.between(0, 1_000_000)),
            Self::Fixed(records) => *records,
            Self::Between(range) => random.between(*range.start(), *range.end()),
        };
        records as usize
    }
}

/// Returns the number of records at `share` (parts per million) of the natural distribution.
fn natural(share: u32) -> u32 {
    NATURAL
        .windows(2)
        .find_map(|pair| match pair {
            [(from, low), (to, high)] if share <= *to => {
                let rise = u64::from(high - low) * u64::from(share.saturating_sub(*from));
                Some(low + (rise / u64::from(to - from)) as u32)
            }
            _ => None,
        })
        .unwrap_or(7_677)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn natural_sizes_have_the_published_median_and_maximum() {
        assert_eq!(natural(0), 1);
        assert_eq!(natural(500_000), 6);
        assert_eq!(natural(1_000_000), 7_677);
        let mut random = Random::new(3, 0);
        let mut drawn: Vec<usize> = (0..20_001).map(|_| DocumentSize::Natural.draw(&mut random)).collect();
        drawn.sort_unstable();
        assert!((5..=7).contains(&drawn[10_000]), "median {}", drawn[10_000]);
        assert!(drawn[20_000] > 3_000 && drawn[20_000] <= 7_677);
        assert!(drawn[0] >= 1);
    }

    #[test]
    fn fixed_and_ranged_sizes_are_respected() {
        let mut random = Random::new(4, 0);
        for _ in 0..1_000 {
            assert_eq!(DocumentSize::Fixed(0).draw(&mut random), 0);
            assert!((3..=5).contains(&DocumentSize::Between(3..=5).draw(&mut random)));
        }
        let wrong = RangeInclusive::new(9, 2);
        assert_eq!(DocumentSize::Between(wrong).draw(&mut random), 9);
    }
}
