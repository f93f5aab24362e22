//! From a folder to a registry and to a second data folder, using only commands, with Debian's
//! `docker-registry`.

use wattle_tests::{DockerRegistry, Folder, finish, free_address};

use crate::sample::{config, seen, write};

/// Runs a version once, and checks that it processed events.
#[track_caller]
fn runs(folder: &Folder, pack: &str, mark: &str) {
    let config = config(pack, free_address(), "").replace("rate = 40", "documents = 20");
    folder.once(&config);
    assert!(seen(folder, mark) > 0, "{}", String::from_utf8_lossy(&folder.read("done.ndjson")));
    std::fs::remove_file(folder.path("done.ndjson")).unwrap();
}

#[test]
fn a_pack_goes_from_one_data_folder_to_a_registry_and_runs_from_a_second_one() {
    let registry = DockerRegistry::start();
    let (author, user) = (Folder::new(), Folder::new());
    write(&author, "sample", "1.0.0", "first");
    let reference = registry.reference("packs/sample:1.0.0");
    let pushed = author.run(&["pack", "push", "sample", &reference]);
    assert_eq!(pushed.code, 0, "{}", pushed.log);
    let pinned = pushed.text().lines().last().unwrap().to_owned();
    assert!(pinned.starts_with(&registry.reference("packs/sample@sha256:")), "{pinned}");
    // A second push changes nothing.
    let again = author.run(&["pack", "push", "sample", &reference]);
    assert_eq!(again.text(), pushed.text());

    let pulled = user.run(&["pack", "pull", &reference]);
    assert_eq!(pulled.code, 0, "{}", pulled.log);
    assert_eq!(pulled.text().lines().last(), Some(pinned.as_str()));
    assert_eq!(user.read("data/packs/sample/1.0.0/pack.toml"), author.read("sample/pack.toml"));
    runs(&user, "sample@1.0.0", "first");
    runs(&user, &reference, "first");
    runs(&user, &pinned, "first");

    // Works without a manual pull, and again when the registry no longer responds.
    let other = Folder::new();
    runs(&other, &pinned, "first");
    runs(&other, &reference, "first");
    drop(registry);
    runs(&other, &pinned, "first");
    runs(&other, &reference, "first");
}

#[test]
fn an_archive_has_the_same_bytes_everywhere_and_is_pushed_unchanged() {
    let registry = DockerRegistry::start();
    let folders = [Folder::new(), Folder::new()];
    let archives = folders.each_ref().map(|folder| {
        write(folder, "a/sample", "1.0.0", "first");
        folder.write("a/sample/.swp", "an editor's");
        let packed = folder.run(&["pack", "archive", "a/sample"]);
        assert_eq!(packed.code, 0, "{}", packed.log);
        (folder.read("sample-1.0.0.tar"), packed.text().to_owned())
    });
    assert!(archives[0].0.len() > 10_000 && archives[0] == archives[1]);
    let digests = [("sample-1.0.0.tar", "archive"), ("a/sample", "folder")].map(|(pack, tag)| {
        let pushed = folders[0].run(&["pack", "push", pack, &registry.reference(&format!("packs/sample:{tag}"))]);
        assert_eq!(pushed.code, 0, "{}", pushed.log);
        pushed.text().lines().last().unwrap().to_owned()
    });
    assert_eq!(digests[0], digests[1]);
    let image = archives[0].1.lines().last().unwrap().trim_start_matches("image ").to_owned();
    assert!(digests[0].ends_with(&image), "{digests:?} {image}");
}

#[test]
fn another_pack_with_an_existing_version_is_refused() {
    let registry = DockerRegistry::start();
    let (author, user) = (Folder::new(), Folder::new());
    for mark in ["first", "second"] {
        write(&author, mark, "1.0.0", mark);
        author.run(&["pack", "push", mark, &registry.reference(&format!("packs/sample:{mark}"))]);
    }
    assert_eq!(user.run(&["pack", "pull", &registry.reference("packs/sample:first")]).code, 0);
    let refused = user.run(&["pack", "pull", &registry.reference("packs/sample:second")]);
    assert!(refused.code != 0 && refused.log.contains("has the digest"), "{}", refused.log);
    assert_eq!(user.read("data/packs/sample/1.0.0/pack.toml"), author.read("first/pack.toml"));
}

/// The variables that set the password of `reader` at a host.
fn variables<'a>(host: &'a str, password: &'a str) -> [(&'a str, &'a str); 3] {
    [("WATTLE_REGISTRY", host), ("WATTLE_REGISTRY_USERNAME", "reader"), ("WATTLE_REGISTRY_PASSWORD", password)]
}

#[test]
fn name_and_password_come_from_the_configuration_the_environment_or_docker() {
    let registry = DockerRegistry::start_with_password();
    let folder = Folder::new();
    write(&folder, "sample", "1.0.0", "first");
    let (reference, host) = (registry.reference("packs/sample:1"), registry.address().to_string());
    folder.write("none/config.json", "{}");
    // "reader:secret" in base64.
    folder.write("docker/config.json", format!("{{\"auths\":{{\"{host}\":{{\"auth\":\"cmVhZGVyOnNlY3JldA==\"}}}}}}"));
    let login = format!("[packs.registries.\"{host}\"]\nusername = \"reader\"\npassword = \"${{PW}}\"\n");
    folder.write("agent.toml", login);
    let push = |docker: &str, variables: &[(&str, &str)], more: &[&str]| {
        let mut command = folder.wattle();
        command.args(["pack", "push", "sample", &reference]).args(more).env("DOCKER_CONFIG", folder.path(docker));
        finish(command.envs(variables.iter().copied()), b"")
    };
    for refused in [
        push("none", &[], &[]),
        push("none", &variables("registry.example.com", "secret"), &[]),
        push("none", &variables(&host, "wrong-one"), &[]),
    ] {
        assert!(refused.code != 0 && refused.log.contains("responded with 401"), "{}", refused.log);
        assert!(!refused.log.contains("secret") && !refused.log.contains("wrong-one"), "{}", refused.log);
    }
    for pushed in [
        push("none", &variables(&host, "secret"), &[]),
        push("docker", &[], &[]),
        push("none", &[("PW", "secret")], &["--config", "agent.toml"]),
    ] {
        assert_eq!(pushed.code, 0, "{}", pushed.log);
    }
}

#[test]
fn wrong_usage_is_reported_with_advice() {
    let folder = Folder::new();
    folder.write("empty/README.md", "");
    folder.write("broken/pack.toml", "[pack]\nname = \"Bad Name\"\nversion = \"1\"\ncontract = \"0.1\"\n");
    for (arguments, text) in [
        (vec!["pack", "archive", "empty"], "it has no `pack.toml`"),
        (vec!["pack", "archive", "broken"], "bad pack name `Bad Name`"),
        (vec!["pack", "sign", "broken"], "WATTLE_SIGN_KEY"),
        (vec!["pack", "push", "empty", "registry.example.com/a:1"], "write `oci://host/repository:tag`"),
        (vec!["pack", "pull", "oci://127.0.0.1:5000/a"], "add a tag or a digest"),
        (vec!["pack", "verify", "absent", "--key", "absent"], "absent"),
    ] {
        let ended = folder.run(&arguments);
        assert!(ended.code != 0 && ended.log.contains(text), "{arguments:?}: {} {}", ended.code, ended.log);
    }
}
