//! The configuration file of a command: `FILE`, `--config FILE` or the variable `WATTLE_CONFIG`.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::exit::{Failure, USAGE};

const VARIABLE: &str = "WATTLE_CONFIG";

/// `run` and `validate` take the configuration in the same ways.
#[derive(Args)]
pub(crate) struct ConfigFile {
    /// Configuration file
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The same as FILE
    #[arg(short, long, env = VARIABLE, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// The file, if one is given. The command line takes precedence over the variable.
    ///
    /// # Errors
    ///
    /// The command line names two files.
    pub(crate) fn path(&self) -> Result<Option<&Path>, Failure> {
        match (&self.file, self.option()) {
            (Some(_), Some(_)) => {
                Err(Failure::with(USAGE, "FILE and `--config` both name a configuration; give one of them"))
            }
            (Some(file), None) => Ok(Some(file)),
            (None, _) => Ok(self.config.as_deref()),
        }
    }

    /// The value of `--config`, unless it comes from the variable.
    pub(crate) fn option(&self) -> Option<&Path> {
        let config = self.config.as_deref()?;
        // clap does not say where a value comes from.
        let is_variable = std::env::var_os(VARIABLE).is_some_and(|variable| variable == config.as_os_str());
        (!is_variable).then_some(config)
    }
}
