//! Paths to fields: a root of the event, and the path below it.

use wattle_document::{Documents, Route, Step};
use wattle_node::json::Path;

use crate::takes::Takes;

/// The part of an event that a field is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    Body,
    Attributes,
    Resource,
    Timestamp,
    Severity,
    TraceId,
    SpanId,
    Scope,
}

/// Number of roots.
pub(crate) const ROOTS: usize = Root::ALL.len();

impl Root {
    pub(crate) const ALL: [Self; 8] = [
        Self::Body,
        Self::Attributes,
        Self::Resource,
        Self::Timestamp,
        Self::Severity,
        Self::TraceId,
        Self::SpanId,
        Self::Scope,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Attributes => "attributes",
            Self::Resource => "resource",
            Self::Timestamp => "timestamp",
            Self::Severity => "severity",
            Self::TraceId => "trace_id",
            Self::SpanId => "span_id",
            Self::Scope => "scope",
        }
    }

    /// Whether it is an object with fields below it.
    pub(crate) const fn is_object(self) -> bool {
        matches!(self, Self::Attributes | Self::Resource | Self::Severity | Self::Scope)
    }
}

/// How many values a path may lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One.
    Single,
    /// All elements of an array, by `[*]`.
    Each,
    /// Also all keys that fit, by `*` in a key.
    Pattern,
}

/// A field that a step uses.
#[derive(Debug)]
pub(crate) struct Field {
    /// As the options write it.
    pub(crate) name: Box<str>,
    pub(crate) root: Root,
    /// The path below the root.
    pub(crate) route: Route,
    /// Which values it takes.
    pub(crate) takes: Takes,
}

impl Field {
    /// Reads a path.
    pub(crate) fn new(text: &str, shape: Shape, documents: &mut Documents) -> Result<Self, String> {
        let end = text.find(['.', '[']).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end).unwrap_or((text, ""));
        let Some(root) = Root::ALL.into_iter().find(|root| root.name() == name) else {
            let roots = Root::ALL.map(Root::name).join("`, `");
            return Err(format!("field `{text}` begins with none of `{roots}`"));
        };
        let field = |route, takes| Self { name: text.into(), root, route, takes };
        if rest.is_empty() {
            return Ok(field(Route::default(), Takes::of(root, &[])));
        }
        if root != Root::Body && !root.is_object() {
            return Err(format!("field `{text}`: `{name}` has no fields below it"));
        }
        let below = rest.strip_prefix('.').unwrap_or(rest);
        let path = Path::parse(below).map_err(|error| format!("field `{text}`: {error}"))?;
        let route = match shape {
            Shape::Pattern => documents.pattern(below).map_err(|error| format!("field `{text}`: {error}"))?,
            _ => documents.route(&path),
        };
        match route.steps().first() {
            None => return Err(format!("field `{text}` ends after the dot")),
            Some(Step::Index(_) | Step::Each) if root != Root::Body => {
                return Err(format!("field `{text}`: `{name}` is an object, so a key must follow it"));
            }
            _ => {}
        }
        if shape == Shape::Single && !route.is_single() {
            return Err(format!("field `{text}`: `[*]` is not possible here, because one value is needed"));
        }
        Ok(field(route, Takes::of(root, path.segments())))
    }

    /// Whether this is the body as a text, which can have any bytes.
    pub(crate) fn is_whole_body(&self) -> bool {
        self.is_whole() && self.root == Root::Body
    }

    /// Whether this is a root as a whole.
    pub(crate) fn is_whole(&self) -> bool {
        self.route.steps().is_empty()
    }
}
