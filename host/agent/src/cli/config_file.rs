//! The configuration of a command: `FILE`, `--config FILE` or the variable `WATTLE_CONFIG`.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::exit::{Failure, USAGE};

const VARIABLE: &str = "WATTLE_CONFIG";

/// `run`, `validate` and `config show` take the configuration in the same ways.
#[derive(Args)]
pub(crate) struct ConfigFile {
    /// Configuration file, or a folder with files `*.toml`, such as /etc/wattle/conf.d
    #[arg(value_name = "FILE")]
    file: Vec<PathBuf>,
    /// The same as FILE; can be repeated. In the variable, `:` separates files
    #[arg(short, long, env = VARIABLE, value_name = "FILE")]
    config: Vec<PathBuf>,
}

impl ConfigFile {
    /// The files and folders; empty if none is given. The command line takes precedence over the variable.
    ///
    /// # Errors
    ///
    /// The command line has files in both forms.
    pub(crate) fn paths(&self) -> Result<Vec<PathBuf>, Failure> {
        match (self.file.is_empty(), self.is_option()) {
            (false, true) => {
                Err(Failure::with(USAGE, "FILE and `--config` both name a configuration; give one of them"))
            }
            (false, false) => Ok(self.file.clone()),
            (true, _) => Ok(config_paths(&self.config)),
        }
    }

    /// Whether `--config` is given, and not only the variable.
    pub(crate) fn is_option(&self) -> bool {
        !self.config.is_empty() && !is_variable(&self.config)
    }
}

/// Whether the value of an option comes from the variable. clap does not say where a value comes from.
fn is_variable(config: &[PathBuf]) -> bool {
    let variable = std::env::var_os(VARIABLE);
    matches!(config, [only] if variable.is_some_and(|variable| variable == only.as_os_str()))
}

/// The paths of an option `--config`: those of the command line, or those in the variable, which `:` separates.
pub(crate) fn config_paths(config: &[PathBuf]) -> Vec<PathBuf> {
    match config {
        // A file with a colon in its name is one file.
        [only] if is_variable(config) && !only.exists() => {
            std::env::split_paths(only).filter(|path| path != Path::new("")).collect()
        }
        all => all.to_vec(),
    }
}
