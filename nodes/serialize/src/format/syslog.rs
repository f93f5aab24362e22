//! `syslog`: a message of RFC 5424 with the members as one element of structured data, in one line.

use wattle_convert::syslog::{facility, severity};

use super::{Row, escape, write_name};

/// Bytes of a name in structured data.
const MAX_NAME: usize = 32;
/// Bytes of the fraction of a second: the point and six digits.
const MAX_FRACTION: usize = 7;

pub(crate) fn write(row: &mut Row<'_>, out: &mut Vec<u8>) {
    let header = row.header;
    // A facility or severity that is neither a number nor a name becomes that of the defaults.
    let priority = facility(header.get("facility")).unwrap_or(1) * 8 + severity(header.get("severity")).unwrap_or(6);
    out.extend_from_slice(format!("<{priority}>1 ").as_bytes());
    // RFC 5424 limits the lengths of the names.
    time(header.get("timestamp"), out);
    for (part, longest) in [("hostname", 255), ("app_name", 48), ("proc_id", 128), ("msg_id", 32)] {
        out.push(b' ');
        name(header.get(part), longest, out);
    }
    out.push(b' ');
    structured_data(row, out);
    let message = header.get("message");
    if !message.is_empty() {
        out.push(b' ');
        escape(message, out, control);
    }
}

/// What stands for a byte that ends a message where messages are not counted in bytes. RFC 5424 has no escape for it; this
/// is how rsyslog writes control characters that it receives.
fn control(byte: u8) -> Option<&'static [u8]> {
    match byte {
        b'\n' => Some(b"#012"),
        b'\r' => Some(b"#015"),
        0 => Some(b"#000"),
        _ => None,
    }
}

/// Appends a time of RFC 3339 as RFC 5424, section 6.2.3, allows it: letters in upper case, at most six digits of the
/// fraction, and no leap second. Any other text is no value.
fn time(text: &[u8], out: &mut Vec<u8>) {
    if super::nanoseconds(text).is_none() {
        return out.push(b'-');
    }
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let (second, rest) = (part(17, 19), part(19, text.len()));
    out.extend_from_slice(part(0, 10));
    out.push(b'T');
    out.extend_from_slice(part(11, 17));
    out.extend_from_slice(if second == b"60" { b"59" } else { second });
    let fraction = rest.iter().take_while(|byte| matches!(byte, b'.' | b'0'..=b'9')).count();
    let (fraction, zone) = rest.split_at_checked(fraction).unwrap_or_default();
    out.extend_from_slice(fraction.get(..MAX_FRACTION).unwrap_or(fraction));
    out.extend(zone.iter().map(u8::to_ascii_uppercase));
}

/// Appends printable characters without spaces, or the sign for no value.
fn name(text: &[u8], longest: usize, out: &mut Vec<u8>) {
    if text.is_empty() {
        return out.push(b'-');
    }
    write_name(text.get(..longest).unwrap_or(text), out, |byte| byte.is_ascii_graphic());
}

fn structured_data(row: &mut Row<'_>, out: &mut Vec<u8>) {
    let mut memory = Vec::new();
    let is_name = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'=' | b']' | b'"');
    let mut is_empty = true;
    for (key, value) in row.present() {
        if std::mem::take(&mut is_empty) {
            out.push(b'[');
            let id = row.header.get("structured_data_id");
            write_name(id.get(..MAX_NAME).unwrap_or(id), out, is_name);
        }
        out.push(b' ');
        let start = out.len();
        write_name(key.get(..MAX_NAME).unwrap_or(key), out, is_name);
        row.keys.add(out, start, MAX_NAME);
        out.extend_from_slice(b"=\"");
        escape(row.documents.text(value, &mut memory), out, |byte| match byte {
            b'"' => Some(b"\\\""),
            b'\\' => Some(b"\\\\"),
            b']' => Some(b"\\]"),
            _ => control(byte),
        });
        out.push(b'"');
    }
    out.push(if is_empty { b'-' } else { b']' });
}
