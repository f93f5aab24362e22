//! Paths to fields of an event, as written in options: `body`, `attributes.Record.eventName`,
//! `resource.host.name`.

use wattle_json::{Path, Segment};

/// The part of an event at the start of a field path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Root {
    /// The text of the event; longer paths read it as JSON.
    Body,
    /// The JSON object of attributes.
    Attributes,
    /// The JSON object that describes the origin of the event.
    Resource,
    /// The time of the event.
    Timestamp,
}

/// The form of the values in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Strings without quotes and unescaped, every other value as its JSON text.
    Text,
    /// Every value as its JSON text.
    Json,
}

/// A parsed field path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath {
    /// Where the path begins.
    pub root: Root,
    /// The first key below the root; for `attributes` and `resource`, the name of the attribute.
    pub(crate) head: Option<Box<str>>,
    /// The path after the first key.
    pub(crate) tail: Path,
    /// Everything below the root.
    pub(crate) below: Path,
}

/// Why a text is not a field path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPathError {
    /// Explanation for the operator.
    pub message: String,
}

impl std::fmt::Display for FieldPathError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for FieldPathError {}

impl FieldPath {
    /// The whole body.
    pub fn body() -> Self {
        Self::whole(Root::Body)
    }

    /// A whole root.
    pub fn whole(root: Root) -> Self {
        Self { root, head: None, tail: Path::default(), below: Path::default() }
    }

    /// Parses a path.
    ///
    /// # Errors
    ///
    /// The root or segment that is wrong.
    pub fn parse(text: &str) -> Result<Self, FieldPathError> {
        let fail = |message: String| Err(FieldPathError { message });
        let end = text.find(['.', '[']).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end).unwrap_or((text, ""));
        let root = match name {
            "body" => Root::Body,
            "attributes" => Root::Attributes,
            "resource" => Root::Resource,
            "timestamp" => Root::Timestamp,
            _ => {
                return fail(format!("field `{text}` must begin with `body`, `attributes`, `resource` or `timestamp`"));
            }
        };
        if rest.is_empty() {
            return Ok(Self::whole(root));
        }
        if root == Root::Timestamp {
            return fail(format!("field `{text}`: a timestamp has no fields below it"));
        }
        let below = match Path::parse(rest.strip_prefix('.').unwrap_or(rest)) {
            Ok(path) => path,
            Err(error) => return fail(format!("field `{text}`: {error}")),
        };
        let (head, tail) = match below.segments() {
            [] => return fail(format!("field `{text}` ends after the dot")),
            segments if segments.iter().any(|s| matches!(s, Segment::Each)) => {
                return fail(format!("field `{text}`: a field path cannot contain `[*]`"));
            }
            [Segment::Key(key), tail @ ..] => (Some(key.clone()), tail),
            [_, ..] if root != Root::Body => {
                return fail(format!("field `{text}`: `{name}` is an object, so a key must follow it"));
            }
            segments => (None, segments),
        };
        Ok(Self { root, head, tail: tail.to_vec().into(), below })
    }

    /// Whether the path is a root as a whole.
    pub fn is_whole(&self) -> bool {
        self.below.segments().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_roots_and_paths_below_them() {
        let path = FieldPath::parse("attributes.Record.\"a.b\"[2]").unwrap();
        assert_eq!((path.root, path.head.as_deref()), (Root::Attributes, Some("Record")));
        assert_eq!(path.tail.segments().len(), 2);
        assert!(FieldPath::parse("body").unwrap().is_whole());
        assert_eq!(FieldPath::parse("body[0].x").unwrap().below.segments().len(), 2);
        assert!(FieldPath::parse("resource.host.name").is_ok());
    }

    #[test]
    fn an_error_names_the_invalid_part() {
        for (text, part) in [
            ("message", "must begin with `body`"),
            ("", "must begin with `body`"),
            ("timestamp.x", "no fields below"),
            ("attributes[0]", "a key must follow"),
            ("attributes.a[*]", "cannot contain `[*]`"),
            ("attributes.", "attributes."),
        ] {
            let error = FieldPath::parse(text).unwrap_err();
            assert!(error.message.contains(part), "{text}: {error}");
        }
    }
}
