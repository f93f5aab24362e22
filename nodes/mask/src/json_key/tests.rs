//! Tests of the search for keys: every spelling, every place, every kind of value.

#![expect(clippy::string_slice, reason = "a slice at a wrong place fails the test, as it should")]

use super::*;
use crate::scan::Scan;
use crate::span::{Place, merge};

fn find(search: &mut KeySearch, column: Rows<'_>, out: &mut Vec<Span>, too_deep: impl FnMut(usize)) {
    let mut scan = Scan::new(&search.windows().collect::<Vec<_>>());
    search.find(column, &mut scan.find(column.bytes), out, too_deep);
}

/// Masks the values of keys with `#` in a column of one row. Bare values get quotes, as in the
/// final output.
fn masked_by(keys: &[&str], spelling: Spelling, text: &str) -> String {
    let keys = keys.iter().map(|k| spelling.of(k.as_bytes())).collect();
    let mut search = KeySearch::new(vec![KeyRule::new(0, keys, spelling)]).unwrap();
    let mut spans = Vec::new();
    let offsets = [0, u32::try_from(text.len()).unwrap()];
    find(&mut search, Rows { bytes: text.as_bytes(), offsets: &offsets }, &mut spans, |_| panic!("too deep: {text}"));
    merge(&mut spans);
    show(text, &spans)
}

fn show(text: &str, spans: &[Span]) -> String {
    let (mut out, mut at) = (String::new(), 0);
    for span in spans {
        out.push_str(&text[at..span.start]);
        out.push_str(if matches!(span.place, Place::Bare(_)) { "B" } else { "#" });
        at = span.end;
    }
    out + &text[at..]
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(masked_by(&["key"], Spelling::Exact, text), expected, "{text}");
}

#[test]
fn strings_are_masked_in_every_layout() {
    check(r#"{"key":"v"}"#, r##"{"key":"#"}"##);
    check(r#"{"a":1,"key" : "v" ,"b":2}"#, r##"{"a":1,"key" : "#" ,"b":2}"##);
    check("{\n  \"key\":\t\r\n \"v\"\n}", "{\n  \"key\":\t\r\n \"#\"\n}");
    check(r#"{"a":{"b":[{"key":"v"},{"key":"w"}]}}"#, r##"{"a":{"b":[{"key":"#"},{"key":"#"}]}}"##);
    check(r#"{"key":"a\"b\\","x":"y"}"#, r##"{"key":"#","x":"y"}"##);
    check(r#"{"key":"{\"key\":\"v\"}","x":"y"}"#, r##"{"key":"#","x":"y"}"##);
    check(r#"{"key":"äöü","x":"y"}"#, r##"{"key":"#","x":"y"}"##);
}

#[test]
fn only_whole_keys_count() {
    for text in [
        r#"{"xkey":"v"}"#,
        r#"{"keyx":"v"}"#,
        r#"{"a":"key"}"#,
        r#"{"a":"key","b":"c"}"#,
        r#"["key","v"]"#,
        r#"{"a key":"v"}"#,
        r#"{"key ":"v"}"#,
        r#"{"KEY":"v"}"#,
        r#"{"key\\":"v"}"#,
        r#"{"\\\"key":"v"}"#,
        r#"{"key\n":"v"}"#,
        r#"{"key":"#,
        r#"{"key""#,
        r#""key"#,
        "key",
        r#"{"key":}"#,
        r#"{"key":,"a":"b"}"#,
        "",
    ] {
        check(text, text);
    }
}

#[test]
fn other_values_are_masked_by_their_kind() {
    check(r#"{"key":12.5e3}"#, r#"{"key":B}"#);
    check(r#"{"key": -1 ,"a":2}"#, r#"{"key": B ,"a":2}"#);
    check(r#"{"key":true,"a":[false]}"#, r#"{"key":B,"a":[false]}"#);
    check(r#"{"key":null,"a":"b"}"#, r#"{"key":null,"a":"b"}"#);
    check(r#"{"key":nullx}"#, r#"{"key":B}"#);
    check(r#"{"key":unquoted/+=}"#, r#"{"key":B}"#);
    check(r#"{"key":[],"a":"b"}"#, r#"{"key":[],"a":"b"}"#);
    check(r#"{"key":["a",1,null,true,["b"]],"a":"b"}"#, r##"{"key":["#",B,null,true,["#"]],"a":"b"}"##);
    check(
        r#"{"key": {"a" : "b", "c":{"d":"e","f":2}, "g":[{"h":"i"}]}, "j":"k"}"#,
        r##"{"key": {"a" : "#", "c":{"d":"#","f":B}, "g":[{"h":"#"}]}, "j":"k"}"##,
    );
    // A key inside a masked value: the inner rule masks what the outer one leaves.
    check(
        r#"{"key":{"key":true,"a":true,"b":{"key":[true,"c"]}},"d":1}"#,
        r##"{"key":{"key":B,"a":true,"b":{"key":[true,"#"]}},"d":1}"##,
    );
}

#[test]
fn escaped_text_is_masked_at_any_depth() {
    check(r#"{"m":"{\"key\":\"v\",\"a\":\"b\"}"}"#, r##"{"m":"{\"key\":\"#\",\"a\":\"b\"}"}"##);
    check(r#"{"m":"{\"key\":12,\"a\":[1]}"}"#, r#"{"m":"{\"key\":B,\"a\":[1]}"}"#);
    check(r#"{"m":"{\"key\":true}"}"#, r#"{"m":"{\"key\":B}"}"#);
    check(r#"{"m":"{\"key\":\"v\\\"w\\\\\"}","a":"b"}"#, r##"{"m":"{\"key\":\"#\"}","a":"b"}"##);
    check(r#"{"m":"{\n  \"key\"\t:\r\n  \"v\"\n}"}"#, r##"{"m":"{\n  \"key\"\t:\r\n  \"#\"\n}"}"##);
    check(r#"{"m":"{\"key\":[\n  \"v\",\n  2\n ]}"}"#, r##"{"m":"{\"key\":[\n  \"#\",\n  B\n ]}"}"##);
    let mut text = r#"{"key":"v","a":"b"}"#.to_owned();
    let mut expected = r##"{"key":"#","a":"b"}"##.to_owned();
    for _ in 0..10 {
        text = serde_json::json!({ "m": text, "n": "x" }).to_string();
        expected = serde_json::json!({ "m": expected, "n": "x" }).to_string();
        check(&text, &expected);
    }
}

#[test]
fn escapes_in_keys_and_quotes_hide_nothing() {
    check(r#"{"k\u0065y":"v"}"#, r##"{"k\u0065y":"#"}"##);
    check(r#"{"\u006B\u0065\u0079":"v","a":"b"}"#, r##"{"\u006B\u0065\u0079":"#","a":"b"}"##);
    check(
        r#"{"m":"{\u0022key\u0022:\u0022v\u0022,\u0022a\u0022:\u0022b\u0022}"}"#,
        r##"{"m":"{\u0022key\u0022:\u0022#\u0022,\u0022a\u0022:\u0022b\u0022}"}"##,
    );
    check(
        r#"{"m":"{\u0022key\u0022:\u00221\u0022}","key":"w"}"#,
        r##"{"m":"{\u0022key\u0022:\u0022#\u0022}","key":"#"}"##,
    );
    // Twice escaped: the inner escape, the outer one, or both.
    check(r#"{"m":"{\\u0022key\\u0022:\\u0022v\\u0022}"}"#, r##"{"m":"{\\u0022key\\u0022:\\u0022#\\u0022}"}"##);
    check(r#"{"m":"{\\\u0022key\\\u0022:\\\u0022v\\\u0022}"}"#, r##"{"m":"{\\\u0022key\\\u0022:\\\u0022#\\\u0022}"}"##);
    check(
        r#"{"m":"{\u005c\u0022key\u005c\u0022:\u005c\u0022v\u005c\u0022}"}"#,
        r##"{"m":"{\u005c\u0022key\u005c\u0022:\u005c\u0022#\u005c\u0022}"}"##,
    );
    check(
        r#"{"m":"{\u005cu0022key\u005cu0022:\u005cu0022v\u005cu0022}"}"#,
        r##"{"m":"{\u005cu0022key\u005cu0022:\u005cu0022#\u005cu0022}"}"##,
    );
    check(
        r#"{"m":"{\\\u00750022key\\u00\u00322\u003a\\u0022v\\u0022}"}"#,
        r##"{"m":"{\\\u00750022key\\u00\u00322\u003a\\u0022#\\u0022}"}"##,
    );
    // Quotes that are spelled in two ways.
    check(r#"{"m":"{\"key\":\u0022v\",\"a\":\u0022b\"}"}"#, r##"{"m":"{\"key\":\u0022#\",\"a\":\u0022b\"}"}"##);
    check(r#"{"m":"{\"key\":\"v\u0022,\"a\":\"b\"}"}"#, r##"{"m":"{\"key\":\"#\u0022,\"a\":\"b\"}"}"##);
    // White space, colons and brackets.
    check(
        r#"{"m":"{\"key\"\u0020\u003A\u000a\u005B\"v\"\u005d,\"a\":\"b\"}"}"#,
        r##"{"m":"{\"key\"\u0020\u003A\u000a\u005B\"#\"\u005d,\"a\":\"b\"}"}"##,
    );
    // Escapes in a value that do not end it.
    check(r#"{"key":"a\u0022b\u005c","c":"d"}"#, r##"{"key":"#","c":"d"}"##);
    check(r#"{"key":"\u003ca\u003e","c":"d"}"#, r##"{"key":"#","c":"d"}"##);
    check(r#"{"key":\u0022v\u0022}"#, r##"{"key":\u0022#\u0022}"##);
    // A key inside of a masked value, with a value that the outer key leaves.
    check(
        r#"{"k\u0065y":{"a":true,"k\u0065y":true,"b":[{"key":false}]}}"#,
        r#"{"k\u0065y":{"a":true,"k\u0065y":B,"b":[{"key":B}]}}"#,
    );
    // Backslashes that are no escapes.
    check(r#"{"p":"C:\\u0061\\key\\","key":"v"}"#, r##"{"p":"C:\\u0061\\key\\","key":"#"}"##);
    check(r#"\d \w "\u0061": "k\u0065y":"v" \q"#, r##"\d \w "\u0061": "k\u0065y":"#" \q"##);
}

#[test]
fn keys_of_all_kinds_are_found() {
    #[track_caller]
    fn check(keys: &[&str], spelling: Spelling, text: &str, expected: &str) {
        assert_eq!(masked_by(keys, spelling, text), expected, "{keys:?} {text}");
    }
    check(
        &["schlüssel"],
        Spelling::Exact,
        r#"{"schlüssel":"v","schl\u00FCssel":"w"}"#,
        r##"{"schlüssel":"#","schl\u00FCssel":"#"}"##,
    );
    check(
        &["a/b"],
        Spelling::Exact,
        r#"{"a/b":"v","a\/b":"w","m":"{\"a\\/b\":\"x\"}"}"#,
        r##"{"a/b":"#","a\/b":"#","m":"{\"a\\/b\":\"#\"}"}"##,
    );
    check(
        &["sessionToken", "SessionToken", "xToken"],
        Spelling::Exact,
        r#"{"sessionToken":"v","SessionToken":"w","Token":"x","xToken":"y"}"#,
        r##"{"sessionToken":"#","SessionToken":"#","Token":"x","xToken":"#"}"##,
    );
    check(
        &["xaaaaa", "aaaaaaaa"],
        Spelling::Exact,
        r#"{"aaaaaaaa":"v","xaaaaa":"w","aaaaaaa":"x"}"#,
        r##"{"aaaaaaaa":"#","xaaaaa":"#","aaaaaaa":"x"}"##,
    );
    check(
        &["aXb"],
        Spelling::IgnoreCase,
        r#"{"axB":"v","AXB":"w","axc":"x","\u0041xb":"y"}"#,
        r##"{"axB":"#","AXB":"#","axc":"x","\u0041xb":"#"}"##,
    );
    check(&["1_2"], Spelling::IgnoreCase, r#"{"1_2":"v"}"#, r##"{"1_2":"#"}"##);
    check(&["k"], Spelling::Exact, r#"{"k":"k","kk":"k"}"#, r##"{"k":"#","kk":"k"}"##);
    for name in [
        "accessKeyId",
        "AccessKeyID",
        "accesskeyid",
        "access_key_id",
        "access-key-id",
        "ACCESS_KEY_ID",
        "Access Key Id",
    ] {
        check(&["accessKeyId"], Spelling::Any, &format!(r#"{{"{name}":"v"}}"#), &format!(r##"{{"{name}":"#"}}"##));
        check(&["access_key-ID"], Spelling::Any, &format!("x {name}=v"), &format!("x {name}=#"));
    }
    for text in
        [r#"{"accessKeyIds":"v"}"#, r#"{"xAccessKeyId":"v"}"#, r#"{"access___key_id":"v"}"#, r#"{"accessId":"v"}"#]
    {
        check(&["accessKeyId"], Spelling::Any, text, text);
    }
    check(
        &["accessKeyId"],
        Spelling::Any,
        r#"{"\u0061ccess\u005fkey_id":"v"}"#,
        r##"{"\u0061ccess\u005fkey_id":"#"}"##,
    );
    check(&["1_2"], Spelling::Any, r#"{"12":"v","1-2":"w","1x2":"x"}"#, r##"{"12":"#","1-2":"#","1x2":"x"}"##);
}

#[test]
fn spaces_at_the_edges_and_colours_in_a_key_in_any_spelling_hide_nothing() {
    for name in [
        "accessKeyId ",
        " accessKeyId",
        "  access_key_id  ",
        "access\u{1b}[1mKeyId",
        "access\u{1b}[1;34mKey\u{1b}[0mId",
        "\u{1b}[1maccessKeyId\u{1b}[0m",
        "access\\u001b[1mKeyId",
        "\\u001b[1maccessKeyId\\u001b[0m",
    ] {
        for (before, after) in [("{\"", "\":\"v\"}"), ("{'", "': 'v'}"), ("{\"m\":\"{\\\"", "\\\":\\\"v\\\"}\"}")] {
            let text = format!("{before}{name}{after}");
            let expected = format!("{before}{name}{}", after.replace('v', "#"));
            assert_eq!(masked_by(&["accessKeyId"], Spelling::Any, &text), expected, "{text}");
        }
    }
    let both = ["accessKeyId", "awsAccessKeyId"];
    for name in ["aws_access_key_id", "awsAccessKeyId", "AWSAccessKeyId", "AccessKeyId"] {
        assert_eq!(masked_by(&both, Spelling::Any, &format!("{name}=v")), format!("{name}=#"));
    }
}

#[test]
fn percent_encoded_punctuation_in_a_key_hides_nothing() {
    for (spelling, key) in [
        (Spelling::Exact, "X-Amz-Security-Token"),
        (Spelling::Exact, "x.y/1-z"),
        (Spelling::IgnoreCase, "X-Amz-Security-Token"),
        (Spelling::Any, "X-Amz-Security-Token"),
        (Spelling::Any, "access_key id"),
    ] {
        for (times, digits) in [("", "X"), ("", "x"), ("25", "X"), ("2525", "x")] {
            let encode = |byte: char| match digits {
                _ if byte.is_ascii_alphanumeric() => byte.to_string(),
                "X" => format!("%{times}{:02X}", byte as u8),
                _ => format!("%{times}{:02x}", byte as u8),
            };
            let name: String = key.chars().map(encode).collect();
            for (before, after) in [("?a=b&", "=v&c=d"), ("", "=v"), ("{\"", "\":\"v\"}"), ("%22", "%22%3A%22v%22")] {
                let text = format!("{before}{name}{after}");
                let expected = format!("{before}{name}{}", after.replace('v', "#"));
                assert_eq!(masked_by(&[key], spelling, &text), expected, "{text}");
            }
        }
    }
}

#[test]
fn broken_text_is_masked_up_to_its_end() {
    // Cut documents.
    check(r#"{"a":[{"key":"v"},{"key":"wwww"#, r##"{"a":[{"key":"#"},{"key":"#"##);
    check(r#"{"m":"{\"key\":\"vvvv"}"#, r##"{"m":"{\"key\":\"#"}"##);
    check(r#"{"m":"{\"key\":","n":"o"}"#, r#"{"m":"{\"key\":","n":"o"}"#);
    check(r#"{"m":"{\"key\":[\"v\",\"w","n":"o"}"#, r##"{"m":"{\"key\":[\"#\",\"#","n":"o"}"##);
    check(r#"{"key":["v""#, r##"{"key":["#""##);
    check(r#"{"m":"{\u0022key\u0022:\u0022vvv"}"#, r##"{"m":"{\u0022key\u0022:\u0022#"}"##);
    check(r#"{"m":"{\u0022key\u0022:\u0022vvv"#, r##"{"m":"{\u0022key\u0022:\u0022#"##);
    // JSON in other text.
    check(r#"2025 INFO got {"key":"v"} and "key" : "w"."#, r##"2025 INFO got {"key":"#"} and "key" : "#"."##);
    check("{\"key\":\"v\"}\n{\"key\":\"w\"}\n", "{\"key\":\"#\"}\n{\"key\":\"#\"}\n");
    // Quotes that are escaped without need.
    check(r#"{"key":\"v\","a":"b"}"#, r##"{"key":\"#\","a":"b"}"##);
    check(r#"{\"key\":\"v\"}"#, r##"{\"key\":\"#\"}"##);
}

#[test]
fn rows_do_not_reach_into_each_other() {
    let rows =
        [r#"{"key""#, r#":"v"}"#, "", r#"{"key":"w"#, r#"","a":"b"}"#, r#"{"k\u0065y":"x"#, r#"y","\u006bey":"z"}"#];
    let mut offsets = vec![0];
    for row in rows {
        offsets.push(offsets.last().unwrap() + u32::try_from(row.len()).unwrap());
    }
    let text = rows.concat();
    let mut search = KeySearch::new(vec![KeyRule::new(0, vec![b"key".as_slice().into()], Spelling::Exact)]).unwrap();
    let mut spans = Vec::new();
    find(&mut search, Rows { bytes: text.as_bytes(), offsets: &offsets }, &mut spans, |_| panic!());
    merge(&mut spans);
    assert_eq!(show(&text, &spans), r##"{"key":"v"}{"key":"#","a":"b"}{"k\u0065y":"#y","\u006bey":"#"}"##);
}

#[test]
fn escapes_of_escapes_without_end_are_reported() {
    let deep = format!(r#"{{"a":"\u005c{}0022"}}"#, "u005c".repeat(30));
    let mut search = KeySearch::new(vec![KeyRule::new(0, vec![b"key".as_slice().into()], Spelling::Exact)]).unwrap();
    let rows = [r#"{"a":"\u0022"}"#, &deep, r#"{"b":"C:\\\\dir\u0022 \d"}"#];
    let mut offsets = vec![0];
    for row in rows {
        offsets.push(offsets.last().unwrap() + u32::try_from(row.len()).unwrap());
    }
    let mut reported = Vec::new();
    let text = rows.concat();
    find(&mut search, Rows { bytes: text.as_bytes(), offsets: &offsets }, &mut Vec::new(), |row| reported.push(row));
    assert_eq!(reported, [1]);
}

/// Texts on which a quadratic search would take minutes.
#[test]
fn hostile_text_takes_linear_time() {
    let repeated = [
        r#"{"key":"#,
        r#"{"key":["#,
        r#"{"key":{"k\u0065y":"#,
        r#""key":""#,
        r#"\"key\":\""#,
        r#""key":["\u0022",{"#,
        r#"\u0022key\u0022:\u0022"#,
        r#"\u0022key\u0022:[\n"#,
        r#""key" "#,
        r"\u005c",
        r"\\",
        "%5C",
        "%5C%22key",
        "%5C%22key%5C%22%3A%5C%22",
        r"\&quot;key\&quot;:",
        "kkkkkkey",
        "<key a='",
        "<key a=\"b\" ",
        "<key>",
        "key:\n ",
        "key:\n - ",
        "key: !a !b ",
        "key: &a\n",
        "\"key\"/*",
        "/*\"key\"/**/",
        "\"key\"://",
        "\"key\"//",
        "\"key\":\"a\"b",
        "\"key\":\"\"",
        "\"key\":'a' + ",
        "\\u0022key\\u0022:\\u0022a\\u0022b",
        "{key\"",
        "<a:key b=c>",
        "<key a>/key",
    ];
    let mut search = KeySearch::new(vec![KeyRule::new(0, vec![b"key".as_slice().into()], Spelling::Exact)]).unwrap();
    let line_feeds = r"\n".repeat(100) + r"\u0022";
    for piece in repeated.into_iter().chain([&*line_feeds]) {
        // Escapes at the end make everything before it look unfinished.
        for end in ["", r#""\u0022\u"#] {
            let text = piece.repeat(1_000_000 / piece.len()) + end;
            let offsets = [0, u32::try_from(text.len()).unwrap()];
            let started = std::time::Instant::now();
            find(&mut search, Rows { bytes: text.as_bytes(), offsets: &offsets }, &mut Vec::new(), |_| {});
            // A search that looks back or ahead each time would read more than 10^11 bytes.
            assert!(started.elapsed().as_secs() < 20, "{piece}: {:?}", started.elapsed());
        }
    }
}

proptest::proptest! {
    /// Decoding gives the same result from any start outside of an escape.
    #[test]
    fn decoding_can_begin_anywhere_outside_of_escapes(
        pieces in proptest::collection::vec(proptest::sample::select(vec![
            r"\", r"\\", r"\u005c", "u005c", "u0075", r"\u0075", "0022", r"\u0022", "\"", "00", "2", "n", "key", ":", "x", "abcdef0123456789",
        ]), 0..60),
        at in 0..200_usize,
    ) {
        fn tokens(text: &[u8], at: usize) -> Vec<reader::Token> {
            let mut reader = DecodedReader::new(text, at);
            std::iter::from_fn(|| {
                let token = reader.peek().unwrap();
                reader.advance();
                token
            })
            .collect()
        }
        let text = pieces.concat();
        let place = outside_escapes(text.as_bytes(), 0, at.min(text.len()));
        proptest::prop_assert!(place <= at);
        let mut all = tokens(text.as_bytes(), 0);
        all.retain(|token| token.start >= place);
        proptest::prop_assert_eq!(tokens(text.as_bytes(), place), all);
    }
}
