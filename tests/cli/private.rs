//! All files of the agent are private to its user, whatever the umask of the caller.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::process::Command;

use wattle_registry::Image;
use wattle_tests::{Agent, Config, FakeRegistry, Folder, binary, built, finish, free_address, wait_until};

const PACK: &str = r#"
    [pack]
    name = "sample"
    version = "1.0.0"
    contract = "0.1"
    description = "Takes lines."
    license = "Apache-2.0"
    [nodes.parse]
    artifact = "builtin:parse"
    inputs = ["input"]
    options = { format = "json" }
    [outputs.done]
    inputs = ["parse.*"]
"#;

/// An agent that stores files of every kind: checkpoints, a disk buffer, a quarantine, state,
/// compiled code, a pulled pack, refused events, history, the lock and the control socket.
fn config(pack: &str, server: std::net::SocketAddr) -> String {
    Config::new()
        .agent("drain_timeout = \"2s\"")
        .file_source("lines", "in.log")
        .set("framing", "lines")
        .pack("pulled", &["lines"], pack)
        .pipeline("own", &["lines"])
        .node("count", "counter.wasm", &["input"])
        .set("options.field", "attributes.seen")
        .node("hide", "builtin:mask", &["count"])
        .with("options = { rules = [{ pattern = \"AKIA[A-Z0-9]{16}\" }] }")
        .set("limits.host_calls", 1)
        .output("ok", &["hide"])
        .output("fails", &["*.failed"])
        .http_sink("down", &["pulled.*"], &format!("http://{server}/"))
        .with("buffer = { type = \"disk\", max_size = \"64MiB\" }")
        .drop_sink("rest", &["own.*"])
        .text()
}

/// Everything below a folder that another user may open, as mode and path.
fn open_to_others(folder: &Path, kinds: &mut Vec<String>) -> Vec<String> {
    let mut open = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        let (mode, path) = (metadata.mode() & 0o7777, entry.path());
        let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
        if mode != wanted {
            open.push(format!("{mode:04o} {}", path.display()));
        }
        if metadata.is_dir() {
            open.extend(open_to_others(&path, kinds));
        } else {
            let kind = if metadata.file_type().is_socket() { "socket " } else { "" };
            kinds.push(format!("{kind}{}", path.display()));
        }
    }
    open
}

#[test]
fn everything_in_the_data_folder_is_private_for_any_umask() {
    let (folder, registry) = (Folder::new(), FakeRegistry::start());
    folder.write("image/pack.toml", PACK);
    folder.write("image/README.md", "# sample\n");
    let files = wattle_registry::files::read_folder(&folder.path("image")).unwrap();
    registry.put("1", &Image::of_files(&files).unwrap());
    folder.write("counter.wasm", fs::read(built("guests/counter.wasm")).unwrap());
    folder.write("in.log", (0..20).map(|n| format!("{{\"n\":{n},\"key\":\"AKIA{n:0>16}\"}}\n")).collect::<String>());
    folder.write("agent.toml", config(&registry.reference("1"), free_address()));
    // A separate folder: the data folder of other tests shares its compiled code.
    let data = folder.path("own");
    let wattle = |arguments: &str| {
        let mut shell = Command::new("sh");
        let line = format!("umask 000; exec {} {arguments}", binary().display());
        shell.args(["-c", &line]).current_dir(folder.path("")).env("WATTLE_DATA_DIR", &data);
        for name in ["WATTLE_LOG", "WATTLE_CONFIG"] {
            shell.env_remove(name);
        }
        shell
    };
    let mut agent = Agent::start(&mut wattle("run agent.toml"));
    agent.wait_for("running");
    wait_until("events are in quarantine", || data.join("quarantine/own.ndjson").exists());
    wait_until("a checkpoint", || data.join("sources/lines/checkpoints.json").exists());
    folder.write("agent.toml", config(&registry.reference("1"), free_address()));
    let reloaded = finish(&mut wattle("reload --config agent.toml"), b"");
    assert_eq!(reloaded.code, 0, "{}{}", reloaded.text(), reloaded.log);
    let mut kinds = Vec::new();
    assert_eq!(open_to_others(&data, &mut kinds), [""; 0], "while the agent runs");
    agent.signal("TERM");
    let ended = agent.ended();
    assert!(ended.code <= 1, "{}", ended.log);
    assert_eq!(open_to_others(&data, &mut kinds), [""; 0], "after it has ended");
    let pulled = finish(&mut wattle(&format!("pack pull {} --config agent.toml", registry.reference("1"))), b"");
    assert_eq!(pulled.code, 0, "{}", pulled.log);
    assert_eq!(finish(&mut wattle("pack install cloudtrail@1.0.0 --config agent.toml"), b"").code, 0);
    let retried = finish(&mut wattle("quarantine drop own --all --yes --config agent.toml"), b"");
    assert_eq!(retried.code, 0, "{}", retried.log);
    assert_eq!(open_to_others(&data, &mut kinds), [""; 0], "after the commands");
    assert_eq!(fs::metadata(&data).unwrap().mode() & 0o7777, 0o700);
    for kind in ["lock", "socket ", "history", "buffer/", "quarantine/", "state/", "cache/", "packs/", "checkpoint"] {
        assert!(kinds.iter().any(|name| name.contains(kind)), "nothing of `{kind}` was looked at: {kinds:#?}");
    }
}
