//! Mocks in the tests of packs: tables, the time, facts about the machine.

use wattle_tests::Folder;

use crate::commands::{fails, run};

const MANIFEST: &str = r#"
[pack]
name = "p"
version = "1.0.0"
contract = "0.1"
description = "Names accounts and sites."
license = "Apache-2.0"

[input]
description = "JSON with an account and an address."

[capabilities.lookup]
reason = "to name accounts and sites"

[capabilities.clock]
reason = "to say when an event came"

[capabilities.host]
reason = "to say where an event came from"

[nodes.enrich]
artifact = "builtin:enrich"
inputs = ["input"]

[[nodes.enrich.options.lookups]]
table = "accounts"
key = "body.account"
columns = ["name"]

[[nodes.enrich.options.lookups]]
table = "sites"
key = "body.client"
columns = ["site"]

[nodes.edit]
artifact = "builtin:edit"
inputs = ["enrich"]
options.steps = [{ now = "attributes.seen" }, { set = "attributes.by", host = "host.name" }]

[outputs.all]
title = "All"
description = "Every event."
inputs = ["edit", "*.failed"]
"#;

const MOCKS: &str = r#"
framing = "lines"

[mocks]
clock = 2024-05-01T00:00:00Z

[mocks.host]
"host.name" = "web-1"

[mocks.lookup]
accounts = { key = "id", rows = [{ id = "1", name = "prod" }, { id = "2", name = "test" }] }
sites = { kind = "cidr", key = "network", rows = [{ network = "10.0.0.0/8", site = "home" }] }
"#;

/// A pack with one test, whose `case.toml` has this text.
fn pack(case: &str) -> Folder {
    let folder = Folder::new();
    folder.write("p/pack.toml", MANIFEST);
    folder.write("p/README.md", "# p\n");
    folder.write("p/LICENSE", "Apache-2.0\n");
    folder.write("p/tests/a/case.toml", case);
    folder.write("p/tests/a/input.ndjson", "{\"account\":\"1\",\"client\":\"10.1.2.3\"}\n{\"account\":\"3\"}\n");
    folder.write(
        "p/tests/a/expected.all.ndjson",
        "{\"attributes\":{\"name\":\"prod\",\"site\":\"home\",\"by\":\"web-1\",\"seen\":\"2024-05-01T00:00:00Z\"}}\n\
         {\"attributes\":{\"name\":null,\"site\":null,\"by\":\"web-1\"}}\n",
    );
    folder
}

#[test]
fn a_pack_is_tested_with_the_tables_the_time_and_the_facts_of_its_test() {
    let folder = pack(MOCKS);
    assert_eq!(run(&folder, &["pack", "test", "./p"]), "test a ... ok\n1 passed, 0 failed\n");
    folder.write("p/tests/a/case.toml", MOCKS.replace("\"prod\"", "\"dev\"").replace("web-1", "web-2"));
    let said = fails(&folder, 1, &["pack", "test", "./p"]);
    for part in ["test a ... FAILED", "expected \"prod\", got \"dev\"", "expected \"web-1\", got \"web-2\""] {
        assert!(said.contains(part), "`{part}` is not in {said}");
    }
}

#[test]
fn each_test_of_a_pack_has_its_own_mocks() {
    let folder = pack(MOCKS);
    folder.copy(&folder.path("p/tests/a"), "p/tests/b");
    folder.write("p/tests/b/case.toml", MOCKS.replace("web-1", "web-2"));
    let said = fails(&folder, 1, &["pack", "test", "./p"]);
    assert!(said.contains("test a ... ok") && said.contains("test b ... FAILED"), "{said}");
}

#[test]
fn other_commands_on_a_pack_configure_its_nodes_with_the_tables_of_its_tests() {
    let folder = pack(MOCKS);
    assert_eq!(run(&folder, &["pack", "lint", "./p"]), "./p: no findings\n");
    assert!(run(&folder, &["pack", "show", "./p"]).contains("builtin:enrich"));
    assert!(run(&folder, &["graph", "p/pack.toml"]).contains("enrich"));
}

#[test]
fn a_table_that_a_test_lacks_is_reported_with_the_key_to_add() {
    let folder = pack(
        "framing = \"lines\"\n[mocks.lookup]\naccounts = { key = \"id\", rows = [{ id = \"1\", name = \"a\" }] }\n",
    );
    for command in [["pack", "lint", "./p"], ["pack", "test", "./p"]] {
        let said = folder.run(&command);
        let said = format!("{}{}", said.text(), said.log);
        assert!(said.contains("the test has no table `sites`; add it to `mocks.lookup`, or use one of"), "{said}");
    }
}

#[test]
fn invalid_mocks_are_reported_with_their_test() {
    for (case, part) in [
        ("mocks.clok = 1", "`case.toml` of the test `a`: unknown key `clok` of mocks"),
        ("mocks.lookup.accounts.rows = []", "`case.toml` of the test `a`: `mocks.lookup.accounts`: `key`"),
        ("mocks.host.\"host.nmae\" = \"x\"", "unknown fact `host.nmae`"),
    ] {
        let folder = pack(&format!("framing = \"lines\"\n{case}\n"));
        let tested = fails(&folder, 1, &["pack", "test", "./p"]);
        let linted = fails(&folder, 78, &["pack", "lint", "./p"]);
        assert!(tested.contains(part) && linted.contains(part), "{tested}{linted}");
    }
}
