//! Compares the public patterns with an engine that has look-around and atomic groups.
#![allow(clippy::string_slice, clippy::panic, reason = "a test may stop at what must not be")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use wattle_matcher::Names;

use super::*;

/// Lines, each with a pattern that matches it.
fn lines() -> impl Iterator<Item = (&'static str, &'static str)> {
    include_str!("lines.txt").lines().map(|line| line.split_once('\t').unwrap())
}

/// What Logstash has where the files differ from it.
const ORIGINAL: [(&str, &str); 5] = [
    ("TIME", "(?!<[0-9])%{HOUR}:%{MINUTE}(?::%{SECOND})(?![0-9])"),
    ("HAPROXYTIME", "(?!<[0-9])%{HOUR:haproxy_hour}:%{MINUTE:haproxy_minute}(?::%{SECOND:haproxy_second})(?![0-9])"),
    (
        "SYSLOGPAMSESSION",
        r"%{SYSLOGBASE} (?=%{GREEDYDATA:message})%{WORD:pam_module}\(%{DATA:pam_caller}\): session %{WORD:pam_session_state} for user %{USERNAME:username}(?: by %{GREEDYDATA:pam_by})?",
    ),
    ("MONGO_QUERY", r"\{ (?<=\{ ).*(?= \} ntoreturn:) \}"),
    (
        "MONGO_SLOWQUERY",
        r"%{WORD} %{MONGO_WORDDASH:database}\.%{MONGO_WORDDASH:collection} %{WORD}: %{MONGO_QUERY:query} %{WORD}:%{NONNEGINT:ntoreturn} %{WORD}:%{NONNEGINT:ntoskip} %{WORD}:%{NONNEGINT:nscanned}.*nreturned:%{NONNEGINT:nreturned}..+ (?<duration>[0-9]+)ms",
    ),
];

/// Replaces names by their definitions as Logstash does, and numbers the fields.
fn replace(library: &Library<'_>, text: &str, count: &mut usize, out: &mut String) {
    let mut rest = text;
    let named = |rest: &str| {
        let is_named = |at: &usize| rest[at + 3..].starts_with(|c: char| c.is_alphabetic());
        rest.match_indices("(?<").map(|(at, _)| at).find(is_named)
    };
    while let Some(at) = rest.find("%{").into_iter().chain(named(rest)).min() {
        out.push_str(&rest[..at]);
        let is_group = rest[at..].starts_with('(');
        let close = if is_group { '>' } else { '}' };
        let (inside, after) = rest[at..].split_once(close).unwrap();
        rest = after;
        if is_group || inside.contains(':') {
            *count += 1;
            write!(out, "(?<g{count}>").unwrap();
        } else {
            out.push_str("(?:");
        }
        if !is_group {
            let name = inside[2..].split(':').next().unwrap();
            let original = ORIGINAL.iter().find(|(original, _)| *original == name).map(|(_, text)| *text);
            replace(library, original.unwrap_or_else(|| library.get(name).unwrap().text), count, out);
            out.push(')');
        }
    }
    out.push_str(rest);
}

/// A pattern in both engines.
struct Pair {
    ours: Pattern,
    memory: Memory,
    fields: Vec<usize>,
    theirs: fancy_regex::Regex,
}

/// The text of each field; `None` if the text does not match.
type Texts<'t> = Option<Vec<Option<&'t str>>>;

impl Pair {
    fn new(library: &Library<'_>, text: &str) -> Self {
        let translated = translate(library, text, None).unwrap();
        let is_field = |group: &Group| matches!(group, Group::Field { .. });
        let fields = (1..).zip(&translated.groups).filter(|(_, group)| is_field(group)).map(|(number, _)| number);
        let (mut count, mut regex) = (0, String::new());
        replace(library, text, &mut count, &mut regex);
        let ours = Pattern::new(text, &BTreeMap::new(), library).unwrap();
        let theirs = fancy_regex::Regex::new(&regex).unwrap_or_else(|error| panic!("{text}: {error}: {regex}"));
        Self { ours, memory: Memory::default(), fields: fields.collect(), theirs }
    }

    fn ours<'t>(&mut self, text: &'t str) -> Texts<'t> {
        if !self.memory.find(&self.ours.program, text.as_bytes()).unwrap() {
            return None;
        }
        Some(self.fields.iter().map(|group| self.memory.get(*group).map(|(start, end)| &text[start..end])).collect())
    }

    /// `None` if the other engine gives up.
    fn theirs<'t>(&self, text: &'t str) -> Option<Texts<'t>> {
        let Some(found) = self.theirs.captures(text).ok()? else { return Some(None) };
        let groups = (1..=self.fields.len()).map(|number| found.name(&format!("g{number}")));
        Some(Some(groups.map(|group| group.map(|group| &text[group.start()..group.end()])).collect()))
    }
}

#[test]
fn public_patterns_match_their_lines() {
    let none = BTreeMap::new();
    let library = Library::new(&none);
    for (name, line) in lines() {
        let mut pair = Pair::new(&library, &format!("%{{{name}:whole}}"));
        let ours = pair.ours(line);
        assert!(ours.is_some(), "{name}: {line}");
        assert_eq!(Some(ours), pair.theirs(line), "{name}: {line}");
    }
}

/// Every pattern with every line, alone and after text that leaves a choice.
#[test]
fn every_public_pattern_finds_in_every_line_what_logstash_finds() {
    let none = BTreeMap::new();
    let library = Library::new(&none);
    let (mut matches, mut given_up) = (0, 0);
    for name in library.names() {
        let texts = [format!("%{{{name}:x}}"), format!("%{{GREEDYDATA:a}}%{{{name}:x}}%{{GREEDYDATA:b}}")];
        for (number, text) in texts.iter().enumerate() {
            let mut pair = Pair::new(&library, text);
            // With a choice, a third of the lines: the other engine is slow there.
            for (_, line) in lines().skip(number).step_by(1 + 2 * number) {
                match pair.theirs(line) {
                    Some(theirs) => {
                        matches += usize::from(theirs.is_some());
                        assert_eq!(pair.ours(line), theirs, "{text} in {line}");
                    }
                    None => given_up += 1,
                }
            }
        }
    }
    assert!(matches > 4000 && given_up < 100, "{matches} matches, given up {given_up} times");
}
