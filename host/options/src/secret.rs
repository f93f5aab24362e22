//! Values that must not appear in logs.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A password or token. `Debug` prints stars; only [`reveal`](Self::reveal) returns the text.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// A secret that was made of others.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the code that sends or compares it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Serde's own error message would contain the value.
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            _ => Err(D::Error::custom("must be a string")),
        }
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "A secret. Use a variable, such as `${TOKEN}`." })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn neither_debug_output_nor_an_error_shows_the_value() {
        let secret: Secret = serde_json::from_value(json!("hunter2")).unwrap();
        assert_eq!((secret.reveal(), format!("{secret:?}").as_str()), ("hunter2", "***"));
        let error = serde_json::from_value::<Secret>(json!(123456)).unwrap_err().to_string();
        assert_eq!(error, "must be a string");
    }
}
