//! A guest that misbehaves on command: for every row whose body contains `poison`, in the way that
//! its option names.
//!
//! Rows without poison pass unchanged, so a test can see that they all arrive.

use wattle_node::{Batch, ChildSpans, ColumnWriter, Field, Form, Node, Reasons, Setup, export_node};

/// How the guest misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Panics while it is configured.
    PanicOnConfigure,
    /// Never returns from `configure`.
    SpinOnConfigure,
    /// Resolves fields in an endless loop in `configure`.
    LeakHandles,
    /// Panics on a poisonous row.
    Panic,
    /// Panics on any row.
    PanicOnEveryRow,
    /// Never returns.
    Spin,
    /// Allocates memory without end.
    GrowMemory,
    /// Calls itself without end.
    Recurse,
    /// Returns far more than it received.
    Flood,
    /// The same in a single value.
    FloodAtOnce,
    /// Splits a row into its whole text a hundred thousand times.
    FloodSplit,
    /// Replaces a huge number of spans by one large text.
    FloodReplace,
    /// Copies its rows again and again.
    FloodCopies,
    /// Reports messages without end.
    FloodLog,
    /// Calls the host in an endless loop.
    CallHost,
    /// Replaces a span outside of the column.
    BadSpan,
    /// Passes decreasing offsets.
    BadOffsets,
    /// Routes to a port that does not exist.
    BadPort,
    /// Passes invalid JSON as JSON.
    BadJson,
    /// Fails a row that does not exist.
    BadRow,
    /// Uses a field that it never resolved for writing.
    BadField,
    /// Passes a text that is not UTF-8.
    BadText,
    /// Overwrites all of its memory.
    CorruptMemory,
    /// Returns an error.
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
        if options.fault == Fault::SpinOnConfigure {
            spin();
        }
        if options.fault == Fault::LeakHandles {
            let mut count = 0_u64;
            loop {
                setup.read("", &format!("body.f{count}"));
                count += 1;
            }
        }
        Some(Self {
            fault: options.fault,
            body: setup.read_write("", "body")?,
            tag: setup.write("", "attributes.tag")?,
        })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let column = batch.read(self.body, Form::Text);
        for (row, text) in column.rows().enumerate() {
            if self.fault == Fault::PanicOnEveryRow || json_contains(text, b"poison") {
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
        Fault::PanicOnConfigure | Fault::SpinOnConfigure | Fault::LeakHandles => {}
        Fault::Panic | Fault::PanicOnEveryRow => panic!("poison in row {row}"),
        Fault::Spin => spin(),
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
        Fault::FloodAtOnce => batch.set(tag, Form::Text, {
            let mut values = ColumnWriter::of(&vec![b'x'; 8 << 20]);
            (1..rows).for_each(|_| values.push(b""));
            values
        }),
        Fault::FloodSplit => {
            let text = batch.read(body, Form::Text);
            let (start, end) = (text.start(row), text.start(row) + u32::try_from(text.row(row).len()).unwrap_or(0));
            let children = 100_000;
            let (parents, starts, ends) =
                (vec![u32::try_from(row).unwrap_or(0); children], vec![start; children], vec![end; children]);
            batch.split(body, Form::Text, ChildSpans { parents: &parents, starts: &starts, ends: &ends }, b"", b"");
        }
        Fault::FloodReplace => {
            let at = vec![batch.read(body, Form::Text).start(row); 1000];
            batch.replace(body, Form::Text, &at, &at, ColumnWriter::of(&[b'x'; 100_000]));
        }
        Fault::FloodCopies => {
            let all: Vec<u32> = vec![u32::try_from(row).unwrap_or(0); 10_000];
            (0..100).for_each(|_| batch.copy_to(0, &all));
        }
        Fault::FloodLog => loop {
            report("again and again");
        },
        Fault::CallHost => loop {
            std::hint::black_box(batch.len());
        },
        Fault::BadSpan => batch.replace(body, Form::Text, &[u32::MAX - 9], &[u32::MAX], ColumnWriter::of(b"x")),
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
        Fault::BadText => batch.drop_rows(&[u32::try_from(row).unwrap_or(0)], &not_utf8()),
        Fault::CorruptMemory => {
            corrupt_memory();
            panic!("still alive");
        }
        Fault::Error => return Err(format!("row {row} holds poison")),
    }
    Ok(())
}

#[cfg(target_family = "wasm")]
fn report(message: &str) {
    wattle_node::bindings::wattle::node::diagnostics::panicked(message);
}

/// Native code has no host to report to.
#[cfg(not(target_family = "wasm"))]
fn report(message: &str) {
    drop(std::hint::black_box(message.to_owned()));
}

fn spin() {
    let mut count = 0_u64;
    while std::hint::black_box(count) < u64::MAX {
        count += 1;
    }
}

/// A string that is not UTF-8, as a guest in C could return it.
#[expect(unsafe_code, reason = "what this guest is for")]
fn not_utf8() -> String {
    // SAFETY: this is unsound on purpose; the host must not trust that strings are UTF-8.
    unsafe { String::from_utf8_unchecked(vec![0xff, 0xfe, b'x']) }
}

/// Fills the memory with garbage from end to end, including stack and allocator.
#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "what this guest is for")]
fn corrupt_memory() {
    let bytes = core::arch::wasm32::memory_size(0) << 16;
    // SAFETY: this is unsound on purpose; the damage stays inside the sandbox, which is what the
    // test checks.
    unsafe { core::ptr::write_bytes(std::hint::black_box(16) as *mut u8, 0xa5, bytes - 16) };
}

/// Native code has no separate memory to corrupt.
#[cfg(not(target_family = "wasm"))]
fn corrupt_memory() {}

#[expect(unconditional_recursion, reason = "what this guest is for")]
fn recurse(depth: usize) -> usize {
    let frame = std::hint::black_box([depth; 64]);
    recurse(depth + 1) + frame.iter().sum::<usize>()
}

export_node!(Faulty);
