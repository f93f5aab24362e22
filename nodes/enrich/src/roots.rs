//! The parts of events that fields are in: read as documents, written where they changed.

use wattle_convert::Type;
use wattle_document::{Content, Documents, NoPlace, Place, Source, around};
use wattle_node::json::{self, Kind};
use wattle_node::{Batch, Column, ColumnWriter, Field as Handle, Form, Setup};

use crate::field::Field;

/// A part of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    Body,
    Attributes,
    Resource,
}

impl Root {
    pub(crate) const ALL: [Self; 3] = [Self::Body, Self::Attributes, Self::Resource];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Attributes => "attributes",
            Self::Resource => "resource",
        }
    }
}

/// Maximum depth of the JSON in a body, that of the agent.
const MAX_DEPTH: usize = 512;

/// Why a field cannot be set. The text never holds contents of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// Something on the path is not an object.
    NoPlace,
    /// The field is below the body, and the body is not JSON.
    NotJson,
    /// The field is below the body, whose objects and arrays lie too deep inside each other.
    TooDeep,
    /// The cell does not have its type.
    WrongType(Type),
}

impl Problem {
    /// The code of the failure.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::NoPlace => "no-place",
            Self::NotJson => "not-json",
            Self::TooDeep => "too-deep",
            Self::WrongType(_) => "wrong-type",
        }
    }

    /// The end of a sentence about the place.
    pub(crate) fn message(self) -> String {
        match self {
            Self::NoPlace => "could not be set, because something on its path is not an object".to_owned(),
            Self::NotJson => "is below the body, and the body is not JSON".to_owned(),
            Self::TooDeep => {
                format!("is below the body, whose objects and arrays lie more than {MAX_DEPTH} deep inside each other")
            }
            Self::WrongType(wanted) => {
                let wanted = wanted.name();
                let article = if wanted.starts_with('i') { "an" } else { "a" };
                format!("has a cell that does not have its type, {article} {wanted}; correct the table, or `types`")
            }
        }
    }
}

/// One part of the events of a batch.
struct Part {
    root: Root,
    source: Source,
    is_used: bool,
    handle: Option<Handle>,
    column: Column,
    /// Kinds of bodies as JSON.
    kinds: Vec<u8>,
    /// The document of the open row.
    open: Option<Place>,
    /// The rows up to the last one that changed.
    writer: ColumnWriter,
}

/// The parts of events.
pub(crate) struct Roots {
    parts: [Part; 3],
    /// The open row.
    row: usize,
}

impl Roots {
    pub(crate) fn new(documents: &mut Documents) -> Self {
        let part = |root| Part {
            root,
            source: documents.add_source(),
            is_used: false,
            handle: None,
            column: Column::default(),
            kinds: Vec::new(),
            open: None,
            writer: ColumnWriter::default(),
        };
        Self { parts: Root::ALL.map(part), row: 0 }
    }

    /// Notes that a field is in this part.
    pub(crate) fn used(&mut self, root: Root) {
        self.part(root).is_used = true;
    }

    fn part(&mut self, root: Root) -> &mut Part {
        let [body, attributes, resource] = &mut self.parts;
        match root {
            Root::Body => body,
            Root::Attributes => attributes,
            Root::Resource => resource,
        }
    }

    /// Resolves the parts that are used.
    pub(crate) fn resolve(&mut self, setup: &mut Setup<'_>) -> Option<()> {
        for part in self.parts.iter_mut().filter(|part| part.is_used) {
            part.handle = Some(setup.read_write("lookups", part.root.name())?);
        }
        Some(())
    }

    /// Reads the parts of a batch.
    pub(crate) fn load(&mut self, batch: &mut Batch<'_>, documents: &mut Documents) {
        for part in &mut self.parts {
            let Some(handle) = part.handle else { continue };
            if part.root == Root::Body {
                part.kinds = batch.check_json(handle);
            }
            part.column = batch.read(handle, if part.root == Root::Body { Form::Text } else { Form::Json });
            documents.load(part.source, part.column.bytes.clone());
            let bytes = part.column.bytes.len();
            part.writer = ColumnWriter::with_capacity(bytes + bytes / 4, batch.len());
        }
    }

    /// Opens a row.
    pub(crate) fn open(&mut self, row: usize, documents: &mut Documents) {
        documents.clear();
        self.row = row;
        self.parts.iter_mut().for_each(|part| part.open = None);
    }

    /// Sets a field of the open row.
    pub(crate) fn put(
        &mut self,
        field: &Field,
        content: Content,
        overwrite: bool,
        documents: &mut Documents,
    ) -> Result<(), Problem> {
        let row = self.row;
        let part = self.part(field.root);
        let Some(place) = part.document(row, documents) else {
            let refused = json::check(part.column.row(row), MAX_DEPTH);
            let is_deep = matches!(refused, Err(error) if error.kind == json::ErrorKind::TooDeep);
            return Err(if is_deep { Problem::TooDeep } else { Problem::NotJson });
        };
        if !overwrite
            && let Some(present) = documents.get(place, &field.route)
            && documents.kind(present) > Kind::Null
        {
            return Ok(());
        }
        match documents.put(place, &field.route, content) {
            Ok(_) => Ok(()),
            Err(NoPlace) => Err(Problem::NoPlace),
        }
    }

    /// Writes the parts of the open row that changed.
    pub(crate) fn write(&mut self, documents: &Documents) {
        for part in &mut self.parts {
            let Some(place) = part.open.filter(|place| documents.is_changed(*place)) else { continue };
            // Rows before this one stay as they are.
            (part.writer.len()..self.row).for_each(|_| part.writer.push_none());
            let text = part.column.row(self.row);
            let (before, after) = part.around(text);
            part.writer.bytes.extend_from_slice(before);
            documents.write(place, &mut part.writer.bytes);
            part.writer.bytes.extend_from_slice(after);
            part.writer.end_row();
        }
    }

    /// Sets what changed in the batch, and forgets the batch.
    pub(crate) fn set(&mut self, batch: &mut Batch<'_>) {
        for part in &mut self.parts {
            let mut writer = std::mem::take(&mut part.writer);
            if let Some(handle) = part.handle.filter(|_| !writer.is_empty()) {
                (writer.len()..batch.len()).for_each(|_| writer.push_none());
                batch.set(handle, if part.root == Root::Body { Form::Text } else { Form::Json }, writer);
            }
            part.column = Column::default();
            part.kinds.clear();
        }
    }
}

impl Part {
    /// The document of a row; none for a body that is not JSON.
    fn document(&mut self, row: usize, documents: &mut Documents) -> Option<Place> {
        if let Some(place) = self.open {
            return Some(place);
        }
        let kind = match self.root {
            Root::Body => self.kinds.get(row).copied().and_then(Kind::from_u8).unwrap_or(Kind::Missing),
            Root::Attributes | Root::Resource => self.column.kind(row),
        };
        let place = match kind {
            Kind::Missing if self.root == Root::Body => return None,
            Kind::Missing => documents.open_empty(),
            kind => {
                let start = self.column.start(row) as usize;
                documents.open_trimmed(self.source, start, self.column.row(row), kind)
            }
        };
        self.open = Some(place);
        Some(place)
    }

    /// The white space around the document in its text.
    fn around<'a>(&self, text: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        if self.root == Root::Body { around(text) } else { (&[], &[]) }
    }
}
