//! Whose packs are trusted: `[packs.trust]`.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign_verify::PublicKey;

/// What an operator asks of packs: `[packs.trust]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustPolicy {
    /// Whether a pack must be signed.
    pub require: bool,
    /// Keys of publishers; one publisher can have several.
    pub keys: Vec<(String, TrustedKey)>,
    /// What holds for some packs instead: name in the library, folder as written, or repository of a registry.
    pub packs: BTreeMap<String, PackTrust>,
}

/// What holds for one pack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackTrust {
    /// Whether it must be signed, instead of what holds for all.
    pub require: Option<bool>,
    /// The publishers whose signature counts; all if there is no list.
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
    /// Reads a key: the line that begins with `RW`, or the text of a `.pub` file.
    pub fn parse(text: &str) -> Option<Self> {
        let line = text.trim().lines().last().unwrap_or_default().trim();
        let key = PublicKey::from_base64(line).ok()?;
        Some(Self { key, id: key_id(line)? })
    }

    /// The id that minisign shows: 16 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key itself.
    pub fn public(&self) -> &PublicKey {
        &self.key
    }
}

impl TrustPolicy {
    /// Whether a pack must be signed. `source` is what the operator calls it, never what it calls itself.
    pub fn requires(&self, source: &str) -> bool {
        self.packs.get(source).and_then(|pack| pack.require).unwrap_or(self.require)
    }
}

/// The id of the key in the base64 text of a key or a signature: 2 bytes of algorithm, then 8 of id, little-endian.
pub fn key_id(base64: &str) -> Option<String> {
    let bytes = STANDARD.decode(base64).ok()?;
    let id: [u8; 8] = bytes.get(2..10)?.try_into().ok()?;
    Some(format!("{:016X}", u64::from_le_bytes(id)))
}
