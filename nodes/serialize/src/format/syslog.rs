//! `syslog`: a message of RFC 5424 with the members as one element of structured data.

use wattle_convert::syslog::{facility, severity};

use super::{Row, escape, write_name};

/// Bytes of a name in structured data.
const MAX_NAME: usize = 32;

pub(crate) fn write(row: &mut Row<'_>, out: &mut Vec<u8>) {
    let header = row.header;
    // A facility or severity that is neither a number nor a name becomes that of the defaults.
    let priority = facility(header.get("facility")).unwrap_or(1) * 8 + severity(header.get("severity")).unwrap_or(6);
    out.extend_from_slice(format!("<{priority}>1 ").as_bytes());
    // RFC 5424 limits the lengths of the names; a time is one of RFC 3339 or nothing.
    let time = header.get("timestamp");
    name(if super::nanoseconds(time).is_some() { time } else { b"" }, 35, out);
    for (part, longest) in [("hostname", 255), ("app_name", 48), ("proc_id", 128), ("msg_id", 32)] {
        out.push(b' ');
        name(header.get(part), longest, out);
    }
    out.push(b' ');
    structured_data(row, out);
    let message = header.get("message");
    if !message.is_empty() {
        out.push(b' ');
        out.extend_from_slice(message);
    }
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
            _ => None,
        });
        out.push(b'"');
    }
    out.push(if is_empty { b'-' } else { b']' });
}
