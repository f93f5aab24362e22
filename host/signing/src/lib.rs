//! Keys and signatures of publishers, in the formats of minisign, for packs and for releases.
//!
//! The signed file is a list of digests: `pack.sum` of a pack, `SHA256SUMS` of a release. So both can
//! be verified with minisign and sha256sum, without Wattle. Keys without a password (`minisign -G -W`) work in both
//! programs; with a password, minisign itself signs `pack.sum`. `wattle-pack` verifies signatures
//! with another library, minisign-verify.
//!
//! Signing is written by hand: the format is a few lines over the Ed25519 of ring, and the crate
//! `minisign` brings its own implementation of Ed25519 and of scrypt, which only keys with
//! passwords need.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blake2b_simd::Params;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

/// The untrusted comment of signatures. No signature covers it, so it is the fixed text that
/// minisign writes.
const UNTRUSTED_COMMENT: &str = "signature from minisign secret key";
/// Key algorithm: Ed25519.
const ED25519: [u8; 2] = *b"Ed";
/// Signature algorithm: Ed25519 of a BLAKE2b hash.
const PREHASHED: [u8; 2] = *b"ED";
/// Key derivation: none, since the key has no password.
const PLAIN: [u8; 2] = [0, 0];
/// Checksum algorithm of secret keys: BLAKE2b.
const CHECKSUM: [u8; 2] = *b"B2";
/// Length in bytes of the salt and limits of the key derivation, which are zero without a password.
const COSTS: usize = 48;

/// An error of a secret key.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The text is not a valid secret key.
    #[error("this is not a minisign secret key: {0}")]
    BadKey(&'static str),
    /// The secret key has a password.
    #[error(
        "the secret key is protected by a password; sign with minisign itself (`minisign -S -m pack.sum`), or use a key \
         without a password"
    )]
    HasPassword,
    /// The random generator of the system failed.
    #[error("the random generator of the system failed")]
    NoRandom,
}

/// The key pair of a publisher.
pub struct SecretKey {
    id: [u8; 8],
    seed: [u8; 32],
    pair: Ed25519KeyPair,
}

impl SecretKey {
    /// Generates a key.
    ///
    /// # Errors
    ///
    /// The random generator of the system failed.
    pub fn generate() -> Result<Self, SignError> {
        let random = SystemRandom::new();
        let (mut id, mut seed) = ([0; 8], [0; 32]);
        random.fill(&mut id).and_then(|()| random.fill(&mut seed)).map_err(|_| SignError::NoRandom)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| SignError::NoRandom)?;
        Ok(Self { id, seed, pair })
    }

    /// Parses a key: the contents of a key file, or only its last line, as in an environment
    /// variable.
    ///
    /// # Errors
    ///
    /// The text is not a valid secret key, or the key has a password.
    pub fn parse(text: &str) -> Result<Self, SignError> {
        // A key file has a comment line before the key.
        let line = text.trim().lines().last().unwrap_or_default().trim();
        let bytes = STANDARD.decode(line).map_err(|_| SignError::BadKey("not base64"))?;
        let short = SignError::BadKey("wrong length");
        let Some((algorithm, rest)) = bytes.split_first_chunk::<2>() else { return Err(short) };
        let Some((password, rest)) = rest.split_first_chunk::<2>() else { return Err(short) };
        // Without a password, the checksum algorithm and the costs have no meaning.
        let Some((_, rest)) = rest.split_first_chunk::<2>() else { return Err(short) };
        let Some((_, rest)) = rest.split_first_chunk::<COSTS>() else { return Err(short) };
        let Some((id, rest)) = rest.split_first_chunk::<8>() else { return Err(short) };
        let Some((seed, rest)) = rest.split_first_chunk::<32>() else { return Err(short) };
        let Some((public, checksum)) = rest.split_first_chunk::<32>() else { return Err(short) };
        if *algorithm != ED25519 {
            return Err(SignError::BadKey("unsupported algorithm"));
        }
        if *password != PLAIN {
            return Err(SignError::HasPassword);
        }
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public)
            .map_err(|_| SignError::BadKey("the public key does not match the secret key"))?;
        let key = Self { id: *id, seed: *seed, pair };
        // minisign leaves the checksum empty in keys without a password. The key pair itself was
        // compared above.
        if key.checksum() != checksum && checksum != [0; 32] {
            return Err(SignError::BadKey("wrong checksum"));
        }
        Ok(key)
    }

    /// The secret key, in the format of a key file.
    pub fn secret(&self) -> String {
        let mut bytes = [ED25519, PLAIN, CHECKSUM].concat();
        bytes.extend([0; COSTS]);
        bytes.extend(self.id);
        bytes.extend(self.seed);
        bytes.extend(self.pair.public_key().as_ref());
        bytes.extend(self.checksum());
        format!("untrusted comment: minisign secret key {}\n{}\n", self.id(), STANDARD.encode(bytes))
    }

    /// The public key, in the format of a key file.
    pub fn public(&self) -> String {
        format!("untrusted comment: minisign public key {}\n{}\n", self.id(), self.public_line())
    }

    /// The public key in one line, as in a trust policy.
    pub fn public_line(&self) -> String {
        let mut bytes = ED25519.to_vec();
        bytes.extend(self.id);
        bytes.extend(self.pair.public_key().as_ref());
        STANDARD.encode(bytes)
    }

    /// The key id that minisign shows: 16 hexadecimal digits.
    pub fn id(&self) -> String {
        format!("{:016X}", u64::from_le_bytes(self.id))
    }

    /// Signs the text of a list of files and a comment of one line. Returns the contents of the
    /// signature file.
    pub fn sign(&self, text: &str, comment: &str) -> String {
        // A line break would end the comment.
        let comment = comment.replace(['\n', '\r'], " ");
        // minisign signs the BLAKE2b hash of the text.
        let hash = Params::new().hash_length(64).hash(text.as_bytes());
        let signature = self.pair.sign(hash.as_bytes());
        let mut bytes = PREHASHED.to_vec();
        bytes.extend(self.id);
        bytes.extend(signature.as_ref());
        // The second signature covers the comment too.
        let both = self.pair.sign(&[signature.as_ref(), comment.as_bytes()].concat());
        format!(
            "untrusted comment: {UNTRUSTED_COMMENT}\n{}\ntrusted comment: {comment}\n{}\n",
            STANDARD.encode(bytes),
            STANDARD.encode(both)
        )
    }

    fn checksum(&self) -> Vec<u8> {
        let mut state = Params::new().hash_length(32).to_state();
        state.update(&ED25519).update(&self.id).update(&self.seed).update(self.pair.public_key().as_ref());
        state.finalize().as_bytes().to_vec()
    }
}
