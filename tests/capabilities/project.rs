//! A project whose node uses capabilities: `node.toml` has grants and mocks, and every command of
//! `wattle node` uses them.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use wattle_tests::{Ended, Folder, built};

/// Mocks for everything that the guest can request.
const MOCKS: &str = r#"
    [mocks]
    clock = 1970-01-01T00:00:01Z
    random = 7
    [mocks.host]
    "host.name" = "web-1"
    [mocks.lookup]
    accounts = { key = "id", rows = [{ id = "1", name = "prod" }, { id = "2", name = "test" }] }
    [mocks.kv]
    1 = 41
    [mocks.http-client]
    "GET https://a.example/x" = { status = 418, body = "tea" }
"#;

/// A project of the guest; its build copies the artifact.
fn project(options: &str, more: &str) -> Folder {
    let folder = Folder::new();
    folder.write("given.wasm", fs::read(built("guests/capable.wasm")).unwrap());
    write(&folder, options, more);
    folder
}

fn write(folder: &Folder, options: &str, more: &str) {
    folder.write(
        "node.toml",
        format!(
            "name = \"capable\"\nartifact = \"capable.wasm\"\noptions = {{ {options} }}\n[build]\n\
             output = \"made.wasm\"\nwatch = [\"given.wasm\"]\nsteps = [{{ run = [\"cp\", \"given.wasm\", \"made.wasm\"] }}]\n\
             {more}"
        ),
    );
}

/// A case with these options, in which both rows get an answer.
fn case(folder: &Folder, name: &str, options: &str, mocks: &str, answers: [&str; 2]) {
    case_of(folder, name, options, mocks, ["1", "2"], answers);
}

/// The same with these bodies.
fn case_of(folder: &Folder, name: &str, options: &str, mocks: &str, bodies: [&str; 2], answers: [&str; 2]) {
    let out: Vec<String> = answers.iter().map(|a| format!("{{\"attributes\": {{\"answer\": \"{a}\"}}}}")).collect();
    folder.write(
        format!("tests/cases/{name}.json"),
        format!(
            "{{\"options\": {options}, \"mocks\": {mocks}, \"input\": [{{\"body\": \"{}\"}}, {{\"body\": \"{}\"}}], \
             \"expected\": {{\"out\": [{}]}}}}",
            bodies[0],
            bodies[1],
            out.join(", ")
        ),
    );
}

#[track_caller]
fn good(folder: &Folder, arguments: &[&str]) -> Ended {
    let ended = folder.run(arguments);
    assert_eq!(ended.code, 0, "{arguments:?}: {}{}", ended.text(), ended.log);
    ended
}

const HTTP: &str = r#"mode = "http", url = "https://a.example/x""#;

#[test]
fn every_node_command_uses_the_mocks_of_the_project() {
    let folder = project(HTTP, &format!("[grants]\n{}{MOCKS}", crate::ALL));
    good(&folder, &["node", "build"]);
    case(&folder, "clock", r#"{"mode": "clock"}"#, "{}", ["1000000000", "1000000000"]);
    case_of(&folder, "host", r#"{"mode": "host"}"#, "{}", ["host.name", "os.type"], ["web-1", "linux"]);
    case(&folder, "kv", r#"{"mode": "kv-add"}"#, "{}", ["42", "1"]);
    case(&folder, "http", r#"{"mode": "http", "url": "https://a.example/x"}"#, "{}", ["418 tea", "418 tea"]);
    let lookup = r#"{"mode": "lookup", "table": "accounts", "column": "name"}"#;
    case(&folder, "lookup", lookup, "{}", ["prod", "test"]);
    let own = r#"{"http-client": {"GET https://a.example/x": {"body": "coffee"}}}"#;
    case(
        &folder,
        "http-of-the-case",
        r#"{"mode": "http", "url": "https://a.example/x"}"#,
        own,
        ["200 coffee", "200 coffee"],
    );
    let tested = good(&folder, &["node", "test"]);
    assert!(tested.text().ends_with("6 passed, 0 failed\n"), "{}", tested.text());
    let checked = good(&folder, &["node", "conformance"]);
    assert!(checked.text().contains("check granted ... ok"), "{}", checked.text());
    let measured = good(&folder, &["node", "bench", "--no-fuel", "--json"]);
    assert!(!measured.log.contains("has no mock"), "{}", measured.log);
}

#[test]
fn dev_shows_the_answers_of_the_mocks() {
    let folder = project(HTTP, MOCKS);
    folder.write("in.log", "1\n");
    folder.write("agent.toml", crate::config(HTTP, crate::ALL, true));
    folder.write("sample.log", "1\n");
    let mut command = folder.wattle();
    command.args(["node", "dev", "--input", "sample.log"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let shown = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    for line in std::io::BufRead::lines(shown).map_while(Result::ok) {
        text += &(line.clone() + "\n");
        if line.contains("watching") || Instant::now() > deadline {
            break;
        }
    }
    let _ = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    let _ = child.wait();
    assert!(text.contains(r#"= out {"body":"1","attributes":{"answer":"418 tea"}}"#), "{text}");
}

#[test]
fn a_request_without_a_mock_fails_and_names_the_missing_key() {
    let folder = project(HTTP, "");
    good(&folder, &["node", "build"]);
    case(
        &folder,
        "http",
        &format!("{{{}}}", r#""mode": "http", "url": "https://a.example/x""#),
        "{}",
        ["200 ", "200 "],
    );
    let ended = folder.run(&["node", "test"]);
    assert_eq!(ended.code, 1, "{}{}", ended.text(), ended.log);
    for part in
        ["`GET https://a.example/x` has no mock", "[mocks.http-client]", "\"GET https://a.example/x\" = { status"]
    {
        assert!(ended.log.contains(part), "`{part}` is not in {}", ended.log);
    }
    // The advice in the message must work.
    let lines = ended.log.lines().skip_while(|line| !line.contains("[mocks")).take(2).collect::<Vec<_>>().join("\n");
    write(&folder, HTTP, &lines.replace("...", ""));
    let ended = good(&folder, &["node", "test"]);
    assert!(!ended.log.contains("has no mock"), "{}", ended.log);
}

#[test]
fn a_capability_that_the_project_does_not_grant_is_named_with_the_line_to_add() {
    let without_kv: String =
        crate::ALL.lines().filter(|line| !line.starts_with("kv")).map(|line| format!("{line}\n")).collect();
    let folder = project(r#"mode = "clock""#, &format!("[grants]\n{without_kv}"));
    good(&folder, &["node", "build"]);
    case(&folder, "clock", r#"{"mode": "clock"}"#, "{}", ["0", "0"]);
    for command in ["test", "conformance", "bench"] {
        let ended = folder.run(&["node", command]);
        assert_ne!(ended.code, 0, "{command}");
        let said = format!("{}{}", ended.text(), ended.log);
        assert!(said.contains("`[grants]` in `node.toml` does not contain; add `kv = true`"), "{command}: {said}");
    }
}

#[test]
fn tables_of_the_grants_are_read_from_their_files() {
    let folder = project(
        r#"mode = "lookup", table = "accounts", column = "name""#,
        &format!("[grants]\n{}", crate::all_but(&[("lookup", "{ tables = { accounts = \"accounts.csv\" } }")])),
    );
    folder.write("accounts.csv", "id,name\n1,prod\n2,test\n");
    good(&folder, &["node", "build"]);
    let lookup = r#"{"mode": "lookup", "table": "accounts", "column": "name"}"#;
    case(&folder, "lookup", lookup, "{}", ["prod", "test"]);
    assert!(good(&folder, &["node", "test"]).text().contains("1 passed, 0 failed"));
    fs::remove_file(folder.path("accounts.csv")).unwrap();
    let ended = folder.run(&["node", "test"]);
    assert!(ended.code == 78 && ended.log.contains("the table `accounts` cannot be read"), "{}", ended.log);
}

#[test]
fn invalid_grants_or_mocks_are_refused_with_their_place() {
    for (more, part) in [
        ("[grants]\nkw = true\n", "unknown key `kw`"),
        ("[grants]\nlog = { level = \"loud\" }\n", "node.toml:"),
        ("[mocks]\nclok = 1\n", "unknown key `clok` of mocks"),
        ("[mocks.http-client]\n\"https://a.example\" = {}\n", "METHOD URL"),
        ("[mocks.http-client]\n\"GET https://a.example\" = { failure = \"boredom\" }\n", "unknown failure `boredom`"),
    ] {
        let folder = project("", more);
        let ended = folder.run(&["node", "build"]);
        assert_eq!(ended.code, 78, "{more}: {}", ended.log);
        assert!(ended.log.contains(part), "{more}: {}", ended.log);
    }
}
