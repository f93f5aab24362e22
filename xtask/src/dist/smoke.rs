//! Runs what was built: the CloudTrail pack on every architecture, and the image as a runtime would.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::hex_digest;
use super::toolchain::{quote, script};
use crate::process::{run, target_dir};

/// How long an image may take until it is ready. The first start compiles its nodes.
const READY: Duration = Duration::from_secs(60);

/// Packs, and those of their outputs that do not depend on the time. The newest pack also measures and summarizes.
const OUTPUTS: &[(&str, &[&str])] = &[
    ("cloudtrail@1.0.0", &["processed.ndjson", "get_describe_list.ndjson", "fails.ndjson"]),
    ("cloudtrail", &["processed.ndjson", "get_describe_list.ndjson", "log_delivery.ndjson"]),
];

/// An event that fails, because a pack writes no file for an output without events.
const FAILS: &[u8] = b"no JSON\n";

/// The architecture of this machine.
pub(crate) const OWN: &str = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };

/// A command that runs a binary here: itself, or in qemu.
fn on_this_machine(binary: &Path, architecture: &str) -> Command {
    if architecture == OWN {
        return Command::new(binary);
    }
    let mut qemu = Command::new(if architecture == "arm64" { "qemu-aarch64-static" } else { "qemu-x86_64-static" });
    qemu.arg(binary);
    qemu
}

/// A program that runs a binary here, with the arguments of that.
pub(crate) fn program(binary: &Path, architecture: &str) -> anyhow::Result<PathBuf> {
    if architecture == OWN {
        return Ok(binary.to_owned());
    }
    let command = on_this_machine(binary, architecture);
    let words: Vec<String> =
        std::iter::once(command.get_program()).chain(command.get_args()).map(|word| quote(Path::new(word))).collect();
    let folder = target_dir()?.join("dist-tools");
    script(&folder.join(format!("wattle-{architecture}")), &format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" ")))
}

/// Runs the same events through the CloudTrail pack on each architecture, and fails unless the results are the same
/// bytes. The events are generated ones and, if they are beside the workspace, samples of genuine ones.
pub(crate) fn pipelines(binaries: &[(&str, PathBuf)]) -> anyhow::Result<()> {
    let folder = target_dir()?.join("dist-smoke");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    pipelines_in(&folder, Path::new("../shared/data"), binaries)
}

/// The same, with results in `folder`. Each binary has its own folder there, named by its place in the list.
fn pipelines_in(folder: &Path, data: &Path, binaries: &[(&str, PathBuf)]) -> anyhow::Result<()> {
    let samples = samples(data)?;
    println!("{} kB of samples of CloudTrail go through the pack", samples.len() / 1000);
    let mut first: Option<(&str, Vec<(String, String)>)> = None;
    for (place, (architecture, binary)) in binaries.iter().enumerate() {
        let folder = folder.join(place.to_string());
        fs::create_dir_all(&folder)?;
        if on_this_machine(binary, architecture).arg("--version").output().is_err() {
            println!("NOT RUN on {architecture}: install qemu-user-static");
            continue;
        }
        let generated = folder.join("generated");
        run(on_this_machine(binary, architecture)
            .args(["generate", "--documents", "20"])
            .stdout(fs::File::create(&generated)?))?;
        // Every architecture generates for itself; the digest below tells whether they agree.
        let events = folder.join("input");
        fs::write(&events, [fs::read(&generated)?, samples.clone(), FAILS.to_vec()].concat())?;
        let mut files = vec![("events".to_owned(), hex_digest(&fs::read(&events)?))];
        for (pack, names) in OUTPUTS {
            let out = folder.join(pack);
            let mut agent = on_this_machine(binary, architecture);
            agent.args(["--log", "warn", "run", "--pack", pack, "--out"]).arg(&out);
            agent.stdin(fs::File::open(&events)?).stdout(Stdio::null());
            run(agent.env("WATTLE_DATA_DIR", folder.join("data")))?;
            for name in *names {
                let file = out.join(name);
                let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
                let text = without_arrival(&text);
                ensure!(!text.is_empty(), "{pack} wrote no {name} on {architecture}");
                files.push((format!("{pack} {name}"), hex_digest(text.as_bytes())));
            }
        }
        match &first {
            None => first = Some((architecture, files)),
            Some((other, expected)) => {
                ensure!(files == *expected, "{architecture} and {other} differ: {files:?} and {expected:?}");
                println!("the CloudTrail pack gives the same bytes on {architecture} and {other}");
            }
        }
    }
    Ok(())
}

/// Lines of events without the time of their arrival, which is in those that failed before they got one of their own.
fn without_arrival(lines: &str) -> String {
    let event = |line: &str| {
        let rest = line.strip_prefix("{\"timestamp\":\"").and_then(|rest| rest.split_once("\","));
        format!("{}\n", rest.map_or(line, |(_, rest)| rest))
    };
    lines.lines().map(event).collect()
}

/// The content of all files in the folders of a folder, in the order of their names, each with an end of line; nothing if
/// the folder is missing.
fn samples(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let folder = entry?.path();
        if folder.is_dir() {
            files.extend(fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?);
        }
    }
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let bytes = fs::read(&file).with_context(|| file.display().to_string())?;
        if file.extension().is_some_and(|extension| extension == "gz") {
            flate2::read::MultiGzDecoder::new(&*bytes).read_to_end(&mut all)?;
        } else {
            all.extend(bytes);
        }
        all.push(b'\n');
    }
    Ok(all)
}

/// Unpacks the image of this machine's architecture and starts it in bubblewrap: another user than root, no network, a
/// root that only can be read. It must become ready, and stop when it is asked to.
pub(crate) fn image(layout: &Path) -> anyhow::Result<()> {
    if image_in(layout, &target_dir()?.join("dist-smoke/image"))? {
        println!("the image for {OWN} becomes ready as another user than root, with a root that only can be read");
    } else {
        println!("NOT RUN: the image, because bubblewrap is missing or may not make namespaces here");
    }
    Ok(())
}

/// Returns whether bubblewrap can run here.
fn image_in(layout: &Path, folder: &Path) -> anyhow::Result<bool> {
    let (blobs, root, data) = (folder.join("layout"), folder.join("root"), folder.join("data"));
    for folder in [&blobs, &root, &data] {
        fs::create_dir_all(folder)?;
    }
    tar::Archive::new(fs::File::open(layout)?).unpack(&blobs)?;
    let config = unpack(&blobs, &root, OWN)?;
    let list = |name: &str| -> Vec<String> {
        let words = config["config"][name].as_array().into_iter().flatten();
        words.filter_map(|word| word.as_str().map(str::to_owned)).collect()
    };
    let jail = || {
        let mut jail = Command::new("bwrap");
        jail.args([
            "--unshare-user",
            "--unshare-ipc",
            "--uid",
            "65532",
            "--gid",
            "65532",
            "--die-with-parent",
            "--clearenv",
        ]);
        jail.arg("--ro-bind").arg(&root).arg("/").args(["--proc", "/proc", "--dev", "/dev"]);
        jail.arg("--bind").arg(&data).arg("/var/lib/wattle");
        for (name, value) in list("Env").iter().filter_map(|variable| variable.split_once('=')) {
            jail.args(["--setenv", name, value]);
        }
        jail.arg("--");
        jail
    };
    let mut probe = Command::new("bwrap");
    probe.args(["--unshare-user", "--uid", "65532", "--ro-bind", "/", "/", "--", "true"]);
    if !probe.output().is_ok_and(|output| output.status.success()) {
        return Ok(false);
    }
    let mut agent = jail().args(list("Entrypoint")).args(list("Cmd")).stderr(Stdio::piped()).spawn()?;
    let health = config["config"]["Healthcheck"]["Test"].as_array().cloned().unwrap_or_default();
    let health: Vec<&str> = health.iter().skip(1).filter_map(Value::as_str).collect();
    let result = until_ready(&mut agent, || jail().args(&health).output().is_ok_and(|output| output.status.success()));
    agent.kill()?;
    agent.wait()?;
    result?;
    Ok(true)
}

fn until_ready(agent: &mut Child, is_ready: impl Fn() -> bool) -> anyhow::Result<()> {
    let start = Instant::now();
    while !is_ready() {
        if let Some(status) = agent.try_wait()? {
            let mut log = String::new();
            agent.stderr.take().context("the log of the agent")?.read_to_string(&mut log)?;
            bail!("the image ended with {status}: {log}");
        }
        ensure!(start.elapsed() < READY, "the image was not ready within {READY:?}");
        // Each question starts a process.
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Unpacks the layers of an architecture, and returns the configuration of its image.
fn unpack(blobs: &Path, root: &Path, architecture: &str) -> anyhow::Result<Value> {
    let blob = |descriptor: &Value| -> anyhow::Result<Vec<u8>> {
        let digest = descriptor["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:"));
        let path = blobs.join("blobs/sha256").join(digest.context("a descriptor has a digest")?);
        fs::read(&path).with_context(|| path.display().to_string())
    };
    let document = |bytes: &[u8]| -> anyhow::Result<Value> { Ok(serde_json::from_slice(bytes)?) };
    let top = document(&fs::read(blobs.join("index.json"))?)?;
    let index = document(&blob(&top["manifests"][0])?)?;
    let mut platforms = index["manifests"].as_array().into_iter().flatten();
    let platform = platforms.find(|platform| platform["platform"]["architecture"] == architecture);
    let Some(platform) = platform else { bail!("the layout has no image for {architecture}") };
    let manifest = document(&blob(platform)?)?;
    for layer in manifest["layers"].as_array().into_iter().flatten() {
        let layer = zstd::stream::Decoder::new(std::io::Cursor::new(blob(layer)?))?;
        tar::Archive::new(layer).unpack(root)?;
    }
    document(&blob(&manifest["config"])?)
}

#[cfg(test)]
mod tests;
