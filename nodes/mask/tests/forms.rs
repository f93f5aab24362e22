//! A corpus of forms in which a secret with a key can arrive. No output contains the secret, and
//! rows that the node cannot search fail with a code. A text that is cut at any byte is one of the
//! forms.

#![expect(clippy::unwrap_used, clippy::string_slice, reason = "what is not as expected fails the test, as it should")]

use std::io::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};
use wattle_batch::{Ack, Batch, Column, Origin};
use wattle_node::native::Native;
use wattle_node_mask::Mask;

const SECRET: &str = "ASIAIOSFODNN7EXAMPLE";
const OTHER: &str = "FwoGZXIvYXdzEJr+SECRET/TOKEN=";

fn node(on_undecidable: &str) -> Native<Mask> {
    let options = json!({"rules": [{"json_key": ["accessKeyId", "sessionToken"]}], "on_undecidable": on_undecidable});
    Native::configure("mask", &options.to_string()).unwrap()
}

/// The text that leaves for a row, and the code of its failure.
fn run(node: &mut Native<Mask>, row: &[u8]) -> (Vec<u8>, Option<String>) {
    let origin = Origin { source: "in".into(), resource: "{}".into(), observed: 0 };
    let batch = Batch::new(Column::from_rows([row]).unwrap(), Arc::new(origin), Ack::none());
    let outcome = node.process(batch).map_err(|e| format!("{:?}", e.1)).unwrap();
    match &outcome.failed {
        Some(failed) => (Vec::new(), failed.failure(0).map(|f| f.code.to_string())),
        None => (outcome.emitted.iter().flat_map(|(_, batch)| batch.body().row(0).to_vec()).collect(), None),
    }
}

fn holds(text: &[u8], secret: &str) -> bool {
    memchr::memmem::find(text, secret.as_bytes()).is_some()
}

fn document() -> Value {
    json!({"Records": [
        {"eventName": "PutObject", "userIdentity": {"accessKeyId": SECRET, "type": "IAMUser"}, "n": 1},
        {"responseElements": {"credentials": {"sessionToken": OTHER, "expiration": "Jan 1"}}, "list": ["a", "b"]},
    ]})
}

fn escaped(text: &str, depth: usize) -> String {
    (0..depth).fold(text.to_owned(), |text, _| json!({ "message": text }).to_string())
}

fn documents() -> Vec<String> {
    let compact = document().to_string();
    let pretty = serde_json::to_string_pretty(&document()).unwrap();
    (0..=4).flat_map(|depth| [escaped(&compact, depth), escaped(&pretty, depth)]).collect()
}

#[test]
fn a_document_cut_at_every_byte_shows_no_secret() {
    let mut node = node("quarantine");
    let (mut heads, mut tails, mut failed) = (0, 0, 0);
    for document in documents() {
        for cut in 0..=document.len() {
            let (head, tail) = document.split_at(cut);
            let (out, code) = run(&mut node, head.as_bytes());
            assert_eq!(code, None, "a beginning is decided: {head}");
            heads += 1;
            for secret in [SECRET, OTHER] {
                // Nor the beginning of it, from eight characters on.
                assert!(!holds(&out, &secret[..8]), "{head} became {}", String::from_utf8_lossy(&out));
            }
            let (out, code) = run(&mut node, tail.as_bytes());
            tails += 1;
            failed += usize::from(code.is_some());
            for secret in [SECRET, OTHER] {
                assert!(!holds(&out, &secret[secret.len() - 8..]), "{tail} became {}", String::from_utf8_lossy(&out));
            }
        }
    }
    println!("{heads} beginnings, {tails} ends of which {failed} failed: 0 readable secrets");
}

/// Values that are recognised by their format and not by a key.
#[test]
fn a_value_in_a_sentence_of_a_document_cut_at_every_byte_is_not_shown() {
    let rules = json!([{"json_key": "accessKeyId"}, {"preset": "aws-access-key-id"}, {"preset": "aws-role-session"}]);
    let mut node = Native::<Mask>::configure("mask", &json!({ "rules": rules }).to_string()).unwrap();
    let (key, session) = ("AKIAJ8XDNE4WQZ6RHUVC", "operator-k3Wj8");
    let document = json!([
        {"m": format!("user of {key} is not allowed"), "principalId": format!("AROAM2CEUB5RLP9ZFTYX:{session}")},
        {"accessKeyId": SECRET, "n": [1, "x"], "last": format!("{key} or {key}")},
    ]);
    for layout in [document.to_string(), serde_json::to_string_pretty(&document).unwrap()] {
        for text in [layout.clone(), escaped(&layout, 1), escaped(&layout, 2), format!("12:00 INFO got {layout}")] {
            for cut in 0..=text.len() {
                for part in [&text[..cut], &text[cut..]] {
                    let (out, _) = run(&mut node, part.as_bytes());
                    for secret in [key, session, SECRET] {
                        let shown =
                            secret.as_bytes().windows(8).find(|window| memchr::memmem::find(&out, window).is_some());
                        assert_eq!(shown, None, "{part} became {}", String::from_utf8_lossy(&out));
                    }
                }
            }
        }
    }
}

/// `@` stands for the secret.
const LITERALS: &[&str] = &[
    "{accessKeyId:'@'}",
    "{'accessKeyId': '@', 'a': 1}",
    "{'accessKeyId': b'@'}",
    "{u'accessKeyId': u'@'}",
    "{\"accessKeyId\": b\"@\"}",
    "{\"accessKeyId\": '@'}",
    "{accessKeyId: `@`}",
    "{\"accessKeyId\"=>\"@\", :b=>1}",
    "{:accessKeyId=>\"@\"}",
    "accessKeyId=@",
    "accessKeyId = \"@\"",
    "accessKeyId: @",
    "export accessKeyId='@'",
    "--accessKeyId @ --region x",
    "--accessKeyId=@",
    "?a=b&accessKeyId=@&c=d",
    "%7B%22accessKeyId%22%3A%22@%22%7D",
    "%257B%2522accessKeyId%2522%253A%2522@%2522%257D",
    "%5C%22accessKeyId%5C%22%3A%20%5C%22@%5C%22",
    "%5c%5c%5c%22accessKeyId%5c%5c%5c%22%3a%5c%5c%5c%22@%5c%5c%5c%22%2c%5c%22",
    "%255C%2522accessKeyId%255C%2522%253A%255C%2522@%255C%2522",
    "{\\&quot;accessKeyId\\&quot;:\\&quot;@\\&quot;}",
    "{&quot;accessKeyId&quot;:&quot;@&quot;}",
    "{&#34;accessKeyId&#34;: &#34;@&#34;}",
    "{&amp;quot;accessKeyId&amp;quot;:&amp;quot;@&amp;quot;}",
    "<Credentials><accessKeyId>@</accessKeyId></Credentials>",
    "<accessKeyId>\n  @\n</accessKeyId>",
    "&lt;accessKeyId&gt;@&lt;/accessKeyId&gt;",
    "<user accessKeyId=\"@\"/>",
    "<ns:accessKeyId>@</ns:accessKeyId>",
    "<a><ns-1.x:accessKeyId>\n <v>@</v></ns-1.x:accessKeyId></a>",
    "<accessKeyId type=\"x\">@</accessKeyId>",
    "<ns:accessKeyId\n a='>' b=\"/>\" >@</ns:accessKeyId>",
    "<accessKeyId type=\"x\"><v>@</v></accessKeyId>",
    "&lt;ns:accessKeyId type=&quot;x&quot;&gt;@&lt;/ns:accessKeyId&gt;",
    "%3Cns:accessKeyId%20type=%22x%22%3E@%3C/ns:accessKeyId%3E",
    "%7B%22accessKeyId%22%3A+%22@%22%7D",
    "%7B%0A++%22accessKeyId%22+%3A++%22@%22%0A%7D",
    "%257B%2522accessKeyId%2522%253A+%2522@%2522%257D",
    "accessKeyId%3D+@",
    "x,\"{\"\"accessKeyId\"\":\"\"@\"\"}\"",
    "headers['accessKeyId'] = '@'",
    "[accessKeyId] => @",
    "[\"accessKeyId\"]=>\n  string(20) \"@\"",
    "a:1:{s:11:\"accessKeyId\";s:20:\"@\";}",
    "('accessKeyId', '@')",
    "map[accessKeyId:@ b:c]",
    "Credentials { accessKeyId: Some(\"@\"), b: None }",
    "Credentials(accessKeyId=SecretStr('@'))",
    "{\\u0027accessKeyId\\u0027:\\u0027@\\u0027}",
    "{\\x22accessKeyId\\x22:\\x22@\\x22}",
    "{\u{201c}accessKeyId\u{201d}: \u{201c}@\u{201d}}",
    "accessKeyId:\n  '@'",
    "accessKeyId: |\n  @\nb: c",
    "accessKeyId: >-\n  @\n",
    "{:accessKeyId \"@\"}",
    "{'accessKeyId': ['@', '@']}",
    "{'accessKeyId': {'a': '@'}}",
    "{'accessKeyId': '''@'''}",
    "\"accessKeyId\" : \"@\",",
    "accessKeyId -> @",
    "accessKeyId := \"@\"",
    "accessKeyId:\n  @",
    "a:\n  accessKeyId:\n    @\n  b: c",
    "accessKeyId:\n- @\n- @\nb: c",
    "accessKeyId:\n  - a\n  - @\n",
    "accessKeyId: &anchor @",
    "accessKeyId: !@ and more",
    "accessKeyId: &@\nb: c",
    "accessKeyId: !!str @",
    "accessKeyId: !!str &a '@'",
    "accessKeyId: &a\n  @",
    "accessKeyId:\r@",
    "accessKeyId: \r  @\rb: c",
    "accessKeyId:\r'@'",
    "\u{1b}[34;1m\"accessKeyId\"\u{1b}[0m:\u{1b}[0m \u{1b}[0;32m\"@\"\u{1b}[0m",
    "\u{1b}[34;1maccessKeyId\u{1b}[0m: \u{1b}[32m@\u{1b}[0m",
    "\"\u{1b}[34;1maccessKeyId\u{1b}[0m\": \"@\"",
];

/// Text without meaning, or misplaced text, between key and value.
const BROKEN: &[&str] = &[
    "{\"accessKeyId\" /* c */ : /* d */ \"@\"}",
    "{\"accessKeyId\"/**/:/* \n */\"@\"}",
    "{accessKeyId /* c */ : /* d */ '@'}",
    "{\"accessKeyId\": // d\t \"@\"}",
    "{\"accessKeyId\": // d\n \"@\", \"a\": 1}",
    "{\"accessKeyId\" // d\n : \"@\"}",
    "{\"accessKeyId\"\u{b}:\u{c}\"@\"}",
    "{\"accessKeyId\"\0:\0\"@\"}",
    "{\"accessKeyId\"\u{a0}:\u{a0}\"@\"}",
    "{\"accessKeyId\"\u{feff}:\u{feff}\"@\"}",
    "{\"accessKeyId\"\u{200b}:\u{2003}\"@\"}",
    "{'accessKeyId'\u{b}:\u{feff} '@'}",
    "{\"accessKeyId\"#:\"@\"}",
    "{\"accessKeyId\":~\"@\"}",
    "{\"accessKeyId\"\u{e9}:\u{e9}\"@\"}",
    "{\"accessKeyId\":\"a\"+\"@\"}",
    "{\"accessKeyId\":\"a\" + \"b\" + '@', \"b\": 1}",
    "{\"accessKeyId\":\"a\" \"@\"}",
    "{\"accessKeyId\":\"a\"\"@\"}",
    "{\"accessKeyId\":\"\"@\"}",
    "{\"accessKeyId\":\"\"@\",\"b\":1}",
    "{\"accessKeyId\":\"\"/@\",\"b\":1}",
    "{\"accessKeyId\":\"a\"@\",\"b\":1}",
    "{'accessKeyId':'a' '@'}",
    "{'accessKeyId':''@'}",
    "accessKeyId = 'a' . '@'",
    "{accessKeyId\":\"@\"}",
    "{\"a\":1,accessKeyId\":\"@\"}",
    "{\"a\":1,\n  accessKeyId\": \"@\"}",
    "{accessKeyId':'@'}",
];

#[test]
fn a_stray_byte_hides_no_value() {
    let mut node = node("pass");
    for (before, after) in [("", "\u{ff}"), ("\u{ff}", ""), ("\u{ff}", "\u{ff}"), (" \u{ff} ", " \u{ff} ")] {
        let text: Vec<u8> =
            format!("{{\"accessKeyId\"{before}:{after}\"{SECRET}\"}}").chars().map(|c| c as u8).collect();
        let (out, _) = run(&mut node, &text);
        assert!(!holds(&out, SECRET), "{}", String::from_utf8_lossy(&out));
    }
}

#[test]
fn literals_and_assignments_of_any_notation_show_no_secret() {
    let mut node = node("quarantine");
    for literal in LITERALS.iter().chain(BROKEN) {
        let whole = literal.replace('@', SECRET);
        let mut texts = vec![whole.clone(), format!("2025-01-01 INFO got {whole} and more")];
        // In JSON, however deep, and cut anywhere behind the key.
        texts.extend((1..=3).map(|depth| escaped(&whole, depth)));
        let key = whole.find("accessKeyId").unwrap();
        texts.extend((key..whole.len()).filter_map(|cut| whole.get(..cut).map(str::to_owned)));
        for text in texts {
            let (out, code) = run(&mut node, text.as_bytes());
            // If a quote is missing, the row can look like the end of a document.
            let is_cut = BROKEN.contains(literal) && code.as_deref() == Some("cut");
            assert!(code.is_none() || is_cut, "{text}: {code:?}");
            assert!(!holds(&out, &SECRET[..8]), "{text} became {}", String::from_utf8_lossy(&out));
            if code.is_none() && serde_json::from_str::<Value>(&text).is_ok() {
                let out: Result<Value, _> = serde_json::from_slice(&out);
                assert!(out.is_ok(), "{text} is no JSON any more");
            }
        }
    }
    println!("{} notations: 0 readable secrets", LITERALS.len() + BROKEN.len());
}

/// Lines with headers: what must be gone is between « and », in pieces of which none may stay.
const HEADERS: &[&str] = &[
    "Cookie: «a1=b1; sid=Zq7Xw9Kp»",
    "2026-01-01 10:00:00 INFO Cookie: «a1=b1; sid=Zq7Xw9Kp; user=Xw9»",
    "Cookie:«a1=b1;sid=Zq7Xw9Kp»\r\nHost: ex.com",
    "> Cookie: «a1=\"b 1\"; sid=Zq7Xw9Kp»\n> Host: ex.com",
    "Set-Cookie: «sid=Zq7Xw9Kp; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT; HttpOnly»",
    "msg=\"GET / Cookie: «a1=b1; sid=Zq7Xw9Kp=»\" status=200",
    "curl -H 'Cookie: «a1=\"b1\"; sid=Zq7Xw9Kp»' -H 'Host: ex.com'",
    "it's 5 o'clock, Cookie: «a1='b1'; sid=Zq7Xw9Kp»",
    "send: b'GET / HTTP/1.1\\r\\nCookie: «a1=b1; sid=Zq7Xw9Kp»\\r\\nHost: ex.com\\r\\n'",
    "{\"h\":\"GET /\\r\\nCookie: «a1=b1; sid=Zq7Xw9Kp»\\r\\nHost: ex.com\",\"n\":1}",
    "{\"h\":\"curl -H \\\"Cookie: «a1=b1; sid=Zq7Xw9Kp»\\\" ex.com\",\"n\":1}",
    "request cookie=«a1=b1; sid=Zq7Xw9Kp» host=ex.com",
    "request cookie=\"«a1=b1; sid=Zq7Xw9Kp»\" host=ex.com",
    "{cookie: «a1=b1; sid=Zq7Xw9Kp», host: ex.com}",
    "map[Accept:[x] Cookie:[«a1=b1; sid=Zq7Xw9Kp»] Host:[ex.com]]",
    "?h=Cookie%3A%20«a1%3Db1%3B%20sid%3DZq7Xw9Kp»&host=ex.com",
    "Authorization: «Digest username=\"b1\", response=\"Zq7Xw9Kp\"»",
    "x Authorization: «SharedKey b1:Zq7Xw9Kp Xw9»",
    "msg=\"Authorization: «Digest username=\\\"b1\\\", response=\\\"Zq7Xw9Kp\\\"»\" host=ex.com",
    "-H \"Proxy-Authorization: «Splunk Zq7Xw9Kp»\" host=ex.com",
    "x\" 'cookie': «a1=b1; sid=Zq7Xw9Kp»",
];

#[test]
fn values_of_headers_extend_to_the_end_of_the_line_or_string() {
    let options = json!({"rules": [{"json_key": ["cookie", "authorization"], "any_spelling": true}]});
    let mut node = Native::<Mask>::configure("mask", &options.to_string()).unwrap();
    for header in HEADERS {
        let (before, rest) = header.split_once('«').unwrap();
        let (_, after) = rest.split_once('»').unwrap();
        let (out, code) = run(&mut node, header.replace(['«', '»'], "").as_bytes());
        let expected = format!("{before}*******************{after}");
        assert_eq!((String::from_utf8_lossy(&out).as_ref(), code), (expected.as_str(), None), "{header}");
    }
    for other in ["the cookie jar: a; b", "cookies: 5", "recookied: a=b; c=d"] {
        assert_eq!(run(&mut node, other.as_bytes()), (other.as_bytes().to_vec(), None));
    }
    let quadratic = "Cookie: abc\" ".repeat(40_000);
    let (out, _) = run(&mut node, quadratic.as_bytes());
    assert!(!holds(&out, "abc"));
}

#[test]
fn an_unreadable_row_is_handled_as_the_option_says() {
    let wide = |text: &str, big: bool| -> Vec<u8> {
        text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    };
    let gzip = |bytes: &[u8]| {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    };
    let document = document().to_string();
    let zipped = gzip(document.as_bytes());
    let mut forms = vec![(zipped.clone(), "compressed"), (gzip(&zipped), "compressed")];
    for big in [false, true] {
        forms.push((wide(&document, big), "not-text"));
        forms.push((wide(&format!("\u{feff}{document}"), big), "not-text"));
    }
    // Lines of a binary file.
    forms.extend(
        zipped.split(|b| *b == b'\n').skip(1).filter(|line| line.len() > 24).map(|line| (line.to_vec(), "not-text")),
    );
    let [mut quarantine, mut mask, mut pass] = ["quarantine", "mask", "pass"].map(node);
    for (row, expected) in &forms {
        let (out, code) = run(&mut quarantine, row);
        assert_eq!((out.as_slice(), code.as_deref()), (&b""[..], Some(*expected)));
        assert_eq!(run(&mut mask, row), (b"*******************".to_vec(), None));
        assert_eq!(run(&mut pass, row), (row.clone(), None));
    }
    println!("{} unreadable rows: 0 left", forms.len());
}
