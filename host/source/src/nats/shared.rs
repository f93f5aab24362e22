//! What the reader, the sender, the acknowledging tasks and acknowledgements share.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use wattle_batch::Disposition;
use wattle_nats::async_nats::Subject;

use super::events::Part;
use crate::sending::{self, Outgoing, Unacknowledged, pause};

/// How a message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is done.
    Ack,
    /// It is delivered again, to this or another client, after a pause.
    Nak(Duration),
    /// It is never delivered again.
    Term,
}

impl Kind {
    /// What the server gets.
    pub(super) fn payload(self) -> Bytes {
        match self {
            Self::Ack => Bytes::from_static(b"+ACK"),
            Self::Nak(Duration::ZERO) => Bytes::from_static(b"-NAK"),
            Self::Nak(pause) => format!("-NAK {{\"delay\":{}}}", pause.as_nanos()).into(),
            Self::Term => Bytes::from_static(b"+TERM"),
        }
    }
}

/// A message that ended, and that the server does not know about yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) reply: Subject,
    pub(super) kind: Kind,
}

/// A message that is held.
#[derive(Debug)]
struct Held {
    reply: Subject,
    /// When the server got the last report about it.
    touched: Instant,
}

/// What ends with a batch.
#[derive(Debug)]
pub(super) struct About {
    /// Positions of the messages in the stream; empty without JetStream.
    sequences: Vec<u64>,
    /// Most deliveries of a message.
    deliveries: u64,
    cost: usize,
    /// The consumer that its messages belong to.
    generation: u64,
}

#[derive(Default)]
struct State {
    /// Counts the consumers. Messages of an earlier one cannot be acknowledged any more.
    generation: u64,
    /// Messages by their position in the stream.
    held: HashMap<u64, Held>,
    endings: VecDeque<Ending>,
    /// Only those without JetStream are sent again; the server delivers the others again.
    batches: Unacknowledged<About>,
    /// Bytes of all batches that are not acknowledged.
    held_bytes: usize,
    is_stopping: bool,
    /// Events that returned undelivered and are lost.
    lost: u64,
}

/// What a source has read and not acknowledged.
pub(super) struct Shared {
    state: Mutex<State>,
    max_bytes: usize,
    max_messages: usize,
    /// There is something for the sender to do.
    pub(super) to_send: Notify,
    /// A message ended.
    pub(super) to_end: Notify,
    /// There may be room for more, or the last batch has ended.
    pub(super) room: Notify,
}

impl Shared {
    pub(super) fn new(max_bytes: usize, max_messages: usize) -> Self {
        Self {
            state: Mutex::default(),
            max_bytes,
            max_messages,
            to_send: Notify::new(),
            to_end: Notify::new(),
            room: Notify::new(),
        }
    }

    /// Messages and bytes for which there is room.
    pub(super) fn free(&self) -> (usize, usize) {
        let state = self.state.lock();
        (self.max_messages.saturating_sub(state.held.len()), self.max_bytes.saturating_sub(state.held_bytes))
    }

    /// Whether everything that was read has ended, except for what the server does not know yet.
    pub(super) fn is_delivered(&self) -> bool {
        let state = self.state.lock();
        state.batches.is_empty() && state.held.is_empty()
    }

    /// Whether the server knows how everything ended.
    pub(super) fn is_idle(&self) -> bool {
        self.is_delivered() && self.state.lock().endings.is_empty()
    }

    /// Begins with another consumer: what is held of an earlier one is delivered by the new one again, if it has it.
    pub(super) fn renew(&self) {
        let mut state = self.state.lock();
        state.generation += 1;
        state.held.clear();
        state.endings.clear();
        drop(state);
        self.room.notify_one();
    }

    /// Takes a message. `false` if the source holds it already, because the server did not get a report in time: then its first
    /// copy is enough, and ends by the new subject.
    pub(super) fn begin(&self, sequence: u64, reply: &Subject) -> bool {
        let held = Held { reply: reply.clone(), touched: Instant::now() };
        self.state.lock().held.insert(sequence, held).is_none()
    }

    /// Ends a message that has no events.
    pub(super) fn end(&self, sequence: u64, kind: Kind) {
        let mut state = self.state.lock();
        let State { held, endings, .. } = &mut *state;
        endings.extend(held.remove(&sequence).map(|Held { reply, .. }| Ending { reply, kind }));
        drop(state);
        self.to_end.notify_one();
    }

    /// Takes messages: their events wait for the sender.
    pub(super) fn take(&self, part: Part) {
        let mut state = self.state.lock();
        let Part { batch, sequences, deliveries, cost } = part;
        state.held_bytes += cost;
        let about = About { sequences, deliveries, cost, generation: state.generation };
        if state.is_stopping && !about.sequences.is_empty() {
            state.give_back(&about);
        } else {
            state.batches.push(batch, about);
        }
        drop(state);
        self.to_send.notify_one();
        self.to_end.notify_one();
    }

    /// The source stops: what was not sent is given back at once.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.is_stopping, true) {
            return;
        }
        // Without JetStream, the queue still takes them.
        for outgoing in state.batches.take_unsent(|outgoing| !outgoing.about.sequences.is_empty()) {
            state.give_back(&outgoing.about);
        }
        for outgoing in state.batches.take_returned() {
            state.lost += outgoing.batch.rows() as u64;
            state.held_bytes = state.held_bytes.saturating_sub(outgoing.about.cost);
        }
        drop(state);
        self.to_end.notify_one();
        self.to_send.notify_one();
    }

    /// Number of events that are lost since the last call.
    pub(super) fn take_lost(&self) -> u64 {
        std::mem::take(&mut self.state.lock().lost)
    }

    /// The next messages that ended, at most `most`, with the number of their consumer. They stay until
    /// [`confirmed`](Self::confirmed).
    pub(super) fn endings(&self, most: usize) -> (u64, Vec<Ending>) {
        let state = self.state.lock();
        (state.generation, state.endings.iter().take(most).cloned().collect())
    }

    /// The server knows about the next so many messages that ended.
    pub(super) fn confirmed(&self, generation: u64, count: usize) {
        let mut state = self.state.lock();
        if state.generation == generation {
            let count = count.min(state.endings.len());
            state.endings.drain(..count);
        }
        drop(state);
        self.room.notify_one();
    }

    /// The messages without a report to the server for this long. They count as reported now.
    pub(super) fn silent(&self, period: Duration) -> Vec<Subject> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let silent = state.held.values_mut().filter(|held| now.duration_since(held.touched) >= period);
        let touch = |held: &mut Held| {
            held.touched = now;
            held.reply.clone()
        };
        silent.map(touch).collect()
    }

    /// What the server does not know yet, and all messages that are held, which are given back: for a source that ends before
    /// they do.
    pub(super) fn abandon(&self) -> Vec<Ending> {
        let mut state = self.state.lock();
        // What ends from here on changes nothing any more.
        state.generation += 1;
        let State { held, endings, .. } = &mut *state;
        let back = held.drain().map(|(_, Held { reply, .. })| Ending { reply, kind: Kind::Nak(Duration::ZERO) });
        endings.drain(..).chain(back).collect()
    }
}

impl sending::Shared for Shared {
    type About = About;

    fn next(&self) -> Result<Outgoing<About>, Option<Instant>> {
        self.state.lock().batches.next()
    }

    fn ended(&self, outgoing: Outgoing<About>, disposition: Disposition) {
        let mut state = self.state.lock();
        state.batches.end();
        let about = &outgoing.about;
        let is_returned = disposition == Disposition::Retry;
        if !is_returned {
            // Rejected events were counted where they were rejected; reading them again cannot help.
            state.end_all(about, Kind::Ack);
        } else if !about.sequences.is_empty() {
            state.give_back(about);
        } else if state.is_stopping {
            state.lost += outgoing.batch.rows() as u64;
            state.held_bytes = state.held_bytes.saturating_sub(about.cost);
        } else {
            state.batches.send_again(outgoing);
        }
        drop(state);
        self.to_send.notify_one();
        self.to_end.notify_one();
        self.room.notify_one();
    }

    fn changed(&self) -> &Notify {
        &self.to_send
    }
}

impl State {
    /// Ends the messages of a batch.
    fn end_all(&mut self, about: &About, kind: Kind) {
        self.held_bytes = self.held_bytes.saturating_sub(about.cost);
        if about.generation != self.generation {
            return;
        }
        for sequence in &about.sequences {
            self.endings.extend(self.held.remove(sequence).map(|Held { reply, .. }| Ending { reply, kind }));
        }
    }

    /// Gives the messages of a batch back to the server.
    fn give_back(&mut self, about: &About) {
        let pause = if self.is_stopping { Duration::ZERO } else { pause(about.deliveries) };
        self.end_all(about, Kind::Nak(pause));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use wattle_batch::{Ack, Batch, Column, Origin};

    fn part(sequences: &[u64], deliveries: u64) -> Part {
        let origin = Arc::new(Origin { source: "in".into(), resource: "{}".into(), observed: 0 });
        let batch = Batch::new(Column::from_rows(["x"]).unwrap(), origin, Ack::none());
        Part { batch, sequences: sequences.to_vec(), deliveries, cost: 100 }
    }

    fn subject(text: &str) -> Subject {
        Subject::from(text.to_owned())
    }

    fn shared(sequences: &[u64]) -> Arc<Shared> {
        let shared = Arc::new(Shared::new(1000, 10));
        for sequence in sequences {
            assert!(shared.begin(*sequence, &subject(&format!("r{sequence}"))));
        }
        shared
    }

    fn send(shared: &Arc<Shared>) -> Batch {
        sending::with_ack(shared, sending::Shared::next(&**shared).unwrap())
    }

    fn endings(shared: &Shared) -> Vec<(String, Kind)> {
        let (generation, endings) = shared.endings(100);
        shared.confirmed(generation, endings.len());
        endings.into_iter().map(|ending| (ending.reply.to_string(), ending.kind)).collect()
    }

    #[test]
    fn messages_end_as_their_batch_does() {
        let shared = shared(&[1, 2, 3, 4]);
        shared.take(part(&[1, 2], 1));
        shared.take(part(&[3], 3));
        assert_eq!(shared.free(), (6, 800));
        let (first, second) = (send(&shared), send(&shared));
        assert_eq!(endings(&shared), []);
        drop(second);
        assert_eq!(endings(&shared), [("r3".to_owned(), Kind::Nak(Duration::from_secs(2)))]);
        first.into_ack().reject(1);
        assert_eq!(endings(&shared), [("r1".to_owned(), Kind::Ack), ("r2".to_owned(), Kind::Ack)]);
        shared.end(4, Kind::Term);
        assert_eq!(endings(&shared), [("r4".to_owned(), Kind::Term)]);
        assert!(shared.is_idle());
        assert_eq!(shared.free(), (10, 1000));
    }

    #[test]
    fn a_message_that_comes_again_while_it_is_held_ends_once_by_its_new_subject() {
        let shared = shared(&[1]);
        shared.take(part(&[1], 1));
        let batch = send(&shared);
        assert!(!shared.begin(1, &subject("again")));
        batch.into_ack().deliver();
        assert_eq!(endings(&shared), [("again".to_owned(), Kind::Ack)]);
        assert!(shared.begin(1, &subject("later")), "it is not held any more");
    }

    #[test]
    fn messages_of_another_consumer_are_not_ended() {
        let shared = shared(&[1]);
        shared.take(part(&[1], 1));
        let batch = send(&shared);
        shared.renew();
        assert!(shared.begin(1, &subject("new")));
        batch.into_ack().deliver();
        assert_eq!(endings(&shared), []);
        assert_eq!(shared.free(), (9, 1000), "its bytes are free, and the new message is held");
    }

    #[test]
    fn a_stop_gives_back_at_once_what_was_not_sent() {
        let shared = shared(&[1, 2, 3]);
        shared.take(part(&[1], 1));
        shared.take(part(&[2], 5));
        let first = send(&shared);
        shared.stop();
        assert_eq!(endings(&shared), [("r2".to_owned(), Kind::Nak(Duration::ZERO))]);
        drop(first);
        assert_eq!(endings(&shared), [("r1".to_owned(), Kind::Nak(Duration::ZERO))]);
        shared.take(part(&[3], 1));
        assert_eq!(endings(&shared), [("r3".to_owned(), Kind::Nak(Duration::ZERO))]);
        assert!(shared.is_idle());
    }

    #[tokio::test]
    async fn without_jetstream_batches_that_return_are_sent_again_in_their_order() {
        let shared = shared(&[]);
        shared.take(part(&[], 0));
        shared.take(part(&[], 0));
        let (first, second) = (send(&shared), send(&shared));
        drop(second);
        drop(first);
        assert_eq!(shared.free().1, 800);
        assert!(matches!(sending::Shared::next(&*shared), Err(Some(_))));
        tokio::time::sleep(sending::FIRST_PAUSE).await;
        let (first, second) = (sending::Shared::next(&*shared).unwrap(), sending::Shared::next(&*shared).unwrap());
        assert_eq!((first.number, second.number), (1, 2));
        let first = sending::with_ack(&shared, first);
        assert!(first.is_redelivered());
        first.into_ack().deliver();
        shared.stop();
        drop(sending::with_ack(&shared, second));
        assert_eq!((shared.take_lost(), shared.free().1), (1, 1000));
    }

    #[tokio::test]
    async fn messages_that_are_held_are_reported_to_the_server() {
        let shared = shared(&[1]);
        let period = Duration::from_millis(200);
        assert!(shared.silent(period).is_empty());
        tokio::time::sleep(period).await;
        assert_eq!(shared.silent(period), [subject("r1")]);
        assert!(shared.silent(period).is_empty());
    }

    #[test]
    fn what_ended_stays_until_the_server_confirms_it() {
        let shared = shared(&[1, 2, 3]);
        [1, 2].into_iter().for_each(|sequence| shared.end(sequence, Kind::Ack));
        let (generation, first) = shared.endings(1);
        assert_eq!(first.len(), 1);
        assert_eq!(shared.endings(9).1.len(), 2);
        shared.confirmed(generation, 1);
        assert_eq!(shared.endings(9).1[0].reply.as_str(), "r2");
        let left = shared.abandon();
        let kinds: Vec<Kind> = left.iter().map(|ending| ending.kind).collect();
        assert_eq!(kinds, [Kind::Ack, Kind::Nak(Duration::ZERO)]);
        assert!(shared.is_idle());
    }

    #[test]
    fn payloads_of_acknowledgements() {
        assert_eq!(Kind::Nak(Duration::from_secs(1)).payload(), r#"-NAK {"delay":1000000000}"#);
        assert_eq!(Kind::Nak(Duration::ZERO).payload(), "-NAK");
    }
}
