//! Hashes that are equal on every agent and after every restart.
//!
//! XXH64, because its values are specified; the condition `sample` uses it for the same reason. It is not a cryptographic
//! hash: who chooses texts can choose two with the same hash. Then two events share an id, which a receiver that drops
//! the second one may not want from an attacker; it never affects other keys.

use std::hash::Hasher as _;

use twox_hash::XxHash64;

/// The hash of bytes.
#[must_use]
pub fn hash(seed: u64, bytes: &[u8]) -> u64 {
    XxHash64::oneshot(seed, bytes)
}

/// Appends the 16 hexadecimal digits of a hash.
pub fn write_hex(hash: u64, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in hash.to_be_bytes() {
        for digit in [byte >> 4, byte & 15] {
            out.push(DIGITS.get(usize::from(digit)).copied().unwrap_or_default());
        }
    }
}

/// The id of an event that a node makes: 128 bits over the parts that say what the event is about.
#[derive(Clone, Debug)]
pub struct EventId(XxHash64, XxHash64);

impl EventId {
    /// The id of an event of this node type.
    #[must_use]
    pub fn new(node: &str) -> Self {
        Self(XxHash64::with_seed(0), XxHash64::with_seed(1)).with(node.as_bytes())
    }

    /// Adds a part, such as a key.
    #[must_use]
    pub fn with(mut self, part: &[u8]) -> Self {
        for hash in [&mut self.0, &mut self.1] {
            // With its length, since `ab` and `c` are not `a` and `bc`.
            hash.write(&(part.len() as u64).to_le_bytes());
            hash.write(part);
        }
        self
    }

    /// Adds a number, such as the start of a window.
    #[must_use]
    pub fn with_number(self, part: i64) -> Self {
        self.with(&part.to_le_bytes())
    }

    /// The id as 32 hexadecimal digits.
    #[must_use]
    pub fn finish(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32);
        write_hex(self.0.finish(), &mut out);
        write_hex(self.1.finish(), &mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_depend_on_every_part_and_never_change() {
        let id = |parts: &[&str]| {
            let id = parts.iter().fold(EventId::new("node"), |id, part| id.with(part.as_bytes()));
            String::from_utf8(id.with_number(-1).finish()).unwrap()
        };
        assert_eq!(id(&["ab", "c"]), "ab102e98dc7bd72eb838fa96af947df1");
        assert_ne!(id(&["ab", "c"]), id(&["a", "bc"]));
        assert_ne!(id(&["ab"]), id(&["ab", ""]));
    }
}
