//! Decisions of a guest in any number and order: they are refused, or every row is accounted for
//! and every event can be written.

use std::sync::{Arc, Mutex};

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use wattle_batch::{Ack, Batch, Call, Column, Disposition, Field, FieldPath, Form, InvalidDecision, NodeInfo, Origin};

const FIELDS: &[&str] = &["body", "attributes", "timestamp", "body.a", "attributes.b.c", "body.a.d", "resource"];
const PORTS: usize = 3;
const MAX_DECISIONS: usize = 12;

/// A column from a guest, possibly invalid.
type Raw<'a> = (&'a [u8], Vec<u8>);

#[derive(Debug)]
enum Decision<'a> {
    Read(u8, bool),
    CheckJson(u8),
    Replace(u8, bool, Vec<u8>, Vec<u8>, Raw<'a>),
    Set(u8, bool, Raw<'a>, Vec<u8>),
    /// One text for all rows, so the number of rows is right.
    SetAll(u8, bool, &'a [u8]),
    SetJsonFrom(u8, u8, Vec<u8>),
    /// Marks for all rows.
    CopyJson(u8, u8, u8),
    Timestamps(Vec<i64>),
    Split(u8, bool, Vec<(u8, u8, u8)>, &'a [u8], &'a [u8]),
    SplitInto(Vec<u8>, Raw<'a>),
    Drop(Vec<u8>),
    Route(Vec<u8>),
    /// One port for each row.
    RouteAll([u8; 3]),
    Copy(u8, Vec<u8>),
    Fail(Vec<(u8, u8)>, u8),
}

impl<'a> Arbitrary<'a> for Decision<'a> {
    fn arbitrary(from: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(match from.int_in_range(0..=14_u8)? {
            0 => Self::Read(from.arbitrary()?, from.arbitrary()?),
            1 => Self::CheckJson(from.arbitrary()?),
            2 => {
                let (field, json) = from.arbitrary()?;
                Self::Replace(field, json, from.arbitrary()?, from.arbitrary()?, from.arbitrary()?)
            }
            3 => Self::Set(from.arbitrary()?, from.arbitrary()?, from.arbitrary()?, from.arbitrary()?),
            4 => Self::SetAll(from.arbitrary()?, from.arbitrary()?, from.arbitrary()?),
            5 => Self::SetJsonFrom(from.arbitrary()?, from.arbitrary()?, from.arbitrary()?),
            6 => Self::CopyJson(from.arbitrary()?, from.arbitrary()?, from.arbitrary()?),
            7 => Self::Timestamps(from.arbitrary()?),
            8 => {
                let (field, json) = from.arbitrary()?;
                Self::Split(field, json, from.arbitrary()?, from.arbitrary()?, from.arbitrary()?)
            }
            9 => Self::SplitInto(from.arbitrary()?, from.arbitrary()?),
            10 => Self::Drop(from.arbitrary()?),
            11 => Self::Route(from.arbitrary()?),
            12 => Self::RouteAll(from.arbitrary()?),
            13 => Self::Copy(from.arbitrary()?, from.arbitrary()?),
            _ => Self::Fail(from.arbitrary()?, from.arbitrary()?),
        })
    }
}

fn form(json: bool) -> Form {
    if json { Form::Json } else { Form::Text }
}

fn wide(numbers: &[u8]) -> Vec<u32> {
    numbers.iter().map(|n| u32::from(*n)).collect()
}

fn column((bytes, ends): &Raw<'_>) -> Result<Column, InvalidDecision> {
    // Lengths give valid columns; raw offsets are mostly invalid. The last offset decides which to
    // use.
    let offsets = if ends.last().is_some_and(|last| last % 8 == 7) {
        wide(ends)
    } else {
        let mut at = 0;
        let ends = ends.iter().map(|length| {
            at = (at + u32::from(*length)).min(u32::try_from(bytes.len()).unwrap());
            at
        });
        [0].into_iter().chain(ends).collect()
    };
    let end = offsets.last().map_or(0, |end| usize::try_from(*end).unwrap());
    let bytes = Bytes::copy_from_slice(bytes.get(..end).unwrap_or(bytes));
    Column::from_offsets(bytes, &offsets).ok_or_else(|| InvalidDecision("no column".into()))
}

fn decide(call: &mut Call, decision: &Decision<'_>) -> Result<(), InvalidDecision> {
    let rows = call.rows();
    let handle = |h: &u8| u32::from(*h % 9);
    match decision {
        Decision::Read(h, json) => {
            let (bytes, offsets, kinds) = call.read(handle(h), form(*json))?;
            assert_eq!((offsets.len(), offsets.last().map(|end| *end as usize)), (rows + 1, Some(bytes.len())));
            assert!(kinds.is_empty() || kinds.len() == rows);
            Ok(())
        }
        Decision::CheckJson(h) => call.check_json(handle(h)).map(|kinds| assert_eq!(kinds.len(), rows)),
        Decision::Replace(h, json, starts, ends, with) => {
            call.replace(handle(h), form(*json), wide(starts), wide(ends), column(with)?)
        }
        Decision::Set(h, json, values, kinds) => call.set(handle(h), form(*json), column(values)?, kinds.clone()),
        Decision::SetAll(h, json, text) => {
            let values = Column::from_rows(vec![text; rows]).map_err(|e| InvalidDecision(e.to_string()))?;
            call.set(handle(h), form(*json), values, Vec::new())
        }
        Decision::SetJsonFrom(to, from, marks) => call.set_json_from(handle(to), handle(from), marks.clone()),
        Decision::CopyJson(to, from, marks) => {
            let marks = (0..rows).map(|row| (marks >> (row % 8)) & 1).collect();
            call.set_json_from(handle(to), handle(from), marks)
        }
        Decision::Timestamps(times) => {
            let times =
                if times.is_empty() { vec![0; rows] } else { times.iter().copied().cycle().take(rows).collect() };
            call.set_timestamps(times)
        }
        Decision::Split(h, json, children, before, after) => {
            let [parents, starts, ends] = [0, 1, 2].map(|part| {
                children.iter().map(|child| u32::from([child.0, child.1, child.2][part])).collect::<Vec<_>>()
            });
            call.split(handle(h), form(*json), parents, starts, ends, before.to_vec(), after.to_vec())
        }
        Decision::SplitInto(parents, bodies) => call.split_into(wide(parents), column(bodies)?),
        Decision::Drop(rows) => call.drop_rows(&wide(rows), "dropped".into()),
        Decision::Route(ports) => call.route(ports.clone()),
        Decision::RouteAll(ports) => call.route((0..rows).map(|row| ports[row % 3] % 3).collect()),
        Decision::Copy(port, rows) => call.copy_to(*port, wide(rows)),
        Decision::Fail(rows, reasons) => {
            let (rows, which): (Vec<u8>, Vec<u8>) = rows.iter().copied().unzip();
            let reasons = (0..*reasons % 4).map(|n| (format!("code-{n}"), "why".to_owned())).collect();
            call.fail(&wide(&rows), &wide(&which), reasons)
        }
    }
}

fn text(batch: &Batch) -> Vec<u8> {
    let mut out = Vec::new();
    for row in 0..batch.rows() {
        let from = out.len();
        batch.write_json(row, &mut out);
        let event: serde_json::Value = match serde_json::from_slice(&out[from..]) {
            Ok(event) => event,
            // Limits of serde_json, not of the grammar.
            Err(error) if ["out of range", "recursion"].iter().any(|l| error.to_string().contains(l)) => continue,
            Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&out[from..])),
        };
        assert!(event["body"].is_string() != event["body_base64"].is_string(), "one body, as text or as base64");
    }
    out
}

/// Bodies on lines, an empty line, then decisions.
pub fn decisions(bytes: &[u8]) {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap_or(0);
    let bodies: Vec<&[u8]> = bytes[..end].split(|b| *b == b'\n').take(40).collect();
    let mut source = Unstructured::new(bytes.get(end + 2..).unwrap_or_default());
    let reported = Arc::new(Mutex::new(Vec::new()));
    let to = reported.clone();
    let origin = Arc::new(Origin { source: "in".into(), resource: "{\"host\":\"h\"}".into(), observed: 0 });
    let ack = Ack::new(move |disposition| to.lock().unwrap().push(disposition));
    let batch = Batch::new(Column::from_rows(&bodies).unwrap(), origin, ack);
    let fields = FIELDS.iter().enumerate();
    let node = NodeInfo {
        name: "node".into(),
        version: "node@1.0.0".into(),
        ports: (0..PORTS).map(|port| format!("port{port}")).collect(),
        // One read-only field, and one write-only field.
        fields: fields
            .map(|(at, path)| Field { path: FieldPath::parse(path).unwrap(), read: at != 4, write: at != 5 })
            .collect(),
    };
    let (rows, before) = (batch.rows(), text(&batch));
    let mut call = Call::new(batch, Arc::new(node));
    for _ in 0..MAX_DECISIONS {
        if source.is_empty() {
            break;
        }
        let Ok(decision) = Decision::arbitrary(&mut source) else { break };
        if decide(&mut call, &decision).is_err() {
            return given_back(call.abort(), rows, &before, &reported);
        }
    }
    let outcome = match call.finish() {
        Ok(outcome) => outcome,
        Err(refused) => return given_back(refused.0, rows, &before, &reported),
    };
    let count = |batches: &[(usize, Batch)]| batches.iter().map(|(_, batch)| batch.rows()).sum::<usize>();
    let failed = outcome.failed.as_ref().map_or(0, Batch::rows);
    let dropped: usize = outcome.dropped.iter().map(|(_, rows)| rows).sum();
    let out = count(&outcome.emitted) + failed + dropped + outcome.parents;
    assert_eq!(rows + outcome.copied, out, "every row is in exactly one place, copies aside");
    for (port, batch) in outcome.emitted {
        assert!(port < PORTS && batch.rows() > 0);
        text(&batch);
        batch.into_ack().deliver();
    }
    for (port, mut children) in outcome.children {
        assert!(port < PORTS && children.rows() > 0 || port == 0);
        let (expected, mut seen) = (children.rows(), 0);
        while let Some(batch) = children.next_batch(64) {
            seen += batch.rows();
            text(&batch);
            batch.into_ack().deliver();
        }
        assert_eq!(seen, expected, "every child comes");
    }
    if let Some(batch) = outcome.failed {
        assert!((0..batch.rows()).all(|row| batch.failure(row).is_some()));
        batch.into_ack().deliver();
    }
    assert_eq!(*reported.lock().unwrap(), [Disposition::Delivered], "reported once, after all of it is delivered");
}

/// A refused call has no effect: the batch is unchanged, and its acknowledgement is still open.
fn given_back(batch: Batch, rows: usize, before: &[u8], reported: &Mutex<Vec<Disposition>>) {
    assert_eq!((batch.rows(), text(&batch)), (rows, before.to_vec()));
    assert_eq!(*reported.lock().unwrap(), []);
    batch.into_ack().deliver();
    assert_eq!(*reported.lock().unwrap(), [Disposition::Delivered]);
}
