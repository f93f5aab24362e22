//! The half of the sink on the workers: encodes events as messages, and chooses their topics.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use wattle_batch::{Batch, FieldPath, Form, Root};
use wattle_json::Kind;
use wattle_kafka::is_topic_char;

use super::message::write_head;
use crate::encode::Encoding;
use crate::path_template::Template;
use crate::sink::{Encoder, Payload};

/// Maximum length of the name of a topic.
const MAX_TOPIC_BYTES: usize = 249;

/// Makes a payload of the events of each topic.
#[derive(Debug)]
pub(super) struct MessageEncoder {
    pub(super) encoding: Encoding,
    pub(super) topic: Template,
    pub(super) key: Option<FieldPath>,
    pub(super) headers: Option<FieldPath>,
}

/// The events of one topic, in their order.
struct Group {
    topic: Arc<str>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// A header, by name.
type Header = (Vec<u8>, Option<Vec<u8>>);

impl Encoder for MessageEncoder {
    fn encode(&self, batch: Batch) -> Vec<Payload> {
        let mut groups: Vec<Group> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let keys = self.key.as_ref().map(|field| Values::of(&batch, field));
        let headers = self.headers.as_ref().map(|field| Values::of(&batch, field));
        let mut topics = self.topic.bind(&batch);
        let mut events = self.encoding.bind(&batch);
        let mut topic = String::new();
        let mut named: Vec<Header> = Vec::new();
        for row in 0..batch.rows() {
            topics.write(row, &mut topic);
            let place = match places.get(&topic) {
                Some(&place) => place,
                None => {
                    groups.push(Group { topic: topic_of(&topic).into(), bytes: Vec::new(), ends: Vec::new() });
                    places.insert(topic.clone(), groups.len() - 1);
                    groups.len() - 1
                }
            };
            let Some(group) = groups.get_mut(place) else { continue };
            let time = batch.timestamp(row).unwrap_or(batch.origin().observed).div_euclid(1_000_000);
            let key = keys.as_ref().and_then(|keys| keys.bytes(row));
            named.clear();
            if let Some(headers) = &headers {
                headers.members(row, &mut named);
            }
            let borrowed = named.iter().map(|(name, value)| (name.as_slice(), value.as_deref()));
            // Kafka has no times before 1970.
            write_head(time.max(0), key.as_deref(), borrowed, &mut group.bytes);
            events.write(row, &mut group.bytes);
            group.ends.push(group.bytes.len());
        }
        drop((topics, events));
        let ack = batch.into_ack();
        let payload = |Group { topic, bytes, ends }| Payload {
            key: Some(topic),
            bytes,
            events: ends.len(),
            ends,
            ack: ack.share(),
        };
        let payloads = groups.into_iter().map(payload).collect();
        // Each payload has its own share, so this one ends.
        ack.deliver();
        payloads
    }
}

/// The name of a topic for a rendered template.
fn topic_of(rendered: &str) -> String {
    let plain = |char| if is_topic_char(char) { char } else { '_' };
    rendered.chars().map(plain).take(MAX_TOPIC_BYTES).collect()
}

/// The JSON values of a field in all rows.
struct Values {
    bytes: Bytes,
    offsets: Vec<u32>,
    kinds: Vec<u8>,
    /// The values are bodies, which are texts and no JSON.
    is_body: bool,
}

impl Values {
    fn of(batch: &Batch, field: &FieldPath) -> Self {
        let (bytes, offsets, kinds) = batch.read(field, Form::Json);
        Self { bytes, offsets, kinds, is_body: field.is_whole() && field.root == Root::Body }
    }

    /// The JSON of a row; `None` if the row does not have the field.
    fn text(&self, row: usize) -> Option<&[u8]> {
        self.kinds.get(row).filter(|&&kind| kind != 0)?;
        let (start, end) = (*self.offsets.get(row)? as usize, *self.offsets.get(row + 1)? as usize);
        self.bytes.get(start..end)
    }

    /// The value of a row as bytes.
    fn bytes(&self, row: usize) -> Option<Vec<u8>> {
        let text = self.text(row)?;
        if self.is_body { Some(text.to_vec()) } else { value_bytes(text) }
    }

    /// The members of the object of a row as headers.
    fn members(&self, row: usize, out: &mut Vec<Header>) {
        let Some(text) = self.text(row) else { return };
        let Some(root) = wattle_json::skip(text, 0).ok().filter(|root| root.kind == Kind::Object) else { return };
        // The batch has checked the text, unless it is a body; what is not JSON ends the headers.
        let _ = wattle_json::members(text, root, |key, value| {
            let name = value_bytes(key.text(text)).unwrap_or_default();
            if value.kind == Kind::Array {
                let _ =
                    wattle_json::elements(text, value, |value| out.push((name.clone(), value_bytes(value.text(text)))));
            } else {
                out.push((name, value_bytes(value.text(text))));
            }
        });
    }
}

/// A JSON value as bytes: the text of a string, the bytes of `{"bytesValue": "<base64>"}`, and other values as they are
/// written; `None` for null.
fn value_bytes(text: &[u8]) -> Option<Vec<u8>> {
    if text == b"null" {
        return None;
    }
    if let Some(inner) = string(text) {
        return Some(inner);
    }
    let object = wattle_json::skip(text, 0).ok().filter(|value| value.kind == Kind::Object);
    let mut bytes = None;
    let members = object.and_then(|object| {
        let found = |key: wattle_json::Value, value: wattle_json::Value| {
            if key.text(text) == b"\"bytesValue\"" {
                bytes = string(value.text(text)).and_then(|base64| BASE64_STANDARD.decode(base64).ok());
            }
        };
        wattle_json::members(text, object, found).ok()
    });
    Some(bytes.filter(|_| members.is_some()).unwrap_or_else(|| text.to_vec()))
}

/// The text of a JSON string.
fn string(text: &[u8]) -> Option<Vec<u8>> {
    let inner = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut out = Vec::with_capacity(inner.len());
    wattle_json::unescape_lossy(inner, &mut out);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::super::message::record;
    use super::*;
    use crate::testing::Rig;
    use wattle_batch::{Column, Disposition};

    #[test]
    fn values_become_bytes() {
        let check =
            |json: &str, bytes: Option<&[u8]>| assert_eq!(value_bytes(json.as_bytes()).as_deref(), bytes, "{json}");
        check("null", None);
        check(r#""""#, Some(b""));
        check(r#""a\n\u00e4""#, Some("a\nä".as_bytes()));
        check("12.50", Some(b"12.50"));
        check(r#"{"bytesValue":"/w=="}"#, Some(b"\xff"));
        check(r#"{"bytesValue":"%"}"#, Some(br#"{"bytesValue":"%"}"#));
        check(r#"{"a":1}"#, Some(br#"{"a":1}"#));
    }

    #[test]
    fn messages_have_topic_key_headers_and_time() {
        let rig = Rig::new();
        let mut batch = rig.batch(&["one", "two", "three"]);
        let attributes = Column::from_rows([
            r#"{"t":"a","k":"x","h":{"n":"1","m":["2",null,{"bytesValue":"/w=="}],"z":null}}"#,
            r#"{"t":"b/c","k":7}"#,
            r#"{"t":"a","h":"no object"}"#,
        ]);
        batch.set(&FieldPath::whole(Root::Attributes), Form::Json, &attributes.unwrap(), &[]).unwrap();
        batch.set_timestamps(&[1_500_000_000, i64::MIN, -5]);
        let mut encoding = crate::encode::tests::read(r#"{"codec":"text"}"#).unwrap();
        encoding.framing = crate::encode::Framing::None;
        let encoder = MessageEncoder {
            encoding,
            topic: Template::parse("logs-{{ attributes.t }}").unwrap(),
            key: Some(FieldPath::parse("attributes.k").unwrap()),
            headers: Some(FieldPath::parse("attributes.h").unwrap()),
        };
        let payloads = encoder.encode(batch);
        let topics: Vec<_> = payloads.iter().map(|payload| (payload.key.as_deref().unwrap(), payload.events)).collect();
        assert_eq!(topics, [("logs-a", 2), ("logs-b_c", 1)]);
        let payload = &payloads[0];
        let first = record("logs-a", payload.bytes[..payload.ends[0]].to_vec().into()).unwrap();
        assert_eq!((first.key.as_deref(), first.value.as_deref()), (Some(&b"x"[..]), Some(&b"one"[..])));
        assert_eq!(first.timestamp, Some(1500));
        let headers: Vec<_> = first.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        let expected: [(&str, Option<&[u8]>); 5] =
            [("n", Some(b"1")), ("m", Some(b"2")), ("m", None), ("m", Some(b"\xff")), ("z", None)];
        assert_eq!(headers, expected);
        let third = record("logs-a", payload.bytes[payload.ends[0]..].to_vec().into()).unwrap();
        assert_eq!((third.key, third.headers.len(), third.timestamp), (None, 0, Some(0)));
        let second = record("logs-b_c", payloads[1].bytes.clone().into()).unwrap();
        assert_eq!(second.key.as_deref(), Some(&b"7"[..]));
        payloads.into_iter().for_each(|payload| payload.ack.deliver());
        assert_eq!(rig.acks(), [Disposition::Delivered]);
    }
}
