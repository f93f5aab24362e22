//! `[capabilities.NAME]` of a pack: what its nodes need beyond the contract, and why.
//!
//! What an artifact imports is its request, the pack says why, and the agent must serve it. This agent serves none yet,
//! so a pack that needs one is refused, with the reason that the pack gives.

use crate::codes;
use crate::findings::{Findings, Place};
use crate::reader::Reader;
use crate::suggest;

/// Capabilities that a pack can ask for, each with the packages of interfaces that belong to it.
pub(crate) const CAPABILITIES: &[(&str, &[&str])] = &[
    ("clock", &["wasi:clocks/"]),
    ("environment", &["wasi:cli/"]),
    ("filesystem", &["wasi:filesystem/"]),
    ("http", &["wasi:http/"]),
    ("io", &["wasi:io/"]),
    ("key-value", &["wasi:keyvalue/"]),
    ("logging", &["wasi:logging/"]),
    ("random", &["wasi:random/"]),
    ("sockets", &["wasi:sockets/"]),
];

/// Capabilities that this agent serves.
const SERVED: &[&str] = &[];

/// A capability that a pack asks for.
pub(crate) struct CapabilityManifest {
    pub(crate) name: String,
    pub(crate) place: Place,
    /// `None` where it is missing, which is reported.
    pub(crate) reason: Option<String>,
}

/// The capability that an import belongs to.
pub(crate) fn capability_of(import: &str) -> Option<&'static str> {
    CAPABILITIES.iter().find(|(_, packages)| packages.iter().any(|p| import.starts_with(p))).map(|(name, _)| *name)
}

/// Tells whether this agent serves a capability.
pub(crate) fn is_served(name: &str) -> bool {
    SERVED.contains(&name)
}

/// What this agent serves, for hints.
pub(crate) fn served() -> String {
    if SERVED.is_empty() { "no capabilities".to_owned() } else { suggest::list(SERVED.iter().copied()) }
}

pub(crate) fn read(file: &mut Reader<'_>, findings: &mut Findings) -> Vec<CapabilityManifest> {
    let mut capabilities = Vec::new();
    for (table, entry) in file.named("capabilities", findings) {
        let mut reader = Reader::new(table, entry.place, format!("`[capabilities.{}]`", entry.key));
        let reason = reader.required_string("reason", findings);
        reader.finish(findings);
        if let Some(reason) = reason.as_ref().filter(|reason| reason.text.trim().is_empty()) {
            let finding = codes::BAD_VALUE.at(reason.place, "bad `reason`: it is empty");
            findings.report(finding.hint("say what the pack needs the capability for; operators decide by it"));
        }
        if CAPABILITIES.iter().any(|(name, _)| *name == entry.key) {
            let (name, place) = (entry.key.clone(), entry.place);
            capabilities.push(CapabilityManifest { name, place, reason: reason.map(|reason| reason.text) });
        } else {
            let message = format!("unknown capability `{}`", entry.key);
            let hint = suggest::hint(&entry.key, CAPABILITIES.iter().map(|(name, _)| *name));
            findings.report(codes::UNKNOWN_CAPABILITY.at(entry.place, message).hint_if(hint));
        }
    }
    capabilities
}
