//! Why a step cannot change a value.

use wattle_node::json::Kind;

/// Why a step cannot change a value. The text never holds contents of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The field is missing or null.
    Missing,
    /// The machine lacks the fact.
    NoFact,
    /// The value has another type than the step takes.
    WrongType(Kind, &'static str),
    /// The value has the right type but not the right form.
    BadValue(&'static str),
    /// Something on the path is not an object.
    NoPlace,
    /// The field is below the body, and the body is not JSON.
    NotJson,
    /// Objects and arrays would lie too deep inside each other.
    TooDeep,
    /// The value is not a time.
    BadTimestamp,
}

impl Problem {
    /// The code of the failure.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Missing | Self::NoFact => "missing-field",
            Self::WrongType(..) => "wrong-type",
            Self::BadValue(_) => "bad-value",
            Self::NoPlace => "no-place",
            Self::NotJson => "not-json",
            Self::TooDeep => "too-deep",
            Self::BadTimestamp => "bad-timestamp",
        }
    }

    /// The sentence for people, about the field with this name.
    pub(crate) fn message(self, step: usize, field: &str) -> String {
        let step = format!("steps[{step}]");
        match self {
            Self::Missing => format!("{step}: the event has no value at `{field}`"),
            Self::NoFact => format!("{step}: the machine has no `{field}`; give a `default`"),
            Self::WrongType(kind, wanted) => {
                let article = if matches!(kind, Kind::Array | Kind::Object) { "an" } else { "a" };
                let kind = if kind == Kind::Bool { "boolean" } else { kind.name() };
                format!("{step}: `{field}` is {article} {kind}, not {wanted}")
            }
            Self::BadValue(wanted) => format!("{step}: the value of `{field}` is not {wanted}"),
            Self::NoPlace => {
                format!("{step}: `{field}` could not be set, because something on its path is not an object")
            }
            Self::NotJson => format!("{step}: `{field}` is below the body, and the body is not JSON"),
            Self::TooDeep => {
                format!("{step}: objects and arrays in `{field}` lie more than 512 deep inside each other")
            }
            Self::BadTimestamp => {
                format!("{step}: the value for `{field}` is not a time of RFC 3339 between the years 1678 and 2262")
            }
        }
    }
}
