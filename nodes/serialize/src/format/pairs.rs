//! `logfmt` and `key_value`: pairs of keys and values. Values are quoted as Go's logfmt does
//! (`github.com/go-logfmt/logfmt`): if they are empty, or have spaces, quotes or separators.

use super::{Row, write_key};

/// The separators.
#[derive(Debug)]
pub(crate) struct Separators {
    pub(crate) pairs: Vec<u8>,
    pub(crate) pair: Vec<u8>,
}

pub(crate) fn write(row: &mut Row<'_>, separators: &Separators, out: &mut Vec<u8>) {
    let mut memory = Vec::new();
    let mut is_first = true;
    for (key, value) in row.present() {
        if !std::mem::take(&mut is_first) {
            out.extend_from_slice(&separators.pairs);
        }
        let is_separator = |byte: u8| separators.pairs.contains(&byte) || separators.pair.contains(&byte);
        write_key(key, row.keys, out, |byte| byte > b' ' && byte != b'"' && byte != 0x7f && !is_separator(byte));
        out.extend_from_slice(&separators.pair);
        write_value(row.documents.text(value, &mut memory), is_separator, out);
    }
}

fn write_value(text: &[u8], is_separator: impl Fn(u8) -> bool, out: &mut Vec<u8>) {
    let is_plain = |byte: u8| byte > b' ' && !matches!(byte, b'"' | b'\\' | b'=' | 0x7f) && !is_separator(byte);
    // Readers of pairs take a single quote at the start for one around the value.
    if !text.is_empty() && !text.starts_with(b"'") && text.iter().all(|byte| is_plain(*byte)) {
        return out.extend_from_slice(text);
    }
    // JSON has the same escapes.
    out.push(b'"');
    wattle_node::json::escape(text, out);
    out.push(b'"');
}
