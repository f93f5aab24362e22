//! S3 and SQS in memory, behind the server that injects faults into the clients of `wattle-aws`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::double::{Double, Reply, Seen, ok, s3_error};

pub(super) const BUCKET: &str = "logs";

/// What a queue knows about a message.
#[derive(Clone, Debug)]
pub(super) struct Queued {
    pub(super) body: String,
    pub(super) visible_at: Instant,
    pub(super) deliveries: u64,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) objects: BTreeMap<String, (Vec<u8>, String)>,
    /// The metadata `signature` of objects.
    pub(super) signatures: HashMap<String, String>,
    /// What `ListPublicKeys` responds; without it, the permission is missing.
    pub(super) public_keys: Option<String>,
    /// Keys that the server refuses to read.
    pub(super) denied: HashSet<String>,
    /// Keys whose next response is something else.
    pub(super) faults: HashMap<String, Reply>,
    /// The response to all requests for messages, if it is another one.
    pub(super) outage: Option<Reply>,
    /// Number of requests for messages.
    pub(super) receives: usize,
    /// Keys that have another response each time.
    pub(super) broken: HashMap<String, Reply>,
    pub(super) messages: BTreeMap<String, Queued>,
    /// Keys of all requests for objects, with their ranges.
    pub(super) reads: Vec<(String, Option<String>)>,
    /// Messages and the time for which they were hidden by a change of their visibility.
    pub(super) changes: Vec<(String, u64)>,
    pub(super) deleted: Vec<String>,
    /// Most messages that were hidden at the same time.
    pub(super) most_hidden: usize,
}

/// The server.
pub(super) struct Fake {
    pub(super) address: String,
    pub(super) state: Arc<Mutex<State>>,
    _double: Double,
}

impl Fake {
    pub(super) async fn start() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = state.clone();
        let double = Double::answering(move |seen| {
            let mut state = shared.lock();
            let target = seen.header("x-amz-target");
            match target.and_then(|target| target.strip_prefix("AmazonSQS.")) {
                Some(operation) => state.queue(operation, &serde_json::from_str(&seen.body).unwrap()),
                None if target.is_some_and(|target| target.ends_with(".CloudTrail_20131101.ListPublicKeys")) => {
                    let denied = Reply::Full(400, Vec::new(), b"{\"__type\":\"AccessDeniedException\"}".to_vec());
                    state.public_keys.clone().map_or(denied, ok)
                }
                None => state.storage(seen),
            }
        })
        .await;
        Self { address: double.address.clone(), state, _double: double }
    }

    /// The options of a source that reads the queue.
    pub(super) fn options(&self, more: Value) -> Value {
        let mut options = self.storage_options(more);
        options["queue_url"] = format!("{}/1/events", self.address).into();
        options
    }

    /// The same without the queue.
    pub(super) fn storage_options(&self, more: Value) -> Value {
        let mut options = json!({ "region": "eu-west-1", "endpoint": self.address, "framing": "lines",
            "auth": { "access_key_id": "AKIDEXAMPLE", "secret_access_key": "secret" } });
        for (name, value) in more.as_object().unwrap() {
            options[name] = value.clone();
        }
        options
    }

    pub(super) fn put(&self, key: &str, body: impl Into<Vec<u8>>) {
        self.put_at(key, body, "2026-01-31T00:00:00.000Z");
    }

    pub(super) fn put_at(&self, key: &str, body: impl Into<Vec<u8>>, modified: &str) {
        self.state.lock().objects.insert(key.to_owned(), (body.into(), modified.to_owned()));
    }

    pub(super) fn send(&self, id: &str, body: impl ToString) {
        let queued = Queued { body: body.to_string(), visible_at: Instant::now(), deliveries: 0 };
        self.state.lock().messages.insert(id.to_owned(), queued);
    }

    /// Makes a hidden message visible, as SQS does when its time ends.
    pub(super) fn expire(&self, id: &str) {
        self.state.lock().messages.get_mut(id).unwrap().visible_at = Instant::now();
    }

    pub(super) fn reads_of(&self, key: &str) -> usize {
        self.state.lock().reads.iter().filter(|(read, _)| read == key).count()
    }

    pub(super) fn is_deleted(&self, id: &str) -> bool {
        self.state.lock().deleted.iter().any(|deleted| deleted == id)
    }

    /// The times for which a message was hidden by changes.
    pub(super) fn changes_of(&self, id: &str) -> Vec<u64> {
        self.state.lock().changes.iter().filter(|(changed, _)| changed == id).map(|(_, seconds)| *seconds).collect()
    }
}

/// The notification of objects.
pub(super) fn announce(keys: &[&str]) -> Value {
    let record = |key: &&str| {
        json!({ "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1",
            "eventTime": "2026-01-31T00:00:00.000Z", "eventName": "ObjectCreated:Put",
            "s3": { "bucket": { "name": BUCKET }, "object": { "key": key, "size": 1 } } })
    };
    json!({ "Records": keys.iter().map(record).collect::<Vec<_>>() })
}

impl State {
    fn queue(&mut self, operation: &str, request: &Value) -> Reply {
        let now = Instant::now();
        let entries = request["Entries"].as_array().cloned().unwrap_or_default();
        // A receipt is the id and the number of the delivery; only that of the last delivery is valid.
        let find = |state: &Self, entry: &Value| {
            let (id, number) = entry["ReceiptHandle"].as_str()?.split_once('#')?;
            let queued = state.messages.get(id)?;
            (queued.deliveries.to_string() == number).then(|| id.to_owned())
        };
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        match operation {
            "ReceiveMessage" => {
                self.receives += 1;
                if let Some(reply) = &self.outage {
                    return reply.clone();
                }
                let hidden = Duration::from_secs(request["VisibilityTimeout"].as_u64().unwrap());
                let most = request["MaxNumberOfMessages"].as_u64().unwrap() as usize;
                let mut found = Vec::new();
                for (id, queued) in self.messages.iter_mut().filter(|(_, queued)| queued.visible_at <= now).take(most) {
                    queued.visible_at = now + hidden;
                    queued.deliveries += 1;
                    found.push(json!({ "MessageId": id, "ReceiptHandle": format!("{id}#{}", queued.deliveries),
                        "Body": queued.body, "Attributes": { "SentTimestamp": "1769817600000",
                        "ApproximateReceiveCount": queued.deliveries.to_string() } }));
                }
                let count = self.messages.values().filter(|queued| queued.visible_at > now).count();
                self.most_hidden = self.most_hidden.max(count);
                return ok(json!({ "Messages": found }).to_string());
            }
            "DeleteMessageBatch" => {
                for entry in entries {
                    match find(self, &entry) {
                        Some(id) => {
                            self.messages.remove(&id);
                            self.deleted.push(id);
                            done.push(json!({ "Id": entry["Id"] }));
                        }
                        None => failed.push(json!({ "Id": entry["Id"], "Code": "ReceiptHandleIsInvalid" })),
                    }
                }
            }
            "ChangeMessageVisibilityBatch" => {
                for entry in entries {
                    let seconds = entry["VisibilityTimeout"].as_u64().unwrap();
                    match find(self, &entry) {
                        Some(id) => {
                            self.messages.get_mut(&id).unwrap().visible_at = now + Duration::from_secs(seconds);
                            self.changes.push((id, seconds));
                            done.push(json!({ "Id": entry["Id"] }));
                        }
                        None => failed.push(json!({ "Id": entry["Id"], "Code": "ReceiptHandleIsInvalid" })),
                    }
                }
            }
            "GetQueueAttributes" => return ok(json!({ "Attributes": { "RedrivePolicy": "{}" } }).to_string()),
            other => panic!("unexpected operation {other}"),
        }
        ok(json!({ "Successful": done, "Failed": failed }).to_string())
    }

    fn storage(&mut self, seen: &Seen) -> Reply {
        let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
        let Some(key) = path.strip_prefix("/logs/") else { return self.list(query) };
        let range = seen.header("range").map(str::to_owned);
        self.reads.push((key.to_owned(), range.clone()));
        if let Some(reply) = self.faults.remove(key) {
            return reply;
        }
        if let Some(reply) = self.broken.get(key) {
            return reply.clone();
        }
        if self.denied.contains(key) {
            return s3_error(403, "AccessDenied");
        }
        let Some((body, modified)) = self.objects.get(key) else { return s3_error(404, "NoSuchKey") };
        let etag = etag(body);
        if seen.header("if-match").is_some_and(|wanted| wanted != etag) {
            return s3_error(412, "PreconditionFailed");
        }
        let mut headers = vec![("etag", etag)];
        if let Ok(modified) = modified.parse::<jiff::Timestamp>() {
            let modified = modified.to_zoned(jiff::tz::TimeZone::UTC).strftime("%a, %d %b %Y %T GMT").to_string();
            headers.push(("last-modified", modified));
        }
        headers.extend(self.signatures.get(key).map(|signature| ("x-amz-meta-signature", signature.clone())));
        let Some(start) = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()) else {
            return Reply::Full(200, headers, body.clone());
        };
        headers.push(("content-range", format!("bytes {start}-{}/{}", body.len() - 1, body.len())));
        Reply::Full(206, headers, body[start..].to_vec())
    }

    fn list(&self, query: &str) -> Reply {
        let option = |name: &str| {
            let found = query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
            found.map(|text| text.replace("%2F", "/")).unwrap_or_default()
        };
        let (prefix, mut after) = (option("prefix"), option("start-after"));
        let token = option("continuation-token");
        if !token.is_empty() {
            after = token;
        }
        let wanted: Vec<_> = self.objects.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after).collect();
        // Pages of two keys.
        let page: String = wanted
            .iter()
            .take(2)
            .map(|(key, (body, modified))| {
                let size = body.len();
                format!(
                    "<Contents><Key>{key}</Key><Size>{size}</Size><LastModified>{modified}</LastModified></Contents>"
                )
            })
            .collect();
        let next = wanted.get(2).map(|_| wanted[1].0);
        let next = next.map(|key| format!("<NextContinuationToken>{key}</NextContinuationToken>")).unwrap_or_default();
        ok(format!("<R><IsTruncated>{}</IsTruncated>{next}{page}</R>", !next.is_empty()))
    }
}

pub(super) fn etag(body: &[u8]) -> String {
    let sum = body.iter().fold(body.len() as u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    format!("\"{sum:x}\"")
}
