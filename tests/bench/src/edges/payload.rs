//! Events as clients send them, of about 300 bytes each.

use std::fmt::Write as _;

const TEXT: &str = "GET /api/v1/orders/8821 200 from 203.0.113.7 in 12 ms, user 5521 of tenant north, trace \
                    4bf92f3577b34da6a3ce929d0e0e4736, cache miss, 2 rows, upstream orders-7c9d8";

/// Messages of RFC 5424, each on a line.
pub(super) fn syslog(events: usize) -> Vec<u8> {
    let mut text = String::new();
    for number in 0..events {
        let begin = text.len();
        let _ = write!(
            text,
            "<134>1 2026-01-31T23:59:59.{:06}Z web-1 shop 4711 ID{number:06} - {TEXT}",
            number % 1_000_000
        );
        let length = text.len() - begin;
        text.extend(std::iter::repeat_n('x', 299_usize.saturating_sub(length)));
        text.push('\n');
    }
    text.into_bytes()
}

/// JSON objects, each on a line.
pub(super) fn ndjson(events: usize) -> Vec<u8> {
    let mut text = String::new();
    for number in 0..events {
        let _ = writeln!(
            text,
            r#"{{"time":"2026-01-31T23:59:59.{number:06}Z","level":"info","host":"web-1","app":"shop","number":{number},"message":"{TEXT}"}}"#
        );
    }
    text.into_bytes()
}

/// A request of OTLP with log records of one resource and scope. The numbers of fields are those of
/// opentelemetry-proto 1.x, `logs.proto`.
pub(super) fn otlp(events: usize) -> Vec<u8> {
    let string = |text: &str| field(1, text.as_bytes());
    let attribute = |name: &str, value: &str| [field(1, name.as_bytes()), field(2, &string(value))].concat();
    let record = |number: usize| {
        let mut record = fixed64(1, 1_769_903_999_000_000_000 + number as u64);
        record.extend([2 << 3, 9]);
        record.extend(field(3, b"INFO"));
        record.extend(field(5, &string(TEXT)));
        record.extend(field(6, &attribute("http.route", "/api/v1/orders/{id}")));
        record.extend(field(6, &attribute("number", &number.to_string())));
        record.extend(field(9, &[7; 16]));
        record.extend(field(10, &[8; 8]));
        field(2, &record)
    };
    let resource = field(1, &field(1, &attribute("service.name", "shop")));
    let scope = field(1, &field(1, b"shop"));
    let records: Vec<u8> = (0..events).flat_map(record).collect();
    field(1, &[resource, field(2, &[scope, records].concat())].concat())
}

/// A field of Protobuf whose value has a length.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = value.len();
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(value);
    out
}

/// A field of Protobuf with eight bytes.
fn fixed64(number: u8, value: u64) -> Vec<u8> {
    [&[number << 3 | 1][..], &value.to_le_bytes()].concat()
}

/// Number of log records in a request of OTLP.
pub(super) fn records(request: &[u8]) -> u64 {
    let scopes = |logs| fields(logs).filter(|(number, _)| *number == 2).map(|(_, scope)| scope);
    let resources = fields(request).filter(|(number, _)| *number == 1).map(|(_, logs)| logs);
    resources.flat_map(scopes).flat_map(fields).filter(|(number, _)| *number == 2).count() as u64
}

/// The fields of a message of Protobuf whose values have lengths. Messages that contain log records have no others.
fn fields(mut message: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (tag, mut rest) = message.split_first()?;
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            let (byte, after) = rest.split_first()?;
            length |= usize::from(byte & 0x7f).checked_shl(shift)?;
            (rest, shift) = (after, shift + 7);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (value, after) = rest.split_at_checked(length)?;
        message = after;
        Some((tag >> 3, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_records_are_counted() {
        for events in [0, 1, 1000] {
            let request = otlp(events);
            assert_eq!(records(&request), events as u64);
            // Resources add up.
            assert_eq!(records(&[&request[..], &request].concat()), 2 * events as u64);
        }
        assert_eq!(records(b"\x0a\xff"), 0);
    }
}
