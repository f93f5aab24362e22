//! Parses the text of a manifest, and explains syntax errors.

use toml::de::{DeTable, Error};

use crate::codes;
use crate::findings::{Finding, Findings, Place};
use crate::unclosed::{unclosed, unclosed_quote};
use crate::value::{Table, convert_table};

/// Parses a manifest; reports the first syntax error of each line, and one error for a bracket or
/// quote that is never closed.
pub fn parse(manifest: usize, text: &str, findings: &mut Findings) -> Option<Table> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Some(convert_table(manifest, table.get_ref(), findings));
    }
    // The parser reads the text after an unclosed bracket or quote as if it were inside, so later
    // errors are meaningless.
    let last_error = errors.iter().filter_map(|e| e.span()).map(|span| span.start).max().unwrap_or(0);
    let line = |at: usize| {
        let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |feed| feed + 1);
        let end = text.get(at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |feed| at + feed);
        start..=end
    };
    let quote = unclosed_quote(text).filter(|quote| last_error >= *line(quote.start).start());
    let open = unclosed(text).filter(|(at, _)| last_error >= *at && quote.is_none());
    let is_of_quote = |start: usize| {
        quote.as_ref().is_some_and(|quote| {
            let line = line(quote.start);
            let goes_on = quote.is_in_brackets || quote.quote.len() > 1;
            start >= *line.start() && (goes_on || start <= *line.end())
        })
    };
    let end = open.map_or(text.len(), |(at, _)| at);
    let mut reported_until = None;
    for error in &errors {
        let span = error.span().unwrap_or(0..text.len().min(1));
        if span.start > end || is_of_quote(span.start) || reported_until.is_some_and(|end| span.start <= end) {
            continue;
        }
        reported_until = Some(*line(span.start).end());
        findings.report(explain(manifest, text, error, span));
    }
    if let Some(quote) = quote {
        let (form, place) = match quote.quote.len() {
            1 => ("string that begins here has no closing quote in its line", quote.start..quote.start + 1),
            _ => ("text of several lines that begins here is never closed", quote.start..quote.start + 3),
        };
        let finding = codes::SYNTAX.at(Place::new(manifest, place), format!("the {form}"));
        findings.report(finding.hint(format!("add `{}` at its end", quote.quote)));
    }
    if let Some((at, bracket)) = open {
        let (what, partner) = if bracket == '[' { ("array", ']') } else { ("inline table", '}') };
        let message = format!("the {what} that begins here is never closed");
        let finding = codes::SYNTAX.at(Place::new(manifest, at..at + 1), message);
        findings.report(finding.hint(format!("add `{partner}` at its end")));
    }
    None
}

/// Turns an error of the parser into a finding; the messages of the parser use the words of its
/// grammar.
fn explain(manifest: usize, text: &str, error: &Error, span: std::ops::Range<usize>) -> Finding {
    // An empty span at the very start would mean the whole file.
    let place = Place::new(manifest, span.start..span.end.max(1));
    let said = error.message();
    if said.starts_with("missing escaped value") || said.contains("unicode") {
        let before = text.get(..span.start).unwrap_or_default();
        let escape = before.rfind('\\').and_then(|at| text.get(at..)).unwrap_or_default();
        let escape: String = escape.chars().take(2).filter(|c| !c.is_whitespace()).collect();
        let message = format!("`{escape}` is no escape of a string in double quotes, or an incomplete one");
        let hint = "write `\\\\` for a backslash, or put the string in single quotes, as in `'C:\\Users'`";
        return codes::SYNTAX.at(place, message).hint(hint);
    }
    if said.starts_with("string values must be quoted") {
        let rest = text.get(span.start..).unwrap_or_default().lines().next().unwrap_or_default();
        return match rest.trim().is_empty() || rest.trim_start().starts_with('#') {
            true => codes::SYNTAX.at(place, "the value is missing").hint("write it behind the `=`"),
            false => codes::SYNTAX.at(place, "a string must be in quotes").hint("write it as `\"…\"`"),
        };
    }
    codes::SYNTAX.at(place, lower_first(said))
}

/// Some messages of the parser begin with a capital letter; ours do not.
fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// The problems of a text, each as `line:column: message; hint`.
    fn problems(text: &str) -> Vec<String> {
        let mut findings = Findings::default();
        let number = findings.add_manifest(Path::new("a"), text);
        assert!(parse(number, text, &mut findings).is_none(), "{text}");
        let invalid = findings.finish::<()>(None).unwrap_err();
        let line = |d: &crate::Diagnostic| {
            format!("{}:{}: {}; {}", d.line, d.column, d.message, d.hint.clone().unwrap_or_default())
        };
        invalid.diagnostics.iter().map(line).collect()
    }

    #[test]
    fn one_unclosed_quote_in_a_list_is_one_error() {
        let rest = "[pipelines.p]\ninputs = [\"in\"]\n[sinks.out]\ntype = \"console\"\ninputs = [\"p.*\"]\n";
        for (text, place) in [
            ("include = [\"/logs/*]\n", "1:12"),
            ("include = [\"/a, \"/b\"]\n", "1:12"),
            ("include = [\n  \"/a\",\n  \"/b,\n  \"/c\"\n]\n", "3:3"),
            ("auth = { token = \"x }\n", "1:18"),
        ] {
            let expected =
                format!("{place}: the string that begins here has no closing quote in its line; add `\"` at its end");
            assert_eq!(problems(&format!("{text}{rest}")), [expected], "{text}");
        }
    }

    #[test]
    fn errors_beside_an_unclosed_quote_are_reported_too() {
        let found = problems("a = \"x\nb = \n");
        assert_eq!(
            found,
            [
                "1:5: the string that begins here has no closing quote in its line; add `\"` at its end",
                "2:5: the value is missing; write it behind the `=`"
            ]
        );
    }

    #[test]
    fn a_backslash_of_windows_is_explained() {
        for text in ["a = \"C:\\Users\\x\"", "a = \"C:\\users\"", "a = \"\\d+\"", "a = \"x\\xzz\""] {
            let found = problems(text);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains("write `\\\\` for a backslash"), "{found:?}");
            assert!(found[0].contains(": `\\") && !found[0].contains("unicode"), "{found:?}");
        }
    }

    #[test]
    fn a_string_without_quotes_is_explained() {
        assert_eq!(problems("path = out.txt"), ["1:8: a string must be in quotes; write it as `\"…\"`"]);
    }
}
