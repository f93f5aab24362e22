//! Tests of the presets: what each finds, what it leaves, and that hostile text takes linear time.

#![expect(clippy::string_slice, reason = "a slice at a wrong place fails the test, as it should")]

use super::*;
use crate::scan::Scan;

fn each(preset: &'static Preset, column: Rows<'_>, found: impl FnMut(Range<usize>, Range<usize>)) {
    let rule = PresetRule::new(0, preset);
    let mut scan = Scan::new(&rule.windows().collect::<Vec<_>>());
    rule.each(column, &mut scan.find(column.bytes), found);
}

/// Shows what a preset finds in one row, between angle brackets.
fn marked(name: &str, text: &str) -> String {
    let preset = PRESETS.iter().find(|p| p.name == name).unwrap();
    let offsets = [0, u32::try_from(text.len()).unwrap()];
    let mut found = Vec::new();
    each(preset, Rows { bytes: text.as_bytes(), offsets: &offsets }, |_, value| found.push(value));
    found.sort_by_key(|f| f.start);
    let (mut out, mut at) = (String::new(), 0);
    for value in found {
        out.push_str(&text[at..value.start]);
        out.push('<');
        out.push_str(&text[value.clone()]);
        out.push('>');
        at = value.end;
    }
    out + &text[at..]
}

/// The angle brackets in each text mark the expected value.
#[track_caller]
fn check(name: &str, texts: &[&str]) {
    for expected in texts {
        assert_eq!(marked(name, &expected.replace(['<', '>'], "")), *expected);
    }
}

#[test]
fn identifiers_and_credentials_of_aws() {
    check(
        "aws-access-key-id",
        &[
            "<AKIAIOSFODNN7EXAMPLE>",
            r#"{"accessKeyId":"<ASIAV2S7B2Q6CRXEXAMPLE>","x":"AROA55TKTI7VKCG3ZB64V"}"#,
            r"a\n<AKIAIOSFODNN7EXAMPLE>\n",
            r"\u003d<AKIAIOSFODNN7EXAMPLE>\u0026",
            "?X-Amz-Credential=<AKIAIOSFODNN7EXAMPLE>%2F20250101 q%3D<AKIAIOSFODNN7EXAMPLE>",
            "xAKIAIOSFODNN7EXAMPLE _AKIAIOSFODNN7EXAMPLE AKIAIOSFODNN7EXAMPLEx AKIAIOSFODNN7EXAMPLE_",
            "AKIASHORT akiaiosfodnn7example AKIA",
            "<AKIAIOSFODNN7EXAMPLE>,<ASIAIOSFODNN7EXAMPLE>",
            "q%253D<AKIAIOSFODNN7EXAMPLE>%2526 %252522<AKIAIOSFODNN7EXAMPLE>%252522 2522AKIAIOSFODNN7EXAMPLE",
            // Cut in the middle.
            r#"{"m":"user of <AKIAIOSF>"#,
            r#"{"m":"user of AKIAIOS"#,
            r#"{"m":"user of AKIAIOSF x"}"#,
            "it moves to ASIAPACIFIC",
        ],
    );
    check("aws-role-id", &["<AROA55TKTI7VKCG3ZB64V>:bob AKIAIOSFODNN7EXAMPLE"]);
    check(
        "aws-role-session",
        &[
            r#"{"principalId":"<AROA55TKTI7VKCG3ZB64V:bob.smith+x@example.com>","x":"AROA55TKTI7VKCG3ZB64V"}"#,
            r#"{"m":"{\"principalId\":\"<AROA55TKTI7VKCG3ZB64V:i-0123456789>\"}"}"#,
            "%22<AROA55TKTI7VKCG3ZB64V%3Abob%40example>%22%2C %2522<AROA55TKTI7VKCG3ZB64V%253Abob%252B1>%2522%252C%2522arn%2522",
            "<AROA55TKTI7VKCG3ZB64V%3Abob>&x AROA55TKTI7VKCG3ZB64V: bob, <AROA55TKTI7VKCG3ZB64V:bob>, AKIAIOSFODNN7EXAMPLE:x",
        ],
    );
    check(
        "aws-unique-id",
        &["<AROA55TKTI7VKCG3ZB64V>:<AIDACKCEVSQ6C2EXAMPLE> <ANPAJ2UCCR6DPCEXAMPLE> AXXAJ2UCCR6DPCEXAMPLE AAAA"],
    );
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    for (before, after) in [
        ("aws_secret_access_key = ", "\n"),
        ("AWS_SECRET_ACCESS_KEY=", ""),
        ("export AWS_SECRET_ACCESS_KEY='", "'"),
        ("secretAccessKey=", ", sessionToken=x"),
        (r#"\"SecretAccessKey\": \""#, r#"\""#),
    ] {
        check("aws-secret-access-key", &[&format!("{before}<{secret}>{after}")]);
    }
    // The arrow would look like a mark.
    assert!(
        marked("aws-secret-access-key", &format!("'secretAccessKey' => '{secret}'"))
            .ends_with(&format!("=> '<{secret}>'"))
    );
    check(
        "aws-secret-access-key",
        &["secretAccessKey: short", "the secretAccessKey is wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"],
    );
    check(
        "aws-session-token",
        &[
            "aws_session_token=<FwoGZXIvYXdzEJr//////////wEaDF+/=>",
            "https://b.s3.amazonaws.com/k?X-Amz-Security-Token=<IQoJb3JpZ2luX2VjEOL%2F%2F%2F>&X-Amz-Date=1",
            "x-amz-security-token: <IQoJb3JpZ2luX2VjEOL1234>",
            r"sessionToken=<IQoJb3JpZ2lu\/X2VjEOL\/1234>\n",
        ],
    );
}

#[test]
fn tokens_keys_and_passwords() {
    check(
        "ssh-public-key",
        &[
            r#"{"publicKey":"ssh-rsa <AAAAB3NzaC1yc2EAAAADAQABAAABgQC7+x/9==> bob@host","x":1}"#,
            r"ssh-ed25519 <AAAAC3NzaC1lZDI1NTE5AAAAIJ2x\/8>\n ecdsa-sha2-nistp256 <AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAA=>",
            "publicKeyMaterial=<c3NoLXJzYSBBQUFBQjNOemFDMXljMkU=>&x sk-ssh-ed25519@openssh.com <AAAAGnNrLXNzaC1lZDI1NTE5QG9>",
            "AAAAB4NzaC1yc2E xAAAAB3NzaC1yc2E ssh-rsa",
        ],
    );
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    check(
        "jwt",
        &[
            &format!("token={jwt}").replace(jwt, &format!("<{jwt}>")),
            r"\n<eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.>",
            "<eyJhbGciOiJSU0EtT0FFUCJ9.OKOawDo13gRp2ojaHV7.48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7.XFBoMYUZodetZdvTiFvSkQ>",
            "eyJhbGciOiJIUzI1NiJ9 eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0 xeyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x",
        ],
    );
    check(
        "bearer-token",
        &[
            "Authorization: Bearer <mF_9.B5f-4.1JqMzzzzz==>",
            r#""authorization":"bearer  <mF_9.B5f-4.1JqMzzzzz>""#,
            "the bearer token is good, forbearer mF_9.B5f-4.1JqMzzzzz",
        ],
    );
    check(
        "private-key",
        &[
            "a <-----BEGIN RSA PRIVATE KEY-----\nMIIE+/=\n-----END RSA PRIVATE KEY-----> b",
            r#"{"k":"<-----BEGIN PRIVATE KEY-----\nMIIE\nabc=\n-----END PRIVATE KEY----->\n"}"#,
            r#"{"k":"<-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIE\nabc","x":"y"}"#.replace("abc\"", "abc>\"").as_str(),
            r#"{"k":"{\"k\":\"<-----BEGIN PRIVATE KEY-----\\nMIIE>\"}"}"#,
            // Without an end: to the end of the row.
            "a <-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\nMzEfYyjiWA4R>",
            "-----BEGIN PUBLIC KEY-----\nMIIE\n-----END PUBLIC KEY-----",
        ],
    );
    let body = "16C7e42F292c6912E7710c838347Ae178B4a";
    check(
        "github-token",
        &[
            &format!("https://<ghp_{body}>@github.com <ghs_{body}>"),
            &format!("<github_pat_11ABCDEFG0{body}_x>"),
            &format!("xghp_{body} ghx_{body} ghp_short a_b_c"),
        ],
    );
    check(
        "slack-token",
        &[
            "<xoxb-123456789012-123456789012-abcdEFGH>",
            "<xapp-1-A0123-456-abcdef>.",
            "<xoxe.xoxp-1-Mi0yLTEyMzQ1>",
            "xoxo-short xoxbx",
        ],
    );
    check(
        "basic-auth-url",
        &[
            "https://bob:<s3cr3t>@example.com/a?b=c",
            r#""redis://:<p@ss>@10.0.0.1:6379""#,
            "https://example.com:8080/a@b https://bob@example.com http://[::1]:80/ a://b",
            "postgres://u:<p%40ss>@db/x and https://u:<p>@h",
        ],
    );
}

#[test]
fn addresses_and_numbers() {
    check(
        "email",
        &[
            "<bob.smith+x@mail.example.com>, <a@b.co>.",
            "arn:aws:sts::123456789012:assumed-role/Admin/<bob@example.com>",
            "mailto=<bob@example.com>&q=%3C<bob@example.com>%3E u=<bob%40example.com>&x",
            "bob@localhost @example.com bob@ bob@-x.com bob@1.2.3.4 a@b",
            "<a@b.co>@<c@d.org>",
        ],
    );
    check(
        "ipv4",
        &[
            "<10.0.0.1>, <255.255.255.255>:80 (<192.168.1.254>).",
            r#"{"sourceIPAddress":"<203.0.113.1>"} \n<10.0.0.1>\u0020<10.0.0.2>"#,
            "256.1.1.1 1.2.3 1.2.3.4.5 01.2.3.4 v1.2.3.4 1.2.3.4x 1..2.3.4 aws-cli/2.11.1 5.10.109-106.104",
            "ip-10-0-0-1.ec2 <0.0.0.0>/0",
        ],
    );
    check(
        "ipv6",
        &[
            "<2001:db8::8a2e:370:7334>, [<::1>]:80 <fe80::1>%eth0 <::ffff:10.0.0.1>.",
            r#"{"ip":"<2001:0db8:0000:0000:0000:ff00:0042:8329>","t":"12:34:56"} \n<fe80::2>: x"#,
            "AWS::S3::Bucket arn:aws:s3:::bucket std::vector 00:1a:2b:3c:4d:5e a:b :: 1:2:3 \"a\":1",
        ],
    );
    check(
        "card-number",
        &[
            "<4111111111111111> <4111 1111 1111 1111>, <5500-0000-0000-0004>.",
            "<378282246310005> <30569309025904> <6011111111111117> <3530111333300000> <2223003122003222>",
            r#"{"n":<4222222222222>,"m":"<4111111111111111>"} \n<4111111111111111>"#,
            "4111111111111112 1600361930988 411111111111111 x4111111111111111 4111111111111111x",
            "41111111111111111111 4111  1111 1111 1111 123456789012 2025-07-10 15:00:00 0.4111111111111111",
            "12 <4111111111111111>",
        ],
    );
}

#[test]
fn values_do_not_reach_into_other_rows() {
    let rows = ["bob@exam", "ple.com", "AKIAIOSFODNN", "7EXAMPLE", "4111111111", "111111"];
    let mut offsets = vec![0];
    for row in rows {
        offsets.push(offsets.last().unwrap() + u32::try_from(row.len()).unwrap());
    }
    let text = rows.concat();
    for preset in PRESETS {
        each(preset, Rows { bytes: text.as_bytes(), offsets: &offsets }, |_, v| panic!("{}: {v:?}", preset.name));
    }
}

/// Texts on which a check without bounds would take minutes.
#[test]
fn hostile_text_takes_linear_time() {
    let pieces = [
        "AKIA",
        "A",
        "eyJ",
        "-eyJ",
        "eyJaaaaaaaaaa.",
        "essionToken",
        "ecurity-token",
        "essionToken=a ",
        "_",
        "ghp_",
        "xoxb-",
        ".xoxb-",
        "://",
        "://a",
        "a:b",
        "@",
        "a@",
        "a@b.",
        "@a",
        "1.",
        "1.1.1.",
        "::",
        "a::",
        "1:",
        "4111 ",
        "4111-",
        "4 ",
        "4",
        "-----BEGIN PRIVATE KEY-----",
        "BEGIN PRIVATE KEY-----",
        "earer ",
        "Bearer a",
        "%40",
        r"\n4",
        r"\n1.1.1.1",
        " ",
        "-",
    ];
    for preset in PRESETS {
        for piece in pieces {
            let text = piece.repeat(300_000 / piece.len());
            let offsets = [0, u32::try_from(text.len()).unwrap()];
            let started = std::time::Instant::now();
            each(preset, Rows { bytes: text.as_bytes(), offsets: &offsets }, |_, _| {});
            assert!(started.elapsed().as_secs() < 5, "{} {piece}: {:?}", preset.name, started.elapsed());
        }
    }
}
