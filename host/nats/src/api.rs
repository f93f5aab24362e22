//! Requests to JetStream about consumers.

use std::time::Duration;

use async_nats::jetstream::response::Response;
use async_nats::{RequestErrorKind, Subject};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::connection::Session;
use crate::failure::{Failure, FailureKind};

/// The API of JetStream, in the domain of the options.
#[derive(Clone, Debug)]
pub struct Api {
    prefix: String,
}

/// What a consumer is, and what it has.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ConsumerFacts {
    /// When the consumer was created. A consumer with the same name and another time is another one.
    pub created: String,
    /// Messages that were never delivered.
    #[serde(default)]
    pub num_pending: u64,
    /// Messages that were delivered and are not acknowledged, by all of its clients.
    #[serde(default)]
    pub num_ack_pending: u64,
    /// Up to where all messages are acknowledged.
    #[serde(default)]
    pub ack_floor: Position,
    /// The last message that was delivered.
    #[serde(default)]
    pub delivered: Position,
    /// Its configuration.
    pub config: ConsumerConfig,
}

/// A position of a consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Position {
    /// In the stream.
    #[serde(default)]
    pub stream_seq: u64,
    /// Among the deliveries of the consumer.
    #[serde(default)]
    pub consumer_seq: u64,
}

/// The configuration of a consumer, as far as its clients must know it. Times are in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ConsumerConfig {
    /// Set for a consumer that pushes.
    pub deliver_subject: Option<String>,
    /// `explicit`, `all` or `none`.
    pub ack_policy: String,
    /// How long a message may stay unacknowledged.
    pub ack_wait: u64,
    /// The same for each delivery.
    pub backoff: Vec<u64>,
    /// How often a message is delivered; not positive without a limit.
    pub max_deliver: i64,
    /// Limits of a request for messages; 0 without one.
    pub max_batch: usize,
    /// The same in bytes.
    pub max_bytes: usize,
    /// The same in time.
    pub max_expires: u64,
    /// Where it began: `all`, `by_start_sequence`, …
    pub deliver_policy: String,
    /// The first message, with `by_start_sequence`.
    pub opt_start_seq: u64,
    /// The subject whose messages it delivers, if not all.
    pub filter_subject: String,
    /// The same, for more than one.
    pub filter_subjects: Vec<String>,
}

impl ConsumerFacts {
    /// The shortest time after which the server delivers an unacknowledged message again.
    pub fn ack_wait(&self) -> Duration {
        let shortest = self.config.backoff.iter().copied().chain([self.config.ack_wait]).filter(|wait| *wait > 0).min();
        // The default of the server.
        shortest.map_or(Duration::from_secs(30), Duration::from_nanos)
    }

    /// Whether it delivers every message of the stream after its first one.
    pub fn delivers_all(&self) -> bool {
        let ConsumerConfig { deliver_policy, filter_subject, filter_subjects, .. } = &self.config;
        let is_all = |subject: &str| subject.is_empty() || subject == ">";
        deliver_policy != "last_per_subject"
            && is_all(filter_subject)
            && filter_subjects.iter().all(|subject| is_all(subject))
    }

    /// Why messages cannot be pulled and acknowledged one by one.
    fn unusable(&self) -> Option<String> {
        let ConsumerConfig { deliver_subject, ack_policy, .. } = &self.config;
        if deliver_subject.is_some() {
            return Some("the consumer pushes messages; create a pull consumer, or choose another name".to_owned());
        }
        (ack_policy != "explicit")
            .then(|| format!("the consumer has the acknowledgement policy `{ack_policy}`; create one with `explicit`"))
    }
}

/// What to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pull {
    /// Maximum number of messages.
    pub batch: usize,
    /// Maximum bytes; 0 without a limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_bytes: usize,
    /// How long the server holds the request, in nanoseconds.
    #[serde(skip_serializing_if = "is_zero_u64")]
    pub expires: u64,
    /// Interval of signs of life while there are no messages, in nanoseconds.
    #[serde(skip_serializing_if = "is_zero_u64")]
    pub idle_heartbeat: u64,
    /// Answers at once if there are no messages.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_wait: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero_u64(number: &u64) -> bool {
    *number == 0
}

impl Api {
    /// The API of the account, or of a domain of it.
    pub fn new(domain: Option<&str>) -> Self {
        Self { prefix: domain.map_or_else(|| "$JS.API".to_owned(), |domain| format!("$JS.{domain}.API")) }
    }

    async fn request<T: DeserializeOwned>(
        &self,
        session: &Session,
        subject: &str,
        body: Option<&Value>,
    ) -> Result<Response<T>, Failure> {
        let subject = format!("{}.{subject}", self.prefix);
        let payload = body.map(Value::to_string).unwrap_or_default();
        let answer = match session.client.request(subject, payload.into()).await {
            Ok(answer) => answer,
            Err(error) => {
                // What the server says about it comes on its own, maybe later.
                let said = match error.kind() {
                    RequestErrorKind::TimedOut => session.said(),
                    _ => None,
                };
                return Err(Failure::of_request(&error, said));
            }
        };
        serde_json::from_slice(&answer.payload).map_err(|error| Failure {
            kind: FailureKind::Invalid,
            text: format!("an answer of JetStream cannot be read: {error}"),
        })
    }

    /// The consumer of this name; `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// There is no such stream, no permission or no answer, or the consumer cannot be used by a client that acknowledges each
    /// message.
    pub async fn consumer(
        &self,
        session: &Session,
        stream: &str,
        name: &str,
    ) -> Result<Option<ConsumerFacts>, Failure> {
        match self.request::<ConsumerFacts>(session, &format!("CONSUMER.INFO.{stream}.{name}"), None).await? {
            Response::Ok(facts) => match facts.unusable() {
                Some(why) => Err(Failure { kind: FailureKind::Refused, text: why }),
                None => Ok(Some(facts)),
            },
            Response::Err { error } => match Failure::of_api(&error) {
                Failure { kind: FailureKind::NoConsumer, .. } => Ok(None),
                failure => Err(failure),
            },
        }
    }

    /// When a stream was created. A stream with the same name and another time is another one.
    ///
    /// # Errors
    ///
    /// There is no such stream, no permission or no answer.
    pub async fn stream_created(&self, session: &Session, stream: &str) -> Result<String, Failure> {
        #[derive(Deserialize)]
        struct Facts {
            created: String,
        }
        match self.request::<Facts>(session, &format!("STREAM.INFO.{stream}"), None).await? {
            Response::Ok(Facts { created }) => Ok(created),
            Response::Err { error } => Err(Failure::of_api(&error)),
        }
    }

    /// Creates a consumer with this configuration, unless there is one of this name.
    ///
    /// # Errors
    ///
    /// As for [`consumer`](Self::consumer), or JetStream does not accept the configuration.
    pub async fn create(&self, session: &Session, stream: &str, name: &str, config: &Value) -> Result<(), Failure> {
        let body = json!({ "stream_name": stream, "config": config, "action": "create" });
        match self.request::<Value>(session, &format!("CONSUMER.CREATE.{stream}.{name}"), Some(&body)).await? {
            Response::Err { error } if !Failure::is_exists(&error) => Err(Failure::of_api(&error)),
            _ => Ok(()),
        }
    }

    /// Asks for messages, which are sent to `inbox`.
    ///
    /// # Errors
    ///
    /// The connection has ended.
    pub async fn pull(
        &self,
        session: &Session,
        stream: &str,
        name: &str,
        pull: &Pull,
        inbox: impl Into<Subject>,
    ) -> Result<(), Failure> {
        let subject = format!("{}.CONSUMER.MSG.NEXT.{stream}.{name}", self.prefix);
        let inbox: Subject = inbox.into();
        let body = serde_json::to_vec(pull).unwrap_or_default();
        let sent = session.client.publish_with_reply(subject, inbox, body.into()).await;
        sent.map_err(|_| session.failure())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(config: Value) -> ConsumerFacts {
        serde_json::from_value(json!({ "created": "2026-01-01T00:00:00Z", "num_pending": 3, "config": config }))
            .unwrap()
    }

    #[test]
    fn a_consumer_is_used_only_if_each_message_is_acknowledged() {
        assert_eq!(facts(json!({ "ack_policy": "explicit" })).unusable(), None);
        let push = facts(json!({ "ack_policy": "explicit", "deliver_subject": "x" }));
        assert!(push.unusable().unwrap().contains("pull consumer"));
        for policy in ["all", "none"] {
            assert!(facts(json!({ "ack_policy": policy })).unusable().unwrap().contains(policy));
        }
    }

    #[test]
    fn the_shortest_wait_counts() {
        let seconds = |n: u64| n * 1_000_000_000;
        let wait = |config| facts(config).ack_wait().as_secs();
        assert_eq!(wait(json!({ "ack_wait": seconds(7) })), 7);
        assert_eq!(wait(json!({ "ack_wait": seconds(7), "backoff": [seconds(2), seconds(9)] })), 2);
        assert_eq!(wait(json!({})), 30);
    }

    #[test]
    fn a_request_has_only_what_it_limits() {
        let pull = Pull { batch: 5, max_bytes: 0, expires: 0, idle_heartbeat: 0, no_wait: true };
        assert_eq!(serde_json::to_string(&pull).unwrap(), r#"{"batch":5,"no_wait":true}"#);
        let pull = Pull { batch: 5, max_bytes: 9, expires: 7, idle_heartbeat: 2, no_wait: false };
        assert_eq!(
            serde_json::to_string(&pull).unwrap(),
            r#"{"batch":5,"max_bytes":9,"expires":7,"idle_heartbeat":2}"#
        );
        assert_eq!(Api::new(Some("hub")).prefix, "$JS.hub.API");
    }
}
