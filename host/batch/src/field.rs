//! Paths to fields of an event, as options write them: `body`, `attributes.Record.eventName`, `resource.host.name`.

use wattle_json::{Path, Segment};

/// The part of an event that a field path begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Root {
    /// The text of the event; deeper paths look into it as JSON.
    Body,
    /// The JSON object of attributes.
    Attributes,
    /// The JSON object that says where the event came from.
    Resource,
    /// The time of the event.
    Timestamp,
}

/// How the values of a column are written.
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
    /// Where it begins.
    pub root: Root,
    /// The first key below the root, for `attributes` and `resource` the name of the attribute.
    pub(crate) head: Option<Box<str>>,
    /// What follows the first key.
    pub(crate) tail: Path,
    /// Everything below the root.
    pub(crate) below: Path,
}

/// Why a text is no field path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPathError {
    /// What is wrong, for people.
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
    /// Says which root or which segment is wrong.
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
                return fail(format!(
                    "field `{text}` begins with none of `body`, `attributes`, `resource`, `timestamp`"
                ));
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
                return fail(format!("field `{text}`: `[*]` is not possible in a field path"));
            }
            [Segment::Key(key), tail @ ..] => (Some(key.clone()), tail),
            [_, ..] if root != Root::Body => {
                return fail(format!("field `{text}`: `{name}` is an object, so a key must follow it"));
            }
            segments => (None, segments),
        };
        Ok(Self { root, head, tail: tail.to_vec().into(), below })
    }

    /// Whether the path names its root as a whole.
    pub fn is_whole(&self) -> bool {
        self.below.segments().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_roots_and_what_is_below() {
        let path = FieldPath::parse("attributes.Record.\"a.b\"[2]").unwrap();
        assert_eq!((path.root, path.head.as_deref()), (Root::Attributes, Some("Record")));
        assert_eq!(path.tail.segments().len(), 2);
        assert!(FieldPath::parse("body").unwrap().is_whole());
        assert_eq!(FieldPath::parse("body[0].x").unwrap().below.segments().len(), 2);
        assert!(FieldPath::parse("resource.host.name").is_ok());
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, part) in [
            ("message", "none of `body`"),
            ("", "none of `body`"),
            ("timestamp.x", "no fields below"),
            ("attributes[0]", "a key must follow"),
            ("attributes.a[*]", "`[*]` is not possible"),
            ("attributes.", "attributes."),
        ] {
            let error = FieldPath::parse(text).unwrap_err();
            assert!(error.message.contains(part), "{text}: {error}");
        }
    }
}
