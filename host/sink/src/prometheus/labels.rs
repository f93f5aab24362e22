//! Labels of the series of an event: its attributes, those of its service, and those of the options.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;
use wattle_batch::{Batch, FieldPath, Form, Root};
use wattle_options::OptionErrors;

use crate::encode::{Rendering, Template};

/// Labels that every event has in addition to its attributes, by their names.
#[derive(Debug, Default)]
pub(crate) struct Labels(Vec<(String, Template)>);

/// Labels, prepared for a batch.
pub(crate) struct BoundLabels<'a> {
    attributes: (Bytes, Vec<u32>),
    /// Values that an attribute of the same name replaces.
    defaults: Vec<(&'static str, Service)>,
    own: Vec<(&'a str, Rendering<'a>)>,
}

/// The columns of a label of the service: the parts of its value, joined by a slash.
type Service = Vec<(Bytes, Vec<u32>)>;

/// Fields of the resource and their labels.
const SERVICE: [(&str, &[&str]); 2] = [
    ("job", &["resource.\"service.namespace\"", "resource.\"service.name\""]),
    ("instance", &["resource.\"service.instance.id\""]),
];

impl Labels {
    /// Reads labels of options. `option` is the one that has them.
    pub(crate) fn read(option: &str, texts: &BTreeMap<String, String>, errors: &mut OptionErrors) -> Self {
        let mut labels = Vec::new();
        for (name, text) in texts {
            let path = format!("{option}.{name}");
            if !label_is_valid(name) {
                errors.add(
                    &path,
                    "is not a label; use letters, digits and `_`, begin with a letter, and avoid `le` and `quantile`",
                );
            }
            labels.extend(errors.check(&path, Template::parse(text)).map(|template| (name.clone(), template)));
        }
        Self(labels)
    }

    pub(crate) fn bind<'a>(&'a self, batch: &'a Batch) -> BoundLabels<'a> {
        let read = |field: &FieldPath, form| {
            let (bytes, offsets, _) = batch.read(field, form);
            (bytes, offsets)
        };
        let column = |path: &&str| FieldPath::parse(path).ok().map(|field| read(&field, Form::Text));
        let defaults = SERVICE.iter().map(|(name, parts)| (*name, parts.iter().filter_map(column).collect())).collect();
        BoundLabels {
            attributes: read(&FieldPath::whole(Root::Attributes), Form::Json),
            defaults,
            own: self.0.iter().map(|(name, template)| (&**name, template.bind(batch))).collect(),
        }
    }
}

fn cell((bytes, offsets): &(Bytes, Vec<u32>), row: usize) -> &[u8] {
    let range = offsets.get(row).zip(offsets.get(row + 1));
    range.and_then(|(start, end)| bytes.get(*start as usize..*end as usize)).unwrap_or_default()
}

impl BoundLabels<'_> {
    /// The labels of a row in the order of their names, without empty values.
    pub(crate) fn of(&self, row: usize) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        // The attributes of an event are an object.
        let attributes: BTreeMap<String, Value> =
            serde_json::from_slice(cell(&self.attributes, row)).unwrap_or_default();
        for (name, value) in attributes {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text,
                other => other.to_string(),
            };
            // Two attributes whose names differ in characters that labels cannot have are one label.
            let label: &mut String = labels.entry(label_name(&name)).or_default();
            if !label.is_empty() && !text.is_empty() {
                label.push(';');
            }
            label.push_str(&text);
        }
        for (name, parts) in &self.defaults {
            let parts: Vec<_> = parts.iter().map(|part| String::from_utf8_lossy(cell(part, row))).collect();
            let parts: Vec<&str> = parts.iter().map(|part| &**part).filter(|part| !part.is_empty()).collect();
            if !parts.is_empty() {
                labels.entry((*name).to_owned()).or_insert_with(|| parts.join("/"));
            }
        }
        let mut value = Vec::new();
        for (name, template) in &self.own {
            value.clear();
            template.write(row, &mut value);
            if !value.is_empty() {
                labels.insert((*name).to_owned(), String::from_utf8_lossy(&value).into_owned());
            }
        }
        labels.retain(|_, value| !value.is_empty());
        labels
    }
}

/// The label of an attribute: other characters than letters, digits and `_` become `_`.
pub(super) fn label_name(attribute: &str) -> String {
    let name: String = attribute.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '_' }).collect();
    // Prometheus reserves names that begin with two underscores, and a label must not begin with a digit.
    match name.as_bytes() {
        [] => "key".to_owned(),
        [b'0'..=b'9', ..] => format!("key_{name}"),
        [b'_', b'_', ..] => format!("key{name}"),
        _ => name,
    }
}

/// Whether a text is the name of a label that options can set.
fn label_is_valid(name: &str) -> bool {
    label_name(name) == name && !["le", "quantile"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_labels_are_valid() {
        for (attribute, label) in [
            ("http.method", "http_method"),
            ("_a", "_a"),
            ("__name__", "key__name__"),
            ("1st", "key_1st"),
            ("\u{e4}b", "_b"),
            ("", "key"),
        ] {
            assert_eq!(label_name(attribute), label);
        }
        for (name, is_valid) in [("job", true), ("a-b", false), ("__name__", false), ("le", false), ("", false)] {
            assert_eq!(label_is_valid(name), is_valid, "{name}");
        }
    }
}
