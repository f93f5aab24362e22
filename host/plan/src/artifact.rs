//! Artifacts of nodes, and the trait through which validation configures them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use wattle_options::OptionError;

use crate::grants::Grants;
use crate::limits::NodeLimits;
use crate::state::StateSettings;

/// Versions of the contract `wattle:node` that this agent serves, newest first.
pub const CONTRACT_VERSIONS: [&str; 2] = ["0.2.0", "0.1.0"];

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
    /// Name of a built-in artifact, or the file name without `.wasm`.
    pub name: String,
    /// `sha256:` and the digest of the bytes in hexadecimal.
    pub digest: String,
    /// Where it comes from.
    pub origin: Origin,
    content: Content,
}

/// The bytes of an artifact as they are in memory.
#[derive(Clone)]
enum Content {
    Plain(Bytes),
    /// As `host/agent/build.rs` embeds it.
    Compressed {
        frame: Frame,
        base: Option<Frame>,
    },
}

/// Bytes that are compressed with zstd in the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The frame.
    pub bytes: &'static [u8],
    /// Size without compression in bytes.
    pub size: usize,
}

impl Frame {
    /// Decompresses the frame, which refers to `dictionary`.
    fn unpack(&self, dictionary: &[u8]) -> Option<Vec<u8>> {
        zstd::bulk::Decompressor::with_dictionary(dictionary).ok()?.decompress(self.bytes, self.size).ok()
    }
}

impl Artifact {
    /// Creates an artifact from bytes and computes their digest.
    pub fn new(name: impl Into<String>, bytes: impl Into<Bytes>, origin: Origin) -> Self {
        let bytes = bytes.into();
        Self { name: name.into(), digest: hex_digest(&bytes), origin, content: Content::Plain(bytes) }
    }

    /// Creates an artifact that is part of the program from its frame and its precomputed digest.
    /// `base` is the frame of another artifact, the dictionary of this one. The frames are not read
    /// before the artifact has to be compiled.
    pub fn builtin(name: &str, frame: Frame, base: Option<Frame>, digest: &str) -> Self {
        let content = Content::Compressed { frame, base };
        Self { name: name.into(), digest: digest.into(), origin: Origin::Builtin, content }
    }

    /// Returns the component. Decompresses a built-in one at each call, because its code is in the
    /// compile cache after the first start. Returns nothing for a frame that does not decompress;
    /// the compiler refuses that as not WebAssembly.
    pub fn bytes(&self) -> Bytes {
        match &self.content {
            Content::Plain(bytes) => bytes.clone(),
            Content::Compressed { frame, base } => {
                // Kept nowhere: after the first start, the compile cache has the code of every artifact.
                let base = base.map_or_else(|| Some(Vec::new()), |base| base.unpack(&[]));
                base.and_then(|base| frame.unpack(&base)).unwrap_or_default().into()
            }
        }
    }

    /// Returns the size of the component in bytes.
    pub fn size(&self) -> usize {
        match &self.content {
            Content::Plain(bytes) => bytes.len(),
            Content::Compressed { frame, .. } => frame.size,
        }
    }
}

impl fmt::Debug for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Artifact")
            .field("name", &self.name)
            .field("digest", &self.digest)
            .field("size", &self.size())
            .field("origin", &self.origin)
            .finish()
    }
}

/// Formats the SHA-256 of bytes as `sha256:` and hexadecimal digits.
pub fn hex_digest(bytes: &[u8]) -> String {
    format!("sha256:{}", to_hex(&Sha256::digest(bytes)))
}

/// Formats bytes as hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    // `from_digit` accepts every value below 16, so no digit is lost.
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    halves.filter_map(|half| char::from_digit(u32::from(half), 16)).collect()
}

/// Properties of an artifact after it was configured with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeShape {
    /// Output ports without `failed`; at least one.
    pub ports: Vec<String>,
    /// Name of the node type.
    pub name: String,
    /// Version of the node type.
    pub version: String,
    /// One sentence about the node type; can be empty.
    pub summary: String,
    /// Whether the node masks data.
    pub masks: bool,
    /// Whether it remembers anything from one call to the next.
    pub is_stateful: bool,
    /// Capabilities that the node used while it was configured, in order.
    pub capabilities: Vec<&'static str>,
    /// How its state is shared and kept unless the pack says otherwise.
    pub state: StateSettings,
}

/// Why an artifact was not configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeError {
    /// It runs, but refused its options.
    Options(Vec<OptionError>),
    /// With these options it needs a capability that it does not have. Only built-in artifacts can
    /// need a capability for some options and not for others; the imports of all other artifacts
    /// are checked before.
    Capability(&'static str),
    /// It cannot run at all.
    Artifact {
        /// Description of the problem.
        message: String,
        /// How to fix it.
        hint: Option<String>,
    },
}

/// A host that can run nodes. Validation configures each node once, in the sandbox.
pub trait Nodes {
    /// Returns a built-in artifact.
    fn builtin(&self, name: &str) -> Option<Arc<Artifact>>;
    /// Lists the built-in artifacts.
    fn builtin_names(&self) -> Vec<String>;
    /// Lists the interfaces that an artifact imports beyond the contract, such as
    /// `wattle:node/log@0.1.0`. Returns an empty list for a built-in artifact, whose options decide
    /// what it needs, and for bytes that are not a component; [`Nodes::configure`] reports both.
    fn imports(&self, artifact: &Artifact) -> Vec<String>;
    /// Announces the artifacts that will be configured next, so that they can be compiled in
    /// parallel. [`Nodes::configure`] reports their errors.
    fn prepare(&self, artifacts: &[Arc<Artifact>]) {
        let _ = artifacts;
    }
    /// Checks the path of a field. The error says what is wrong with it.
    fn check_field(&self, path: &str) -> Result<(), String>;
    /// Instantiates an artifact with these limits and capabilities, and configures it with
    /// `options`, a JSON object as text.
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

    #[test]
    fn an_artifact_unpacks_with_the_artifact_that_its_frame_refers_to() {
        let (first, second) = (b"the first artifact".repeat(9), b"the first artifact, changed".repeat(9));
        let pack = |bytes: &[u8], dictionary: &[u8]| {
            let frame = zstd::bulk::Compressor::with_dictionary(19, dictionary).unwrap().compress(bytes).unwrap();
            Frame { bytes: frame.leak(), size: bytes.len() }
        };
        let (base, frame) = (pack(&first, &[]), pack(&second, &first));
        assert_eq!(Artifact::builtin("base", base, None, "").bytes(), first);
        assert_eq!(Artifact::builtin("other", frame, Some(base), "").bytes(), second);
        assert_eq!(Artifact::builtin("other", frame, Some(base), "").size(), second.len());
        let broken = Frame { bytes: b"no frame", size: 1 };
        assert!(Artifact::builtin("broken", broken, Some(base), "").bytes().is_empty());
        assert!(Artifact::builtin("other", frame, Some(broken), "").bytes().is_empty());
    }
}
