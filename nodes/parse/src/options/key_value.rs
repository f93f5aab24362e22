//! Options of the format `key_value` that are more than one value.

use serde::Deserialize;

/// The quotes around values that belong to the notation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Quotes {
    /// Double quotes with the escapes of JSON, and single quotes without escapes.
    #[default]
    Both,
    /// Double quotes only.
    Double,
    /// Single quotes only.
    Single,
    /// None: quotes are a part of the value.
    None,
}

impl Quotes {
    pub(crate) const fn has_double(self) -> bool {
        matches!(self, Self::Both | Self::Double)
    }

    pub(crate) const fn has_single(self) -> bool {
        matches!(self, Self::Both | Self::Single)
    }
}
