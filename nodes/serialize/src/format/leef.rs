//! `leef`: IBM QRadar Log Event Extended Format 2.0 ("LEEF event components").

use super::{Row, write_key};

pub(crate) fn write(row: &mut Row<'_>, separator: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(b"LEEF:2.0");
    for part in ["vendor", "product", "version", "event_id"] {
        out.push(b'|');
        // The format has no escapes in the header.
        out.extend(row.header.get(part).iter().map(|&b| if matches!(b, b'|' | b'\n' | b'\r') { b' ' } else { b }));
    }
    out.push(b'|');
    // A separator other than a tab is named in the header.
    if separator != b'\t' {
        out.push(separator);
    }
    out.push(b'|');
    let mut memory = Vec::new();
    for (number, (key, value)) in row.present().enumerate() {
        if number > 0 {
            out.push(separator);
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        write_key(key, row.keys, out, |byte| is_name(byte) && byte != separator);
        out.push(b'=');
        // Nor in values: a separator or a line break would end the value.
        let is_end = |byte: u8| byte == separator || matches!(byte, b'\n' | b'\r');
        let text = row.documents.text(value, &mut memory);
        out.extend(text.iter().map(|&byte| if is_end(byte) { b' ' } else { byte }));
    }
}
