//! Logs failures, each kind once until it is over.

use std::collections::BTreeMap;
use std::time::Instant;

use parking_lot::Mutex;

use crate::source::SourceContext;

/// Something that a source does again and again, and that can fail.
pub(crate) trait Action: Copy + Ord {
    /// The failure, for logs: `cannot …`.
    fn what(self) -> &'static str;

    /// The end of the failure, for logs.
    fn works_again(self) -> &'static str;
}

/// Why an action failed.
pub(crate) trait Failed {
    /// Failures of one kind are logged once.
    type Kind: Copy + Ord;

    /// Its kind.
    fn kind(&self) -> Self::Kind;

    /// The reason, with what to do.
    fn text(&self) -> &str;

    /// Whether it lasts until an operator acts.
    fn needs_operator(&self) -> bool;
}

/// Failures that were logged and are not over.
#[derive(Debug)]
pub(crate) struct Reports<A, K> {
    logged: Mutex<BTreeMap<(A, K), Instant>>,
}

impl<A, K> Default for Reports<A, K> {
    fn default() -> Self {
        Self { logged: Mutex::new(BTreeMap::new()) }
    }
}

impl<A: Action, K: Copy + Ord> Reports<A, K> {
    /// Counts a failure; logs it if it is the first one of its kind.
    pub(crate) fn failed(&self, context: &SourceContext, action: A, failure: &impl Failed<Kind = K>) {
        let (source, error, what) = (&context.name, failure.text(), action.what());
        context.stats.fail(format!("{what}: {error}"));
        let mut is_first = false;
        self.logged.lock().entry((action, failure.kind())).or_insert_with(|| {
            is_first = true;
            Instant::now()
        });
        if is_first && failure.needs_operator() {
            tracing::error!(%source, error, "{what} until an operator acts; trying again");
        } else if is_first {
            tracing::warn!(%source, error, "{what}; trying again");
        }
    }

    /// An action succeeded.
    pub(crate) fn worked(&self, context: &SourceContext, action: A) {
        let mut since = None;
        self.logged.lock().retain(|(of, _), logged| {
            let is_other = *of != action;
            if !is_other {
                since = Some(since.map_or(*logged, |first: Instant| first.min(*logged)));
            }
            is_other
        });
        if let Some(since) = since {
            tracing::info!(source = %context.name, failed_for = ?since.elapsed(), "{}", action.works_again());
        }
    }

    /// Whether an action fails.
    #[cfg_attr(not(feature = "kafka"), allow(dead_code, reason = "only `kafka` asks"))]
    pub(crate) fn is_failing(&self, action: A) -> bool {
        self.logged.lock().keys().any(|(of, _)| *of == action)
    }
}
