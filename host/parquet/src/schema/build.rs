//! From options to the tree of columns.

use std::collections::HashSet;
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::errors::ParquetError;
use parquet::schema::types::{Type as ParquetType, TypePtr};
use wattle_convert::time::Format;
use wattle_json::{Path, Segment};
use wattle_options::OptionErrors;

use super::{ColumnOptions, ElementOptions, Fields, Inner, Key, LeafType, Lookup, Node, SchemaOptions, Shape, Type};

/// Maximum depth of structs, lists and maps. Writing a record recurses as deep.
const MAX_DEPTH: usize = 16;
/// Maximum number of columns of simple types, counted with the fields of structs. Each has its own buffers.
const MAX_LEAVES: usize = 2_000;
/// Maximum length of a name in bytes; Athena allows no longer ones.
const MAX_NAME: usize = 255;

/// Builds the tree and collects errors.
#[derive(Default)]
pub(super) struct Builder {
    names: Vec<String>,
    keys: usize,
    leaves: usize,
}

/// What a column and an element have in common.
struct Spec<'a> {
    r#type: Type,
    format: Option<&'a str>,
    fields: &'a [ColumnOptions],
    element: Option<&'a ElementOptions>,
}

/// Where a node stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// Path of its options.
    path: &'a str,
    /// Names of the columns around it, with a dot at the end.
    prefix: &'a str,
    name: &'a str,
    depth: usize,
    /// Levels of the value around it.
    definition: i16,
    repetition: i16,
    required: bool,
}

impl Builder {
    /// Returns nothing if it added an error.
    pub(super) fn build(options: &SchemaOptions, path: &str, errors: &mut OptionErrors) -> Option<Inner> {
        let mut columns = match options.preset.map(super::Preset::columns) {
            Some(preset) => errors.check(&format!("{path}preset"), preset)?,
            None => Vec::new(),
        };
        let list = format!("{path}columns");
        let from_preset = columns.len();
        columns.extend(options.columns.iter().cloned());
        if columns.is_empty() {
            errors.add(&list, "a schema needs a preset, or at least one column");
            return None;
        }
        let mut builder = Self::default();
        let top = Place { path, prefix: "", name: "", depth: 0, definition: 0, repetition: 0, required: false };
        let before = errors.count();
        let (root, types) = builder.fields(&columns, from_preset, "columns", top, errors)?;
        if builder.leaves > MAX_LEAVES {
            let message = format!("there may be at most {MAX_LEAVES} columns and fields, here are {}", builder.leaves);
            errors.add(&list, message);
        }
        if errors.count() > before {
            return None;
        }
        let message = ParquetType::group_type_builder("record").with_fields(types).build();
        Some(Inner {
            message: Arc::new(errors.check(&list, message)?),
            has_required: root.nodes.iter().any(|node| node.required),
            keeps_record: root.lookup.here.iter().any(|field| is_json(root.nodes.get(*field))),
            root,
            names: builder.names,
            keys: builder.keys,
        })
    }

    /// The fields of a struct. The first `unnamed` columns come from a preset, so options do not count them.
    fn fields(
        &mut self,
        columns: &[ColumnOptions],
        unnamed: usize,
        list: &str,
        around: Place<'_>,
        errors: &mut OptionErrors,
    ) -> Option<(Fields, Vec<TypePtr>)> {
        let mut fields = Fields { nodes: Vec::new(), lookup: Lookup::default() };
        let mut types = Vec::new();
        let mut names = HashSet::new();
        let mut complete = true;
        for (number, column) in columns.iter().enumerate() {
            let path = match number.checked_sub(unnamed) {
                Some(number) => format!("{}{list}[{number}]", around.path),
                None => format!("{}preset.{list}[{number}]", around.path),
            };
            check_name(&column.name, &mut names, &format!("{path}.name"), errors);
            if column.required && around.depth > 0 {
                errors.add(&format!("{path}.required"), "fields of structs cannot be required, only columns");
            }
            self.find(column, number, &format!("{path}.path"), &mut fields.lookup, errors);
            let spec = Spec {
                r#type: column.r#type,
                format: column.format.as_deref(),
                fields: &column.fields,
                element: column.element.as_deref(),
            };
            let place = Place { path: &path, name: &column.name, required: column.required, ..around };
            match self.node(&spec, place, errors) {
                Some((node, r#type)) => {
                    fields.nodes.push(node);
                    types.push(r#type);
                }
                None => complete = false,
            }
        }
        complete.then_some((fields, types))
    }

    /// Adds the path of a field to the lookup.
    fn find(
        &mut self,
        column: &ColumnOptions,
        field: usize,
        path: &str,
        lookup: &mut Lookup,
        errors: &mut OptionErrors,
    ) {
        let Some(text) = &column.path else {
            self.key(lookup, &column.name, false).here.push(field);
            return;
        };
        let Some(parsed) = errors.check(path, Path::parse(text)) else { return };
        let mut place = lookup;
        for segment in parsed.segments() {
            let Segment::Key(key) = segment else {
                errors.add(path, "the path of a column has keys only; a column of type `list` takes a whole array");
                return;
            };
            place = self.key(place, key, true);
        }
        place.here.push(field);
    }

    fn key<'a>(&mut self, lookup: &'a mut Lookup, text: &str, exact: bool) -> &'a mut Lookup {
        let found = lookup.keys.iter().position(|key| key.exact == exact && *key.text == *text);
        let place = found.unwrap_or(lookup.keys.len());
        if found.is_none() {
            lookup.keys.push(Key { id: self.keys, text: text.into(), exact, below: Lookup::default() });
            self.keys += 1;
        }
        #[expect(clippy::indexing_slicing, reason = "the key was found there, or has just been pushed")]
        &mut lookup.keys[place].below
    }

    fn node(&mut self, spec: &Spec<'_>, place: Place<'_>, errors: &mut OptionErrors) -> Option<(Node, TypePtr)> {
        let option = |name: &str| format!("{}.{name}", place.path);
        if place.depth > MAX_DEPTH {
            errors.add(place.path, format!("structs, lists and maps can be at most {MAX_DEPTH} deep"));
            return None;
        }
        let unexpected = |given: bool, name: &str, types: &str, errors: &mut OptionErrors| {
            if given {
                errors.add(&option(name), format!("only {types} have `{name}`, not `{}`", spec.r#type.name()));
            }
        };
        let (is_struct, is_time) = (spec.r#type == Type::Struct, matches!(spec.r#type, Type::Timestamp | Type::Date));
        unexpected(!spec.fields.is_empty() && !is_struct, "fields", "structs", errors);
        unexpected(spec.format.is_some() && !is_time, "format", "`timestamp` and `date`", errors);
        let has_element = matches!(spec.r#type, Type::List | Type::Map);
        unexpected(spec.element.is_some() && !has_element, "element", "lists and maps", errors);

        let (id, first) = (self.names.len(), self.leaves);
        let name = format!("{}{}", place.prefix, place.name);
        self.names.push(name.clone());
        let present = if place.required { place.definition } else { place.definition + 1 };
        let below = format!("{name}.");
        let path = format!("{}.", place.path);
        let inside = Place {
            path: &path,
            prefix: &below,
            depth: place.depth + 1,
            definition: present,
            required: false,
            ..place
        };
        let repetition = if place.required { Repetition::REQUIRED } else { Repetition::OPTIONAL };
        let (shape, r#type) = match spec.r#type {
            Type::Struct => {
                if spec.fields.is_empty() {
                    errors.add(&option("fields"), "a struct needs fields");
                }
                let (fields, types) = self.fields(spec.fields, 0, "fields", inside, errors)?;
                let group = ParquetType::group_type_builder(place.name).with_fields(types);
                (Shape::Struct(fields), group.with_repetition(repetition).build())
            }
            Type::List | Type::Map => {
                let is_map = spec.r#type == Type::Map;
                if is_map {
                    self.leaves += 1;
                }
                let Some(element) = spec.element else {
                    let what = if is_map { "a map needs `element`, its values" } else { "a list needs `element`" };
                    errors.add(&option("element"), what);
                    return None;
                };
                let level = place.repetition + 1;
                let of_element = Place {
                    path: &option("element"),
                    name: if is_map { "value" } else { "element" },
                    // The level of the group that is repeated.
                    definition: present + 1,
                    repetition: level,
                    ..inside
                };
                let spec = Spec {
                    r#type: element.r#type,
                    format: element.format.as_deref(),
                    fields: &element.fields,
                    element: element.element.as_deref(),
                };
                let (node, r#type) = self.node(&spec, of_element, errors)?;
                let group = repeated(place.name, repetition, is_map, r#type);
                let element = Box::new(node);
                (if is_map { Shape::Map { level, value: element } } else { Shape::List { level, element } }, group)
            }
            simple => {
                self.leaves += 1;
                let (leaf, physical, logical) = leaf(simple, spec.format, &option("format"), errors)?;
                let builder = ParquetType::primitive_type_builder(place.name, physical);
                (Shape::Leaf(leaf), builder.with_repetition(repetition).with_logical_type(logical).build())
            }
        };
        let r#type = Arc::new(errors.check(place.path, r#type)?);
        let leaves = first..self.leaves;
        Some((Node { id, name: place.name.to_owned(), leaves, present, required: place.required, shape }, r#type))
    }
}

fn is_json(node: Option<&Node>) -> bool {
    node.is_some_and(|node| matches!(node.shape, Shape::Leaf(LeafType::Json)))
}

fn check_name(name: &str, names: &mut HashSet<String>, path: &str, errors: &mut OptionErrors) {
    if name.is_empty() || name.len() > MAX_NAME {
        errors.add(path, format!("a name has 1 to {MAX_NAME} bytes"));
    } else if name.contains(|char: char| char == '.' || char.is_control()) {
        errors.add(path, "a name has no dots and no control characters");
    } else if !names.insert(name.to_lowercase()) {
        // Athena and DuckDB ignore the case of column names.
        errors.add(path, format!("there is another column `{name}`; the case of letters does not count"));
    }
}

fn leaf(
    r#type: Type,
    format: Option<&str>,
    path: &str,
    errors: &mut OptionErrors,
) -> Option<(LeafType, Physical, Option<LogicalType>)> {
    let mut format = || match format {
        Some(text) => errors.check(path, Format::new(text)),
        None => Some(Format::Auto),
    };
    Some(match r#type {
        Type::Int => (LeafType::Int, Physical::INT32, None),
        Type::Bigint => (LeafType::Bigint, Physical::INT64, None),
        Type::Double => (LeafType::Double, Physical::DOUBLE, None),
        Type::Boolean => (LeafType::Boolean, Physical::BOOLEAN, None),
        Type::Timestamp => {
            let logical = LogicalType::timestamp(true, TimeUnit::MICROS);
            (LeafType::Timestamp(format()?), Physical::INT64, Some(logical))
        }
        Type::Date => (LeafType::Date(format()?), Physical::INT32, Some(LogicalType::Date)),
        Type::Json => (LeafType::Json, Physical::BYTE_ARRAY, Some(LogicalType::Json)),
        Type::String | Type::Struct | Type::List | Type::Map => {
            (LeafType::String, Physical::BYTE_ARRAY, Some(LogicalType::String))
        }
    })
}

/// A list or a map, with the three levels that Parquet's specification asks for.
fn repeated(name: &str, repetition: Repetition, is_map: bool, element: TypePtr) -> Result<ParquetType, ParquetError> {
    let (inner, logical) = if is_map { ("key_value", LogicalType::Map) } else { ("list", LogicalType::List) };
    let mut fields = Vec::new();
    if is_map {
        let key = ParquetType::primitive_type_builder("key", Physical::BYTE_ARRAY)
            .with_repetition(Repetition::REQUIRED)
            .with_logical_type(Some(LogicalType::String));
        fields.push(Arc::new(key.build()?));
    }
    fields.push(element);
    let middle = ParquetType::group_type_builder(inner).with_repetition(Repetition::REPEATED).with_fields(fields);
    ParquetType::group_type_builder(name)
        .with_repetition(repetition)
        .with_logical_type(Some(logical))
        .with_fields(vec![Arc::new(middle.build()?)])
        .build()
}
