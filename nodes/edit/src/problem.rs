//! Why a step cannot change a value.

use wattle_node::json::{Kind, Path};

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
    /// The value is a text without characters, or of white space only.
    Empty(&'static str),
    /// Something on the path cannot have what follows there.
    NoPlace(Obstacle),
    /// The field is below the body, and the body is not JSON.
    NotJson,
    /// Objects and arrays would lie too deep inside each other.
    TooDeep,
    /// The value is not a time.
    BadTimestamp,
    /// The value for a time is an empty text.
    EmptyTimestamp,
}

/// Where a path ends too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// After so many steps, the next of which is a key, there is a value of this kind.
    NotAnObject(usize, Kind),
    /// After so many steps, the next of which is a number, there is a value of this kind; of an array, which has fewer
    /// elements.
    NoElement(usize, Kind),
    /// Below one of the elements that `[*]` means.
    InElement,
}

impl Obstacle {
    fn reason(self, field: &str) -> String {
        let segments = Path::parse(field).unwrap_or_default();
        let before = |steps: usize| {
            // The root is the first segment of the path.
            let first = segments.segments().get(..=steps).unwrap_or_default();
            Path::from(first.to_vec())
        };
        match self {
            Self::NotAnObject(steps, kind) => format!("`{}` is {}, not an object", before(steps), a_kind(kind)),
            Self::NoElement(steps, Kind::Array) => match segments.segments().get(steps + 1) {
                Some(element) => format!("the array `{}` has no element {element}", before(steps)),
                None => format!("the array `{}` has too few elements", before(steps)),
            },
            Self::NoElement(steps, Kind::Missing) => {
                format!("the event has no `{}`, and only objects are made", before(steps))
            }
            Self::NoElement(steps, kind) => format!("`{}` is {}, not an array", before(steps), a_kind(kind)),
            Self::InElement => "something on its path, in an element of the array, is not an object".to_owned(),
        }
    }
}

/// A kind with its article.
fn a_kind(kind: Kind) -> String {
    match kind {
        Kind::Null => "null".to_owned(),
        Kind::Bool => "a boolean".to_owned(),
        Kind::Array | Kind::Object => format!("an {}", kind.name()),
        kind => format!("a {}", kind.name()),
    }
}

impl Problem {
    /// The code of the failure.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Missing | Self::NoFact => "missing-field",
            Self::WrongType(..) => "wrong-type",
            Self::BadValue(_) | Self::Empty(_) => "bad-value",
            Self::NoPlace(_) => "no-place",
            Self::NotJson => "not-json",
            Self::TooDeep => "too-deep",
            Self::BadTimestamp | Self::EmptyTimestamp => "bad-timestamp",
        }
    }

    /// The sentence for people, about the field with this name.
    pub(crate) fn message(self, step: usize, field: &str) -> String {
        const TIME: &str = "a time of RFC 3339 between the years 1677 and 2262";
        let step = format!("steps[{step}]");
        match self {
            Self::Missing => format!("{step}: the event has no value at `{field}`"),
            Self::NoFact => format!("{step}: the machine has no `{field}`; give a `default`"),
            Self::WrongType(kind, wanted) => format!("{step}: `{field}` is {}, not {wanted}", a_kind(kind)),
            Self::BadValue(wanted) => format!("{step}: the value of `{field}` is not {wanted}"),
            Self::Empty(wanted) => format!("{step}: the value of `{field}` is an empty text, not {wanted}"),
            Self::NoPlace(obstacle) => {
                format!("{step}: `{field}` could not be set, because {}", obstacle.reason(field))
            }
            Self::NotJson if field == "body" => {
                format!("{step}: the body is not JSON, so it has no fields")
            }
            Self::NotJson => format!("{step}: the body is not JSON, so it has no field `{field}`"),
            Self::TooDeep => {
                format!("{step}: objects and arrays in `{field}` lie more than 512 deep inside each other")
            }
            Self::BadTimestamp => format!("{step}: the value for `{field}` is not {TIME}"),
            Self::EmptyTimestamp => format!("{step}: the value for `{field}` is an empty text, not {TIME}"),
        }
    }
}
