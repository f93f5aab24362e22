//! Checks the options.

use regex::bytes::Regex;
use wattle_condition::{Compiler, ReadFields, ResolveField as _};
use wattle_keyed::{KeyHash, Keys, nanoseconds, size, tick_interval};
use wattle_node::{Field, Setup, Sharing};
use wattle_snapshot::hash;

use crate::cri::Line;
use crate::form::Form;
use crate::lines::{Lines, regex};
use crate::machine::Machine;
use crate::made::{Maker, Target};
use crate::options::{As, AtLimit, Options, Preset};
use crate::presets;
use crate::step::{START, State, Step};

/// How the node decides about rows.
#[derive(Debug)]
pub(crate) enum Engine {
    Lines(Box<Lines>),
    Machine(Machine),
    /// The tag of the line decides.
    Cri,
}

impl Engine {
    /// Whether an open group can be in this state.
    pub(crate) fn has(&self, state: State) -> bool {
        state != START
            && match self {
                Self::Lines(_) => Lines::has(state),
                Self::Machine(machine) => machine.has(state),
                Self::Cri => true,
            }
    }

    /// Decides about a row that is no line of a container runtime.
    pub(crate) fn step(&self, row: usize, text: &[u8], state: State) -> Step {
        match self {
            Self::Lines(lines) => lines.step(row, text, state),
            Self::Machine(machine) => machine.step(text, state),
            Self::Cri => Step::Alone,
        }
    }
}

/// What a group may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) timeout: i64,
    pub(crate) max_events: u64,
    pub(crate) max_bytes: usize,
    pub(crate) at_limit: AtLimit,
    pub(crate) max_open: usize,
    pub(crate) max_memory: usize,
}

/// The fields that the node reads and sets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handles {
    pub(crate) body: Field,
    pub(crate) attributes: Field,
    pub(crate) resource: Field,
    pub(crate) timestamp: Field,
    /// The field of the joined text, if it is in the attributes.
    pub(crate) joined: Option<Field>,
    pub(crate) count: Option<Field>,
    /// The field for the resource.
    pub(crate) origin: Option<Field>,
}

/// Everything that follows from the options.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) engine: Engine,
    pub(crate) form: Form,
    pub(crate) id: Option<Regex>,
    /// The column of the text.
    pub(crate) text: usize,
    pub(crate) keys: Keys,
    pub(crate) fields: ReadFields,
    pub(crate) limits: Limits,
    pub(crate) handles: Handles,
    pub(crate) maker: Maker,
    /// A hash of the options that give open groups their meaning.
    pub(crate) fingerprint: u64,
}

impl Plan {
    /// The key of the joined events of a row with this text, and the row as a line of a container runtime if that is what
    /// the node joins. Returns `None` for a row that belongs to no joined event.
    pub(crate) fn key<'t>(&mut self, row: usize, text: &'t [u8]) -> Option<(KeyHash, Option<Line<'t>>)> {
        let mut key = self.keys.hash(row)?;
        if let Some(id) = &self.id {
            let found = id.captures(text)?;
            key = with(key, found.get(1).or_else(|| found.get(0))?.as_bytes());
        }
        if !matches!(self.engine, Engine::Cri) {
            return Some((key, None));
        }
        let line = Line::parse(text)?;
        Some((with(key, line.stream), Some(line)))
    }
}

/// The key of rows with this text.
fn with(key: KeyHash, text: &[u8]) -> KeyHash {
    // The halves differ by their seeds.
    let text = u128::from(hash(2, text)) << 64 | u128::from(hash(3, text));
    key.rotate_left(1) ^ text
}

/// Checks the options. Returns `None` after it reported all errors to `setup`.
pub(crate) fn plan(options: &Options, setup: &mut Setup<'_>) -> Option<Plan> {
    let mut compiler = Compiler::new(ReadFields::default());
    let text = compiler.resolver().resolve("field", &options.field, setup);
    let engine = engine(options, &mut compiler, setup);
    let id = match (&options.id, is_preset(options, Preset::Auditd)) {
        (Some(pattern), _) => regex("id", pattern, setup).map(Some),
        (None, true) => regex("preset", presets::AUDIT_ID, setup).map(Some),
        (None, false) => Some(None),
    };
    if options.key.as_slice().is_empty() {
        setup.error("key", "at least one field is needed; remove the option for `resource`");
    }
    let keys = Keys::new("key", options.key.as_slice(), setup);
    let limits = limits(options, setup);
    let count = options.count_field.as_deref();
    let maker = Maker::new(&options.field, &options.resource_field, count, setup);
    let form = match (is_preset(options, Preset::Cri), &options.separator) {
        (true, _) => Form::Cri,
        (false, separator) => Form::new(options.form, separator.as_deref().unwrap_or("\n")),
    };
    if options.separator.is_some() && (form.is_json() || matches!(form, Form::Cri)) {
        setup.error("separator", "has no effect on an array or on the preset `cri`; remove it");
    }
    let is_cri_array = matches!(form, Form::Cri) && options.form == As::Array;
    if is_cri_array {
        setup.error("as", "the preset `cri` makes lines of a container runtime; remove `as`");
    }
    let maker = maker?;
    let in_attributes = matches!(maker.target, Target::InAttributes(_));
    let handles = Handles {
        body: setup.read("field", "body")?,
        attributes: setup.read("field", "attributes")?,
        resource: setup.read("key", "resource")?,
        timestamp: setup.read("field", "timestamp")?,
        joined: if in_attributes { Some(setup.write("field", &options.field)?) } else { None },
        count: match count {
            Some(path) => Some(setup.write_value("count_field", path)?),
            None => None,
        },
        origin: match options.resource_field.as_str() {
            "" => None,
            path => Some(setup.read_write_value("resource_field", path)?),
        },
    };
    let limits = limits?;
    setup.tick_every(tick_interval(limits.timeout));
    // A worker of its own sees only a part of the batches of a source.
    setup.share(Sharing::Key(options.key.as_slice().to_vec()));
    Some(Plan {
        engine: engine?,
        form,
        id: id?,
        text: text?,
        keys: keys?,
        fields: compiler.into_resolver(),
        limits,
        handles,
        maker,
        fingerprint: fingerprint(options),
    })
}

fn is_preset(options: &Options, preset: Preset) -> bool {
    options.preset.as_ref().is_some_and(|presets| presets.as_slice().contains(&preset))
}

fn engine(options: &Options, compiler: &mut Compiler<ReadFields>, setup: &mut Setup<'_>) -> Option<Engine> {
    let has_patterns =
        [&options.start, &options.continues, &options.continue_after, &options.end].into_iter().any(Option::is_some);
    let presets = options.preset.as_ref().map(|presets| presets.as_slice());
    let ways = [presets.is_some(), has_patterns, !options.rules.is_empty()];
    if ways.into_iter().filter(|given| *given).count() > 1 {
        setup.error(
            "",
            "`preset`, `rules` and the patterns `start`, `continue`, `continue_after`, `end` exclude each other; keep one of \
             them, and use a second node `join` for the other",
        );
        return None;
    }
    match presets {
        Some([]) => {
            setup.error("preset", format!("at least one preset is needed: {}", Preset::list(&Preset::ALL)));
            None
        }
        Some(list)
            if (1..list.len()).any(|number| list.iter().take(number).any(|other| list.get(number) == Some(other))) =>
        {
            setup.error("preset", "a preset is listed twice; remove it");
            None
        }
        Some([Preset::Cri]) => Some(Engine::Cri),
        Some([Preset::Auditd]) => {
            let end = regex("preset", presets::AUDIT_END, setup)?;
            let marker = regex("preset", presets::AUDIT_MARKER, setup)?;
            Some(Engine::Lines(Box::new(Lines::of_end(end, marker))))
        }
        Some(list) if list.contains(&Preset::Cri) || list.contains(&Preset::Auditd) => {
            let single = if list.contains(&Preset::Cri) { Preset::Cri } else { Preset::Auditd };
            setup.error(
                "preset",
                format!(
                    "`{0}` joins lines in its own way and stands alone; write `preset = \"{0}\"`, and a second node `join` for \
                     the others. In a list can be {1}",
                    single.name(),
                    Preset::list(&Preset::STACK_TRACES)
                ),
            );
            None
        }
        Some(list) => Machine::new("preset", &presets::rules(list), setup).map(Engine::Machine),
        None if !options.rules.is_empty() => Machine::new("rules", &options.rules, setup).map(Engine::Machine),
        None if !has_patterns
            && options.id.is_none()
            && matches!(options.key.as_slice(), [key] if key == "resource") =>
        {
            setup.error(
                "",
                format!(
                    "needs `preset` ({}), `rules`, a pattern such as `start`, or `id` or `key` for what belongs together",
                    Preset::list(&Preset::ALL)
                ),
            );
            None
        }
        None => Lines::new(options, compiler, setup).map(|lines| Engine::Lines(Box::new(lines))),
    }
}

fn limits(options: &Options, setup: &mut Setup<'_>) -> Option<Limits> {
    let timeout = nanoseconds("timeout", &options.timeout, setup);
    let max_bytes = size("max_bytes", &options.max_bytes, setup);
    let max_memory = size("max_memory", &options.max_memory, setup);
    if options.max_events < 2 {
        setup.error("max_events", "must be at least 2; a joined event has several");
    }
    Some(Limits {
        timeout: timeout?,
        max_events: options.max_events as u64,
        max_bytes: max_bytes?,
        at_limit: options.at_limit,
        max_open: options.max_open,
        max_memory: max_memory?,
    })
}

/// The options by which a saved group can continue: with others, its state and its text mean something else.
fn fingerprint(options: &Options) -> u64 {
    let Options { preset, start, continues, continue_after, end, rules, id, key, field, form, separator, .. } = options;
    let engine = format!("{preset:?} {start:?} {continues:?} {continue_after:?} {end:?} {rules:?}");
    let text = format!("{engine} {id:?} {:?} {field} {form:?} {separator:?}", key.as_slice());
    wattle_snapshot::hash(0, text.as_bytes())
}
