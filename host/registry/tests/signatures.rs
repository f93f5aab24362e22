//! Signatures: one library creates them, another one verifies them, and every byte matters.

use wattle_pack::{PackBytes, verify};
use wattle_plan::{TrustPolicy, TrustedKey};
use wattle_registry::files;
use wattle_registry::sign::SecretKey;

use crate::fixtures::files as sample;

/// A key by minisign 0.11 for these tests, made with `-W`.
const PLAIN: &str = "untrusted comment: minisign encrypted secret key\n\
    RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA9fSvmitLRTjEWX0w4Gq4SeyqR1IisoSrDUqQnQcsCptEf7+WC+2b3umobuPZNhsqAsLNbjlEH1I9kycarf89AR5eMdqefYHEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
/// A key by minisign 0.11 with a password.
const PROTECTED: &str = "untrusted comment: minisign encrypted secret key\n\
    RWRTY0IyhVI3xtg7jW10m1T9801dOe6NfhLp8YlgCNmeTxrwRmMAAAACAAAAAAAAAEAAAAAA6s2mlDzxonI/HASAYLEqmSnmm8b9hI1zF5jQx8bGCQHNSGxTYqfAIe8+mGkgwS/nob6JdP+VVTmANlbvAkeu2jr9I2ClyBfATbKHbUQeLnxgfJlPF+2EWZ3P4a/ayuaN1m1b6Ow0GFI=\n";

/// The signed sample.
fn signed(key: &SecretKey) -> PackBytes {
    let mut files = sample();
    let text = files::list(&files).unwrap().text();
    files.insert("pack.sum.minisig".into(), key.sign(&text, "sample@1.2.3").into_bytes());
    files.insert("pack.sum".into(), text.into_bytes());
    files
}

fn policy(key: &SecretKey) -> TrustPolicy {
    let keys = vec![("acme".to_owned(), TrustedKey::parse(&key.public_line()).unwrap())];
    TrustPolicy { require: true, keys, packs: Default::default() }
}

#[test]
fn a_signed_pack_is_trusted() {
    let key = SecretKey::generate().unwrap();
    let signer = verify(&policy(&key), "sample", &signed(&key)).unwrap();
    assert_eq!((signer.publisher.as_str(), signer.key_id), ("acme", key.id()));
    assert_eq!(TrustedKey::parse(&key.public()), TrustedKey::parse(&key.public_line()));
}

#[test]
fn a_secret_key_is_read_from_a_file_or_a_single_line() {
    let key = SecretKey::generate().unwrap();
    let text = key.secret();
    for written in [text.as_str(), text.lines().last().unwrap(), &format!("\n{text}\n")] {
        let read = SecretKey::parse(written).unwrap();
        assert_eq!(read.public(), key.public());
        verify(&policy(&key), "sample", &signed(&read)).unwrap();
    }
}

#[test]
fn a_minisign_key_signs_and_one_with_a_password_is_refused() {
    let key = SecretKey::parse(PLAIN).unwrap();
    assert_eq!(key.id(), "38454B2B9AAFF4F5");
    assert_eq!(key.public_line(), "RWT19K+aK0tFOOmobuPZNhsqAsLNbjlEH1I9kycarf89AR5eMdqefYHE");
    let error = SecretKey::parse(PROTECTED).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("minisign -S"), "{error}");
}

#[test]
fn every_flipped_byte_of_a_secret_key_is_detected() {
    let text = SecretKey::generate().unwrap().secret();
    let line = text.lines().last().unwrap();
    // Without a password, the algorithm of the checksum, the salt and the costs have no meaning.
    let free = 5..72;
    for at in (0..line.len()).filter(|at| !free.contains(at)) {
        let mut bytes = line.as_bytes().to_vec();
        bytes[at] ^= 1;
        assert!(SecretKey::parse(&String::from_utf8(bytes).unwrap()).is_err(), "byte {at}");
    }
    assert!(SecretKey::parse("no key").is_err());
    assert!(SecretKey::parse("").is_err());
}

#[test]
fn the_error_of_a_flipped_byte_of_a_signed_pack_names_the_file() {
    let key = SecretKey::generate().unwrap();
    let (files, policy) = (signed(&key), policy(&key));
    for (path, bytes) in &files {
        for at in 0..bytes.len() {
            // Every byte of short files, and some bytes of long ones.
            if bytes.len() > 600 && at % 37 != 0 {
                continue;
            }
            for flip in [0x01, 0x20, 0x80] {
                let mut altered = files.clone();
                altered.get_mut(path).unwrap()[at] ^= flip;
                let problems = verify(&policy, "sample", &altered).unwrap_err();
                let named = if path.starts_with("pack.sum") { "pack.sum" } else { path.as_str() };
                assert_eq!(problems.len(), 1, "{path} byte {at}: {problems:?}");
                assert!(problems[0].message.contains(named), "{path} byte {at}: {problems:?}");
            }
        }
    }
}

#[test]
fn missing_added_and_swapped_files_are_named() {
    let key = SecretKey::generate().unwrap();
    let (files, policy) = (signed(&key), policy(&key));
    let problems = |change: &dyn Fn(&mut PackBytes)| {
        let mut files = files.clone();
        change(&mut files);
        verify(&policy, "sample", &files).unwrap_err().into_iter().map(|p| (p.code(), p.message)).collect::<Vec<_>>()
    };
    let missing = problems(&|files| drop(files.remove("nodes/noise.wasm")));
    assert!(missing[0].0 == "E0424" && missing[0].1.contains("is missing"), "{missing:?}");
    let added = problems(&|files| drop(files.insert("nodes/more.wasm".into(), b"x".to_vec())));
    assert!(added[0].0 == "E0424" && added[0].1.contains("`nodes/more.wasm`"), "{added:?}");
    let unsigned = problems(&|files| drop(files.remove("pack.sum.minisig")));
    assert_eq!(unsigned[0].0, "E0421");
    let unlisted = problems(&|files| drop(files.remove("pack.sum")));
    assert_eq!(unlisted[0].0, "E0421");
    // Another unsigned list, which matches the altered files.
    let relisted = problems(&|files| {
        files.insert("README.md".into(), b"changed".to_vec());
        let text = wattle_registry::files::list(files).unwrap().text();
        files.insert("pack.sum".into(), text.into_bytes());
    });
    assert!(relisted[0].0 == "E0422", "{relisted:?}");
    let other = SecretKey::generate().unwrap();
    let untrusted = verify(&policy, "sample", &signed(&other)).unwrap_err();
    assert_eq!(untrusted[0].code(), "E0423");
    assert!(untrusted[0].message.contains(&other.id()), "{untrusted:?}");
}

#[test]
fn a_publisher_is_trusted_only_for_its_packs() {
    let key = SecretKey::generate().unwrap();
    let (files, mut policy) = (signed(&key), policy(&key));
    let only = |publishers: &[&str]| wattle_plan::PackTrust {
        require: None,
        publishers: Some(publishers.iter().map(|&p| p.to_owned()).collect()),
    };
    policy.packs.insert("sample".into(), only(&["other"]));
    let problems = verify(&policy, "sample", &files).unwrap_err();
    assert!(problems[0].code() == "E0423" && problems[0].message.contains("`acme`"), "{problems:?}");
    policy.packs.insert("sample".into(), only(&["acme", "other"]));
    verify(&policy, "sample", &files).unwrap();
    verify(&policy, "other", &files).unwrap();
}
