//! The capabilities and their names.

/// An interface that a node may use in addition to the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Lines in the agent's log.
    Log,
    /// Metrics on `/metrics`.
    Metrics,
    /// The time.
    Clock,
    /// Randomness.
    Random,
    /// Facts about the machine and the agent.
    Host,
    /// Tables in files.
    Lookup,
    /// A key-value store that survives instances.
    Kv,
    /// HTTP requests.
    HttpClient,
    /// A memory of keys that were delivered.
    Seen,
}

impl Capability {
    /// All capabilities, indexed by their discriminants.
    pub const ALL: [Self; 9] = [
        Self::Log,
        Self::Metrics,
        Self::Clock,
        Self::Random,
        Self::Host,
        Self::Lookup,
        Self::Kv,
        Self::HttpClient,
        Self::Seen,
    ];

    /// Name of the interface and of the key in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Metrics => "metrics",
            Self::Clock => "clock",
            Self::Random => "random",
            Self::Host => "host",
            Self::Lookup => "lookup",
            Self::Kv => "kv",
            Self::HttpClient => "http-client",
            Self::Seen => "seen",
        }
    }

    /// Returns the capability of an import, such as `wattle:node/kv@0.1.0#get`.
    pub fn of_import(import: &str) -> Option<Self> {
        let name = import.strip_prefix("wattle:node/")?.split(['@', '#']).next()?;
        Self::ALL.into_iter().find(|capability| capability.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_import_has_its_capability_at_its_index() {
        assert!(Capability::ALL.iter().enumerate().all(|(place, capability)| *capability as usize == place));
        assert_eq!(Capability::of_import("wattle:node/http-client@0.1.0#send"), Some(Capability::HttpClient));
        assert_eq!(Capability::of_import("wattle:node/seen@0.2.0"), Some(Capability::Seen));
        assert_eq!(Capability::of_import("wattle:node/batch@0.1.0"), None);
        assert_eq!(Capability::of_import("wasi:clocks/wall-clock@0.2.0"), None);
    }
}
