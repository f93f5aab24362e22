//! Objects as CloudTrail delivers them, and their notifications.

use serde_json::{Value, json};
use wattle_generator::{Generator, Options};
use wattle_store::Store;

use super::SOURCE;
use super::model::Model;
use crate::load::{gzip, records};

/// Largest number of events of an object.
const MAX_RECORDS: usize = 600;

/// Share of the objects that are announced twice.
const ANNOUNCED_TWICE: f64 = 0.03;

/// Generated objects, the same for the same seed.
pub(super) struct Objects {
    generator: Generator,
    random: fastrand::Rng,
}

impl Objects {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            generator: Generator::new(Options { seed, ..Options::default() }),
            random: fastrand::Rng::with_seed(seed.wrapping_add(1)),
        }
    }

    /// Puts objects into the store and announces them, out of order and some of them twice.
    pub(super) fn add(&mut self, count: usize, store: &Store, model: &mut Model) {
        let mut notifications = Vec::new();
        for _ in 0..count {
            let size = self.generator.document_size().min(MAX_RECORDS);
            let mut document = Vec::new();
            self.generator.next_document(size, &mut document);
            let key = self.generator.next_key("", None);
            let (mut lines, mut ids) = (String::new(), Vec::new());
            for (line, known) in records(&document) {
                lines += &line;
                ids.push(known.id);
            }
            // Half of the objects are lines, of which a source makes several batches.
            let body = if self.random.bool() { document } else { lines.into_bytes() };
            let object = model.add_object(ids);
            store.put(SOURCE, &key, gzip(&body));
            for _ in 0..=usize::from(self.random.f64() < ANNOUNCED_TWICE) {
                notifications.push((object, self.notification(&key)));
            }
        }
        self.random.shuffle(&mut notifications);
        for (object, notification) in notifications {
            // Before the message is sent, because an agent may be faster than this.
            model.add_message(object);
            store.send(notification.to_string());
        }
    }

    /// One of the forms in which notifications reach a queue.
    fn notification(&mut self, key: &str) -> Value {
        let record = json!({ "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1",
            "eventTime": "2026-01-31T00:00:00.000Z", "eventName": "ObjectCreated:Put",
            "s3": { "bucket": { "name": SOURCE }, "object": { "key": key, "size": 1 } } });
        let event = json!({ "Records": [record] });
        match self.random.u8(..3) {
            0 => event,
            1 => json!({ "Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:us-east-1:1:t",
                "Timestamp": "2026-01-31T00:00:00.000Z", "Message": event.to_string() }),
            _ => {
                json!({ "version": "0", "id": "e", "detail-type": "Object Created", "source": "aws.s3", "account": "1",
                "time": "2026-01-31T00:00:00Z", "region": "us-east-1", "resources": [],
                "detail": { "version": "0", "bucket": { "name": SOURCE }, "object": { "key": key, "size": 1 },
                    "reason": "PutObject" } })
            }
        }
    }
}
