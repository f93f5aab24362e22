//! The public keys of AWS, by fingerprint.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde::Deserialize;

/// Why a file has no public keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// It has another form.
    #[error("it is not what `aws cloudtrail list-public-keys` prints: {0}")]
    Form(#[from] serde_json::Error),
    /// A key is not base64.
    #[error("the key with the fingerprint {0} is not base64")]
    Base64(String),
    /// It has none.
    #[error(
        "it has no key; `aws cloudtrail list-public-keys` lists those of a time range: use --start-time and --end-time"
    )]
    Empty,
}

/// Public keys of one region.
#[derive(Clone, Debug, Default)]
pub struct PublicKeys(BTreeMap<String, Vec<u8>>);

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "PublicKeyList")]
    keys: Vec<ListedKey>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedKey {
    fingerprint: String,
    /// PKCS#1, in base64.
    value: String,
}

impl PublicKeys {
    /// Reads what `aws cloudtrail list-public-keys` prints as JSON.
    ///
    /// # Errors
    ///
    /// It has another form, or no key.
    pub fn parse(json: &[u8]) -> Result<Self, KeysError> {
        let listed: Listed = serde_json::from_slice(json)?;
        let mut keys = BTreeMap::new();
        for ListedKey { fingerprint, value } in listed.keys {
            let Ok(key) = BASE64.decode(value.as_bytes()) else { return Err(KeysError::Base64(fingerprint)) };
            keys.insert(fingerprint.to_ascii_lowercase(), key);
        }
        if keys.is_empty() { Err(KeysError::Empty) } else { Ok(Self(keys)) }
    }

    /// Adds the keys of another file.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Whether the key with this fingerprint is among them.
    pub fn has(&self, fingerprint: &str) -> bool {
        self.0.contains_key(&fingerprint.to_ascii_lowercase())
    }

    /// Whether the key with this fingerprint made a signature of a text; `None` without such a key.
    pub(crate) fn verify(&self, fingerprint: &str, text: &[u8], signature: &[u8]) -> Option<bool> {
        let key = self.0.get(&fingerprint.to_ascii_lowercase())?;
        Some(UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key).verify(text, signature).is_ok())
    }
}
