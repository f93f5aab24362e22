//! Reading, editing, splitting and writing batches.
#![allow(clippy::string_slice, reason = "the model cuts ASCII")]

use super::*;
use crate::ack::Disposition;
use crate::field::{FieldPath, Form};
use proptest::prelude::*;
use std::sync::Mutex;
use wattle_json::Kind;

fn origin() -> Arc<Origin> {
    Arc::new(Origin { source: "in".into(), resource: r#"{"host":{"name":"h"}}"#.into(), observed: 0 })
}

fn batch(rows: &[&str]) -> Batch {
    Batch::new(Column::from_rows(rows).unwrap(), origin(), Ack::none())
}

fn field(path: &str) -> FieldPath {
    FieldPath::parse(path).unwrap()
}

fn texts(batch: &Batch, path: &str, form: Form) -> Vec<Option<String>> {
    let (bytes, offsets, kinds) = batch.read(&field(path), form);
    let rows = offsets.windows(2).map(|o| String::from_utf8(bytes[o[0] as usize..o[1] as usize].to_vec()).unwrap());
    rows.zip(kinds).map(|(text, kind)| (kind != 0).then_some(text)).collect()
}

fn some(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|v| Some((*v).to_owned())).collect()
}

fn json(batch: &Batch, row: usize) -> serde_json::Value {
    let mut out = Vec::new();
    batch.write_json(row, &mut out);
    assert!(!out.contains(&b'\n'), "an event is one line");
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn reads_fields_of_every_root() {
    let mut b = batch(&[r#"{"a":{"b":"x\ny"},"n":1}"#, r#"{"a":{"b":null}}"#, "not json"]);
    assert_eq!(texts(&b, "body.a.b", Form::Text), [Some("x\ny".into()), Some("null".into()), None]);
    assert_eq!(texts(&b, "body.a.b", Form::Json), [Some(r#""x\ny""#.into()), Some("null".into()), None]);
    assert_eq!(texts(&b, "body.n", Form::Text), [Some("1".into()), None, None]);
    assert_eq!(texts(&b, "resource.host.name", Form::Text), some(&["h", "h", "h"]));
    assert_eq!(texts(&b, "attributes", Form::Text), [None, None, None]);
    assert_eq!(texts(&b, "timestamp", Form::Text), some(&["1970-01-01T00:00:00Z"; 3]), "when the source read them");
    b.set_timestamps(&[2_500_000_000, i64::MIN, 1_000_000_000]);
    assert_eq!(
        texts(&b, "timestamp", Form::Text),
        some(&["1970-01-01T00:00:02.5Z", "1970-01-01T00:00:00Z", "1970-01-01T00:00:01Z"])
    );
    assert_eq!(**b.body_kinds(), [6, 6, 0]);
}

#[test]
fn attributes_share_the_bytes_of_the_body_and_take_an_overlay() {
    let mut b = batch(&[r#"{"Record":{"eventName":"GetX","z":[1, 2]}}"#, r#"{"Record":{}}"#]);
    b.set_json_from(&field("attributes"), &FieldPath::body(), &[]).unwrap();
    assert!(b.attributes.base_column().unwrap().is_same(b.body()));
    let [name, z] = &b.project(&[&field("attributes.Record.eventName"), &field("attributes.Record.z")])[..] else {
        panic!()
    };
    assert_eq!(name.values.bytes().as_ptr(), b.body().bytes().as_ptr(), "projected values are spans");
    assert_eq!((name.get(0), name.get(1)), (Some((&br#""GetX""#[..], Kind::String)), None));
    assert_eq!(z.get(0).unwrap().0, b"[1, 2]");
    let names = Column::from_rows(["GetX", ""]).unwrap();
    b.set(&field("attributes.eventName"), Form::Text, &names, &[4, 0]).unwrap();
    assert_eq!(texts(&b, "attributes.eventName", Form::Text), [Some("GetX".into()), None]);
    let event = json(&b, 0);
    assert_eq!(event["attributes"], serde_json::json!({"Record":{"eventName":"GetX","z":[1,2]},"eventName":"GetX"}));
    assert_eq!(event["body"], r#"{"Record":{"eventName":"GetX","z":[1, 2]}}"#);
}

#[test]
fn sets_fields_below_attributes_and_bodies_and_reports_rows_that_cannot_hold_them() {
    let mut b = batch(&[r#"{"a":1}"#, "[]"]);
    let ones = Column::from_rows(["1", "2"]).unwrap();
    let failed = b.set(&field("body.x.y"), Form::Json, &ones, &[]).unwrap();
    assert_eq!(failed, [RowFailed { row: 1, problem: SetProblem::NoPlace }]);
    assert_eq!(b.body().row(0), br#"{"a":1,"x":{"y":1}}"#);
    assert_eq!(b.body().row(1), b"[]");
    b.set(&field("attributes.k.deep"), Form::Json, &ones, &[]).unwrap();
    b.set(&field("attributes.k.more"), Form::Text, &ones, &[1, 0]).unwrap();
    assert_eq!(texts(&b, "attributes.k", Form::Json), some(&[r#"{"deep":1,"more":"1"}"#, r#"{"deep":2}"#]));
    b.set(&field("attributes"), Form::Json, &Column::from_rows([r#"{"n":0}"#, ""]).unwrap(), &[6, 0]).unwrap();
    assert_eq!(texts(&b, "attributes", Form::Json), some(&[r#"{"n":0}"#, r#"{"k":{"deep":2}}"#]));
}

#[test]
fn a_timestamp_does_not_take_text() {
    let mut b = batch(&["a", "b"]);
    let values = Column::from_rows(["1", "2"]).unwrap();
    assert_eq!(
        b.set(&field("timestamp"), Form::Text, &values, &[4, 0]).unwrap(),
        [RowFailed { row: 0, problem: SetProblem::NoPlace }]
    );
    assert_eq!(
        b.set(&field("timestamp"), Form::Json, &values, &[]).unwrap(),
        [0, 1].map(|row| RowFailed { row, problem: SetProblem::NoPlace })
    );
}

#[test]
fn replaces_spans_of_bodies_and_of_fields() {
    let mut b = batch(&["key=AAA;", "", "key=BBB;key=CCC"]);
    let mask = Replacement(Column::from_rows(["**"]).unwrap());
    b.replace_body(&[4, 12, 20], &[7, 15, 23], &mask).unwrap();
    assert_eq!(b.body().iter().collect::<Vec<_>>(), [&b"key=**;"[..], b"", b"key=**;key=**"]);
    for (starts, ends) in [(&[5u32, 4][..], &[6u32, 5][..]), (&[6], &[9]), (&[0], &[99]), (&[3], &[2]), (&[1], &[])] {
        assert!(b.replace_body(starts, ends, &mask).is_err(), "{starts:?} {ends:?}");
    }
    let mut b = batch(&[r#"{"a":"x\"y"}"#, r#"{"a":"q"}"#, "{}"]);
    let (bytes, ..) = b.read(&field("body.a"), Form::Text);
    assert_eq!(&bytes[..], b"x\"yq");
    b.replace(&field("body.a"), Form::Text, &[1], &[2], &Replacement(Column::from_rows(["\\"]).unwrap())).unwrap();
    assert_eq!(b.body().iter().collect::<Vec<_>>(), [&br#"{"a":"x\\y"}"#[..], br#"{"a":"q"}"#, b"{}"]);
}

#[test]
fn children_inherit_everything_and_share_the_acknowledgement() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let to = seen.clone();
    let mut b =
        Batch::new(Column::from_rows(["p0", "p1"]).unwrap(), origin(), Ack::new(move |d| to.lock().unwrap().push(d)));
    b.set(&field("attributes.k"), Form::Text, &Column::from_rows(["v0", "v1"]).unwrap(), &[]).unwrap();
    b.set_timestamps(&[5, 6]);
    let children = b.split(&[0, 0, 1], Column::from_rows(["a", "b", "c"]).unwrap()).unwrap();
    assert_eq!(texts(&children, "attributes.k", Form::Text), some(&["v0", "v0", "v1"]));
    assert_eq!((children.timestamp(1), children.timestamp(2)), (Some(5), Some(6)));
    let last = children.select(&[2]);
    b.into_ack().deliver();
    children.into_ack().deliver();
    assert!(seen.lock().unwrap().is_empty());
    assert_eq!(last.body().row(0), b"c");
    last.into_ack().deliver();
    assert_eq!(*seen.lock().unwrap(), [Disposition::Delivered]);
    let b = batch(&["x", "y"]);
    let one = || Column::from_rows(["a"]).unwrap();
    assert_eq!(b.split(&[2], one()).unwrap_err(), SplitError::Parent(0));
    assert_eq!(b.split(&[1, 0], one()).unwrap_err(), SplitError::Parent(1));
}

#[test]
fn bodies_that_are_not_utf8_are_written_as_base64() {
    let b = Batch::new(Column::from_rows([&b"\xff\x00"[..]]).unwrap(), origin(), Ack::none());
    assert_eq!(json(&b, 0)["body_base64"], "/wA=");
    let failed = batch(&["\0"]).with_failures(vec![Failure {
        node: "n".into(),
        version: "parse@1.0.0".into(),
        code: "not-json".into(),
        message: "no \"value\"".into(),
    }]);
    assert_eq!(json(&failed, 0)["body"], "\0");
    assert_eq!(json(&failed, 0)["failure"]["message"], "no \"value\"");
}

proptest! {
    /// The model of a replacement: splits every row at its spans.
    #[test]
    fn replacing_spans_equals_rebuilding_each_row(
        rows in proptest::collection::vec("[a-z]{0,12}", 0..8),
        picks in proptest::collection::vec((0usize..8, 0usize..12, 0usize..12), 0..6),
        with in "[A-Z]{0,3}",
    ) {
        let mut starts = Vec::new();
        let mut ends = Vec::new();
        let mut expected: Vec<String> = Vec::new();
        let mut base = 0u32;
        for (index, row) in rows.iter().enumerate() {
            let mut cut = String::new();
            let mut at = 0;
            let mut here: Vec<(usize, usize)> = picks
                .iter()
                .filter(|p| p.0 == index)
                .map(|p| (p.1.min(p.2), p.1.max(p.2)))
                .filter(|&(s, e)| s < e && e <= row.len())
                .collect();
            here.sort_unstable();
            for (s, e) in here {
                if s < at { continue; }
                cut.push_str(&row[at..s]);
                cut.push_str(&with);
                at = e;
                starts.push(base + s as u32);
                ends.push(base + e as u32);
            }
            cut.push_str(&row[at..]);
            expected.push(cut);
            base += row.len() as u32;
        }
        let refs: Vec<&str> = rows.iter().map(String::as_str).collect();
        let mut b = batch(&refs);
        b.replace_body(&starts, &ends, &Replacement(Column::from_rows([&with]).unwrap())).unwrap();
        let got: Vec<String> = b.body().iter().map(|r| String::from_utf8(r.to_vec()).unwrap()).collect();
        prop_assert_eq!(got, expected);
    }

    /// For any spans from a guest, the host returns an error or a column with the same number of
    /// rows.
    #[test]
    fn arbitrary_spans_never_panic(
        rows in proptest::collection::vec("[a-z]{0,6}", 1..5),
        spans in proptest::collection::vec((0u32..40, 0u32..40), 0..5),
    ) {
        let refs: Vec<&str> = rows.iter().map(String::as_str).collect();
        let mut b = batch(&refs);
        let (starts, ends): (Vec<u32>, Vec<u32>) = spans.into_iter().unzip();
        let _ = b.replace_body(&starts, &ends, &Replacement(Column::from_rows(["x"]).unwrap()));
        prop_assert_eq!(b.rows(), rows.len());
    }
}

#[test]
fn severity_trace_and_scope_are_set_read_inherited_and_removed() {
    let mut b = batch(&["a", "b", "c"]);
    assert_eq!(texts(&b, "severity.text", Form::Text), [None, None, None]);
    let carried = b.carried_bytes(0);
    let values = |values: &[&str]| Column::from_rows(values).unwrap();
    assert_eq!(b.set(&field("severity.text"), Form::Text, &values(&["WARN", "", "ERROR"]), &[4, 0, 4]).unwrap(), []);
    let failed = b.set(&field("severity.number"), Form::Json, &values(&["13", "99", "\"x\""]), &[]).unwrap();
    let severity = |row| RowFailed { row, problem: SetProblem::Severity };
    assert_eq!(failed, [severity(1), severity(2)]);
    let id = "0af7651916cd43dd8448eb211c80319c";
    let failed = b.set(&field("trace_id"), Form::Text, &values(&[id, "1", id]), &[]).unwrap();
    assert_eq!(failed, [RowFailed { row: 1, problem: SetProblem::TraceId }]);
    assert!(b.carried_bytes(0) > carried + id.len());
    assert_eq!(texts(&b, "severity.number", Form::Text), [Some("13".into()), None, None]);
    let event = json(&b.split(&[0], values(&["child"])).unwrap(), 0);
    assert_eq!(event["severity"], serde_json::json!({"text": "WARN", "number": 13}));
    assert_eq!((&event["trace_id"], &event["body"]), (&id.into(), &"child".into()));
    assert_eq!(json(&b, 1).as_object().unwrap().keys().collect::<Vec<_>>(), ["timestamp", "body", "resource"]);
    b.set(&field("severity"), Form::Json, &values(&["null", "null", "{}"]), &[]).unwrap();
    b.set(&field("trace_id"), Form::Json, &values(&["null", "null", "null"]), &[1, 1, 0]).unwrap();
    assert_eq!(texts(&b, "severity", Form::Json), [None, None, None]);
    assert_eq!(texts(&b, "trace_id", Form::Text), [None, None, Some(id.into())]);
    let hidden = b.without_contents();
    assert_eq!(texts(&hidden, "trace_id", Form::Text), [None, None, None]);
}
