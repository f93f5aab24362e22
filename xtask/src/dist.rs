//! `cargo xtask dist`: a whole release from one commit, without anything of this machine in it.
#![allow(
    clippy::indexing_slicing,
    reason = "what is indexed are JSON values: a missing key reads as null, and only objects that are written here get keys"
)]

mod compare;
mod image;
mod provenance;
mod release;
mod sbom;
pub(crate) mod smoke;
mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Args;
use sha2::{Digest as _, Sha256};
use wattle_signing::SecretKey;

use self::image::{Image, Layout};
use self::release::{Facts, is_static};
use self::toolchain::{TARGETS, Target};
use crate::package;
use crate::process::{cargo, target_dir};
use crate::remap::{Remap, printed};
use crate::tools;

#[derive(Args)]
pub(crate) struct Options {
    /// Architectures to build for
    #[arg(long, value_delimiter = ',', default_value = "amd64,arm64", value_parser = ["amd64", "arm64"])]
    arch: Vec<String>,
    /// Folder of the release; default: target/dist
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// File of the secret key of minisign that signs SHA256SUMS. Without it, the variable WATTLE_SIGN_KEY holds the key
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// URI of the repository, for the image and the provenance
    #[arg(long, value_name = "URI", env = "WATTLE_REPOSITORY", default_value = "urn:wattle:source")]
    repository: String,
    /// URI of the builder, for the provenance
    #[arg(long, value_name = "URI", env = "WATTLE_BUILDER", default_value = "urn:wattle:builder:local")]
    builder: String,
    /// Also build the commit in another folder, and fail unless every file is the same
    #[arg(long)]
    check: bool,
}

/// Writes a release.
pub(crate) fn dist(options: &Options) -> anyhow::Result<()> {
    let facts = Facts::read()?;
    if options.check {
        ensure!(!facts.is_modified, "`--check` builds the last commit; commit your changes first");
    }
    let out = match &options.out {
        Some(out) => std::path::absolute(out)?,
        None => target_dir()?.join("dist"),
    };
    release::empty(&out)?;
    tools::add_packagers();
    tools::add_emulator();
    let zig = toolchain::prepare()?;
    let nodes = release::nodes()?;
    let agent_toml = fs::read("packaging/image/agent.toml")?;
    let image = Image {
        version: facts.version,
        commit: &facts.commit,
        repository: &options.repository,
        seconds: facts.seconds,
        time: &facts.time,
        agent_toml: &agent_toml,
    };
    let mut layout = Layout::default();
    // The first one prints the manual pages and completions of all, since others may need an emulator.
    let mut speaker: Option<PathBuf> = None;
    let targets: Vec<&Target> =
        TARGETS.iter().filter(|target| options.arch.iter().any(|it| it == target.oci)).collect();
    let mut binaries = Vec::new();
    for target in &targets {
        let binary = build(target, &zig, &out, &facts, &nodes)?;
        let speaker = match &mut speaker {
            Some(speaker) => speaker,
            None => speaker.insert(smoke::program(&binary, target.oci)?),
        };
        package::write(&binary, speaker, &out, facts.seconds)?;
        let layers = layout.add(&image, target.oci, &fs::read(&binary)?)?;
        println!("image for {}: {:.1} MB compressed", target.oci, layers as f64 / 1e6);
        binaries.push((target.oci, binary));
    }
    let layout_file = out.join(format!("wattle-{}-oci.tar", facts.version));
    fs::write(&layout_file, layout.finish(&image)?)?;
    smoke::pipelines(&binaries)?;
    if binaries.iter().any(|(architecture, _)| *architecture == smoke::OWN) {
        smoke::image(&layout_file)?;
    }
    describe(options, &facts, &targets, &out)?;
    if options.check {
        compare::with_another_folder(&out, &options.arch, &options.repository, &options.builder)
    } else {
        Ok(())
    }
}

/// Builds the agent for a target, with its bill of materials in it and beside it. Returns the path in the release.
fn build(
    target: &Target,
    zig: &Path,
    out: &Path,
    facts: &Facts,
    nodes: &[(String, String)],
) -> anyhow::Result<PathBuf> {
    let built = toolchain::build(target, zig)?;
    let mut graph = sbom::Graph::new();
    let tree = |arguments: &[String]| -> anyhow::Result<String> {
        let mut tree = cargo();
        tree.args(["tree", "--locked", "--quiet", "--edges", "normal,no-proc-macro", "--prefix", "depth"]);
        printed(tree.args(["--format", sbom::TREE_FORMAT]).args(arguments))
    };
    let agent = ["--package", "wattle", "--target", target.triple].map(str::to_owned);
    sbom::read_tree(&tree(&agent)?, &mut graph)?;
    let in_nodes = nodes.iter().flat_map(|(name, _)| ["--package".to_owned(), format!("wattle-node-{name}")]);
    let in_nodes: Vec<String> = in_nodes.chain(["--target".to_owned(), crate::nodes::TARGET.to_owned()]).collect();
    sbom::read_tree(&tree(&in_nodes)?, &mut graph)?;
    let release =
        sbom::Release { version: facts.version, triple: target.triple, time: &facts.time, rustc: facts.rustc(), nodes };
    let document = sbom::cyclonedx(&graph, &facts.lock, &release);
    let name = format!("wattle-{}-linux-{}", facts.version, target.oci);
    fs::write(out.join(format!("{name}.cdx.json")), &document)?;
    let sections = target_dir()?.join("dist-tools");
    let (crates, whole) = (sections.join("dep-v0"), sections.join("cyclonedx"));
    fs::write(&crates, sbom::auditable(&graph)?)?;
    fs::write(&whole, sbom::compress(document.as_bytes())?)?;
    let binary = out.join(&name);
    toolchain::finish(&built, &binary, &[(".dep-v0", &crates), (".cyclonedx", &whole)])?;
    let bytes = fs::read(&binary)?;
    ensure!(is_static(&bytes), "{} is not static", binary.display());
    Remap::of_this_machine()?.ensure_absent(&name, &bytes)?;
    Ok(binary)
}

/// Writes the provenance, the digests of all files, and their signature.
fn describe(options: &Options, facts: &Facts, targets: &[&Target], out: &Path) -> anyhow::Result<()> {
    let triples: Vec<&str> = targets.iter().map(|target| target.triple).collect();
    let build = provenance::Build {
        builder: &options.builder,
        repository: &options.repository,
        commit: &facts.commit,
        is_modified: facts.is_modified,
        lock: &hex_digest(facts.lock.as_bytes()),
        rustc: facts.rustc(),
        zig: tools::ZIG,
        triples: &triples,
    };
    let statement = provenance::statement(&build, &release::files(out)?);
    fs::write(out.join(format!("wattle-{}.provenance.json", facts.version)), statement)?;
    let sums = provenance::sums(&release::files(out)?);
    fs::write(out.join("SHA256SUMS"), &sums)?;
    for line in sums.lines() {
        println!("{line}");
    }
    if facts.is_modified {
        println!("MODIFIED: files differ from the commit {}; the provenance says so", facts.commit);
    }
    let secret = match (&options.key, std::env::var("WATTLE_SIGN_KEY").ok().filter(|key| !key.is_empty())) {
        (Some(path), _) => fs::read_to_string(path).with_context(|| path.display().to_string())?,
        (None, Some(secret)) => secret,
        (None, None) => {
            println!(
                "NOT SIGNED: give `--key FILE`, or set WATTLE_SIGN_KEY to a secret key of minisign without a password"
            );
            return Ok(());
        }
    };
    let key = SecretKey::parse(&secret)?;
    fs::write(out.join("SHA256SUMS.minisig"), key.sign(&sums, &format!("wattle {}", facts.version)))?;
    println!("signed with the key {}", key.id());
    Ok(())
}

/// SHA-256 in hexadecimal digits.
fn hex_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minisign_verifies_the_signature_of_the_digests() {
        let key = SecretKey::generate().unwrap();
        let sums = provenance::sums(&[("wattle".to_owned(), hex_digest(b"binary"))]);
        let signature = minisign_verify::Signature::decode(&key.sign(&sums, "wattle 1.2.3")).unwrap();
        let public = minisign_verify::PublicKey::from_base64(&key.public_line()).unwrap();
        public.verify(sums.as_bytes(), &signature, false).unwrap();
        public.verify(sums.replace("wattle", "other").as_bytes(), &signature, false).unwrap_err();
    }
}
