//! A message as payloads have it: the value after its time, key and headers.
//!
//! Payloads can be in a buffer on disk when another version of the agent starts, so the first byte is the version of this
//! format:
//!
//! | bytes | contents |
//! | --- | --- |
//! | 1 | version, 1 |
//! | 8 | time in milliseconds since 1970 |
//! | 4 + n | key: its length, or 2³² - 1 for none, and its bytes |
//! | 4 | number of headers |
//! | 4 + n, 4 + n | of each header: its name, and its value as the key is |
//! | rest | value |
//!
//! All numbers are big-endian.

use bytes::{Buf as _, Bytes};
use wattle_kafka::krafka::Record;

const VERSION: u8 = 1;

/// The length of a key or a value that is not there.
const NONE: u32 = u32::MAX;

/// Writes everything before the value.
pub(super) fn write_head<'h>(
    time: i64,
    key: Option<&[u8]>,
    headers: impl ExactSizeIterator<Item = (&'h [u8], Option<&'h [u8]>)>,
    out: &mut Vec<u8>,
) {
    out.push(VERSION);
    out.extend_from_slice(&time.to_be_bytes());
    write_bytes(key, out);
    out.extend_from_slice(&u32::try_from(headers.len()).unwrap_or(NONE).to_be_bytes());
    for (name, value) in headers {
        write_bytes(Some(name), out);
        write_bytes(value, out);
    }
}

fn write_bytes(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    // A batch has less than 4 GiB, so lengths fit.
    let length = bytes.map_or(NONE, |bytes| u32::try_from(bytes.len()).unwrap_or(NONE));
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes.unwrap_or_default());
}

/// Reads a message for a topic; `None` if it is not one, or one of a later version.
pub(super) fn record(topic: &str, mut rest: Bytes) -> Option<Record> {
    if rest.try_get_u8().ok()? != VERSION {
        return None;
    }
    let time = rest.try_get_i64().ok()?;
    let key = read_bytes(&mut rest)?;
    let mut headers = Vec::new();
    for _ in 0..rest.try_get_u32().ok()? {
        let name = read_bytes(&mut rest)??;
        let value = read_bytes(&mut rest)?;
        headers.push((String::from_utf8_lossy(&name).into_owned(), value));
    }
    let mut record = Record::new(topic, rest).timestamp(time);
    if let Some(key) = key {
        record = record.key(key);
    }
    for (name, value) in headers {
        record = match value {
            Some(value) => record.header(name, value),
            None => record.null_header(name),
        };
    }
    Some(record)
}

/// Reads bytes; `None` if they are cut short.
fn read_bytes(rest: &mut Bytes) -> Option<Option<Bytes>> {
    let length = rest.try_get_u32().ok()?;
    if length == NONE {
        return Some(None);
    }
    let length = usize::try_from(length).ok()?;
    (length <= rest.len()).then(|| Some(rest.split_to(length)))
}

/// The value of a message, for the dead letters.
pub(super) fn value(message: &[u8]) -> Vec<u8> {
    let record = record("", Bytes::copy_from_slice(message));
    record.and_then(|record| record.value).map_or_else(|| message.to_vec(), |value| value.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_they_were_written() {
        let headers: [(&[u8], Option<&[u8]>); 3] = [(b"a", Some(b"1")), (b"a", None), (b"\xc3\xa4", Some(b"\xff"))];
        for (key, headers, body) in
            [(Some(&b"k\0"[..]), &headers[..], &b"v\n"[..]), (None, &[], b""), (Some(b""), &headers[..1], b"\xff")]
        {
            let mut message = Vec::new();
            write_head(1_700_000_000_123, key, headers.iter().copied(), &mut message);
            message.extend_from_slice(body);
            let read = record("t", Bytes::copy_from_slice(&message)).unwrap();
            assert_eq!((read.topic.as_str(), read.timestamp), ("t", Some(1_700_000_000_123)));
            assert_eq!((read.key.as_deref(), read.value.as_deref()), (key, Some(body)));
            let found: Vec<_> = read.headers.iter().map(|(n, v)| (n.as_bytes(), v.as_deref())).collect();
            assert_eq!(found, headers);
            assert_eq!(value(&message), body);
            // The head that is cut short is no message.
            for cut in 0..message.len() - body.len() {
                assert!(record("t", Bytes::copy_from_slice(&message[..cut])).is_none(), "{cut}");
            }
        }
        assert!(record("t", Bytes::from_static(&[2, 0, 0])).is_none());
        assert_eq!(value(b"\x02other"), b"\x02other");
    }
}
