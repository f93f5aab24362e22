//! Writes digests as AWS does, to try and to test their verification.

use data_encoding::{BASE64, HEXLOWER};
use ring::rand::SystemRandom;
use ring::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::json;

use crate::digest::{Digest, LogFile};
use crate::hash::Hash;

/// A key of this repository. It is public, so what it signs proves nothing.
const KEY: &[u8] = include_bytes!("generated.pk8");

/// Signs generated digests.
pub struct Signer {
    key: RsaKeyPair,
    fingerprint: String,
}

impl Signer {
    /// The signer with the key of this repository.
    ///
    /// # Errors
    ///
    /// The key was damaged in the build.
    pub fn generated() -> Result<Self, String> {
        let key = RsaKeyPair::from_pkcs8(KEY).map_err(|error| error.to_string())?;
        let fingerprint = Hash::of(key.public_key().as_ref()).to_string().chars().take(32).collect();
        Ok(Self { key, fingerprint })
    }

    /// The public key as `aws cloudtrail list-public-keys` prints it.
    pub fn public_keys(&self) -> String {
        let key = json!({
            "Fingerprint": self.fingerprint,
            "ValidityStartTime": 1_577_836_800.0,
            "ValidityEndTime": 4_102_444_800.0,
            "Value": BASE64.encode(self.key.public_key().as_ref()),
        });
        format!("{:#}\n", json!({ "PublicKeyList": [key] }))
    }

    fn sign(&self, text: &str) -> Result<String, String> {
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .map_err(|error| error.to_string())?;
        Ok(HEXLOWER.encode(&signature))
    }
}

/// A digest as it is delivered.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its key.
    pub key: String,
    /// Its bytes, uncompressed.
    pub content: Vec<u8>,
    /// Its signature in hexadecimal digits: the metadata `signature` of the object.
    pub signature: String,
}

/// The digests of one account and region.
pub struct Chain {
    account: String,
    region: String,
    bucket: String,
    trail: String,
    previous: Option<Written>,
}

impl Chain {
    /// A chain without a digest.
    pub fn new(account: &str, region: &str, bucket: &str, trail: &str) -> Self {
        let [account, region, bucket, trail] = [account, region, bucket, trail].map(str::to_owned);
        Self { account, region, bucket, trail, previous: None }
    }

    /// The next digest: of the log files of an hour, by key with the SHA-256 of their uncompressed bytes.
    /// `start` and `end` are RFC 3339 in UTC, in whole seconds.
    ///
    /// # Errors
    ///
    /// The key cannot sign.
    pub fn next(
        &mut self,
        signer: &Signer,
        start: &str,
        end: &str,
        files: &[(String, Hash)],
    ) -> Result<Written, String> {
        let Self { account, region, bucket, trail, .. } = &*self;
        let day = end.get(..10).unwrap_or_default().replace('-', "/");
        let compact = end.replace(['-', ':'], "");
        let key = format!(
            "AWSLogs/{account}/CloudTrail-Digest/{region}/{day}/\
             {account}_CloudTrail-Digest_{region}_{trail}_{region}_{compact}.json.gz"
        );
        let log_file = |(key, hash): &(String, Hash)| LogFile {
            s3_bucket: bucket.clone(),
            s3_object: key.clone(),
            hash_value: hash.to_string(),
            hash_algorithm: "SHA-256".into(),
        };
        let previous = self.previous.as_ref();
        let digest = Digest {
            aws_account_id: account.clone(),
            digest_start_time: start.to_owned(),
            digest_end_time: end.to_owned(),
            digest_s3_bucket: bucket.clone(),
            digest_s3_object: key.clone(),
            digest_public_key_fingerprint: signer.fingerprint.clone(),
            digest_signature_algorithm: "SHA256withRSA".into(),
            previous_digest_s3_bucket: previous.map(|_| bucket.clone()),
            previous_digest_s3_object: previous.map(|previous| previous.key.clone()),
            previous_digest_hash_value: previous.map(|previous| Hash::of(&previous.content).to_string()),
            previous_digest_hash_algorithm: previous.map(|_| "SHA-256".into()),
            previous_digest_signature: previous.map(|previous| previous.signature.clone()),
            log_files: files.iter().map(log_file).collect(),
        };
        let content = serde_json::to_vec(&digest).map_err(|error| error.to_string())?;
        let signature = signer.sign(&digest.signed_text(Hash::of(&content)))?;
        let written = Written { key, content, signature };
        self.previous = Some(written.clone());
        Ok(written)
    }
}
