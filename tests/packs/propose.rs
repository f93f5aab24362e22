//! `wattle pack new --from FILE`: proposes a pack for sample lines, and the pack passes its test.

use std::fs;

use serde_json::Value;
use wattle_tests::{Ended, Folder};

/// Proposes a pack `own` for a text, checks that it is complete and passes, and returns what was printed.
#[track_caller]
fn propose(folder: &Folder, file: &str, text: &str) -> Ended {
    folder.write(file, text);
    let ended = folder.run(&["pack", "new", "own", "--from", file]);
    assert_eq!(ended.code, 0, "{}{}", ended.text(), ended.log);
    for command in [["pack", "test", "./own"], ["pack", "lint", "./own"]] {
        let checked = folder.run(&command);
        assert_eq!(checked.code, 0, "{command:?}: {}{}", checked.text(), checked.log);
    }
    ended
}

/// The expectation of an output.
fn expected(folder: &Folder, output: &str) -> Vec<Value> {
    folder.events(&format!("own/tests/sample/expected.{output}.ndjson"))
}

#[test]
fn known_formats_are_found_with_their_time_and_errors() {
    let nginx = "192.0.2.1 - - [10/Oct/2026:13:55:36 +0000] \"GET /a HTTP/1.1\" 200 12 \"-\" \"curl\"\n\
                 192.0.2.2 - - [10/Oct/2026:13:55:37 +0000] \"GET /b HTTP/1.1\" 502 0 \"-\" \"curl\"\n";
    let json = "{\"ts\":1767225600.5,\"level\":\"info\",\"msg\":\"a\"}\n{\"ts\":1767225601.5,\"level\":\"error\",\"msg\":\"b\"}\n";
    let logfmt = "time=2026-01-01T00:00:00Z level=info n=5\ntime=2026-01-01T00:00:01Z level=error n=6\n";
    let application = "2026-01-02 03:04:05,123 INFO  [main] com.acme.Shop: placed\n\
                       2026-01-02 03:04:06,123 ERROR [worker-1] com.acme.Shop: failed\n";
    let syslog = "<13>Nov 28 10:20:30 web1 sshd[4711]: Accepted publickey for root\n\
                  <11>Nov 28 10:20:31 web1 sshd[4711]: Failed password for root\n";
    for (text, format, time, errors) in [
        (nginx, "nginx", "attributes.timestamp as clf", "attributes.status"),
        (json, "json", "attributes.ts as epoch", "attributes.level"),
        (logfmt, "logfmt", "attributes.time as rfc3339", "attributes.level"),
        (
            application,
            "lines with a time, a level and a message (regex)",
            "attributes.timestamp as iso8601",
            "attributes.level",
        ),
        (syslog, "syslog", "attributes.timestamp as syslog", "attributes.severity"),
    ] {
        let folder = Folder::new();
        let printed = propose(&folder, "sample.log", text);
        for line in [
            format!("format   {format}: 2 of 2 (100.0 %)"),
            format!("time     {time}"),
            format!("errors   {errors}"),
            "sample.log: 2 lines".to_owned(),
        ] {
            assert!(printed.text().contains(&line), "{line}: {}", printed.text());
        }
        let (all, failed) = (expected(&folder, "events"), expected(&folder, "errors"));
        assert_eq!((all.len(), failed.len()), (1, 1), "{format}");
        for event in all.iter().chain(&failed) {
            let parsed = event["attributes"].as_object().map_or(0, serde_json::Map::len);
            // Tests of packs read at the start of 1970, and syslog writes no year.
            let year = if format == "syslog" { "1969-11-28T10:20:3" } else { "2026-" };
            assert!(parsed >= 3 && event["timestamp"].as_str().is_some_and(|t| t.starts_with(year)), "{event}");
        }
        assert_eq!(expected(&folder, "fails"), [] as [Value; 0]);
    }
}

#[test]
fn columns_keep_their_names_and_types() {
    let folder = Folder::new();
    let printed = propose(
        &folder,
        "t.csv",
        "time;user;amount;ok\n2026-01-02 03:04:05;ann;5.25;true\n2026-01-02 03:04:06;007;7;false\n",
    );
    let format = "csv, 4 columns with a header: 2 of 2 (100.0 %), and a header line";
    assert!(printed.text().contains(format), "{}", printed.text());
    let events = expected(&folder, "events");
    let attributes: Vec<&Value> = events.iter().map(|event| &event["attributes"]).collect();
    let first = serde_json::json!({"time": "2026-01-02 03:04:05", "user": "ann", "amount": 5.25, "ok": true});
    let second = serde_json::json!({"time": "2026-01-02 03:04:06", "user": "007", "amount": 7, "ok": false});
    assert_eq!(attributes, [&first, &second]);
}

#[test]
fn secrets_of_the_sample_are_masked_in_the_pack_and_by_it() {
    let folder = Folder::new();
    let secret = "AKIAIOSFODNN7EXAMPLE";
    let record =
        format!("{{\"eventTime\":\"2026-01-01T00:00:00Z\",\"key\":\"{secret}\",\"mail\":\"ann@example.com\"}}");
    let printed = propose(&folder, "trail.json", &format!("{{\n  \"Records\": [\n{record},\n{record}]\n}}\n"));
    for line in [
        "trail.json: 1 JSON document",
        "records  2 in the array `Records`",
        "mask     aws-access-key-id: 2 values, others of the same shape in the test",
        "mask     email: 2 values",
        "not recognised: secrets under other names",
    ] {
        assert!(printed.text().contains(line), "{line}: {}", printed.text());
    }
    let files = files(&folder);
    for (path, text) in &files {
        assert!(!text.contains(secret) && !text.contains("ann@example.com"), "{path}: {text}");
    }
    assert_eq!(files.len(), 6, "pack.toml, README, LICENSE, one input, two expectations");
    assert_eq!(expected(&folder, "events").len(), 2);
}

/// The files of the new pack, with their paths.
fn files(folder: &Folder) -> Vec<(String, String)> {
    let (mut folders, mut all) = (vec![folder.path("own")], Vec::new());
    while let Some(path) = folders.pop() {
        for entry in fs::read_dir(&path).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => all.push((path.display().to_string(), fs::read_to_string(&path).unwrap())),
            }
        }
    }
    all
}

/// Proposes a pack for lines with secrets, and checks that no file of it has one.
#[track_caller]
fn no_secret(file: &str, text: &str, secrets: &[&str], reported: &[&str]) -> Folder {
    let folder = Folder::new();
    let printed = propose(&folder, file, text);
    for secret in secrets {
        assert!(text.contains(secret), "{secret} is not in the sample");
        for (path, content) in files(&folder) {
            assert!(!content.contains(secret), "{path} has {secret}: {content}");
        }
        assert!(!printed.text().contains(secret), "{}", printed.text());
    }
    for line in reported {
        assert!(printed.text().contains(line), "{line}: {}", printed.text());
    }
    assert_eq!(expected(&folder, "fails"), [] as [Value; 0], "values of the same shape parse alike");
    folder
}

#[test]
fn secrets_have_names_in_every_notation() {
    no_secret(
        "app.ndjson",
        "{\"user\":\"ann\",\"password\":\"Hunter-2!x\",\"card\":4539578763621486,\"n\":1}\n\
         {\"user\":\"bob\",\"Api-Key\":\"k3y-of-bob\",\"dbPassword\":\"pa\\\"ss wd\",\"pin\":90210}\n",
        &["Hunter-2!x", "4539578763621486", "k3y-of-bob", "pa\\\"ss", "90210"],
        &[
            "mask     `password`: 1 value, others",
            "mask     `card`: 1 value",
            "mask     `api_key`: 1 value",
            "mask     `dbPassword`: 1 value",
            "mask     `pin`: 1 value",
        ],
    );
    no_secret(
        "app.log",
        "time=2026-01-01T00:00:00Z level=info user=ann password=hunter2 cvv=737\n\
         time=2026-01-01T00:00:01Z level=info user=bob api_key=\"abc def 12\" cvv=838\n",
        &["hunter2", "abc def 12", "737", "838"],
        &[
            "mask     `password`: 1 value",
            "mask     `api_key`: 1 value",
            "mask     `cvv`: 2 values",
            "format   logfmt: 2 of 2",
        ],
    );
    no_secret(
        "pairs.log",
        "user=ann;password=hunter2;session_id=4fe9a1\nuser=bob;password=secret77;session_id=4fe9a2\n",
        &["hunter2", "secret77", "4fe9a1", "4fe9a2"],
        &["mask     `password`: 2 values", "mask     `session_id`: 2 values"],
    );
    no_secret(
        "access.log",
        "192.0.2.1 - - [10/Oct/2026:13:55:36 +0000] \"GET /a?api_key=abcd1234&x=1&access_token=zyx987 HTTP/1.1\" 200 12 \"-\" \"curl\"\n\
         192.0.2.2 - - [10/Oct/2026:13:55:37 +0000] \"GET /b?password=hunter%402 HTTP/1.1\" 200 0 \"-\" \"curl\"\n",
        &["abcd1234", "zyx987", "hunter%402"],
        &["format   nginx: 2 of 2", "mask     `api_key`: 1 value", "mask     `access_token`", "mask     `password`"],
    );
}

#[test]
fn columns_with_names_of_secrets_are_masked() {
    let folder = no_secret(
        "t.csv",
        "id,password,amount\n1,hunter2,5\n2,\"pass,word\",7\n",
        &["hunter2", "pass,word"],
        &["mask     column `password`: 2 values", "format   csv, 3 columns with a header: 2 of 2 (100.0 %)"],
    );
    let events = expected(&folder, "events");
    assert_eq!(events[0]["attributes"]["amount"], 5);
    assert!(events[0]["body"].as_str().unwrap().contains("***"), "{}", events[0]);
}

#[test]
fn secrets_are_known_by_their_form() {
    let token =
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";
    let lines = format!(
        "2026-01-02 03:04:05 INFO  [main] com.acme.Shop: sent {token} on\n\
         2026-01-02 03:04:06 INFO  [main] com.acme.Shop: header Authorization: Bearer abcdefghijklmnop1234\n\
         2026-01-02 03:04:07 INFO  [main] com.acme.Shop: paid with 4111 1111 1111 1111 by eve@example.org\n\
         2026-01-02 03:04:08 INFO  [main] com.acme.Shop: used glpat-abcdefghij0123456789 there\n\
         2026-01-02 03:04:09 INFO  [main] com.acme.Shop: connects to postgres://app:s3cr3t@db/x\n"
    );
    no_secret(
        "app.log",
        &lines,
        &[token, "abcdefghijklmnop1234", "4111 1111 1111 1111", "eve@example.org", "abcdefghij0123456789", "s3cr3t"],
        &["mask     jwt: 1 value", "mask     card-number: 1 value", "mask     service-token: 1 value"],
    );
}

#[test]
fn private_keys_over_several_lines_are_replaced_in_the_test() {
    let key = "MIIEpAIBAAKCAQEA3vKq9mZx7q0Yh1bUu8n2";
    let text = format!(
        "a: the key is\n-----BEGIN RSA PRIVATE KEY-----\n{key}\n{key}xyz=\n-----END RSA PRIVATE KEY-----\nb: done, ok\n"
    );
    let reported = ["private key over several lines: 2 values", "join them with `multiline`"];
    let folder = Folder::new();
    let printed = propose(&folder, "app.log", &text);
    for (path, content) in files(&folder) {
        assert!(!content.contains(&key[..12]), "{path}: {content}");
    }
    for line in reported {
        assert!(printed.text().contains(line), "{line}: {}", printed.text());
    }
}

#[test]
fn long_numbers_that_are_no_cards_stay_in_what_the_pack_delivers() {
    // Of these numbers, one in ten has a right check digit by chance.
    let lines: String = (0..40).map(|n| format!("{{\"id\":{},\"n\":{n}}}\n", 4_539_578_763_621_400_u64 + n)).collect();
    let folder = Folder::new();
    let printed = propose(&folder, "ids.ndjson", &lines);
    assert!(printed.text().contains("card-number: 4 values"), "{}", printed.text());
    assert!(printed.text().contains("most such numbers of the sample are not of cards"), "{}", printed.text());
    let manifest = fs::read_to_string(folder.path("own/pack.toml")).unwrap();
    assert!(!manifest.contains("mask"), "{manifest}");
}

#[test]
fn json_that_is_not_valid_is_not_taken_for_columns() {
    let folder = Folder::new();
    let lines: String = (0..9).map(|n| format!("{{\"a\":{n},\"b\":\"\\ud800\",\"c\":1}}\n")).collect();
    let printed = propose(&folder, "broken.ndjson", &lines);
    let reason =
        "JSON that is not valid, surrogate without its other half at byte 12; the pack keeps each line as it is";
    assert!(printed.text().contains(reason), "{}", printed.text());
}

#[test]
fn lines_of_several_time_formats_have_their_time() {
    let folder = Folder::new();
    let made = folder.run(&["generate", "nginx", "-n", "200"]);
    assert_eq!(made.code, 0, "{}", made.log);
    let printed = propose(&folder, "nginx.log", made.text());
    let line = "time     attributes.timestamp as clf or nginx";
    assert!(printed.text().contains(line), "{}", printed.text());
    // The generator also writes lines that are not of nginx.
    let fails = expected(&folder, "fails");
    assert!(fails.iter().all(|event| event["body"].as_str().is_some_and(|body| !body.contains("HTTP/"))), "{fails:?}");
}

#[test]
fn lines_that_are_too_long_are_counted_and_are_not_in_the_test() {
    let folder = Folder::new();
    let (long, longer) = ("x".repeat(100 << 10), "y".repeat(2 << 20));
    let printed = propose(&folder, "mixed.log", &format!("a=1 b=2\na=1 b={long}\na=2 b={longer}\na=3 b=4\n"));
    assert!(printed.text().contains("1 line is too long for the default of the source's option"), "{}", printed.text());
    assert!(printed.text().contains("1 line is longer than 64 KiB"), "{}", printed.text());
    let size: u64 = files(&folder).iter().map(|(_, content)| content.len() as u64).sum();
    assert!(size < 100_000, "{size}");
    let other = Folder::new();
    other.write("one.log", format!("{long}\n"));
    let ended = other.run(&["pack", "new", "own", "--from", "one.log"]);
    assert!(ended.code == 1 && ended.log.contains("too long for the test of a pack"), "{}", ended.log);
    other.write("two.log", format!("{longer}\n"));
    let ended = other.run(&["pack", "new", "own", "--from", "two.log"]);
    assert!(ended.code == 1 && ended.log.contains("a line may have 1048576 bytes (`max_line_bytes`)"), "{}", ended.log);
    assert!(!other.path("own").exists());
}

#[test]
fn lines_of_no_known_format_stay_as_they_are() {
    let folder = Folder::new();
    let printed = propose(&folder, "notes", "hello\nnothing: here, at all\n");
    assert!(printed.text().contains("no known format; the pack keeps each line as it is"), "{}", printed.text());
    let bodies: Vec<Value> = expected(&folder, "events").iter().map(|event| event["body"].clone()).collect();
    assert_eq!(bodies, ["hello", "nothing: here, at all"]);
}

#[test]
fn lines_that_fail_are_shown_and_are_part_of_the_test() {
    let folder = Folder::new();
    let good = "a=1 b=2\n".repeat(9);
    let printed = propose(&folder, "mixed.log", &format!("{good}what is \u{1b}[2Jthis\n"));
    assert!(printed.text().contains("format   logfmt: 9 of 10 (90.0 %)"), "{}", printed.text());
    assert!(printed.text().contains("fails: what is \\u{1b}[2Jthis"), "{}", printed.text());
    assert_eq!(expected(&folder, "fails").len(), 1);
}

#[test]
fn a_test_has_lines_that_parse_even_if_many_fail() {
    let folder = Folder::new();
    let text = format!("{}{}", "what is this\n".repeat(25), "a=1 b=2\n".repeat(30));
    propose(&folder, "mixed.log", &text);
    assert_eq!((expected(&folder, "events").len(), expected(&folder, "fails").len()), (17, 3));
}

#[test]
fn names_with_dollar_signs_are_those_of_the_file() {
    let folder = Folder::new();
    propose(&folder, "t.csv", "id;a$$b;x${y}\n1;2;3\n4;5;6\n");
    let attributes: Vec<Value> = expected(&folder, "events").iter().map(|event| event["attributes"].clone()).collect();
    let row = |id: u8, other: u8, last: u8| serde_json::json!({"id": id, "a$$b": other, "x${y}": last});
    assert_eq!(attributes, [row(1, 2, 3), row(4, 5, 6)]);
}

#[test]
fn a_sample_is_read_as_the_agent_reads_it() {
    let text = "{\n \"n\": 1\n}\n{\n \"n\": 2\n}\n";
    let utf_16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let folder = Folder::new();
    folder.write("wide.json", utf_16);
    let ended = folder.run(&["pack", "new", "own", "--from", "wide.json"]);
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert!(ended.text().contains("wide.json: 2 JSON documents\nformat   json: 2 of 2"), "{}", ended.text());
}

#[test]
fn a_file_that_cannot_be_read_leaves_no_folder() {
    let folder = Folder::new();
    folder.write("empty", "\n\n");
    for (file, text) in
        [("absent", "`absent`: No such file"), ("empty", "`empty`: the file contains no line"), (".", "`.`:")]
    {
        let ended = folder.run(&["pack", "new", "own", "--from", file]);
        assert_eq!(ended.code, 1, "{}", ended.log);
        assert!(ended.log.contains(text), "{}", ended.log);
        assert!(!folder.path("own").exists());
    }
}

/// Lines whose secrets, between « and », must be in no file of the pack.
const LEAKS: &[&str] = &[
    "2026-01-01 10:00:00 INFO Authorization: Basic «YW5uOnMzY3JldHB3OTk=» X-Api-Key: «Zq7Xw9Kp»",
    "2026-01-01 10:00:00 INFO Authorization: Basic «YW5uOnMzY3JldHB3OTk=» api_key=«Zq7Xw9Kp»",
    "2026-01-01 10:00:00 INFO Authorization: Basic «YW5uOnMzY3JldHB3OTk=» token: «Zq7Xw9Kp»",
    "2026-01-01 10:00:00 INFO Authorization: Basic «YW5uOnMzY3JldHB3OTk=» password=«Zq7Xw9Kp»",
    "Authorization: Bearer «Qq7Xw9KpZq7Xw9Kp» Cookie: a=b; sid=«Zq7Xw9Kp»",
    "Authorization: Digest username=\"ann\", response=\"«Zq7Xw9KpZq7»\"",
    "Proxy-Authorization: SharedKey acct:«Zq7Xw9KpQ»",
    "2026-01-01 10:00:00 INFO Cookie: a=b; sid=«Zq7Xw9Kp»",
    "2026-01-01 10:00:00 INFO request cookie=\"a=b; sid=«Zq7Xw9Kp»\"",
    "2026-01-01 10:00:00 INFO request cookie=a=b; sid=«Zq7Xw9Kp» n=1",
    "msg=\"GET / Cookie: a=b; sid=«Zq7Xw9Kp»\" status=200",
    "Set-Cookie: theme=dark; sid=«Zq7Xw9Kp»; Path=/; HttpOnly",
    "X-Api-Key: «Zq7Xw9Kp» X-Auth-Token: «Qq7Xw9Kp»",
    "X-Vault-Token: «hvs-Zq7Xw9Kp»",
    "Ocp-Apim-Subscription-Key: «Zq7Xw9Kp12»",
    "X-Amz-Security-Token: «IQoJb3JpZ2luX2VjEJr7»",
    "DB_PASS=«Zq7Xw9Kp» SMTP_PASSWORD=«Qq7Xw9Kp» mysql_pwd=«Rq7Xw9Kp»",
    "export POSTGRES_PASS='«Zq7 Xw9Kp»'",
    "smtp_pass: «Zq7Xw9Kp»",
    "dbPass: \"«Zq7Xw9Kp»\"",
    "pass=«Zq7Xw9Kp» user=ann",
    "pwd=«Zq7Xw9Kp» user=ann",
    "passwd=«Zq7Xw9Kp»",
    "KEY_PASSPHRASE=«Zq7Xw9Kp»",
    "APP_SECRET=«Zq7Xw9Kp» SLACK_BOT_TOKEN=«Qq7Xw9Kp»",
    "STRIPE_API_KEY=«Zq7Xw9Kp» AWS_SECRET_KEY=«Qq7Xw9Kp»",
    "PRIVATE_KEY=«Zq7Xw9Kp» ACCESS_KEY=«Qq7Xw9Kp»",
    "password: «Zq7Xw9Kp» # of the database",
    "  client_secret: '«Zq7Xw9Kp»'",
    "secret_token = \"«Zq7Xw9Kp»\"",
    "[db] password = '«Zq7Xw9Kp»'",
    "{\"user\":\"ann\",\"password\":\"«Zq7Xw9Kp»\",\"apiKey\":\"«Qq7Xw9Kp»\"}",
    "{\"db\":{\"dbPass\":\"«Zq7Xw9Kp»\"},\"tokens\":[{\"refresh_token\":\"«Qq7Xw9Kp»\"}]}",
    "{\"m\":\"{\\\"secret\\\":\\\"«Zq7Xw9Kp»\\\"}\"}",
    "{\"name\":\"api_key\",\"value\":\"«Zq7Xw9Kp»\"}",
    "{\"h\":\"Cookie: a=b; sid=«Zq7Xw9Kp»\\r\\nHost: x\"}",
    "{\"auths\":{\"ghcr.io\":{\"auth\":\"«YW5uOnMzY3JldHB3OTk=»\"}}}",
    "GET /a?api_key=«Zq7Xw9Kp»&x=1&access_token=«Qq7Xw9Kp» HTTP/1.1",
    "GET /a?X-Amz-Signature=«Zq7Xw9Kp»&sig=«Qq7Xw9Kp»",
    "curl -H 'Authorization: Bearer «Zq7Xw9KpQq7»' -H 'X-Api-Key: «Qq7Xw9Kp»' https://ex.com",
    "curl -u ann:«Zq7Xw9Kp» https://ex.com",
    "curl --user \"ann:«Zq7 Xw9Kp»\" https://ex.com",
    "curl -b 'a=b; sid=«Zq7Xw9Kp»' https://ex.com",
    "curl -H \"Cookie: a=b; sid=«Zq7Xw9Kp»\" https://ex.com",
    "wget --password=«Zq7Xw9Kp» https://ex.com",
    "connect postgres://ann:«Zq7Xw9Kp»@db/x",
    "connect redis://:«Zq7Xw9Kp»@cache:6379 then amqp://a:«Qq7Xw9Kp»@mq",
    "jdbc:postgresql://db/x?user=ann&password=«Zq7Xw9Kp»",
    "jdbc:sqlserver://db;user=ann;password=«Zq7Xw9Kp»;encrypt=true",
    "jdbc:oracle:thin:ann/«Zq7Xw9Kp»@db:1521:x",
    "Server=db;User Id=ann;Pwd=«Zq7Xw9Kp»;",
    "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=«Zq7Xw9KpQq7Xw9Kp==»;EndpointSuffix=x",
    "aws_access_key_id = «AKIAJ8XDNE4WQZ6RHUVC»",
    "aws_secret_access_key = «wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»",
    "aws_session_token=«FwoGZXIvYXdzEJr7abcdef»",
    "machine ex.com login ann password «Zq7Xw9Kp»",
    "//registry.npmjs.org/:_authToken=«Zq7Xw9Kp»",
    "docker login -u ann -p «Zq7Xw9Kp» ghcr.io",
    "docker login --username ann --password «Zq7Xw9Kp»",
    "mysql -uann -p«Zq7Xw9Kp» shop",
    "sshpass -p «Zq7Xw9Kp» ssh ann@host",
    "redis-cli -h cache -a «Zq7Xw9Kp» ping",
    "CREATE USER ann IDENTIFIED BY '«Zq7Xw9Kp»'",
    "ALTER USER ann WITH PASSWORD '«Zq7Xw9Kp»'",
    "ann:$apr1$«Zq7Xw9Kp»$Qq7Xw9KpQq7Xw9Kp",
    "<config><password>«Zq7Xw9Kp»</password></config>",
    "--token «Zq7Xw9Kp» --region x",
];

#[test]
fn no_secret_of_any_notation_is_in_a_file_of_the_pack() {
    let mut leaks = Vec::new();
    for line in LEAKS {
        let secrets: Vec<&str> = line.split('«').skip(1).filter_map(|rest| rest.split('»').next()).collect();
        let text = line.replace(['«', '»'], "");
        let folder = Folder::new();
        folder.write("sample.log", format!("{text}\n{text}\n"));
        let ended = folder.run(&["pack", "new", "own", "--from", "sample.log"]);
        if ended.code != 0 {
            leaks.push(format!("{text}: {}{}", ended.text(), ended.log));
            continue;
        }
        for (path, content) in files(&folder) {
            let found = secrets.iter().find(|secret| content.contains(**secret));
            leaks.extend(found.map(|secret| format!("{path} has {secret} of {text}")));
        }
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

#[test]
fn levels_of_errors_are_those_of_the_format() {
    for (text, levels) in [
        (
            "<13>Nov 28 10:20:30 web1 app: one\n<14>Nov 28 10:20:31 web1 app: two\n",
            r#"["alert", "crit", "emerg", "err"]"#,
        ),
        (
            "CEF:0|V|P|1|100|n|3|src=10.0.0.1\nCEF:0|V|P|1|100|n|5|src=10.0.0.1\n",
            r#"["10", "7", "8", "9", "High", "Very-High"]"#,
        ),
    ] {
        let folder = Folder::new();
        propose(&folder, "sample.log", text);
        let manifest = fs::read_to_string(folder.path("own/pack.toml")).unwrap();
        assert!(manifest.contains(&format!("in = {levels}")), "{manifest}");
    }
}
