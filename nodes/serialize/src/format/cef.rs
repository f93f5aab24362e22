//! `cef`: ArcSight Common Event Format ("Implementing ArcSight Common Event Format", version 26).

use super::{Row, escape, write_key};

pub(crate) fn write(row: &mut Row<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"CEF:0");
    for part in ["vendor", "product", "version", "signature_id", "name", "severity"] {
        out.push(b'|');
        escape(row.header.get(part), out, |byte| match byte {
            b'\\' => Some(b"\\\\"),
            b'|' => Some(b"\\|"),
            // A header has no escape for line breaks.
            b'\n' | b'\r' => Some(b" "),
            _ => None,
        });
    }
    out.push(b'|');
    let mut memory = Vec::new();
    for (number, (key, value)) in row.present().enumerate() {
        if number > 0 {
            out.push(b' ');
        }
        write_key(key, row.keys, out, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
        out.push(b'=');
        escape(row.documents.text(value, &mut memory), out, |byte| match byte {
            b'\\' => Some(b"\\\\"),
            b'=' => Some(b"\\="),
            b'\n' => Some(b"\\n"),
            b'\r' => Some(b"\\r"),
            _ => None,
        });
    }
}
