//! Validates the options and prepares the rules.

use regex::bytes::RegexBuilder;
use wattle_node::json::{Path, Segment};
use wattle_node::{Setup, bad_pattern};

use crate::json_key::{KeyRule, KeySearch, Spelling};
use crate::masker::{Masker, Rule};
use crate::options::{self, Group, Keys, Options};
use crate::pattern::PatternRule;
use crate::preset::{PRESETS, PresetRule};
use crate::replacement::{DEFAULT, Replacement, is_plain, is_plain_char};

/// Checks the rules of the options. Returns `None` after reporting errors to `setup`.
pub(crate) fn masker(options: &Options, setup: &mut Setup<'_>) -> Option<Masker> {
    if options.rules.is_empty() {
        setup.error("rules", "there is no rule, so nothing would be masked; add one");
    }
    let default = match &options.replacement {
        None => Some(Replacement::Fixed(DEFAULT.into())),
        Some(written) => replacement("replacement", written, setup),
    };
    let skip = options.skip_values.iter().filter(|v| !v.is_empty()).map(|v| v.as_bytes().into()).collect();
    // Keep no part of a field that cannot be read.
    let whole = match &default {
        Some(default @ (Replacement::Fixed(_) | Replacement::SameShape | Replacement::Hash(_))) => default.clone(),
        _ => Replacement::Fixed(DEFAULT.into()),
    };
    let (mut keys, mut searches, mut replacements) = (Vec::new(), Vec::new(), Vec::new());
    let mut complete = true;
    let mut any_off = false;
    for (index, written) in options.rules.iter().enumerate() {
        let path = format!("rules[{index}]");
        let own = match &written.replacement {
            None => default.clone(),
            Some(own) => replacement(&format!("{path}.replacement"), own, setup),
        };
        let is_complete = rule(index, &path, written, &mut keys, &mut searches, setup).is_some();
        any_off |= !is_on(written);
        if let Some(Replacement::Fixed(text)) = own.as_ref().filter(|_| written.json_key.is_none())
            && !is_plain(text)
        {
            let place = match &written.replacement {
                Some(_) => format!("{path}.replacement.fixed"),
                None => "replacement.fixed".to_owned(),
            };
            setup.error(
                place,
                "quotes, backslashes and control characters are possible for `json_key` only: a pattern or preset \
                 does not know how to escape them where it finds something; leave them out",
            );
        }
        match own {
            Some(own) if is_complete => replacements.push(own),
            _ => complete = false,
        }
    }
    (complete && (any_off || !replacements.is_empty())).then(|| {
        replacements.push(whole);
        Masker::new(KeySearch::new(keys), searches, replacements, skip, options.on_undecidable)
    })
}

/// Refuses a field inside another one: masking one would move the places found in the other.
pub(crate) fn check_fields(fields: &[String], setup: &mut Setup<'_>) {
    if fields.is_empty() {
        setup.error("fields", "there is no field, so nothing would be masked; add one, such as `body`");
    }
    // Invalid paths are reported where they are resolved.
    let paths: Vec<Option<Path>> = fields.iter().map(|f| Path::parse(f).ok()).collect();
    let segments = |index: usize| paths.get(index).and_then(Option::as_ref).map_or(&[] as &[Segment], Path::segments);
    for (index, field) in fields.iter().enumerate() {
        if field == "timestamp" {
            setup.error(format!("fields[{index}]"), "a timestamp cannot be masked; remove it");
        }
        let within = (0..fields.len()).find(|&other| {
            let (inner, outer) = (segments(index), segments(other));
            index != other
                && !outer.is_empty()
                && inner.starts_with(outer)
                && (inner.len() > outer.len() || other < index)
        });
        if let Some(other) = within.and_then(|other| fields.get(other)) {
            setup.error(format!("fields[{index}]"), format!("`{field}` lies within `{other}`; remove one of them"));
        }
    }
}

/// Whether a rule is used. A disabled rule is checked as well.
fn is_on(written: &options::Rule) -> bool {
    written.enabled != Some(false) && !matches!(&written.json_key, Some(Keys::Many(keys)) if keys.is_empty())
}

fn rule(
    index: usize,
    path: &str,
    written: &options::Rule,
    keys: &mut Vec<KeyRule>,
    searches: &mut Vec<Rule>,
    setup: &mut Setup<'_>,
) -> Option<()> {
    let mut error = |option: &str, message: String| -> Option<()> {
        setup.error(format!("{path}{option}"), message);
        None
    };
    if written.json_key.is_none() && written.ignore_case.is_some() {
        error(".ignore_case", "`ignore_case` belongs to `json_key`; in a pattern write `(?i)`".into());
    }
    if written.json_key.is_none() && written.any_spelling.is_some() {
        error(".any_spelling", "`any_spelling` belongs to `json_key`; remove it".into());
    }
    if written.pattern.is_none() && written.group.is_some() {
        error(".group", "`group` belongs to `pattern`; remove it".into());
    }
    match (&written.json_key, &written.pattern, &written.preset) {
        (Some(names), None, None) => {
            let names = match names {
                Keys::One(name) => std::slice::from_ref(name),
                Keys::Many(names) => names,
            };
            for name in names {
                let problem = match name.chars().find(|&c| !is_plain_char(c) || c > '\u{ffff}') {
                    None if name.is_empty() => "a key must not be empty".into(),
                    None => continue,
                    Some(c) => format!(
                        "key `{name}` holds {c:?}; quotes, backslashes, control characters and characters \
                                        beyond U+FFFF cannot be searched for in escaped JSON"
                    ),
                };
                error(".json_key", problem)?;
            }
            let spelling = match (written.any_spelling, written.ignore_case) {
                (Some(true), _) => Spelling::Any,
                (_, Some(true)) => Spelling::IgnoreCase,
                _ => Spelling::Exact,
            };
            let names: Vec<Box<[u8]>> = names.iter().map(|n| spelling.of(n.as_bytes())).collect();
            if names.iter().any(|n| n.is_empty()) {
                return error(".json_key", "with `any_spelling` a key must hold a letter or digit".into());
            }
            if is_on(written) {
                keys.push(KeyRule::new(index, names, spelling));
            }
            Some(())
        }
        (None, Some(pattern), None) => {
            let regex = match RegexBuilder::new(pattern).build() {
                Ok(regex) => regex,
                Err(problem) => return error(".pattern", bad_pattern(&problem)),
            };
            if pattern.is_empty() {
                return error(".pattern", "an empty pattern masks nothing; write what to mask".into());
            }
            let groups = regex.captures_len() - 1;
            let group = match &written.group {
                // A match can omit any one of several groups, so only the whole match is certain.
                None => usize::from(groups == 1),
                Some(Group::Number(number)) if *number <= groups => *number,
                Some(Group::Number(number)) => {
                    return error(".group", format!("the pattern has {groups} groups, so there is no group {number}"));
                }
                Some(Group::Name(name)) => match regex.capture_names().position(|n| n == Some(name)) {
                    Some(group) => group,
                    None => {
                        return error(
                            ".group",
                            format!("the pattern has no group named `{name}`; write `(?<{name}>…)`"),
                        );
                    }
                },
            };
            if is_on(written) {
                searches.push(Rule::Pattern(PatternRule::new(index, regex, group)));
            }
            Some(())
        }
        (None, None, Some(name)) => {
            let Some(preset) = PRESETS.iter().find(|p| p.name == name) else {
                let names: Vec<&str> = PRESETS.iter().map(|p| p.name).collect();
                return error(".preset", format!("there is no preset `{name}`; there are {}", names.join(", ")));
            };
            if !is_on(written) {
                return Some(());
            }
            if !preset.keys.is_empty() {
                let names = preset.keys.iter().map(|k| k.as_bytes().into()).collect();
                keys.push(KeyRule::new(index, names, Spelling::Exact));
            }
            searches.push(Rule::Preset(PresetRule::new(index, preset)));
            Some(())
        }
        _ => error("", "a rule has exactly one of `json_key`, `pattern` and `preset`".into()),
    }
}

fn replacement(path: &str, written: &options::Replacement, setup: &mut Setup<'_>) -> Option<Replacement> {
    let mut one_char = |option: &str, text: Option<&str>| {
        let mut chars = text.unwrap_or("*").chars();
        match (chars.next(), chars.next()) {
            (Some(char), None) if is_plain_char(char) => Some(char),
            _ => {
                let rule = "must be one character, and no quote, backslash or control character";
                setup.error(format!("{path}.{option}"), format!("`{option}` {rule}"));
                None
            }
        }
    };
    let key = written.hmac_key.as_deref().filter(|k| !k.is_empty());
    let options::Replacement { fixed, keep_first, keep_last, fill, same_length, same_shape, hmac_key } = written;
    let keeps_shape = *same_shape == Some(true);
    let fills = keep_first.is_some() || keep_last.is_some();
    let ways = [keep_first.is_some(), keep_last.is_some(), same_length.is_some(), keeps_shape];
    let ways = ways.into_iter().filter(|is_given| *is_given).count();
    let by_text = fixed.is_some() || hmac_key.is_some();
    if ways + usize::from(by_text) > 1 {
        setup.error(
            path,
            "a replacement has exactly one of `fixed`, `keep_first`, `keep_last`, `same_length`, `same_shape` and \
             `hmac_key`",
        );
        return None;
    }
    if fill.is_some() && !fills {
        setup.error(
            format!("{path}.fill"),
            "`fill` belongs to `keep_first` and `keep_last`; for a whole value use `same_length`",
        );
        return None;
    }
    match (keep_first, keep_last, same_length) {
        (Some(count), ..) => Some(Replacement::KeepFirst(*count, one_char("fill", fill.as_deref())?)),
        (_, Some(count), _) => Some(Replacement::KeepLast(*count, one_char("fill", fill.as_deref())?)),
        (.., Some(fill)) => Some(Replacement::SameLength(one_char("same_length", Some(fill))?)),
        _ if keeps_shape => Some(Replacement::SameShape),
        _ => match key {
            Some(key) => Replacement::hash(key),
            None => Some(Replacement::Fixed(fixed.as_deref().unwrap_or(DEFAULT).into())),
        },
    }
}
