//! Requests for messages: how much is asked for, and what the server says about a request.

use std::time::Duration;

use wattle_nats::{ConsumerFacts, Failure, FailureKind, Pull};

/// Most messages of one request. The client holds them until they are read.
const MAX_BATCH: usize = 1000;

/// How long the server holds a request while there are no messages.
const EXPIRES: Duration = Duration::from_secs(30);

/// Interval of signs of life of the server meanwhile.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// What the client must be able to hold: the messages of a request, and what the server says about it.
pub(super) const CAPACITY: usize = MAX_BATCH + 64;

/// The request that is open, and the sizes of the next one.
#[derive(Debug)]
pub(super) struct Pulls {
    max_messages: usize,
    max_bytes: usize,
    /// Limits of the consumer.
    most: usize,
    most_bytes: usize,
    expires: Duration,
    number: u64,
    open: Option<Open>,
    /// Bytes that the next message has at least, because it did not fit into the last request.
    need: usize,
}

#[derive(Debug)]
struct Open {
    left: usize,
    got: usize,
    max_bytes: usize,
}

/// What the server said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The request stays open, or it was an earlier one.
    Nothing,
    /// The request is over.
    Over,
    /// There are no messages.
    Empty,
    /// The next requests would not work either.
    Failed(Failure),
}

impl Pulls {
    pub(super) fn new(max_messages: usize, max_bytes: usize, facts: &ConsumerFacts) -> Self {
        let or_most = |limit: usize| if limit == 0 { usize::MAX } else { limit };
        let max_expires = Duration::from_nanos(facts.config.max_expires);
        Self {
            max_messages,
            max_bytes,
            most: or_most(facts.config.max_batch).min(MAX_BATCH),
            most_bytes: or_most(facts.config.max_bytes),
            expires: if max_expires.is_zero() { EXPIRES } else { EXPIRES.min(max_expires) },
            number: 0,
            open: None,
            need: 0,
        }
    }

    /// Whether a request is open.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// How long the server may be silent.
    pub(super) fn patience(&self) -> Duration {
        // The server sends the last word at the end of the request at the latest.
        3 * self.heartbeat().max(Duration::from_secs(1))
    }

    fn heartbeat(&self) -> Duration {
        HEARTBEAT.min(self.expires / 3)
    }

    /// Opens a request if none is open and there is room for so many messages and bytes; its number is the last token of its
    /// subject. `is_empty` is whether nothing waits for delivery: then a message is asked for that is larger than all room.
    pub(super) fn next(
        &mut self,
        (messages, bytes): (usize, usize),
        is_empty: bool,
        no_wait: bool,
    ) -> Option<(u64, Pull)> {
        // Small requests would cost more than they bring.
        let has_room = messages >= self.max_messages.div_ceil(4) && bytes >= self.max_bytes / 4;
        if self.open.is_some() || messages == 0 || !(is_empty || (has_room && bytes >= self.need)) {
            return None;
        }
        let is_large = is_empty && self.need > self.max_bytes;
        let (batch, max_bytes) = match is_large {
            true if self.most_bytes == usize::MAX => (1, 0),
            true => (1, self.most_bytes),
            false => (messages.min(self.most), bytes.min(self.most_bytes).max(1)),
        };
        self.number += 1;
        self.open = Some(Open { left: batch, got: 0, max_bytes });
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let (expires, idle_heartbeat) =
            if no_wait { (0, 0) } else { (nanoseconds(self.expires), nanoseconds(self.heartbeat())) };
        Some((self.number, Pull { batch, max_bytes, expires, idle_heartbeat, no_wait }))
    }

    /// A message came.
    pub(super) fn message(&mut self) {
        let Some(open) = &mut self.open else { return };
        open.left -= 1;
        open.got += 1;
        self.need = 0;
        if open.left == 0 {
            self.open = None;
        }
    }

    /// The server said something about the request of this number.
    pub(super) fn said(&mut self, number: u64, status: u16, description: &str) -> Said {
        if number != self.number || self.open.is_none() || status == 100 {
            return Said::Nothing;
        }
        let Some(open) = self.open.take() else { return Said::Nothing };
        let failed = |kind, text: String| Said::Failed(Failure { kind, text });
        let lower = description.to_lowercase();
        match status {
            404 => Said::Empty,
            408 => Said::Over,
            409 if lower.contains("exceeds maxbytes") => {
                if open.got == 0 {
                    // With all room there is, and not enough: the next request is for this one message.
                    let is_all = open.max_bytes >= self.max_bytes;
                    self.need = if is_all {
                        self.max_bytes.saturating_add(1)
                    } else {
                        self.max_bytes.min(open.max_bytes.saturating_mul(2))
                    };
                }
                Said::Over
            }
            409 if lower.contains("batch completed") => Said::Over,
            409 if lower.contains("consumer deleted") => {
                failed(FailureKind::NoConsumer, "the consumer was deleted".to_owned())
            }
            // Nothing subscribes to requests for its messages.
            503 => failed(FailureKind::NoConsumer, "no server has the consumer now".to_owned()),
            409 if lower.contains("exceeded maxrequest") || lower.contains("push") => {
                failed(FailureKind::Refused, format!("the server refused the request for messages: {description}"))
            }
            _ => failed(
                FailureKind::Unavailable,
                format!("the server ended the request for messages: {description} ({status})"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(config: serde_json::Value) -> ConsumerFacts {
        serde_json::from_value(serde_json::json!({ "created": "", "config": config })).unwrap()
    }

    fn pulls(messages: usize, bytes: usize) -> Pulls {
        Pulls::new(messages, bytes, &facts(serde_json::json!({})))
    }

    #[test]
    fn one_request_asks_for_what_fits() {
        let mut pulls = pulls(100, 1000);
        let (number, pull) = pulls.next((100, 1000), true, false).unwrap();
        assert_eq!((number, pull.batch, pull.max_bytes, pull.no_wait), (1, 100, 1000, false));
        assert!(pull.idle_heartbeat * 2 < pull.expires);
        assert_eq!(pulls.next((100, 1000), true, false), None, "one is open");
        (0..100).for_each(|_| pulls.message());
        assert!(!pulls.is_open());
        assert_eq!(pulls.next((0, 0), false, false), None);
        assert_eq!(pulls.next((24, 1000), false, false), None, "too few");
        assert_eq!(pulls.next((100, 249), false, false), None, "too few");
        assert_eq!(
            pulls.next((25, 250), false, true).unwrap().1,
            Pull { batch: 25, max_bytes: 250, expires: 0, idle_heartbeat: 0, no_wait: true }
        );
    }

    #[test]
    fn the_limits_of_the_consumer_are_kept() {
        let config = serde_json::json!({ "max_batch": 7, "max_bytes": 50, "max_expires": 3_000_000_000_u64 });
        let mut pulls = Pulls::new(100, 1000, &facts(config));
        let pull = pulls.next((100, 1000), true, false).unwrap().1;
        assert_eq!((pull.batch, pull.max_bytes, pull.expires), (7, 50, 3_000_000_000));
        assert!(pull.idle_heartbeat * 2 < pull.expires);
    }

    #[test]
    fn a_message_that_does_not_fit_waits_for_room_and_then_comes_alone() {
        let mut pulls = pulls(100, 1000);
        assert_eq!(pulls.next((50, 300), false, false).unwrap().1.max_bytes, 300);
        assert_eq!(pulls.said(1, 409, "Message Size Exceeds MaxBytes"), Said::Over);
        assert_eq!(pulls.next((50, 599), false, false), None);
        assert_eq!(pulls.next((50, 1000), false, false).unwrap().1.max_bytes, 1000);
        assert_eq!(pulls.said(2, 409, "Message Size Exceeds MaxBytes"), Said::Over);
        assert_eq!(pulls.next((50, 1000), false, false), None, "something else is still held");
        let pull = pulls.next((100, 1000), true, false).unwrap().1;
        assert_eq!((pull.batch, pull.max_bytes), (1, 0));
        pulls.message();
        assert_eq!(pulls.next((100, 1000), true, false).unwrap().1.max_bytes, 1000);
    }

    #[test]
    fn what_the_server_says_ends_the_request_that_it_is_about() {
        let mut pulls = pulls(10, 100);
        let said = |pulls: &mut Pulls, status, description| {
            let number = pulls.next((10, 100), true, false).unwrap().0;
            assert_eq!(pulls.said(number - 1, 408, ""), Said::Nothing, "an earlier one");
            assert_eq!(pulls.said(number, 100, "Idle Heartbeat"), Said::Nothing);
            assert!(pulls.is_open());
            let said = pulls.said(number, status, description);
            assert!(!pulls.is_open());
            said
        };
        assert_eq!(said(&mut pulls, 404, "No Messages"), Said::Empty);
        assert_eq!(said(&mut pulls, 408, "Request Timeout"), Said::Over);
        for (status, description, kind) in [
            (409, "Consumer Deleted", FailureKind::NoConsumer),
            (503, "", FailureKind::NoConsumer),
            (409, "Exceeded MaxRequestBatch of 1", FailureKind::Refused),
            (409, "Leadership Change", FailureKind::Unavailable),
            (409, "Server Shutdown", FailureKind::Unavailable),
        ] {
            assert!(matches!(said(&mut pulls, status, description), Said::Failed(failure) if failure.kind == kind));
        }
    }
}
