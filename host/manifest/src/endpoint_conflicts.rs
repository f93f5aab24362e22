//! Endpoints that exclude each other: two writers of a file, two listeners at an address.

use std::collections::BTreeMap;

use crate::own_output::User;
use crate::raw::agent::EndpointManifest;
use wattle_diagnostics::{Data, Findings, codes};
use wattle_options::{Address, Network, Used};
use wattle_plan::AdminSettings;

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

/// Reports sources and sinks that listen at the same address, also at that of the admin listener. Building them would fail
/// too, but not when a reload adds one while the other runs: that looks like one that replaces the other.
pub(crate) fn report_two_listeners(
    sources: &[User<'_>],
    sinks: &[User<'_>],
    admin: Option<&AdminSettings>,
    findings: &mut Findings,
) {
    let admin = admin.and_then(|admin| Address::new(Network::Tcp, &admin.listen?.to_string()));
    let mut listeners: Vec<(Address, String)> = Vec::new();
    listeners.extend(admin.map(|address| (address, "the admin listener".to_owned())));
    let all = sources.iter().map(|source| ("source", source)).chain(sinks.iter().map(|sink| ("sink", sink)));
    for (kind, user) in all {
        for used in &user.uses {
            let Used::Listens(address) = &used.what else { continue };
            let name = format!("{kind} `{}`", user.manifest.name);
            if let Some((other, first)) = listeners.iter().find(|(other, _)| other.collides(address)) {
                let message = if other == address {
                    format!("{first} and {name} listen at the same address `{address}`")
                } else {
                    format!("{first} and {name} listen at the same port: `{other}` and `{address}`")
                };
                let hint = format!("give each a different `{}`", used.option);
                findings.report(codes::TWO_LISTENERS.at(user.place_of(used.option), message).hint(hint));
            } else {
                listeners.push((address.clone(), name));
            }
        }
    }
}
