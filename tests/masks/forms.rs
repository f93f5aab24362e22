//! The forms in which records arrive.

use serde_json::{Value, json};

use crate::encodings::{base64, base64url, escaped, gzip, html, latin1, percent, utf16, utf32, zlib};
use crate::secrets::{ACCESS_KEY, LOOSE_KEY, PRINCIPAL, PRIVATE_KEY, ROLE, SECRET_KEY, TOKEN};

/// The expected action of a mask for a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The event leaves with its secrets masked.
    Masked,
    /// The event fails, and goes to the quarantine.
    Withheld,
    /// Either of them, because the source may decode it.
    Hidden,
}

/// One event.
pub(crate) struct Form {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) fate: Fate,
}

/// A log file of CloudTrail with every secret, and characters beyond ASCII.
pub(crate) fn document() -> Value {
    json!({"Records": [
        {
            "eventVersion": "1.09", "eventTime": "2026-01-05T07:08:09Z", "eventName": "AssumeRole", "eventID": "event-1",
            "userIdentity": {
                "type": "AssumedRole", "principalId": PRINCIPAL,
                "arn": "arn:aws:sts::111122223333:assumed-role/Bücher", "accessKeyId": ACCESS_KEY,
            },
            "responseElements": {
                "credentials": {"accessKeyId": ACCESS_KEY, "secretAccessKey": SECRET_KEY, "sessionToken": TOKEN},
                "assumedRoleUser": {"assumedRoleId": ROLE},
            },
        },
        {
            "eventVersion": "1.09", "eventName": "CreateKeyPair", "eventID": "event-2",
            "errorMessage": format!("日本: user of {LOOSE_KEY} is not allowed"),
            "responseElements": {
                "keyMaterial": format!(
                    "-----BEGIN RSA PRIVATE KEY-----\n{PRIVATE_KEY}\n-----END RSA PRIVATE KEY-----\n"
                ),
            },
        },
    ]})
}

/// The document without line breaks, and with them.
pub(crate) fn texts() -> [(&'static str, String); 2] {
    [("compact", document().to_string()), ("pretty", serde_json::to_string_pretty(&document()).unwrap())]
}

/// Notations that are not JSON, or not CloudTrail's. `@a` stands for an access key id, `@s` for a
/// secret access key, `@t` for a session token and `@r` for an assumed role id.
const NOTATIONS: &[(&str, &str)] = &[
    ("javascript", "{accessKeyId: '@a', secretAccessKey: '@s', sessionToken: `@t`}"),
    ("javascript-pretty", "{\n  accessKeyId: '@a',\n  credentials: {\n    secretAccessKey: \"@s\",\n  },\n}"),
    ("python", "{'accessKeyId': '@a', 'secretAccessKey': b'@s', u'sessionToken': u'@t', 'ok': True}"),
    ("python-escaped", "{\"m\": \"{'accessKeyId': '@a', 'secretAccessKey': '@s', 'n': None}\"}"),
    ("ruby", "{\"accessKeyId\"=>\"@a\", :secretAccessKey=>\"@s\", :n=>nil}"),
    ("go", "map[accessKeyId:@a secretAccessKey:@s region:eu-west-1]"),
    ("rust", "Credentials { accessKeyId: \"@a\", secretAccessKey: Some(\"@s\"), sessionToken: None }"),
    ("java", "AwsCredentials(accessKeyId=@a, secretAccessKey=@s, region=eu-west-1)"),
    ("php", "a:2:{s:11:\"accessKeyId\";s:20:\"@a\";s:15:\"secretAccessKey\";s:40:\"@s\";}"),
    ("erlang", "{accessKeyId,<<\"@a\">>}"),
    ("assignments", "time=12:00 accessKeyId=@a secretAccessKey=@s level=info"),
    ("assignments-quoted", "accessKeyId=\"@a\" secretAccessKey='@s' sessionToken = \"@t\""),
    ("environment", "export AWS_ACCESS_KEY_ID=@a AWS_SECRET_ACCESS_KEY=@s AWS_SESSION_TOKEN=@t"),
    ("flags", "sts login --access-key-id @a --secret-access-key=@s --session-token '@t' --region x"),
    ("ini", "[default]\naws_access_key_id = @a\naws_secret_access_key = @s\naws_session_token = @t\n"),
    ("yaml", "credentials:\n  accessKeyId: @a\n  secretAccessKey: '@s'\n  sessionToken: >-\n    @t\n"),
    ("xml", "<Credentials><AccessKeyId>@a</AccessKeyId><SecretAccessKey>@s</SecretAccessKey></Credentials>"),
    ("xml-pretty", "<Credentials>\n  <SessionToken>\n    @t\n  </SessionToken>\n</Credentials>"),
    ("xml-attributes", "<user accessKeyId=\"@a\" secretAccessKey='@s'/>"),
    ("xml-escaped", "{\"m\":\"<accessKeyId>@a</accessKeyId><assumedRoleId>@r</assumedRoleId>\"}"),
    ("entities", "{&quot;accessKeyId&quot;:&quot;@a&quot;,&quot;sessionToken&quot;:&quot;@t&quot;}"),
    ("header", "X-Amz-Security-Token: @t"),
    ("query", "GET /?accessKeyId=@a&X-Amz-Security-Token=@t&assumedRoleId=@r HTTP/1.1"),
    ("csv", "1,\"{\"\"accessKeyId\"\":\"\"@a\"\",\"\"secretAccessKey\"\":\"\"@s\"\"}\",ok"),
    ("snake", "{\"access_key_id\":\"@a\",\"secret_access_key\":\"@s\",\"session_token\":\"@t\"}"),
    ("kebab", "{\"access-key-id\":\"@a\",\"Secret-Access-Key\":\"@s\"}"),
    ("upper", "{\"ACCESSKEYID\":\"@a\",\"ASSUMED_ROLE_ID\":\"@r\",\"AccessKeyID\":\"@a\"}"),
    ("unicode-escapes", r#"{"acc\u0065ssKeyId":"@a","\u0073ecretAccessKey":"@s"}"#),
    ("quotes-by-code", r#"{"m":"{\u0022accessKeyId\u0022:\u0022@a\u0022,\u0022sessionToken\u0022:\u0022@t\u0022}"}"#),
    ("nested-values", "{\"accessKeyId\":[\"@a\"],\"secretAccessKey\":{\"value\":\"@s\"}}"),
    ("log-line", "2026-01-05T07:08:09Z ERROR request failed: {\"accessKeyId\":\"@a\",\"sessionToken\":\"@t\"} (403)"),
    ("cut-log-line", "2026-01-05T07:08:09Z ERROR request failed: {\"accessKeyId\":\"@a\",\"secretAccessKey\":\"@s"),
    ("prose", "the session AROAM2CEUB5RLP9ZFTYX:operator-k3Wj8 used @a"),
];

fn notation(template: &str) -> String {
    let values = [("@a", ACCESS_KEY), ("@s", SECRET_KEY), ("@t", TOKEN), ("@r", ROLE)];
    values.iter().fold(template.to_owned(), |text, (mark, value)| text.replace(mark, value))
}

/// Every form.
pub(crate) fn all() -> Vec<Form> {
    let mut forms = Vec::new();
    let mut add = |name: String, bytes: Vec<u8>, fate| forms.push(Form { name, bytes, fate });
    for (layout, text) in texts() {
        for depth in 0..=4 {
            let text = escaped(&text, depth);
            add(format!("{layout}-{depth}"), text.clone().into_bytes(), Fate::Masked);
            add(format!("{layout}-{depth}-line"), format!("12:00 INFO got {text}").into_bytes(), Fate::Masked);
            add(format!("{layout}-{depth}-percent"), percent(&text).into_bytes(), Fate::Masked);
            add(format!("{layout}-{depth}-html"), html(&text).into_bytes(), Fate::Masked);
            add(format!("{layout}-{depth}-html-twice"), html(&html(&text)).into_bytes(), Fate::Masked);
            add(format!("{layout}-{depth}-percent-twice"), percent(&percent(&text)).into_bytes(), Fate::Masked);
            add(format!("{layout}-{depth}-gzip"), gzip(text.as_bytes()), Fate::Hidden);
            add(format!("{layout}-{depth}-gzip-twice"), gzip(&gzip(text.as_bytes())), Fate::Withheld);
            add(format!("{layout}-{depth}-base64"), base64(&gzip(text.as_bytes())).into_bytes(), Fate::Withheld);
            let data = json!({"awslogs": {"data": base64(&gzip(text.as_bytes()))}}).to_string();
            add(format!("{layout}-{depth}-base64-within"), data.into_bytes(), Fate::Withheld);
        }
        add(format!("{layout}-latin-1"), latin1(&text), Fate::Masked);
        add(format!("{layout}-zlib"), zlib(text.as_bytes()), Fate::Withheld);
        add(format!("{layout}-utf-32"), utf32(&text), Fate::Withheld);
        for (order, big) in [("le", false), ("be", true)] {
            add(format!("{layout}-utf-16-{order}"), utf16(&text, big), Fate::Withheld);
            add(format!("{layout}-utf-16-{order}-mark"), utf16(&format!("\u{feff}{text}"), big), Fate::Hidden);
            add(format!("{layout}-utf-16-{order}-torn"), utf16(&text, big)[1..].to_vec(), Fate::Withheld);
        }
        let zipped = gzip(text.as_bytes());
        add(format!("{layout}-base64-url"), base64url(&zipped).into_bytes(), Fate::Withheld);
        add(
            format!("{layout}-data-url"),
            format!("data:application/gzip;base64,{}", base64(&zipped)).into(),
            Fate::Withheld,
        );
        let lines: Vec<String> =
            base64(&zipped).as_bytes().chunks(76).map(|l| String::from_utf8_lossy(l).into()).collect();
        add(format!("{layout}-base64-lines"), lines.join("\n").into_bytes(), Fate::Withheld);
        add(format!("{layout}-mark"), format!("\u{feff}{text}").into_bytes(), Fate::Masked);
    }
    for (name, template) in NOTATIONS {
        let text = notation(template);
        add((*name).to_owned(), text.clone().into_bytes(), Fate::Masked);
        for depth in 1..=3 {
            add(format!("{name}-escaped-{depth}"), escaped(&text, depth).into_bytes(), Fate::Masked);
        }
        add(format!("{name}-gzip-twice"), gzip(&gzip(text.as_bytes())), Fate::Withheld);
    }
    // Bytes that are not UTF-8, next to every value.
    for torn in [&b"\xff"[..], b"\xc3", b"\xe6\x97", b"\xa4"] {
        for behind_first in [true, false] {
            let mut bytes = texts()[0].1.clone().into_bytes();
            for value in [ACCESS_KEY, SECRET_KEY, TOKEN, ROLE] {
                let found = if behind_first { format!("\"{value}") } else { format!("{value}\"") };
                bytes = insert(&bytes, found.as_bytes(), torn, behind_first);
            }
            add(format!("torn-{behind_first}-{}", torn[0]), bytes, Fate::Hidden);
        }
    }
    forms
}

/// Inserts bytes after the first byte of every match, or before its last one.
fn insert(text: &[u8], found: &[u8], bytes: &[u8], behind_first: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with(found) {
            let split = if behind_first { 1 } else { found.len() - 1 };
            out.extend([&found[..split], bytes, &found[split..]].concat());
            at += found.len();
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out
}
