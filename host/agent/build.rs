//! Embeds the built-in artifacts (built by `cargo xtask nodes`) and the packs of this repository in
//! the binary.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// The first one is the dictionary of the frames of all others: nodes share most of their code. With it, all frames take
/// 2.9 MB instead of 8.7. `throttle` gives the smallest sum.
const NODES: &[&str] = &[
    "throttle",
    "aggregate",
    "anomaly",
    "dedup",
    "edit",
    "enrich",
    "extract",
    "filter",
    "join",
    "mask",
    "parse",
    "pattern",
    "route",
    "sample",
    "serialize",
    "suppress",
    "timestamp",
    "to-metric",
    "unroll",
    "user-agent",
];

/// Level of zstd: decompression, once per artifact at the first start, takes the same time at every
/// level.
const LEVEL: i32 = 19;

fn main() -> Result<(), Box<dyn Error>> {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").ok_or("CARGO_MANIFEST_DIR is not set")?;
    let root = Path::new(&manifest).join("../..").canonicalize()?;
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root.join(dir),
        None => root.join("target"),
    };
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_DIR");
    let mut code = String::from("type Files = &'static [(&'static str, &'static [u8])];\n\n");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    code.push_str(
        "/// Name, end of its zstd frame in `FRAMES`, size without compression, and digest of each artifact.\n",
    );
    code.push_str("pub(crate) const ARTIFACTS: &[(&str, usize, usize, &str)] = &[\n");
    // One constant for all frames: between several ones, the linker puts names and digests, and
    // reading these at start maps a part of each frame.
    let mut frames = Vec::new();
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    for name in NODES {
        let path = target.join("nodes").join(format!("{name}.wasm"));
        println!("cargo::rerun-if-changed={}", path.display());
        if !path.is_file() {
            println!("cargo::error={} is missing; run `cargo xtask nodes` first", path.display());
            return Ok(());
        }
        let artifact = fs::read(&path)?;
        let digest: String = Sha256::digest(&artifact).iter().map(|byte| format!("{byte:02x}")).collect();
        let is_first = frames.is_empty();
        frames.extend(compressor.compress(&artifact)?);
        if is_first {
            compressor = zstd::bulk::Compressor::with_dictionary(LEVEL, &artifact)?;
        }
        writeln!(code, "    ({name:?}, {}, {}, \"sha256:{digest}\"),", frames.len(), artifact.len())?;
    }
    let path = out.join("artifacts.zst");
    fs::write(&path, frames)?;
    writeln!(code, "];\n\npub(crate) const FRAMES: &[u8] = include_bytes!({path:?});\n")?;
    code.push_str("/// Name, version, and the files of each pack.\n");
    code.push_str("pub(crate) const PACKS: &[(&str, &str, Files)] = &[\n");
    let packs = root.join("packs");
    println!("cargo::rerun-if-changed={}", packs.display());
    for name in folders(&packs)? {
        for version in folders(&packs.join(&name))? {
            let folder = packs.join(&name).join(&version);
            writeln!(code, "    ({name:?}, {version:?}, &[")?;
            for file in files(&folder)? {
                let relative = file.strip_prefix(&folder)?.to_string_lossy().replace('\\', "/");
                writeln!(code, "        ({relative:?}, include_bytes!({file:?})),")?;
            }
            code.push_str("    ]),\n");
        }
    }
    code.push_str("];\n");
    fs::write(out.join("builtin.rs"), code)?;
    fs::write(out.join("templates.rs"), templates(&root)?)?;
    Ok(())
}

/// The files that node projects consist of: each tree of files below the root.
const TREES: &[&str] = &[
    "host/address",
    "host/batch",
    "host/cases",
    "host/json",
    "host/pattern",
    "nodes/sdk",
    "sdk/c",
    "sdk/go",
    "sdk/js",
    "sdk/python",
    "templates/c",
    "templates/c-columns",
    "templates/go",
    "templates/go-columns",
    "templates/js",
    "templates/js-columns",
    "templates/python",
    "templates/python-columns",
    "templates/rust",
    "templates/rust-columns",
    "templates/ts",
    "templates/ts-columns",
    "wit",
];

/// Generates the code with the trees. Excludes files that a project does not need, and leftovers of
/// builds in the repository.
fn templates(root: &Path) -> Result<String, Box<dyn Error>> {
    const LEFT_OUT: &[&str] =
        &["target", "node_modules", "__pycache__", ".venv", "examples", "tests.rs", "agree.rs", "Cargo.lock"];
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let mut code = String::from("type Files = &'static [(&'static str, &'static [u8])];\n\n");
    code.push_str("/// The files of each tree.\npub(super) const TREES: &[(&str, Files)] = &[\n");
    for tree in TREES {
        let folder = root.join(tree);
        println!("cargo::rerun-if-changed={}", folder.display());
        writeln!(code, "    ({tree:?}, &[")?;
        for file in files(&folder)? {
            let relative = file.strip_prefix(&folder)?;
            let left_out = |part: &std::ffi::OsStr| LEFT_OUT.iter().any(|name| part == *name);
            if !relative.iter().any(left_out) && relative.extension().is_none_or(|e| e != "wasm") {
                writeln!(code, "        ({:?}, include_bytes!({file:?})),", relative.to_string_lossy())?;
            }
        }
        code.push_str("    ]),\n");
    }
    // In the repository, the SDK's Rust crates are members of a workspace; in a project they are
    // its only members. All their dependencies keep the versions of this workspace.
    let (manifest, lock) = (root.join("Cargo.toml"), root.join("Cargo.lock"));
    let members = |line: &str| match line.split_once(" = [").map(|(key, _)| key) {
        Some("members") => r#"members = ["host/*", "nodes/*"]"#.to_owned(),
        Some("exclude") => String::new(),
        _ => line.to_owned(),
    };
    let text: Vec<String> = fs::read_to_string(&manifest)?.lines().map(members).collect();
    fs::write(out.join("workspace.toml"), text.join("\n"))?;
    writeln!(code, "    (\"workspace\", &[")?;
    for (name, from, file) in [("sdk/Cargo.toml", &manifest, &out.join("workspace.toml")), ("Cargo.lock", &lock, &lock)]
    {
        println!("cargo::rerun-if-changed={}", from.display());
        writeln!(code, "        ({name:?}, include_bytes!({file:?})),")?;
    }
    code.push_str("    ]),\n];\n");
    Ok(code)
}

fn folders(path: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            all.extend(files(&path)?);
        } else {
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}
