//! Artifacts of nodes, and the trait through which validation configures them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::grants::Grants;
use crate::limits::NodeLimits;

/// Version of the contract `wattle:node` that this agent serves.
pub const CONTRACT_VERSION: &str = "0.1.0";

/// Where an artifact comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built into the agent.
    Builtin,
    /// Embedded in the agent as a file of a built-in pack.
    Embedded,
    /// A file.
    File(PathBuf),
}

/// A node's WebAssembly component.
#[derive(Clone)]
pub struct Artifact {
    /// Name of a built-in artifact, else the file name without `.wasm`.
    pub name: String,
    /// `sha256:` and the digest of the bytes in hexadecimal.
    pub digest: String,
    /// The component.
    pub bytes: Bytes,
    /// Where it comes from.
    pub origin: Origin,
}

impl Artifact {
    /// Makes an artifact of bytes and works out their digest.
    pub fn new(name: impl Into<String>, bytes: impl Into<Bytes>, origin: Origin) -> Self {
        let bytes = bytes.into();
        Self { name: name.into(), digest: hex_digest(&bytes), bytes, origin }
    }

    /// An artifact that is part of the program, which knows its digest: none of its bytes is touched until it has to be
    /// compiled.
    pub fn builtin(name: &str, bytes: &'static [u8], digest: &str) -> Self {
        Self { name: name.into(), digest: digest.into(), bytes: Bytes::from_static(bytes), origin: Origin::Builtin }
    }
}

impl fmt::Debug for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Artifact")
            .field("name", &self.name)
            .field("digest", &self.digest)
            .field("bytes", &self.bytes.len())
            .field("origin", &self.origin)
            .finish()
    }
}

/// Writes the SHA-256 of bytes as `sha256:` and hexadecimal digits.
pub fn hex_digest(bytes: &[u8]) -> String {
    format!("sha256:{}", to_hex(&Sha256::digest(bytes)))
}

/// Writes bytes as hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    // Two digits a byte; `from_digit` knows every digit below 16.
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    halves.filter_map(|half| char::from_digit(u32::from(half), 16)).collect()
}

/// One thing wrong with options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionError {
    /// Where, such as `rules[0].pattern`; empty for the whole.
    pub path: String,
    /// What, and how to mend it.
    pub message: String,
}

/// What an artifact is with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeShape {
    /// Output ports without `failed`, at least one.
    pub ports: Vec<String>,
    /// Name of the node type.
    pub name: String,
    /// Version of the node type.
    pub version: String,
    /// True for a node that hides data.
    pub masks: bool,
}

/// Why an artifact was not configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeError {
    /// It runs, but refuses its options.
    Options(Vec<OptionError>),
    /// It cannot run at all.
    Artifact {
        /// What is wrong with it.
        message: String,
        /// How to mend it.
        hint: Option<String>,
    },
}

/// Those who can run nodes: validation configures each node once, in its sandbox.
pub trait Nodes {
    /// Gives a built-in artifact.
    fn builtin(&self, name: &str) -> Option<Arc<Artifact>>;
    /// Names the built-in artifacts.
    fn builtin_names(&self) -> Vec<String>;
    /// The interfaces that an artifact imports beyond the contract, such as `wattle:node/log@0.1.0`. Empty for what is no
    /// component; [`Nodes::configure`] says so.
    fn imports(&self, artifact: &Artifact) -> Vec<String>;
    /// Says which artifacts will be configured next, so that they can be compiled side by side. What is wrong with them
    /// is for [`Nodes::configure`] to say.
    fn prepare(&self, artifacts: &[Arc<Artifact>]) {
        let _ = artifacts;
    }
    /// Instantiates an artifact within these limits, with these capabilities, and configures it with options, a JSON
    /// object as text.
    fn configure(
        &self,
        artifact: &Arc<Artifact>,
        options: &str,
        limits: &NodeLimits,
        grants: &Grants,
    ) -> Result<NodeShape, NodeError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_sha256_in_hexadecimal() {
        let artifact = Artifact::new("a", b"abc".as_slice(), Origin::Builtin);
        assert_eq!(artifact.digest, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(!format!("{artifact:?}").contains("[97"));
    }
}
