//! Measures the crate on generated CloudTrail: one document of 200 records, and the records one by
//! one.
//!
//! Run with `cargo run --release -p wattle-json --example json_speed`. Each line shows the median
//! and the best of many rounds over the whole document, and the throughput at the median. Reading,
//! decompression and cold caches are not included.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a measurement may stop at an impossible state")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde::de::IgnoredAny;
use wattle_json::{Path, Value};

const RECORDS: usize = 200;

fn main() {
    let records: Vec<Vec<u8>> = (0..RECORDS).map(|number| record(number).into_bytes()).collect();
    let document = [&b"{\"Records\":["[..], &records.join(&b','), &b"]}"[..]].concat();
    let parsed: serde_json::Value = serde_json::from_slice(&document).expect("generated json");
    let pretty = serde_json::to_vec_pretty(&parsed).expect("json");
    let mut quoted = Vec::new();
    wattle_json::escape(&document, &mut quoted);
    println!("document {} bytes, pretty {}, escaped {}", document.len(), pretty.len(), quoted.len());

    let root = path("$");
    let all = path("Records");
    let name = path("eventName");
    let names = path("Records[*].eventName");
    let several: Vec<Path> =
        ["eventName", "eventTime", "userIdentity.sessionContext.attributes.creationDate", "errorCode"].map(path).into();
    let several: Vec<&Path> = several.iter().collect();
    let size = document.len();

    measure("skip document", size, || wattle_json::skip(&document, 0).map(|value| value.end));
    measure("skip pretty document", pretty.len(), || wattle_json::skip(&pretty, 0).map(|value| value.end));
    measure("locate + elements_from", size, || {
        let start = wattle_json::locate(&document, &all)?.unwrap_or_default();
        wattle_json::elements_from(&document, start, |element| {
            black_box(element);
        })
    });
    measure("find + elements", size, || {
        let array = wattle_json::find(&document, &all)?.unwrap_or(Value { start: 0, end: 0, kind: Default::default() });
        wattle_json::elements(&document, array, |element| {
            black_box(element);
        })
    });
    measure("each Records[*].eventName", size, || {
        wattle_json::each(&document, &names, |value| {
            black_box(value);
        })
    });
    measure("find eventName, per record", size, || {
        records.iter().filter(|record| matches!(wattle_json::find(record, &name), Ok(Some(_)))).count()
    });
    let mut out = vec![None; several.len()];
    measure("find_many 4 paths, per record", size, || {
        records.iter().filter(|record| wattle_json::find_many(record, &several, &mut out).is_ok()).count()
    });
    measure("members, per record", size, || {
        let mut count = 0;
        for record in &records {
            let Ok(Some(value)) = wattle_json::find(record, &root) else {
                continue;
            };
            count += wattle_json::members(record, value, |key, value| {
                black_box((key, value));
            })
            .unwrap_or_default();
        }
        count
    });
    measure("check document", size, || wattle_json::check(&document, 128));
    measure("serde_json IgnoredAny, document", size, || serde_json::from_slice::<IgnoredAny>(&document).is_ok());
    measure("check pretty", pretty.len(), || wattle_json::check(&pretty, 128));
    measure("serde_json IgnoredAny, pretty", pretty.len(), || serde_json::from_slice::<IgnoredAny>(&pretty).is_ok());
    measure("check, per record", size, || {
        records.iter().filter(|record| wattle_json::check(record, 128).is_ok()).count()
    });
    measure("serde_json IgnoredAny, per record", size, || {
        records.iter().filter(|record| serde_json::from_slice::<IgnoredAny>(record).is_ok()).count()
    });
    let string = [b"\"", &quoted[..], b"\""].concat();
    measure("check one escaped string", string.len(), || wattle_json::check(&string, 1));
    measure("skip one escaped string", string.len(), || wattle_json::skip(&string, 0).map(|value| value.end));
    let mut buffer = Vec::with_capacity(pretty.len() * 2);
    let mut into = |name: &str, text: &[u8], work: &dyn Fn(&[u8], &mut Vec<u8>)| {
        measure(name, text.len(), || {
            buffer.clear();
            work(text, &mut buffer);
            buffer.len()
        });
    };
    into("escape document", &document, &|text, out| wattle_json::escape(text, out));
    into("unescape it", &quoted, &|text, out| wattle_json::unescape_lossy(text, out));
    into("minify document", &document, &|text, out| wattle_json::minify(text, out));
    into("minify pretty", &pretty, &|text, out| wattle_json::minify(text, out));
}

fn path(text: &str) -> Path {
    Path::parse(text).expect("a path")
}

fn measure<T>(name: &str, bytes: usize, mut work: impl FnMut() -> T) {
    let mut rounds: Vec<Duration> = (0..400)
        .map(|_| {
            let start = Instant::now();
            black_box(work());
            start.elapsed()
        })
        .collect();
    rounds.sort_unstable();
    let (median, best) = (rounds[rounds.len() / 2], rounds[0]);
    let speed = bytes as f64 / median.as_secs_f64() / 1e9;
    println!(
        "{name:<36} {:>8.1} us median {:>8.1} us best {speed:>6.2} GB/s",
        median.as_secs_f64() * 1e6,
        best.as_secs_f64() * 1e6
    );
}

/// One compact record of about 1.3 KB, in the shape of a call with an assumed role.
fn record(number: usize) -> String {
    let event = ["GetObject", "DescribeInstances", "PutBucketPolicy", "AssumeRole", "ListBuckets"][number % 5];
    let id = format!("{:08x}-1111-4222-8333-{:012x}", number * 2_654_435_761 % 4_294_967_296, number * 7_919);
    let host = "x".repeat(number % 23);
    let parameters = match number % 3 {
        0 => "null".to_owned(),
        1 => format!(
            r#"{{"bucketName":"logs-{host}","Host":"logs-{host}.s3.amazonaws.com","acl":"","maxKeys":{number}}}"#
        ),
        _ => format!(
            r#"{{"instancesSet":{{"items":[{{"instanceId":"i-{number:017x}"}},{{"instanceId":"i-0abc"}}]}},"filterSet":{{}}}}"#
        ),
    };
    format!(
        r#"{{"eventVersion":"1.08","userIdentity":{{"type":"AssumedRole","principalId":"AROAEXAMPLEEXAMPLE{number:03}:session-{number}","arn":"arn:aws:sts::123456789012:assumed-role/role-{host}/session-{number}","accountId":"123456789012","accessKeyId":"ASIAEXAMPLE{number:09}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROAEXAMPLEEXAMPLE{number:03}","arn":"arn:aws:iam::123456789012:role/role-{host}","accountId":"123456789012","userName":"role-{host}"}},"webIdFederationData":{{}},"attributes":{{"creationDate":"2024-05-06T07:08:09Z","mfaAuthenticated":"false"}}}}}},"eventTime":"2024-05-06T07:{:02}:{:02}Z","eventSource":"ec2.amazonaws.com","eventName":"{event}","awsRegion":"eu-central-1","sourceIPAddress":"198.51.100.{}","userAgent":"[aws-sdk-go/1.44.{number} (go1.20; linux; amd64) \"{host}\"]","requestParameters":{parameters},"responseElements":{{"x-amz-request-id":"{number:016X}","owner":"caf\u00e9 {host}"}},"requestID":"{id}","eventID":"{id}","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"123456789012","eventCategory":"Management","tlsDetails":{{"tlsVersion":"TLSv1.2","cipherSuite":"ECDHE-RSA-AES128-GCM-SHA256","clientProvidedHostHeader":"ec2.eu-central-1.amazonaws.com"}}}}"#,
        number % 60,
        number * 7 % 60,
        number % 250,
    )
}
