//! Reads the names of metrics and labels from expressions of PromQL. `promtool` checks their grammar; it knows nothing about
//! the metrics that an agent has.

use crate::table::{TARGET_LABELS, Table};

/// Functions, aggregations and operators that the rules and dashboards use. Any other word must be a metric, so a misspelt
/// prefix does not pass as a word that the test does not know.
const WORDS: &str = "and bool by changes count deriv histogram_quantile ignoring increase max max_over_time min offset on or \
                     rate sum time topk unless vector without";

/// Words that a list of labels follows.
const BEFORE_LABELS: &[&str] = &["by", "ignoring", "on", "without", "group_left", "group_right"];

#[derive(Debug, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    Text(&'a str),
    Sign(char),
}

/// The tokens of an expression, without numbers and durations.
fn tokens(expression: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let length = if first == '"' {
            rest[1..].find('"').expect("the text ends") + 2
        } else if first.is_ascii_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        match first {
            '"' => found.push(Token::Text(&token[1..length - 1])),
            _ if first.is_ascii_digit() || first.is_whitespace() => {}
            _ if first.is_ascii_alphabetic() || first == '_' => found.push(Token::Word(token)),
            _ => found.push(Token::Sign(first)),
        }
    }
    found
}

/// A matcher in braces.
#[derive(Debug, PartialEq)]
struct Matcher<'a> {
    label: &'a str,
    value: &'a str,
    is_pattern: bool,
}

fn matchers<'a>(tokens: &[Token<'a>]) -> Vec<Matcher<'a>> {
    let mut found = Vec::new();
    let (mut label, mut is_pattern) = ("", false);
    for token in tokens {
        match token {
            Token::Word(word) => (label, is_pattern) = (word, false),
            Token::Sign(sign) => is_pattern |= *sign == '~',
            Token::Text(value) => found.push(Matcher { label, value, is_pattern }),
        }
    }
    found
}

/// Checks every name of an expression, and returns the labels that its metrics have.
pub(crate) fn check(place: &str, expression: &str, table: &Table) -> Vec<String> {
    let tokens = tokens(expression);
    let mut labels: Vec<String> = TARGET_LABELS.iter().map(|&label| label.to_owned()).collect();
    let mut lists = Vec::new();
    let mut metrics = 0;
    let mut i = 0;
    while i < tokens.len() {
        let until = |end: char| tokens[i..].iter().position(|t| *t == Token::Sign(end)).map_or(tokens.len(), |n| i + n);
        if let Token::Word(word) = tokens[i] {
            if BEFORE_LABELS.contains(&word) {
                let end = until(')');
                lists.extend(
                    tokens[i + 1..end].iter().filter_map(|t| if let Token::Word(w) = t { Some(*w) } else { None }),
                );
                i = end;
            } else if word == "up" || !WORDS.split_whitespace().any(|known| known == word) {
                let has_matchers = tokens.get(i + 1) == Some(&Token::Sign('{'));
                let end = if has_matchers { until('}') } else { i + 1 };
                check_series(place, word, &matchers(&tokens[i + 1..end]), table, &mut labels);
                metrics += 1;
                i = end - 1;
            }
        }
        i += 1;
    }
    assert!(metrics > 0, "{place}: `{expression}` reads no metric");
    for label in lists {
        assert!(
            labels.iter().any(|known| known == label),
            "{place}: no metric of `{expression}` has the label `{label}`"
        );
    }
    labels
}

fn check_series(place: &str, name: &str, matchers: &[Matcher<'_>], table: &Table, labels: &mut Vec<String>) {
    if name == "up" {
        assert!(matchers.iter().all(|m| TARGET_LABELS.contains(&m.label)), "{place}: `up` has no other labels");
        return;
    }
    let Some((row, of_series)) = table.get(name) else { panic!("{place}: the agent has no series `{name}`") };
    for matcher in matchers {
        let Matcher { label, value, is_pattern } = matcher;
        if TARGET_LABELS.contains(label) {
            continue;
        }
        assert!(of_series.contains(label), "{place}: `{name}` has no label `{label}`");
        // Values that the agent fixes are in the description. Values of patterns are written as `a|b`.
        let values = if *is_pattern { value.split('|').collect() } else { vec![*value] };
        for value in values {
            assert!(row.meaning.contains(&format!("`{value}`")), "{place}: `{label}` of `{name}` is never `{value}`");
        }
    }
    labels.extend(of_series.into_iter().map(str::to_owned));
}

#[test]
fn names_and_values_that_no_agent_has_are_found() {
    let table = Table::read();
    let fails = |expression: &str| std::panic::catch_unwind(|| check("test", expression, &table)).is_err();
    assert!(!fails(r#"sum by (job, reason) (rate(wattle_source_lost_bytes_total{reason="removed"}[5m])) > 0.5"#));
    assert!(!fails(r#"histogram_quantile(0.9, sum by (le) (rate(wattle_node_call_seconds_bucket{job=~"a.*"}[5m])))"#));
    for wrong in [
        "wattle_source_lost_byte_total > 0",
        "watle_ready == 0",
        r#"wattle_source_lost_bytes_total{why="removed"} > 0"#,
        r#"wattle_source_lost_bytes_total{reason="stolen"} > 0"#,
        r#"wattle_registry_polls_total{outcome=~"unchanged|changes"} > 0"#,
        "sum by (sink) (wattle_source_up)",
        "wattle_sink_up and on (job, source) wattle_sink_buffer_events",
        "rate(wattle_node_call_seconds[5m])",
        "wattle_sink_up_count",
        r#"up{sink="a"} == 0"#,
        "vector(1)",
    ] {
        assert!(fails(wrong), "`{wrong}` passes");
    }
}
