//! Every way in which a candidate can be invalid: the running generation stays, and the caller gets
//! the reason.

use serde_json::Value;
use wattle_tests::signing::{keygen, policy, sign};
use wattle_tests::{Agent, Config, Folder, built, wait_until};

/// How a candidate is broken, the exit code of `wattle reload`, and its message.
struct Broken {
    name: &'static str,
    break_it: fn(&Folder),
    code: i32,
    says: &'static [&'static str],
}

const ALL: &[Broken] = &[
    Broken {
        name: "syntax of the configuration",
        break_it: |folder| folder.replace("agent.toml", config() + "\n[unfinished"),
        code: 78,
        says: &["error[E0102]", "agent.toml:"],
    },
    Broken {
        name: "syntax of the pack",
        break_it: |folder| folder.replace("pack/pack.toml", "[pack\n"),
        code: 78,
        says: &["error[E0102]", "pack.toml:1"],
    },
    Broken {
        name: "missing artifact",
        break_it: |folder| std::fs::remove_file(folder.path("pack/guest.wasm")).unwrap(),
        code: 78,
        says: &["error[E0204]", "guest.wasm"],
    },
    Broken {
        name: "artifact cut off",
        break_it: |folder| {
            let whole = folder.read("pack/guest.wasm");
            folder.replace("pack/guest.wasm", &whole[..whole.len() / 2]);
        },
        code: 78,
        says: &["error[E0206]", "artifact is "],
    },
    Broken {
        name: "wrong digest of an artifact",
        break_it: |folder| {
            let digest = format!("artifact = \"guest.wasm\"\ndigest = \"sha256:{}\"", "0".repeat(64));
            folder.replace("pack/pack.toml", pack("\"panic\"").replace("artifact = \"guest.wasm\"", &digest));
        },
        code: 78,
        says: &["error[E0207]", "guest.wasm"],
    },
    Broken {
        name: "no signature where one is required",
        break_it: |folder| folder.replace("agent.toml", policy(&keygen(folder, "acme.key")) + &config()),
        code: 78,
        says: &["error[E0421]"],
    },
    Broken {
        name: "signature of an untrusted key",
        break_it: |folder| {
            let trusted = keygen(folder, "acme.key");
            keygen(folder, "other.key");
            sign(folder, "pack", "other.key");
            folder.replace("agent.toml", policy(&trusted) + &config());
        },
        code: 78,
        says: &["error[E0423]"],
    },
    Broken {
        name: "altered signature",
        break_it: |folder| {
            let trusted = keygen(folder, "acme.key");
            sign(folder, "pack", "acme.key");
            let mut signature = folder.read("pack/pack.sum.minisig");
            // A character of the base64 in the second line, where the signature begins.
            let at = signature.iter().position(|b| *b == b'\n').unwrap() + 40;
            signature[at] = if signature[at] == b'A' { b'B' } else { b'A' };
            folder.replace("pack/pack.sum.minisig", signature);
            folder.replace("agent.toml", policy(&trusted) + &config());
        },
        code: 78,
        says: &["error[E0422]"],
    },
    Broken {
        name: "pack altered after it was signed",
        break_it: |folder| {
            let trusted = keygen(folder, "acme.key");
            sign(folder, "pack", "acme.key");
            let mut guest = folder.read("pack/guest.wasm");
            *guest.last_mut().unwrap() ^= 1;
            folder.replace("pack/guest.wasm", guest);
            folder.replace("agent.toml", policy(&trusted) + &config());
        },
        code: 78,
        says: &["error[E0424]", "guest.wasm"],
    },
    Broken {
        name: "option that the node refuses",
        break_it: |folder| folder.replace("pack/pack.toml", pack("\"no-such-fault\"")),
        code: 78,
        says: &["error[E0211]", "no-such-fault"],
    },
    Broken {
        name: "trap in configure",
        break_it: |folder| folder.replace("pack/pack.toml", pack("\"panic-on-configure\"")),
        code: 78,
        says: &["error[E0206]", "configured to panic"],
    },
    Broken {
        name: "configure that never ends",
        break_it: |folder| folder.replace("pack/pack.toml", pack("\"spin-on-configure\"")),
        code: 78,
        says: &["error[E0206]", "time"],
    },
    Broken {
        name: "contract version of the artifact",
        break_it: |folder| {
            let mut other = folder.read("pack/guest.wasm");
            let (from, to) = (b"@0.2.0", b"@9.9.9");
            let places: Vec<usize> =
                other.windows(from.len()).enumerate().filter(|(_, w)| w == from).map(|(i, _)| i).collect();
            places.iter().for_each(|&place| other[place..place + to.len()].copy_from_slice(to));
            folder.replace("pack/guest.wasm", other);
        },
        code: 78,
        says: &["error[E0206]", "9.9.9"],
    },
    Broken {
        name: "contract version of the pack",
        break_it: |folder| {
            folder.replace("pack/pack.toml", pack("\"panic\"").replace("contract = \"0.1\"", "contract = \"9\""));
        },
        code: 78,
        says: &["error[E0403]"],
    },
    Broken {
        name: "failing test of the pack",
        break_it: |folder| {
            // Its behaviour changes, but its test does not.
            folder.replace("pack/pack.toml", pack("\"panic\"").replace("version = \"1.0.0\"", "version = \"1.0.1\""));
            folder.replace("pack/tests/one/expected.ok.ndjson", "{\"body\":\"something else\"}\n");
        },
        code: 1,
        says: &["fails its tests", "test `one`", "something else"],
    },
    Broken {
        name: "expectation of an output that is missing",
        break_it: |folder| {
            folder.replace("pack/pack.toml", pack("\"panic\"").replace("version = \"1.0.0\"", "version = \"1.0.1\""));
            std::fs::remove_file(folder.path("pack/tests/one/expected.fails.ndjson")).unwrap();
        },
        code: 1,
        says: &["cannot be read", "E0502"],
    },
    Broken {
        name: "sink that cannot be built",
        break_it: |folder| {
            folder.write("file", "");
            folder.replace(
                "agent.toml",
                config().replace(
                    "path = \"fails.ndjson\"",
                    "path = \"fails.ndjson\"\nbuffer = { type = \"disk\", max_size = \"1GiB\", when_full = \"block\" }",
                ),
            );
            folder.write("data/buffer", "no folder");
        },
        code: 1,
        says: &["sink `fails`", "disk buffer"],
    },
];

fn pack(fault: &str) -> String {
    format!(
        r#"
[pack]
name = "mine"
version = "1.0.0"
contract = "0.1"
description = "A guest that fails poisonous rows."
[nodes.guest]
artifact = "guest.wasm"
inputs = ["input"]
options = {{ fault = {fault} }}
limits = {{ time = "200ms" }}
[outputs.ok]
inputs = ["guest"]
[outputs.fails]
inputs = ["guest.failed"]
"#
    )
}

fn config() -> String {
    Config::new()
        .source("load", "demo")
        .set("rate", 50)
        .pack("main", &["load"], "./pack")
        .file_sinks(&["ok", "fails"])
        .text()
}

/// Makes a key, and answers with its public half.
fn restore(folder: &Folder) {
    for name in ["acme.key", "acme.key.pub", "other.key", "other.key.pub", "pack/pack.sum", "pack/pack.sum.minisig"] {
        let _ = std::fs::remove_file(folder.path(name));
    }
    folder.write("pack/tests/one/input.json", "{\"a\":1}");
    folder.write("pack/tests/one/expected.ok.ndjson", "{\"body\":\"{\\\"a\\\":1}\"}\n");
    folder.write("pack/tests/one/expected.fails.ndjson", "");
    folder.replace("pack/guest.wasm", std::fs::read(built("guests/faulty.wasm")).unwrap());
    folder.replace("pack/pack.toml", pack("\"panic\""));
    folder.replace("agent.toml", config());
}

#[test]
fn a_broken_candidate_never_stops_the_running_generation_and_the_caller_gets_the_reason() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("pack")).unwrap();
    restore(&folder);
    let mut agent = Agent::start(folder.wattle().args(["run", "--no-watch", "--config", "agent.toml"]));
    agent.wait_for("running");
    // Name the folder, because a configuration that cannot be parsed does not.
    let data = folder.path("data");
    let reload = |more: &[&str]| folder.run(&[&["reload", "--data-dir", data.to_str().unwrap()], more].concat());
    for Broken { name, break_it, code, says } in ALL {
        break_it(&folder);
        let reloaded = reload(&[]);
        assert_eq!(reloaded.code, *code, "{name}: {}", reloaded.log);
        for part in *says {
            assert!(reloaded.log.contains(part), "{name}: `{part}` is missing in {}", reloaded.log);
        }
        assert!(reloaded.log.contains("generation 1 stays"), "{name}: {}", reloaded.log);
        let json: Value = serde_json::from_slice(&reload(&["--json"]).output).unwrap();
        let outcome = if *code == 78 { "invalid" } else { "failed" };
        assert_eq!((&json["outcome"], &json["generation"]), (&outcome.into(), &1.into()), "{name}: {json}");
        let before = folder.read("ok.ndjson").len();
        wait_until("events after the broken change", || folder.read("ok.ndjson").len() > before);
        restore(&folder);
        let back = reload(&[]);
        assert_eq!(back.text(), "nothing changed; generation 1 stays\n", "{name}: {}", back.log);
    }
    let refused = folder.run(&["history", "--config", "agent.toml", "--json"]);
    let refused = refused.text().lines().filter(|line| line.contains("\"error\"")).count();
    assert_eq!(refused, 2 * ALL.len());
    let summary = agent.stop().summary();
    assert_eq!(summary.pipeline().failed, 0);
}
