use proptest::prelude::*;

use super::*;
use crate::translate_numbered;

struct Matcher(Program, Memory);

impl Matcher {
    fn find(&mut self, text: &[u8]) -> Result<bool, TooLong> {
        self.1.find(&self.0, text)
    }
}

fn matcher(pattern: &str) -> Matcher {
    Matcher(Program::new(&translate_numbered(pattern).unwrap()).unwrap(), Memory::default())
}

#[test]
fn the_first_way_that_breaks_no_condition_matches() {
    let mut number = matcher("^(?<a>.*)(?<b>(?<![0-9])[0-9]+)$");
    assert_eq!(number.find(b"x12y345"), Ok(true));
    assert_eq!((number.1.get(1), number.1.get(2)), (Some((0, 4)), Some((4, 7))));
    assert_eq!(number.find(b"x"), Ok(false));
    assert_eq!(number.1.get(1), None);
}

#[test]
fn a_text_is_too_long_rather_than_slow() {
    let mut pattern = matcher("(?<a>(?:a|aa|[ab]c?){0,99})x");
    assert_eq!(pattern.find(&vec![b'a'; 1 << 20]), Err(TooLong));
    assert_eq!(pattern.find(&vec![b'a'; 1 << 14]), Ok(false));
    // The time of three repetitions that take anything grows with the square of the length.
    let mut pattern = matcher("(?<a>.*) (?<b>.*) (?<c>.*)X");
    assert_eq!(pattern.find(&b"a ".repeat(20_000)), Err(TooLong));
    assert_eq!(pattern.find(&b"a ".repeat(1_000)), Ok(false));
    assert_eq!(pattern.find(&[&b"a ".repeat(20_000)[..], b"X"].concat()), Ok(true));
}

#[test]
fn a_long_text_that_leaves_many_ways_ends() {
    let text = "a foo é ".repeat(200);
    for pattern in [
        "(?<a>.*?) foo (?<b>.*)bar",
        "(?<a>.*) (?<b>.*) (?<c>.*)x",
        "(?<a>(?:.*? )*)x",
        "(?<a>.*a.*o.*é.*)x",
        "(?<a>[^x]*)y",
    ] {
        let mut matcher = matcher(pattern);
        assert_eq!(matcher.find(text.as_bytes()), Ok(false), "{pattern}");
    }
}

/// Parts of patterns, with look-around and repetitions of all kinds.
fn patterns() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[abé]",
        Just(".".to_owned()),
        Just("[^a]".to_owned()),
        "[abé.][*+?][?]?",
        Just("[ab]{1,3}".to_owned()),
        Just(r"\b".to_owned()),
        Just("^".to_owned()),
        Just("$".to_owned()),
        Just("(?<![ab])".to_owned()),
        Just("(?=b)".to_owned()),
        Just("(?!é)".to_owned()),
        Just("(?<=a)".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            prop::collection::vec(inner.clone(), 2..7).prop_map(|parts| format!("(?:{})", parts.join("|"))),
            (inner.clone(), prop_oneof!["[*+?]", Just("{1,2}".to_owned()), Just("{2}".to_owned())])
                .prop_map(|(part, how)| format!("(?:{part}){how}")),
            (inner.clone(), "[*+?]").prop_map(|(part, how)| format!("(?:{part}){how}?")),
            inner.prop_map(|part| format!("(?<f>{part})")),
        ]
    })
}

proptest! {
    #[test]
    fn without_conditions_it_finds_what_the_crate_regex_finds(pattern in patterns(), text in "[abé ]{0,12}") {
        let pattern = pattern.replace("(?<![ab])", "").replace("(?=b)", "").replace("(?!é)", "").replace("(?<=a)", "");
        let translated = translate_numbered(&pattern).unwrap();
        let regex = regex::bytes::Regex::new(&translated.regex).unwrap();
        let mut matcher = matcher(&pattern);
        let found = regex.captures(text.as_bytes());
        // First without remembering failures, if rounds cannot be empty, and then with it.
        for _ in 0..2 {
            prop_assert_eq!(matcher.find(text.as_bytes()), Ok(found.is_some()), "{}", pattern);
            for group in 1..=translated.groups.len() {
                let expected = found.as_ref().and_then(|found| found.get(group));
                let expected = expected.map(|group| (group.start(), group.end()));
                prop_assert_eq!(matcher.1.get(group).filter(|_| found.is_some()), expected, "group {} of {}", group, pattern);
            }
            matcher.1.remembers_always = true;
        }
    }

    #[test]
    fn with_conditions_it_matches_where_a_backtracking_engine_does(pattern in patterns(), text in "[abé ]{0,12}") {
        let fancy = fancy_regex::Regex::new(&pattern.replace("(?<f>", "(").replace(r"\b", r"(?:\b)"));
        let Ok(Ok(expected)) = fancy.map(|fancy| fancy.is_match(&text)) else { return Ok(()) };
        // A word boundary here is one of ASCII, there of Unicode.
        if !(pattern.contains(r"\b") && text.contains('é')) {
            prop_assert_eq!(matcher(&pattern).find(text.as_bytes()), Ok(expected));
        }
    }
}
