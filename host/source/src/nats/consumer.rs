//! Finds or creates the consumer, and measures what it has.

use std::time::Duration;

use serde_json::Value;
use wattle_nats::{ConsumerFacts, Failure, FailureKind, Session};

use super::options::JetStream;
use super::shared::Shared;
use crate::source::SourceContext;

/// Interval at which the lag is measured.
const MEASURE: Duration = Duration::from_secs(5);

/// How long to wait for the time when the stream was created.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is known about the consumer that was used last.
#[derive(Clone, Debug)]
pub(super) struct Known {
    created: String,
    /// When the stream was created, if the user may know.
    stream_created: Option<String>,
    /// Up to where all messages are acknowledged.
    pub(super) floor: u64,
}

/// Finds the consumer, or creates it.
///
/// If it is another one than before, what is held of the earlier one is forgotten. If the earlier one was deleted while the
/// source read it, the new one begins where that was, as long as the stream is the same.
///
/// # Errors
///
/// There is no stream, no permission or no answer, or the consumer cannot be used.
pub(super) async fn find(
    session: &Session,
    stream: &JetStream,
    context: &SourceContext,
    shared: &Shared,
    known: &mut Option<Known>,
) -> Result<ConsumerFacts, Failure> {
    let JetStream { api, stream: name, consumer, config } = stream;
    let mut stream_created = None;
    let facts = match api.consumer(session, name, consumer).await? {
        Some(facts) => facts,
        None => {
            stream_created = created(session, stream).await;
            let config = continued(config, known.as_ref(), stream_created.as_ref());
            api.create(session, name, consumer, &config).await?;
            let made = api.consumer(session, name, consumer).await?;
            tracing::info!(source = %context.name, stream = name, consumer, "created the consumer");
            made.ok_or_else(|| Failure {
                kind: FailureKind::NoConsumer,
                text: "the consumer was deleted at once".to_owned(),
            })?
        }
    };
    if known.as_ref().is_none_or(|known| known.created != facts.created) {
        if known.is_some() {
            shared.renew();
        }
        if stream_created.is_none() {
            stream_created = created(session, stream).await;
        }
        *known = Some(Known { created: facts.created.clone(), stream_created, floor: facts.ack_floor.stream_seq });
    }
    Ok(facts)
}

/// When the stream was created. Users without the permission to know it get no answer.
async fn created(session: &Session, stream: &JetStream) -> Option<String> {
    let created = tokio::time::timeout(PATIENCE, stream.api.stream_created(session, &stream.stream)).await;
    let created = created.ok().and_then(Result::ok);
    if created.is_none() {
        // It explains nothing else.
        session.take_said();
    }
    created
}

/// The configuration of a consumer that continues where the known one was deleted.
fn continued(config: &Value, known: Option<&Known>, stream_created: Option<&String>) -> Value {
    let mut config = config.clone();
    let is_same =
        known.is_some_and(|known| known.stream_created.is_some() && known.stream_created.as_ref() == stream_created);
    if let (Some(known), Some(object), true) = (known, config.as_object_mut(), is_same) {
        object.insert("deliver_policy".to_owned(), "by_start_sequence".into());
        object.insert("opt_start_seq".to_owned(), known.floor.saturating_add(1).into());
    }
    config
}

/// Measures the lag as long as the consumer exists.
pub(super) async fn measure(
    session: &Session,
    stream: &JetStream,
    context: &SourceContext,
    known: &mut Option<Known>,
) -> Failure {
    let JetStream { api, stream: name, consumer, .. } = stream;
    let label = format!("{name}/{consumer}");
    loop {
        match api.consumer(session, name, consumer).await {
            Ok(Some(facts)) => {
                context.stats.lag.set(vec![(label.clone(), facts.num_pending + facts.num_ack_pending)]);
                match known {
                    Some(known) if known.created == facts.created => known.floor = facts.ack_floor.stream_seq,
                    _ => return gone(),
                }
            }
            Ok(None) => return gone(),
            // Reading says what is wrong.
            Err(failure) => tracing::debug!(source = %context.name, error = %failure, "cannot measure the lag"),
        }
        tokio::time::sleep(MEASURE).await;
    }
}

fn gone() -> Failure {
    Failure { kind: FailureKind::NoConsumer, text: "the consumer was deleted".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_consumer_continues_only_in_the_same_stream() {
        let config = json!({ "deliver_policy": "all" });
        let known = |stream_created: Option<&str>| {
            Some(Known { created: "c".into(), stream_created: stream_created.map(Into::into), floor: 7 })
        };
        let same = "a".to_owned();
        let continued = |known: Option<Known>, now| continued(&config, known.as_ref(), now);
        assert_eq!(
            continued(known(Some("a")), Some(&same)),
            json!({ "deliver_policy": "by_start_sequence", "opt_start_seq": 8 })
        );
        for (known, now) in
            [(None, Some(&same)), (known(Some("b")), Some(&same)), (known(Some("a")), None), (known(None), None)]
        {
            assert_eq!(continued(known, now), config);
        }
    }
}
