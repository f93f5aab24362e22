//! Checks the output of a component for many inputs: every row is accounted for, and no call
//! faults.

use std::sync::Arc;

use wattle_batch::{Ack, Batch, Column, Origin, Outcome};
use wattle_runtime::{FaultKind, SingleInstance};

use super::itself::is_kebab;
use super::{Report, Subject};

/// Rows of the largest batch.
const MANY: usize = 100_000;
/// Bytes of the largest value.
const HUGE: usize = 8 << 20;

/// Bodies that a node can receive, by their special property.
fn kinds() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let text = |all: &[&str]| all.iter().map(|t| t.as_bytes().to_vec()).collect::<Vec<_>>();
    let many = (0..MANY).map(|i| format!(r#"{{"n":{i},"level":"info","message":"line {i}"}}"#).into_bytes()).collect();
    let mut huge = br#"{"message":""#.to_vec();
    huge.resize(HUGE, b'x');
    huge.extend_from_slice(br#"","n":1}"#);
    let deep = format!(r#"{{"message":{}1{}}}"#, "[".repeat(400), "]".repeat(400));
    vec![
        ("empty-batch", Vec::new()),
        ("one-row", text(&[r#"{"n":1,"level":"info","message":"one"}"#])),
        ("many-rows", many),
        ("empty-strings", text(&["", r#"{"message":"","n":""}"#, "", r#""""#])),
        ("invalid-utf8", vec![b"\xff\xfe".to_vec(), b"{\"message\":\"\xc3\x28\"}".to_vec(), b"ok \x80".to_vec()]),
        ("control-bytes", vec![b"\0".to_vec(), b"a\0b\nc\r\n".to_vec(), br#"{"message":"\u0000\n"}"#.to_vec()]),
        ("broken-json", text(&["{", r#"{"a":1"#, "[1,", r#"{"message":"x}"#, "nul", r#"{"message":"\ud800"}"#])),
        (
            "every-kind-of-json",
            text(&["null", "true", "-1.5e3", r#""text""#, "[]", "[1,{}]", "{}", "{\"message\":{}}"]),
        ),
        ("deep-json", text(&[deep.as_str()])),
        ("huge-field", vec![huge, b"small".to_vec()]),
        ("other-scripts", text(&[r#"{"message":"żółć 雪 🦘"}"#, "עברית", "e\u{301}\u{200d}"])),
    ]
}

pub(super) fn checks(report: &mut Report, node: &Subject<'_>) {
    let start = || node.start_ready();
    let kinds = kinds();
    for (name, bodies) in &kinds {
        report.check(*name, || {
            let mut instance = start()?;
            let outcome = call(&mut instance, bodies)?;
            accounted(&outcome, bodies.len())?;
            codes(&outcome)
        });
    }
    report.check("one-instance-takes-all", || {
        let mut instance = start()?;
        for (name, bodies) in &kinds {
            let outcome = call(&mut instance, bodies).map_err(|error| format!("{name}: {error}"))?;
            accounted(&outcome, bodies.len()).map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(())
    });
    report.check("determinism", || {
        for (name, bodies) in kinds.iter().filter(|(name, _)| *name != "huge-field") {
            let bodies = bodies.get(..bodies.len().min(1000)).unwrap_or_default();
            let once = || -> Result<Vec<(String, Vec<u8>)>, String> {
                let mut instance = start()?;
                Ok(written(call(&mut instance, bodies)?))
            };
            if once()? != once()? {
                return Err(format!("{name}: two fresh instances gave different results for the same batch"));
            }
        }
        Ok(())
    });
}

fn batch(bodies: &[Vec<u8>]) -> Result<Batch, String> {
    let origin = Origin { source: "test".into(), resource: r#"{"source":{"name":"test"}}"#.into(), observed: 0 };
    let bodies = Column::from_rows(bodies).map_err(|e| e.to_string())?;
    Ok(Batch::new(bodies, Arc::new(origin), Ack::none()))
}

/// Calls the node. It may return an error on purpose: all rows fail then.
pub(super) fn call(instance: &mut SingleInstance, bodies: &[Vec<u8>]) -> Result<Outcome, String> {
    match instance.process(batch(bodies)?) {
        Ok(outcome) => Ok(outcome),
        Err(fault) if fault.kind == FaultKind::NodeError => {
            Ok(Outcome { failed: Some(batch(bodies)?), ..Outcome::default() })
        }
        Err(fault) => Err(fault.to_string()),
    }
}

/// The port and content of each event, with JSON as text, since not every JSON reader accepts deep
/// nesting.
pub(super) fn written(outcome: Outcome) -> Vec<(String, Vec<u8>)> {
    fn add(place: &str, batch: &Batch, all: &mut Vec<(String, Vec<u8>)>) {
        for row in 0..batch.rows() {
            let mut json = Vec::new();
            batch.write_json(row, &mut json);
            all.push((place.to_owned(), json));
        }
    }
    let mut all = Vec::new();
    for (port, batch) in outcome.emitted.iter().chain(&outcome.made) {
        add(&format!("port {port}"), batch, &mut all);
    }
    for (port, mut children) in outcome.children {
        while let Some(piece) = children.next_batch(64) {
            add(&format!("children on port {port}"), &piece, &mut all);
        }
    }
    if let Some(failed) = &outcome.failed {
        add("failed", failed, &mut all);
    }
    all.push(("held".to_owned(), outcome.held.to_string().into_bytes()));
    all.extend(outcome.dropped.into_iter().map(|(code, count)| (code, count.to_string().into_bytes())));
    all
}

fn accounted(outcome: &Outcome, rows: usize) -> Result<(), String> {
    let emitted: usize = outcome.emitted.iter().map(|(_, batch)| batch.rows()).sum();
    let failed = outcome.failed.as_ref().map_or(0, Batch::rows);
    let dropped: usize = outcome.dropped.iter().map(|(_, count)| count).sum();
    let seen = emitted + failed + dropped + outcome.held + outcome.parents;
    let expected = rows + outcome.copied + outcome.combined;
    if seen == expected { Ok(()) } else { Err(format!("expected {expected} rows, got {seen}")) }
}

/// Checks failure codes: they become labels of metrics, so they must be words of a closed set.
fn codes(outcome: &Outcome) -> Result<(), String> {
    let failed = outcome.failed.iter().flat_map(|b| (0..b.rows()).filter_map(|row| b.failure(row)));
    let codes = failed.map(|failure| &*failure.code).chain(outcome.dropped.iter().map(|(code, _)| code.as_str()));
    match codes.into_iter().find(|code| !is_kebab(code)) {
        Some(code) => Err(format!("`{code}` is not a code in kebab-case")),
        None => Ok(()),
    }
}
