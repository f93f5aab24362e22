//! The bill of materials: CycloneDX 1.6 beside and in the binary, and the list that scanners of Rust programs read.
//!
//! The crates are those that `cargo tree` names for the target and the features of the build. `cargo metadata` would unite
//! the features of the whole workspace, and name crates that no release contains.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::hex_digest;

/// A crate in the release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    license: String,
    is_ours: bool,
}

impl Package {
    /// The identity in the document.
    fn purl(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version)
    }
}

/// Crates and what each one needs.
pub(crate) type Graph = BTreeMap<Package, BTreeSet<Package>>;

/// The format of `cargo tree` that [`read_tree`] reads, with `--prefix depth`.
pub(crate) const TREE_FORMAT: &str = "|{p}|{l}|";

/// Adds the crates that `cargo tree` prints.
pub(crate) fn read_tree(text: &str, graph: &mut Graph) -> anyhow::Result<()> {
    let mut parents: Vec<Package> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let fields: Vec<&str> = line.split('|').collect();
        let [depth, package, license, _] = fields[..] else { anyhow::bail!("`cargo tree` prints `{line}`") };
        let depth: usize = depth.parse().with_context(|| line.to_owned())?;
        let mut words = package.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let package = Package {
            name: name.to_owned(),
            version: version.trim_start_matches('v').to_owned(),
            license: license.to_owned(),
            is_ours: package.contains('('),
        };
        parents.truncate(depth);
        if let Some(parent) = parents.last() {
            graph.entry(parent.clone()).or_default().insert(package.clone());
        }
        graph.entry(package.clone()).or_default();
        parents.push(package);
    }
    Ok(())
}

/// The digests in `Cargo.lock`, by name and version.
pub(crate) fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |package: &str, key: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    let packages = lock.split("[[package]]").skip(1);
    let entry =
        |package: &str| Some(((value(package, "name")?, value(package, "version")?), value(package, "checksum")?));
    packages.filter_map(entry).collect()
}

/// What the document says about the release.
pub(crate) struct Release<'a> {
    pub(crate) version: &'a str,
    pub(crate) triple: &'a str,
    /// Time of the commit, in the format of RFC 3339.
    pub(crate) time: &'a str,
    /// Version and commit of rustc.
    pub(crate) rustc: (&'a str, &'a str),
    /// Name and digest of each built-in node.
    pub(crate) nodes: &'a [(String, String)],
}

/// The document in CycloneDX 1.6.
pub(crate) fn cyclonedx(graph: &Graph, lock: &str, release: &Release<'_>) -> String {
    let checksums = checksums(lock);
    let sha256 = |digest: &str| json!([{ "alg": "SHA-256", "content": digest }]);
    let root = format!("pkg:cargo/wattle@{}", release.version);
    let mut components = Vec::new();
    for package in graph.keys().filter(|package| package.name != "wattle") {
        let mut component = json!({
            "type": "library", "bom-ref": package.purl(), "name": package.name, "version": package.version,
        });
        if !package.license.is_empty() {
            // Some crates still separate licences by a slash, which is no expression.
            component["licenses"] = json!([{ "expression": package.license.replace('/', " OR ") }]);
        }
        if let Some(digest) = checksums.get(&(package.name.clone(), package.version.clone())) {
            component["hashes"] = sha256(digest);
        }
        // A crate of this repository is in no registry.
        if !package.is_ours {
            component["purl"] = json!(package.purl());
        }
        components.push(component);
    }
    let (rustc, commit) = release.rustc;
    components.push(json!({
        "type": "framework", "bom-ref": "rust-std", "name": "rust-std", "version": rustc,
        "description": "standard library of Rust, with musl",
        "purl": format!("pkg:generic/rust-std@{rustc}?vcs_url=git%2Bhttps://github.com/rust-lang/rust@{commit}"),
    }));
    for (name, digest) in release.nodes {
        components.push(json!({
            "type": "file", "bom-ref": format!("node:{name}"), "name": format!("{name}.wasm"),
            "description": "built-in node, compressed in the binary", "hashes": sha256(digest),
        }));
    }
    let mut dependencies: Vec<Value> = graph
        .iter()
        .map(|(package, needs)| {
            let mut needs: Vec<String> = needs.iter().map(Package::purl).collect();
            if package.name == "wattle" {
                needs.push("rust-std".to_owned());
                needs.extend(release.nodes.iter().map(|(name, _)| format!("node:{name}")));
            }
            json!({ "ref": package.purl(), "dependsOn": needs })
        })
        .collect();
    // Which crates are in one node is known from its package.
    for (name, _) in release.nodes {
        let package = graph.keys().find(|package| package.name == format!("wattle-node-{name}"));
        dependencies.push(
            json!({ "ref": format!("node:{name}"), "dependsOn": package.iter().map(|p| p.purl()).collect::<Vec<_>>() }),
        );
    }
    let mut document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": release.time,
            "component": {
                "type": "application", "bom-ref": root, "name": "wattle", "version": release.version,
                "licenses": [{ "expression": "Apache-2.0" }],
                "properties": [{ "name": "wattle:target", "value": release.triple }],
            },
        },
        "components": components,
        "dependencies": dependencies,
    });
    // The same document has the same number.
    document["serialNumber"] = json!(uuid(&hex_digest(document.to_string().as_bytes())));
    format!("{document:#}\n")
}

/// A UUID of version 8, which may be made of a digest.
fn uuid(digest: &str) -> String {
    let part = |from: usize, to: usize| digest.get(from..to).unwrap_or_default();
    format!("urn:uuid:{}-{}-8{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}

/// The content of the section `.dep-v0`, the format of `cargo auditable`, which `cargo audit bin`, Trivy, Grype and Syft
/// read.
pub(crate) fn auditable(graph: &Graph) -> anyhow::Result<Vec<u8>> {
    let places: BTreeMap<&Package, usize> = graph.keys().enumerate().map(|(place, package)| (package, place)).collect();
    let packages: Vec<Value> = graph
        .iter()
        .map(|(package, needs)| {
            let source = if package.is_ours { "local" } else { "crates.io" };
            let needs: Vec<&usize> = needs.iter().filter_map(|package| places.get(package)).collect();
            let mut entry = json!({ "name": package.name, "version": package.version, "source": source });
            if !needs.is_empty() {
                entry["dependencies"] = json!(needs);
            }
            if package.name == "wattle" {
                entry["root"] = json!(true);
            }
            entry
        })
        .collect();
    compress(json!({ "packages": packages }).to_string().as_bytes())
}

/// Compresses with zlib, which the format of the section asks for.
pub(crate) fn compress(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

#[cfg(test)]
mod tests;
