//! Reads messages that announce objects: S3 events, alone or inside SNS or SQS envelopes, EventBridge events, and the
//! notifications of CloudTrail and Security Lake.
//!
//! A message is foreign input. [`parse`] bounds its size and the depth of its envelopes, and never panics.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::Value;

#[cfg(test)]
mod tests;

/// Maximum bytes of a message. SQS accepts up to 1 MiB.
const MAX_BYTES: usize = 1 << 20;

/// Maximum number of envelopes around an event. Real ones have two: SNS in SQS.
const MAX_DEPTH: usize = 4;

/// Maximum bytes of a key in S3.
const MAX_KEY_BYTES: usize = 1024;

/// Maximum bytes of foreign text in an error.
const MAX_SHOWN_BYTES: usize = 100;

/// An announced object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Name of the bucket.
    pub bucket: String,
    /// The key, decoded.
    pub key: String,
    /// The region of the bucket, if the message names it.
    pub region: Option<String>,
    /// Size in bytes, if the message has it.
    pub size: Option<u64>,
    /// The entity tag without quotes, if the message has it.
    pub etag: Option<String>,
    /// The version, in a bucket with versions.
    pub version: Option<String>,
    /// Orders the events of one key.
    pub sequencer: Option<String>,
    /// When the object was written.
    pub time: Option<Timestamp>,
}

/// The contents of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notification {
    /// The objects that were created, in the order of the message.
    pub objects: Vec<Object>,
    /// Names of the events that announce no new object, such as `ObjectRemoved:Delete`.
    pub ignored: Vec<String>,
    /// Whether it contains the event that S3 sends when an operator sets up notifications.
    pub has_test_event: bool,
    /// The parts of the message that are not valid. The other parts are complete.
    pub invalid: Vec<NotificationError>,
}

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Read the objects, then delete the message.
    Objects,
    /// Delete the message; it is the test event of S3.
    TestEvent,
    /// Delete and count the message; it announces no new object.
    Ignored,
    /// Send the message to the dead letters. It can also have valid objects, which are read.
    Invalid,
}

/// Why a message, or a part of it, is not a notification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotificationError {
    /// It is too large.
    #[error("the message has {bytes} bytes; notifications have at most {MAX_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It is not JSON.
    #[error("the message is not JSON ({0}); send S3, SNS, EventBridge or CloudTrail notifications to this queue only")]
    NotJson(String),
    /// It is JSON of an unknown form.
    #[error("the message is not a notification of objects: {0}")]
    UnknownForm(String),
    /// It has more envelopes than real messages.
    #[error("the message has more than {MAX_DEPTH} envelopes")]
    TooDeep,
    /// A field is missing or has another type.
    #[error("`{path}` is missing or not valid in the notification")]
    BadField {
        /// Path of the field.
        path: &'static str,
    },
    /// A newer format.
    #[error("the notification has version `{0}`, which this agent does not support; update the agent")]
    UnsupportedVersion(String),
    /// The key is not a key of S3.
    #[error("the key in the notification is {0}")]
    BadKey(&'static str),
}

impl Notification {
    /// What to do with the message.
    pub fn verdict(&self) -> Verdict {
        if !self.invalid.is_empty() {
            Verdict::Invalid
        } else if !self.objects.is_empty() {
            Verdict::Objects
        } else if self.has_test_event && self.ignored.is_empty() {
            Verdict::TestEvent
        } else {
            Verdict::Ignored
        }
    }

    fn read_text(&mut self, text: &str, depth: usize) -> Result<(), NotificationError> {
        if depth > MAX_DEPTH {
            return Err(NotificationError::TooDeep);
        }
        let value = serde_json::from_str(text).map_err(|error| NotificationError::NotJson(error.to_string()))?;
        self.read_value(&value, depth)
    }

    fn read_value(&mut self, value: &Value, depth: usize) -> Result<(), NotificationError> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        if text("Event") == Some("s3:TestEvent") {
            self.has_test_event = true;
            return Ok(());
        }
        if let Some(records) = value.get("Records") {
            let records = records.as_array().ok_or(NotificationError::BadField { path: "Records" })?;
            // An empty list announces nothing, which is not an error.
            if records.is_empty() {
                self.ignored.push("empty `Records`".to_owned());
            }
            for record in records {
                if let Err(error) = self.read_record(record, depth) {
                    self.invalid.push(error);
                }
            }
            return Ok(());
        }
        // SNS, when raw delivery is off.
        if let (Some(kind), Some(_)) = (text("Type"), value.get("TopicArn")) {
            if kind != "Notification" {
                self.ignored.push(format!("sns:{}", shown(kind)));
                return Ok(());
            }
            let message = text("Message").ok_or(NotificationError::BadField { path: "Message" })?;
            return self.read_text(message, depth + 1);
        }
        if value.get("detail").is_some() && text("source").is_some() {
            return self.read_eventbridge(value);
        }
        if value.get("s3Bucket").is_some() || value.get("s3ObjectKey").is_some() {
            return self.read_cloudtrail(value);
        }
        Err(NotificationError::UnknownForm(match value {
            Value::Object(fields) if fields.is_empty() => "an empty JSON object".to_owned(),
            Value::Object(fields) => {
                let names: Vec<Cow<'_, str>> = fields.keys().take(5).map(|name| shown(name)).collect();
                format!("a JSON object with the fields `{}`", names.join("`, `"))
            }
            Value::Array(_) => "a JSON array".to_owned(),
            _ => "a single JSON value".to_owned(),
        }))
    }

    fn read_record(&mut self, record: &Value, depth: usize) -> Result<(), NotificationError> {
        // Events of AWS Lambda, which some relays pass on.
        if let Some(sns) = record.get("Sns") {
            let message = sns.get("Message").and_then(Value::as_str);
            return self.read_text(message.ok_or(NotificationError::BadField { path: "Sns.Message" })?, depth + 1);
        }
        if let Some(body) = record.get("body") {
            return self.read_text(body.as_str().ok_or(NotificationError::BadField { path: "body" })?, depth + 1);
        }
        let name = record.get("eventName").and_then(Value::as_str);
        let name = name.ok_or(NotificationError::BadField { path: "Records[].eventName" })?;
        let version = record.get("eventVersion").and_then(Value::as_str).unwrap_or("2.0");
        if major(version) != Some(2) {
            return Err(NotificationError::UnsupportedVersion(shown(version).into_owned()));
        }
        // Servers other than AWS write the prefix.
        if !name.strip_prefix("s3:").unwrap_or(name).starts_with("ObjectCreated:") {
            self.ignored.push(shown(name).into_owned());
            return Ok(());
        }
        let s3 = record.get("s3").ok_or(NotificationError::BadField { path: "Records[].s3" })?;
        let (bucket, object) = bucket_and_object(s3)?;
        let key = object.get("key").and_then(Value::as_str);
        let key = decode_key(key.ok_or(NotificationError::BadField { path: "s3.object.key" })?)?;
        self.objects.push(Object {
            bucket,
            key: check_key(key)?,
            region: text_of(record, "awsRegion"),
            size: object.get("size").and_then(Value::as_u64),
            etag: etag(object, "eTag"),
            version: text_of(object, "versionId"),
            sequencer: text_of(object, "sequencer"),
            time: time_of(record, "eventTime"),
        });
        Ok(())
    }

    /// Events of EventBridge. The key is not encoded. Notifications of Security Lake have the same form, without
    /// `detail-type`.
    fn read_eventbridge(&mut self, event: &Value) -> Result<(), NotificationError> {
        let source = text_of(event, "source").unwrap_or_default();
        let kind = event.get("detail-type").and_then(Value::as_str);
        if source != "aws.s3" || kind.is_some_and(|kind| kind != "Object Created") {
            self.ignored.push(format!("{}:{}", shown(&source), shown(kind.unwrap_or("no detail-type"))));
            return Ok(());
        }
        let detail = event.get("detail").ok_or(NotificationError::BadField { path: "detail" })?;
        let version = detail.get("event-version").and_then(Value::as_str).unwrap_or("1.0");
        if major(version) != Some(1) {
            return Err(NotificationError::UnsupportedVersion(shown(version).into_owned()));
        }
        let (bucket, object) = bucket_and_object(detail)?;
        let key = text_of(object, "key").ok_or(NotificationError::BadField { path: "detail.object.key" })?;
        self.objects.push(Object {
            bucket,
            key: check_key(key)?,
            region: text_of(event, "region"),
            size: object.get("size").and_then(Value::as_u64),
            etag: etag(object, "etag"),
            version: text_of(object, "version-id"),
            sequencer: text_of(object, "sequencer"),
            time: time_of(event, "time"),
        });
        Ok(())
    }

    /// The form in which CloudTrail itself announces its files.
    fn read_cloudtrail(&mut self, value: &Value) -> Result<(), NotificationError> {
        let bucket = text_of(value, "s3Bucket").filter(|bucket| !bucket.is_empty());
        let bucket = bucket.ok_or(NotificationError::BadField { path: "s3Bucket" })?;
        let keys = match value.get("s3ObjectKey") {
            Some(Value::Array(keys)) if !keys.is_empty() => keys.as_slice(),
            Some(key @ Value::String(_)) => std::slice::from_ref(key),
            _ => return Err(NotificationError::BadField { path: "s3ObjectKey" }),
        };
        for key in keys {
            let key = key.as_str().ok_or(NotificationError::BadField { path: "s3ObjectKey" });
            match key.and_then(|key| check_key(key.to_owned())) {
                Ok(key) => self.objects.push(Object {
                    bucket: bucket.clone(),
                    key,
                    region: None,
                    size: None,
                    etag: None,
                    version: None,
                    sequencer: None,
                    time: None,
                }),
                Err(error) => self.invalid.push(error),
            }
        }
        Ok(())
    }
}

/// Reads a message.
///
/// # Errors
///
/// The message as a whole is not a notification. Errors in parts of it are in [`Notification::invalid`].
pub fn parse(message: &str) -> Result<Notification, NotificationError> {
    if message.len() > MAX_BYTES {
        return Err(NotificationError::TooLarge { bytes: message.len() });
    }
    let mut found = Notification::default();
    found.read_text(message, 0)?;
    Ok(found)
}

fn bucket_and_object(parent: &Value) -> Result<(String, &Value), NotificationError> {
    let bucket = parent.get("bucket").and_then(|bucket| text_of(bucket, "name")).filter(|name| !name.is_empty());
    let bucket = bucket.ok_or(NotificationError::BadField { path: "bucket.name" })?;
    let object = parent.get("object").ok_or(NotificationError::BadField { path: "object" })?;
    Ok((bucket, object))
}

/// Decodes a key of an S3 event: `+` is a space, and `%XX` a byte.
fn decode_key(key: &str) -> Result<String, NotificationError> {
    let spaces = key.replace('+', " ");
    let bytes = percent_encoding::percent_decode_str(&spaces).decode_utf8();
    bytes.map(Cow::into_owned).map_err(|_| NotificationError::BadKey("not UTF-8 after decoding"))
}

fn check_key(key: String) -> Result<String, NotificationError> {
    match key.len() {
        0 => Err(NotificationError::BadKey("empty")),
        1..=MAX_KEY_BYTES => Ok(key),
        _ => Err(NotificationError::BadKey("longer than 1024 bytes")),
    }
}

fn text_of(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn etag(object: &Value, name: &str) -> Option<String> {
    text_of(object, name).map(|tag| tag.trim_matches('"').to_owned()).filter(|tag| !tag.is_empty())
}

fn time_of(value: &Value, name: &str) -> Option<Timestamp> {
    value.get(name)?.as_str()?.parse().ok()
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

/// The beginning of foreign text.
fn shown(text: &str) -> Cow<'_, str> {
    let end = text.floor_char_boundary(MAX_SHOWN_BYTES);
    match text.get(..end) {
        Some(start) if start.len() < text.len() => Cow::Owned(format!("{start}…")),
        _ => Cow::Borrowed(text),
    }
}
