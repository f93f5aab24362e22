//! With `require = true` no unsigned pack runs.

use wattle_tests::signing::{keygen, policy, sign};
use wattle_tests::{FakeRegistry, Folder, free_address};

use crate::sample::{config, generation, image_of, stop_in_order, wait_for_more, write};

/// Creates a key, and returns its public line.
#[test]
fn only_packs_signed_with_a_trusted_key_are_swapped_in() {
    let registry = FakeRegistry::start();
    let folder = Folder::new();
    let key = keygen(&folder, "acme.key");
    keygen(&folder, "other.key");
    let put = |version: &str, mark: &str, key: Option<&str>| {
        write(&folder, mark, version, mark);
        if let Some(key) = key {
            sign(&folder, mark, key);
        }
        registry.put("live", &image_of(&folder, mark));
    };
    put("1.0.0", "first", Some("acme.key"));
    let admin = free_address();
    let more = format!("[packs]\npoll = \"1s\"\n{}", policy(&key));
    let mut agent = folder.start(&config(&registry.reference("live"), admin, &more));
    wait_for_more(&folder, "first");
    put("1.1.0", "unsigned", None);
    agent.wait_for("E0421");
    agent.wait_for("the previous image stays");
    put("1.1.1", "foreign", Some("other.key"));
    agent.wait_for("E0423");
    agent.wait_for("the previous image stays");
    wait_for_more(&folder, "first");
    assert_eq!(generation(admin), 1.0);
    put("1.2.0", "second", Some("acme.key"));
    wait_for_more(&folder, "second");
    stop_in_order(&folder, agent, &["first", "second"]);
}

#[test]
fn a_pull_is_checked_before_anything_is_stored() {
    let registry = FakeRegistry::start();
    let folder = Folder::new();
    let key = keygen(&folder, "acme.key");
    write(&folder, "sample", "1.0.0", "first");
    registry.put("1", &image_of(&folder, "sample"));
    folder.write("agent.toml", policy(&key));
    let pull = || folder.run(&["pack", "pull", &registry.reference("1"), "--config", "agent.toml"]);
    let refused = pull();
    assert!(refused.code == 78 && refused.log.contains("E0421"), "{} {}", refused.code, refused.log);
    assert!(!folder.path("data/packs").exists());
    let left = std::fs::read_dir(folder.path("data/oci")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "nothing of it is left");
    sign(&folder, "sample", "acme.key");
    registry.put("1", &image_of(&folder, "sample"));
    let pulled = pull();
    assert_eq!(pulled.code, 0, "{}", pulled.log);
    assert_eq!(folder.read("data/packs/sample/1.0.0/pack.sum.minisig"), folder.read("sample/pack.sum.minisig"));
}

#[test]
fn an_unsigned_pack_is_allowed_by_the_operators_name_for_it_and_built_in_packs_are_trusted() {
    let folder = Folder::new();
    let key = keygen(&folder, "acme.key");
    write(&folder, "mine", "1.0.0", "first");
    let validate = |pack: &str, more: &str| {
        folder.write("agent.toml", config(pack, free_address(), &format!("{}{more}", policy(&key))));
        folder.run(&["validate", "agent.toml"])
    };
    let refused = validate("./mine", "");
    assert!(refused.code == 78 && refused.text().contains("E0421"), "{}", refused.text());
    let allowed = validate("./mine", "[packs.trust.packs.\"./mine\"]\nrequire = false\n");
    assert_eq!(allowed.code, 0, "{}{}", allowed.text(), allowed.log);
    // The name in the manifest has no effect.
    let named = validate("./mine", "[packs.trust.packs.sample]\nrequire = false\n");
    assert!(named.code == 78 && named.text().contains("E0421"), "{}", named.text());
    let builtin = validate("cloudtrail@1.1.0", "");
    assert_eq!(builtin.code, 0, "{}{}", builtin.text(), builtin.log);
}

#[test]
fn a_key_is_secret_and_never_overwritten() {
    let folder = Folder::new();
    keygen(&folder, "acme.key");
    let mode = std::os::unix::fs::PermissionsExt::mode(&folder.path("acme.key").metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let before = folder.read("acme.key");
    let again = folder.run(&["pack", "keygen", "acme.key"]);
    assert!(again.code != 0 && folder.read("acme.key") == before, "{}", again.log);
}

#[test]
fn a_pack_is_signed_with_a_key_from_the_environment() {
    let folder = Folder::new();
    let key = keygen(&folder, "acme.key");
    write(&folder, "sample", "1.0.0", "first");
    let secret = String::from_utf8(folder.read("acme.key")).unwrap();
    let signed =
        wattle_tests::finish(folder.wattle().args(["pack", "sign", "sample"]).env("WATTLE_SIGN_KEY", &secret), b"");
    assert_eq!(signed.code, 0, "{}", signed.log);
    for key in [key.as_str(), "acme.key.pub"] {
        let verified = folder.run(&["pack", "verify", "sample", "--key", key]);
        assert_eq!(verified.code, 0, "{}", verified.log);
    }
    // sha256sum understands the list.
    let checked = std::process::Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", "pack.sum"])
        .current_dir(folder.path("sample"))
        .status();
    assert!(checked.unwrap().success());
}
