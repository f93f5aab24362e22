//! Version 2 of the pack `cloudtrail` as users run it.

use std::fs;
use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use wattle_tests::{Config, Folder, finish, free_address, send, wait_until, workspace};

const PACK: &str = "cloudtrail@2.0.0";

/// The configuration that `docs/OPERATE.md` prints.
fn printed() -> String {
    let text = fs::read_to_string(workspace().join("docs/OPERATE.md")).unwrap();
    let (_, rest) = text.split_once("### CloudTrail with dedup, metrics and findings\n").unwrap();
    let (_, rest) = rest.split_once("```toml\n").unwrap();
    rest.split_once("```\n").unwrap().0.to_owned()
}

fn record(id: u32, name: &str, more: &Value) -> Value {
    let mut record = json!({
        "eventVersion": "1.08",
        "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/alice", "accessKeyId": "AKIAIOSFODNN7EXAMPLE"},
        "eventTime": "2024-05-01T10:00:00Z",
        "eventSource": "iam.amazonaws.com",
        "eventName": name,
        "awsRegion": "us-east-1",
        "eventID": format!("00000000-0000-4000-8000-{id:012}"),
    });
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    record
}

/// Two log files, which share a record; one of the others is of the root user, one a read, one a delivery of logs.
fn files() -> [Value; 2] {
    let created = record(1, "CreateUser", &json!({}));
    let root = json!({"userIdentity": {"type": "Root", "arn": "arn:aws:iam::123456789012:root"}});
    let service = json!({"userIdentity": {"type": "AWSService", "invokedBy": "cloudtrail.amazonaws.com"}});
    [
        json!({"Records": [created, record(2, "CreateAccessKey", &root)]}),
        json!({"Records": [record(3, "ListUsers", &json!({})), created, record(4, "PutObject", &service)]}),
    ]
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The records of the user, of root, the read and the delivery were counted once each, without the duplicate.
#[track_caller]
fn check_metrics(metrics: &[Value]) {
    let bodies = metrics.iter().map(|metric| serde_json::from_str(metric["body"].as_str().unwrap()).unwrap());
    let events: Vec<Value> = bodies.filter(|body: &Value| body["name"] == "cloudtrail.events").collect();
    let count: u64 = events.iter().map(|body| body["value"].as_u64().unwrap()).sum();
    assert_eq!((events.len(), count), (4, 4), "{metrics:?}");
}

#[test]
fn the_configuration_of_the_documents_runs_as_printed() {
    let folder = Folder::new();
    for (number, file) in files().iter().enumerate() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(file.to_string().as_bytes()).unwrap();
        folder.write(format!("trail/{number}.json.gz"), gzip.finish().unwrap());
    }
    folder.once(&printed());
    let archive = fs::read_dir(folder.path("archive")).unwrap().map(|entry| entry.unwrap().path());
    let mut text = String::new();
    for path in archive {
        MultiGzDecoder::new(fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    }
    assert!(!text.contains("AKIAIOSFODNN7EXAMPLE"), "{text}");
    let mut names: Vec<Value> = lines(&text).iter().map(|event| event["attributes"]["eventName"].clone()).collect();
    names.sort_by_key(Value::to_string);
    assert_eq!(names, ["CreateAccessKey", "CreateUser", "ListUsers", "PutObject"]);
    let findings = lines(&String::from_utf8(folder.read("findings.ndjson")).unwrap());
    let kinds: Vec<&Value> = findings.iter().map(|event| &event["attributes"]["finding"]).collect();
    assert_eq!(kinds, ["root-activity"]);
    check_metrics(&lines(&String::from_utf8(folder.read("metrics.ndjson")).unwrap()));
}

#[test]
fn the_pack_runs_on_standard_input_without_a_configuration() {
    let folder = Folder::new();
    let input: String = files().iter().map(|file| format!("{file}\n")).collect();
    let mut command = folder.wattle();
    let ended = finish(command.args(["run", "--pack", PACK, "--out", "out"]), input.as_bytes());
    assert_eq!(ended.code, 0, "{}", ended.log);
    let out = |output: &str| lines(&String::from_utf8(folder.read(&format!("out/{output}.ndjson"))).unwrap());
    let delivered = ["processed", "get_describe_list", "log_delivery"].map(|output| out(output).len());
    assert_eq!(delivered, [2, 1, 1]);
    let findings = out("findings");
    assert_eq!((findings.len(), &findings[0]["attributes"]["finding"]), (1, &json!("root-activity")));
    check_metrics(&out("metrics"));
}

/// The data of a record of Firehose.
fn gzipped(value: &Value) -> String {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(value.to_string().as_bytes()).unwrap();
    BASE64_STANDARD.encode(gzip.finish().unwrap())
}

#[test]
fn records_of_cloudwatch_logs_come_by_firehose_and_events_by_eventbridge() {
    let folder = Folder::new();
    let (firehose, bridge) = (free_address(), free_address());
    let text = Config::new()
        .source("firehose", "aws_firehose")
        .set("address", firehose.to_string())
        .with("access_keys = [\"k\"]")
        .http_source("bridge", bridge)
        .with("auth = { strategy = \"header\", name = \"x-api-key\", value = \"k\" }")
        .pack("cloudtrail", &["firehose", "bridge"], PACK)
        .grants("seen = { max_keys = 1000, max_age = \"366d\", durable = true }")
        .file_sink("all", &["cloudtrail.processed", "cloudtrail.get_describe_list", "cloudtrail.fails"], "all.ndjson")
        .drop_sink(
            "rest",
            &["cloudtrail.log_delivery", "cloudtrail.digests", "cloudtrail.metrics", "cloudtrail.findings"],
        )
        .text();
    let agent = folder.start(&text);
    for address in [firehose, bridge] {
        wait_until("the source listens", || std::net::TcpStream::connect(address).is_ok());
    }

    let message =
        |record: &Value| json!({"id": "1", "timestamp": 1_714_557_600_000_u64, "message": record.to_string()});
    let envelope = json!({
        "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "trail", "logStream": "s",
        "subscriptionFilters": ["all"],
        "logEvents": [message(&record(1, "CreateUser", &json!({}))), message(&record(2, "ListUsers", &json!({})))],
    });
    let control = json!({
        "messageType": "CONTROL_MESSAGE", "owner": "CloudwatchLogs", "logGroup": "", "logStream": "",
        "subscriptionFilters": [], "logEvents": [{"id": "", "timestamp": 1, "message": "CWL CONTROL MESSAGE: Checking health"}],
    });
    let request = json!({
        "requestId": "r", "timestamp": 1_714_557_600_000_u64,
        "records": [{"data": gzipped(&control)}, {"data": gzipped(&envelope)}],
    });
    let headers = [("x-amz-firehose-request-id", "r"), ("x-amz-firehose-access-key", "k")];
    let answer = send(firehose, &headers, request.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(serde_json::from_str::<Value>(&answer.text).unwrap()["requestId"], "r");

    let event = json!({
        "version": "0", "id": "1", "detail-type": "AWS API Call via CloudTrail", "source": "aws.iam",
        "account": "123456789012", "time": "2024-05-01T10:00:00Z", "region": "us-east-1", "resources": [],
        "detail": record(3, "DeleteUser", &json!({})),
    });
    let json_type = ("content-type", "application/json; charset=utf-8");
    assert_eq!(send(bridge, &[json_type], event.to_string().as_bytes()).status, 401);
    let answer = send(bridge, &[json_type, ("x-api-key", "k")], event.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text);

    // Both requests were answered, so their events are delivered.
    let mut names: Vec<Value> =
        folder.events("all.ndjson").iter().map(|e| e["attributes"]["eventName"].clone()).collect();
    names.sort_by_key(Value::to_string);
    assert_eq!(names, ["CreateUser", "DeleteUser", "ListUsers"]);
    let ended = agent.stop();
    assert!(!ended.log.contains("ERROR"), "{}", ended.log);
}
