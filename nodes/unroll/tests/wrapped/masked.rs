//! Masks before the node: what they hid in escaped text stays hidden when the node unescapes it.

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

/// Masks a document, unrolls it, and checks that it is one record without any secret.
fn check(document: &str) -> Result<(), TestCaseError> {
    let bare = run_bodies::<Unroll>(&cloudtrail("port"), &[document]).map_err(TestCaseError::fail)?;
    let bare = bare.bodies("out").join("");
    let value: Value = serde_json::from_str(&bare).unwrap();
    for (key, secret) in SECRETS {
        prop_assert_eq!(&value["Record"]["userIdentity"][key], secret, "the test has no secrets");
    }
    let masked = run_bodies::<Mask>(&mask(), &[document]).map_err(TestCaseError::fail)?;
    let masked = masked.bodies("out");
    prop_assert_eq!(masked.len(), 1, "the node searched the document");
    let ran = run_bodies::<Unroll>(&cloudtrail("port"), &[&masked[0]]).map_err(TestCaseError::fail)?;
    let out = ran.bodies("out");
    prop_assert_eq!(out.len(), 1, "{:?}", ran.failed);
    let record: Value = serde_json::from_str(&out[0]).map_err(|error| TestCaseError::fail(error.to_string()))?;
    for (key, secret) in SECRETS {
        for part in ["userIdentity", "responseElements"] {
            let value = record["Record"][part][key].as_str().unwrap_or_default();
            prop_assert!(value.contains("****") && !value.contains(secret), "{}.{}: {}", part, key, value);
        }
    }
    Ok(())
}

#[test]
fn secrets_in_texts_that_are_escaped_twice_stay_hidden() {
    for styles in [&[0][..], &[0, 0], &[0, 0, 0], &[2, 0, 0], &[2, 2, 0], &[1, 1, 1], &[2, 1, 0], &[0, 1, 2, 0]] {
        check(&document(styles)).unwrap();
    }
}

proptest! {
    #[test]
    fn secrets_stay_hidden_however_deep_they_are_escaped(styles in prop::collection::vec(0..3_u8, 1..5)) {
        check(&document(&styles))?;
    }
}
