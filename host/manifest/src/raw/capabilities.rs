//! `[capabilities.NAME]` of a pack: what its nodes need beyond the contract, and why.
//!
//! An import of an artifact is the request (of a built-in one: its use with these options), the
//! pack gives the reason, and the operator grants it.

use wattle_diagnostics::{Findings, Place, Reader, codes};
use wattle_options::suggest;

/// All capabilities, each an interface of the contract's package, with an example of its grant.
pub(crate) const CAPABILITIES: &[(&str, &str)] = &[
    ("clock", "clock = true"),
    ("host", "host = true"),
    ("http-client", "http-client = { hosts = [\"api.example.com\"] }"),
    ("kv", "kv = true"),
    ("log", "log = true"),
    ("lookup", "lookup = { tables = { NAME = \"FILE.csv\" } }"),
    ("metrics", "metrics = true"),
    ("random", "random = true"),
    ("seen", "seen = true"),
];

/// A capability that a pack requests.
pub(crate) struct CapabilityManifest {
    pub(crate) name: String,
    pub(crate) place: Place,
    /// `None` if it is missing, which was reported.
    pub(crate) reason: Option<String>,
}

/// Returns the capability of an import, such as `log` for `wattle:node/log@0.1.0`.
pub(crate) fn capability_of(import: &str) -> Option<&'static str> {
    let name = import.strip_prefix("wattle:node/")?.split('@').next()?;
    CAPABILITIES.iter().find(|(known, _)| *known == name).map(|(known, _)| *known)
}

/// An example of the grant of a capability.
pub(crate) fn grant_line(capability: &str) -> &'static str {
    CAPABILITIES.iter().find(|(known, _)| *known == capability).map_or("", |(_, line)| line)
}

pub(crate) fn read(file: &mut Reader<'_>, findings: &mut Findings) -> Vec<CapabilityManifest> {
    let mut capabilities = Vec::new();
    for (table, entry) in file.named("capabilities", findings) {
        let mut reader = Reader::new(table, entry.place, format!("`[capabilities.{}]`", entry.key));
        let reason = reader.required_string("reason", findings);
        reader.finish(findings);
        if let Some(reason) = reason.as_ref().filter(|reason| reason.text.trim().is_empty()) {
            let finding = codes::BAD_VALUE.at(reason.place, "bad `reason`: it is empty");
            findings.report(finding.hint("explain why the pack needs the capability; operators decide by this text"));
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
