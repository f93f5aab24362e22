use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use regex_syntax::hir::{Hir, HirKind};

use super::*;

#[test]
fn every_rule_compiles() {
    let rules = Rules::new().unwrap();
    assert!(rules.rules.len() > 1200);
    for rule in &rules.rules {
        let translated = translate_numbered(rule.regex).unwrap_or_else(|wrong| panic!("{}: {wrong:?}", rule.regex));
        Program::new(&translated).unwrap_or_else(|error| panic!("{}: {error}", rule.regex));
    }
    assert!(rules.always.len() < 60, "{} rules are always tried", rules.always.len());
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

/// Texts of which each match of an expression holds one. `None` if there are none that are long enough.
fn needed(hir: &Hir) -> Option<BTreeSet<String>> {
    match hir.kind() {
        HirKind::Literal(literal) => {
            let text = String::from_utf8(literal.0.to_vec()).unwrap().to_ascii_lowercase();
            (text.len() >= 3 && !text.contains(['|', '\t'])).then(|| BTreeSet::from([text]))
        }
        HirKind::Capture(capture) => needed(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => needed(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().filter_map(needed).max_by_key(rarity),
        HirKind::Alternation(parts) => {
            let parts: Option<Vec<BTreeSet<String>>> = parts.iter().map(needed).collect();
            Some(parts?.into_iter().flatten().collect()).filter(|texts: &BTreeSet<String>| texts.len() <= 60)
        }
        _ => None,
    }
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
