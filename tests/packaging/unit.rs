//! `packaging/systemd`: the unit and its sandbox.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use wattle_tests::{Folder, workspace};

use crate::alerts::text;

fn unit() -> String {
    fs::read_to_string(workspace().join("packaging/systemd/wattle.service")).unwrap()
}

/// The values of a key, over all lines that set it.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

fn systemd_analyze(arguments: &[&str]) -> std::process::Output {
    let output = Command::new("systemd-analyze").args(arguments).output();
    output.expect("`systemd-analyze` does not start; run the tests by `cargo xtask test`, or `apt-get install systemd`")
}

#[test]
fn the_unit_is_exposed_by_less_than_two() {
    let path = workspace().join("packaging/systemd/wattle.service");
    // The threshold is in tenths.
    let output =
        systemd_analyze(&["security", "--offline=true", "--threshold=19", "--no-pager", path.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("Overall exposure level for wattle.service: "), "{}", text(&output));
}

#[test]
fn systemd_knows_every_line_of_the_unit() {
    let folder = Folder::new();
    // Programs and pages that are not installed here are no fault of the unit.
    let unit: Vec<String> = unit()
        .lines()
        .filter(|line| !line.starts_with("Documentation="))
        .map(|line| line.replace("/usr/bin/wattle", "/bin/true"))
        .collect();
    let path = folder.write("wattle.service", unit.join("\n"));
    let output = systemd_analyze(&["verify", "--man=no", path.to_str().unwrap()]);
    let said = text(&output);
    let own: Vec<&str> = said.lines().filter(|line| line.contains("wattle.service")).collect();
    assert!(output.status.success() && own.is_empty(), "{said}");
    let wrong = folder.write("wrong.service", unit.join("\n").replace("PrivateTmp=", "PrivateTemp="));
    let said = text(&systemd_analyze(&["verify", "--man=no", wrong.to_str().unwrap()]));
    assert!(said.contains("PrivateTemp"), "a misspelt key is found: {said}");
}

/// What the agent needs and a stricter sandbox would take away.
#[test]
fn the_sandbox_leaves_what_the_agent_needs() {
    let unit = unit();
    for (key, why) in [
        ("MemoryDenyWriteExecute", "compiled nodes are executable"),
        ("PrivateNetwork", "sinks and listeners use the network"),
        ("ProcSubset", "the source `journald` reads the id of the boot"),
        ("InaccessiblePaths", "sources read /var/log"),
    ] {
        assert!(values(&unit, key).is_empty(), "{key} is set, but {why}");
    }
    let families = values(&unit, "RestrictAddressFamilies").join(" ");
    for family in ["AF_UNIX", "AF_INET", "AF_INET6"] {
        assert!(families.split(' ').any(|known| known == family), "{family} is not permitted");
    }
    let groups = values(&unit, "SupplementaryGroups").join(" ");
    assert!(groups.contains("adm") && groups.contains("systemd-journal"), "{groups}");
    assert_eq!(values(&unit, "AmbientCapabilities"), ["CAP_NET_BIND_SERVICE"], "listeners on port 514");
    assert_eq!(values(&unit, "CapabilityBoundingSet"), ["CAP_NET_BIND_SERVICE"]);
}

#[test]
fn the_unit_does_not_start_an_invalid_configuration_again() {
    let unit = unit();
    let codes = values(&unit, "RestartPreventExitStatus").join(" ");
    let page = fs::read_to_string(workspace().join("docs/STOPPING.md")).unwrap();
    assert!(page.contains("| 78 | the configuration is invalid"), "the page has the code");
    assert!(codes.split(' ').any(|code| code == "78"), "{codes}");
    assert_eq!(values(&unit, "ExecReload"), ["/usr/bin/wattle reload"], "a reload that fails must fail the job");
}

#[test]
fn systemd_waits_for_the_agent_and_watches_it() {
    let unit = unit();
    assert_eq!(values(&unit, "Type"), ["notify"]);
    assert_eq!(values(&unit, "NotifyAccess"), ["main"], "compilers and `journalctl` do not speak for the agent");
    assert_eq!(values(&unit, "WatchdogSec").len(), 1);
}

#[test]
fn the_user_of_the_unit_and_its_folders_are_created() {
    let unit = unit();
    let root = Folder::new();
    root.write("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    root.write("etc/group", "root:x:0:\n");
    let packaging = workspace().join("packaging/systemd");
    let place = |program: &str, file: &str| {
        let mut command = Command::new(program);
        command.arg(format!("--root={}", root.path(".").display()));
        command.args((program == "systemd-tmpfiles").then_some("--create")).arg(packaging.join(file));
        command.output().unwrap_or_else(|error| panic!("`{program}` does not start: {error}"))
    };
    root.write("etc/wattle/agent.toml", "");
    let users = place("systemd-sysusers", "wattle.sysusers");
    assert!(users.status.success(), "{}", text(&users));
    let passwd = String::from_utf8(root.read("etc/passwd")).unwrap();
    let [user] = values(&unit, "User")[..] else { panic!("the unit has a user") };
    let line = passwd.lines().find(|line| line.starts_with(&format!("{user}:"))).expect("the user is created");
    assert!(line.ends_with(":/var/lib/wattle:/usr/sbin/nologin"), "{line}");
    let folders = place("systemd-tmpfiles", "wattle.tmpfiles");
    // Only root may give files to another user.
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    assert!(folders.status.success() || !is_root, "{}", text(&folders));
    let environment = values(&unit, "Environment");
    let paths =
        environment.iter().find_map(|line| line.strip_prefix("WATTLE_CONFIG=")).expect("the unit has a configuration");
    for path in paths.split(':') {
        assert!(root.path(path.trim_start_matches('/')).exists(), "{path} is missing, and the agent would not start");
    }
    let mode = fs::metadata(root.path("etc/wattle")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o750, "the folder of the configuration is closed to others");
}
