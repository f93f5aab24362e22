//! Settings of registries: `[packs]` and `[packs.registries]`.

use std::fmt;
use std::time::Duration;

/// Default time between two polls of a tag.
const POLL: Duration = Duration::from_mins(1);
/// Default timeout for small responses of a registry.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Settings of registries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrySettings {
    /// Time between two polls of a tag.
    pub poll: Duration,
    /// Timeout for small responses of a registry; the files of a pack may take ten times as long.
    pub timeout: Duration,
    /// Settings by host.
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
    /// Whether plain HTTP to another machine is allowed.
    pub insecure: bool,
    /// User name and password, if configured.
    pub login: Option<(String, String)>,
}

impl fmt::Debug for RegistryHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.login.as_ref().map(|(name, _)| name);
        f.debug_struct("RegistryHost").field("insecure", &self.insecure).field("name", &name).finish_non_exhaustive()
    }
}
