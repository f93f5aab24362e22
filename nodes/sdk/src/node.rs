//! The trait of nodes, and their set-up from options.

use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::batch::{Batch, Field};
use crate::tick::Tick;

/// A node that works on columns.
pub trait Node: Sized {
    /// Name of the node type in kebab-case.
    const NAME: &'static str;
    /// Semantic version; usually `env!("CARGO_PKG_VERSION")`.
    const VERSION: &'static str;
    /// One sentence that describes the node.
    const SUMMARY: &'static str;
    /// JSON schema of the options.
    const OPTIONS_SCHEMA: &'static str;
    /// Whether the node hides data. If such a node cannot process a row, the host never lets the
    /// row leave unmasked.
    const MASKS: bool = false;
    /// The options, usually with `#[serde(deny_unknown_fields)]`.
    type Options: DeserializeOwned;

    /// Prepares the node. Returns `None` after reporting all errors in the options to `setup`.
    fn configure(options: Self::Options, setup: &mut Setup<'_>) -> Option<Self>;

    /// Processes one batch. An error fails all its rows with the code `node-error`.
    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String>;
}

/// State of a node at one moment. Only the node understands its format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Version of the format of `bytes`.
    pub version: u32,
    /// The state.
    pub bytes: Vec<u8>,
}

/// A node whose state survives its instance. The host passes the state to the next version of the
/// node, to the next start of the agent, and to the new instance after a fault. Exported by
/// [`export_stateful_node!`](crate::export_stateful_node).
pub trait Stateful: Node {
    /// Version of the format that [`save`](Stateful::save) writes; raise it when the format
    /// changes.
    const STATE_VERSION: u32;

    /// Writes the state.
    fn save(&self) -> Vec<u8>;

    /// Restores state before the first batch. Usually there is one snapshot; there are several if
    /// fewer workers run than when they were saved, or if a canary ended. An error says why a
    /// snapshot cannot be read; `on_state_mismatch` then decides whether the node starts without
    /// state.
    fn restore(&mut self, snapshots: Vec<Snapshot>) -> Result<(), String>;
}

/// A node that acts between batches, such as at the end of a window. Exported by
/// [`export_timed_node!`](crate::export_timed_node), together with its state.
pub trait Timed: Node {
    /// Acts on the time: before the first batch, and then at the interval given to
    /// [`Setup::tick_every`]. An error is a fault; the next instance starts with the last snapshot.
    ///
    /// # Errors
    ///
    /// What went wrong.
    fn tick(&mut self, tick: &mut Tick<'_>) -> Result<(), String>;
}

/// A node of which one instance can do the work of several in a row. Exported by
/// [`export_node!(N, fusion)`](crate::export_node). `wit/fusion.wit` has the rules.
pub trait Fusible: Node {
    /// Prepares a node that does what nodes with these options do one after the other; `None` if one node cannot. The
    /// options are valid. Names of counts are those of [`fused_name`].
    fn fuse(options: Vec<Self::Options>, setup: &mut Setup<'_>) -> Option<Self>;
}

/// The name of a count that belongs to one of several fused nodes; `None` if it is too long for the host.
#[must_use]
pub fn fused_name(node: usize, name: &str) -> Option<String> {
    const MAX_BYTES: usize = 64;
    Some(format!("{node}/{name}")).filter(|name| name.len() <= MAX_BYTES)
}

/// How the workers share the state of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Each worker has an instance of its own, which sees the batches of that worker.
    #[default]
    Worker,
    /// All workers share one instance. It sees all batches; those of one source in order.
    Single,
    /// A fixed number of instances, each for some of the keys: the texts of these fields.
    Key(Vec<String>),
}

/// What a node asked for while it was configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requested {
    /// Names of the output ports.
    pub ports: Vec<String>,
    /// Time between two ticks.
    pub tick: Option<Duration>,
    /// How the workers share its state.
    pub sharing: Sharing,
}

/// An error in the options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// The option: a path such as `rules[0].pattern`; empty for the options as a whole.
    pub path: String,
    /// The problem and how to fix it.
    pub message: String,
}

/// The host's side of the set-up: resolves field paths to handles.
pub trait Resolve {
    /// Resolves a path for reading, writing or both.
    fn resolve(&mut self, path: &str, read: bool, write: bool) -> Result<u32, String>;
}

/// Collects handles, ports and errors while a node is configured.
pub struct Setup<'a> {
    resolve: &'a mut dyn Resolve,
    errors: Vec<OptionError>,
    requested: Requested,
}

impl<'a> Setup<'a> {
    /// Creates a set-up on the host's side.
    pub fn new(resolve: &'a mut dyn Resolve) -> Self {
        let requested = Requested { ports: vec!["out".into()], ..Requested::default() };
        Self { resolve, errors: Vec::new(), requested }
    }

    /// Resolves a field to read. `option` names the option that contains the path, for the error.
    pub fn read(&mut self, option: &str, path: &str) -> Option<Field> {
        self.resolve(option, path, true, false)
    }

    /// Resolves a field to set.
    pub fn write(&mut self, option: &str, path: &str) -> Option<Field> {
        self.resolve(option, path, false, true)
    }

    /// Resolves a field to read and to change.
    pub fn read_write(&mut self, option: &str, path: &str) -> Option<Field> {
        self.resolve(option, path, true, true)
    }

    /// Resolves a field to set to a value of any kind, such as a number: a path that [`takes_any_value`].
    pub fn write_value(&mut self, option: &str, path: &str) -> Option<Field> {
        let field = self.write(option, path)?;
        self.check_value(option, path).then_some(field)
    }

    /// As [`write_value`](Self::write_value), for a field that the node also reads.
    pub fn read_write_value(&mut self, option: &str, path: &str) -> Option<Field> {
        let field = self.read_write(option, path)?;
        self.check_value(option, path).then_some(field)
    }

    fn check_value(&mut self, option: &str, path: &str) -> bool {
        let fits = takes_any_value(path);
        if !fits {
            self.error(
                option,
                format!(
                    "`{path}` cannot hold the value; use a path below `attributes`, `resource`, `scope.attributes` or a \
                     JSON `body`, such as `attributes.x`"
                ),
            );
        }
        fits
    }

    fn resolve(&mut self, option: &str, path: &str, read: bool, write: bool) -> Option<Field> {
        match self.resolve.resolve(path, read, write) {
            Ok(handle) => Some(Field(handle)),
            Err(message) => {
                self.error(option, message);
                None
            }
        }
    }

    /// Reports an error in an option.
    pub fn error(&mut self, option: impl Into<String>, message: impl Into<String>) {
        self.errors.push(OptionError { path: option.into(), message: message.into() });
    }

    /// Names the output ports. The default is one port, `out`.
    pub fn ports(&mut self, ports: Vec<String>) {
        self.requested.ports = ports;
    }

    /// Asks for [`Timed::tick`] at this interval, at least 10 ms.
    pub fn tick_every(&mut self, interval: Duration) {
        self.requested.tick = Some(interval);
    }

    /// Says how the workers share the state of the node. The default is [`Sharing::Worker`].
    pub fn share(&mut self, sharing: Sharing) {
        self.requested.sharing = sharing;
    }
}

/// Whether a field can have a value of any kind: a path below `attributes`, `resource` or `scope.attributes`, or in a body
/// that is JSON. The roots as a whole, and the fields of OpenTelemetry such as `severity`, have a type of their own.
#[must_use]
pub fn takes_any_value(path: &str) -> bool {
    ["attributes", "resource", "scope.attributes", "body"]
        .iter()
        .any(|root| path.strip_prefix(root).is_some_and(|rest| rest.starts_with(['.', '['])))
}

/// Makes the message of an error of serde_json readable for the author of a configuration: without the position in the JSON
/// text, since they wrote TOML, and with ranges instead of the names of types of Rust.
#[must_use]
pub fn option_message(error: &str) -> String {
    const RANGES: [(&str, &str); 9] = [
        ("u8", "0 to 255"),
        ("u16", "0 to 65535"),
        ("u32", "0 to 4294967295"),
        ("u64", "0 to 18446744073709551615"),
        // In a node, which is 32-bit WebAssembly.
        ("usize", "0 to 4294967295"),
        ("i8", "-128 to 127"),
        ("i16", "-32768 to 32767"),
        ("i32", "-2147483648 to 2147483647"),
        ("i64", "-9223372036854775808 to 9223372036854775807"),
    ];
    let message = error.split(" at line ").next().unwrap_or_default();
    let Some((found, wanted)) = message.rsplit_once(", expected ") else { return message.to_owned() };
    match RANGES.iter().find(|(name, _)| *name == wanted) {
        Some((_, range)) => format!("{found}, expected a whole number from {range}"),
        None => message.to_owned(),
    }
}

/// Reads the options and configures a node. Returns the node and what it asked for, or all errors.
///
/// # Errors
///
/// All errors in the options.
pub fn configure<N: Node>(options: &str, resolve: &mut dyn Resolve) -> Result<(N, Requested), Vec<OptionError>> {
    let mut json = serde_json::Deserializer::from_str(options);
    let options: N::Options = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { path };
        vec![OptionError { path, message: option_message(&error.inner().to_string()) }]
    })?;
    let mut setup = Setup::new(resolve);
    match N::configure(options, &mut setup) {
        Some(node) if setup.errors.is_empty() => Ok((node, setup.requested)),
        _ if setup.errors.is_empty() => {
            Err(vec![OptionError { path: String::new(), message: "the node refused its options".into() }])
        }
        _ => Err(setup.errors),
    }
}

/// Prepares a node for the work of several. `None` if one node cannot do it, or needs what several do not have: other
/// ports, or a timer.
pub(crate) fn fuse<'o, N: Fusible>(options: impl Iterator<Item = &'o str>, resolve: &mut dyn Resolve) -> Option<N> {
    let options: Result<Vec<N::Options>, _> = options.map(serde_json::from_str).collect();
    let mut setup = Setup::new(resolve);
    let requested = setup.requested.clone();
    let node = N::fuse(options.ok()?, &mut setup)?;
    (setup.errors.is_empty() && setup.requested == requested).then_some(node)
}
