//! The trust policy for packs: `[packs.trust]`.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign_verify::PublicKey;

/// Requirements of the operator for packs: `[packs.trust]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustPolicy {
    /// Whether a pack must be signed.
    pub require: bool,
    /// Public keys of publishers; one publisher can have several.
    pub keys: Vec<(String, TrustedKey)>,
    /// Rules for single packs, by name in the library, folder as written, or repository of a
    /// registry.
    pub packs: BTreeMap<String, PackTrust>,
}

/// Rules for one pack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackTrust {
    /// Whether it must be signed; overrides the general rule.
    pub require: Option<bool>,
    /// Publishers whose signatures are accepted; all of them without a list.
    pub publishers: Option<Vec<String>>,
}

/// A publisher's public key.
#[derive(Clone, PartialEq, Eq)]
pub struct TrustedKey {
    key: PublicKey,
    id: String,
}

impl fmt::Debug for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustedKey({})", self.id)
    }
}

impl TrustedKey {
    /// Parses a key: the line that begins with `RW`, or the text of a `.pub` file.
    pub fn parse(text: &str) -> Option<Self> {
        let line = text.trim().lines().last().unwrap_or_default().trim();
        let key = PublicKey::from_base64(line).ok()?;
        Some(Self { key, id: key_id(line)? })
    }

    /// Key ID as minisign shows it: 16 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key itself.
    pub fn public(&self) -> &PublicKey {
        &self.key
    }
}

impl TrustPolicy {
    /// Whether a pack must be signed. `source` is the operator's name for it, never the name in its
    /// manifest.
    pub fn requires(&self, source: &str) -> bool {
        self.packs.get(source).and_then(|pack| pack.require).unwrap_or(self.require)
    }
}

/// Returns the key ID from the base64 text of a key or a signature: 2 bytes of algorithm, then 8
/// bytes of ID, little-endian.
pub fn key_id(base64: &str) -> Option<String> {
    let bytes = STANDARD.decode(base64).ok()?;
    let id: [u8; 8] = bytes.get(2..10)?.try_into().ok()?;
    Some(format!("{:016X}", u64::from_le_bytes(id)))
}
