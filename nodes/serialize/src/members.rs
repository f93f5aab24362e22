//! The members that are written: all of an object with dotted keys, or the listed ones.

use wattle_document::{Content, Documents, Place, Route};
use wattle_node::Setup;
use wattle_node::json::{Kind, Path};

/// Objects below this depth are written as JSON text.
const MAX_DEPTH: usize = 64;

/// One member with its dotted key, as a span of [`Members::keys`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    key: (usize, usize),
    pub(crate) value: Content,
}

/// The members of one object, with memory that is reused from row to row.
#[derive(Debug, Default)]
pub(crate) struct Members {
    routes: Option<Vec<(Vec<u8>, Route)>>,
    keys: Vec<u8>,
    list: Vec<Member>,
    memory: Vec<u8>,
}

impl Members {
    /// Prepares the listed fields, if the options list any.
    pub(crate) fn new(fields: Option<&[String]>, documents: &mut Documents, setup: &mut Setup<'_>) -> Self {
        let mut routes = fields.map(|_| Vec::new());
        for (number, field) in fields.unwrap_or_default().iter().enumerate() {
            match Path::parse(field) {
                Ok(path) if path.around_each().is_none() => {
                    routes.iter_mut().for_each(|r| r.push((field.clone().into_bytes(), documents.route(&path))));
                }
                Ok(_) => setup.error(format!("fields[{number}]"), "`[*]` names many values; name one"),
                Err(error) => setup.error(format!("fields[{number}]"), error.to_string()),
            }
        }
        Self { routes, ..Self::default() }
    }

    /// Number of listed fields.
    pub(crate) fn listed(&self) -> Option<usize> {
        self.routes.as_ref().map(Vec::len)
    }

    /// A new object with the listed fields that exist, at their paths.
    pub(crate) fn subset(&self, documents: &mut Documents, object: Place) -> Place {
        let subset = documents.open_empty();
        for (_, route) in self.routes.iter().flatten() {
            if let Some(place) = documents.get(object, route) {
                let content = documents.content(place);
                // A path through an element of an array has no place in a new object.
                let _ = documents.put(subset, route, content);
            }
        }
        subset
    }

    /// Collects the members of an object. A listed field that is missing has the kind
    /// [`Kind::Missing`]; without a list, nested objects come with dotted keys if `is_flat`.
    pub(crate) fn collect(&mut self, documents: &mut Documents, object: Place, is_flat: bool) {
        self.keys.clear();
        self.list.clear();
        let Self { routes, keys, list, memory } = self;
        match routes {
            Some(routes) => {
                for (name, route) in routes {
                    let start = keys.len();
                    keys.extend_from_slice(name);
                    let found = documents.get(object, route);
                    let value = found.map_or(Content::MISSING, |place| documents.content(place));
                    list.push(Member { key: (start, keys.len()), value });
                }
            }
            None => walk(documents, object, None, if is_flat { MAX_DEPTH } else { 0 }, keys, list, memory),
        }
    }

    pub(crate) fn list(&self) -> &[Member] {
        &self.list
    }

    /// The key of a member.
    pub(crate) fn key(&self, member: &Member) -> &[u8] {
        self.keys.get(member.key.0..member.key.1).unwrap_or_default()
    }
}

/// Adds the members below a container, whose key is `prefix`. `depth` is how many levels of objects are flattened.
fn walk(
    documents: &mut Documents,
    object: Place,
    prefix: Option<(usize, usize)>,
    depth: usize,
    keys: &mut Vec<u8>,
    list: &mut Vec<Member>,
    memory: &mut Vec<u8>,
) {
    let mut child = documents.first(object);
    while let Some(place) = child {
        let start = keys.len();
        if let Some(prefix) = prefix {
            keys.extend_from_within(prefix.0..prefix.1);
            keys.push(b'.');
        }
        keys.extend_from_slice(documents.key(place, memory));
        let key = (start, keys.len());
        let has_members = depth > 0 && documents.kind(place) == Kind::Object && documents.first(place).is_some();
        if has_members {
            walk(documents, place, Some(key), depth - 1, keys, list, memory);
        } else {
            list.push(Member { key, value: documents.content(place) });
        }
        child = documents.next(place);
    }
}
