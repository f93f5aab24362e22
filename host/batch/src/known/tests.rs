//! Whatever happens to a batch, what is known of its texts is what a check of them finds.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;
use wattle_json::{Boundary, DocumentEnd};

use super::*;
use crate::ack::Ack;
use crate::batch::{Batch, Replacement};
use crate::column::Column;
use crate::field::{FieldPath, Form};
use crate::origin::Origin;
use crate::{Call, Field, NodeInfo};

/// A document as a source finds it: its text, and what it knows of it.
fn document(text: &str) -> Option<(Vec<Span>, usize)> {
    let mut end = DocumentEnd::new(MAX_JSON_DEPTH);
    assert_eq!(end.look(text.as_bytes(), true), Boundary::End(text.len()));
    let containers = end.containers()?;
    Some((containers.spans.iter().map(|&(start, end)| Span { start, end }).collect(), containers.depth))
}

/// A batch of documents and other lines in one buffer.
fn batch(lines: &[String]) -> Batch {
    let (mut bytes, mut rows, mut known, mut depth) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for line in lines {
        let start = u32::try_from(bytes.len()).unwrap();
        bytes.extend_from_slice(line.as_bytes());
        rows.push(Span { start, end: u32::try_from(bytes.len()).unwrap() });
        if line.starts_with(['{', '['])
            && let Some((spans, own)) = document(line)
        {
            known.extend(spans.iter().map(|span| Span { start: start + span.start, end: start + span.end }));
            depth = depth.max(own);
        }
        // Documents may follow each other at once.
        bytes.extend_from_slice(if lines.len().is_multiple_of(2) { b"\n" } else { b"" });
    }
    let column = Column::from_spans(bytes.into(), rows).unwrap().knowing(Known::new(known, depth));
    let origin = Origin { source: "test".into(), resource: "{}".into(), observed: 0 };
    Batch::new(column, Arc::new(origin), Ack::none())
}

#[track_caller]
fn check(batch: &Batch) {
    for (row, text) in batch.body().iter().enumerate() {
        let kind = wattle_json::check(text, MAX_JSON_DEPTH).map_or(0, |kind| kind as u8);
        assert_eq!(batch.body_kinds()[row], kind, "{}", String::from_utf8_lossy(text));
    }
}

fn known_rows(batch: &Batch) -> usize {
    (0..batch.rows()).filter(|row| batch.body().is_known(*row)).count()
}

/// The contents of all strings, keys too, as a reader of JSON finds them.
fn contents(text: &[u8]) -> Vec<(u32, u32)> {
    let (mut found, mut open, mut escaped) = (Vec::new(), None, false);
    for (at, byte) in (0..).zip(text) {
        if *byte == b'"' && !escaped {
            open = match open {
                None => Some(at + 1),
                Some(start) => {
                    found.push((start, at));
                    None
                }
            };
        }
        escaped = *byte == b'\\' && !escaped;
    }
    found
}

/// The children of all rows, `prefix`, a container of the row, `suffix`.
fn split(batch: Batch, prefix: &str, suffix: &str) -> Vec<Batch> {
    let fields = vec![Field { path: FieldPath::parse("body").unwrap(), read: true, write: false }];
    let node = NodeInfo { name: "n".into(), version: "n@1".into(), ports: vec!["out".into()], fields };
    let mut call = Call::new(batch, Arc::new(node));
    let (text, offsets, _) = call.read(0, Form::Text).unwrap();
    let (mut parents, mut starts, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for (row, offset) in (0..).zip(offsets.array_windows::<2>()) {
        let [start, end] = *offset;
        let row_text = &text[start as usize..end as usize];
        if row_text.first() == Some(&b'[') && wattle_json::check(row_text, MAX_JSON_DEPTH).is_ok() {
            wattle_json::elements_from(row_text, 0, |element| {
                parents.push(row);
                starts.push(start + u32::try_from(element.start).unwrap());
                ends.push(start + u32::try_from(element.end).unwrap());
            })
            .unwrap();
        }
    }
    call.split(0, Form::Text, parents, starts, ends, prefix.into(), suffix.into()).unwrap();
    let mut outcome = call.finish().unwrap();
    let mut batches = Vec::new();
    for (_, children) in &mut outcome.children {
        batches.extend(std::iter::from_fn(|| children.next_batch(100)));
    }
    batches
}

#[test]
fn masked_and_split_documents_need_no_check() {
    let record = r#"{"k":"secret","n":[1,{"a":"{\"s\":\"secret\"}"}]}"#;
    let mut batch = batch(&[format!("[{record},{record}]"), "text".into(), record.into()]);
    assert_eq!(known_rows(&batch), 2);
    let text = batch.body().to_contiguous().0;
    let text = String::from_utf8(text.to_vec()).unwrap();
    let secrets = text
        .match_indices("secret")
        .map(|(at, secret)| (u32::try_from(at).unwrap(), u32::try_from(at + secret.len()).unwrap()));
    let (starts, ends): (Vec<u32>, Vec<u32>) = secrets.unzip();
    batch.replace_body(&starts, &ends, &Replacement(Column::from_rows(["*".repeat(19)]).unwrap())).unwrap();
    assert_eq!((starts.len(), known_rows(&batch)), (6, 2));
    check(&batch);
    for children in split(batch, "{\"R\":", "}") {
        assert_eq!(known_rows(&children), children.rows());
        check(&children);
        // They can be split and wrapped again.
        assert!(children.body().row(0).starts_with(br#"{"R":{"k":"****"#));
    }
}

#[test]
fn edits_outside_of_strings_lose_the_knowledge() {
    for (text, start, end, with) in [
        (r#"{"a":"b"}"#, 4, 5, ","),
        (r#"["a","b"]"#, 3, 5, "x"),
        (r#"["a"]"#, 2, 3, "\""),
        (r#"["a"]"#, 2, 3, "\\"),
        (r#"["a"]"#, 2, 3, "\n"),
        (r#"["a\"b"]"#, 2, 4, "x"),
        (r#"["\u0041b"]"#, 4, 9, "x"),
        (r#"["\ud83d\ude00"]"#, 8, 14, "x"),
        (r#"["a","b"]"#, 4, 5, "x"),
        (r#"["1",2,"3"]"#, 4, 7, "x"),
        ("[12]", 1, 3, "x"),
    ] {
        let mut batch = batch(&[text.into()]);
        batch.replace_body(&[start], &[end], &Replacement(Column::from_rows([with]).unwrap())).unwrap();
        assert_eq!(known_rows(&batch), 0, "{text}");
        check(&batch);
    }
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        "[a-z\"\\\\:,{}\\[\\]ä]{0,5}".prop_map(Value::from),
        any::<i16>().prop_map(Value::from),
        Just(Value::Null)
    ];
    leaf.prop_recursive(5, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[ab\"]{0,3}", inner), 0..4)
                .prop_map(|members| members.into_iter().collect::<Value>()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_known_is_true(
        documents in prop::collection::vec((json(), any::<bool>()), 1..5),
        chosen in prop::collection::vec(0_u32..5, 0..4),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_u32..2, 0_u32..2), 0..4),
        with in prop::sample::select(vec!["***", "", "\"", "\\", "}", "ä", "\n", "\":\""]),
        wrapper in prop::sample::select(vec![("{\"R\":", "}"), ("", ""), ("[", "]"), (" [", "]"), ("{\"R\":", ""), ("x", ""), ("[[[[[[[[[", "]]]]]]]]]")]),
    ) {
        let lines: Vec<String> = documents
            .iter()
            .map(|(value, is_pretty)| if *is_pretty { format!("{value:#}") } else { value.to_string() })
            .collect();
        let mut batch = batch(&lines);
        check(&batch);
        if !chosen.is_empty() {
            let rows = u32::try_from(lines.len()).unwrap();
            let chosen: Vec<u32> = chosen.iter().map(|row| row % rows).collect();
            batch = batch.select(&chosen);
            check(&batch);
        }
        // Contents of strings, sometimes not whole, or with a byte beside them.
        let (text, offsets) = batch.body().to_contiguous();
        let all = contents(&text);
        let mut spans: Vec<(u32, u32)> = Vec::new();
        if !all.is_empty() {
            for (index, before, after) in &edits {
                let (start, end) = *index.get(&all);
                spans.push((start - before, (end + after).max(start)));
            }
        }
        spans.sort_unstable();
        spans.dedup_by(|next, kept| next.0 < kept.1 || next.0 == kept.0);
        // A span lies in one row.
        spans.retain(|(start, end)| offsets.array_windows().any(|[first, last]| first <= start && end <= last));
        let (starts, ends): (Vec<u32>, Vec<u32>) = spans.into_iter().unzip();
        if batch.replace_body(&starts, &ends, &Replacement(Column::from_rows([with]).unwrap())).is_ok() {
            check(&batch);
        }
        for children in split(batch, wrapper.0, wrapper.1) {
            check(&children);
        }
    }
}
