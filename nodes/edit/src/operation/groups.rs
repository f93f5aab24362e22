//! Groups in the replacements of regular expressions.

use regex::bytes::Regex;

/// What is wrong with the groups of a replacement: a message for each that the pattern does not have. The crate regex would
/// put an empty text in their place.
pub(super) fn unknown(replacement: &str, regex: &Regex) -> Vec<String> {
    let names: Vec<&str> = regex.capture_names().flatten().collect();
    let has = |name: &str| match name.parse::<usize>() {
        Ok(number) => number < regex.captures_len(),
        Err(_) => names.contains(&name),
    };
    let mut messages = Vec::new();
    let mut rest = replacement;
    while let Some((_, after)) = rest.split_once('$') {
        // Two dollar signs stand for one.
        if let Some(after) = after.strip_prefix('$') {
            rest = after;
            continue;
        }
        rest = after;
        let Some((written, name)) = group(after) else { continue };
        if !has(name) {
            messages.push(message(written, name, has, regex));
        }
    }
    messages
}

/// The group at the beginning of a text, after the dollar sign: as it is written, and its name. As the crate regex reads
/// it, the name in `$1_x` is `1_x`, and a dollar sign before anything else stands for itself.
fn group(text: &str) -> Option<(&str, &str)> {
    if let Some(inner) = text.strip_prefix('{') {
        let (name, _) = inner.split_once('}')?;
        return Some((text.get(..name.len() + 2)?, name));
    }
    let end = text.find(|char: char| !(char.is_ascii_alphanumeric() || char == '_')).unwrap_or(text.len());
    let name = text.get(..end).filter(|name| !name.is_empty())?;
    Some((name, name))
}

fn message(written: &str, name: &str, has: impl Fn(&str) -> bool, regex: &Regex) -> String {
    let groups = regex.capture_names().enumerate().skip(1).map(|(number, name)| match name {
        Some(name) => format!("`{name}`"),
        None => format!("`{number}`"),
    });
    let groups: Vec<_> = groups.collect();
    let groups = match groups.as_slice() {
        [] => "it has no groups".to_owned(),
        groups => format!("it has {}", groups.join(", ")),
    };
    // The longest beginning of the name that is a group. Names without braces are ASCII.
    let meant = (1..name.len()).rev().filter_map(|end| name.split_at_checked(end)).find(|(start, _)| has(start));
    let hint = match meant {
        Some((group, rest)) if written == name => {
            format!("write `${{{group}}}{rest}` for the group `{group}` with `{rest}` after it")
        }
        _ => format!("write `$${written}` for a dollar sign"),
    };
    format!("the pattern has no group `{name}`: {groups}; {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_the_pattern_lacks_are_found() {
        let of = |replacement: &str| unknown(replacement, &Regex::new(r"(?P<user>a)(b)").unwrap());
        for fine in ["", "x", "$0$1${2}", "$user-$2", "${user}_x", "$$9", "a$", "$-", "${1", "$$$1"] {
            assert_eq!(of(fine), Vec::<String>::new(), "{fine}");
        }
        assert_eq!(
            of("$2_x"),
            ["the pattern has no group `2_x`: it has `user`, `2`; write `${2}_x` for the group `2` with `_x` after it"]
        );
        assert_eq!(
            of("$username"),
            ["the pattern has no group `username`: it has `user`, `2`; write `${user}name` for the group `user` with \
              `name` after it"]
        );
        assert_eq!(of("$3"), ["the pattern has no group `3`: it has `user`, `2`; write `$$3` for a dollar sign"]);
        assert_eq!(
            of("${x y}"),
            ["the pattern has no group `x y`: it has `user`, `2`; write `$${x y}` for a dollar sign"]
        );
        assert_eq!(of("$$$a$9").len(), 2);
        let none = unknown("$1", &Regex::new("a").unwrap());
        assert_eq!(none, ["the pattern has no group `1`: it has no groups; write `$$1` for a dollar sign"]);
    }
}
