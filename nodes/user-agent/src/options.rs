//! What a user may set.

use serde::Deserialize;

/// Options of the node `user-agent`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Options {
    /// Field that holds the user agent. Default: `attributes.agent`, where `parse` puts that of an access log.
    /// Example: `body.userAgent`.
    #[serde(default = "field")]
    pub field: String,
    /// Field for the object with `name`, `version`, `os`, `os_version` and `device`. Default: `attributes.user_agent`.
    /// Example: `body.client`.
    #[serde(default = "into")]
    pub into: String,
    /// How many different user agents the node remembers with their results, 1 to 100,000. Each takes about 500 bytes.
    /// Default: `4000`.
    #[serde(default = "cache_size")]
    pub cache_size: usize,
}

fn field() -> String {
    "attributes.agent".into()
}

fn into() -> String {
    "attributes.user_agent".into()
}

const fn cache_size() -> usize {
    4000
}
