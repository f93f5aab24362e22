//! Keys and signatures of publishers, as minisign has them.
//!
//! What is signed is `pack.sum`, the list of all files of a pack, so whoever has minisign and sha256sum can check a pack
//! without Wattle. Keys that minisign made without a password (`minisign -G -W`) will do, and the other way round; with
//! a key that has one, minisign itself signs `pack.sum`. Signatures are checked in `wattle-pack`, by another library.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blake2b_simd::Params;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

/// Written in front of a signature. Nothing signs it, so it is one fixed text, the one that minisign writes.
const UNTRUSTED_COMMENT: &str = "signature from minisign secret key";
/// Algorithm of keys: Ed25519.
const ED25519: [u8; 2] = *b"Ed";
/// Algorithm of signatures: Ed25519 over BLAKE2b.
const PREHASHED: [u8; 2] = *b"ED";
/// No password.
const PLAIN: [u8; 2] = [0, 0];
/// Checksum of a secret key: BLAKE2b.
const CHECKSUM: [u8; 2] = *b"B2";
/// Salt and costs of a password, which is not there.
const COSTS: usize = 48;

/// Why there is no key or no signature.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The secret key is damaged, or is none.
    #[error("this is no secret key of minisign: {0}")]
    BadKey(&'static str),
    /// The secret key has a password.
    #[error(
        "the secret key is protected by a password; sign with minisign itself (`minisign -S -m pack.sum`), or take a key \
         without one"
    )]
    HasPassword,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandom,
}

/// A publisher's key, both halves.
pub struct SecretKey {
    id: [u8; 8],
    seed: [u8; 32],
    pair: Ed25519KeyPair,
}

impl SecretKey {
    /// Makes a key.
    ///
    /// # Errors
    ///
    /// The system gives no random bytes.
    pub fn generate() -> Result<Self, SignError> {
        let random = SystemRandom::new();
        let (mut id, mut seed) = ([0; 8], [0; 32]);
        random.fill(&mut id).and_then(|()| random.fill(&mut seed)).map_err(|_| SignError::NoRandom)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| SignError::NoRandom)?;
        Ok(Self { id, seed, pair })
    }

    /// Reads a key, as a file holds it or as its last line alone, as a variable may.
    ///
    /// # Errors
    ///
    /// It is none, is damaged, or has a password.
    pub fn parse(text: &str) -> Result<Self, SignError> {
        let line = text.trim().lines().last().unwrap_or_default().trim();
        let bytes = STANDARD.decode(line).map_err(|_| SignError::BadKey("it is not base64"))?;
        let short = SignError::BadKey("it has another length");
        let Some((algorithm, rest)) = bytes.split_first_chunk::<2>() else { return Err(short) };
        let Some((password, rest)) = rest.split_first_chunk::<2>() else { return Err(short) };
        let Some((_, rest)) = rest.split_first_chunk::<2>() else { return Err(short) };
        let Some((_, rest)) = rest.split_first_chunk::<COSTS>() else { return Err(short) };
        let Some((id, rest)) = rest.split_first_chunk::<8>() else { return Err(short) };
        let Some((seed, rest)) = rest.split_first_chunk::<32>() else { return Err(short) };
        let Some((public, checksum)) = rest.split_first_chunk::<32>() else { return Err(short) };
        if *algorithm != ED25519 {
            return Err(SignError::BadKey("it is for another algorithm"));
        }
        if *password != PLAIN {
            return Err(SignError::HasPassword);
        }
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public)
            .map_err(|_| SignError::BadKey("its halves do not belong together"))?;
        let key = Self { id: *id, seed: *seed, pair };
        // minisign leaves it out where there is no password; the halves have been compared already.
        if key.checksum() != checksum && checksum != [0; 32] {
            return Err(SignError::BadKey("it is damaged"));
        }
        Ok(key)
    }

    /// The secret half, as a file holds it.
    pub fn secret(&self) -> String {
        let mut bytes = [ED25519, PLAIN, CHECKSUM].concat();
        bytes.extend([0; COSTS]);
        bytes.extend(self.id);
        bytes.extend(self.seed);
        bytes.extend(self.pair.public_key().as_ref());
        bytes.extend(self.checksum());
        format!("untrusted comment: minisign secret key {}\n{}\n", self.id(), STANDARD.encode(bytes))
    }

    /// The public half, as a file holds it.
    pub fn public(&self) -> String {
        format!("untrusted comment: minisign public key {}\n{}\n", self.id(), self.public_line())
    }

    /// The public half in one line, as a trust policy holds it.
    pub fn public_line(&self) -> String {
        let mut bytes = ED25519.to_vec();
        bytes.extend(self.id);
        bytes.extend(self.pair.public_key().as_ref());
        STANDARD.encode(bytes)
    }

    /// The id that minisign shows: 16 hexadecimal digits.
    pub fn id(&self) -> String {
        format!("{:016X}", u64::from_le_bytes(self.id))
    }

    /// Signs the text of a list of files, and with it a comment of one line. Gives the signature as a file holds it.
    pub fn sign(&self, text: &str, comment: &str) -> String {
        let comment = comment.replace(['\n', '\r'], " ");
        let hash = Params::new().hash_length(64).hash(text.as_bytes());
        let signature = self.pair.sign(hash.as_bytes());
        let mut bytes = PREHASHED.to_vec();
        bytes.extend(self.id);
        bytes.extend(signature.as_ref());
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
