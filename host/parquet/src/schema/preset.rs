//! Ready-made schemas.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ColumnOptions, SchemaOptions};

/// A ready-made schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Records of AWS CloudTrail: the columns of the table for CloudTrail in the documentation of Amazon Athena, and
    /// `record`, the whole record as JSON.
    Cloudtrail,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 1] = [Self::Cloudtrail];

    /// The schema as TOML.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Cloudtrail => include_str!("../../schemas/cloudtrail.toml"),
        }
    }

    pub(super) fn columns(self) -> Result<Vec<ColumnOptions>, toml::de::Error> {
        toml::from_str::<SchemaOptions>(self.text()).map(|options| options.columns)
    }
}
