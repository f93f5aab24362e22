//! `json`, `gelf` and `ecs`: objects of JSON.

use wattle_convert::syslog;
use wattle_document::{Content, Documents, Place, Route};
use wattle_node::json::{Kind, Path, escape};

use super::Row;

/// Appends a string with its quotes.
pub(crate) fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    escape(text, out);
    out.push(b'"');
}

/// Writes an object of the members with dotted keys.
pub(crate) fn write_flat(row: &Row<'_>, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut is_first = true;
    for member in row.members.list().iter().filter(|member| member.value.kind() != Kind::Missing) {
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        write_string(row.members.key(member), out);
        out.push(b':');
        row.documents.json(member.value, out);
    }
    out.push(b'}');
}

/// Writes a message of GELF 1.1 (<https://go2docs.graylog.org/current/getting_in_log_data/gelf.html>).
pub(crate) fn write_gelf(row: &Row<'_>, out: &mut Vec<u8>) {
    let header = row.header;
    out.extend_from_slice(b"{\"version\":\"1.1\",\"host\":");
    // The format requires a host.
    let host = header.get("host");
    write_string(if host.is_empty() { b"unknown" } else { host }, out);
    out.extend_from_slice(b",\"short_message\":");
    write_string(header.get("short_message"), out);
    let full = header.get("full_message");
    if !full.is_empty() {
        out.extend_from_slice(b",\"full_message\":");
        write_string(full, out);
    }
    if let Some(nanoseconds) = super::nanoseconds(header.get("timestamp")) {
        let milliseconds = nanoseconds.div_euclid(1_000_000);
        let (seconds, rest) = (milliseconds.div_euclid(1000), milliseconds.rem_euclid(1000));
        out.extend_from_slice(format!(",\"timestamp\":{seconds}.{rest:03}").as_bytes());
    }
    let level = syslog::severity(header.get("level")).unwrap_or(6);
    out.extend_from_slice(format!(",\"level\":{level}").as_bytes());
    let mut memory = Vec::new();
    for (key, value) in row.present() {
        out.extend_from_slice(b",\"_");
        super::write_key(key, out, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
        // Graylog reserves `_id`.
        if key == b"id" {
            out.push(b'_');
        }
        out.extend_from_slice(b"\":");
        // Values are strings or numbers.
        match value.kind() {
            Kind::Number => row.documents.json(value, out),
            _ => write_string(row.documents.text(value, &mut memory), out),
        }
    }
    out.push(b'}');
}

/// The places of the parts of an ECS envelope.
#[derive(Debug)]
pub(crate) struct Ecs(Vec<(&'static str, Route)>);

impl Ecs {
    pub(crate) fn new(documents: &mut Documents) -> Self {
        let places = [
            ("timestamp", "\"@timestamp\""),
            ("message", "message"),
            ("log_level", "log.level"),
            ("host_name", "host.name"),
            ("service_name", "service.name"),
        ];
        let route = |(part, path): (&'static str, &str)| Some((part, documents.route(&Path::parse(path).ok()?)));
        Self(places.into_iter().filter_map(route).collect())
    }

    /// Puts the envelope into an object and writes it. A part whose place is taken by something
    /// else than an object is left out.
    pub(crate) fn write(
        &self,
        documents: &mut Documents,
        object: Place,
        header: &crate::header::Header,
        out: &mut Vec<u8>,
    ) {
        for (part, route) in &self.0 {
            let text = header.get(part);
            if !text.is_empty() {
                let content: Content = documents.new_text(text);
                let _ = documents.put(object, route, content);
            }
        }
        documents.write(object, out);
    }
}
