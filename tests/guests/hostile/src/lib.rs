//! A guest with texts that are hostile to a terminal: its name, its summary, and, depending on an
//! option, codes and messages of failures, codes of drops, names of ports, errors of options, a
//! panic.

use wattle_node::{Batch, Node, Reasons, Setup, export_node};

/// Control characters (C0, DEL, C1), a change of the writing direction, invisible characters, and a
/// line that looks like one of the agent's.
const TEXT: &str = "x\u{1b}]0;pwned\u{7}\u{1b}[2J\u{7f}\u{9b}31m\u{202e}gnp\u{200b}\u{feff}\r\nerror: forged";

/// What is hostile in addition to the name and the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Code and message of a failure.
    Fail,
    /// Code of a drop.
    Drop,
    /// A name of a port.
    Ports,
    /// An error of the options.
    Option,
    /// A panic while it is configured.
    PanicOnConfigure,
    /// A panic in `process`.
    Panic,
    /// The error that it returns.
    Error,
}

/// Options of the guest.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    what: What,
}

/// The guest.
pub struct Hostile {
    what: What,
}

impl Node for Hostile {
    const NAME: &'static str = TEXT;
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = TEXT;
    const OPTIONS_SCHEMA: &'static str = r#"{"type":"object"}"#;
    type Options = Options;

    #[expect(clippy::panic, reason = "what this guest is for")]
    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        match options.what {
            What::Option => {
                setup.error(TEXT, TEXT);
                return None;
            }
            What::PanicOnConfigure => panic!("{TEXT}"),
            What::Ports => setup.ports(vec![TEXT.to_owned(), "ok".to_owned()]),
            _ => {}
        }
        Some(Self { what: options.what })
    }

    #[expect(clippy::panic, reason = "what this guest is for")]
    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        match self.what {
            What::Fail => {
                let mut reasons = Reasons::default();
                (0..batch.len()).for_each(|row| reasons.add(row, TEXT, TEXT));
                batch.fail(&reasons);
            }
            What::Drop => {
                let rows: Vec<u32> = (0..batch.len()).filter_map(|row| u32::try_from(row).ok()).collect();
                batch.drop_rows(&rows, TEXT);
            }
            What::Panic => panic!("{TEXT}"),
            What::Error => return Err(TEXT.to_owned()),
            What::Ports | What::Option | What::PanicOnConfigure => {}
        }
        Ok(())
    }
}

export_node!(Hostile);
