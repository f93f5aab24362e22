//! The half of the sink on the workers: encodes events as messages, and chooses their subjects and ids.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wattle_batch::{Batch, FieldPath, Form};
use wattle_json::Kind;

use super::message::{is_header_name, write_head};
use super::subject::Template;
use crate::encode::Encoding;
use crate::sink::{Encoder, Payload};

/// Makes ids that no other sink makes.
#[derive(Debug)]
pub(super) struct Ids {
    /// Random for each start of a sink.
    prefix: String,
    next: AtomicU64,
}

impl Ids {
    pub(super) fn new() -> Self {
        Self { prefix: format!("{:032x}", fastrand::u128(..)), next: AtomicU64::new(0) }
    }

    fn write(&self, out: &mut String) {
        // Writing to a string cannot fail.
        let _ = write!(out, "{}-{:x}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed));
    }
}

/// Makes a payload of the events of each subject.
#[derive(Debug)]
pub(super) struct MessageEncoder {
    pub(super) encoding: Encoding,
    pub(super) subject: Template,
    pub(super) id: Option<Template>,
    /// `None` without JetStream.
    pub(super) ids: Option<Ids>,
    pub(super) headers: Option<FieldPath>,
}

/// The events of one subject, in their order.
struct Group {
    subject: Arc<str>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Encoder for MessageEncoder {
    fn encode(&self, batch: Batch) -> Vec<Payload> {
        let mut groups: Vec<Group> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let headers = self.headers.as_ref().map(|field| batch.read(field, Form::Json));
        let subjects = self.subject.bind(&batch);
        let given = self.id.as_ref().map(|id| id.bind(&batch));
        let mut events = self.encoding.bind(&batch);
        let (mut subject, mut id, mut named) = (String::new(), String::new(), Vec::new());
        for row in 0..batch.rows() {
            subjects.subject(row, &mut subject);
            let place = match places.get(&subject) {
                Some(&place) => place,
                None => {
                    groups.push(Group { subject: subject.as_str().into(), bytes: Vec::new(), ends: Vec::new() });
                    places.insert(subject.clone(), groups.len() - 1);
                    groups.len() - 1
                }
            };
            let Some(group) = groups.get_mut(place) else { continue };
            id.clear();
            match (given.as_ref().and_then(|given| given.id(row)), &self.ids) {
                (Some(given), _) => id = given,
                (None, Some(ids)) => ids.write(&mut id),
                (None, None) => {}
            }
            named.clear();
            if let Some((bytes, offsets, kinds)) = &headers
                && kinds.get(row).is_some_and(|&kind| kind == Kind::Object as u8)
            {
                let (start, end) = (offsets.get(row).copied(), offsets.get(row + 1).copied());
                let range = start.unwrap_or_default() as usize..end.unwrap_or_default() as usize;
                members(bytes.get(range).unwrap_or_default(), &mut named);
            }
            write_head(&id, &named, &mut group.bytes);
            events.write(row, &mut group.bytes);
            group.ends.push(group.bytes.len());
        }
        drop((subjects, given, events));
        let ack = batch.into_ack();
        let payload = |Group { subject, bytes, ends }| Payload {
            key: Some(subject),
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

/// The members of an object as headers: strings as they are, other values as JSON, and each value of a list. Nulls and names
/// that no header has are left out.
fn members(text: &[u8], out: &mut Vec<(String, String)>) {
    let Some(root) = wattle_json::skip(text, 0).ok().filter(|root| root.kind == Kind::Object) else { return };
    // The batch has checked the text, unless it is a body; what is not JSON ends the headers.
    let _ = wattle_json::members(text, root, |key, value| {
        let Some(name) = header_value(key.text(text)).filter(|name| is_header_name(name)) else { return };
        let mut add = |value: &[u8]| out.extend(header_value(value).map(|value| (name.clone(), value)));
        if value.kind == Kind::Array {
            let _ = wattle_json::elements(text, value, |value| add(value.text(text)));
        } else {
            add(value.text(text));
        }
    });
}

/// A JSON value as the value of a header, which has one line; `None` for null.
fn header_value(text: &[u8]) -> Option<String> {
    if text == b"null" {
        return None;
    }
    let inner = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
    let mut out = Vec::new();
    match inner {
        Some(inner) => wattle_json::unescape_lossy(inner, &mut out),
        None => wattle_json::minify(text, &mut out),
    }
    let text = String::from_utf8_lossy(&out);
    // White space around a value is not a part of it in the protocol.
    Some(text.trim().chars().map(|char| if char == '\r' || char == '\n' { ' ' } else { char }).collect())
}

#[cfg(test)]
mod tests {
    use super::super::message::read;
    use super::*;
    use crate::testing::Rig;
    use wattle_batch::{Column, Disposition, Root};

    #[test]
    fn messages_have_subject_id_and_headers() {
        let rig = Rig::new();
        let mut batch = rig.batch(&["one", "two", "three"]);
        let attributes = Column::from_rows([
            r#"{"s":"a","id":7,"h":{"n":"1","m":["2",null,{"x": 1}],"z":null,"Nats-Rollup":"all","l":" a\r\nb "}}"#,
            r#"{"s":"b"}"#,
            r#"{"s":"a","h":"no object"}"#,
        ]);
        batch.set(&FieldPath::whole(Root::Attributes), Form::Json, &attributes.unwrap(), &[]).unwrap();
        let mut encoding = crate::encode::tests::read(r#"{"codec":"text"}"#).unwrap();
        encoding.framing = crate::encode::Framing::None;
        let encoder = MessageEncoder {
            encoding,
            subject: Template::of_subject("logs.{{ attributes.s }}").unwrap(),
            id: Some(Template::of_id("id-{{ attributes.id }}").unwrap()),
            ids: Some(Ids::new()),
            headers: Some(FieldPath::parse("attributes.h").unwrap()),
        };
        let payloads = encoder.encode(batch);
        let subjects: Vec<_> =
            payloads.iter().map(|payload| (payload.key.as_deref().unwrap(), payload.events)).collect();
        assert_eq!(subjects, [("logs.a", 2), ("logs.b", 1)]);
        let payload = &payloads[0];
        let first = read(payload.bytes[..payload.ends[0]].to_vec().into()).unwrap();
        assert_eq!((first.id.as_str(), &first.value[..]), ("id-7", &b"one"[..]));
        let values = |name: &str| first.headers.get_all(name).map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            (values("n"), values("m"), values("l")),
            (vec!["1".into()], vec!["2".into(), r#"{"x":1}"#.into()], vec!["a  b".into()])
        );
        assert_eq!(first.headers.len(), 3);
        let third = read(payload.bytes[payload.ends[0]..].to_vec().into()).unwrap();
        let second = read(payloads[1].bytes.clone().into()).unwrap();
        assert!(third.headers.is_empty() && third.id != second.id && third.id.len() > 32, "{} {}", third.id, second.id);
        payloads.into_iter().for_each(|payload| payload.ack.deliver());
        assert_eq!(rig.acks(), [Disposition::Delivered]);
    }
}
