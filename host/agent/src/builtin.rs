//! The artifacts of the built-in nodes and the built-in packs, which are in the binary.

use wattle_pack::{BuiltinPack, Library, Pinning};
use wattle_plan::{Artifact, Frame};

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/builtin.rs"));
}

/// The artifacts of the built-in nodes.
pub(crate) fn artifacts() -> Vec<Artifact> {
    let (mut start, mut base) = (0, None);
    let artifact = |&(name, end, size, digest): &(&str, usize, usize, &str)| {
        let frame = Frame { bytes: embedded::FRAMES.get(start..end).unwrap_or_default(), size };
        start = end;
        // The first one is the dictionary of all others.
        Artifact::builtin(name, frame, base.replace(base.unwrap_or(frame)), digest)
    };
    let mut artifacts: Vec<Artifact> = embedded::ARTIFACTS.iter().map(artifact).collect();
    artifacts.sort_by(|a, b| a.name.cmp(&b.name));
    artifacts
}

/// A library of the built-in packs.
pub(crate) fn library() -> Library {
    let pack = |(name, version, files): &(&str, &str, &[(&str, &'static [u8])])| BuiltinPack {
        name: (*name).to_owned(),
        version: (*version).to_owned(),
        files: files.iter().map(|(path, bytes)| ((*path).to_owned(), *bytes)).collect(),
    };
    Library::new(embedded::PACKS.iter().map(pack).collect())
}

/// The library for a configuration; with `locked`, only pinned packs can be used.
pub(crate) fn library_for(locked: bool) -> Library {
    library().with_pinning(if locked { Pinning::Required } else { Pinning::Obeyed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wattle_plan::Origin;

    #[test]
    fn digests_match_the_bytes() {
        assert!(!artifacts().is_empty());
        for artifact in artifacts() {
            assert_eq!(artifact.bytes().len(), artifact.size());
            assert_eq!(Artifact::new("", artifact.bytes(), Origin::Builtin).digest, artifact.digest);
        }
    }

    /// Options decide whether a built-in node needs a capability; the catalog does not check imports. The node must call
    /// a capability that it needs in `configure`, and only these do.
    #[test]
    fn built_in_nodes_import_no_key_value_store_network_log_or_randomness() {
        let contract = ["types", "fields", "batch", "events", "diagnostics"];
        let capabilities = ["clock", "host", "lookup", "metrics", "seen"];
        let names = contract.into_iter().chain(capabilities);
        let contract: Vec<String> = names.map(|name| format!("wattle:node/{name}@0.2.0")).collect();
        for artifact in artifacts() {
            let imports = wattle_runtime::imported_interfaces(&artifact);
            assert!(
                !imports.is_empty() && imports.iter().all(|i| contract.contains(i)),
                "{}: {imports:?}",
                artifact.name
            );
        }
    }
}
