//! What steps use, collected while they are compiled.

use wattle_document::{Content, Documents};
use wattle_node::Setup;

use crate::field::{Field, ROOTS, Root, Shape};
use crate::options::Fields;

/// How steps use a root.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    is_used: bool,
    is_changed: bool,
    /// A field below it is used.
    is_below: bool,
}

/// The arena with the constants of steps, and the roots that they use.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    documents: Documents,
    uses: [Use; ROOTS],
}

impl Plan {
    /// A field that is read: a path to one value.
    pub(crate) fn read(&mut self, at: &str, path: &str, setup: &mut Setup<'_>) -> Option<Field> {
        self.field(at, path, Shape::Single, false, setup)
    }

    /// A field whose members are read: the body as a whole is the JSON in its text.
    pub(crate) fn read_members(&mut self, at: &str, path: &str, setup: &mut Setup<'_>) -> Option<Field> {
        let field = self.read(at, path, setup)?;
        if let Some(root) = self.uses.get_mut(field.root as usize) {
            root.is_below = true;
        }
        Some(field)
    }

    /// A field that is changed.
    pub(crate) fn change(&mut self, at: &str, path: &str, shape: Shape, setup: &mut Setup<'_>) -> Option<Field> {
        self.field(at, path, shape, true, setup)
    }

    /// Fields that are changed.
    pub(crate) fn changes(
        &mut self,
        at: &str,
        fields: &Fields,
        shape: Shape,
        setup: &mut Setup<'_>,
    ) -> Option<Vec<Field>> {
        let each = fields.each(at);
        // Prepare all fields before the first `None` ends the collection, to report every error at once.
        let fields: Vec<_> = each.map(|(at, path)| self.change(&at, path, shape, setup)).collect();
        if fields.is_empty() {
            setup.error(at, "at least one field is needed");
        }
        fields.into_iter().collect()
    }

    fn field(&mut self, at: &str, path: &str, shape: Shape, is_changed: bool, setup: &mut Setup<'_>) -> Option<Field> {
        match Field::new(path, shape, &mut self.documents) {
            Ok(field) => {
                if let Some(root) = self.uses.get_mut(field.root as usize) {
                    root.is_used = true;
                    root.is_changed |= is_changed;
                    // An operation on the members of the whole body needs its kind too, and so does a later step.
                    root.is_below |= !field.is_whole() || is_changed;
                }
                Some(field)
            }
            Err(message) => {
                setup.error(at, message);
                None
            }
        }
    }

    /// A value that stands in the options.
    pub(crate) fn constant(&mut self, value: &serde_json::Value) -> Content {
        self.documents.constant(value.to_string().as_bytes())
    }

    /// Resolves the roots that steps use.
    pub(crate) fn roots(&self, setup: &mut Setup<'_>) -> Roots {
        let mut fields = [None; ROOTS];
        for ((field, root), uses) in fields.iter_mut().zip(Root::ALL).zip(self.uses) {
            if uses.is_used {
                *field = match root {
                    // A timestamp is set without a handle.
                    Root::Timestamp => setup.read("steps", root.name()),
                    _ if uses.is_changed => setup.read_write("steps", root.name()),
                    _ => setup.read("steps", root.name()),
                };
            }
        }
        Roots { fields, is_below_body: self.uses.first().is_some_and(|body| body.is_below) }
    }

    /// The arena, for the rows.
    pub(crate) fn into_documents(self) -> Documents {
        self.documents
    }
}

/// The roots that steps use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Roots {
    /// In the order of [`Root::ALL`].
    pub(crate) fields: [Option<wattle_node::Field>; ROOTS],
    pub(crate) is_below_body: bool,
}
