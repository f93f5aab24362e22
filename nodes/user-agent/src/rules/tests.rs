use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use regex_syntax::hir::{Class, Hir, HirKind};

use super::*;

#[test]
fn every_rule_compiles() {
    let rules = Rules::new().unwrap();
    assert!(rules.rules.len() > 1200);
    for rule in &rules.rules {
        let translated = translate_numbered(rule.regex).unwrap_or_else(|wrong| panic!("{}: {wrong:?}", rule.regex));
        Program::new(&translated).unwrap_or_else(|error| panic!("{}: {error}", rule.regex));
    }
    assert!(rules.always.len() < 10, "{} rules are always tried", rules.always.len());
}

/// Words that many agents hold.
const COMMON: [&str; 14] = [
    "mozilla",
    "applewebkit",
    "build",
    "android",
    "linux",
    "version",
    "chrome",
    "safari",
    "mobile",
    "windows",
    "gecko",
    "mac os",
    "network",
    "firefox",
];

/// Orders texts by how few agents hold one of them.
fn rarity(texts: &BTreeSet<String>) -> (bool, Option<usize>, usize) {
    let is_rare = |text: &String| !COMMON.iter().any(|common| text.contains(common));
    (texts.iter().all(is_rare), texts.iter().map(String::len).min(), usize::MAX - texts.len())
}

/// Texts of a part of an expression that stands for few.
const FEW: usize = 12;
/// Texts of a rule. A rule with a list of robots has hundreds.
const MANY: usize = 1000;

/// All texts that an expression matches, in lower case. `None` if they are not few.
fn all(hir: &Hir) -> Option<BTreeSet<String>> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(BTreeSet::from([String::new()])),
        HirKind::Literal(literal) => {
            Some(BTreeSet::from([String::from_utf8(literal.0.to_vec()).unwrap().to_lowercase()]))
        }
        HirKind::Class(Class::Unicode(class)) => {
            let size: usize = class.iter().map(|range| range.len()).sum();
            let chars = || class.iter().flat_map(|range| range.start()..=range.end());
            (size <= FEW && chars().all(|c| c.is_ascii()))
                .then(|| chars().map(|c| c.to_ascii_lowercase().into()).collect())
        }
        HirKind::Class(Class::Bytes(_)) => None,
        HirKind::Capture(capture) => all(&capture.sub),
        HirKind::Repetition(repetition) => {
            let (sub, max) = (all(&repetition.sub)?, repetition.max.filter(|max| *max <= 4)?);
            let mut made = BTreeSet::from([String::new()]);
            let mut all = BTreeSet::new();
            for count in 0..=max {
                if count >= repetition.min {
                    all.extend(made.iter().cloned());
                }
                made = product(&made, &sub)?;
            }
            Some(all)
        }
        HirKind::Concat(parts) => {
            parts.iter().try_fold(BTreeSet::from([String::new()]), |made, part| product(&made, &all(part)?))
        }
        HirKind::Alternation(parts) => {
            let parts: Option<Vec<BTreeSet<String>>> = parts.iter().map(all).collect();
            Some(parts?.into_iter().flatten().collect()).filter(|texts: &BTreeSet<String>| texts.len() <= FEW)
        }
    }
}

/// Each text of the first set with each of the second one behind it. `None` if they are not few.
fn product(first: &BTreeSet<String>, second: &BTreeSet<String>) -> Option<BTreeSet<String>> {
    (first.len() * second.len() <= FEW)
        .then(|| first.iter().flat_map(|first| second.iter().map(move |second| format!("{first}{second}"))).collect())
}

/// Whether a search for these texts leaves out most agents.
fn are_useful(texts: &BTreeSet<String>) -> bool {
    texts.iter().all(|text| text.trim().len() >= 2 && !text.contains(['|', '\t']))
}

/// Texts of which each match of an expression holds one. `None` if there are none that are long enough.
fn needed(hir: &Hir) -> Option<BTreeSet<String>> {
    let own = all(hir).filter(are_useful);
    let parts = match hir.kind() {
        HirKind::Capture(capture) => needed(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => needed(&repetition.sub),
        HirKind::Concat(parts) => needed_in_turn(parts),
        HirKind::Alternation(parts) => {
            let parts: Option<Vec<BTreeSet<String>>> = parts.iter().map(needed).collect();
            parts
                .map(|parts| parts.into_iter().flatten().collect())
                .filter(|texts: &BTreeSet<String>| texts.len() <= MANY)
        }
        _ => None,
    };
    own.into_iter().chain(parts).max_by_key(rarity)
}

/// The same for parts one behind the other: texts of one of them, or of several that stand for few texts together.
fn needed_in_turn(parts: &[Hir]) -> Option<BTreeSet<String>> {
    let mut found: Vec<BTreeSet<String>> = parts.iter().filter_map(needed).collect();
    for start in 0..parts.len() {
        let mut run = BTreeSet::from([String::new()]);
        for part in &parts[start..] {
            let Some(longer) = all(part).and_then(|texts| product(&run, &texts)) else { break };
            run = longer;
            found.extend(Some(run.clone()).filter(are_useful));
        }
    }
    found.into_iter().max_by_key(rarity)
}

#[test]
fn the_texts_that_rules_need_are_up_to_date() {
    let mut fresh = String::new();
    for line in RULES.lines() {
        let mut columns = line.splitn(3, '\t');
        let (kind, _, rest) = (columns.next().unwrap(), columns.next(), columns.next().unwrap());
        let regex = rest.split('\t').next().unwrap();
        // Without the flag, which would make a class of each letter.
        let translated = translate_numbered(regex.trim_start_matches("(?i)")).unwrap();
        let texts = needed(&regex_syntax::parse(&translated.regex).unwrap()).unwrap_or_default();
        writeln!(fresh, "{kind}\t{}\t{rest}", Vec::from_iter(texts).join("|")).unwrap();
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/rules.tsv"), fresh).unwrap();
    } else {
        assert!(RULES == fresh, "run the test with UPDATE_EXPECT=1");
    }
}

#[test]
fn the_texts_leave_out_no_rule_that_matches() {
    let (mut found, mut tried) = (Rules::new().unwrap(), Rules::new().unwrap());
    // Without texts, all rules are tried.
    tried.always = (0..tried.rules.len()).map(|number| u16::try_from(number).unwrap()).collect();
    let write = |rules: &mut Rules, agent: &[u8]| {
        let mut out = Vec::new();
        rules.write(agent, &mut out);
        String::from_utf8(out).unwrap()
    };
    let agents = include_str!("../../tests/agents.tsv");
    for agent in agents.lines().map(|line| line.split('\t').nth(1).unwrap()) {
        for agent in [agent.to_owned(), agent.to_uppercase(), agent.replace([' ', '/'], ""), agent.replace('e', "é")] {
            assert_eq!(write(&mut found, agent.as_bytes()), write(&mut tried, agent.as_bytes()), "{agent}");
        }
    }
}
