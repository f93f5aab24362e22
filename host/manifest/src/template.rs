//! References in strings: `${NAME}` for environment variables, `${file:PATH}` and `${credential:NAME}` for the content of
//! files, `${params.NAME}` in packs, `$$` for a literal dollar.

use crate::secret_file;
use wattle_diagnostics::{Data, Findings, Item, Place, codes};

/// A part of a string.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Text(&'a str),
    /// The text between `${` and `}`.
    Reference(&'a str),
}

/// Splits a string into parts; `None` if a `${` has no `}`.
pub(crate) fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        if let Some(after) = after.strip_prefix('{') {
            let (name, after) = after.split_once('}')?;
            pieces.push(Piece::Reference(name));
            rest = after;
        } else {
            pieces.push(Piece::Text("$"));
            rest = after.strip_prefix('$').unwrap_or(after);
        }
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Some(pieces)
}

/// Reports a `${` without `}`.
pub(crate) fn report_unclosed(place: Place, findings: &mut Findings) {
    let finding = codes::BAD_REFERENCE.at(place, "`${` without `}`");
    findings.report(finding.hint("write `$$` for a literal dollar"));
}

/// Substitutes environment variables and contents of files in every string of a tree.
pub(crate) fn fill_environment(item: &mut Item, env: &dyn Fn(&str) -> Option<String>, findings: &mut Findings) {
    item.map_strings(&mut |place, text| {
        fill(place, text, env, findings).map(|text| Item::new(place, Data::String(text)))
    });
}

fn fill(place: Place, text: &str, env: &dyn Fn(&str) -> Option<String>, findings: &mut Findings) -> Option<String> {
    let Some(pieces) = pieces(text) else {
        report_unclosed(place, findings);
        return None;
    };
    let mut filled = Some(String::new());
    for piece in pieces {
        let value = match piece {
            Piece::Text(text) => Some(text.to_owned()),
            Piece::Reference(reference) => variable(place, reference, env, findings),
        };
        // Continue after an unset variable, to report all of them.
        filled = filled.zip(value).map(|(text, value)| text + &value);
    }
    filled
}

fn variable(
    place: Place,
    reference: &str,
    env: &dyn Fn(&str) -> Option<String>,
    findings: &mut Findings,
) -> Option<String> {
    if let Some(file) = secret_file::Reference::parse(reference) {
        return file.value(place, env, findings);
    }
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        let message = format!("bad name of an environment variable `{name}`");
        let hint = if name.starts_with("params.") {
            "parameters can be used only in the nodes of a pack; write `$$` for a literal dollar"
        } else {
            "names are letters, digits and `_`; write `$$` for a literal dollar"
        };
        findings.report(codes::BAD_REFERENCE.at(place, message).hint(hint));
        return None;
    }
    // As in a shell, the default replaces an empty variable as well.
    match (env(name), default) {
        (Some(value), None) => Some(value),
        (Some(value), Some(_)) if !value.is_empty() => Some(value),
        (_, Some(default)) => return Some(default.to_owned()),
        (None, None) => {
            let finding = codes::UNSET_VARIABLE.at(place, format!("environment variable `{name}` is not set"));
            findings.report(finding.hint(format!("set it, or give a default: `${{{name}:-default}}`")));
            None
        }
    }
    .inspect(|value| findings.keep_secret(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let mut findings = Findings::default();
        let place = Place::new(findings.add_manifest(Path::new("a"), "text"), 0..4);
        let env = |name: &str| match name {
            "HOST" => Some("edge-1".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let filled = fill(place, text, &env, &mut findings);
        let outcome = match findings.finish(filled) {
            Ok((text, _, _)) => Ok(text),
            Err(invalid) => Err(invalid.diagnostics.iter().map(|d| d.code).collect::<Vec<_>>().join(" ")),
        };
        assert_eq!(outcome, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
    }

    #[test]
    fn fills_in_variables_and_defaults() {
        check("plain", Ok("plain"));
        check("${HOST}", Ok("edge-1"));
        check("a-${HOST}-${HOST}", Ok("a-edge-1-edge-1"));
        check("${NONE:-x:-y}", Ok("x:-y"));
        check("${EMPTY:-x}", Ok("x"));
        check("${EMPTY}", Ok(""));
        check("${NONE:-}", Ok(""));
    }

    #[test]
    fn keeps_dollars_outside_of_references() {
        check("^a$", Ok("^a$"));
        check("$HOME", Ok("$HOME"));
        check("$$", Ok("$"));
        check("$${HOST}", Ok("${HOST}"));
        check("$", Ok("$"));
    }

    #[test]
    fn reports_every_bad_reference() {
        check("${NONE} ${OTHER}", Err("E0107 E0107"));
        check("${HOST", Err("E0108"));
        check("${}", Err("E0108"));
        check("${a b}", Err("E0108"));
        check("${params.x}", Err("E0108"));
    }
}
