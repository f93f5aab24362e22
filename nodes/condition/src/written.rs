//! Conditions whose text a node keeps.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::options::Condition;

/// A condition with its text, for a node that compares its options with former ones or makes ids of them.
#[derive(Clone, Debug)]
pub struct Written {
    /// The condition.
    pub condition: Condition,
    /// The condition as JSON with sorted keys.
    pub text: String,
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(from)?;
        value.sort_all_objects();
        let text = value.to_string();
        let condition = Condition::deserialize(value).map_err(serde::de::Error::custom)?;
        Ok(Self { condition, text })
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl schemars::JsonSchema for Written {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Condition::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Condition::json_schema(generator)
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        Condition::schema_id()
    }
}
