//! A canary: another version of a pipeline that takes a share of its batches, for real.
//!
//! It is a pipeline of the same generation, with the same sinks and quarantine, instances of its own on every worker, and
//! counts of its own under [`canary_name`]. Turns keep the order of a source, whichever version took a batch. Whether it
//! is promoted or rolled back is for the agent to say; either is a swap like any other.

use std::sync::atomic::{AtomicU64, Ordering};

/// The name under which the canary of a pipeline is counted; no pipeline can have it.
pub fn canary_name(pipeline: &str) -> String {
    format!("{pipeline}@canary")
}

/// Takes a share of what comes, evenly spread.
#[derive(Debug)]
pub(crate) struct Share {
    share: f64,
    seen: AtomicU64,
}

impl Share {
    pub(crate) fn new(share: f64) -> Self {
        Self { share, seen: AtomicU64::new(0) }
    }

    /// Whether the next one is taken.
    pub(crate) fn takes(&self) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "more batches than that never come")]
        let before = self.seen.fetch_add(1, Ordering::Relaxed) as f64;
        ((before + 1.0) * self.share).floor() > (before * self.share).floor()
    }
}

/// The canary of a pipeline.
#[derive(Debug)]
pub(crate) struct Canary {
    /// Its place among the pipelines of the generation.
    pub(crate) candidate: usize,
    pub(crate) share: Share,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_taken_evenly() {
        for (share, of, taken) in [(0.05, 100, 5), (0.5, 10, 5), (1.0, 7, 7), (0.001, 1000, 1)] {
            let one = Share::new(share);
            let took: Vec<bool> = (0..of).map(|_| one.takes()).collect();
            assert_eq!(took.iter().filter(|t| **t).count(), taken, "{share}");
            let gap = took.split(|t| *t).map(<[bool]>::len).max().unwrap();
            assert!(gap < of / taken, "{share}: {gap}");
        }
    }
}
