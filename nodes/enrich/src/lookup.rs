//! One lookup: its keys, its table, and the fields of its columns.

use wattle_condition::{Compiler, ReadFields, ResolveField as _, Spare};
use wattle_convert::{Type, write_value};
use wattle_document::{Content, Documents, Source};
use wattle_node::capabilities::lookup;
use wattle_node::json::Kind;
use wattle_node::{Column, ColumnWriter, Setup};

use crate::Condition;
use crate::field::{Field, Into};
use crate::options::{Case, Columns, Lookup as Options, OnMissing};
use crate::roots::{Problem, Roots};

/// A lookup, compiled.
pub(crate) struct Lookup {
    table: lookup::Table,
    name: String,
    check: Condition,
    /// Columns of the fields with the key, in order.
    keys: Vec<usize>,
    case: Option<Case>,
    /// Whether a target has a value for rows that are not in the table.
    has_defaults: bool,
    targets: Vec<Target>,
    on_missing: OnMissing,
    overwrite: bool,
    /// What became of each row of the batch.
    rows: Vec<Row>,
    memory: Vec<u8>,
}

/// A column of the table.
struct Target {
    column: String,
    field: Field,
    wanted: Option<Type>,
    default: Option<Content>,
    /// The text of the found cells.
    source: Source,
    cells: Column,
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    /// It has no key, or the condition does not hold.
    Untouched,
    /// No column has a value for its key.
    Missing,
    Found,
}

/// What a lookup decides about a row as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Continue,
    Route,
    Drop,
    Fail,
}

impl Columns {
    /// Number of columns.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Same(columns) => columns.len(),
            Self::Named(columns) => columns.len(),
        }
    }
}

impl Lookup {
    /// Compiles a lookup. Returns `None` after it reported all errors to `setup`.
    pub(crate) fn new(
        number: usize,
        options: &Options,
        roots: &mut Roots,
        documents: &mut Documents,
        compiler: &mut Compiler<ReadFields>,
        setup: &mut Setup<'_>,
    ) -> Option<Self> {
        let at = format!("lookups[{number}]");
        let keys = keys(&at, options, compiler, setup);
        let targets = targets(&at, options, roots, documents, setup);
        let check = match &options.condition {
            Some(condition) => Some(compiler.condition(&format!("{at}.if"), condition, setup)?),
            None => None,
        };
        let targets = targets?;
        let columns: Vec<&str> = targets.iter().map(|target| target.column.as_str()).collect();
        let table = match lookup::open(&options.table, &columns) {
            Ok(table) => table,
            Err(error) => {
                // The host's errors are about the table as a whole, or name the column.
                let option = if error.starts_with("the table has no column") { "columns" } else { "table" };
                setup.error(format!("{at}.{option}"), error);
                return None;
            }
        };
        Some(Self {
            table,
            name: options.table.clone(),
            check,
            keys: keys?,
            case: options.case,
            has_defaults: targets.iter().any(|target| target.default.is_some()),
            targets,
            on_missing: options.on_missing,
            overwrite: options.overwrite,
            rows: Vec::new(),
            memory: Vec::new(),
        })
    }

    /// Looks up the keys of a batch. `columns` are those of the compiler's fields.
    pub(crate) fn find(&mut self, columns: &[Column], rows: usize, documents: &mut Documents, spare: &mut Spare) {
        self.rows.clear();
        self.rows.resize(rows, Row::Untouched);
        let mut wanted = spare.copy_of(&[]);
        wanted.resize(rows, true);
        if let Some(check) = &self.check {
            check.narrow(columns, &mut wanted, spare);
        }
        let mut keys = ColumnWriter::with_capacity(rows * 16, rows);
        let mut has_keys = false;
        for ((row, state), is_wanted) in self.rows.iter_mut().enumerate().zip(&wanted) {
            let mut fields = self.keys.iter().filter_map(|key| columns.get(*key));
            let key = fields.find_map(|field| {
                (field.kind(row) > Kind::Null).then(|| field.row(row)).filter(|text| !text.is_empty())
            });
            match key.filter(|_| *is_wanted) {
                Some(key) => {
                    push(key, self.case, &mut keys);
                    *state = Row::Missing;
                    has_keys = true;
                }
                None => keys.push_none(),
            }
        }
        spare.give_back(wanted);
        if !has_keys {
            return;
        }
        for (target, cells) in self.targets.iter_mut().zip(lookup::find(self.table, keys)) {
            for (state, kind) in self.rows.iter_mut().zip(&cells.kinds) {
                if *kind != 0 {
                    *state = Row::Found;
                }
            }
            documents.load(target.source, cells.bytes.clone());
            target.cells = cells;
        }
    }

    /// Numbers of rows whose keys were found and not found.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let count = |wanted| self.rows.iter().filter(|row| **row == wanted).count() as u64;
        (count(Row::Found), count(Row::Missing))
    }

    /// Whether the lookup can change a row of the batch.
    pub(crate) fn has_changes(&self) -> bool {
        (0..self.rows.len()).any(|row| self.changes(row))
    }

    /// Whether the lookup can change a row.
    pub(crate) fn changes(&self, row: usize) -> bool {
        match self.rows.get(row) {
            Some(Row::Found) => true,
            Some(Row::Missing) => self.has_defaults,
            Some(Row::Untouched) | None => false,
        }
    }

    /// What happens to a row as a whole.
    pub(crate) fn verdict(&self, row: usize) -> Verdict {
        match (self.rows.get(row), self.on_missing) {
            (Some(Row::Missing), OnMissing::Fail) => Verdict::Fail,
            (Some(Row::Missing), OnMissing::Drop) => Verdict::Drop,
            (Some(Row::Missing), OnMissing::Route) => Verdict::Route,
            _ => Verdict::Continue,
        }
    }

    /// The name of the table.
    pub(crate) fn table(&self) -> &str {
        &self.name
    }

    /// Sets the fields of a row. The error has the place, for a message.
    pub(crate) fn set(
        &mut self,
        row: usize,
        roots: &mut Roots,
        documents: &mut Documents,
    ) -> Result<(), (Problem, String)> {
        if !self.changes(row) {
            return Ok(());
        }
        for target in &self.targets {
            let content = match target.value(row, documents, &mut self.memory) {
                Ok(content) => content,
                Err(wanted) => {
                    let place = format!("the column `{}` of the table `{}`", target.column, self.name);
                    return Err((Problem::WrongType(wanted), place));
                }
            };
            let Some(content) = content.or(target.default) else { continue };
            roots
                .put(&target.field, content, self.overwrite, documents)
                .map_err(|problem| (problem, format!("`{}`", target.field.name)))?;
        }
        Ok(())
    }

    /// Forgets what was found.
    pub(crate) fn clear(&mut self) {
        self.targets.iter_mut().for_each(|target| target.cells = Column::default());
    }
}

impl Target {
    /// The value of a row, if its cell has one.
    fn value(&self, row: usize, documents: &mut Documents, memory: &mut Vec<u8>) -> Result<Option<Content>, Type> {
        let kind = self.cells.kind(row);
        if kind == Kind::Missing {
            return Ok(None);
        }
        let text = self.cells.row(row);
        if self.wanted.is_some() {
            memory.clear();
            write_value(text, self.wanted, memory).map_err(|wrong| wrong.0)?;
            // An empty cell of CSV.
            return Ok((memory.as_slice() != b"null").then(|| documents.new_json(memory)));
        }
        let start = self.cells.start(row) as usize;
        let place = match kind {
            Kind::String => documents.open_text(self.source, start, start + text.len()),
            kind => documents.open(self.source, start, start + text.len(), kind),
        };
        Ok(Some(documents.content(place)))
    }
}

/// Appends a key.
fn push(key: &[u8], case: Option<Case>, keys: &mut ColumnWriter) {
    let Some(case) = case else { return keys.push(key) };
    let start = keys.bytes.len();
    match std::str::from_utf8(key) {
        Ok(text) if !text.is_ascii() => {
            let converted = if case == Case::Lower { text.to_lowercase() } else { text.to_uppercase() };
            keys.bytes.extend_from_slice(converted.as_bytes());
        }
        _ => {
            keys.bytes.extend_from_slice(key);
            let key = keys.bytes.get_mut(start..).unwrap_or_default();
            if case == Case::Lower { key.make_ascii_lowercase() } else { key.make_ascii_uppercase() }
        }
    }
    keys.end_row();
}

/// Reports fields below one that has a type, and so is never an object: an event with rows for both could not have both.
pub(crate) fn check_nested(lookups: &[Option<Lookup>], setup: &mut Setup<'_>) {
    let targets = || {
        lookups.iter().enumerate().flat_map(|(at, lookup)| lookup.iter().flat_map(|l| &l.targets).map(move |t| (at, t)))
    };
    for (at, below) in targets() {
        let is_above = |target: &Target| {
            let rest = below.field.name.strip_prefix(&*target.field.name);
            target.wanted.is_some() && rest.is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        if let Some((_, above)) = targets().find(|(_, target)| is_above(target)) {
            let message = format!(
                "`{}` lies below `{}`, which the column `{}` sets to a value with a type, not to an object; give one of them \
                 another field",
                below.field.name, above.field.name, above.column
            );
            setup.error(format!("lookups[{at}].columns"), message);
        }
    }
}

fn keys(at: &str, options: &Options, compiler: &mut Compiler<ReadFields>, setup: &mut Setup<'_>) -> Option<Vec<usize>> {
    let option = format!("{at}.key");
    if options.key.as_slice().is_empty() {
        setup.error(&option, "at least one field is needed");
    }
    let fields = options.key.named(&option);
    // Resolve all fields before the first `None` ends the collection, to report every error at once.
    let keys: Vec<_> = fields.iter().map(|(option, path)| compiler.resolver().resolve(option, path, setup)).collect();
    keys.into_iter().collect()
}

fn targets(
    at: &str,
    options: &Options,
    roots: &mut Roots,
    documents: &mut Documents,
    setup: &mut Setup<'_>,
) -> Option<Vec<Target>> {
    let into = Into::new(&options.into).map_err(|error| setup.error(format!("{at}.into"), error)).ok();
    if options.columns.len() == 0 {
        setup.error(format!("{at}.columns"), "at least one column is needed");
    }
    // The option, the column, and the path of its field, if it is not that of the column.
    let columns: Vec<(String, &str, Option<&str>)> = match &options.columns {
        Columns::Same(columns) => {
            let columns = columns.iter().enumerate();
            columns.map(|(i, column)| (format!("{at}.columns[{i}]"), column.as_str(), None)).collect()
        }
        Columns::Named(columns) => {
            let columns = columns.iter();
            columns
                .map(|(column, field)| (format!("{at}.columns.{column}"), column.as_str(), Some(field.as_str())))
                .collect()
        }
    };
    let is_column = |name: &String| columns.iter().any(|(_, column, _)| column == name);
    let unused =
        options.types.keys().map(|name| ("types", name)).chain(options.default.keys().map(|name| ("default", name)));
    for (option, name) in unused.filter(|(_, name)| !is_column(name)) {
        setup.error(format!("{at}.{option}.{name}"), format!("`{name}` is not one of `columns`"));
    }
    let into = into?;
    let targets: Vec<Option<Target>> = columns
        .iter()
        .map(|(option, column, field)| {
            let field = match field {
                Some(path) => into.named(path, documents),
                None => into.same(column, documents),
            };
            let field = field.map_err(|error| setup.error(option.as_str(), error)).ok()?;
            roots.used(field.root);
            let default = options.default.get(*column).map(|value| documents.constant(value.to_string().as_bytes()));
            Some(Target {
                column: (*column).to_owned(),
                field,
                wanted: options.types.get(*column).copied(),
                default,
                source: documents.add_source(),
                cells: Column::default(),
            })
        })
        .collect();
    // Of two columns with the same field, only the later one would be seen.
    for (number, target) in targets.iter().enumerate() {
        let Some(target) = target else { continue };
        let mut before = targets.iter().take(number).flatten();
        if let (Some(other), Some((option, ..))) =
            (before.find(|other| other.field.name == target.field.name), columns.get(number))
        {
            let message = match other.column == target.column {
                true => format!("the column `{}` is in the list twice; remove one of them", target.column),
                false => format!(
                    "the columns `{}` and `{}` both set `{}`; give each its own field",
                    other.column, target.column, target.field.name
                ),
            };
            setup.error(option.as_str(), message);
        }
    }
    targets.into_iter().collect()
}
