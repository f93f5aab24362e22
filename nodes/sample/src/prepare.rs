//! Checks the options.

use wattle_condition::{Compiler, Key, ReadFields, Share};
use wattle_node::Setup;

use crate::floor::Floor;
use crate::options::{Class, Options};
use crate::{Rate, Step};

/// Length of a period without a configured one, in nanoseconds.
const MINUTE: i64 = 60_000_000_000;

/// Longest name of a class: `sampled-NAME` has at most 64 bytes.
const LONGEST_NAME: usize = 56;

/// The rates of the classes and of the node, each with its condition. Errors go to `setup`.
pub(crate) fn steps(
    options: &Options,
    compiler: &mut Compiler<ReadFields>,
    setup: &mut Setup<'_>,
) -> Vec<Option<Step>> {
    let seed = options.seed;
    let fields = options.key.as_ref();
    let key = fields.map(|key| Key::new("key", key, seed, compiler.resolver(), setup));
    let mut steps = Vec::new();
    for (i, class) in options.classes.iter().enumerate() {
        let at = format!("classes[{i}]");
        if options.classes.iter().take(i).any(|other| other.name == class.name) {
            setup.error(format!("{at}.name"), format!("another class is named `{}`; names must differ", class.name));
        }
        steps.push(step(&at, class, seed, key.clone(), compiler, setup));
    }
    // An event in no class stays if the node has no rate.
    if options.classes.is_empty() || options.rate.is_some() || options.ratio.is_some() {
        let share = Share::new("", options.rate, options.ratio.as_ref(), setup);
        steps.push(rate(share, key, None).map(|rate| Step { check: None, rate, reason: "sampled".to_owned() }));
    }
    steps
}

/// Compiles the class at `at`; `key` is that of the node.
fn step(
    at: &str,
    class: &Class,
    seed: u64,
    key: Option<Option<Key>>,
    compiler: &mut Compiler<ReadFields>,
    setup: &mut Setup<'_>,
) -> Option<Step> {
    let name = &class.name;
    let fits = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if name.len() > LONGEST_NAME || !name.split('-').all(fits) {
        let message =
            format!("`{name}` is not kebab-case of at most {LONGEST_NAME} bytes; write a name such as `health`");
        setup.error(format!("{at}.name"), message);
    }
    let check = compiler.condition(&format!("{at}.when"), &class.when, setup);
    let share = Share::new(at, class.rate, class.ratio.as_ref(), setup);
    let key = match &class.key {
        Some(fields) => Some(Key::new(&format!("{at}.key"), fields, seed, compiler.resolver(), setup)),
        None => key,
    };
    let floor = floor(at, class, setup);
    Some(Step { check: Some(check?), rate: rate(share, key, floor)?, reason: format!("sampled-{name}") })
}

/// The rate, if its share and its key have no errors.
fn rate(share: Option<Share>, key: Option<Option<Key>>, floor: Option<Floor>) -> Option<Rate> {
    let key = match key {
        Some(key) => Some(key?),
        None => None,
    };
    Some(Rate::new(share?, key, floor))
}

fn floor(at: &str, class: &Class, setup: &mut Setup<'_>) -> Option<Floor> {
    let period = class.period.as_ref().map_or(Some(MINUTE), |text| {
        let period = wattle_convert::duration::parse(text.as_bytes(), None).filter(|period| *period > 0);
        if period.is_none() {
            let message = format!("`{text}` is not a duration of more than 0, such as `30s`, `5m` or `1h`");
            setup.error(format!("{at}.period"), message);
        }
        period
    });
    match class.floor {
        Some(0) => setup.error(format!("{at}.floor"), "must be at least 1; remove it to keep no event for its period"),
        None if class.period.is_some() => {
            setup.error(format!("{at}.period"), "has no effect without `floor`; add `floor` or remove `period`");
        }
        _ => {}
    }
    Some(Floor::new(class.floor?, period?))
}
