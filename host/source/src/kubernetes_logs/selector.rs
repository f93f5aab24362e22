//! Checks label selectors. The API server evaluates them; a check finds an error before the source runs.

/// Maximum length of a name or a value of a label.
const MAX_NAME: usize = 63;
const MAX_PREFIX: usize = 253;

/// Checks a selector such as `app=web,tier in (front, back),!canary`.
///
/// # Errors
///
/// The requirement that is not valid, and what it should be.
pub(super) fn check(selector: &str) -> Result<(), String> {
    let requirements = split(selector)?;
    requirements.into_iter().try_for_each(requirement)
}

/// Splits at commas outside of parentheses.
fn split(selector: &str) -> Result<Vec<&str>, String> {
    let mut is_open = false;
    for (at, byte) in selector.bytes().enumerate() {
        match byte {
            b'(' if !is_open => is_open = true,
            b')' if is_open => is_open = false,
            b'(' | b')' => return Err(format!("has an unexpected `{}` at byte {at}", char::from(byte))),
            _ => {}
        }
    }
    if is_open {
        return Err("has a `(` without `)`".to_owned());
    }
    let mut depth = false;
    let requirements = selector.split(|c| {
        depth = c == '(' || (depth && c != ')');
        c == ',' && !depth
    });
    Ok(requirements.map(str::trim).collect())
}

fn requirement(text: &str) -> Result<(), String> {
    let wrong = || {
        format!(
            "`{text}` is not a requirement; write `key`, `!key`, `key=value`, `key!=value`, `key in (a, b)` or \
             `key notin (a, b)`"
        )
    };
    if let Some(name) = text.strip_prefix('!') {
        return key(name.trim());
    }
    if let Some((before, values)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let (name, operator) = before.trim().rsplit_once(char::is_whitespace).ok_or_else(wrong)?;
        if !matches!(operator, "in" | "notin") {
            return Err(wrong());
        }
        key(name.trim())?;
        return values.split(',').try_for_each(|text| value(text.trim()));
    }
    let pair = text.split_once("!=").or_else(|| text.split_once("==")).or_else(|| text.split_once('='));
    match pair {
        Some((name, text)) => key(name.trim()).and_then(|()| value(text.trim())),
        None if text.is_empty() || text.contains(char::is_whitespace) => Err(wrong()),
        None => key(text),
    }
}

fn key(text: &str) -> Result<(), String> {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let is_prefix = |prefix: &str| {
        let is_label = |label: &str| is_name(label) && !label.contains(['_', '.']);
        prefix.len() <= MAX_PREFIX && prefix.split('.').all(is_label)
    };
    if is_name(name) && prefix.is_none_or(is_prefix) { Ok(()) } else { Err(format!("`{text}` is not a label")) }
}

fn value(text: &str) -> Result<(), String> {
    if text.is_empty() || is_name(text) { Ok(()) } else { Err(format!("`{text}` is not a value of a label")) }
}

/// Returns whether a text has letters, digits, `-`, `_` and `.`, and begins and ends with a letter or a digit.
fn is_name(text: &str) -> bool {
    let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    text.len() <= MAX_NAME
        && is_edge(bytes.first())
        && is_edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_of_kubernetes_is_accepted() {
        for selector in [
            "app",
            "!canary",
            "app=web",
            "app == web , tier!=back",
            "app in (a, b),tier notin (c)",
            "app.kubernetes.io/name=web,pod-template-hash",
            "app=",
            "app in (a,)",
        ] {
            assert_eq!(check(selector), Ok(()), "{selector}");
        }
    }

    #[test]
    fn an_error_names_the_requirement() {
        for (selector, part) in [
            ("", "is not a requirement"),
            ("app=web,", "`` is not a requirement"),
            ("app web", "`app web` is not a requirement"),
            ("app within (a)", "is not a requirement"),
            ("app in (a", "without `)`"),
            ("app in a)", "unexpected `)` at byte 8"),
            ("-app=web", "`-app` is not a label"),
            ("a/b/c", "is not a label"),
            ("a_b/c", "is not a label"),
            ("app=two words", "`two words` is not a value"),
            ("app in (a, b!)", "`b!` is not a value"),
        ] {
            let error = check(selector).unwrap_err();
            assert!(error.contains(part), "{selector}: {error}");
        }
    }
}
