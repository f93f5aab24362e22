//! `cef`: ArcSight Common Event Format ("Implementing ArcSight Common Event Format", version 26).

use super::{Row, escape, write_key};

/// Names of severities, of which each stands for some of the numbers from 0 to 10.
pub(crate) const SEVERITIES: [&str; 5] = ["Unknown", "Low", "Medium", "High", "Very-High"];

/// Whether a text is a severity as the format writes it.
pub(crate) fn is_severity(text: &[u8]) -> bool {
    SEVERITIES.iter().any(|name| name.as_bytes() == text) || matches!(text, [b'0'..=b'9'] | b"10")
}

/// The severity of a text: a number, or a name in any case. Any other text is `Unknown`.
fn severity(text: &[u8]) -> &[u8] {
    if is_severity(text) {
        return text;
    }
    SEVERITIES.iter().find(|name| name.as_bytes().eq_ignore_ascii_case(text)).unwrap_or(&SEVERITIES[0]).as_bytes()
}

pub(crate) fn write(row: &mut Row<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"CEF:0");
    for part in ["vendor", "product", "version", "signature_id", "name", "severity"] {
        out.push(b'|');
        let text = row.header.get(part);
        escape(if part == "severity" { severity(text) } else { text }, out, |byte| match byte {
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
