//! What decisions do, and which ones are refused.

use super::*;
use crate::ack::{Ack, Disposition};
use crate::origin::Origin;
use std::sync::Mutex;

fn call(rows: &[&str], fields: &[&str], ports: usize) -> (Call, Arc<Mutex<Vec<Disposition>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let to = seen.clone();
    let origin = Arc::new(Origin { source: "in".into(), resource: "{}".into(), observed: 0 });
    let batch = Batch::new(Column::from_rows(rows).unwrap(), origin, Ack::new(move |d| to.lock().unwrap().push(d)));
    let info = NodeInfo {
        name: "n".into(),
        version: "t@1.0.0".into(),
        ports: (0..ports).map(|p| format!("p{p}")).collect(),
        fields: fields.iter().map(|f| Field { path: FieldPath::parse(f).unwrap(), read: true, write: true }).collect(),
    };
    (Call::new(batch, Arc::new(info)), seen)
}

fn bodies(batch: &Batch) -> Vec<String> {
    batch.body().iter().map(|r| String::from_utf8_lossy(r).into_owned()).collect()
}

fn column(rows: &[&str]) -> Column {
    Column::from_rows(rows).unwrap()
}

#[test]
fn a_call_without_decisions_passes_the_batch_on() {
    let (call, seen) = call(&["a", "b"], &[], 1);
    let outcome = call.finish().unwrap();
    assert_eq!(outcome.emitted.len(), 1);
    assert_eq!(bodies(&outcome.emitted[0].1), ["a", "b"]);
    for (_, batch) in outcome.emitted {
        batch.into_ack().deliver();
    }
    assert_eq!(*seen.lock().unwrap(), [Disposition::Delivered]);
}

#[test]
fn failed_rows_leave_unchanged_and_the_other_rows_continue() {
    let (mut call, seen) = call(&["aa", "bb", "cc", "dd"], &["body"], 2);
    call.replace(0, Form::Text, vec![0, 2, 4], vec![1, 3, 5], column(&["X"])).unwrap();
    call.drop_rows(&[3, 1], "noise".into()).unwrap();
    call.fail(&[1], &[0], vec![("bad".into(), "why".into())]).unwrap();
    call.route(vec![0, 0, 1, 0]).unwrap();
    call.copy_to(1, vec![0, 1]).unwrap();
    let outcome = call.finish().unwrap();
    let failed = outcome.failed.unwrap();
    assert_eq!(bodies(&failed), ["bb"], "unchanged");
    assert_eq!(&*failed.failure(0).unwrap().code, "bad");
    assert_eq!(outcome.dropped, [("noise".to_owned(), 1)]);
    assert_eq!(outcome.copied, 1);
    let emitted: Vec<(usize, Vec<String>)> = outcome.emitted.iter().map(|(p, b)| (*p, bodies(b))).collect();
    assert_eq!(emitted, [(1, vec!["Xa".into()]), (0, vec!["Xa".into()]), (1, vec!["Xc".into()])]);
    failed.into_ack().deliver();
    assert!(seen.lock().unwrap().is_empty());
    outcome.emitted.into_iter().for_each(|(_, b)| b.into_ack().deliver());
    assert_eq!(*seen.lock().unwrap(), [Disposition::Delivered]);
}

#[test]
fn children_leave_in_pieces_and_childless_rows_count_as_dropped() {
    let (mut call, seen) = call(&["aabb", "", "cc", "xx"], &["body"], 1);
    call.fail(&[3], &[0], vec![("bad".into(), "why".into())]).unwrap();
    call.split(0, Form::Text, vec![0, 0, 2, 3], vec![0, 2, 4, 6], vec![2, 4, 6, 8], b"<".into(), b">".into()).unwrap();
    let mut outcome = call.finish().unwrap();
    assert_eq!(outcome.dropped, [("empty".to_owned(), 1)]);
    assert_eq!(outcome.parents, 2);
    let (_, mut children) = outcome.children.remove(0);
    assert_eq!(children.rows(), 3);
    let mut pieces = Vec::new();
    while let Some(piece) = children.next_batch(8) {
        pieces.push(bodies(&piece));
        piece.into_ack().deliver();
    }
    assert_eq!(pieces, [vec!["<aa>", "<bb>"], vec!["<cc>"]]);
    outcome.failed.unwrap().into_ack().deliver();
    assert_eq!(*seen.lock().unwrap(), [Disposition::Delivered]);
}

#[test]
fn children_leave_on_their_ports_and_share_the_acknowledgement() {
    for composed in [false, true] {
        let (mut call, seen) = call(&["abc", "de", "f"], &["body"], 3);
        call.route(vec![1, 1, 1]).unwrap();
        call.fail(&[1], &[0], vec![("bad".into(), "why".into())]).unwrap();
        let parents = vec![0, 0, 0, 1, 1, 2];
        match composed {
            true => call.split_into(parents, column(&["<a", "<b", "<c", "<d", "<e", "<f"])).unwrap(),
            false => {
                call.split(0, Form::Text, parents, (0..6).collect(), (1..7).collect(), b"<".into(), vec![]).unwrap()
            }
        }
        call.route(vec![0, 2, 2, 1, 0, 0]).unwrap();
        let outcome = call.finish().unwrap();
        assert_eq!((outcome.parents, outcome.remaining_children()), (2, 4));
        let mut left = Vec::new();
        for (port, mut children) in outcome.children {
            while let Some(piece) = children.next_batch(3) {
                left.push((port, bodies(&piece).join(" ")));
                assert!(seen.lock().unwrap().is_empty());
                piece.into_ack().deliver();
            }
        }
        assert_eq!(left, [(0, "<a".into()), (0, "<f".into()), (2, "<b".into()), (2, "<c".into())]);
        assert_eq!(bodies(outcome.failed.as_ref().unwrap()), ["de"]);
        outcome.failed.unwrap().into_ack().deliver();
        assert_eq!(*seen.lock().unwrap(), [Disposition::Delivered]);
    }
    let (mut call, _) = call(&["abc"], &["body"], 2);
    call.split_into(vec![0, 0], column(&["a", "b"])).unwrap();
    assert!(call.route(vec![1]).unwrap_err().0.contains("1 ports for 2 children"));
    assert!(call.route(vec![1, 2]).unwrap_err().0.contains("port 2 does not exist"));
}

#[test]
fn a_node_of_contract_0_1_can_route_its_rows_after_a_split() {
    let (mut call, _) = call(&["abc", "d"], &["body"], 2);
    call.split_into(vec![0, 1], column(&["a", "d"])).unwrap();
    call.route_rows(vec![1, 1]).unwrap();
    let (port, mut children) = call.finish().unwrap().children.remove(0);
    assert_eq!((port, bodies(&children.next_batch(8).unwrap())), (0, vec!["a".to_owned(), "d".to_owned()]));
}

#[test]
fn a_huge_child_gets_its_own_batch() {
    let (mut call, _) = call(&["aaaaaaaaaabc"], &["body"], 1);
    call.split(0, Form::Text, vec![0; 3], vec![0, 10, 11], vec![10, 11, 12], vec![], vec![]).unwrap();
    let (_, mut children) = call.finish().unwrap().children.remove(0);
    assert_eq!(bodies(&children.next_batch(4).unwrap()), ["aaaaaaaaaa"]);
    assert_eq!(bodies(&children.next_batch(4).unwrap()), ["b", "c"]);
    assert!(children.next_batch(4).is_none());
}

#[test]
fn fields_are_set_and_rows_that_cannot_hold_them_fail() {
    let (mut call, _) = call(&[r#"{"a":1}"#, "[2]", "no"], &["body", "attributes", "body.k", "attributes.e"], 1);
    assert_eq!(*call.check_json(0).unwrap(), [6, 5, 0]);
    call.set_json_from(1, 0, vec![1, 0, 0]).unwrap();
    call.set(2, Form::Text, column(&["v", "v", "v"]), vec![1, 1, 0]).unwrap();
    call.set_timestamps(vec![7, i64::MIN, i64::MIN]).unwrap();
    let outcome = call.finish().unwrap();
    let failed = outcome.failed.unwrap();
    assert_eq!(bodies(&failed), ["[2]"]);
    let failure = failed.failure(0).unwrap();
    assert_eq!(&*failure.code, "no-place");
    assert_eq!(&*failure.message, "`body.k` could not be set: something on its path is not an object");
    let (_, rest) = &outcome.emitted[0];
    assert_eq!(bodies(rest), [r#"{"a":1,"k":"v"}"#, "no"]);
    assert_eq!(rest.timestamp(0), Some(7));
    let (attributes, ..) = rest.read(&FieldPath::parse("attributes").unwrap(), Form::Json);
    assert_eq!(&attributes[..], br#"{"a":1}"#);
}

#[test]
fn json_with_leading_white_space_is_set_like_any_other() {
    let (mut call, _) = call(&["a", "b"], &["attributes.x", "attributes.y.z"], 1);
    call.set(0, Form::Json, column(&[" \"one\" ", "\n{\"a\":2}"]), vec![]).unwrap();
    call.set(1, Form::Json, column(&["\ttrue", " null"]), vec![]).unwrap();
    let (_, batch) = call.finish().unwrap().emitted.remove(0);
    let (text, offsets, _) = batch.read(&FieldPath::parse("attributes.x").unwrap(), Form::Text);
    assert_eq!((&text[..3], offsets[1]), (&b"one"[..], 3));
    let attributes: Vec<serde_json::Value> = (0..2)
        .map(|row| {
            let mut text = Vec::new();
            batch.write_json(row, &mut text);
            serde_json::from_slice::<serde_json::Value>(&text).unwrap()["attributes"].clone()
        })
        .collect();
    assert_eq!(attributes[0], serde_json::json!({ "x": "one", "y": { "z": true } }));
    assert_eq!(attributes[1], serde_json::json!({ "x": { "a": 2 }, "y": { "z": null } }));
}

/// Each line breaks one rule. The call must refuse it without a panic.
#[test]
fn invalid_decisions_are_refused() {
    type Try = fn(&mut Call) -> Checked;
    let tries: &[(&str, Try)] = &[
        ("never resolved", |c| c.read(9, Form::Text).map(drop)),
        ("2 starts but 1 ends", |c| c.replace(0, Form::Text, vec![0, 1], vec![1], column(&["x"]))),
        ("2 texts for 1 spans", |c| c.replace(0, Form::Text, vec![0], vec![1], column(&["x", "y"]))),
        ("1 values", |c| c.set(1, Form::Text, column(&["x"]), vec![])),
        ("3 kinds", |c| c.set(1, Form::Text, column(&["x", "y"]), vec![1, 1, 1])),
        ("row 1 is not JSON", |c| c.set(1, Form::Json, column(&["1", "{"]), vec![])),
        ("not an object", |c| c.set(2, Form::Json, column(&["{}", "1"]), vec![])),
        ("not text", |c| c.set(2, Form::Text, column(&["{}", "1"]), vec![])),
        ("set-timestamp", |c| c.set(3, Form::Text, column(&["a", "b"]), vec![])),
        ("not text", |c| c.replace(2, Form::Text, vec![0], vec![1], column(&["x"]))),
        ("text of row 0 is not a JSON object", |c| c.set_json_from(2, 0, vec![1, 1])),
        ("1 marks", |c| c.set_json_from(2, 0, vec![1])),
        ("1 times", |c| c.set_timestamps(vec![1])),
        ("1 parents, 2 starts", |c| c.split(0, Form::Text, vec![0], vec![0, 1], vec![1], vec![], vec![])),
        ("out of bounds", |c| c.split(0, Form::Text, vec![0], vec![0], vec![99], vec![], vec![])),
        ("out of bounds", |c| c.split(0, Form::Text, vec![0], vec![2], vec![1], vec![], vec![])),
        ("parent", |c| c.split_into(vec![1, 0], column(&["a", "b"]))),
        ("parent", |c| c.split_into(vec![7], column(&["a"]))),
        ("1 parents but 2 bodies", |c| c.split_into(vec![0], column(&["a", "b"]))),
        ("can split or combine only once", |c| {
            c.split_into(vec![0], column(&["a"]))?;
            c.split_into(vec![0], column(&["a"]))
        }),
        ("row 2 does not exist", |c| c.drop_rows(&[2], "x".into())),
        ("1 ports for 2 rows", |c| c.route(vec![0])),
        ("port 1 does not exist", |c| c.route(vec![0, 1])),
        ("port 1 does not exist", |c| c.copy_to(1, vec![])),
        ("row 5 does not exist", |c| c.copy_to(0, vec![5])),
        ("row 2 does not exist", |c| c.fail(&[2], &[0], vec![("a".into(), "b".into())])),
        ("reason 1 does not exist", |c| c.fail(&[0], &[1], vec![("a".into(), "b".into())])),
        ("1 rows but 2 reasons", |c| c.fail(&[0], &[0, 0], vec![])),
    ];
    for (part, wrong) in tries {
        let (mut call, _) = call(&["ab", "cd"], &["body", "body.x", "attributes", "timestamp"], 1);
        let error = wrong(&mut call).expect_err(part);
        assert!(error.0.contains(part), "`{error}` lacks `{part}`");
        assert_eq!(bodies(&call.abort()), ["ab", "cd"]);
    }
}

#[test]
fn invalid_spans_return_the_batch_unchanged() {
    for (starts, ends) in [(vec![1], vec![3]), (vec![2, 0], vec![3, 1]), (vec![0], vec![9]), (vec![1], vec![0])] {
        let (mut call, seen) = call(&["ab", "cd"], &["body"], 1);
        call.replace(0, Form::Text, starts, ends, column(&["x"])).unwrap();
        let (batch, error) = *call.finish().unwrap_err();
        assert!(error.0.contains("out of order or out of bounds"), "{error}");
        assert_eq!(bodies(&batch), ["ab", "cd"]);
        assert!(seen.lock().unwrap().is_empty());
    }
}

#[test]
fn a_replacement_must_not_break_the_json_of_a_field() {
    let (mut call, _) = call(&[r#"{"a":[1,2]}"#], &["body.a"], 1);
    call.replace(0, Form::Json, vec![0], vec![1], column(&["{"])).unwrap();
    let (batch, error) = *call.finish().unwrap_err();
    assert!(error.0.contains("no longer be valid JSON"), "{error}");
    assert_eq!(bodies(&batch), [r#"{"a":[1,2]}"#]);
}

#[test]
fn attributes_stay_an_object_when_they_are_replaced() {
    let (mut call, _) = call(&["a"], &["attributes", "attributes.x"], 1);
    call.set(1, Form::Text, column(&["v"]), vec![]).unwrap();
    let (_, batch) = call.finish().unwrap().emitted.remove(0);
    let whole = vec![Field { path: FieldPath::parse("attributes").unwrap(), read: true, write: true }];
    let node = NodeInfo { name: "n".into(), version: "n@1".into(), ports: vec!["out".into()], fields: whole };
    let mut call = Call::new(batch, Arc::new(node));
    // `{"x":"v"}` becomes `5`.
    call.replace(0, Form::Json, vec![0], vec![9], column(&["5"])).unwrap();
    let (_, error) = *call.finish().unwrap_err();
    assert!(error.0.contains("no longer be a JSON object"), "{error}");
}

#[test]
fn a_text_that_the_same_call_changed_is_checked_again_before_it_becomes_json() {
    for (text, is_json) in [(r#"{"b":2}"#, true), ("[1]", false), (":[1", false)] {
        let (mut call, _) = call(&[r#"{"a":1}"#], &["body", "attributes"], 1);
        call.set(0, Form::Text, column(&[text]), vec![]).unwrap();
        call.set_json_from(1, 0, vec![1]).unwrap();
        match call.finish() {
            Ok(mut outcome) => {
                assert!(is_json, "{text}");
                let (_, batch) = outcome.emitted.remove(0);
                let (attributes, ..) = batch.read(&FieldPath::parse("attributes").unwrap(), Form::Json);
                assert_eq!(&attributes[..], text.as_bytes());
            }
            Err(refused) => {
                let (batch, error) = *refused;
                assert!(!is_json && error.0.contains("is not a JSON object"), "{text}: {error}");
                assert_eq!(bodies(&batch), [r#"{"a":1}"#]);
            }
        }
    }
}

/// A batch of one row with the attributes `{"big":"xxx…"}` of about this size.
fn with_attributes(bytes: usize) -> (Call, Arc<Mutex<Vec<Disposition>>>) {
    let (mut first, seen) = call(&["row"], &["attributes.big"], 2);
    first.set(0, Form::Text, column(&[&"x".repeat(bytes)]), Vec::new()).unwrap();
    let mut outcome = first.finish().unwrap();
    let (_, batch) = outcome.emitted.remove(0);
    let (spare, _) = call(&["row"], &["attributes.big"], 2);
    (Call::new(batch, spare.node), seen)
}

#[test]
fn inherited_bytes_count_for_each_child_and_copy() {
    for children in [1_u32, 10, 1000] {
        let bytes = 10_000;
        let carried = (bytes + "big".len() + 4 + 2 + 2 + 2 + "{}".len() - crate::batch::ROW_ALLOWANCE_BYTES) as u64
            * u64::from(children);
        for (room, fits) in [(carried, true), (carried - 1, false)] {
            let (mut call, seen) = with_attributes(bytes);
            let bodies = vec!["b"; children as usize];
            call.split_into(vec![0; children as usize], column(&bodies)).unwrap();
            match call.finish_within(None, room) {
                Ok(outcome) => assert!(fits && !outcome.children.is_empty(), "{children}"),
                Err(refused) => {
                    assert!(!fits && refused.1 == Refusal::TooMuch(carried), "{children}: {}", refused.1);
                    assert!(seen.lock().unwrap().is_empty(), "the batch is returned with its acknowledgement");
                    refused.0.into_ack().deliver();
                    assert_eq!(*seen.lock().unwrap(), [Disposition::Delivered]);
                }
            }
        }
    }
    let (mut call, _) = with_attributes(10_000);
    call.copy_to(1, vec![0]).unwrap();
    assert!(matches!(call.finish_within(None, 5000).unwrap_err().1, Refusal::TooMuch(_)));
}

#[test]
fn small_rows_carry_a_resource_and_a_reason_without_charge() {
    let (mut call, _) = call(&["a"; 100], &[], 1);
    let rows: Vec<u32> = (0..100).collect();
    call.fail(&rows, &[0; 100], vec![("bad".into(), "x".repeat(200))]).unwrap();
    assert_eq!(call.finish_within(None, 0).unwrap().failed.unwrap().rows(), 100);
}

#[test]
fn reasons_are_cut_to_whole_characters_and_count_for_each_row() {
    let fail = |room| {
        let (mut call, _) = call(&["a"; 100], &[], 1);
        let rows: Vec<u32> = (0..100).collect();
        call.fail(&rows, &[0; 100], vec![("ü".repeat(1000), "ü".repeat(100_000))]).unwrap();
        call.finish_within(None, room).map_err(|refused| refused.1)
    };
    let failed = fail(u64::MAX).unwrap().failed.unwrap();
    let failure = failed.failure(99).unwrap();
    assert_eq!(&*failure.code, "ü".repeat(32));
    assert!(failure.message.starts_with("üü") && failure.message.len() <= 1024 + " [...]".len());
    assert!(matches!(fail(50_000), Err(Refusal::TooMuch(_))));
}

#[test]
fn changes_stop_at_the_deadline() {
    let (mut call, seen) = call(&[r#"{"a":1}"#], &["body.a"], 1);
    for _ in 0..3 {
        call.set(0, Form::Json, column(&["2"]), Vec::new()).unwrap();
    }
    let past = std::time::Instant::now();
    let (batch, refusal) = *call.finish_within(Some(past), u64::MAX).unwrap_err();
    assert_eq!(refusal, Refusal::TooLong);
    assert_eq!(bodies(&batch), [r#"{"a":1}"#], "unchanged");
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn marked_rows_that_leave_in_no_batch_are_listed_with_their_end() {
    let marked = |rows: &[&str], marks: &[u8]| {
        let (mut call, _) = call(rows, &["body"], 1);
        call.batch.set_marks(marks);
        call
    };
    let ended = |outcome: &Outcome| -> Vec<(u8, String)> {
        outcome.ended.iter().map(|ended| (ended.marks, ended.how.clone())).collect()
    };
    let mut call = marked(&["a", "b", "c", "d", "e"], &[1, 2, 4, 8, 0]);
    call.drop_rows(&[1, 4], "noise".into()).unwrap();
    call.hold(&[2]).unwrap();
    call.fail(&[3], &[0], vec![("bad".into(), "why".into())]).unwrap();
    let outcome = call.finish().unwrap();
    assert_eq!(ended(&outcome), [(2, "noise".to_owned()), (4, "held".to_owned())]);
    assert_eq!(outcome.failed.as_ref().map(|failed| failed.mark(0)), Some(8));
    assert_eq!(outcome.emitted[0].1.marked().collect::<Vec<_>>(), [(0, 1)]);

    let mut call = marked(&["a", "b"], &[1, 2]);
    call.split_into(vec![0, 0], column(&["a1", "a2"])).unwrap();
    let mut outcome = call.finish().unwrap();
    assert_eq!(ended(&outcome), [(2, "empty".to_owned())]);
    let children = outcome.children[0].1.next_batch(1000).unwrap();
    assert_eq!(children.marked().collect::<Vec<_>>(), [(0, 1), (1, 1)]);

    let mut call = marked(&["a", "b"], &[1, 2]);
    call.combine(vec![0, 1], vec![0, 2], column(&["a b"])).unwrap();
    let outcome = call.finish().unwrap();
    assert_eq!(ended(&outcome), [(2, "combined".to_owned())]);
    assert_eq!(outcome.emitted[0].1.marked().collect::<Vec<_>>(), [(0, 1)]);
}
