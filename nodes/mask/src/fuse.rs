//! Several masks in a row as one: all their rules search the text together.
//!
//! Masks in a row each search the result of the one before. One search finds the same if no match reads what another one
//! masks ([`Masker::are_rules_independent`](crate::masker::Masker::are_rules_independent) says so of each batch), and if no
//! replacement contains a key.

use wattle_node::fused_name;

use crate::options::{Keys, Options, Replacement};
use crate::replacement::is_plain;
use crate::tally;

/// Most rules of all nodes together; each has a count.
const MAX_RULES: usize = 48;

/// The options of one node that has the rules of all, and the names of the counts of the rules. `None` if the order of the
/// nodes can matter whatever the text is.
pub(crate) fn fuse(nodes: Vec<Options>) -> Option<(Options, Vec<Box<str>>)> {
    let keys: Vec<String> = nodes.iter().flat_map(|node| &node.rules).flat_map(keys).map(letters).collect();
    let is_harmless = |replacement: &Replacement| match replacement {
        Replacement {
            fixed,
            keep_first: None,
            keep_last: None,
            fill: None,
            same_length: None,
            same_shape: None,
            hmac_key,
        } => {
            let text = fixed.as_deref().unwrap_or_default();
            let is_hash = hmac_key.as_ref().is_some_and(|key| !key.is_empty());
            is_plain(text)
                && !keys.iter().any(|key| letters(text).contains(key) || (is_hash && !key.contains(is_never_in_hash)))
        }
        _ => false,
    };
    let mut names = Vec::new();
    let mut fused: Option<Options> = None;
    for (index, mut node) in nodes.into_iter().enumerate() {
        for (place, rule) in node.rules.iter_mut().enumerate() {
            rule.replacement = rule.replacement.take().or_else(|| node.replacement.clone());
            let is_simple = rule.json_key.is_some() && rule.pattern.is_none() && rule.preset.is_none();
            if !is_simple || !rule.replacement.iter().all(is_harmless) {
                return None;
            }
            names.push(fused_name(index, &tally::name(place, rule))?.into());
        }
        match &mut fused {
            None => fused = Some(node),
            Some(all) => {
                if all.fields != node.fields
                    || all.skip_values != node.skip_values
                    || all.on_undecidable != node.on_undecidable
                {
                    return None;
                }
                all.rules.append(&mut node.rules);
            }
        }
    }
    // Rows of other fields are set instead of edited in place, and can fail.
    let fused = fused.filter(|all| all.fields == ["body"] && all.rules.len() <= MAX_RULES)?;
    Some((Options { replacement: None, ..fused }, names))
}

fn keys(rule: &crate::options::Rule) -> &[String] {
    match &rule.json_key {
        None => &[],
        Some(Keys::One(key)) => std::slice::from_ref(key),
        Some(Keys::Many(keys)) => keys,
    }
}

/// The letters and digits of a text, in lower case: what all spellings of a key have in common.
fn letters(text: impl AsRef<str>) -> String {
    text.as_ref().chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether no hash has this letter.
fn is_never_in_hash(letter: char) -> bool {
    !letter.is_ascii_hexdigit() && !"hmac-sha256".contains(letter)
}
