//! Checks the options.

use regex::RegexBuilder;
use wattle_convert::duration;
use wattle_node::{Setup, bad_pattern};

use crate::mask::Masks;
use crate::options::{CustomMask as MaskOption, Options};
use crate::seeds::Seeds;
use crate::store::Limits;
use crate::tree::Shape;
use crate::words::{CustomMask, Splitter};

/// Maximum size of a compiled mask in bytes.
const MAX_REGEX_BYTES: usize = 1 << 20;
/// Least value of `max_bytes`.
const MIN_BYTES: u32 = 16;
const SECOND: i64 = 1_000_000_000;

/// What the options say, checked.
pub(crate) struct Checked {
    pub(crate) splitter: Splitter,
    pub(crate) seeds: Seeds,
    pub(crate) limits: Limits,
    /// Length of an interval in nanoseconds; `None` for no reports.
    pub(crate) interval: Option<i64>,
}

/// Checks the options but for fields. Errors go to `setup`.
pub(crate) fn check(options: &Options, setup: &mut Setup<'_>) -> Checked {
    let depth = within("depth", options.depth, 3..=16, setup);
    let limits = Limits {
        shape: Shape {
            levels: depth.saturating_sub(3),
            max_children: within("max_children", options.max_children, 2..=1_000_000, setup),
        },
        similarity: options.similarity,
        max_patterns: within("max_patterns", options.max_patterns, 1..=1_000_000, setup),
        max_groups: within("max_groups", options.max_groups, 1..=1_000_000, setup),
    };
    if !(0.0..=1.0).contains(&options.similarity) {
        setup.error("similarity", format!("is {}; write a share from 0 to 1, such as `0.5`", options.similarity));
    }
    let max_bytes = within("max_bytes", options.max_bytes, MIN_BYTES..=65_536, setup);
    let allowed = |char: char| char.is_ascii_punctuation() && !matches!(char, '<' | '>' | '*');
    if !options.delimiters.chars().all(|char| allowed(char) || char.is_ascii_whitespace()) {
        let message = "can have ASCII punctuation except `<`, `>` and `*`, which templates need, such as `=,`";
        setup.error("delimiters", message);
    }
    let custom = custom_masks(&options.custom_masks, setup);
    let splitter =
        Splitter::new(Masks::new(&options.masks), custom, &options.delimiters, max_bytes.max(MIN_BYTES as usize));
    let seeds = Seeds::new(&options.templates, &splitter, |path, message| setup.error(path, message));
    if !options.learn && seeds.is_empty() {
        setup.error("learn", "without `templates`, `false` leaves nothing to do; add `templates` or remove `learn`");
    }
    let interval = interval(&options.interval, setup);
    Checked { splitter, seeds, limits, interval }
}

fn within(name: &str, value: u32, range: std::ops::RangeInclusive<u32>, setup: &mut Setup<'_>) -> usize {
    if !range.contains(&value) {
        setup.error(name, format!("is {value}; write a number from {} to {}", range.start(), range.end()));
    }
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn interval(text: &str, setup: &mut Setup<'_>) -> Option<i64> {
    match duration::parse(text.as_bytes(), None) {
        Some(0) => None,
        Some(length) if length >= SECOND => Some(length),
        _ => {
            let message = format!(
                "`{text}` is not a duration of at least 1 s and at most 292 years, such as `1m`; `0s` makes no reports"
            );
            setup.error("interval", message);
            None
        }
    }
}

fn custom_masks(masks: &[MaskOption], setup: &mut Setup<'_>) -> Vec<CustomMask> {
    let mut made = Vec::new();
    for (number, mask) in masks.iter().enumerate() {
        let at = format!("custom_masks[{number}]");
        if mask.name.is_empty() || !mask.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') {
            setup.error(format!("{at}.name"), format!("`{}` is not of lower-case letters and `-`", mask.name));
        }
        match RegexBuilder::new(&mask.regex).size_limit(MAX_REGEX_BYTES).build() {
            Ok(regex) if regex.is_match("") => {
                setup.error(
                    format!("{at}.regex"),
                    "fits an empty text, so it would fit everywhere; require a character",
                );
            }
            Ok(regex) => made.push(CustomMask { regex, placeholder: format!("<{}>", mask.name) }),
            Err(error) => setup.error(format!("{at}.regex"), bad_pattern(&error)),
        }
    }
    made
}
