//! What the roots of OpenTelemetry take: `severity`, `trace_id`, `span_id` and `scope`.
//!
//! The host checks the result of all steps and fails an event with another value. The node checks earlier where it can do
//! something better: it refuses such a constant in the options, and it honours `on_error`.

use wattle_convert::otel;
use wattle_node::json::{self, Kind, Segment, Value};

use crate::field::Root;

/// What a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    Anything,
    /// So many hexadecimal digits, not all 0.
    Id(usize),
    /// `severity` as a whole.
    Severity,
    /// The number of a severity.
    Number,
    /// `scope` as a whole.
    Scope,
    /// A string: a member of these.
    Text,
    /// An object: the attributes of a scope.
    Object,
    /// Nothing: the root has no such member.
    NoMember(Root),
}

impl Takes {
    /// What the field at a path below a root takes.
    pub(crate) fn of(root: Root, below: &[Segment]) -> Self {
        let member = match below {
            [] => None,
            [Segment::Key(key), rest @ ..] => Some((key.as_bytes(), rest.is_empty())),
            _ => return Self::Anything,
        };
        match (root, member) {
            (Root::TraceId, _) => Self::Id(otel::TRACE_ID),
            (Root::SpanId, _) => Self::Id(otel::SPAN_ID),
            (Root::Severity, None) => Self::Severity,
            (Root::Scope, None) => Self::Scope,
            (Root::Severity | Root::Scope, Some((key, is_last))) => match Self::member(root, key) {
                // Attributes of a scope have values of any kind.
                Self::Object if !is_last => Self::Anything,
                _ if !is_last => Self::NoMember(root),
                member => member,
            },
            _ => Self::Anything,
        }
    }

    fn member(root: Root, key: &[u8]) -> Self {
        match (root, key) {
            (Root::Severity, b"text") | (Root::Scope, b"name" | b"version") => Self::Text,
            (Root::Severity, b"number") => Self::Number,
            (Root::Scope, b"attributes") => Self::Object,
            _ => Self::NoMember(root),
        }
    }

    /// Whether it takes a value in text form. Null removes a value.
    pub(crate) fn fits(self, kind: Kind, text: &[u8]) -> bool {
        if kind == Kind::Null {
            return true;
        }
        match self {
            Self::Anything => true,
            Self::Id(digits) => kind == Kind::String && otel::is_id(text, digits),
            Self::Severity => kind == Kind::Object && Self::members_fit(Root::Severity, text),
            Self::Scope => kind == Kind::Object && Self::members_fit(Root::Scope, text),
            Self::Number => matches!(kind, Kind::Number | Kind::String) && otel::severity_number(text).is_some(),
            Self::Text => kind == Kind::String,
            Self::Object => kind == Kind::Object,
            Self::NoMember(_) => false,
        }
    }

    fn members_fit(root: Root, text: &[u8]) -> bool {
        let mut all_fit = true;
        let object = Value { start: 0, end: text.len(), kind: Kind::Object };
        let walked = json::members(text, object, |key, value| {
            let takes = Self::member(root, key.string(text).unwrap_or_default());
            all_fit &= takes.fits(value.kind, value.string(text).unwrap_or_else(|| value.text(text)));
        });
        walked.is_ok() && all_fit
    }

    /// What it takes, for messages.
    pub(crate) const fn wanted(self) -> &'static str {
        match self {
            Self::Anything => "a value",
            Self::Id(otel::TRACE_ID) => "32 hexadecimal digits that are not all 0",
            Self::Id(_) => "16 hexadecimal digits that are not all 0",
            Self::Severity => "an object with `text` (a string) and `number` (1 to 24)",
            Self::Number => "a whole number from 1 to 24",
            Self::Scope => "an object with `name`, `version` (strings) and `attributes` (an object)",
            Self::Text => "a string",
            Self::Object => "an object",
            Self::NoMember(Root::Severity) => "no value, because `severity` has `text` and `number` only",
            Self::NoMember(_) => "no value, because `scope` has `name`, `version` and `attributes` only",
        }
    }
}
