//! The value tree of a manifest: TOML values with their places and the parameters that supplied
//! them.

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::codes;
use crate::findings::{Findings, Place};
pub use crate::syntax::parse;

/// A value and its place.
#[derive(Clone)]
pub struct Item {
    /// Place of the value.
    pub place: Place,
    /// The value.
    pub data: Data,
    /// The parameter that supplied the value, with the place where it was given.
    pub param: Option<String>,
}

/// A value without its place.
#[derive(Clone)]
pub enum Data {
    /// A string, or a date or time as text.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A finite number.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A list.
    List(Vec<Item>),
    /// A table.
    Table(Table),
    /// A value with an error that was already reported; checks ignore it, so that one mistake gives
    /// one diagnostic.
    Unknown,
}

/// A table with its entries in the order of the file.
#[derive(Clone, Default)]
pub struct Table(pub Vec<Entry>);

/// A key with its value.
#[derive(Clone)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Place of the key.
    pub place: Place,
    /// The value.
    pub item: Item,
}

impl Table {
    /// Returns the entry of a key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.key == key)
    }
}

impl Item {
    /// Creates a value that no parameter supplied.
    pub fn new(place: Place, data: Data) -> Self {
        Self { place, data, param: None }
    }

    /// Applies `map` to every string in the tree with its place; a string for which it returns
    /// `None` becomes unknown.
    pub fn map_strings(&mut self, map: &mut dyn FnMut(Place, &str) -> Option<Item>) {
        match &mut self.data {
            Data::String(text) => match map(self.place, text) {
                Some(item) => *self = item,
                None => self.data = Data::Unknown,
            },
            Data::List(items) => items.iter_mut().for_each(|item| item.map_strings(map)),
            Data::Table(table) => table.0.iter_mut().for_each(|entry| entry.item.map_strings(map)),
            _ => {}
        }
    }

    /// Names the type of the value for messages.
    pub fn kind(&self) -> &'static str {
        match self.data {
            Data::String(_) => "a string",
            Data::Integer(_) => "an integer",
            Data::Float(_) => "a number",
            Data::Boolean(_) => "a boolean",
            Data::List(_) => "a list",
            Data::Table(_) => "a table",
            Data::Unknown => "unknown",
        }
    }

    /// Whether an error of the value, or of one inside it, was already reported.
    pub fn is_unknown(&self) -> bool {
        match &self.data {
            Data::Unknown => true,
            Data::List(items) => items.iter().any(Self::is_unknown),
            Data::Table(table) => table.0.iter().any(|entry| entry.item.is_unknown()),
            _ => false,
        }
    }

    /// Converts the value to JSON.
    pub fn to_json(&self) -> Json {
        match &self.data {
            Data::String(text) => Json::from(text.as_str()),
            Data::Integer(number) => Json::from(*number),
            Data::Float(number) => Json::from(*number),
            Data::Boolean(value) => Json::from(*value),
            Data::List(items) => items.iter().map(Self::to_json).collect(),
            Data::Table(table) => table_to_json(table),
            Data::Unknown => Json::Null,
        }
    }

    /// Converts JSON that has no place of its own; `null` becomes unknown, since TOML has none.
    pub fn from_json(place: Place, value: &Json) -> Self {
        let data = match value {
            Json::Null => Data::Unknown,
            Json::Bool(value) => Data::Boolean(*value),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => Data::Integer(number),
                (None, Some(number)) => Data::Float(number),
                (None, None) => Data::Unknown,
            },
            Json::String(text) => Data::String(text.clone()),
            Json::Array(items) => Data::List(items.iter().map(|item| Self::from_json(place, item)).collect()),
            Json::Object(members) => {
                let entry = |(key, item)| Entry { key: String::clone(key), place, item: Self::from_json(place, item) };
                Data::Table(Table(members.iter().map(entry).collect()))
            }
        };
        Self::new(place, data)
    }
}

/// Converts a table to a JSON object.
pub fn table_to_json(table: &Table) -> Json {
    table.0.iter().map(|entry| (entry.key.clone(), entry.item.to_json())).collect()
}

pub(crate) fn convert_table(manifest: usize, table: &DeTable<'_>, findings: &mut Findings) -> Table {
    let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| Entry {
        key: String::from(AsRef::<str>::as_ref(key.get_ref() as &std::borrow::Cow<'_, str>)),
        place: Place::new(manifest, key.span()),
        item: convert(manifest, value, findings),
    };
    Table(table.iter().map(entry).collect())
}

fn convert(manifest: usize, value: &Spanned<DeValue<'_>>, findings: &mut Findings) -> Item {
    let place = Place::new(manifest, value.span());
    let data = match value.get_ref() {
        DeValue::String(text) => {
            findings.keep_decoded_secret(place, text);
            Data::String(text.to_string())
        }
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Data::Integer(number),
            Err(_) => {
                let message = format!("bad number: `{number}`; integers have 64 bits");
                findings.report(codes::BAD_VALUE.at(place, message));
                Data::Unknown
            }
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            // Options become JSON, which has no other numbers.
            Ok(number) if number.is_finite() => Data::Float(number),
            _ => {
                findings.report(codes::BAD_VALUE.at(place, format!("bad number: `{number}`; it must be finite")));
                Data::Unknown
            }
        },
        DeValue::Boolean(value) => Data::Boolean(*value),
        DeValue::Datetime(time) => Data::String(time.to_string()),
        DeValue::Array(items) => Data::List(items.iter().map(|item| convert(manifest, item, findings)).collect()),
        DeValue::Table(table) => Data::Table(convert_table(manifest, table, findings)),
    };
    Item::new(place, data)
}
