//! A pack that marks events with its version, and a configuration that runs it.

use std::net::SocketAddr;

use wattle_registry::Image;
use wattle_tests::{Agent, Config, Folder, Metrics, built, get, wait_until};

/// Writes the pack `sample` in some version: it masks the names of events with `mark`.
pub(crate) fn write(folder: &Folder, at: &str, version: &str, mark: &str) {
    let manifest = format!(
        "[pack]\nname = \"sample\"\nversion = \"{version}\"\ncontract = \"0.1\"\ndescription = \"Shows its version.\"\n\
         license = \"Apache-2.0\"\n\n\
         [nodes.mask]\nartifact = \"nodes/mask.wasm\"\ninputs = [\"input\"]\n\n\
         [nodes.mask.options]\nrules = [{{ json_key = \"eventName\" }}]\nreplacement = {{ fixed = \"{mark}\" }}\n\n\
         [outputs.done]\ninputs = [\"mask\"]\n\n[outputs.fails]\ninputs = [\"*.failed\"]\n"
    );
    folder.write(format!("{at}/pack.toml"), manifest);
    folder.write(format!("{at}/README.md"), "# sample\n\nMasks the names of events.\n");
    folder.write(format!("{at}/nodes/mask.wasm"), std::fs::read(built("nodes/mask.wasm")).unwrap());
}

/// The image of a version.
pub(crate) fn image(folder: &Folder, version: &str, mark: &str) -> Image {
    let at = format!("image-{version}-{mark}");
    write(folder, &at, version, mark);
    image_of(folder, &at)
}

/// The image of a folder.
pub(crate) fn image_of(folder: &Folder, at: &str) -> Image {
    Image::of_files(&wattle_registry::files::read_folder(&folder.path(at)).unwrap()).unwrap()
}

/// A configuration that runs a pack on a stream; `more` goes before it.
pub(crate) fn config(pack: &str, admin: SocketAddr, more: &str) -> String {
    Config::new()
        .with(more)
        .admin(admin)
        .source("load", "demo")
        .set("seed", 5)
        .set("records_per_document", 2)
        .set("rate", 40)
        .pack("main", &["load"], pack)
        .file_sink("done", &["main.*"], "done.ndjson")
        .set("encoding.codec", "text")
        .text()
}

/// Number of documents that a version has processed.
pub(crate) fn seen(folder: &Folder, mark: &str) -> usize {
    let name = format!("\"eventName\":\"{mark}\"");
    String::from_utf8(folder.read("done.ndjson")).unwrap().lines().filter(|line| line.contains(&name)).count()
}

/// Waits until a version processes more.
#[track_caller]
pub(crate) fn wait_for_more(folder: &Folder, mark: &str) {
    let before = seen(folder, mark);
    wait_until(&format!("events of the version that writes {mark}"), || seen(folder, mark) > before);
}

pub(crate) fn metrics(admin: SocketAddr) -> Metrics {
    Metrics::read(&get(admin, "/metrics").unwrap().text)
}

/// Number of polls with this outcome.
pub(crate) fn polls(admin: SocketAddr, outcome: &str) -> f64 {
    metrics(admin).sum("wattle_registry_polls_total", &[("outcome", outcome)])
}

/// The generation that runs.
pub(crate) fn generation(admin: SocketAddr) -> f64 {
    metrics(admin).sum("wattle_generation", &[])
}

/// Ends an agent, and checks that exactly one version processed each event, earlier versions first.
#[track_caller]
pub(crate) fn stop_in_order(folder: &Folder, agent: Agent, marks: &[&str]) {
    agent.stop().summary();
    let text = String::from_utf8(folder.read("done.ndjson")).unwrap();
    let of = |line: &str| marks.iter().position(|mark| line.contains(&format!("\"eventName\":\"{mark}\"")));
    let versions: Vec<usize> = text.lines().map(|line| of(line).expect("every line is of one version")).collect();
    assert!(versions.is_sorted(), "the versions are mixed up");
    assert_eq!(versions.iter().collect::<std::collections::BTreeSet<_>>().len(), marks.len(), "a version saw nothing");
}
