//! Masks and the node: which order hides what, when documents are in strings with escapes.

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_node::testing::run_bodies;
use wattle_node_mask::Mask;
use wattle_node_unroll::Unroll;

use super::cloudtrail;

/// Values that the rules of the pack `cloudtrail` hide, with the key that they have.
const SECRETS: [(&str, &str); 6] = [
    ("accessKeyId", "ASIAIOSFODNN7EXAMPLE"),
    ("access_key_id", "not-of-the-usual-form"),
    ("sessionToken", "IQoJb3/JpZ2luX2Vj+EXAMPLE//token=="),
    ("secretAccessKey", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("principalId", "AROAEXAMPLEEXAMPLE12:the.session"),
    ("keyMaterial", "-----BEGIN RSA PRIVATE KEY-----\nMIIEexample/+\n-----END RSA PRIVATE KEY-----"),
];

fn mask() -> Value {
    json!({"fields": ["body"], "rules": [
        {"json_key": ["accessKeyId", "awsAccessKeyId"], "any_spelling": true},
        {"preset": "aws-access-key-id"},
        {"json_key": ["sessionToken", "securityToken", "X-Amz-Security-Token"], "any_spelling": true},
        {"json_key": ["secretAccessKey", "awsSecretAccessKey"], "any_spelling": true},
        {"preset": "aws-role-session"},
        {"preset": "private-key"},
        {"json_key": ["keyMaterial", "privateKey", "privateKeyMaterial"], "any_spelling": true},
    ]})
}

/// Writes a string with the escapes that writers of JSON choose between.
fn string(text: &str, style: u8) -> String {
    let mut out = "\"".to_owned();
    for char in text.chars() {
        match (char, style) {
            ('"', 1) => out += "\\u0022",
            ('/', 1 | 2) => out += "\\/",
            ('+' | '=' | '<' | '>' | '&' | '\'', 2) => out += &format!("\\u{:04X}", char as u32),
            (c, 3) if c.is_ascii_alphabetic() => out += &format!("\\u{:04x}", c as u32),
            ('"', _) => out += "\\\"",
            ('\\', _) => out += "\\\\",
            ('\n', _) => out += "\\n",
            (c, _) => out.push(c),
        }
    }
    out + "\""
}

/// A record with secrets, in as many envelopes as there are styles.
fn document(styles: &[u8]) -> String {
    let members: Vec<String> =
        SECRETS.iter().map(|(key, value)| format!("\"{key}\":{}", string(value, styles[0]))).collect();
    let members = members.join(",");
    let mut text =
        format!("{{\"eventVersion\":\"1.08\",\"userIdentity\":{{{members}}},\"responseElements\":{{{members}}}}}");
    for (number, style) in styles.iter().enumerate().skip(1) {
        let inner = string(&text, *style);
        text = match number % 3 {
            0 => format!("{{\"TopicArn\":\"a\",\"Message\":{inner}}}"),
            1 => format!("{{\"messageType\":\"DATA_MESSAGE\",\"logEvents\":[{{\"id\":\"1\",\"message\":{inner}}}]}}"),
            _ => format!("{{\"Records\":[{{\"messageId\":\"1\",\"receiptHandle\":\"h\",\"body\":{inner}}}]}}"),
        };
    }
    text
}

/// The bodies that a node makes of a text.
fn bodies<N: wattle_node::Node>(options: &Value, text: &str) -> Result<Vec<String>, TestCaseError> {
    let ran = run_bodies::<N>(options, &[text]).map_err(TestCaseError::fail)?;
    prop_assert!(ran.failed.is_empty(), "{:?}", ran.failed);
    Ok(ran.bodies("out"))
}

/// The secrets that are still in the record of a document after the masks.
fn shown(document: &str, masks_first: bool) -> Result<Vec<&'static str>, TestCaseError> {
    let bare = bodies::<Unroll>(&cloudtrail("port"), document)?;
    let value: Value = serde_json::from_str(&bare.join("")).unwrap();
    for (key, secret) in SECRETS {
        prop_assert_eq!(&value["Record"]["userIdentity"][key], secret, "the test has no secrets");
    }
    let unrolled = |text: &str| bodies::<Unroll>(&cloudtrail("port"), text);
    let masked = |text: &str| bodies::<Mask>(&mask(), text);
    let out = match masks_first {
        true => unrolled(&masked(document)?.join(""))?,
        false => masked(&unrolled(document)?.join(""))?,
    };
    prop_assert_eq!(out.len(), 1);
    let record: Value = serde_json::from_str(&out[0]).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let is_shown = |key: &str, secret: &str| {
        ["userIdentity", "responseElements"].iter().any(|part| {
            let value = record["Record"][part][key].as_str().unwrap_or_default();
            value.contains(secret) || !value.contains("****")
        })
    };
    Ok(SECRETS.iter().filter(|(key, secret)| is_shown(key, secret)).map(|(key, _)| *key).collect())
}

/// The limit that the README names: a preset does not see a value whose letters are escapes.
#[test]
fn presets_before_the_node_miss_values_with_escaped_letters() {
    for styles in [&[0, 3][..], &[0, 0, 3], &[0, 3, 0]] {
        assert_eq!(shown(&document(styles), true).unwrap(), ["principalId"], "{styles:?}");
        assert_eq!(shown(&document(styles), false).unwrap(), [""; 0], "{styles:?}");
    }
}

proptest! {
    #[test]
    fn masks_before_the_node_hide_what_has_ordinary_escapes(styles in prop::collection::vec(0..3_u8, 1..5)) {
        prop_assert_eq!(shown(&document(&styles), true)?, [""; 0]);
    }

    #[test]
    fn rules_by_key_before_the_node_hide_values_in_any_spelling(styles in prop::collection::vec(0..4_u8, 1..4)) {
        prop_assert!(shown(&document(&styles), true)?.iter().all(|key| *key == "principalId"));
    }

    /// The record itself has ordinary escapes, as AWS writes it; its envelopes have any.
    #[test]
    fn masks_after_the_node_hide_everything(record in 0..3_u8, envelopes in prop::collection::vec(0..4_u8, 0..4)) {
        let styles: Vec<u8> = std::iter::once(record).chain(envelopes).collect();
        prop_assert_eq!(shown(&document(&styles), false)?, [""; 0]);
    }
}
