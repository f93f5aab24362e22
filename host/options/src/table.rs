//! The shape of a table of endpoint types, one row per type.

use std::path::PathBuf;

use serde_json::Value;

use crate::{OptionError, Use, suggest};

/// A type of source or sink. A new type needs its module and one row.
pub struct Row<P> {
    /// The value of `type` in the configuration.
    pub name: &'static str,
    /// Reads and validates options, and the files that they name, to what building takes. So building never parses
    /// options again. Uses no network.
    pub prepare: fn(&Value) -> Result<P, Vec<OptionError>>,
    /// The JSON schema of the options.
    pub schema: fn() -> Value,
    /// The files that the options name and that are part of the configuration, such as certificates.
    pub files: fn(&Value) -> Vec<PathBuf>,
    /// What an endpoint with these options uses outside of the agent, as far as the options say it.
    pub uses: fn(&Value) -> Vec<Use>,
}

/// For [`Row::files`] of a type whose options name no files.
pub fn no_files(_: &Value) -> Vec<PathBuf> {
    Vec::new()
}

/// For [`Row::uses`] of a type that shares nothing with other endpoints.
pub fn no_uses(_: &Value) -> Vec<Use> {
    Vec::new()
}

/// All types of one kind of endpoint.
pub struct Table<P: 'static> {
    /// `source` or `sink`.
    pub kind: &'static str,
    /// The types.
    pub rows: &'static [Row<P>],
}

impl<P: 'static> Table<P> {
    /// The names of all types, in the order of the rows.
    pub fn types(&self) -> Vec<&'static str> {
        self.rows.iter().map(|row| row.name).collect()
    }

    /// Validates options, an object without the keys that all endpoints have, and the files that
    /// they name. Uses no network.
    ///
    /// # Errors
    ///
    /// All errors, each with the path of the option.
    pub fn check(&self, type_name: &str, options: &Value) -> Result<(), Vec<OptionError>> {
        self.prepare(type_name, options).map(drop)
    }

    /// Validates options and returns what building takes.
    ///
    /// # Errors
    ///
    /// All errors, each with the path of the option.
    pub fn prepare(&self, type_name: &str, options: &Value) -> Result<P, Vec<OptionError>> {
        let Some(row) = self.find(type_name) else {
            let types = suggest::list(self.types());
            let message = format!("unknown {} type `{type_name}`; the types are {types}", self.kind);
            return Err(vec![OptionError::new("type", message)]);
        };
        (row.prepare)(options)
    }

    /// The JSON schema of the options of a type. `None` if there is no such type.
    pub fn schema(&self, type_name: &str) -> Option<Value> {
        self.find(type_name).map(|row| (row.schema)())
    }

    /// The files that options name, with paths as written. Options that are not valid name no files.
    pub fn files(&self, type_name: &str, options: &Value) -> Vec<PathBuf> {
        self.find(type_name).map_or_else(Vec::new, |row| (row.files)(options))
    }

    /// What an endpoint with these options uses outside of the agent. Options that are not valid use nothing.
    pub fn uses(&self, type_name: &str, options: &Value) -> Vec<Use> {
        self.find(type_name).map_or_else(Vec::new, |row| (row.uses)(options))
    }

    fn find(&self, type_name: &str) -> Option<&'static Row<P>> {
        self.rows.iter().find(|row| row.name == type_name)
    }
}
