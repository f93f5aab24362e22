//! A canary: another version of a pipeline that processes a share of its batches, with real
//! effects.
//!
//! It is a pipeline of the same generation with the same sinks and quarantine, but with its own
//! instances on every worker, and its own counts under [`canary_name`]. Sequence numbers keep the
//! order of a source, whichever version processed a batch. The supervisor decides whether to
//! promote it or roll it back; either is a swap like any other.

use std::sync::atomic::{AtomicU64, Ordering};

/// The name for the counts of a pipeline's canary; no pipeline can have this name.
pub fn canary_name(pipeline: &str) -> String {
    format!("{pipeline}@canary")
}

/// Selects a share of the batches: one of each run of `1 / share`, at a pseudo-random place.
///
/// Taking every n-th batch would always pick the same source if sources alternate, and a candidate
/// that sees other events than the running version cannot be compared with it.
#[derive(Debug)]
pub(crate) struct Share {
    share: f64,
    seen: AtomicU64,
}

impl Share {
    pub(crate) fn new(share: f64) -> Self {
        Self { share, seen: AtomicU64::new(0) }
    }

    /// Whether the next batch is selected.
    pub(crate) fn takes(&self) -> bool {
        let before = self.seen.fetch_add(1, Ordering::Relaxed);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "more batches than that never come"
        )]
        let (run, start, end) = {
            let run = (before as f64 * self.share).floor();
            (run as u64, (run / self.share).ceil() as u64, ((run + 1.0) / self.share).ceil() as u64)
        };
        before == start + mix(run) % end.saturating_sub(start).max(1)
    }
}

/// Pseudo-random bits (SplitMix64, Steele, Lea and Flood 2014), the same at every start.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The canary of a pipeline.
#[derive(Debug)]
pub(crate) struct Canary {
    /// Its index among the pipelines of the generation.
    pub(crate) candidate: usize,
    pub(crate) share: Share,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_taken_evenly() {
        for (share, of, taken) in
            [(0.05, 100, 5), (0.5, 10, 5), (1.0, 7, 7), (0.001, 1000, 1), (0.3, 1000, 300), (0.07, 10_000, 700)]
        {
            let one = Share::new(share);
            let took: Vec<bool> = (0..of).map(|_| one.takes()).collect();
            assert!(took.iter().filter(|t| **t).count().abs_diff(taken) <= 1, "{share}");
            let gap = took.split(|t| *t).map(<[bool]>::len).max().unwrap();
            assert!(gap <= 2 * (of / taken), "{share}: {gap}");
        }
    }

    #[test]
    fn alternating_sources_are_all_sampled() {
        for (share, sources) in [(0.5, 2), (0.05, 4), (0.05, 20), (0.1, 5)] {
            let one = Share::new(share);
            let mut taken = vec![0_usize; sources];
            for batch in 0..400_000 {
                taken[batch % sources] += usize::from(one.takes());
            }
            let (least, most) = (taken.iter().min().unwrap(), taken.iter().max().unwrap());
            assert!(*least * 3 > *most * 2, "{share} of {sources}: {taken:?}");
        }
    }
}
