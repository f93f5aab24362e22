//! The columns of a line: fixed, named by a header, or chosen by a value.

use std::collections::BTreeMap;
use std::sync::Arc;

use wattle_node::Setup;

use crate::format::{Fault, HEADER, Key, check_types};
use crate::options::{By, ColumnSets, Columns as ColumnsOption, Options};
use crate::streams::Streams;

/// Maximum number of columns in a header.
pub(super) const MAX_COLUMNS: usize = 10_000;

/// Names in order; a column with an empty name is left out.
pub(super) type Keys = Arc<Vec<Key>>;

pub(super) enum Columns {
    Fixed(Keys),
    /// Named by the last header of the stream.
    Header {
        /// How header lines begin.
        prefix: Vec<u8>,
        streams: Streams<Keys>,
    },
    /// Chosen by a value of the line or the event.
    Sets {
        /// The column, or `None` for a field of the event.
        by: Option<usize>,
        sets: BTreeMap<Vec<u8>, Keys>,
        default: Option<Keys>,
        /// Value of the field.
        chosen: Vec<u8>,
        most: usize,
    },
}

impl Columns {
    pub(super) fn new(options: &Options, setup: &mut Setup<'_>) -> Self {
        let names = match &options.columns {
            Some(ColumnsOption::From(_)) => return Self::header(options, setup),
            Some(ColumnsOption::Names(names)) => Some(names),
            None => None,
        };
        if options.header.is_some() {
            setup.error("header", "`header` belongs to `columns = \"header\"`");
        }
        let Some(sets) = &options.column_sets else {
            let names = names.map(Vec::as_slice).unwrap_or_default();
            if names.is_empty() {
                setup
                    .error("columns", "the format `csv` needs the name of each column, `\"header\"`, or `column_sets`");
            }
            let keys = keys("columns", names, options, setup);
            check_types(options, &keys, "column", setup);
            return Self::Fixed(Arc::new(keys));
        };
        Self::sets(sets, names.map(Vec::as_slice), options, setup)
    }

    fn header(options: &Options, setup: &mut Setup<'_>) -> Self {
        if options.header.as_deref().unwrap_or_default().is_empty() {
            let message = "`columns = \"header\"` needs the text that header lines begin with, such as `id,name`";
            setup.error("header", message);
        }
        for (option, is_given) in
            [("skip_header", options.skip_header == Some(true)), ("column_sets", options.column_sets.is_some())]
        {
            if is_given {
                setup.error(option, "headers name the columns already; remove one of the two");
            }
        }
        let prefix = options.header.as_deref().unwrap_or_default().as_bytes().to_vec();
        Self::Header { prefix, streams: Streams::default() }
    }

    fn sets(sets: &ColumnSets, default: Option<&[String]>, options: &Options, setup: &mut Setup<'_>) -> Self {
        let default = default.map(|names| Arc::new(keys("columns", names, options, setup)));
        let mut all: Vec<Key> = Vec::new();
        let mut chosen = BTreeMap::new();
        if sets.sets.is_empty() {
            setup.error("column_sets.sets", "at least one set is needed");
        }
        for (value, names) in &sets.sets {
            let option = format!("column_sets.sets.{value}");
            if names.is_empty() {
                setup.error(option.as_str(), "a set needs the name of each column");
            }
            chosen.insert(value.as_bytes().to_vec(), Arc::new(keys(&option, names, options, setup)));
            all.extend(names.iter().map(|name| Key::new(name, options)));
        }
        if let Some(default) = &default {
            all.extend(default.iter().map(|key| Key::new(&key.name, options)));
        }
        check_types(options, &all, "column", setup);
        let most = chosen.values().chain(&default).map(|keys: &Keys| keys.len()).max().unwrap_or_default();
        let by = match sets.by {
            By::Column(number) => {
                if chosen.values().any(|keys| keys.len() <= number) {
                    setup.error("column_sets.by", format!("a set has no column {number}; columns count from 0"));
                }
                Some(number)
            }
            By::Field(_) => None,
        };
        Self::Sets { by, sets: chosen, default, chosen: Vec::new(), most }
    }

    /// Number of columns that a line can have; `None` before a header.
    pub(super) fn most(&self) -> Option<usize> {
        match self {
            Self::Fixed(keys) => Some(keys.len()),
            Self::Header { streams, .. } => streams.get().map(|keys| keys.len()),
            Self::Sets { most, .. } => Some(*most),
        }
    }

    /// The names of a header line, without the text before them; `Err` for a comment.
    pub(super) fn names_of<'a>(&self, line: &'a [u8]) -> Option<Result<&'a [u8], Fault>> {
        let Self::Header { prefix, .. } = self else { return None };
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let is_comment = prefix.starts_with(b"#");
        if let Some(rest) = line.strip_prefix(&**prefix) {
            return Some(Ok(if is_comment { rest } else { line }));
        }
        (is_comment && line.starts_with(b"#")).then(|| Err(Fault { code: HEADER, message: String::new() }))
    }

    /// Keeps the names of a header.
    pub(super) fn keep<'a>(&mut self, names: impl Iterator<Item = &'a [u8]>, types: &super::Types) {
        let Self::Header { streams, .. } = self else { return };
        let mut keys: Vec<Key> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for (number, name) in names.enumerate() {
            let name = String::from_utf8_lossy(name.trim_ascii()).into_owned();
            // A column without a name, and a later one with a name that another has, get their number.
            let mut name = if name.is_empty() { format!("column_{}", number + 1) } else { name };
            while seen.contains(&name) {
                name = format!("{name}_{}", number + 1);
            }
            keys.push(Key::typed(&name, types.get(&name).copied()));
            seen.insert(name);
        }
        let is_same = |known: &Keys| known.iter().map(|key| &key.name).eq(keys.iter().map(|key| &key.name));
        let keys = streams.find(is_same).unwrap_or_else(|| Arc::new(keys));
        streams.hold(keys);
    }

    /// The columns of a line, by its values.
    pub(super) fn of<'a>(&self, value: impl FnOnce(usize) -> &'a [u8]) -> Result<&[Key], Fault> {
        let keys = match self {
            Self::Fixed(keys) => Ok(keys),
            Self::Header { streams, .. } => streams.get().ok_or_else(|| Fault {
                code: "no-header",
                message: "comes from a stream whose header this instance has not read".into(),
            }),
            Self::Sets { by, sets, default, chosen, .. } => {
                let keys = match *by {
                    Some(number) => sets.get(value(number).trim_ascii()),
                    None => sets.get(chosen.trim_ascii()),
                };
                keys.or(default.as_ref()).ok_or_else(|| Fault {
                    code: "unknown-columns",
                    message: "has a value that names none of the `column_sets`; set `columns` for such lines".into(),
                })
            }
        };
        keys.map(|keys| keys.as_slice())
    }
}

/// The keys of named columns.
fn keys(option: &str, names: &[String], options: &Options, setup: &mut Setup<'_>) -> Vec<Key> {
    for (number, name) in names.iter().enumerate() {
        if !name.is_empty() && names.iter().take(number).any(|before| before == name) {
            setup.error(format!("{option}[{number}]"), format!("column `{name}` is named twice"));
        }
    }
    names.iter().map(|name| Key::new(name, options)).collect()
}
