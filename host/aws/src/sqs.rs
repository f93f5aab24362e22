//! The operations of SQS that sources and sinks need, over the JSON protocol.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use hyper::{HeaderMap, Method, Uri};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::client::Call;
use crate::endpoint::Service;
use crate::error::{Error, ErrorKind};
use crate::region;
use crate::session::Session;

/// Maximum number of messages in a request.
pub(crate) const MAX_BATCH: usize = 10;

/// Maximum bytes of a response: ten messages of 1 MiB, escaped.
const MAX_BYTES: usize = 64 << 20;

/// The longest wait for messages that SQS accepts.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// The longest time that SQS hides a message.
const MAX_VISIBILITY: Duration = Duration::from_hours(12);

/// A client of one queue.
#[derive(Clone, Debug)]
pub struct Sqs {
    session: Session,
    url: String,
    region: String,
}

/// How to receive messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receive {
    /// Maximum number of messages: 1 to 10.
    pub max: usize,
    /// How long to wait for the first message: up to 20 s.
    pub wait: Duration,
    /// How long the messages stay hidden from other receivers; `None` for the setting of the queue.
    pub visibility: Option<Duration>,
}

/// A received message.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Message {
    /// Its id.
    #[serde(rename = "MessageId")]
    pub id: String,
    /// The handle of this delivery, to delete the message or to change its visibility.
    #[serde(rename = "ReceiptHandle")]
    pub receipt: String,
    /// The text.
    #[serde(default)]
    pub body: String,
    /// Attributes that SQS sets, such as `ApproximateReceiveCount`.
    #[serde(default)]
    pub attributes: HashMap<String, String>,
}

/// A message of a batch that the service did not process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchFailure {
    /// Index in the batch.
    pub index: usize,
    /// Why.
    pub error: Error,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Received {
    #[serde(default)]
    messages: Vec<Message>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchResponse {
    #[serde(default)]
    successful: Vec<BatchEntry>,
    #[serde(default)]
    failed: Vec<BatchEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchEntry {
    id: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct QueueUrl {
    queue_url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes {
    #[serde(default)]
    attributes: HashMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sent {
    message_id: String,
}

impl Message {
    /// How often the message was delivered, including this time.
    pub fn receive_count(&self) -> Option<u64> {
        self.attributes.get("ApproximateReceiveCount")?.parse().ok()
    }

    /// When the message was sent, in milliseconds of Unix time.
    pub fn sent_at(&self) -> Option<i64> {
        self.attributes.get("SentTimestamp")?.parse().ok()
    }
}

impl Sqs {
    /// A client of the queue at this address. The region is that of the address, otherwise that of the session.
    pub fn new(session: &Session, url: impl Into<String>) -> Self {
        let url = url.into();
        let region = region::of_queue(&url).unwrap_or_else(|| session.region().to_owned());
        Self { session: session.clone(), url, region }
    }

    /// Finds the queue with a name, of another account if `owner` is set.
    ///
    /// # Errors
    ///
    /// There is no such queue, or the credentials do not permit to find it.
    pub async fn find(session: &Session, name: &str, owner: Option<&str>) -> Result<Self, Error> {
        let client = Self { session: session.clone(), url: name.to_owned(), region: session.region().to_owned() };
        let mut body = json!({ "QueueName": name });
        if let (Some(owner), Some(fields)) = (owner, body.as_object_mut()) {
            fields.insert("QueueOwnerAWSAccountId".to_owned(), owner.into());
        }
        let found: QueueUrl = client.request("GetQueueUrl", &body, Duration::ZERO).await?;
        Ok(Self { url: found.queue_url, ..client })
    }

    /// The address of the queue.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Receives messages; none if there are none within the wait.
    ///
    /// # Errors
    ///
    /// The service rejects the request, or there was no response.
    pub async fn receive(&self, receive: &Receive) -> Result<Vec<Message>, Error> {
        let wait = receive.wait.min(MAX_WAIT);
        let mut body = json!({
            "QueueUrl": self.url,
            "MaxNumberOfMessages": receive.max.clamp(1, MAX_BATCH),
            "WaitTimeSeconds": wait.as_secs(),
            "MessageSystemAttributeNames": ["ApproximateReceiveCount", "SentTimestamp", "ApproximateFirstReceiveTimestamp"],
        });
        if let (Some(visibility), Some(fields)) = (receive.visibility, body.as_object_mut()) {
            fields.insert("VisibilityTimeout".to_owned(), visibility.min(MAX_VISIBILITY).as_secs().into());
        }
        self.request::<Received>("ReceiveMessage", &body, wait).await.map(|received| received.messages)
    }

    /// Deletes up to 10 messages by their receipts. Returns those that were not deleted.
    ///
    /// # Errors
    ///
    /// The service rejects the request as a whole, or there was no response; then any of them may be deleted.
    pub async fn delete(&self, receipts: &[&str]) -> Result<Vec<BatchFailure>, Error> {
        self.batch("DeleteMessageBatch", receipts, None).await
    }

    /// Sets for how long from now up to 10 messages stay hidden; 0 gives them back. Returns those that were not changed.
    ///
    /// # Errors
    ///
    /// The service rejects the request as a whole, or there was no response.
    pub async fn change_visibility(&self, receipts: &[&str], visibility: Duration) -> Result<Vec<BatchFailure>, Error> {
        self.batch("ChangeMessageVisibilityBatch", receipts, Some(visibility.min(MAX_VISIBILITY).as_secs())).await
    }

    /// Sends a message, such as a dead letter, and returns its id.
    ///
    /// # Errors
    ///
    /// The service rejects the message.
    pub async fn send(&self, text: &str) -> Result<String, Error> {
        let body = json!({ "QueueUrl": self.url, "MessageBody": text });
        self.request::<Sent>("SendMessage", &body, Duration::ZERO).await.map(|sent| sent.message_id)
    }

    /// Attributes of the queue, such as `ApproximateNumberOfMessages` and `VisibilityTimeout`.
    ///
    /// # Errors
    ///
    /// The service rejects the request.
    pub async fn attributes(&self, names: &[&str]) -> Result<HashMap<String, String>, Error> {
        let body = json!({ "QueueUrl": self.url, "AttributeNames": names });
        self.request::<Attributes>("GetQueueAttributes", &body, Duration::ZERO).await.map(|found| found.attributes)
    }

    async fn batch(
        &self,
        operation: &'static str,
        receipts: &[&str],
        visibility: Option<u64>,
    ) -> Result<Vec<BatchFailure>, Error> {
        if receipts.is_empty() {
            return Ok(Vec::new());
        }
        if receipts.len() > MAX_BATCH {
            let reason = format!("{} messages are too many for one request", receipts.len());
            return Err(Error::new(ErrorKind::Rejected, operation, self.url.clone(), reason));
        }
        let entries: Vec<Value> = receipts
            .iter()
            .enumerate()
            .map(|(index, receipt)| match visibility {
                Some(seconds) => {
                    json!({ "Id": index.to_string(), "ReceiptHandle": receipt, "VisibilityTimeout": seconds })
                }
                None => json!({ "Id": index.to_string(), "ReceiptHandle": receipt }),
            })
            .collect();
        let body = json!({ "QueueUrl": self.url, "Entries": entries });
        let found: BatchResponse = self.request(operation, &body, Duration::ZERO).await?;
        let failure = |index: usize, kind, code: Option<&str>, reason: &str| {
            let mut error = Error::new(kind, operation, self.url.clone(), reason);
            error.code = code.map(Box::from);
            BatchFailure { index, error }
        };
        let indexes = 0..receipts.len();
        // An entry that the response does not name counts as failed.
        let failures = indexes.filter_map(|index| {
            let is_entry = |entry: &&BatchEntry| entry.id.parse() == Ok(index);
            if let Some(entry) = found.failed.iter().find(is_entry) {
                let kind = crate::error::kind_of(Some(&entry.code), 400);
                return Some(failure(index, kind, Some(&entry.code), &entry.message));
            }
            let is_done = found.successful.iter().any(|entry| is_entry(&entry));
            (!is_done)
                .then(|| failure(index, ErrorKind::InvalidResponse, None, "the response does not name the message"))
        });
        Ok(failures.collect())
    }

    async fn request<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        body: &Value,
        wait: Duration,
    ) -> Result<T, Error> {
        let mut call = Call {
            operation,
            resource: self.url.clone(),
            service: Service::Sqs,
            region: self.region.clone(),
            method: Method::POST,
            uri: Uri::default(),
            headers: HeaderMap::new(),
            body: Bytes::from(body.to_string()),
            wait,
        };
        call.uri = format!("{}/", self.session.endpoint(Service::Sqs, &self.region))
            .parse()
            .map_err(|_| call.error(ErrorKind::Rejected, "the address of SQS is not valid"))?;
        call.set("content-type", "application/x-amz-json-1.0")?;
        call.set("x-amz-target", &format!("AmazonSQS.{operation}"))?;
        let response = self.session.call(&call).await?;
        let body = response.body.collect(MAX_BYTES).await.map_err(|error| call.http_error(&error))?;
        // Servers answer operations without a result with an empty body.
        let body = if body.is_empty() { Bytes::from_static(b"{}") } else { body };
        serde_json::from_slice(&body).map_err(|error| {
            let reason =
                format!("the response cannot be understood ({error}); check that `endpoint` is a server of SQS");
            call.error(ErrorKind::InvalidResponse, reason)
        })
    }
}
