//! Reads a file back as JSON.

use bytes::Bytes;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::{Map, Value, json};
use wattle_parquet::{File, Schema, SchemaOptions, Writer, WriterOptions};

pub(crate) fn schema(text: &str) -> Schema {
    let options: SchemaOptions = toml::from_str(text).unwrap();
    Schema::new(&options).unwrap()
}

pub(crate) fn reader(file: &File) -> SerializedFileReader<Bytes> {
    SerializedFileReader::new(Bytes::from(file.bytes.clone())).unwrap()
}

/// Rows of a file. Fields that are null are there, as null.
pub(crate) fn rows(file: &File) -> Vec<Value> {
    let rows: Vec<_> = reader(file).get_row_iter(None).unwrap().map(|row| of_row(&row.unwrap())).collect();
    assert_eq!(rows.len() as u64, file.rows);
    rows
}

/// Writes records that are all valid, and reads them back.
pub(crate) fn round_trip(schema: &Schema, records: &[&str]) -> (Vec<Value>, File) {
    let mut writer = Writer::new(schema, WriterOptions::default()).unwrap();
    for record in records {
        writer.push(record.as_bytes()).unwrap();
    }
    let file = writer.finish().unwrap();
    (rows(&file), file)
}

fn of_row(row: &Row) -> Value {
    Value::Object(row.get_column_iter().map(|(name, field)| (name.clone(), of_field(field))).collect())
}

fn of_field(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => json!(value),
        Field::Int(value) | Field::Date(value) => json!(value),
        Field::Long(value) | Field::TimestampMicros(value) => json!(value),
        Field::Double(value) => json!(value),
        Field::Str(value) => json!(value),
        Field::Group(row) => of_row(row),
        Field::ListInternal(list) => list.elements().iter().map(of_field).collect(),
        Field::MapInternal(map) => {
            let mut members = Map::new();
            for (key, value) in map.entries() {
                let Field::Str(key) = key else { panic!("{key:?} is no key") };
                assert!(members.insert(key.clone(), of_field(value)).is_none(), "{key} is there twice");
            }
            Value::Object(members)
        }
        other => panic!("no column has values like {other:?}"),
    }
}
