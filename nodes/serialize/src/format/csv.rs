//! `csv`: one line of RFC 4180.

use super::Row;

pub(crate) fn write(row: &Row<'_>, separator: u8, out: &mut Vec<u8>) {
    let mut memory = Vec::new();
    for (number, member) in row.members.list().iter().enumerate() {
        if number > 0 {
            out.push(separator);
        }
        if member.value.kind() <= wattle_node::json::Kind::Null {
            continue;
        }
        let text = row.documents.text(member.value, &mut memory);
        let is_special = |byte: &u8| *byte == separator || matches!(byte, b'"' | b'\n' | b'\r');
        // A space at an end, or an empty text, would not come back the same way from every reader.
        let is_quoted = text.is_empty() || text.iter().any(is_special) || text.trim_ascii().len() != text.len();
        if !is_quoted {
            out.extend_from_slice(text);
            continue;
        }
        out.push(b'"');
        super::escape(text, out, |byte| (byte == b'"').then_some(b"\"\""));
        out.push(b'"');
    }
}
