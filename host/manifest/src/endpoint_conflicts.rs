//! Endpoints that exclude each other: two writers of a file, two listeners at an address.

use std::collections::BTreeMap;

use crate::raw::agent::EndpointManifest;
use wattle_diagnostics::{Data, Findings, codes};

/// Reports sinks of the type `file` that have the same path.
pub(crate) fn report_two_writers(sinks: &[EndpointManifest], findings: &mut Findings) {
    let mut writers: BTreeMap<std::path::PathBuf, &EndpointManifest> = BTreeMap::new();
    for sink in sinks {
        if sink.type_name.as_ref().is_none_or(|type_name| type_name.text != "file") {
            continue;
        }
        let Some(entry) = sink.options.entry("path") else { continue };
        let Data::String(path) = &entry.item.data else { continue };
        // `./a` and `a` are the same file.
        let same = wattle_pack::clean(path.as_ref());
        match writers.get(&same) {
            Some(first) => {
                let message = format!("sinks `{}` and `{}` write the same file `{path}`", first.name, sink.name);
                let hint = "give each sink its own path, or link all outputs to one of them";
                findings.report(codes::TWO_WRITERS.at(entry.item.place, message).hint(hint));
            }
            None => {
                writers.insert(same, sink);
            }
        }
    }
}

/// Reports HTTP sources that listen at the same address. Building them would fail too, but not when
/// a reload adds one while the other runs: that looks like a source that replaces the other.
pub(crate) fn report_two_listeners(sources: &[EndpointManifest], findings: &mut Findings) {
    let mut listeners: BTreeMap<&str, &EndpointManifest> = BTreeMap::new();
    for source in sources.iter().filter(|s| s.type_name.as_ref().is_some_and(|type_name| type_name.text == "http")) {
        // A source without an `address` uses the default.
        let (address, place) = match source.options.entry("address").map(|entry| (&entry.item.data, entry.item.place)) {
            // Port 0 stands for any free port, so two of them do not collide.
            Some((Data::String(address), place)) if !address.ends_with(":0") => (address.as_str(), place),
            Some(_) => continue,
            None => ("", source.place),
        };
        match listeners.get(address) {
            Some(first) => {
                let message = format!("sources `{}` and `{}` listen at the same address", first.name, source.name);
                let hint = "give each source a different `address`, or let one source receive both kinds of events";
                findings.report(codes::TWO_LISTENERS.at(place, message).hint(hint));
            }
            None => _ = listeners.insert(address, source),
        }
    }
}
