//! Counts by a code that a guest chose, without locks and with a limit on the number of codes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

/// Maximum number of distinct codes in a tally. Each is a time series of a metric, so a guest must
/// not create them without limit.
const MAX_CODES: usize = 64;
/// Maximum length of a code in bytes; longer ones are cut.
const MAX_CODE_BYTES: usize = 64;
/// The code of all events beyond the limit, and of events without a code.
const OTHER: &str = "other";

type Codes = BTreeMap<Box<str>, Arc<AtomicU64>>;

/// Counts by code.
#[derive(Debug, Default)]
pub struct Tally {
    codes: ArcSwap<Codes>,
}

impl Tally {
    /// Adds to the count of a code. Only the first event of a code costs more than a search and an
    /// addition.
    pub(crate) fn add(&self, code: &str, count: u64) {
        let code = if code.is_empty() || code.len() > MAX_CODE_BYTES { OTHER } else { code };
        let counter = match self.codes.load().get(code) {
            Some(counter) => counter.clone(),
            None => self.insert(code),
        };
        counter.fetch_add(count, Ordering::Relaxed);
    }

    fn insert(&self, code: &str) -> Arc<AtomicU64> {
        let mut counter = Arc::default();
        self.codes.rcu(|codes| {
            let code = if codes.len() < MAX_CODES || codes.contains_key(code) { code } else { OTHER };
            let mut codes = Codes::clone(codes);
            // Another thread may have added the code meanwhile.
            counter = codes.entry(code.into()).or_default().clone();
            codes
        });
        counter
    }

    /// The counts by code.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.codes.load().iter().map(|(code, count)| (code.to_string(), count.load(Ordering::Relaxed))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_beyond_the_limit_count_as_other() {
        let tally = Tally::default();
        for code in 0..1000 {
            tally.add(&format!("code-{code}"), 2);
        }
        tally.add("code-7", 1);
        tally.add("", 1);
        tally.add(&"long".repeat(100), 1);
        let counts = tally.counts();
        assert_eq!(counts.len(), MAX_CODES + 1);
        assert_eq!(counts["code-7"], 3);
        assert_eq!(counts.values().sum::<u64>(), 2003);
        assert_eq!(counts[OTHER], 2 * (1000 - MAX_CODES as u64) + 2);
    }

    #[test]
    fn threads_that_add_a_code_at_the_same_time_lose_no_count() {
        let tally = Tally::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for code in 0..50 {
                        tally.add(&code.to_string(), 1);
                    }
                });
            }
        });
        assert!(tally.counts().values().all(|count| *count == 4), "{:?}", tally.counts());
    }
}
