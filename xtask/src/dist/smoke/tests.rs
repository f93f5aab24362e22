//! The image of a small static program that behaves like the agent.

use super::*;
use crate::dist::image::{Image, Layout};
use crate::dist::release::is_static;
use crate::dist::toolchain::finish;

/// Becomes ready if its user and its folders are as the agent needs them.
const AGENT: &str = r#"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int count, char **argument) {
    const char *ready = "/var/lib/wattle/ready";
    if (count > 1 && !strcmp(argument[1], "status")) return access(ready, F_OK) != 0;
    if (count != 2 || strcmp(argument[1], "run")) return 3;
    if (getuid() != 65532 || getgid() != 65532) return 4;
    if (open("/etc/wattle/new", O_CREAT | O_WRONLY, 0644) >= 0) return 5;
    if (access("/etc/ssl/certs/ca-certificates.crt", R_OK) || access("/etc/wattle/agent.toml", R_OK)) return 6;
    const char *data = getenv("WATTLE_DATA_DIR");
    if (!data || strcmp(data, "/var/lib/wattle")) return 7;
    if (BROKEN) return 9;
    if (open(ready, O_CREAT | O_WRONLY, 0644) < 0) return 8;
    pause();
    return 0;
}
"#;

const IMAGE: Image<'_> = Image {
    version: "1.2.3",
    commit: "c0ffee",
    repository: "https://git.example/wattle",
    seconds: 1_700_000_000,
    time: "2023-11-14T22:13:20Z",
    agent_toml: b"[admin]\n",
};

/// Starts the image of the program; `broken` is what its constant `BROKEN` is.
fn start(broken: &str) -> anyhow::Result<bool> {
    let folder = std::env::temp_dir().join(format!("wattle-smoke-{broken}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (source, built, binary) = (folder.join("agent.c"), folder.join("built"), folder.join("binary"));
    fs::write(&source, AGENT).unwrap();
    run(Command::new("cc")
        .arg(format!("-DBROKEN={broken}"))
        .args(["-static", "-s"])
        .arg(&source)
        .arg("-o")
        .arg(&built))
    .unwrap();
    finish(&built, &binary, &[(".dep-v0", &source)]).unwrap();
    let bytes = fs::read(&binary).unwrap();
    assert!(is_static(&bytes));
    assert!(bytes.windows(AGENT.len()).any(|window| window == AGENT.as_bytes()), "the section is in the binary");
    let mut layout = Layout::default();
    layout.add(&IMAGE, OWN, &bytes).unwrap();
    let file = folder.join("oci.tar");
    fs::write(&file, layout.finish(&IMAGE).unwrap()).unwrap();
    let result = image_in(&file, &folder.join("image"));
    fs::remove_dir_all(folder).unwrap();
    result
}

#[test]
fn an_image_becomes_ready_as_another_user_with_a_root_that_only_can_be_read() {
    assert!(start("0").unwrap(), "bubblewrap is missing or may not make namespaces; run `cargo xtask test`");
}

#[test]
fn an_agent_that_ends_is_an_error() {
    let error = start("1").unwrap_err().to_string();
    assert!(error.contains("ended with exit status: 9"), "{error}");
}

#[test]
fn only_the_time_of_arrival_is_left_out_of_a_comparison() {
    let line = |time: &str, body: &str| format!("{{\"timestamp\":\"{time}\",\"body\":\"{body}\"}}\n{{\"n\":1}}\n");
    assert_eq!(
        without_arrival(&line("2026-12-01T09:46:07Z", "a")),
        without_arrival(&line("2027-01-01T00:00:00Z", "a"))
    );
    assert_ne!(
        without_arrival(&line("2026-12-01T09:46:07Z", "a")),
        without_arrival(&line("2026-12-01T09:46:07Z", "b"))
    );
}

/// The agent of `cargo xtask test`, twice: what is compared does not depend on the time of the run.
#[test]
fn two_runs_of_the_pack_give_the_same_bytes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let agent = root.join("target/release/wattle");
    assert!(agent.is_file(), "{} is missing; run `cargo xtask test`, which builds it", agent.display());
    let folder = std::env::temp_dir().join(format!("wattle-pipelines-{}", std::process::id()));
    // The end-to-end tests compile the same nodes.
    let cache = root.join("target/tests-data/cache");
    fs::create_dir_all(&cache).unwrap();
    for place in ["0", "1"] {
        let data = folder.join(place).join("data");
        fs::create_dir_all(&data).unwrap();
        std::os::unix::fs::symlink(&cache, data.join("cache")).unwrap();
    }
    pipelines_in(&folder, &root.join("../shared/data"), &[(OWN, agent.clone()), (OWN, agent.clone())]).unwrap();
    let input = |place: &str| fs::read(folder.join(place).join("input")).unwrap();
    assert!(!input("0").is_empty());
    assert_eq!(input("0"), input("1"));
    // A clone in another folder has no samples beside it.
    pipelines_in(&folder, &folder.join("missing"), &[(OWN, agent)]).unwrap();
    fs::remove_dir_all(folder).unwrap();
}
