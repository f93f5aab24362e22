//! Reports to the server how messages ended, and that others are in work.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use wattle_nats::async_nats::RequestErrorKind;
use wattle_nats::{Failure, FailureKind, Session};

use super::reports::{Action, Reports};
use super::shared::{Ending, Shared};
use crate::source::SourceContext;

/// Most messages that are ended together. The server confirms the last one.
const MAX_GROUP: usize = 1024;

/// Time for giving messages back after the source was dropped.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// Ends messages as long as the connection lasts. The server takes them in order, so its answer to the last one of a group
/// confirms all. Without it, they stay, and are sent over the next connection.
pub(super) async fn end(session: &Session, context: &SourceContext, shared: &Shared, reports: &Reports) -> Infallible {
    loop {
        let (generation, group) = shared.endings(MAX_GROUP);
        if group.is_empty() {
            shared.to_end.notified().await;
            continue;
        }
        match send(session, &group).await {
            Ok(()) => {
                reports.worked(context, Action::Acknowledge);
                shared.confirmed(generation, group.len());
            }
            Err(failure) => {
                reports.failed(context, Action::Acknowledge, &failure);
                // The loss of the connection is seen elsewhere, too, maybe a moment later.
                if session.is_lost() || failure.kind == FailureKind::Connection {
                    std::future::pending::<()>().await;
                }
                // The connection works: the server has got them, or must not. What it has not got, it delivers again.
                shared.confirmed(generation, group.len());
            }
        }
    }
}

/// Sends a group, and waits for the confirmation of its last one.
async fn send(session: &Session, group: &[Ending]) -> Result<(), Failure> {
    let Some((last, others)) = group.split_last() else { return Ok(()) };
    for Ending { reply, kind } in others {
        let sent = session.client.publish(reply.clone(), kind.payload()).await;
        sent.map_err(|_| session.failure())?;
    }
    match session.client.request(last.reply.clone(), last.kind.payload()).await {
        Ok(_) => Ok(()),
        // The consumer was deleted, and with it what it waits for.
        Err(error) if error.kind() == RequestErrorKind::NoResponders => Ok(()),
        Err(error) => Err(Failure::of_request(&error, session.said())),
    }
}

/// Reports messages that are held to the server, long before it would deliver them again.
pub(super) async fn keep(session: &Session, shared: &Shared, ack_wait: Duration) -> Infallible {
    let period = ack_wait / 4;
    loop {
        tokio::time::sleep(period / 2).await;
        for reply in shared.silent(period) {
            // Without a connection, the next one reports it.
            let _ = session.client.publish(reply, "+WPI".into()).await;
        }
    }
}

/// Gives back what is still held when the source is dropped, as far as the time allows: the drain ran out of time.
pub(super) struct Abandon {
    pub(super) source: Arc<str>,
    pub(super) shared: Arc<Shared>,
    pub(super) session: Mutex<Option<Arc<Session>>>,
}

impl Drop for Abandon {
    fn drop(&mut self) {
        let endings = self.shared.abandon();
        let (Ok(runtime), Some(session)) = (tokio::runtime::Handle::try_current(), self.session.lock().take()) else {
            return;
        };
        if endings.is_empty() || session.is_lost() {
            return;
        }
        tracing::warn!(
            source = %self.source, messages = endings.len(),
            "the source ends before its messages are finished; giving them back to the server"
        );
        runtime.spawn(tokio::time::timeout(LAST_MOMENT, async move {
            // Without it, they are delivered again after `ack_wait`.
            let _ = send(&session, &endings).await;
        }));
    }
}
