//! Creates keys and signatures like users do, and the policy that requires them.

use crate::Folder;

/// Creates a key pair, and returns the public key in the form of a policy.
///
/// # Panics
///
/// The command fails.
#[track_caller]
pub fn keygen(folder: &Folder, name: &str) -> String {
    let made = folder.run(&["pack", "keygen", name]);
    assert_eq!(made.code, 0, "{}", made.log);
    made.text().split('"').nth(1).unwrap().to_owned()
}

/// Signs a pack with a key.
///
/// # Panics
///
/// The command fails.
#[track_caller]
pub fn sign(folder: &Folder, pack: &str, key: &str) {
    let signed = folder.run(&["pack", "sign", pack, "--key", key]);
    assert_eq!(signed.code, 0, "{}", signed.log);
}

/// A policy that allows only packs signed with this key.
pub fn policy(key: &str) -> String {
    format!("[packs.trust]\nrequire = true\n[packs.trust.keys]\nacme = \"{key}\"\n")
}
