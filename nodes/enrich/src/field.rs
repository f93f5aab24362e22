//! The fields that columns set: a root of the event, and the path below it.

use wattle_document::{Documents, Route};
use wattle_node::json::{Path, Segment};

use crate::roots::Root;

/// A field.
#[derive(Debug)]
pub(crate) struct Field {
    /// For messages.
    pub(crate) name: Box<str>,
    pub(crate) root: Root,
    pub(crate) route: Route,
}

/// The object that gets the columns of a lookup.
#[derive(Clone, Debug)]
pub(crate) struct Into {
    root: Root,
    segments: Vec<Segment>,
}

impl Into {
    /// Reads the path of an object.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let end = text.find(['.', '[']).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end).unwrap_or((text, ""));
        let Some(root) = Root::ALL.into_iter().find(|root| root.name() == name) else {
            return Err(format!("`{text}` begins with none of `body`, `attributes`, `resource`"));
        };
        let segments = match rest {
            "" => Vec::new(),
            rest => segments(rest.strip_prefix('.').unwrap_or(rest))?,
        };
        if matches!(segments.first(), Some(Segment::Index(_))) && root != Root::Body {
            return Err(format!("`{text}`: `{name}` is an object, so a key must follow it"));
        }
        Ok(Self { root, segments })
    }

    /// The field of a column that a list names.
    pub(crate) fn same(&self, column: &str, documents: &mut Documents) -> Result<Field, String> {
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if column.contains('.') && column.split('.').any(is_number) {
            return Err(format!(
                "the column is an element of an array; name its field, as in `columns = {{ \"{column}\" = \"first\" }}`"
            ));
        }
        if column == "." {
            return self.field(&[], documents);
        }
        // Names of CSV columns can be anything.
        let path = segments(column).ok().filter(|path| path.iter().all(|segment| matches!(segment, Segment::Key(_))));
        self.field(&path.unwrap_or_else(|| vec![Segment::Key(column.into())]), documents)
    }

    /// The field with this path below the object; `.` is the object itself.
    pub(crate) fn named(&self, path: &str, documents: &mut Documents) -> Result<Field, String> {
        match path {
            "." => self.field(&[], documents),
            path => self.field(&segments(path)?, documents),
        }
    }

    fn field(&self, below: &[Segment], documents: &mut Documents) -> Result<Field, String> {
        let segments: Vec<Segment> = self.segments.iter().chain(below).cloned().collect();
        if segments.is_empty() {
            return Err(format!("a column cannot replace all of `{}`; name a field", self.root.name()));
        }
        let path = Path::from(segments);
        let name = match (path.to_string(), path.segments().first()) {
            (below, Some(Segment::Index(_))) => format!("{}{below}", self.root.name()),
            (below, _) => format!("{}.{below}", self.root.name()),
        };
        Ok(Field { name: name.into(), root: self.root, route: documents.route(&path) })
    }
}

/// The steps of a path to one value.
fn segments(text: &str) -> Result<Vec<Segment>, String> {
    let path = Path::parse(text).map_err(|error| error.to_string())?;
    if path.is_root() || path.segments().contains(&Segment::Each) {
        return Err(format!("`{text}` is not a path to one field"));
    }
    Ok(path.segments().to_vec())
}
