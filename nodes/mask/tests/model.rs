//! Compares the node with a model: JSON of any nesting, in any layout, embedded in strings in any
//! spelling. Exactly the values under the key change.

#![expect(
    clippy::string_slice,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what is not as expected fails the test, as it should"
)]

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use wattle_node::testing::run_bodies;
use wattle_node_mask::Mask;

const KEY: &str = "accessKeyId";
const MASK: &str = "?";

fn text() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        "\"",
        "\\",
        "\\\"",
        "\\\\",
        "/",
        "\n",
        "\t",
        "\r",
        "\u{1}",
        "ä",
        "\u{1f600}",
        ":",
        ",",
        "{",
        "}",
        "[",
        "]",
        "<",
        "u0022",
        "\\u0022",
        "n",
        " ",
        "null",
        "\":\"",
        "\\n",
    ]);
    let piece = prop_oneof![special.prop_map(str::to_owned), "[a-z0-9]{1,4}"];
    prop_oneof![
        8 => prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat()),
        // The name of the key as a value, where no colon follows.
        1 => Just(KEY.to_owned()),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => text().prop_map(Value::from),
        1 => any::<i32>().prop_map(Value::from),
        1 => any::<i32>().prop_map(|n| Value::from(f64::from(n) / 4.0)),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    let key = prop::sample::select(vec![
        KEY,
        "a",
        "b",
        "c",
        "accessKeyIdX",
        "xaccessKeyId",
        "q\"",
        "b\\",
        "\\\"accessKeyId",
        "ä",
        "",
    ]);
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

/// How a text is written as the content of a string.
#[derive(Clone, Copy, Debug)]
enum Spelling {
    Plain,
    /// Quotes and some other characters as `\u`, like .NET.
    QuotesByCode,
    /// Also slashes, like PHP, and everything beyond ASCII, like Python.
    Cautious,
    /// Any character as `\u`, at random.
    Wild(u64),
}

fn spelling() -> impl Strategy<Value = Spelling> {
    prop_oneof![
        Just(Spelling::Plain),
        Just(Spelling::QuotesByCode),
        Just(Spelling::Cautious),
        any::<u64>().prop_map(Spelling::Wild)
    ]
}

fn quote(text: &str, spelling: Spelling) -> String {
    let by_code = |c: char, out: &mut String, upper: bool| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            out.push_str(&if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") });
        }
    };
    let mut state = if let Spelling::Wild(seed) = spelling { seed | 1 } else { 1 };
    let mut out = String::from("\"");
    for c in text.chars() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = state >> 60;
        match spelling {
            Spelling::QuotesByCode if matches!(c, '"' | '<' | '>' | '&' | '\'' | '+') => by_code(c, &mut out, true),
            Spelling::Cautious if c == '/' => out.push_str("\\/"),
            Spelling::Cautious if !c.is_ascii() => by_code(c, &mut out, false),
            Spelling::Wild(_) if draw < 4 => by_code(c, &mut out, draw < 2),
            _ => {
                let plain = Value::from(c.to_string()).to_string();
                out.push_str(&plain[1..plain.len() - 1]);
            }
        }
    }
    out.push('"');
    out
}

/// The expected value after masking.
fn masked(value: &Value, secret: bool) -> Value {
    match value {
        Value::Object(members) => {
            let below = |(key, value): (&String, &Value)| {
                let direct = key == KEY;
                let value = match value {
                    Value::Bool(_) if direct => MASK.into(),
                    _ => masked(value, secret || direct),
                };
                (key.clone(), value)
            };
            Value::Object(members.iter().map(below).collect::<Map<_, _>>())
        }
        Value::Array(elements) => elements.iter().map(|e| masked(e, secret)).collect(),
        Value::String(text) if secret && !text.is_empty() => MASK.into(),
        Value::Number(_) if secret => MASK.into(),
        other => other.clone(),
    }
}

/// Writes a value with all strings, including keys, in one spelling.
fn write(value: &Value, spelling: Spelling, pretty: bool, indent: usize, out: &mut String) {
    let line = |indent: usize, out: &mut String| {
        if pretty {
            out.push('\n');
            out.push_str(&"  ".repeat(indent));
        }
    };
    match value {
        Value::String(text) => out.push_str(&quote(text, spelling)),
        Value::Array(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                line(indent + 1, out);
                write(element, spelling, pretty, indent + 1, out);
            }
            line(indent, out);
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (index, (key, value)) in members.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                line(indent + 1, out);
                out.push_str(&quote(key, spelling));
                out.push_str(if pretty { " : " } else { ":" });
                write(value, spelling, pretty, indent + 1, out);
            }
            line(indent, out);
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

#[derive(Clone, Debug)]
struct Level {
    value: Value,
    spelling: Spelling,
    pretty: bool,
}

fn level() -> impl Strategy<Value = Level> {
    (value(), spelling(), any::<bool>()).prop_map(|(value, spelling, pretty)| Level { value, spelling, pretty })
}

/// Writes levels as JSON in a string in JSON in a string; the last level is the innermost.
fn nest(levels: &[Level]) -> String {
    let (first, rest) = levels.split_first().unwrap();
    let inner = if rest.is_empty() { Value::Null } else { nest(rest).into() };
    let mut out = String::new();
    write(
        &json!({"before": first.value, "message": inner, "after": [first.value]}),
        first.spelling,
        first.pretty,
        0,
        &mut out,
    );
    out
}

fn same(levels: &[Level], text: &str) -> Result<(), TestCaseError> {
    let (first, rest) = levels.split_first().unwrap();
    let read: Value = serde_json::from_str(text).map_err(|e| TestCaseError::fail(format!("{e}: {text}")))?;
    let wanted = masked(&first.value, false);
    prop_assert_eq!(&read["before"], &wanted);
    prop_assert_eq!(&read["after"][0], &wanted);
    match rest {
        [] => prop_assert!(read["message"].is_null()),
        rest => same(rest, read["message"].as_str().unwrap())?,
    }
    Ok(())
}

/// Every run uses the same cases, so a landing does not depend on luck; `PROPTEST_RNG_SEED`
/// explores others. Of about 100,000 random cases, one is known to be masked too much (README,
/// limits); none is known to be masked too little.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig::with_cases(if cfg!(debug_assertions) { 400 } else { 20_000 });
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = proptest::test_runner::RngSeed::Fixed(1);
    }
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn exactly_the_values_under_the_key_change(levels in prop::collection::vec(level(), 1..5)) {
        let body = nest(&levels);
        let options = json!({"rules": [{"json_key": KEY}], "replacement": {"fixed": MASK}, "skip_values": []});
        let ran = run_bodies::<Mask>(&options, &[&body]).map_err(TestCaseError::fail)?;
        prop_assert_eq!(&ran.failed, &Vec::<Value>::new());
        same(&levels, &ran.bodies("out")[0])?;
    }

    /// Cut at any place, in rows of any text: no secret before the cut stays, and nothing panics.
    #[test]
    fn a_cut_text_shows_no_secret(level in level(), cut in 0.0..1.0_f64, depth in 0..4_usize) {
        let secret = "5ecret5";
        let mut body = String::new();
        write(&json!([level.value, {KEY: secret}, {KEY: [secret, {"a": secret}]}]), level.spelling, level.pretty, 0, &mut body);
        for _ in 0..depth {
            body = quote(&body, level.spelling);
        }
        let mut at = (body.len() as f64 * cut) as usize;
        while !body.is_char_boundary(at) {
            at -= 1;
        }
        let rules = json!([{"json_key": [KEY, "ä"]}, {"preset": "email"}, {"preset": "card-number"}, {"preset": "ipv6"}, {"preset": "private-key"}]);
        let options = json!({"rules": rules});
        for text in [&body[..at], &body] {
            let ran = run_bodies::<Mask>(&options, &[text]).map_err(TestCaseError::fail)?;
            prop_assert!(!ran.bodies("out").concat().contains(secret), "{} became {:?}", text, ran.bodies("out"));
        }
        run_bodies::<Mask>(&options, &[&body[at..]]).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn any_text_is_processed(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "\"accessKeyId\"", ":", "\"", "\\", "\\u0022", "\\u005c", "u0022", "{", "[", "]", "}", ",", "1", "true", "\n", "accessKeyId", "\0",
            "\u{fffd}", "AKIAIOSFODNN7EXAMPLE", "@", "a.co", "://", "eyJ", "4111111111111111", "\\ud800", "::1", "10.0.0.1",
        ]), 0..40),
        rows in 1..4_usize,
    ) {
        let body = pieces.concat();
        let presets = ["aws-unique-id", "aws-secret-access-key", "jwt", "bearer-token", "github-token", "slack-token", "basic-auth-url",
            "email", "ipv4", "ipv6", "card-number"];
        let mut rules = vec![json!({"json_key": KEY, "replacement": {"keep_last": 2}}), json!({"pattern": "[a-z]+|\\\\+"})];
        rules.extend(presets.map(|p| json!({"preset": p, "replacement": {"hmac_key": "k"}})));
        let bodies = vec![body.as_str(); rows];
        let ran = run_bodies::<Mask>(&json!({"rules": rules}), &bodies).map_err(TestCaseError::fail)?;
        prop_assert_eq!(ran.bodies("out").len() + ran.failed.len(), rows);
    }
}
