//! `pack.toml` as written.

use semver::{Version, VersionReq};

use super::capabilities::{self, CapabilityManifest};
use super::graph::GraphManifest;
use crate::params::ParamManifest;
use wattle_diagnostics::{Findings, Place, Reader, Table, Text, codes};
use wattle_pack::reference::is_pack_name;
use wattle_plan::CONTRACT_VERSIONS;

/// Default README file of a pack.
const README: &str = "README.md";

pub(crate) struct PackManifest {
    pub(crate) head: PackHead,
    /// Description of the events that the pack takes.
    pub(crate) input: Option<String>,
    pub(crate) params: Vec<ParamManifest>,
    pub(crate) capabilities: Vec<CapabilityManifest>,
    pub(crate) graph: GraphManifest,
}

/// `[pack]` as written; a missing required key is `None` and was reported.
#[derive(Default)]
pub(crate) struct PackHead {
    pub(crate) name: Option<Text>,
    pub(crate) version: Option<(Version, Place)>,
    pub(crate) contract: Option<Text>,
    pub(crate) description: Option<String>,
    pub(crate) license: Option<String>,
    pub(crate) authors: Vec<String>,
    pub(crate) readme: Option<Text>,
}

impl PackHead {
    /// Path of the README in the pack.
    pub(crate) fn readme_path(&self) -> &str {
        self.readme.as_ref().map_or(README, |readme| &readme.text)
    }
}

impl PackManifest {
    pub(crate) fn read(table: &Table, file: Place, findings: &mut Findings) -> Self {
        let mut reader = Reader::new(table, file, "the file");
        let (head, place) = match reader.required("pack", findings) {
            Some(entry) => {
                let head = wattle_diagnostics::reader::table(entry, findings)
                    .map(|table| read_head(table, entry.place, findings));
                (head.unwrap_or_default(), entry.place)
            }
            None => (PackHead::default(), file),
        };
        let input = reader.table("input", findings).and_then(|(table, entry)| {
            let mut reader = Reader::new(table, entry.place, "`[input]`");
            let description = reader.string("description", findings);
            reader.finish(findings);
            description.map(|text| text.text)
        });
        let params = reader.named("params", findings);
        let params = params.into_iter().map(|(table, entry)| ParamManifest::read(table, entry, findings)).collect();
        let capabilities = capabilities::read(&mut reader, findings);
        let graph = GraphManifest::read(&mut reader, place, "", findings);
        reader.finish(findings);
        Self { head, input, params, capabilities, graph }
    }
}

fn read_head(table: &Table, place: Place, findings: &mut Findings) -> PackHead {
    let mut reader = Reader::new(table, place, "`[pack]`");
    let name = reader.required_string("name", findings);
    if let Some(name) = name.as_ref().filter(|name| !is_pack_name(&name.text)) {
        let message = format!("bad pack name `{}`", name.text.escape_debug());
        let hint = "pack names begin with a lower-case letter, followed by lower-case letters, digits and `-`";
        findings.report(codes::BAD_NAME.at(name.place, message).hint(hint));
    }
    let version = reader.required_string("version", findings).and_then(|text| match Version::parse(&text.text) {
        Ok(version) => Some((version, text.place)),
        Err(_) => {
            let message = format!("bad `version`: `{}`; it is not three numbers with dots", text.text);
            findings.report(codes::BAD_VALUE.at(text.place, message).hint("write three numbers, as in `\"1.0.0\"`"));
            None
        }
    });
    let contract = reader.required_string("contract", findings);
    if let Some(contract) = &contract {
        check_contract(contract, findings);
    }
    let description = reader.string("description", findings).map(|text| text.text);
    let license = reader.string("license", findings).map(|text| text.text);
    let authors = reader.strings("authors", findings).unwrap_or_default();
    let authors = authors.into_iter().map(|text| text.text).collect();
    let readme = reader.string("readme", findings);
    if let Some(readme) = readme.as_ref().filter(|readme| !wattle_pack::digest::is_path(&readme.text)) {
        let message = format!("bad `readme`: `{}`; it must be the path of a file in the pack", readme.text);
        findings.report(codes::BAD_VALUE.at(readme.place, message));
    }
    reader.finish(findings);
    PackHead { name, version, contract, description, license, authors, readme }
}

fn check_contract(contract: &Text, findings: &mut Findings) {
    let Ok(needed) = VersionReq::parse(&contract.text) else {
        let message = format!("bad `contract`: `{}`; it is not a version", contract.text);
        findings.report(codes::BAD_VALUE.at(contract.place, message).hint("write a version, as in `\"0.2\"`"));
        return;
    };
    let mut served = CONTRACT_VERSIONS.into_iter().filter_map(|version| Version::parse(version).ok());
    if !served.any(|served| needed.matches(&served)) {
        let served = CONTRACT_VERSIONS.join(" and ");
        let message = format!("the pack needs contract `{}`, but this agent serves {served}", contract.text);
        let hint = "use a version of the pack or of the agent with a matching contract";
        findings.report(codes::CONTRACT_VERSION.at(contract.place, message).hint(hint));
    }
}
