//! `host`: facts about the machine and the agent, of the machine or mocked by a test.

use std::collections::BTreeMap;
use std::path::Path;

/// Facts by name, in the words of OpenTelemetry's resource conventions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts(BTreeMap<&'static str, String>);

/// There is no fact of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no fact `{0}`; available: {names}", names = Facts::NAMES.join(", "))]
pub struct UnknownFact(String);

impl Default for Facts {
    /// The facts of this machine.
    fn default() -> Self {
        Self::read(Path::new("/"))
    }
}

impl Facts {
    /// The names of all facts. A machine may lack some of them.
    pub const NAMES: [&'static str; 6] =
        ["host.name", "host.id", "host.arch", "os.type", "os.version", "agent.version"];

    /// Reads the facts of the machine whose files are below `root`.
    fn read(root: &Path) -> Self {
        let facts = [
            // From `/proc` and not with `uname`: rustix would need another feature, with which all that depends on it,
            // wasmtime too, is compiled again.
            ("host.name", line(&root.join("proc/sys/kernel/hostname"))),
            ("host.id", machine_id(root)),
            ("host.arch", Some(architecture(std::env::consts::ARCH).to_owned())),
            ("os.type", Some(system(std::env::consts::OS).to_owned())),
            ("os.version", line(&root.join("proc/sys/kernel/osrelease"))),
            ("agent.version", Some(env!("CARGO_PKG_VERSION").to_owned())),
        ];
        Self(facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }

    /// The facts of a test: those that it names, without names of no fact, which the reader of the test refuses.
    pub fn of_test<'a>(facts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let facts = facts.into_iter().filter_map(|(name, value)| Some((known(name).ok()?, value.to_owned())));
        Self(facts.collect())
    }

    /// The value of a fact, or `None` if the machine lacks it.
    ///
    /// # Errors
    ///
    /// There is no fact of this name.
    pub fn get(&self, name: &str) -> Result<Option<&str>, UnknownFact> {
        Ok(self.0.get(known(name)?).map(String::as_str))
    }
}

fn known(name: &str) -> Result<&'static str, UnknownFact> {
    Facts::NAMES.into_iter().find(|known| *known == name).ok_or_else(|| UnknownFact(name.to_owned()))
}

/// The first line of a file, if it is not empty.
fn line(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)
}

/// The id of the machine. While a new machine starts for the first time, the file has the text `uninitialized`.
fn machine_id(root: &Path) -> Option<String> {
    // The second file is that of D-Bus, on systems without systemd.
    let ids = ["etc/machine-id", "var/lib/dbus/machine-id"].into_iter().filter_map(|path| line(&root.join(path)));
    let is_id = |id: &String| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut ids = ids.filter(is_id);
    ids.next()
}

/// The architecture in the words of OpenTelemetry.
fn architecture(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        "powerpc" => "ppc32",
        "powerpc64" => "ppc64",
        other => other,
    }
}

/// The operating system in the words of OpenTelemetry.
fn system(rust: &str) -> &str {
    match rust {
        "macos" => "darwin",
        "dragonfly" => "dragonflybsd",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn facts_are_those_of_the_files() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let get = |name: &str| Facts::read(root.path()).get(name).unwrap().map(str::to_owned);
        assert_eq!([get("host.name"), get("host.id"), get("os.version")], [const { None }; 3]);
        assert_eq!(get("agent.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
        write("proc/sys/kernel/hostname", "web-1\n");
        write("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
        assert_eq!(get("host.name").as_deref(), Some("web-1"));
        assert_eq!(get("os.version").as_deref(), Some("6.1.0-18-amd64"));
        write("etc/machine-id", "uninitialized\n");
        assert_eq!(get("host.id"), None);
        write("var/lib/dbus/machine-id", "0123456789abcdef0123456789abcdef\n");
        assert_eq!(get("host.id").as_deref(), Some("0123456789abcdef0123456789abcdef"));
        write("etc/machine-id", "ffffffffffffffffffffffffffffffff\n");
        assert_eq!(get("host.id").as_deref(), Some("ffffffffffffffffffffffffffffffff"));
    }

    #[test]
    fn an_unknown_fact_is_refused_with_the_known_ones() {
        let error = Facts::default().get("host.nmae").unwrap_err().to_string();
        assert!(error.contains("`host.nmae`") && error.contains("host.name, host.id"), "{error}");
        let facts = Facts::of_test([("host.name", "web-1"), ("hostname", "web-1")]);
        assert_eq!((facts.get("host.name"), facts.get("host.id")), (Ok(Some("web-1")), Ok(None)));
    }

    #[test]
    fn architectures_and_systems_have_the_names_of_opentelemetry() {
        assert_eq!(["x86_64", "aarch64", "riscv64"].map(architecture), ["amd64", "arm64", "riscv64"]);
        assert_eq!(["linux", "macos"].map(system), ["linux", "darwin"]);
    }
}
