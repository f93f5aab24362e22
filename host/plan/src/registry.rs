//! How packs come from registries: `[packs]` and `[packs.registries]`.

use std::fmt;
use std::time::Duration;

/// Time between two polls of a tag, unless the configuration says another.
const POLL: Duration = Duration::from_mins(1);
/// How long a registry may take for a small answer, unless the configuration says another.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How packs come from registries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrySettings {
    /// Time between two polls of a tag.
    pub poll: Duration,
    /// How long a registry may take for a small answer; the files of a pack may take ten times as long.
    pub timeout: Duration,
    /// Hosts with settings of their own.
    pub hosts: Vec<(String, RegistryHost)>,
}

impl Default for RegistrySettings {
    fn default() -> Self {
        Self { poll: POLL, timeout: TIMEOUT, hosts: Vec::new() }
    }
}

/// Settings of one registry. `Debug` does not show the password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RegistryHost {
    /// Plain http although it is another machine.
    pub insecure: bool,
    /// Name and password, if it has any here.
    pub login: Option<(String, String)>,
}

impl fmt::Debug for RegistryHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.login.as_ref().map(|(name, _)| name);
        f.debug_struct("RegistryHost").field("insecure", &self.insecure).field("name", &name).finish_non_exhaustive()
    }
}
