//! The rows that steps work on: their documents, and what becomes of them.

mod body;
mod finish;

use wattle_document::{Content, Documents, NoPlace, Place, Source, Step};
use wattle_node::json::Kind;
use wattle_node::{Column, Reasons};

use crate::field::{Field, ROOTS, Root};
use crate::options::OnNotJson;
use crate::problem::{Obstacle, Problem};
use crate::takes::Takes;
use crate::time;

pub(crate) use body::BodyDocument;
use finish::MIN_TOO_DEEP;
pub(crate) use finish::Writers;

/// The deepest JSON that the host takes as valid.
pub(crate) const MAX_DEPTH: usize = 512;

/// One row. Places of roots that no step uses have no value.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// The body as a string.
    body: Place,
    document: BodyDocument,
    /// All roots, in the order of [`Root::ALL`]; the body as a string once more.
    roots: [Place; ROOTS],
    /// The row did not fail.
    is_alive: bool,
    /// An object or array was put somewhere else, so that the depth must be checked.
    is_deep: bool,
    /// The roots that the event lacks, as bits of the numbers of [`Root`].
    lacks: u8,
}

/// The columns of a batch; those of roots that no step uses are empty.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    /// Kinds of the bodies as JSON, if a step uses fields below the body.
    pub(crate) kinds: Vec<u8>,
    /// In the order of [`Root::ALL`].
    pub(crate) roots: [Option<Column>; ROOTS],
}

/// Rows of a batch that are open at the same time, with memory that is kept from batch to batch.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) documents: Documents,
    sources: [Source; ROOTS],
    columns: Columns,
    rows: Vec<Row>,
    /// Number of the first row in the batch.
    first: usize,
    on_not_json: OnNotJson,
    pub(crate) reasons: Reasons,
    /// The new time of each row of the batch; the lowest value leaves it.
    times: Vec<i64>,
    /// Number of the step that is carried out.
    pub(crate) step: usize,
    memory: Vec<u8>,
    spare: Vec<u8>,
}

impl Rows {
    pub(crate) fn new(mut documents: Documents, on_not_json: OnNotJson) -> Self {
        let sources = Root::ALL.map(|_| documents.add_source());
        Self {
            documents,
            sources,
            columns: Columns::default(),
            rows: Vec::new(),
            first: 0,
            on_not_json,
            reasons: Reasons::default(),
            times: Vec::new(),
            step: 0,
            memory: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Begins a batch.
    pub(crate) fn load(&mut self, columns: Columns, rows: usize) {
        for (column, source) in columns.roots.iter().zip(self.sources) {
            self.documents.load(source, column.as_ref().map(|column| column.bytes.clone()).unwrap_or_default());
        }
        self.columns = columns;
        self.reasons = Reasons::default();
        self.times.clear();
        self.times.resize(rows, i64::MIN);
    }

    /// Opens these rows and closes those before.
    pub(crate) fn open(&mut self, rows: std::ops::Range<usize>) {
        self.documents.clear();
        self.rows.clear();
        self.first = rows.start;
        let Self { documents, columns, sources, .. } = self;
        let missing = documents.open_content(Content::MISSING);
        for row in rows {
            let mut roots = [missing; ROOTS];
            let mut lacks = 0;
            for (((place, column), source), root) in roots.iter_mut().zip(&columns.roots).zip(&*sources).zip(Root::ALL)
            {
                let Some(column) = column else { continue };
                let (start, length, kind) = (column.start(row) as usize, column.row(row).len(), column.kind(row));
                if kind == Kind::Missing {
                    lacks |= 1 << root as u8;
                }
                *place = match root {
                    Root::Body => documents.open_text(*source, start, start + length),
                    _ if kind != Kind::Missing => documents.open(*source, start, start + length, kind),
                    _ if root.is_object() => documents.open_empty(),
                    _ => documents.open_content(Content::MISSING),
                };
            }
            let [body, ..] = roots;
            let length = columns.roots.first().and_then(Option::as_ref).map_or(0, |body| body.row(row).len());
            let document = match columns.kinds.get(row).copied().and_then(Kind::from_u8) {
                // The host finds no JSON in a text that is too deep. The difference matters only once a step goes below the
                // body.
                Some(Kind::Missing) if length >= MIN_TOO_DEEP => BodyDocument::Unchecked,
                None | Some(Kind::Missing) => BodyDocument::NotJson,
                Some(kind) => BodyDocument::Closed(kind),
            };
            self.rows.push(Row { body, document, roots, is_alive: true, is_deep: false, lacks });
        }
    }

    /// Marks the rows that did not fail.
    pub(crate) fn mark(&self, marks: &mut Vec<bool>) {
        marks.clear();
        marks.extend(self.rows.iter().map(|row| row.is_alive));
    }

    /// The place of a root, or the document of the body; none if the body is not JSON.
    #[inline]
    fn document(&mut self, row: usize, root: Root) -> Option<Place> {
        match root {
            Root::Body => self.body_document(row),
            _ => self.rows.get(row)?.roots.get(root as usize).copied(),
        }
    }

    /// The place of the root that a field is in; for the body that of its document.
    pub(crate) fn root(&mut self, row: usize, field: &Field) -> Result<Place, Problem> {
        self.document(row, field.root).ok_or(Problem::NotJson)
    }

    /// The place of the root that a step reads a field of; none if the body is not JSON. The row fails if the body is too
    /// deep, because its fields are there but cannot be read.
    #[inline]
    pub(crate) fn root_to_read(&mut self, row: usize, field: &Field) -> Option<Place> {
        let place = self.document(row, field.root);
        if place.is_none() && self.is_body_too_deep(row) {
            self.fail(row, Problem::NotJson, "body");
        }
        place
    }

    /// The value of a field with a path to one value, for a step that works with it; missing if the event lacks it or the
    /// body is not JSON. The row fails as in [`root_to_read`](Self::root_to_read).
    #[inline]
    pub(crate) fn read(&mut self, row: usize, field: &Field) -> Content {
        if field.is_whole_body() {
            return self.whole_body(row);
        }
        let place = self.root_to_read(row, field).and_then(|root| self.documents.get(root, &field.route));
        self.content(row, field, place)
    }

    /// The present value of a field that a step is about to set. What is wrong with the body shows when it is set.
    pub(crate) fn present(&mut self, row: usize, field: &Field) -> Content {
        if field.is_whole_body() {
            return self.whole_body(row);
        }
        let place = self.document(row, field.root).and_then(|root| self.documents.get(root, &field.route));
        self.content(row, field, place)
    }

    fn content(&mut self, row: usize, field: &Field, place: Option<Place>) -> Content {
        match place {
            Some(place) if !self.is_missing_root(row, field, place) => self.documents.content(place),
            _ => Content::MISSING,
        }
    }

    /// Whether a field is a root as a whole that the event lacks. Its place is an empty object, so that steps can set fields
    /// below it. The host keeps empty attributes and an empty resource, but no empty severity or scope.
    pub(crate) fn is_missing_root(&mut self, row: usize, field: &Field, place: Place) -> bool {
        if !field.is_whole() || field.root == Root::Body {
            return false;
        }
        if !field.root.is_object() {
            return self.documents.kind(place) <= Kind::Null;
        }
        let lacks = self.rows.get(row).is_some_and(|row| row.lacks & (1 << field.root as u8) != 0);
        let is_kept_empty = matches!(field.root, Root::Attributes | Root::Resource);
        self.documents.first(place).is_none() && (!is_kept_empty || (lacks && !self.documents.is_changed(place)))
    }

    /// The value in text form, for fields as [`read`](Self::read) takes them.
    pub(crate) fn read_text<'a>(&'a mut self, row: usize, field: &Field, memory: &'a mut Vec<u8>) -> (Kind, &'a [u8]) {
        let content = self.read(row, field);
        (content.kind(), self.documents.text(content, memory))
    }

    /// Finds the places of a field that a step changes; none for a root that the event lacks.
    pub(crate) fn places(&mut self, row: usize, field: &Field, found: &mut Vec<Place>) -> Result<(), Problem> {
        found.clear();
        if field.is_whole_body() {
            self.whole_body(row);
            found.extend(self.rows.get(row).map(|row| row.body));
            return Ok(());
        }
        let root = self.document(row, field.root).ok_or(Problem::NotJson)?;
        if !self.is_missing_root(row, field, root) {
            self.documents.all(root, &field.route, found);
        }
        Ok(())
    }

    /// Sets a field; see [`Documents::put`].
    pub(crate) fn put(&mut self, row: usize, field: &Field, content: Content) -> Result<usize, Problem> {
        if field.is_whole() {
            return self.set_root(row, field.root, content).map(|()| 1);
        }
        let root = self.document(row, field.root).ok_or(Problem::NotJson)?;
        self.note_depth(row, content);
        match self.documents.put(root, &field.route, content) {
            Ok(count) => Ok(count),
            Err(NoPlace) => Err(Problem::NoPlace(self.obstacle(root, field))),
        }
    }

    /// Whether the text of a value is UTF-8.
    pub(crate) fn is_utf8(&mut self, content: Content) -> bool {
        std::str::from_utf8(self.documents.text(content, &mut self.memory)).is_ok()
    }

    /// Whether a field takes a value, see [`Takes`](crate::takes::Takes).
    pub(crate) fn check(&mut self, field: &Field, content: Content) -> Result<(), Problem> {
        if field.takes == Takes::Anything {
            return Ok(());
        }
        let text = self.documents.text(content, &mut self.memory);
        if field.takes.fits(content.kind(), text) { Ok(()) } else { Err(Problem::BadValue(field.takes.wanted())) }
    }

    /// What is in the way of a field that could not be set.
    #[cold]
    fn obstacle(&mut self, root: Place, field: &Field) -> Obstacle {
        let mut at = Some(root);
        for (number, step) in field.route.steps().iter().enumerate() {
            let kind = at.map_or(Kind::Missing, |at| self.documents.kind(at));
            match (step, kind) {
                (Step::Key(_), Kind::Object | Kind::Null | Kind::Missing) | (Step::Index(_), Kind::Array) => {}
                (Step::Key(_), kind) => return Obstacle::NotAnObject(number, kind),
                (Step::Index(_), kind) => return Obstacle::NoElement(number, kind),
                _ => return Obstacle::InElement,
            }
            at = at.and_then(|at| self.documents.follow(at, step));
            if at.is_none() && matches!(step, Step::Index(_)) {
                return Obstacle::NoElement(number, kind);
            }
        }
        Obstacle::InElement
    }

    /// Replaces a value that [`places`](Self::places) found.
    pub(crate) fn replace(&mut self, row: usize, field: &Field, place: Place, content: Content) -> Result<(), Problem> {
        if field.is_whole() {
            return self.set_root(row, field.root, content);
        }
        self.note_depth(row, content);
        self.documents.set(place, content);
        Ok(())
    }

    /// Removes a value that [`places`](Self::places) found. Roots become empty or `null`; a timestamp stays.
    pub(crate) fn remove(&mut self, row: usize, field: &Field, place: Place) {
        if !field.is_whole() {
            return self.documents.remove(place);
        }
        match field.root {
            Root::Body => {
                let empty = self.documents.new_text(b"");
                self.set_body(row, empty);
            }
            Root::Timestamp => {}
            root => {
                let nothing = self.documents.new_json(if root.is_object() { b"{}".as_slice() } else { b"null" });
                self.documents.set(place, nothing);
            }
        }
    }

    /// Undoes [`remove`](Self::remove) of a value.
    pub(crate) fn restore(&mut self, row: usize, field: &Field, place: Place, content: Content) {
        if field.is_whole() {
            // The value was there before, so the root takes it.
            let _ = self.set_root(row, field.root, content);
        } else {
            self.documents.restore(place);
        }
    }

    /// Notes that a value can make a row too deep.
    pub(crate) fn note_depth(&mut self, row: usize, content: Content) {
        if content.kind() >= Kind::Array
            && let Some(row) = self.rows.get_mut(row)
        {
            row.is_deep = true;
        }
    }

    /// Sets a root as a whole.
    fn set_root(&mut self, row: usize, root: Root, content: Content) -> Result<(), Problem> {
        if root == Root::Body {
            self.set_body(row, content);
            return Ok(());
        }
        let Some(place) = self.document(row, root) else { return Ok(()) };
        if root == Root::Timestamp {
            return self.set_time(row, place, content);
        }
        match content.kind() {
            Kind::Object if root.is_object() => {}
            Kind::String if !root.is_object() => {}
            kind if root.is_object() => return Err(Problem::WrongType(kind, "an object")),
            kind => return Err(Problem::WrongType(kind, "a string")),
        }
        self.note_depth(row, content);
        self.documents.set(place, content);
        Ok(())
    }

    fn set_time(&mut self, row: usize, place: Place, content: Content) -> Result<(), Problem> {
        let text = self.documents.text(content, &mut self.memory);
        let time = if content.kind() == Kind::String { time::read(text) } else { None };
        let (Some(time), Some(set)) = (time, self.times.get_mut(self.first + row)) else {
            let is_empty = content.kind() == Kind::String && text.trim_ascii().is_empty();
            return Err(if is_empty { Problem::EmptyTimestamp } else { Problem::BadTimestamp });
        };
        *set = time;
        self.spare.clear();
        time::write(time, &mut self.spare);
        let written = self.documents.new_text(&self.spare);
        self.documents.set(place, written);
        Ok(())
    }

    /// Fails a row because of a field, unless the problem is a body that is not JSON and options say to skip it.
    #[cold]
    pub(crate) fn fail(&mut self, row: usize, problem: Problem, field: &str) {
        if problem == Problem::NotJson && self.on_not_json == OnNotJson::Skip {
            return;
        }
        let (problem, field) = match problem {
            Problem::NotJson if self.is_body_too_deep(row) => (Problem::TooDeep, "body"),
            problem => (problem, field),
        };
        if let Some(state) = self.rows.get_mut(row).filter(|state| state.is_alive) {
            state.is_alive = false;
            self.reasons.add(self.first + row, problem.code(), &problem.message(self.step, field));
        }
    }

    /// Whether a step went below the body, and the body is JSON that is too deep.
    fn is_body_too_deep(&self, row: usize) -> bool {
        self.rows.get(row).is_some_and(|row| row.document == BodyDocument::TooDeep)
    }
}
