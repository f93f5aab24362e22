//! Other layouts of compact JSON: indented, or escaped as the contents of a JSON string.
//!
//! The generator writes compact records only; these two passes derive all other layouts from them.

use memchr::{memchr2, memchr3};

/// Appends `compact` (one well-formed JSON text without whitespace), indented by two spaces per
/// level like `jq` does.
pub(crate) fn pretty(compact: &[u8], out: &mut Vec<u8>) {
    let mut depth = 0_usize;
    let mut bytes = compact;
    while let Some((&byte, rest)) = bytes.split_first() {
        bytes = rest;
        match byte {
            b'"' => {
                let (text, after) = split_string(rest);
                out.push(b'"');
                out.extend_from_slice(text);
                bytes = after;
            }
            b'{' | b'[' => {
                out.push(byte);
                match rest.split_first() {
                    Some((&close @ (b'}' | b']'), after)) => {
                        out.push(close);
                        bytes = after;
                    }
                    _ => {
                        depth += 1;
                        new_line(depth, out);
                    }
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                new_line(depth, out);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                new_line(depth, out);
            }
            b':' => out.extend_from_slice(b": "),
            other => out.push(other),
        }
    }
}

/// Appends `text`, escaped for the inside of a JSON string.
///
/// `text` must not contain control characters other than line feeds; generated text never does.
pub(crate) fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut left = text;
    while let Some(at) = memchr3(b'"', b'\\', b'\n', left) {
        let (plain, special) = left.split_at_checked(at).unwrap_or((left, &[]));
        out.extend_from_slice(plain);
        let Some((&byte, rest)) = special.split_first() else {
            return;
        };
        out.push(b'\\');
        out.push(if byte == b'\n' { b'n' } else { byte });
        left = rest;
    }
    out.extend_from_slice(left);
}

/// Starts a line that is indented by `depth` levels.
fn new_line(depth: usize, out: &mut Vec<u8>) {
    out.push(b'\n');
    out.extend(std::iter::repeat_n(b' ', depth * 2));
}

/// Splits the text that follows an opening quote just after the closing quote.
fn split_string(text: &[u8]) -> (&[u8], &[u8]) {
    let mut end = 0;
    loop {
        let left = text.get(end..).unwrap_or_default();
        let Some(at) = memchr2(b'"', b'\\', left) else {
            return (text, &[]);
        };
        let closes = left.get(at) == Some(&b'"');
        end += at + if closes { 1 } else { 2 };
        if closes {
            return text.split_at_checked(end).unwrap_or((text, &[]));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn indents_as_serde_json_does() {
        for compact in [
            r#"{"a":{},"b":[],"c":[1,{"d":"x\"y,{\\"},null],"e":"[:]"}"#,
            r#"[]"#,
            r#""plain \\""#,
            r#"[[[true,-1.5]]]"#,
        ] {
            let value: Value = serde_json::from_str(compact).unwrap();
            let mut out = Vec::new();
            pretty(compact.as_bytes(), &mut out);
            let expected = serde_json::to_string_pretty(&value).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn escapes_the_characters_that_json_requires() {
        let text = "{\"a\":\"b\\\"c\\\\\"}\n é";
        let mut out = Vec::new();
        escape(text.as_bytes(), &mut out);
        let quoted = format!("\"{}\"", String::from_utf8(out).unwrap());
        assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
    }
}
