//! A message as payloads have it: the value after its id and headers.
//!
//! Payloads can be in a buffer on disk when another version of the agent starts, so the first byte is the version of this
//! format. The id is made with the payload, so what is sent again after a restart has the same one.
//!
//! | bytes | contents |
//! | --- | --- |
//! | 1 | version, 1 |
//! | 4 + n | id: its length, 0 for none, and its bytes |
//! | 4 | number of headers |
//! | 4 + n, 4 + n | of each header: its name and its value |
//! | rest | value |
//!
//! All numbers are big-endian, and all texts UTF-8.

use bytes::{Buf as _, Bytes};
use wattle_nats::async_nats::{HeaderMap, HeaderName, HeaderValue};

const VERSION: u8 = 1;

/// A message without its subject.
#[derive(Debug)]
pub(super) struct Message {
    /// Empty for none.
    pub(super) id: String,
    pub(super) headers: HeaderMap,
    pub(super) value: Bytes,
}

/// Whether a header can have this name: printable ASCII without a colon and white space. Headers whose names begin with
/// `Nats-` direct JetStream, for example to remove messages, so no event may have them.
pub(super) fn is_header_name(name: &str) -> bool {
    let is_reserved = name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("nats-"));
    !name.is_empty() && !is_reserved && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
}

/// Writes everything before the value. The names are those of headers.
pub(super) fn write_head(id: &str, headers: &[(String, String)], out: &mut Vec<u8>) {
    out.push(VERSION);
    write_text(id, out);
    // A batch has less than 4 GiB, so lengths fit.
    out.extend_from_slice(&u32::try_from(headers.len()).unwrap_or_default().to_be_bytes());
    for (name, value) in headers {
        write_text(name, out);
        write_text(value, out);
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(text.len()).unwrap_or_default().to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Reads a message; `None` if it is not one, or one of a later version.
pub(super) fn read(mut rest: Bytes) -> Option<Message> {
    if rest.try_get_u8().ok()? != VERSION {
        return None;
    }
    // The client panics if a header has two lines.
    let id = read_text(&mut rest).filter(|id| !id.contains(['\r', '\n']))?;
    let mut headers = HeaderMap::new();
    for _ in 0..rest.try_get_u32().ok()? {
        let name: HeaderName = read_text(&mut rest)?.parse().ok()?;
        let value: HeaderValue = read_text(&mut rest)?.parse().ok()?;
        headers.append(name, value);
    }
    Some(Message { id, headers, value: rest })
}

fn read_text(rest: &mut Bytes) -> Option<String> {
    let length = usize::try_from(rest.try_get_u32().ok()?).ok()?;
    let text = (length <= rest.len()).then(|| rest.split_to(length))?;
    String::from_utf8(text.into()).ok()
}

/// The value of a message, for the dead letters.
pub(super) fn value(message: &[u8]) -> Vec<u8> {
    read(Bytes::copy_from_slice(message)).map_or_else(|| message.to_vec(), |message| message.value.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_they_were_written() {
        let headers = [("a", "1"), ("a", "ä"), ("b", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        for (id, headers, body) in [("id-1", &headers[..], &b"v\n"[..]), ("", &[], b""), ("x", &headers[..1], b"\xff")]
        {
            let mut message = Vec::new();
            write_head(id, headers, &mut message);
            message.extend_from_slice(body);
            let read = super::read(Bytes::copy_from_slice(&message)).unwrap();
            assert_eq!((read.id.as_str(), &read.value[..]), (id, body));
            let found: usize = read.headers.iter().map(|(_, values)| values.len()).sum();
            assert_eq!(found, headers.len());
            for (name, value) in headers {
                assert!(read.headers.get_all(name.as_str()).any(|found| found.as_str() == value));
            }
            assert_eq!(value(&message), body);
            // The head that is cut short is no message.
            for cut in 0..message.len() - body.len() {
                assert!(super::read(Bytes::copy_from_slice(&message[..cut])).is_none(), "{cut}");
            }
        }
        assert!(super::read(Bytes::from_static(&[2, 0, 0])).is_none());
        let mut two_lines = Vec::new();
        write_head("a\r\nb", &[], &mut two_lines);
        assert!(super::read(two_lines.into()).is_none());
        assert_eq!(value(b"\x02other"), b"\x02other");
    }

    #[test]
    fn no_event_directs_jetstream() {
        for good in ["a", "X-Trace", "Natsy", "nats"] {
            assert!(is_header_name(good), "{good}");
        }
        for bad in ["", "a b", "a:b", "ä", "a\n", "Nats-Rollup", "nats-msg-id", "NATS-X"] {
            assert!(!is_header_name(bad), "{bad}");
        }
    }
}
