use std::collections::BTreeMap;

use super::*;

/// Custom patterns, and `INT`, which is not.
struct Library(BTreeMap<String, String>);

impl Names for Library {
    fn get(&self, name: &str) -> Option<Definition<'_>> {
        if name == "INT" {
            return Some(Definition { text: "[+-]?[0-9]+", is_custom: false });
        }
        self.0.get(name).map(|text| Definition { text, is_custom: true })
    }

    fn closest(&self, name: &str) -> Option<&str> {
        (name == "INTS").then_some("INT")
    }
}

fn custom(patterns: &[(&str, &str)]) -> Library {
    Library(patterns.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
}

#[track_caller]
fn check(text: &str, regex: &str) {
    assert_eq!(translate(&custom(&[]), text, None).unwrap().regex, regex, "{text}");
}

#[track_caller]
fn refuse(patterns: &[(&str, &str)], text: &str, message: &str) {
    let custom = custom(patterns);
    let wrong = translate(&custom, text, None).unwrap_err();
    assert!(wrong.message.contains(message), "{text}: {}", wrong.message);
}

#[test]
fn the_syntax_of_ruby_becomes_that_of_the_crate() {
    check(r"\d\D\w\W\h", "[0-9][^0-9][0-9A-Za-z_][^0-9A-Za-z_][0-9A-Fa-f]");
    check(r"[\d\W]", "[[0-9][^0-9A-Za-z_]]");
    check(r"\bx\B", r"(?-u:\b)x(?-u:\B)");
    check(r"a\<b\>\/\_\.", r"a<b>/_\.");
    check(r"{a} x{2} x{,3} x{1,} x{a}", r"\{a\} x{2} x{0,3} x{1,} x\{a\}");
    check("a*+b++c?+d*?", "a*b+c?d*?");
    check("(a)(?:b)(?>c)(?m:.)(?i)d(?#no)", "(?:a)(?:b)(?:c)(?s:.)(?i)d");
    check("[]a][^]b][[:alpha:]_][a--]", r"[\]a][^\]b][[:alpha:]_][a-\-]");
    check("%{INT}%a%", "(?:[+-]?[0-9]+)%a%");
}

#[test]
fn fields_and_look_around_become_groups() {
    let custom = custom(&[("ORDER", "[A-Z]{2}%{INT:number:int}")]);
    let done = translate(&custom, "(?<![0-9])%{ORDER:order} (?<rest>.*)", None).unwrap();
    assert_eq!(done.regex, "()([A-Z]{2}([+-]?[0-9]+)) (.*)");
    let field = |name: &str, type_name: Option<&str>| Group::Field {
        name: name.to_owned(),
        type_name: type_name.map(str::to_owned),
    };
    let look = Group::Look(LookAround::new("[0-9]", false, true).unwrap());
    assert_eq!(done.groups, [look, field("order", None), field("number", Some("int")), field("rest", None)]);
}

#[test]
fn groups_without_a_name_count_where_there_are_no_fields() {
    let done = translate_numbered(r"(?i)(a)\d(?:b|(c))").unwrap();
    assert_eq!((done.regex.as_str(), done.groups.len()), ("(?i)(a)[0-9](?:b|(c))", 2));
}

#[test]
fn what_cannot_be_translated_is_refused() {
    refuse(&[], "%{INTS:a}", "there is no pattern `INTS`; did you mean `INT`?");
    refuse(&[], "%{XQZWVUTS:a}", "define it in `custom_patterns`");
    refuse(&[], "%{INT:}", "has no field");
    refuse(&[], "%{INT", "has no `}`");
    refuse(&[], r"(a)\1", "refers to a group");
    refuse(&[], "(?=ab)", "over one character");
    refuse(&[], "(?=(?<a>b))", "over one character");
    refuse(&[], "(?i)a(?<![a-z])", "write both cases");
    refuse(&[], "(?=a", "no `)`");
    refuse(&[], "(?(1)a)", "not supported");
    refuse(&[], "[a", "no `]`");
    refuse(&[], "a\\", "ends the pattern");
    refuse(&[("A", "%{B}"), ("B", "%{A}")], "%{A}", "`A` refers to itself: A -> B -> A");
    let doubling: Vec<(String, String)> =
        (0..30).map(|n| (format!("P{n}"), format!("%{{P{}}}%{{P{}}}", n + 1, n + 1))).collect();
    let mut doubling: Vec<(&str, &str)> = doubling.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    doubling.push(("P30", ""));
    refuse(&doubling, "%{P0}", "128 KiB");
    let deep: Vec<(String, String)> = (0..99).map(|n| (format!("P{n}"), format!("%{{P{}}}", n + 1))).collect();
    let deep: Vec<(&str, &str)> = deep.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    refuse(&deep, "%{P0}", "levels deep");
}
