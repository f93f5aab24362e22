//! What a node asks for while it is configured, as a case expects it.

use serde_json::Value;

/// What a node asked for while it was configured, beyond its ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Milliseconds between two ticks.
    pub tick_milliseconds: Option<u32>,
    /// How the workers share its state.
    pub sharing: Sharing,
}

/// How the workers share the state of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Each worker has an instance.
    #[default]
    Worker,
    /// All workers share one instance.
    Single,
    /// Instances by the texts of these fields.
    Key(Vec<String>),
}

impl Requests {
    /// Reads the key `requests` of a case.
    ///
    /// # Errors
    ///
    /// The key that is unknown or invalid.
    pub(crate) fn read(value: &Value) -> Result<Self, String> {
        let mut requests = Self::default();
        for (key, value) in value.as_object().ok_or("`requests` must be an object")? {
            match key.as_str() {
                "tick_milliseconds" => {
                    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
                    let wrong = "`requests.tick_milliseconds` must be a whole number below 4294967296";
                    requests.tick_milliseconds = Some(number.ok_or(wrong)?);
                }
                "sharing" => requests.sharing = Sharing::read(value)?,
                _ => return Err(format!("unknown key `requests.{key}`; available: tick_milliseconds, sharing")),
            }
        }
        Ok(requests)
    }

    /// Compares this expectation with what a node asked for.
    ///
    /// # Errors
    ///
    /// Both, if they differ.
    pub(crate) fn compare(&self, actual: Option<&Self>) -> Result<(), String> {
        match actual {
            Some(actual) if actual == self => Ok(()),
            Some(actual) => Err(format!("requests: expected {self:?}, got {actual:?}")),
            None => Err("requests: this kind of node does not report them".into()),
        }
    }
}

impl Sharing {
    fn read(value: &Value) -> Result<Self, String> {
        let paths = |paths: &Value| {
            let paths = paths.as_array()?.iter().map(|path| path.as_str().map(str::to_owned));
            paths.collect::<Option<Vec<String>>>()
        };
        match (value.as_str(), value.get("key").and_then(paths)) {
            (Some("worker"), _) => Ok(Self::Worker),
            (Some("single"), _) => Ok(Self::Single),
            (_, Some(paths)) => Ok(Self::Key(paths)),
            _ => Err(r#"`requests.sharing` must be "worker", "single" or {"key": ["a path"]}"#.into()),
        }
    }
}
