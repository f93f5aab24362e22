//! Digests of CloudTrail, which any principal with write access to the bucket can send.

use wattle_trail::{Digest, Hash, LogFile, Problem, PublicKeys, Signer};

/// The target `digest`: no digest is verified that the key did not sign, and no file passes for another one.
///
/// # Panics
///
/// One of these does not hold.
pub fn digest(bytes: &[u8]) {
    let Ok(digest) = Digest::parse(bytes) else { return };
    let keys = Signer::generated()
        .and_then(|signer| PublicKeys::parse(signer.public_keys().as_bytes()).map_err(|error| error.to_string()));
    let (keys, hash) = (keys.unwrap(), Hash::of(bytes));
    let previous = digest.previous_digest_signature.as_deref();
    for signature in [None, Some(""), Some("00"), previous, Some(hash.to_string().as_str())] {
        let problem = digest.signature_problem(hash, signature, &keys);
        assert!(problem.is_some(), "the signature {signature:?} was accepted");
    }
    assert_eq!(digest.place_problem(&digest.digest_s3_object), None);
    assert!(digest.place_problem(&format!("{}x", digest.digest_s3_object)).is_some());
    for file in &digest.log_files {
        let problem = file.problem(hash);
        let expected = (file.hash_value.to_ascii_lowercase() != hash.to_string())
            .then(|| Problem::AlteredFile { key: file.s3_object.clone(), sha256: hash });
        assert_eq!(problem, expected, "{:?}", LogFile::clone(file));
    }
}
