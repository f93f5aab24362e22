//! `pack.toml` as written.

use semver::{Version, VersionReq};

use super::graph::GraphManifest;
use crate::artifact::CONTRACT_VERSION;
use crate::codes;
use crate::findings::{Findings, Place};
use crate::params::ParamManifest;
use crate::reader::{Reader, Text};
use crate::value::Table;

pub(crate) struct PackManifest {
    pub(crate) name: Option<Text>,
    pub(crate) version: Option<(Version, Place)>,
    pub(crate) params: Vec<ParamManifest>,
    pub(crate) graph: GraphManifest,
}

impl PackManifest {
    pub(crate) fn read(table: &Table, file: Place, findings: &mut Findings) -> Self {
        let mut reader = Reader::new(table, file, "the file");
        let (name, version, place) = match reader.required("pack", findings) {
            Some(entry) => {
                let (name, version) = match crate::reader::table(entry, findings) {
                    Some(table) => read_head(table, entry.place, findings),
                    None => (None, None),
                };
                (name, version, entry.place)
            }
            None => (None, None, file),
        };
        let params = reader.named("params", findings);
        let params = params.into_iter().map(|(table, entry)| ParamManifest::read(table, entry, findings)).collect();
        let graph = GraphManifest::read(&mut reader, place, "", findings);
        reader.finish(findings);
        Self { name, version, params, graph }
    }
}

fn read_head(table: &Table, place: Place, findings: &mut Findings) -> (Option<Text>, Option<(Version, Place)>) {
    let mut reader = Reader::new(table, place, "`[pack]`");
    let name = reader.required_string("name", findings);
    if let Some(name) = name.as_ref().filter(|name| !is_pack_name(&name.text)) {
        let message = format!("bad pack name `{}`", name.text.escape_debug());
        let hint = "names of packs are a small letter and then small letters, digits and `-`";
        findings.report(codes::BAD_NAME.at(name.place, message).hint(hint));
    }
    let version = reader.required_string("version", findings).and_then(|text| match Version::parse(&text.text) {
        Ok(version) => Some((version, text.place)),
        Err(error) => {
            let message = format!("bad `version`: `{}`; {error}", text.text);
            findings.report(codes::BAD_VALUE.at(text.place, message).hint("write three numbers, as in `\"1.0.0\"`"));
            None
        }
    });
    if let Some(contract) = reader.required_string("contract", findings) {
        check_contract(&contract, findings);
    }
    reader.string("description", findings);
    reader.string("license", findings);
    reader.finish(findings);
    (name, version)
}

fn check_contract(contract: &Text, findings: &mut Findings) {
    match (VersionReq::parse(&contract.text), Version::parse(CONTRACT_VERSION)) {
        (Ok(needed), Ok(served)) if !needed.matches(&served) => {
            let message =
                format!("the pack needs contract `{}`, but this agent serves `{CONTRACT_VERSION}`", contract.text);
            let hint = "take a version of the pack or of the agent that fits the other";
            findings.report(codes::CONTRACT_VERSION.at(contract.place, message).hint(hint));
        }
        (Err(error), _) => {
            let message = format!("bad `contract`: `{}`; {error}", contract.text);
            findings.report(codes::BAD_VALUE.at(contract.place, message).hint("write a version, as in `\"0.1\"`"));
        }
        _ => {}
    }
}

/// Tells whether text can be the name of a pack.
pub(crate) fn is_pack_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}
