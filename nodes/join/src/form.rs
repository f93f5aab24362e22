//! Joins texts.

use wattle_node::json;

use crate::cri::Line;
use crate::options::As;

/// How texts become one.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// With a separator between them.
    Text(Box<[u8]>),
    /// As elements of a JSON array.
    Array,
    /// As messages of a container runtime, whose first line gives the time and the stream.
    Cri,
}

impl Form {
    pub(crate) fn new(form: As, separator: &str) -> Self {
        match form {
            As::Text => Self::Text(separator.as_bytes().into()),
            As::Array => Self::Array,
        }
    }

    /// Whether the result is JSON.
    pub(crate) const fn is_json(&self) -> bool {
        matches!(self, Self::Array)
    }

    /// Adds a text to those that `out` ends with.
    pub(crate) fn add(&self, text: &[u8], is_first: bool, out: &mut Vec<u8>) {
        match self {
            Self::Text(separator) => {
                if !is_first {
                    out.extend_from_slice(separator);
                }
                out.extend_from_slice(text);
            }
            Self::Array => {
                out.push(if is_first { b'[' } else { b',' });
                if json::check(text, MAX_DEPTH).is_ok() {
                    out.extend_from_slice(text);
                } else {
                    out.push(b'"');
                    json::escape(String::from_utf8_lossy(text).as_bytes(), out);
                    out.push(b'"');
                }
            }
            Self::Cri if is_first => out.extend_from_slice(text),
            Self::Cri => out.extend_from_slice(Line::parse(text).map_or(text, |line| line.message)),
        }
    }

    /// Completes the texts that `out` has from `start` on. `is_whole` says that the last one arrived.
    pub(crate) fn finish(&self, is_whole: bool, start: usize, out: &mut Vec<u8>) {
        match self {
            Self::Text(_) => {}
            Self::Array => out.push(b']'),
            Self::Cri => {
                let tag_at = out.get(start..).and_then(Line::parse).map(|line| start + line.tag_at);
                if let Some(tag) = tag_at.and_then(|at| out.get_mut(at)).filter(|_| is_whole) {
                    *tag = b'F';
                }
            }
        }
    }

    /// Bytes that a text adds to the joined text, without escapes.
    pub(crate) fn cost(&self, text: &[u8]) -> usize {
        match self {
            Self::Text(separator) => text.len() + separator.len(),
            Self::Array => text.len() + 1,
            Self::Cri => text.len(),
        }
    }
}

/// Depth of a JSON text that stays JSON inside an array; the host accepts 512.
const MAX_DEPTH: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(form: &Form, texts: &[&str], is_whole: bool) -> String {
        let mut out = b"before".to_vec();
        for (index, text) in texts.iter().enumerate() {
            form.add(text.as_bytes(), index == 0, &mut out);
        }
        form.finish(is_whole, 6, &mut out);
        String::from_utf8(out.split_off(6)).unwrap()
    }

    #[test]
    fn texts_are_joined_in_each_form() {
        assert_eq!(joined(&Form::new(As::Text, "\n"), &["a", "", "b"], true), "a\n\nb");
        let texts = [r#"{"a": 1}"#, "x\"", "[1", "2"];
        assert_eq!(joined(&Form::Array, &texts, true), r#"[{"a": 1},"x\"","[1",2]"#);
        let lines = ["2024-05-01T00:00:00Z stdout P a ", "2024-05-01T00:00:01Z stdout F b"];
        assert_eq!(joined(&Form::Cri, &lines, true), "2024-05-01T00:00:00Z stdout F a b");
        assert_eq!(joined(&Form::Cri, &lines[..1], false), "2024-05-01T00:00:00Z stdout P a ");
    }

    #[test]
    fn an_empty_first_text_is_followed_by_a_separator() {
        assert_eq!(joined(&Form::new(As::Text, "\n"), &["", "a"], true), "\na");
    }
}
