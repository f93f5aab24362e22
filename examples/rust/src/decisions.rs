//! Makes each decision of the contract, as an example of the call.

use std::time::Duration;

use wattle_node::capabilities::{kv, seen};
use wattle_node::{Batch, ChildSpans, ColumnWriter, EventKind, Events, Field, Form, Node, Reasons, Setup};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    decision: Decision,
}

#[derive(Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Decision {
    Replace,
    ReplaceEach,
    Set,
    SetJson,
    SetJsonFrom,
    SetTimestamp,
    Split,
    SplitInto,
    Combine,
    Hold,
    Emit,
    EmitKinds,
    Drop,
    Route,
    CopyTo,
    Fail,
    Redelivered,
    ReadText,
    ReadJson,
    Claim,
    Kv,
    Error,
    Panic,
    NoSuchPort,
    NoSuchGroup,
}

/// How long a key stays claimed, and a value stored.
const TTL: Duration = Duration::from_mins(1);

pub(crate) struct Columns {
    decision: Decision,
    body: Field,
    field: Field,
    attributes: Field,
    set: Field,
}

impl Node for Columns {
    const NAME: &'static str = "decisions";
    const VERSION: &'static str = "1.0.0";
    const SUMMARY: &'static str = "Makes the decision that its option names.";
    const OPTIONS_SCHEMA: &'static str = r#"{"type":"object","properties":{"decision":{"type":"string"}}}"#;
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        setup.ports(vec!["out".into(), "other".into()]);
        Some(Self {
            decision: options.decision,
            body: setup.read_write("", "body")?,
            field: setup.read("", "body.f")?,
            attributes: setup.write("", "attributes")?,
            set: setup.write("", "attributes.set")?,
        })
    }

    #[expect(clippy::panic, reason = "an example of what becomes of a panic")]
    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let rows = batch.len();
        let odd: Vec<u32> = (0_u32..).take(rows).filter(|row| row % 2 == 1).collect();
        let odd_marks: Vec<u8> = (0..rows).map(|row| u8::from(row % 2 == 1)).collect();
        match self.decision {
            Decision::Replace => {
                let starts = self.firsts(batch);
                batch.replace(self.body, Form::Text, &starts, &ends(&starts), ColumnWriter::of(b"*"));
            }
            Decision::ReplaceEach => {
                let starts = self.firsts(batch);
                let mut texts = ColumnWriter::default();
                (0..starts.len()).for_each(|row| texts.push(format!("<{row}>").as_bytes()));
                batch.replace(self.body, Form::Text, &starts, &ends(&starts), texts);
            }
            Decision::Set => {
                let mut values = ColumnWriter::default();
                for row in 0..rows {
                    match row % 2 {
                        0 => values.push(format!("row {row}").as_bytes()),
                        _ => values.push_none(),
                    }
                }
                batch.set(self.set, Form::Text, values);
            }
            Decision::SetJson => {
                let mut values = ColumnWriter::default();
                (0..rows).for_each(|row| values.push(format!(r#"{{"row":{row}}}"#).as_bytes()));
                batch.set(self.set, Form::Json, values);
            }
            Decision::SetJsonFrom => {
                let objects: Vec<u8> = batch.check_json(self.body).iter().map(|&kind| u8::from(kind == 6)).collect();
                batch.set_json_from(self.attributes, self.body, &objects);
            }
            Decision::SetTimestamp => {
                let times: Vec<i64> =
                    (0_i64..).take(rows).map(|row| if row % 2 == 0 { row * 1_000_000_000 } else { i64::MIN }).collect();
                batch.set_timestamp(&times);
            }
            Decision::Split => self.split(batch),
            Decision::SplitInto => {
                let body = batch.read(self.body, Form::Text);
                let (mut parents, mut bodies) = (Vec::new(), ColumnWriter::default());
                for (row, text) in (0_u32..).zip(body.rows()) {
                    for end in [b"/1", b"/2"] {
                        parents.push(row);
                        bodies.push(&[text, end].concat());
                    }
                }
                batch.split_into(&parents, bodies);
            }
            Decision::Combine => self.combine(batch),
            Decision::Hold => batch.hold(&odd),
            Decision::Emit => {
                let mut events = Events::new(EventKind::Log);
                for row in (0_i64..).take(rows) {
                    let text = format!("made {row}");
                    match row % 2 {
                        0 => {
                            let attributes = format!(r#"{{"row":{row}}}"#);
                            events.push(text.as_bytes(), Some(attributes.as_bytes()), Some(row * 1_000_000_000));
                        }
                        _ => events.push(text.as_bytes(), None, None),
                    }
                }
                batch.emit(1, events);
            }
            Decision::EmitKinds => {
                let kinds = [(EventKind::Log, "log"), (EventKind::Metric, "metric"), (EventKind::Span, "span")];
                for (kind, body) in kinds {
                    let mut events = Events::new(kind);
                    events.push(body.as_bytes(), None, None);
                    batch.emit(0, events);
                }
            }
            Decision::Drop => batch.drop_rows(&odd, "odd"),
            Decision::Route => batch.route(&odd_marks),
            Decision::CopyTo => batch.copy_to(1, &odd),
            Decision::Fail => {
                let mut reasons = Reasons::default();
                (1..rows).step_by(2).for_each(|row| reasons.add(row, "odd", &format!("row {row}")));
                batch.fail(&reasons);
            }
            Decision::Redelivered => {
                let mut values = ColumnWriter::default();
                let text = batch.is_redelivered().to_string();
                (0..rows).for_each(|_| values.push(text.as_bytes()));
                batch.set(self.set, Form::Text, values);
            }
            Decision::ReadText | Decision::ReadJson => {
                let form = if matches!(self.decision, Decision::ReadText) { Form::Text } else { Form::Json };
                let column = batch.read(self.field, form);
                let mut values = ColumnWriter::default();
                for row in 0..rows {
                    let (kind, text) = (column.kind(row) as u8, String::from_utf8_lossy(column.row(row)));
                    match (self.decision, kind) {
                        (Decision::ReadJson, _) => values.push(format!("{kind} {text}").as_bytes()),
                        (_, 0) => values.push(b"none"),
                        _ => values.push(format!("text {text}").as_bytes()),
                    }
                }
                batch.set(self.set, Form::Text, values);
            }
            Decision::Claim => {
                let are_new = seen::claim(batch.read(self.field, Form::Text).into(), TTL);
                let known: Vec<u32> = (0..).zip(are_new).filter(|(_, new)| !new).map(|(row, _)| row).collect();
                batch.drop_rows(&known, "seen");
            }
            Decision::Kv => {
                let keys = batch.read(self.field, Form::Text);
                let bodies = batch.read(self.body, Form::Text);
                kv::set(keys.clone().into(), bodies.clone().into(), Some(TTL))?;
                kv::set(keys.clone().into(), bodies.into(), None)?;
                batch.set(self.set, Form::Text, kv::get(keys.into()).into());
            }
            Decision::Error => return Err("refused on purpose".into()),
            Decision::Panic => panic!("broken on purpose"),
            Decision::NoSuchPort => batch.route(&vec![9; rows]),
            Decision::NoSuchGroup => {
                let row = u32::try_from(rows).unwrap_or(u32::MAX);
                batch.combine(&[row], &[0, 1], ColumnWriter::of(b"x"));
            }
        }
        Ok(())
    }
}

impl Columns {
    /// The position of the first byte of each body that has one.
    fn firsts(&self, batch: &mut Batch<'_>) -> Vec<u32> {
        let body = batch.read(self.body, Form::Text);
        (0..body.len()).filter(|&row| !body.row(row).is_empty()).map(|row| body.start(row)).collect()
    }

    /// Joins each pair of neighbours.
    fn combine(&self, batch: &mut Batch<'_>) {
        let body = batch.read(self.body, Form::Text);
        let texts: Vec<&[u8]> = body.rows().collect();
        let (mut rows, mut offsets, mut bodies) = (Vec::new(), vec![0], ColumnWriter::default());
        for pair in texts.chunks(2) {
            for _ in pair {
                rows.push(u32::try_from(rows.len()).unwrap_or(u32::MAX));
            }
            offsets.push(u32::try_from(rows.len()).unwrap_or(u32::MAX));
            bodies.push(&pair.join(&b'+'));
        }
        batch.combine(&rows, &offsets, bodies);
    }

    /// Splits bodies at commas; only positions cross the sandbox boundary.
    fn split(&self, batch: &mut Batch<'_>) {
        let body = batch.read(self.body, Form::Text);
        let (mut parents, mut starts, mut all_ends) = (Vec::new(), Vec::new(), Vec::new());
        for (row, text) in (0_u32..).zip(body.rows()) {
            let mut at = body.start(row as usize);
            for part in text.split(|&byte| byte == b',') {
                let end = at + u32::try_from(part.len()).unwrap_or(0);
                parents.push(row);
                starts.push(at);
                all_ends.push(end);
                at = end + 1;
            }
        }
        let spans = ChildSpans { parents: &parents, starts: &starts, ends: &all_ends };
        batch.split(self.body, Form::Text, spans, b"[", b"]");
    }
}

fn ends(starts: &[u32]) -> Vec<u32> {
    starts.iter().map(|start| start + 1).collect()
}
