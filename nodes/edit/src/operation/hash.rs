//! `hash`: SHA-256 and HMAC-SHA-256.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use wattle_node::json::Kind;

use super::Compiler;
use super::value::{Change, Made};
use crate::options;
use crate::problem::Problem;

pub(crate) struct Hash {
    /// With the key already hashed in.
    keyed: Option<Hmac<Sha256>>,
    length: usize,
    keep_first: usize,
}

impl Hash {
    pub(super) fn new(options: &options::Hash, compiler: &mut Compiler<'_, '_>) -> Option<Self> {
        let length = options.length.unwrap_or(64);
        if !(1..=64).contains(&length) {
            compiler.error("length", "a SHA-256 has 1 to 64 hexadecimal digits");
            return None;
        }
        if options.key.as_ref().is_some_and(String::is_empty) {
            compiler.error("key", "the key is empty; remove `key` for a plain SHA-256");
            return None;
        }
        let keyed = options.key.as_ref().and_then(|key| Hmac::<Sha256>::new_from_slice(key.as_bytes()).ok());
        Some(Self { keyed, length, keep_first: options.keep_first.unwrap_or(0) })
    }
}

impl Change for Hash {
    fn digits(&self) -> Option<usize> {
        // A value can have fewer characters than stay.
        (self.keep_first == 0).then_some(self.length)
    }

    fn change(&mut self, _: Kind, text: &[u8], out: &mut Vec<u8>) -> Result<Made, Problem> {
        let digest: [u8; 32] = match &self.keyed {
            Some(keyed) => keyed.clone().chain_update(text).finalize().into_bytes().into(),
            None => Sha256::digest(text).into(),
        };
        if self.keep_first > 0 {
            // Bytes that are not UTF-8 are hashed only.
            let text = String::from_utf8_lossy(text);
            text.chars().take(self.keep_first).for_each(|char| {
                out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            });
        }
        let mut digits = [0; 64];
        data_encoding::HEXLOWER.encode_mut(&digest, &mut digits);
        out.extend(digits.iter().take(self.length));
        Ok(Made::Text)
    }
}
