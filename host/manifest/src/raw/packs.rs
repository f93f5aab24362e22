//! `[packs]` of `agent.toml`: the library, the registries, and the trust policy.

use std::path::PathBuf;
use std::time::Duration;

use wattle_diagnostics::{Data, Entry, Findings, Place, Reader, Table, Text, codes, reader};
use wattle_options::suggest;
use wattle_plan::{PackTrust, RegistryHost, RegistrySettings, TrustPolicy, TrustedKey};

/// `[packs]` as written.
#[derive(Default)]
pub(crate) struct PacksManifest {
    pub(crate) path: Option<PathBuf>,
    pub(crate) registry: RegistrySettings,
    pub(crate) trust: TrustPolicy,
}

impl PacksManifest {
    /// Reads the table; a path is relative to the file that holds it.
    pub(crate) fn read(table: &Table, place: Place, findings: &mut Findings) -> Self {
        let mut reader = Reader::new(table, place, "`[packs]`");
        let path = reader.string("path", findings).map(|text| findings.folder(text.place).join(text.text));
        let second = Duration::from_secs(1);
        let poll = reader.duration("poll", second..=Duration::from_hours(24), findings);
        let timeout = reader.duration("timeout", second..=Duration::from_mins(10), findings);
        let hosts = reader.named("registries", findings);
        let hosts = hosts.into_iter().map(|(table, entry)| read_host(table, entry, findings)).collect();
        let trust = reader.table("trust", findings).map(|(table, entry)| read_trust(table, entry.place, findings));
        reader.finish(findings);
        let default = RegistrySettings::default();
        let registry =
            RegistrySettings { poll: poll.unwrap_or(default.poll), timeout: timeout.unwrap_or(default.timeout), hosts };
        Self { path, registry, trust: trust.unwrap_or_default() }
    }
}

fn read_host(table: &Table, entry: &Entry, findings: &mut Findings) -> (String, RegistryHost) {
    let name = format!("`[packs.registries.\"{}\"]`", entry.key.escape_debug());
    let mut reader = Reader::new(table, entry.place, &name);
    let insecure = reader.boolean("insecure", findings).unwrap_or(false);
    let username = reader.string("username", findings);
    let password = reader.string("password", findings);
    reader.finish(findings);
    if let Some(password) = &password {
        findings.keep_secret(&password.text);
        findings.keep_place_secret(password.place);
    }
    if username.is_some() != password.is_some() {
        let (there, missing) = if username.is_some() { ("username", "password") } else { ("password", "username") };
        let message = format!("missing key `{missing}` in {name}, which has a `{there}`");
        findings.report(codes::MISSING_KEY.at(entry.place, message));
    }
    let login = username.zip(password).map(|(username, password)| (username.text, password.text));
    (entry.key.clone(), RegistryHost { insecure, login })
}

fn read_trust(table: &Table, place: Place, findings: &mut Findings) -> TrustPolicy {
    let mut reader = Reader::new(table, place, "`[packs.trust]`");
    let require = reader.boolean("require", findings).unwrap_or(false);
    let mut policy = TrustPolicy { require, ..TrustPolicy::default() };
    if let Some((keys, _)) = reader.table("keys", findings) {
        for entry in &keys.0 {
            policy.keys.extend(read_keys(entry, findings));
        }
    }
    let packs = reader.named("packs", findings);
    reader.finish(findings);
    for (table, entry) in packs {
        let mut reader = Reader::new(table, entry.place, format!("`[packs.trust.packs.\"{}\"]`", entry.key));
        let require = reader.boolean("require", findings);
        let publishers = reader.strings("publishers", findings);
        reader.finish(findings);
        for publisher in publishers.iter().flatten() {
            check_publisher(publisher, &policy, findings);
        }
        let publishers = publishers.map(|all| all.into_iter().map(|text| text.text).collect());
        policy.packs.insert(entry.key.clone(), PackTrust { require, publishers });
    }
    policy
}

/// Reads the keys of a publisher: one key, or a list during a key rotation.
fn read_keys(entry: &Entry, findings: &mut Findings) -> Vec<(String, TrustedKey)> {
    let texts = match &entry.item.data {
        Data::String(text) => Some(vec![Text { text: text.clone(), place: entry.item.place }]),
        _ => reader::strings(entry, findings),
    };
    let mut keys = Vec::new();
    for text in texts.unwrap_or_default() {
        match TrustedKey::parse(&text.text) {
            Some(key) => keys.push((entry.key.clone(), key)),
            None => {
                let message = format!("bad key of the publisher `{}`: it is not a minisign public key", entry.key);
                let hint = "copy the line that begins with `RW` from the `.pub` file of `wattle pack keygen`";
                findings.report(codes::BAD_VALUE.at(text.place, message).hint(hint));
            }
        }
    }
    keys
}

fn check_publisher(publisher: &Text, policy: &TrustPolicy, findings: &mut Findings) {
    let names = || policy.keys.iter().map(|(name, _)| name.as_str());
    if names().any(|name| name == publisher.text) {
        return;
    }
    let message = format!("the publisher `{}` has no key under `[packs.trust.keys]`", publisher.text);
    findings.report(codes::BAD_VALUE.at(publisher.place, message).hint_if(suggest::hint(&publisher.text, names())));
}
