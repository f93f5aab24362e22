//! Turns a JSON schema into Markdown tables.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The head of the page.
pub(super) const HEAD: &str = r#"# Configuration reference

Every key of `agent.toml`, written from the schema that `wattle schema agent` prints. Do not edit this page: change the description of the option, then run the test suite `config` with `UPDATE_EXPECT=1`.

| type | how to write it |
| --- | --- |
| size | bytes as a number, or with a unit: `512`, `"64KiB"`, `"1.5GB"` |
| duration | with units: `"500ms"`, `"1h 30m"`, or seconds as a number: `0.5` |
| table | further keys, written here as `table.key` |

`NAME` stands for a name of your choice, `[]` for each element of a list.
Every string may hold `${VARIABLE}` or `${VARIABLE:-default}`, which the agent replaces from its environment, and `${file:PATH}` or `${credential:NAME}` for a secret in a file; `$$` is a dollar sign.

"#;

/// Options that the page cannot describe.
#[derive(Default)]
pub(super) struct Gaps {
    pub(super) undescribed: BTreeSet<String>,
    pub(super) without_default: BTreeSet<String>,
}

/// A section of the page: a heading, an example, and a table of keys.
pub(super) struct Section<'a> {
    pub(super) title: String,
    pub(super) level: usize,
    pub(super) of: &'a Value,
    /// Keys that another section describes.
    pub(super) omit: &'a [&'a str],
    pub(super) example: Option<String>,
}

/// A row of a table.
struct Row {
    key: String,
    kind: String,
    default: String,
    description: String,
}

impl Section<'_> {
    pub(super) fn render(&self, gaps: &mut Gaps) -> String {
        let mut text = format!("{} {}\n\n", "#".repeat(self.level), self.title);
        if let Some(example) = &self.example {
            text += &format!("```toml\n{}\n```\n\n", example.trim());
        }
        let mut rows = Vec::new();
        let mut walk = Walk { title: &self.title, gaps, rows: &mut rows };
        for alternative in alternatives(self.of) {
            walk.table(alternative, "", self.omit);
        }
        if rows.is_empty() {
            let kind = kind(self.of);
            let description = describe(self.of);
            return match kind.as_str() {
                "table" => text + "No options.\n\n",
                _ => text + &format!("{kind}. {}\n\n", one_line(&description)),
            };
        }
        text += "| key | type | default | description |\n| --- | --- | --- | --- |\n";
        for Row { key, kind, default, description } in rows {
            text += &format!("| `{key}` | {kind} | {default} | {description} |\n");
        }
        text + "\n"
    }
}

/// A walk over the keys of a section.
struct Walk<'a> {
    title: &'a str,
    gaps: &'a mut Gaps,
    rows: &'a mut Vec<Row>,
}

impl Walk<'_> {
    /// Adds the keys of a table; tables in it are written with dots.
    fn table(&mut self, schema: &Value, prefix: &str, omit: &[&str]) {
        let none = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&none);
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        // A table with one key is described as a whole.
        let whole = schema["description"].as_str().filter(|_| properties.len() == 1);
        for (name, schema) in properties.iter().filter(|(name, _)| !omit.contains(&name.as_str())) {
            self.key(&format!("{prefix}{name}"), schema, required.contains(&name.as_str()), whole);
        }
        for schema in schema["patternProperties"].as_object().into_iter().flat_map(Map::values) {
            self.named(schema, prefix);
        }
    }

    fn named(&mut self, schema: &Value, prefix: &str) {
        for alternative in alternatives(schema) {
            self.table(alternative, &format!("{prefix}NAME."), &[]);
        }
    }

    fn key(&mut self, key: &str, schema: &Value, is_required: bool, whole: Option<&str>) {
        let alternatives = alternatives(schema);
        let is_table = |s: &&&Value| s["properties"].is_object() || s["patternProperties"].is_object();
        let tables: Vec<&&Value> = alternatives.iter().filter(is_table).collect();
        let elements: Vec<&Value> = alternatives
            .iter()
            .flat_map(|list| item_alternatives(&list["items"]))
            .filter(|item| item["properties"].is_object())
            .collect();
        let mut description = describe(schema);
        if description.is_empty() {
            // The tag of a table with several forms has no description.
            let is_tag = !alternatives.is_empty() && alternatives.iter().all(|a| a["const"].is_string());
            description = if is_tag { "Form of the table." } else { whole.unwrap_or_default() }.to_owned();
        }
        let only_tables = tables.len() == alternatives.len();
        // A table without a description is replaced by its keys; other tables get a row as well.
        if !only_tables || !elements.is_empty() || description.is_empty() && tables.is_empty() {
            self.row(key, schema, is_required, &mut description);
        }
        for table in tables {
            self.table(table, &format!("{key}."), &[]);
        }
        for element in elements {
            self.table(element, &format!("{key}[]."), &[]);
        }
    }

    fn row(&mut self, key: &str, schema: &Value, is_required: bool, description: &mut String) {
        // Alternatives of a tagged table repeat their common keys.
        if let Some(row) = self.rows.iter_mut().find(|row| row.key == key) {
            let kind = kind(schema);
            if row.kind != kind {
                row.kind += &format!(" or {kind}");
            }
            return;
        }
        let place = || format!("{} {key}", self.title);
        let default = match (take_default(description), default_of(schema)) {
            _ if is_required => "required".to_owned(),
            (Some(default), _) => default,
            (None, Some(default)) => default,
            // A nullable option is off without a value.
            (None, None) if is_nullable(schema) => "none".into(),
            (None, None) => {
                self.gaps.without_default.insert(place());
                String::new()
            }
        };
        if description.trim().is_empty() {
            self.gaps.undescribed.insert(place());
        }
        let words = words(schema);
        if !words.is_empty() {
            *description += &format!(" {words}");
        }
        let description = one_line(description);
        self.rows.push(Row { key: key.to_owned(), kind: kind(schema), default, description });
    }
}

fn item_alternatives(schema: &Value) -> Vec<&Value> {
    if schema.is_object() { alternatives(schema) } else { Vec::new() }
}

/// The forms that a value can have, without variable references and null.
fn alternatives(schema: &Value) -> Vec<&Value> {
    let Some(parts) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) else { return vec![schema] };
    let is_variable =
        |part: &&Value| part["pattern"] == r"\$\{" && part["type"] == "string" && part.get("enum").is_none();
    let is_null = |part: &&Value| part["type"] == "null";
    parts.iter().filter(|p| !is_variable(p) && !is_null(p)).flat_map(alternatives).collect()
}

fn is_nullable(schema: &Value) -> bool {
    let parts = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array());
    schema["type"] == "null"
        || schema["type"].as_array().is_some_and(|types| types.iter().any(|t| t == "null"))
        || parts.is_some_and(|parts| parts.iter().any(is_nullable))
}

fn describe(schema: &Value) -> String {
    let own = schema["description"].as_str().map(str::to_owned);
    own.or_else(|| alternatives(schema).iter().find_map(|s| s["description"].as_str()).map(str::to_owned))
        .unwrap_or_default()
}

/// The meaning of each word, for options that are one of several words with descriptions.
fn words(schema: &Value) -> String {
    let each = alternatives(schema).into_iter().filter_map(|s| {
        let (word, text) = (s["const"].as_str()?, s["description"].as_str()?);
        Some(format!("`{word}`: {}", one_line(text)))
    });
    each.collect::<Vec<_>>().join(" ")
}

fn kind(schema: &Value) -> String {
    let mut kinds: Vec<String> = Vec::new();
    for part in alternatives(schema) {
        let kind = kind_of_one(part);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds.join(" or ")
}

fn kind_of_one(schema: &Value) -> String {
    let pattern = schema["pattern"].as_str().unwrap_or_default();
    let named = schema["type"].as_array().map_or_else(|| vec![&schema["type"]], |types| types.iter().collect());
    let is = |name: &str| named.iter().any(|t| **t == name);
    let word = |value: &Value| value.as_str().map_or_else(|| format!("`{value}`"), |word| format!("`{word}`"));
    if let Some(target) = schema["$ref"].as_str() {
        let name = target.trim_start_matches("#/$defs/");
        return format!("[`{name}`](#{})", name.replace('.', "").to_lowercase());
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(word).collect::<Vec<_>>().join(" or ");
    }
    match schema.get("const") {
        Some(constant) => word(constant),
        None if pattern.contains("[kKmMgGtTpP]") => "size".into(),
        None if pattern.contains("[a-zµ]") => "duration".into(),
        None if is("array") => match schema.get("items") {
            Some(items) => format!("list of {}", plural(&kind(items))),
            None => "list".into(),
        },
        None if is("object") => match schema["additionalProperties"].as_object() {
            Some(_) => format!("table of {} by name", plural(&kind(&schema["additionalProperties"]))),
            None => "table".into(),
        },
        None if is("boolean") => "boolean".into(),
        None if is("integer") => "integer".into(),
        None if is("number") => "number".into(),
        None if is("string") => "string".into(),
        None => "any value".into(),
    }
}

fn plural(kind: &str) -> String {
    match kind {
        "string" | "integer" | "number" | "table" | "boolean" => format!("{kind}s"),
        other => other.to_owned(),
    }
}

/// Removes the sentence `Default: x.` from a description, and the word from `` `x` (default)``.
fn take_default(description: &mut String) -> Option<String> {
    if let Some(start) = description.find("Default: ") {
        let rest = &description[start + "Default: ".len()..];
        // The sentence ends at a full stop outside of numbers and code.
        let mut in_code = false;
        let bytes = rest.as_bytes();
        let end = (0..rest.len()).find(|i| {
            in_code ^= bytes[*i] == b'`';
            !in_code && bytes[*i] == b'.' && bytes.get(i + 1).is_none_or(u8::is_ascii_whitespace)
        })?;
        let default = one_line(&rest[..end]);
        let after = rest.get(end + 1..).unwrap_or_default().to_owned();
        description.truncate(start);
        *description =
            format!("{}{after}", description.trim_end().to_owned() + if after.is_empty() { "" } else { " " });
        return Some(default);
    }
    let place = description.find("` (default)")?;
    let word = description[..place].rsplit('`').next()?.to_owned();
    *description = description.replace(" (default)", "");
    Some(format!("`{word}`"))
}

fn default_of(schema: &Value) -> Option<String> {
    let default = schema.get("default").or_else(|| alternatives(schema).into_iter().find_map(|s| s.get("default")))?;
    match default {
        Value::Null => None,
        Value::Array(elements) if elements.is_empty() => Some("none".into()),
        other => Some(format!("`{}`", one_line(&other.to_string()))),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
