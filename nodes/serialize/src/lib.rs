//! The node `serialize`: writes an object of the event as text, in one of many formats.
//!
//! For each row it opens the object as a document, collects its members ([`members`]), fills the
//! templates of the header ([`header`]), and lets the format write the text ([`format`]).

mod format;
mod header;
mod members;
mod options;
mod template;

use wattle_document::{Documents, Place, Source, UniqueKeys};
use wattle_node::json::{ErrorKind, Kind, Path, Segment};
use wattle_node::{Batch, Column, ColumnWriter, Field, Form, Node, Reasons, Setup, export_node};

use crate::format::ecs::Ecs;
use crate::format::pairs::{self, Separators};
use crate::format::{Row, cef, csv, json, leef, otlp, syslog};
use crate::header::Header;
use crate::members::Members;
pub use crate::options::{Format, Options};
use crate::template::{Fields, Template};

/// The configured node.
pub struct Serialize {
    format: Writer,
    /// `None` for a template, which reads no object.
    object: Option<Object>,
    into: Field,
    fields: Fields,
    header: Header,
    members: Members,
    documents: Documents,
    keys: UniqueKeys,
}

/// The object that is written.
struct Object {
    field: Field,
    path: String,
    /// The whole body, which is a text that holds JSON.
    is_body: bool,
    source: Source,
}

/// Objects of the event next to the one that is written: its resource, and the attributes of its scope.
struct Outer {
    fields: [(Field, Source); 2],
    columns: [Column; 2],
}

impl Outer {
    fn new(documents: &mut Documents, setup: &mut Setup<'_>) -> Option<Self> {
        let mut field = |path| Some((setup.read("format", path)?, documents.add_source()));
        Some(Self { fields: [field("resource")?, field("scope.attributes")?], columns: Default::default() })
    }

    /// Reads the objects of a batch.
    fn load(&mut self, batch: &mut Batch<'_>, documents: &mut Documents) {
        for ((field, source), column) in self.fields.iter().zip(&mut self.columns) {
            *column = batch.read(*field, Form::Json);
            documents.load(*source, column.bytes.clone());
        }
    }

    /// Opens those of a row that it has.
    fn open(&self, row: usize, documents: &mut Documents) -> [Option<Place>; 2] {
        let [resource, scope] = [0, 1].map(|number| (self.fields.get(number), self.columns.get(number)));
        [resource, scope].map(|(field, column)| {
            let (source, column) = (field?.1, column.filter(|column| column.kind(row) == Kind::Object)?);
            let start = column.start(row) as usize;
            Some(documents.open(source, start, start + column.row(row).len(), Kind::Object))
        })
    }
}

/// A format, ready for use.
enum Writer {
    Json { is_flat: bool },
    Pairs(Separators),
    Csv(u8),
    Cef,
    Leef(u8),
    Syslog,
    Gelf,
    Ecs(Ecs),
    Otlp(Outer),
    Template(Template),
}

impl Node for Serialize {
    const NAME: &'static str = "serialize";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Writes fields of an event as text: JSON, logfmt, CSV, CEF, syslog and others.";
    const OPTIONS_SCHEMA: &'static str = include_str!("../options.schema.json");
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        check(&options, setup);
        let mut fields = Fields::default();
        let mut documents = Documents::default();
        let header = Header::new(&options, &mut fields, setup);
        let members = Members::new(options.fields.as_deref(), &mut documents, setup);
        let object = (options.format != Format::Template).then(|| Object::new(&options.from, &mut documents, setup));
        let format = Writer::new(&options, &mut fields, &mut documents, setup);
        let into = into(&options.into, setup);
        let object = match object {
            Some(object) => Some(object?),
            None => None,
        };
        Some(Self {
            format: format?,
            object,
            into: into?,
            fields,
            header: header?,
            members,
            documents,
            keys: UniqueKeys::default(),
        })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        self.fields.load(batch);
        let objects = self.object.as_ref().map(|object| object.read(batch, &mut self.documents));
        if let Writer::Otlp(outer) = &mut self.format {
            outer.load(batch, &mut self.documents);
        }
        let bytes = objects.as_ref().map_or(0, |objects| objects.column.bytes.len());
        let mut out = ColumnWriter::with_capacity(bytes + 64 * batch.len(), batch.len());
        let mut reasons = Reasons::default();
        for row in 0..batch.len() {
            self.documents.clear();
            let root = match (&self.object, &objects) {
                (Some(object), Some(objects)) => match objects.open(object, row, &mut self.documents) {
                    Ok(place) => Some(place),
                    Err((code, problem)) => {
                        reasons.add(row, code, &format!("`{}` {problem}", object.path));
                        out.push_none();
                        continue;
                    }
                },
                _ => None,
            };
            self.header.fill(&self.fields, row);
            self.write(row, root, &mut out.bytes);
            out.end_row();
        }
        batch.set(self.into, Form::Text, out);
        batch.fail(&reasons);
        Ok(())
    }
}

impl Serialize {
    /// Appends the text of a row; `root` is its object.
    fn write(&mut self, row: usize, root: Option<Place>, out: &mut Vec<u8>) {
        let Self { format, fields, header, members, documents, keys, .. } = self;
        let Some(mut root) = root else {
            if let Writer::Template(template) = format {
                template.write(fields, row, out);
            }
            return;
        };
        // These formats write nested objects, so listed members are put into a new object.
        if matches!(format, Writer::Json { is_flat: false } | Writer::Ecs(_) | Writer::Otlp(_))
            && members.listed().is_some()
        {
            root = members.subset(documents, root);
        }
        match format {
            Writer::Json { is_flat: false } => return documents.write(root, out),
            Writer::Ecs(ecs) => return ecs.write(documents, root, header, out),
            Writer::Otlp(outer) => {
                let [resource, scope] = outer.open(row, documents);
                return otlp::write(documents, root, resource, scope, header, out);
            }
            _ => {}
        }
        members.collect(documents, root, true);
        keys.clear();
        let mut row = Row { documents, members, header, keys };
        match format {
            Writer::Json { .. } => json::write_flat(&mut row, out),
            Writer::Pairs(separators) => pairs::write(&mut row, separators, out),
            Writer::Csv(separator) => csv::write(&row, *separator, out),
            Writer::Cef => cef::write(&mut row, out),
            Writer::Leef(separator) => leef::write(&mut row, *separator, out),
            Writer::Syslog => syslog::write(&mut row, out),
            Writer::Gelf => json::write_gelf(&mut row, out),
            Writer::Ecs(_) | Writer::Otlp(_) | Writer::Template(_) => {}
        }
    }
}

impl Writer {
    /// Prepares a format. Returns `None` after it reported errors to `setup`.
    fn new(options: &Options, fields: &mut Fields, documents: &mut Documents, setup: &mut Setup<'_>) -> Option<Self> {
        let separator = options.separator.as_deref();
        Some(match options.format {
            Format::Json => Self::Json { is_flat: options.flat.unwrap_or_default() },
            Format::Logfmt => Self::Pairs(Separators { pairs: b" ".to_vec(), pair: b"=".to_vec() }),
            Format::KeyValue => {
                let pair = options.pair_separator.as_deref().unwrap_or("=");
                let pairs = separator.unwrap_or(" ");
                for (option, text) in [("separator", pairs), ("pair_separator", pair)] {
                    if text.is_empty() {
                        setup.error(option, "a separator must not be empty");
                    }
                    if text.contains('"') {
                        setup.error(option, "a separator must have no quote, which stands around values");
                    }
                    if text.contains(|char: char| char == '_' || char.is_ascii_digit()) {
                        setup.error(option, "a separator must have no `_` and no digits, which keys get");
                    }
                }
                if pairs == pair {
                    let problem = format!("`{pair}` separates pairs already; choose another separator");
                    setup.error("pair_separator", problem);
                }
                Self::Pairs(Separators { pairs: pairs.into(), pair: pair.into() })
            }
            Format::Csv => Self::Csv(character(separator.unwrap_or(","), b"\"\n\r", setup)?),
            Format::Cef => Self::Cef,
            Format::Leef => Self::Leef(character(separator.unwrap_or("\t"), b"|=\n\r_0123456789", setup)?),
            Format::Syslog => Self::Syslog,
            Format::Gelf => Self::Gelf,
            Format::Ecs => Self::Ecs(Ecs::new(documents)),
            Format::Otlp => Self::Otlp(Outer::new(documents, setup)?),
            Format::Template => {
                let Some(text) = &options.template else {
                    setup.error("template", "the format `template` needs a text; set `template`");
                    return None;
                };
                Self::Template(fields.template("template", text, setup)?)
            }
        })
    }
}

/// The only character of a separator.
fn character(text: &str, forbidden: &[u8], setup: &mut Setup<'_>) -> Option<u8> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !forbidden.contains(byte) => Some(*byte),
        _ => {
            setup.error("separator", "the separator must be one ASCII character that the format does not use itself");
            None
        }
    }
}

/// Reports options that belong to another format.
fn check(options: &Options, setup: &mut Setup<'_>) {
    use Format::{Csv, Ecs, Json, KeyValue, Leef, Otlp, Template};
    for (option, is_set, formats) in [
        ("flat", options.flat.is_some(), &[Json][..]),
        ("separator", options.separator.is_some(), &[KeyValue, Csv, Leef]),
        ("pair_separator", options.pair_separator.is_some(), &[KeyValue]),
        ("template", options.template.is_some(), &[Template]),
    ] {
        if is_set && !formats.contains(&options.format) {
            let names: Vec<String> = formats.iter().map(|format| format!("`{}`", format.name())).collect();
            let (names, chosen) = (names.join(", "), options.format.name());
            setup.error(option, format!("`{option}` belongs to the format {names}, but the format is `{chosen}`"));
        }
    }
    match &options.fields {
        None if options.format == Csv => {
            setup.error("fields", "`csv` needs the columns and their order; list them in `fields`");
        }
        Some(fields) if fields.is_empty() => setup.error("fields", "at least one field is needed"),
        // A table may have a column twice.
        Some(fields) if !matches!(options.format, Csv | Template) => {
            for (number, field) in fields.iter().enumerate() {
                if fields.iter().take(number).any(|other| other == field) {
                    setup.error(format!("fields[{number}]"), format!("`{field}` is listed twice"));
                }
                let is_nested =
                    matches!(options.format, Ecs | Otlp) || (options.format == Json && options.flat != Some(true));
                let has_index = |path: &Path| path.segments().iter().any(|part| matches!(part, Segment::Index(_)));
                if is_nested && Path::parse(field).is_ok_and(|path| has_index(&path)) {
                    setup.error(
                        format!("fields[{number}]"),
                        "an element of an array has no place in a new object; list the array, or use `flat`",
                    );
                }
            }
        }
        Some(_) if options.format == Template => {
            setup.error("fields", "a template names its fields itself; remove `fields`");
        }
        _ => {}
    }
}

/// The field that gets the text.
fn into(path: &str, setup: &mut Setup<'_>) -> Option<Field> {
    let is_below = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.starts_with('.'));
    if path == "body" || is_below("attributes") || is_below("resource") {
        return setup.write("into", path);
    }
    setup.error("into", "the text goes to `body`, or to a path below `attributes` or `resource`");
    None
}

impl Object {
    fn new(path: &str, documents: &mut Documents, setup: &mut Setup<'_>) -> Option<Self> {
        let field = setup.read("from", path)?;
        if path == "timestamp" {
            setup.error("from", "a timestamp is no object; name `attributes`, `resource`, `body` or a path below");
            return None;
        }
        Some(Self { field, path: path.into(), is_body: path == "body", source: documents.add_source() })
    }

    /// Reads the objects of a batch.
    fn read(&self, batch: &mut Batch<'_>, documents: &mut Documents) -> Objects {
        let (column, kinds) = if self.is_body {
            let kinds = batch.check_json(self.field);
            (batch.read(self.field, Form::Text), Some(kinds))
        } else {
            (batch.read(self.field, Form::Json), None)
        };
        documents.load(self.source, column.bytes.clone());
        Objects { column, kinds }
    }
}

/// Maximum depth of the JSON in a body, that of the agent.
const MAX_DEPTH: usize = 512;

/// The objects of a batch.
struct Objects {
    column: Column,
    /// Kinds of the bodies as JSON.
    kinds: Option<Vec<u8>>,
}

impl Objects {
    /// Opens the object of a row. The error has a code and the reason.
    fn open(
        &self,
        object: &Object,
        row: usize,
        documents: &mut Documents,
    ) -> Result<Place, (&'static str, &'static str)> {
        let kind = match &self.kinds {
            Some(kinds) => kinds.get(row).copied().and_then(Kind::from_u8).unwrap_or(Kind::Missing),
            None => self.column.kind(row),
        };
        match kind {
            Kind::Object => {
                let start = self.column.start(row) as usize;
                Ok(documents.open_trimmed(object.source, start, self.column.row(row), kind))
            }
            // An event without attributes is one without members.
            Kind::Missing if object.path == "attributes" || object.path == "resource" => Ok(documents.open_empty()),
            Kind::Missing if object.is_body => match wattle_node::json::check(self.column.row(row), MAX_DEPTH) {
                Err(error) if error.kind == ErrorKind::TooDeep => {
                    Err(("too-deep", "has objects and arrays more than 512 deep inside each other"))
                }
                _ => Err(("not-json", "is not JSON")),
            },
            Kind::Missing | Kind::Null => Err(("missing-field", "is missing")),
            _ => Err(("not-an-object", "is not an object")),
        }
    }
}

export_node!(Serialize);
