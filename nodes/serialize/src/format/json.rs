//! `json` and `gelf`: objects of JSON.

use wattle_convert::syslog;
use wattle_node::json::{Kind, escape};

use super::Row;

/// Appends a string with its quotes.
pub(crate) fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    escape(text, out);
    out.push(b'"');
}

/// Writes an object of the members with dotted keys.
pub(crate) fn write_flat(row: &mut Row<'_>, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut is_first = true;
    let mut memory = Vec::new();
    for member in row.members.list().iter().filter(|member| member.value.kind() != Kind::Missing) {
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        memory.clear();
        memory.extend_from_slice(row.members.key(member));
        row.keys.add(&mut memory, 0, usize::MAX);
        write_string(&memory, out);
        out.push(b':');
        row.documents.json(member.value, out);
    }
    out.push(b'}');
}

/// Writes a message of GELF 1.1 (<https://go2docs.graylog.org/current/getting_in_log_data/gelf.html>).
pub(crate) fn write_gelf(row: &mut Row<'_>, out: &mut Vec<u8>) {
    let header = row.header;
    out.extend_from_slice(b"{\"version\":\"1.1\",\"host\":");
    // The format requires a host and a message, and Graylog refuses those of white space only.
    let or = |part: &str, other: &'static [u8]| {
        let text = header.get(part);
        if text.trim_ascii().is_empty() { other } else { text }
    };
    write_string(or("host", b"unknown"), out);
    out.extend_from_slice(b",\"short_message\":");
    write_string(or("short_message", b"-"), out);
    let full = header.get("full_message");
    if !full.is_empty() {
        out.extend_from_slice(b",\"full_message\":");
        write_string(full, out);
    }
    if let Some(nanoseconds) = super::nanoseconds(header.get("timestamp")) {
        let milliseconds = nanoseconds.div_euclid(1_000_000);
        // The fraction of a number has the sign of the whole: half a second before 1970 is -0.5.
        let (sign, milliseconds) = (if milliseconds < 0 { "-" } else { "" }, milliseconds.unsigned_abs());
        let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
        out.extend_from_slice(format!(",\"timestamp\":{sign}{seconds}.{rest:03}").as_bytes());
    }
    let level = syslog::severity(header.get("level")).unwrap_or(6);
    out.extend_from_slice(format!(",\"level\":{level}").as_bytes());
    let mut memory = Vec::new();
    for (key, value) in row.present() {
        out.extend_from_slice(b",\"_");
        // Graylog reserves `_id`.
        let key = if key == b"id" { b"id_" } else { key };
        super::write_key(key, row.keys, out, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
        out.extend_from_slice(b"\":");
        // Values are strings or numbers.
        match value.kind() {
            Kind::Number => row.documents.json(value, out),
            _ => write_string(row.documents.text(value, &mut memory), out),
        }
    }
    out.push(b'}');
}
