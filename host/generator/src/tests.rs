//! The generator as a whole, compared with an independent count over `serde_json::Value`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::draft::HIDDEN;
use crate::*;

fn generator(change: impl FnOnce(&mut Options)) -> Generator {
    let mut options = Options { seed: 7, ..Options::default() };
    change(&mut options);
    Generator::new(options)
}

fn record(generator: &mut Generator) -> Value {
    let mut out = Vec::new();
    generator.next_record(&mut out);
    parse(&out)
}

#[track_caller]
fn parse(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap_or_else(|error| panic!("{error} in `{}`", String::from_utf8_lossy(text)))
}

/// Counts one record like a consumer of the trail.
fn count(record: &Value, truth: &mut Truth) {
    let before = truth.access_key_ids;
    count_members(record, false, truth);
    truth.records += 1;
    truth.records_with_access_key += u64::from(truth.access_key_ids > before);
    truth.errors += u64::from(record.get("errorCode").is_some());
    let name = record["eventName"].as_str().unwrap();
    let sent_aside = ["Get", "List", "Describe"].iter().any(|verb| name.starts_with(verb));
    truth.get_list_describe += u64::from(sent_aside);
}

fn count_members(value: &Value, within_string: bool, truth: &mut Truth) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                if let Some(text) = value.as_str() {
                    count_secret(key, text, within_string, truth);
                }
                count_members(value, within_string, truth);
            }
        }
        Value::Array(elements) => {
            for element in elements {
                count_members(element, within_string, truth);
            }
        }
        Value::String(text) if text.starts_with('{') => {
            count_members(&parse(text.as_bytes()), true, truth);
        }
        _ => {}
    }
}

fn count_secret(key: &str, text: &str, within_string: bool, truth: &mut Truth) {
    let counter = match (key, text) {
        ("accessKeyId", "") => &mut truth.empty_access_key_ids,
        ("sessionToken", HIDDEN) => &mut truth.hidden_session_tokens,
        ("accessKeyId" | "sessionToken" | "assumedRoleId", _) if within_string => &mut truth.escaped_secrets,
        ("accessKeyId", _) => &mut truth.access_key_ids,
        ("sessionToken", _) => &mut truth.session_tokens,
        ("assumedRoleId", _) => &mut truth.assumed_role_ids,
        _ => return,
    };
    *counter += 1;
    check_secret(key, text);
}

#[track_caller]
fn check_secret(key: &str, text: &str) {
    let base32 = |text: &str| text.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'));
    let plausible = match key {
        _ if text.is_empty() || text == HIDDEN => true,
        "accessKeyId" => {
            let id = text.strip_prefix("AKIA").or(text.strip_prefix("ASIA"));
            id.is_some_and(|id| id.len() == 16 && base32(id))
        }
        "assumedRoleId" => text.split_once(':').is_some_and(|(id, session)| {
            id.len() == 21
                && id.starts_with("AROA")
                && base32(id)
                && session.chars().all(|one| one.is_ascii_alphanumeric() || "_+=,.@-".contains(one))
        }),
        _ => (300..=800).contains(&text.len()) && text.len().is_multiple_of(4),
    };
    assert!(plausible, "`{key}` is `{text}`");
}

/// Returns the records of a document of any shape.
fn records_of(shape: Shape, document: &[u8]) -> Vec<Value> {
    let elements = |value: &Value| value.as_array().unwrap().clone();
    match shape {
        Shape::Records => elements(&parse(document)["Records"]),
        Shape::Array => elements(&parse(document)),
        Shape::Ndjson => {
            assert!(document.is_empty() || document.ends_with(b"\n"));
            String::from_utf8(document.to_vec()).unwrap().lines().map(|line| parse(line.as_bytes())).collect()
        }
        Shape::CloudWatch => elements(&parse(document)["logEvents"])
            .iter()
            .map(|event| parse(event["message"].as_str().unwrap().as_bytes()))
            .collect(),
    }
}

const SHAPES: [Shape; 4] = [Shape::Records, Shape::Array, Shape::Ndjson, Shape::CloudWatch];

#[test]
fn same_seed_gives_the_same_bytes() {
    let run = |seed, ask_for_keys: bool| {
        let mut generator = generator(|options| options.seed = seed);
        let mut out = Vec::new();
        for _ in 0..20 {
            let records = generator.document_size().min(50);
            generator.next_document(records, &mut out);
            if ask_for_keys {
                generator.next_key("", None);
            }
        }
        out
    };
    assert!(run(1, false) == run(1, true));
    assert!(run(1, false) != run(2, false));
}

/// The digest is the same in 64-bit and 32-bit builds. It changes with every template or draw.
#[test]
fn every_platform_generates_the_same_bytes() {
    let mut out = Vec::new();
    let mut generator = generator(|_| {});
    generator.next_document(300, &mut out);
    let fnv = out
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    assert_eq!((out.len(), fnv), (470_042, 9_679_115_215_051_217_435));
}

#[test]
fn truth_equals_an_independent_count() {
    for (error_rate, secret_rate) in [(0.1, 0.6), (0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.9, 0.3)] {
        let mut generator = generator(|options| {
            options.error_rate = error_rate;
            options.secret_rate = secret_rate;
            options.bulk_rate = 0.01;
        });
        let mut counted = Truth::default();
        for _ in 0..4_000 {
            count(&record(&mut generator), &mut counted);
        }
        let truth = generator.truth();
        assert_eq!(truth, counted);
        if secret_rate == 0.0 {
            assert_eq!(truth.secrets(), 0);
        } else {
            assert!(truth.access_key_ids > 0 && truth.escaped_secrets > 0, "{truth:?}");
        }
        if (error_rate, secret_rate) == (0.1, 0.6) {
            assert!(truth.session_tokens > 0 && truth.hidden_session_tokens > 0, "{truth:?}");
            assert!(truth.assumed_role_ids > 0 && truth.empty_access_key_ids > 0, "{truth:?}");
        }
        let near = |counted: u64, rate: f64| (counted as f64 / 4_000.0 - rate).abs() < 0.03;
        assert!(near(truth.errors, error_rate), "{truth:?}");
        assert!(near(truth.records_with_access_key, secret_rate), "{truth:?}");
    }
}

#[test]
fn the_truth_matches_every_shape_and_form() {
    for shape in SHAPES {
        for form in [Form::Compact, Form::Pretty] {
            let mut generator = generator(|options| {
                options.shape = shape;
                options.form = form;
            });
            let mut counted = Truth::default();
            for records in [0, 1, 2, 150] {
                let mut document = Vec::new();
                generator.next_document(records, &mut document);
                let found = records_of(shape, &document);
                assert_eq!(found.len(), records, "{shape:?} {form:?}");
                let spaced = form == Form::Pretty && shape != Shape::Ndjson && (shape != Shape::Array || records > 0);
                let has_spaced_member = document.windows(3).any(|bytes| bytes == b"\": ");
                assert_eq!(has_spaced_member, spaced, "{shape:?} {form:?} {records}");
                found.iter().for_each(|record| count(record, &mut counted));
                counted.documents += 1;
            }
            assert_eq!(generator.truth(), counted, "{shape:?} {form:?}");
        }
    }
}

#[test]
fn forms_and_shapes_contain_the_same_records() {
    let documents = |shape, form| {
        let mut generator = generator(|options| {
            options.shape = shape;
            options.form = form;
        });
        let mut out = Vec::new();
        generator.next_document(40, &mut out);
        records_of(shape, &out)
    };
    let expected = documents(Shape::Records, Form::Compact);
    for shape in SHAPES {
        for form in [Form::Compact, Form::Pretty] {
            assert_eq!(documents(shape, form), expected, "{shape:?} {form:?}");
        }
    }
}

#[test]
fn sizes_match_a_real_trail() {
    let mut generator = generator(|_| {});
    let mut sizes: Vec<usize> = (0..20_000)
        .map(|_| {
            let mut out = Vec::new();
            generator.next_record(&mut out);
            out.len()
        })
        .collect();
    sizes.sort_unstable();
    let (median, p99, largest) = (sizes[10_000], sizes[19_800], sizes[19_999]);
    assert!((1_350..1_650).contains(&median), "median {median}");
    assert!((2_400..3_600).contains(&p99), "p99 {p99}");
    assert!((4_096..110_000).contains(&largest), "largest {largest}");
}

#[test]
fn bulky_parameters_stay_within_the_limit() {
    let mut generator = generator(|options| options.bulk_rate = 1.0);
    let mut largest = 0;
    for _ in 0..300 {
        let record = record(&mut generator);
        let size = record["requestParameters"].to_string().len();
        assert!((4_096..=102_400).contains(&size), "{size} bytes");
        largest = largest.max(size);
    }
    assert!(largest > 64_000, "largest {largest}");
}

#[test]
fn variations_of_real_records_occur() {
    let mut generator = generator(|_| {});
    let mut types = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut names = 0;
    for _ in 0..20_000 {
        let record = record(&mut generator);
        match record.get("userIdentity") {
            Some(identity) => types.insert(identity["type"].as_str().unwrap().to_owned()),
            None => seen.insert("no identity"),
        };
        let mfa = record.pointer("/userIdentity/sessionContext/attributes/mfaAuthenticated");
        seen.insert(match mfa {
            Some(Value::Bool(_)) => "mfa as boolean",
            Some(_) => "mfa as string",
            None => "no mfa",
        });
        seen.insert(match &record["readOnly"] {
            Value::Bool(_) => "read only as boolean",
            _ => "read only as string",
        });
        let agent = record["userAgent"].as_str().unwrap();
        if agent.contains('"') {
            seen.insert("quoted agent");
        }
        if !agent.is_ascii() {
            seen.insert("unicode agent");
        }
        let address = record["sourceIPAddress"].as_str().unwrap();
        let named = address == "AWS Internal" || address.ends_with(".amazonaws.com");
        names += u32::from(named);
    }
    assert_eq!(types.len(), 12, "{types:?}");
    assert_eq!(seen.len(), 8, "{seen:?}");
    assert!(names > 10_000, "{names} of 20000 addresses are names");
    let aside = generator.truth().get_list_describe;
    assert!((8_400..9_600).contains(&aside), "{aside} of 20000 names are Get, List, Describe");
}

#[test]
fn keys_name_the_account_and_region_of_the_document() {
    let mut generator = generator(|_| {});
    let mut document = Vec::new();
    generator.next_document(3, &mut document);
    let key = generator.next_key("trail", Some("o-x1"));
    let record = &records_of(Shape::Records, &document)[0];
    let account = record["recipientAccountId"].as_str().unwrap();
    let region = record["awsRegion"].as_str().unwrap();
    let start = format!(
        "trail/AWSLogs/o-x1/{account}/CloudTrail/{region}/2025/01/01/{account}_CloudTrail_{region}_20250101T00"
    );
    assert!(key.starts_with(&start), "`{key}`");
    assert!(key.ends_with(".json.gz") && key.len() == start.len() + "07Z_0123456789abcdef.json.gz".len());
    assert_ne!(key, generator.next_key("trail", Some("o-x1")));
}
