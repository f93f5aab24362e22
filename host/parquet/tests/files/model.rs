//! Random records against a model that follows the documentation of the types.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use wattle_parquet::{ColumnOptions, ElementOptions, SchemaOptions, Type, Writer, WriterOptions};

use crate::read::{rows, schema};

const SCHEMA: &str = r#"
columns = [
    { name = "s", type = "string" },
    { name = "i", type = "int" },
    { name = "l", type = "bigint", path = "l" },
    { name = "d", type = "double" },
    { name = "f", type = "boolean" },
    { name = "t", type = "timestamp" },
    { name = "day", type = "date", path = "t" },
    { name = "j", type = "json" },
    { name = "deep", type = "string", path = "o.x.y" },
    { name = "o", type = "struct", fields = [
        { name = "x", type = "struct", fields = [
            { name = "y", type = "bigint" },
            { name = "a", type = "list", element = { type = "int" } },
        ] },
        { name = "s", type = "string" },
        { name = "all", type = "json", path = "$" },
    ] },
    { name = "a", type = "list", element = { type = "list", element = { type = "int" } } },
    { name = "structs", type = "list", path = "a", element = { type = "struct", fields = [
        { name = "s", type = "string" },
        { name = "m", type = "map", element = { type = "boolean" } },
    ] } },
    { name = "m", type = "map", element = { type = "list", element = { type = "string" } } },
    { name = "record", type = "json", path = "$" },
]
"#;

/// Times, with microseconds and days since 1970.
const TIMES: [(&str, Option<(i64, i64)>); 7] = [
    ("2023-11-08T12:00:00Z", Some((1_699_444_800_000_000, 19_669))),
    ("2023-11-08T00:30:00.123456789+01:00", Some((1_699_399_800_123_456, 19_668))),
    ("1969-12-31T23:59:59.9999995Z", Some((-1, -1))),
    ("1970-01-01T00:00:00Z", Some((0, 0))),
    ("2023-02-30T00:00:00Z", None),
    ("9999-01-01T00:00:00Z", None),
    ("1677-09-21T00:12:43.145224192Z", Some((-9_223_372_036_854_776, -106_752))),
];

/// JSON with what `serde_json` does not keep: digits, repeated keys, escapes.
#[derive(Clone, Debug)]
enum Json {
    Null,
    Boolean(bool),
    Number(String),
    /// With each character escaped, or as few as possible.
    String(String, bool),
    Array(Vec<Json>),
    Object(Vec<(String, bool, Json)>),
}

fn quoted(text: &str, escaped: bool) -> String {
    match escaped {
        true => format!("\"{}\"", text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<String>()),
        false => Value::from(text).to_string(),
    }
}

impl Json {
    fn text(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Boolean(value) => value.to_string(),
            Self::Number(digits) => digits.clone(),
            Self::String(text, escaped) => quoted(text, *escaped),
            Self::Array(elements) => {
                format!("[{}]", elements.iter().map(Self::text).collect::<Vec<_>>().join(", "))
            }
            Self::Object(members) => {
                let members =
                    members.iter().map(|(key, escaped, value)| format!("{}: {}", quoted(key, *escaped), value.text()));
                format!("{{ {} }}", members.collect::<Vec<_>>().join(",\n"))
            }
        }
    }

    fn member(&self, is: impl Fn(&str) -> bool) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(key, ..)| is(key)).map(|(.., value)| value)
    }
}

/// What the documentation says about a value in a column.
struct Model {
    misfits: u64,
}

impl Model {
    fn fields(&mut self, columns: &[ColumnOptions], record: &Json) -> Value {
        let field = |column: &ColumnOptions| {
            let value = match column.path.as_deref() {
                None => record.member(|key| key.eq_ignore_ascii_case(&column.name)),
                Some("$") => Some(record),
                Some(path) => path.split('.').try_fold(record, |value, key| value.member(|k| k == key)),
            };
            let value = value.map(|v| self.value(column.r#type, &column.fields, column.element.as_deref(), v));
            (column.name.clone(), value.unwrap_or_default())
        };
        Value::Object(columns.iter().map(field).collect())
    }

    fn value(
        &mut self,
        r#type: Type,
        fields: &[ColumnOptions],
        element: Option<&ElementOptions>,
        value: &Json,
    ) -> Value {
        let mut inner = |value: &Json| {
            let element = element.unwrap();
            self.value(element.r#type, &element.fields, element.element.as_deref(), value)
        };
        let fits = match (r#type, value) {
            (_, Json::Null) => return Value::Null,
            (Type::Json, value) => Some(value.text().into()),
            (Type::String, Json::String(text, _)) => Some(text.as_str().into()),
            (Type::String, value) => Some(value.text().into()),
            (Type::Struct, Json::Object(_)) => Some(self.fields(fields, value)),
            (Type::List, Json::Array(elements)) => Some(elements.iter().map(inner).collect()),
            (Type::Map, Json::Object(members)) => {
                let mut map = Map::new();
                for (key, _, value) in members {
                    if !map.contains_key(key) {
                        map.insert(key.clone(), inner(value));
                    }
                }
                Some(Value::Object(map))
            }
            (Type::Struct | Type::List | Type::Map, _) => None,
            (simple, Json::Number(text) | Json::String(text, false)) => scalar(simple, text),
            // Texts with escapes are no numbers, booleans and times.
            (simple, Json::String(text, true)) => text.is_empty().then(|| scalar(simple, text)).flatten(),
            (Type::Boolean, Json::Boolean(value)) => Some(json!(value)),
            _ => None,
        };
        self.misfits += u64::from(fits.is_none());
        fits.unwrap_or_default()
    }
}

fn scalar(r#type: Type, text: &str) -> Option<Value> {
    let number = || text.parse::<f64>().ok().filter(|number| number.is_finite());
    // Exact, since the fractions and exponents in these tests are small.
    let whole = || number().filter(|n| n.fract() == 0.0 && n.abs() < 1e15).map(|n| n as i64);
    let time = || TIMES.iter().find(|(time, _)| *time == text).and_then(|(_, expected)| *expected);
    Some(match r#type {
        Type::Int => json!(i32::try_from(text.parse().ok().or_else(whole)?).ok()?),
        Type::Bigint => json!(text.parse::<i64>().ok().or_else(whole)?),
        Type::Double => json!(number()?),
        Type::Boolean => json!(text.parse::<bool>().ok()?),
        Type::Timestamp => json!(time()?.0),
        Type::Date => json!(time()?.1),
        _ => unreachable!("not a scalar"),
    })
}

fn numbers() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<i32>().prop_map(|n| n.to_string()),
        (-99_999..99_999_i32, 0..9_u32).prop_map(|(n, e)| format!("{n}.0e{e}")),
        (0..9_u32).prop_map(|fraction| format!("-7.{fraction}")),
        Just("123456789012345678901234567890".to_owned()),
        Just("1e999".to_owned()),
        Just("-0".to_owned()),
    ]
}

fn json() -> impl Strategy<Value = Json> {
    let time = proptest::sample::select(TIMES.map(|(text, _)| text).to_vec());
    let text = prop_oneof![
        "[a-z \\\\\"\u{e9}\u{1f600}\n]{0,5}",
        time.prop_map(str::to_owned),
        Just("true".to_owned()),
        (0..99_u32).prop_map(|n| n.to_string())
    ];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Boolean),
        numbers().prop_map(Json::Number),
        (text, any::<bool>()).prop_map(|(text, escaped)| Json::String(text, escaped)),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::Array), object(inner, 0..5),]
    })
}

fn object(value: impl Strategy<Value = Json>, members: std::ops::Range<usize>) -> impl Strategy<Value = Json> {
    let keys = ["s", "S", "i", "I", "l", "L", "d", "f", "j", "o", "O", "x", "X", "y", "a", "m", "k", "", "all"];
    let key = proptest::sample::select(keys.to_vec()).prop_map(str::to_owned);
    proptest::collection::vec((key, any::<bool>(), value), members).prop_map(Json::Object)
}

/// Times at `t`, which nothing else of a number's kind should reach: its epochs are tested elsewhere.
fn record() -> impl Strategy<Value = Json> {
    let time = proptest::sample::select(TIMES.map(|(text, _)| text).to_vec());
    (object(json(), 0..14), proptest::option::of(time)).prop_map(|(object, time)| {
        let Json::Object(mut members) = object else { unreachable!() };
        members.extend(time.map(|time| ("t".to_owned(), false, Json::String(time.to_owned(), false))));
        Json::Object(members)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn rows_are_as_documented(records in proptest::collection::vec(record(), 0..30), group in 1..40_usize) {
        let options: SchemaOptions = toml::from_str(SCHEMA).unwrap();
        let schema = schema(SCHEMA);
        let write = || {
            let options = WriterOptions { row_group_rows: group, ..WriterOptions::default() };
            let mut writer = Writer::new(&schema, options).unwrap();
            let counts: Vec<_> = records.iter().map(|record| writer.push(record.text().as_bytes()).unwrap()).collect();
            (counts, writer.finish().unwrap())
        };
        let (counts, file) = write();
        let mut model = Model { misfits: 0 };
        let expected: Vec<_> = records.iter().map(|record| model.fields(&options.columns, record)).collect();
        prop_assert_eq!(rows(&file), expected);
        prop_assert_eq!(file.misfits.iter().map(|m| m.values).sum::<u64>(), model.misfits);
        prop_assert_eq!(counts.iter().sum::<usize>() as u64, model.misfits);
        prop_assert!(write().1.bytes == file.bytes, "the same records give the same bytes");
    }
}
