//! Broken input leaves on `fails` with a reason, and the agent keeps running.

use std::collections::BTreeMap;
use std::io::Write as _;

use serde_json::Value;
use wattle_tests::{Config, Folder, free_address, send, wait_until};

const GOOD: &str = r#"{"eventVersion":"1.08","eventName":"CreateUser","eventID":"good"}"#;

/// Texts that are not JSON values, in the manner of the JSON test suites.
const NO_VALUES: &[&str] = &[
    "[1,]",
    "[,1]",
    "[1 2]",
    "[1",
    "[1}",
    "[\"a\":1]",
    "{\"a\":1,}",
    "{\"a\" 1}",
    "{\"a\":}",
    "{:1}",
    "{a:1}",
    "{'a':1}",
    "{\"a\":1 \"b\":2}",
    "{1:1}",
    "{\"a\"",
    "nul",
    "True",
    "NaN",
    "Infinity",
    "-",
    "01",
    "-01",
    "+1",
    "1.",
    ".1",
    "1e",
    "1e+",
    "1.e1",
    "0x1",
    "1_000",
    "[1]x",
    "\"a",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\\u12zz\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\ud800\\u0041\"",
    "\"a\tb\"",
    "\"a\nb\"",
    "\"a\0b\"",
    "/* */1",
    "{\"a\":1}//",
    "\u{a0}1",
    "\u{feff}1",
];

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn records(elements: &[&[u8]]) -> Vec<u8> {
    [b"{\"Records\":[".as_slice(), &elements.join(&b','), b"]}"].concat()
}

fn deep(levels: usize) -> Vec<u8> {
    [vec![b'['; levels], vec![b']'; levels]].concat()
}

/// Files by name, each with the failure code that it must give.
fn documents() -> BTreeMap<String, (Vec<u8>, &'static str)> {
    let mut files: BTreeMap<String, (Vec<u8>, &str)> = BTreeMap::new();
    let mut add = |name: &str, bytes: Vec<u8>, code| drop(files.insert(name.to_owned(), (bytes, code)));
    add("not-json.json", b"hello".to_vec(), "not-json");
    add("white-space.json", b" \n".to_vec(), "not-json");
    add("nul.json", vec![0; 64], "not-json");
    add("cut.json", b"{\"Records\":[{\"eventVersion\":\"1\",\"eventName\":\"Cut".to_vec(), "not-json");
    let long = records(&[GOOD.as_bytes(); 500]);
    let whole = gzip(&long);
    add("cut.json.gz", whole[..whole.len() * 3 / 4].to_vec(), "not-json");
    add("number.json", b"{\"Records\":7}".to_vec(), "not-an-array");
    add("text.json", b"{\"Records\":\"[]\"}".to_vec(), "not-an-array");
    add("null.json", b"{\"Records\":null}".to_vec(), "not-an-array");
    add("no-records.json", b"{\"digestStartTime\":\"2024-01-01T00:00:00Z\"}".to_vec(), "missing-path");
    add("lone-surrogate.json", records(&[b"{\"eventName\":\"\\ud800\"}"]), "not-json");
    add("nul-inside.json", records(&[b"{\"eventName\":\"a\0b\"}"]), "not-json");
    add("not-utf8.json", records(&[b"{\"eventName\":\"\xff\"}"]), "not-json");
    add("utf16.json", "{\"Records\":[]}".encode_utf16().flat_map(u16::to_le_bytes).collect(), "not-text");
    add("deep.json", deep(10_000), "too-deep");
    add("deep-element.json", records(&[&deep(10_000)]), "too-deep");
    add(
        "deep-value.json",
        records(&[&[b"{\"eventName\":\"A\",\"x\":".as_slice(), &deep(10_000), b"}"].concat()]),
        "too-deep",
    );
    add("no-name.json", records(&[b"{\"eventVersion\":\"1\"}"]), "missing-field");
    add("name-null.json", records(&[b"{\"eventName\":null}"]), "missing-field");
    for (index, text) in NO_VALUES.iter().enumerate() {
        // If there are no records, unroll need not check whether the whole text is JSON.
        add(&format!("value-{index:02}.json"), text.as_bytes().to_vec(), "not-json or missing-path");
        add(&format!("element-{index:02}.json"), records(&[text.as_bytes()]), "not-json");
    }
    files
}

fn configuration(source: &str) -> String {
    Config::new()
        .table("sources.in")
        .with(source)
        .pack("main", &["in"], "cloudtrail@1.0.0")
        .file_sinks(&["processed", "get_describe_list", "fails"])
        .text()
}

/// The names of files that events came from, each with its failure codes.
fn reasons(folder: &Folder) -> BTreeMap<String, Vec<String>> {
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in folder.events("fails.ndjson") {
        let path = event["resource"]["source"]["path"].as_str().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap().to_owned();
        assert!(!event["failure"]["message"].as_str().unwrap().is_empty(), "{event:.300}");
        reasons.entry(name).or_default().push(event["failure"]["code"].as_str().unwrap().to_owned());
    }
    reasons
}

#[test]
fn broken_files_fail_with_a_reason_and_good_ones_pass_beside_them() {
    let folder = Folder::new();
    let documents = documents();
    for (name, (bytes, _)) in &documents {
        folder.write(format!("in/{name}"), bytes);
    }
    folder.write("in/zz-good.json", records(&[GOOD.as_bytes()]));
    folder.write("in/zz-good-with-mark.json", [b"\xef\xbb\xbf".as_slice(), &records(&[GOOD.as_bytes()])].concat());
    folder.write("in/zz-no-records.json", "{\"Records\":[]}");
    folder.write("in/zz-empty.json", "");
    let ended = folder.once_in_part(&configuration("type = \"file\"\ninclude = [\"in/*\"]\nframing = \"document\""));

    let reasons = reasons(&folder);
    let mut wrong = Vec::new();
    for (name, (bytes, code)) in &documents {
        let got = reasons.get(name).map(Vec::as_slice).unwrap_or_default();
        if got.is_empty() || !got.iter().all(|c| code.split(" or ").any(|code| code == c)) {
            wrong.push(format!("{name} {:.80?}: expected {code}, got {got:?}", String::from_utf8_lossy(bytes)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(reasons.len(), documents.len(), "{:?}", reasons.keys());
    let passed: Vec<Value> = folder.events("processed.ndjson");
    assert_eq!(passed.len(), 2, "both good files, no broken one: {passed:?}");
    assert_eq!(ended.summary().pipeline().dropped, 1, "the document without records is counted");
}

#[test]
fn a_broken_record_fails_alone_between_good_neighbours() {
    let folder = Folder::new();
    let broken =
        ["{\"eventName\":\"\\ud800\"}", "{\"eventName\":01}", "{\"eventVersion\":\"1\"}", "7", "null", "\"x\""];
    for (index, element) in broken.iter().enumerate() {
        folder.write(format!("in/{index}.json"), records(&[GOOD.as_bytes(), element.as_bytes(), GOOD.as_bytes()]));
    }
    let ended = folder.once(&configuration("type = \"file\"\ninclude = [\"in/*\"]"));
    let pipeline = ended.summary().pipeline().clone();
    assert_eq!((pipeline.delivered, pipeline.failed), (2 * broken.len() as u64, broken.len() as u64));
    for event in folder.events("processed.ndjson") {
        assert_eq!(event["body"], format!("{{\"Record\":{GOOD}}}"));
    }
}

#[test]
fn a_corrupt_gzip_file_is_reported_and_the_next_one_passes() {
    let folder = Folder::new();
    folder.write("in/a.json.gz", b"\x1f\x8b\x08this is not gzip");
    folder.write("in/b.json", records(&[GOOD.as_bytes()]));
    let ended = folder.once_in_part(&configuration("type = \"file\"\ninclude = [\"in/*\"]"));
    assert!(ended.log.contains("damaged") && ended.log.contains("a.json.gz"), "{}", ended.log);
    assert!(ended.log.contains("1 failures of inputs"), "{}", ended.log);
    assert_eq!(ended.summary().pipeline().delivered, 1);
}

#[test]
fn a_running_agent_survives_every_broken_document() {
    let folder = Folder::new();
    let address = free_address();
    let source = format!("type = \"http\"\naddress = \"{address}\"\nframing = \"document\"");
    let mut agent = folder.start(&configuration(&source));
    wait_until("the source listens", || std::net::TcpStream::connect(address).is_ok());
    let mut sent = 0;
    for (name, (bytes, _)) in documents() {
        // A body that gzip cannot decompress is the client's fault, and gets such a response.
        let packed = name.ends_with(".gz");
        let headers: &[(&str, &str)] = if packed { &[("content-encoding", "gzip")] } else { &[] };
        let answer = send(address, headers, &bytes);
        assert_eq!(answer.status, if packed { 400 } else { 200 }, "{name}: {}", answer.text);
        sent += u64::from(!packed);
    }
    assert_eq!(send(address, &[], &records(&[GOOD.as_bytes()])).status, 200);
    assert!(agent.is_running());
    let pipeline = agent.stop().summary().pipeline().clone();
    assert_eq!(pipeline.received, sent + 1);
    assert_eq!(pipeline.delivered, 1);
    assert!(pipeline.failed >= sent);
}
