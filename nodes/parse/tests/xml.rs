//! The format `xml`: wrong options, random documents against a model, and any bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use wattle_node::testing::{check_refusal, run, run_bodies};
use wattle_node_parse::Parse;

#[test]
fn wrong_options_are_reported_all_at_once() {
    let refuse = |options: Value, expected: &[(&str, &str)]| check_refusal::<Parse>(&options, expected).unwrap();
    refuse(
        json!({"format": "xml", "columns": ["a"], "xml": {"max_depth": 129, "max_elements": 0, "keys_from": {"Data": ""}}}),
        &[
            ("columns", "belongs to the format"),
            ("xml.max_depth", "from 1 to 128"),
            ("xml.max_elements", "at least one element"),
            ("xml.keys_from", "have names"),
        ],
    );
    refuse(json!({"format": "csv", "columns": ["a"], "xml": {}}), &[("xml", "belongs to the format `xml`")]);
    refuse(json!({"format": "xml", "xml": {"attribute_prefix": "_"}}), &[("xml.attribute_prefix", "unknown field")]);
}

/// The example of `xml` in `FORMATS.md`.
#[test]
fn the_example_of_the_formats_holds() {
    let page = include_str!("../FORMATS.md");
    let line = page.lines().find(|line| line.starts_with("`<r ")).unwrap();
    let parts: Vec<&str> = line.split('`').collect();
    let ran = run_bodies::<Parse>(&json!({"format": "xml"}), &[parts[1]]).unwrap();
    assert_eq!(ran.ports["out"][0]["attributes"], serde_json::from_str::<Value>(parts[3]).unwrap());
}

/// An element of the model.
#[derive(Clone, Debug)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    content: Vec<Content>,
}

#[derive(Clone, Debug)]
enum Content {
    Element(Element),
    Text(String),
}

fn elements() -> impl Strategy<Value = Element> {
    let name = || "[a-cA-C_é][a-c0-9.:-]{0,2}";
    let text = || "[ -~\\n\\t€]{1,6}";
    let attributes = move || prop::collection::btree_map(name(), text(), 0..3);
    let leaf = (name(), attributes(), prop::option::of(text())).prop_map(|(name, attributes, text)| Element {
        name,
        attributes: attributes.into_iter().collect(),
        content: text.map(Content::Text).into_iter().collect(),
    });
    leaf.prop_recursive(4, 80, 24, move |inner| {
        let content = prop_oneof![4 => inner.prop_map(Content::Element), 1 => text().prop_map(Content::Text)];
        (name(), attributes(), prop::collection::vec(content, 0..24)).prop_map(|(name, attributes, content)| Element {
            name,
            attributes: attributes.into_iter().collect(),
            content,
        })
    })
}

/// Escapes each character in one of the ways that XML has for it.
fn escaped(text: &str, number: usize) -> String {
    let mut out = String::new();
    for (place, character) in text.chars().enumerate() {
        match (character, (place + number) % 3) {
            ('<', _) => out.push_str("&lt;"),
            ('&', 0) => out.push_str("&amp;"),
            ('&' | '"' | '\n' | '\t', _) => out.push_str(&format!("&#{};", u32::from(character))),
            (_, 0) => out.push_str(&format!("&#x{:x};", u32::from(character))),
            _ => out.push(character),
        }
    }
    out
}

fn write(element: &Element, out: &mut String) {
    out.push_str(&format!("<{}", element.name));
    for (name, value) in &element.attributes {
        out.push_str(&format!(" {name}=\"{}\"", escaped(value, 1)));
    }
    if element.content.is_empty() {
        return out.push_str("/>");
    }
    out.push('>');
    for (number, content) in element.content.iter().enumerate() {
        match content {
            Content::Element(element) => write(element, out),
            Content::Text(text) if number % 2 == 1 && !text.contains("]]>") => {
                out.push_str(&format!("<!-- c --><![CDATA[{text}]]>"));
            }
            Content::Text(text) => out.push_str(&escaped(text, number)),
        }
    }
    out.push_str(&format!("</{}>", element.name));
}

fn add(object: &mut Map<String, Value>, key: &str, value: Value) {
    match object.get_mut(key) {
        // A value itself is never an array.
        Some(Value::Array(values)) => values.push(value),
        Some(before) => *before = json!([before.take(), value]),
        None => {
            object.insert(key.to_owned(), value);
        }
    }
}

fn model(element: &Element) -> Value {
    let mut content: Vec<Content> = Vec::new();
    for part in &element.content {
        match (content.last_mut(), part) {
            (Some(Content::Text(before)), Content::Text(text)) => before.push_str(text),
            _ => content.push(part.clone()),
        }
    }
    match (element.attributes.is_empty(), &content[..]) {
        (true, []) => return json!(""),
        (true, [Content::Text(text)]) => return json!(text),
        _ => {}
    }
    let mut object = Map::new();
    for (name, value) in &element.attributes {
        add(&mut object, &format!("@{name}"), json!(value));
    }
    for part in &content {
        match part {
            Content::Element(element) => add(&mut object, &element.name, model(element)),
            Content::Text(text) => add(&mut object, "text", json!(text)),
        }
    }
    Value::Object(object)
}

proptest! {
    #[test]
    fn documents_become_what_the_model_says(elements in prop::collection::vec(elements(), 1..4)) {
        let bodies: Vec<String> = elements.iter().map(|element| {
            let mut text = String::new();
            write(element, &mut text);
            text
        }).collect();
        // Texts of white space only are kept, so that the model needs no rule for them.
        let events: Vec<Value> = bodies.iter().map(|body| json!({"body": body})).collect();
        let ran = run::<Parse>(&json!({"format": "xml", "xml": {"trim": false}}), &events).map_err(TestCaseError::fail)?;
        prop_assert_eq!(ran.failed.len(), 0, "{:?} {:?}", ran.failed, bodies);
        for (event, element) in ran.ports["out"].iter().zip(&elements) {
            let expected = json!({ element.name.clone(): model(element) });
            prop_assert_eq!(&event["attributes"], &expected);
        }
    }

    #[test]
    fn any_text_parses_to_valid_json_or_fails(
        element in elements(), cut in any::<prop::sample::Index>(), insert in "(<[!?/]?|&[#a-z]{0,3};?|[ -~]{0,4}|]]>|<!\\[CDATA\\[)",
        skip in 0..4_usize, options in 0..3_usize,
    ) {
        let mut text = String::new();
        write(&element, &mut text);
        let at = (0..=cut.index(text.len() + 1)).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        let (before, after) = text.split_at(at);
        let text = format!("{before}{insert}{}", after.chars().skip(skip).collect::<String>());
        let xml = [
            json!({}),
            json!({"attr_prefix": "", "keys_from": {"a": "a"}, "namespaces": "drop", "parse_number": true, "arrays": ["a", "text"]}),
            json!({"always_use_text_key": true, "include_attr": false, "parse_null": true, "max_depth": 3, "max_elements": 9}),
        ][options].clone();
        // The harness reads the attributes as JSON, so text that is not JSON fails here.
        let ran = run_bodies::<Parse>(&json!({"format": "xml", "xml": xml}), &[&text]).map_err(TestCaseError::fail)?;
        prop_assert_eq!(ran.ports.get("out").map_or(0, Vec::len) + ran.failed.len(), 1, "{}", text);
    }
}

#[test]
fn time_stays_in_proportion_to_many_children_with_different_names() {
    // With a comparison of all pairs of children this would take minutes.
    let children: String = (0..200_000).map(|number| format!("<e{number}/>")).collect();
    let body = format!("<a>{children}{children}</a>");
    let options = json!({"format": "xml", "xml": {"max_elements": 1_000_000}});
    let ran = run_bodies::<Parse>(&options, &[&body]).unwrap();
    assert_eq!(ran.ports["out"][0]["attributes"]["a"]["e199999"], json!(["", ""]));
}
