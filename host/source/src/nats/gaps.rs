//! Messages that a stream deleted before they were delivered.
//!
//! A stream deletes by its limits also what a consumer has not delivered, and nothing says so. The number of a delivery grows by
//! one, so two deliveries in a row that are not next to each other in the stream have deleted messages between them. With
//! other members or a filter, what is missing may have gone elsewhere, and does not count.

use std::time::Duration;

use tokio::time::Instant;
use wattle_nats::ConsumerFacts;

use super::events::Facts;

/// Least time between two reports.
const INTERVAL: Duration = Duration::from_secs(10);

/// Finds deleted messages.
#[derive(Debug)]
pub(super) struct Gaps {
    /// The number of the last delivery, and the newest position in the stream until then, if it is known; `None` for a consumer
    /// that does not deliver every message.
    last: Option<(u64, Option<u64>)>,
    unreported: u64,
    reported: Option<Instant>,
}

impl Gaps {
    pub(super) fn new(facts: &ConsumerFacts) -> Self {
        let number = facts.delivered.consumer_seq;
        let sequence = match (number, facts.config.opt_start_seq) {
            (1.., _) => Some(facts.delivered.stream_seq),
            // It continues another consumer. Otherwise, no message before the first one was meant.
            (0, start @ 1..) if facts.config.deliver_policy == "by_start_sequence" => Some(start - 1),
            _ => None,
        };
        Self { last: facts.delivers_all().then_some((number, sequence)), unreported: 0, reported: None }
    }

    /// A message was delivered. Returns how many were deleted just before it.
    pub(super) fn message(&mut self, facts: &Facts) -> u64 {
        let Some((number, sequence)) = self.last.filter(|(number, _)| facts.number > *number) else { return 0 };
        let is_first = facts.deliveries <= 1;
        let is_next = facts.number == number + 1;
        let before = sequence.filter(|_| is_next);
        let now = if is_first { Some(facts.sequence) } else { before };
        self.last = Some((facts.number, now));
        let deleted = match before {
            Some(before) if is_first => facts.sequence.saturating_sub(before.saturating_add(1)),
            _ => 0,
        };
        self.unreported += deleted;
        deleted
    }

    /// How many are to be reported now.
    pub(super) fn report(&mut self, now: Instant) -> Option<u64> {
        let is_due = self.unreported > 0 && self.reported.is_none_or(|reported| now >= reported + INTERVAL);
        is_due.then(|| {
            self.reported = Some(now);
            std::mem::take(&mut self.unreported)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn gaps(delivered: Value, config: Value) -> Gaps {
        let facts = json!({ "created": "", "delivered": delivered, "config": config });
        Gaps::new(&serde_json::from_value(facts).unwrap())
    }

    fn delivered(gaps: &mut Gaps, number: u64, sequence: u64, deliveries: u64) -> u64 {
        gaps.message(&Facts { sequence, number, deliveries, time: 0 })
    }

    #[test]
    fn messages_that_are_missing_between_two_deliveries_count() {
        let mut gaps = gaps(json!({ "consumer_seq": 4, "stream_seq": 10 }), json!({}));
        assert_eq!(delivered(&mut gaps, 5, 11, 1), 0);
        assert_eq!(delivered(&mut gaps, 6, 20, 1), 8);
        assert_eq!(delivered(&mut gaps, 7, 11, 2), 0, "delivered again");
        assert_eq!(delivered(&mut gaps, 8, 23, 1), 2);
        let now = Instant::now();
        assert_eq!(gaps.report(now), Some(10));
        assert_eq!(delivered(&mut gaps, 9, 25, 1), 1);
        assert_eq!(gaps.report(now), None, "a moment ago");
        assert_eq!(gaps.report(now + INTERVAL), Some(1));
    }

    #[test]
    fn messages_of_other_members_do_not_count() {
        let mut gaps = gaps(json!({ "consumer_seq": 4, "stream_seq": 10 }), json!({}));
        assert_eq!(delivered(&mut gaps, 7, 13, 1), 0);
        assert_eq!(delivered(&mut gaps, 8, 14, 1), 0);
        assert_eq!(delivered(&mut gaps, 12, 13, 2), 0, "others have those between");
        assert_eq!(delivered(&mut gaps, 13, 18, 1), 0);
        assert_eq!(delivered(&mut gaps, 14, 20, 1), 1);
    }

    #[test]
    fn the_first_message_counts_only_for_a_consumer_that_continues_another() {
        let none = json!({});
        assert_eq!(delivered(&mut gaps(none.clone(), json!({ "deliver_policy": "all" })), 1, 500, 1), 0);
        let config = json!({ "deliver_policy": "by_start_sequence", "opt_start_seq": 100 });
        assert_eq!(delivered(&mut gaps(none, config), 1, 110, 1), 10);
    }

    #[test]
    fn with_a_filter_nothing_counts() {
        for config in [
            json!({ "filter_subject": "a" }),
            json!({ "filter_subjects": ["a", "b"] }),
            json!({ "deliver_policy": "last_per_subject" }),
        ] {
            let mut gaps = gaps(json!({ "consumer_seq": 4, "stream_seq": 10 }), config);
            assert_eq!(delivered(&mut gaps, 5, 50, 1), 0);
        }
    }
}
