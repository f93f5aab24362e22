//! A guest that misbehaves on command: for every row whose body holds `poison`, in the way that its option names.
//!
//! Rows without poison pass unchanged, so a test can see that they all arrive.

use wattle_node::{Batch, ColumnWriter, Field, Form, Node, Reasons, Setup, export_node};

/// In which way the guest misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Panics while it is configured.
    PanicOnConfigure,
    /// Panics on a poisonous row.
    Panic,
    /// Never comes back.
    Spin,
    /// Takes memory without end.
    GrowMemory,
    /// Calls itself without end.
    Recurse,
    /// Answers with far more than it was given.
    Flood,
    /// Calls the host without end.
    CallHost,
    /// Replaces a span that lies outside of the column.
    BadSpan,
    /// Gives offsets that decrease.
    BadOffsets,
    /// Routes to a port that does not exist.
    BadPort,
    /// Claims that something is JSON which is not.
    BadJson,
    /// Fails a row that does not exist.
    BadRow,
    /// Uses a field that it never resolved for writing.
    BadField,
    /// Answers with an error.
    Error,
}

/// Options of the guest.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    fault: Fault,
}

/// The guest.
pub struct Faulty {
    fault: Fault,
    body: Field,
    tag: Field,
}

impl Node for Faulty {
    const NAME: &'static str = "faulty";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Misbehaves on rows that hold `poison`.";
    const OPTIONS_SCHEMA: &'static str = r#"{"type":"object"}"#;
    type Options = Options;

    #[expect(clippy::panic, reason = "what this guest is for")]
    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        if options.fault == Fault::PanicOnConfigure {
            panic!("configured to panic");
        }
        Some(Self { fault: options.fault, body: setup.read("", "body")?, tag: setup.write("", "attributes.tag")? })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let column = batch.read(self.body, Form::Text);
        for (row, text) in column.rows().enumerate() {
            if json_contains(text, b"poison") {
                misbehave(self.fault, batch, self.body, self.tag, row)?;
            }
        }
        Ok(())
    }
}

fn json_contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|w| w == part)
}

#[expect(clippy::panic, reason = "what this guest is for")]
fn misbehave(fault: Fault, batch: &mut Batch<'_>, body: Field, tag: Field, row: usize) -> Result<(), String> {
    let rows = batch.len();
    match fault {
        Fault::PanicOnConfigure => {}
        Fault::Panic => panic!("poison in row {row}"),
        Fault::Spin => {
            let mut count = 0_u64;
            while std::hint::black_box(count) < u64::MAX {
                count += 1;
            }
        }
        Fault::GrowMemory => {
            let mut all = Vec::new();
            loop {
                all.push(std::hint::black_box(vec![1_u8; 1 << 20]));
            }
        }
        Fault::Recurse => {
            recurse(row);
        }
        Fault::Flood => {
            let mut values = ColumnWriter::default();
            let big = vec![b'x'; 1 << 20];
            for _ in 0..rows {
                values.push(&big);
            }
            for _ in 0..64 {
                batch.set(tag, Form::Text, values.clone());
            }
        }
        Fault::CallHost => loop {
            std::hint::black_box(batch.len());
        },
        Fault::BadSpan => batch.set_json_from(tag, body, &vec![1; rows + 1]),
        Fault::BadOffsets => batch.split_into(&[1, 0], {
            let mut bodies = ColumnWriter::of(b"a");
            bodies.push(b"b");
            bodies
        }),
        Fault::BadPort => batch.route(&vec![9; rows]),
        Fault::BadJson => {
            let mut values = ColumnWriter::default();
            (0..rows).for_each(|_| values.push(b"{\"never\":"));
            batch.set(tag, Form::Json, values);
        }
        Fault::BadRow => {
            let mut reasons = Reasons::default();
            reasons.add(rows + 7, "ghost", "a row that does not exist");
            batch.fail(&reasons);
        }
        Fault::BadField => batch.replace(tag, Form::Text, &[0], &[1], ColumnWriter::of(b"x")),
        Fault::Error => return Err(format!("row {row} holds poison")),
    }
    Ok(())
}

#[expect(unconditional_recursion, reason = "what this guest is for")]
fn recurse(depth: usize) -> usize {
    let frame = std::hint::black_box([depth; 64]);
    recurse(depth + 1) + frame.iter().sum::<usize>()
}

export_node!(Faulty);
