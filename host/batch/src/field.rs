//! Paths to fields of an event, as written in options: `body`, `attributes.Record.eventName`,
//! `resource.host.name`.

use wattle_json::{Path, Segment};

use crate::context;

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
    /// `severity`, `trace_id`, `span_id` and `scope`, in the terms of OpenTelemetry. The batch keeps
    /// them in one object, so the head of the path is the root itself.
    Context,
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
            name if context::ROOTS.contains(&name) => Root::Context,
            _ => {
                return fail(format!("field `{text}` must begin with {}", Self::roots()));
            }
        };
        if rest.is_empty() && root != Root::Context {
            return Ok(Self::whole(root));
        }
        let is_text = root == Root::Timestamp || matches!(name, context::TRACE_ID | context::SPAN_ID);
        if is_text && !rest.is_empty() {
            return fail(format!("field `{text}`: `{name}` has no fields below it"));
        }
        let below = match Path::parse(if root == Root::Context { text } else { rest.strip_prefix('.').unwrap_or(rest) })
        {
            Ok(path) => path,
            Err(error) => return fail(format!("field `{text}`: {error}")),
        };
        let (head, tail) = match below.segments() {
            [] => return fail(format!("field `{text}` ends after the dot")),
            segments if segments.iter().any(|s| matches!(s, Segment::Each)) => {
                return fail(format!("field `{text}`: a field path cannot contain `[*]`"));
            }
            [Segment::Key(_), Segment::Index(_), ..] if root == Root::Context => {
                return fail(format!("field `{text}`: `{name}` is an object, so a key must follow it"));
            }
            [Segment::Key(key), tail @ ..] => (Some(key.clone()), tail),
            [_, ..] if root != Root::Body => {
                return fail(format!("field `{text}`: `{name}` is an object, so a key must follow it"));
            }
            segments => (None, segments),
        };
        Ok(Self { root, head, tail: tail.to_vec().into(), below })
    }

    /// The roots of paths, for messages.
    fn roots() -> String {
        format!("`body`, `attributes`, `resource`, `timestamp`, `{}`", context::ROOTS.join("`, `"))
    }

    /// Whether the path is `body`, `attributes`, `resource` or `timestamp` as a whole.
    pub fn is_whole(&self) -> bool {
        self.below.segments().is_empty()
    }
}

/// The path as it stands in options.
impl std::fmt::Display for FieldPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.root {
            Root::Body => "body",
            Root::Attributes => "attributes",
            Root::Resource => "resource",
            Root::Timestamp => "timestamp",
            // The path begins with the root.
            Root::Context => return self.below.fmt(f),
        })?;
        match self.below.segments().first() {
            None => Ok(()),
            Some(Segment::Key(_)) => write!(f, ".{}", self.below),
            Some(_) => self.below.fmt(f),
        }
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
        for (text, head, tail) in [("trace_id", "trace_id", 0), ("severity.number", "severity", 1)] {
            let path = FieldPath::parse(text).unwrap();
            assert_eq!((path.root, path.head.as_deref()), (Root::Context, Some(head)));
            assert!(path.tail.segments().len() == tail && !path.is_whole());
        }
    }

    #[test]
    fn paths_are_shown_as_they_are_written() {
        for text in
            ["body", "attributes.a.\"b.c\"[2]", "body[0].x", "resource.host.name", "timestamp", "severity.number"]
        {
            assert_eq!(FieldPath::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_error_names_the_invalid_part() {
        for (text, part) in [
            ("message", "must begin with `body`"),
            ("", "must begin with `body`"),
            ("timestamp.x", "no fields below"),
            ("trace_id.x", "no fields below"),
            ("severity[0]", "a key must follow"),
            ("scope.", "scope."),
            ("attributes[0]", "a key must follow"),
            ("attributes.a[*]", "cannot contain `[*]`"),
            ("attributes.", "attributes."),
        ] {
            let error = FieldPath::parse(text).unwrap_err();
            assert!(error.message.contains(part), "{text}: {error}");
        }
    }
}
