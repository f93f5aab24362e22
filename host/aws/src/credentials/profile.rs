//! The shared files of AWS tools: `~/.aws/config` and `~/.aws/credentials`.
//!
//! The dialect is that of botocore: settings can be nested by indentation, ` #` and ` ;` begin a comment, quotes and
//! backslashes have no meaning. Crates for INI files read another dialect and would change secrets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reqsign_core::Env;

use super::files;
use super::{CredentialsError, CredentialsProblem};

/// The settings of a section.
pub(crate) type Properties = BTreeMap<String, String>;

/// The profiles of both files.
#[derive(Clone, Default)]
pub(crate) struct Profiles {
    profiles: BTreeMap<String, Properties>,
    sessions: BTreeMap<String, Properties>,
    /// The files, for messages.
    files: Vec<PathBuf>,
}

// Profiles can hold secrets.
impl std::fmt::Debug for Profiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profiles").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Profiles {
    /// Reads both files. Files that do not exist have no profiles.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or has a line that is not a setting.
    pub(crate) async fn load(env: &dyn Env, credentials_file: Option<&Path>) -> Result<Self, CredentialsError> {
        let path = |variable: &str, default: &str| {
            let path = env.var(variable).filter(|path| !path.is_empty());
            files::expand(path.as_deref().unwrap_or(default), env)
        };
        let config = path("AWS_CONFIG_FILE", "~/.aws/config");
        let credentials = match credentials_file {
            Some(path) => path.to_owned(),
            None => path("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
        };
        let mut found = Self { files: vec![config.clone(), credentials.clone()], ..Self::default() };
        for (path, is_config) in [(&config, true), (&credentials, false)] {
            let required = !is_config && credentials_file.is_some();
            let text = match files::read(path).await {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => continue,
                Err(error) => {
                    let (fix, reason) = ("check the path and the permissions of the agent's user", error.to_string());
                    return Err(in_file(path, reason, fix));
                }
            };
            found.add(&text, is_config).map_err(|line| {
                let reason = format!("line {line} is neither a section nor a setting");
                in_file(path, reason, "write it like `[profile logs]` or `region = eu-west-1`")
            })?;
        }
        Ok(found)
    }

    /// Adds the sections of a file.
    ///
    /// # Errors
    ///
    /// The number of a line that is not valid.
    fn add(&mut self, text: &str, is_config: bool) -> Result<(), usize> {
        // `None`: settings before the first section, and of sections with another meaning, are skipped.
        let mut section: Option<&mut Properties> = None;
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let is_nested = line.starts_with([' ', '\t']);
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(rest) = line.strip_prefix('[') {
                let (name, _) = rest.split_once(']').ok_or(index + 1)?;
                section = self.section(name.trim(), is_config);
                continue;
            }
            // Nested settings, such as those of `s3 =`, belong to another tool.
            if is_nested {
                continue;
            }
            let (name, value) = line.split_once('=').ok_or(index + 1)?;
            if let Some(section) = &mut section {
                let comment = [" #", " ;", "\t#", "\t;"].iter().filter_map(|mark| value.find(mark)).min();
                let value = comment.and_then(|end| value.get(..end)).unwrap_or(value);
                section.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
            }
        }
        Ok(())
    }

    fn section(&mut self, name: &str, is_config: bool) -> Option<&mut Properties> {
        let unquoted = |name: &str| name.trim().trim_matches(['"', '\'']).to_owned();
        let (kind, rest) = name.split_once([' ', '\t']).unwrap_or((name, ""));
        match (kind, rest.is_empty()) {
            ("profile", false) if is_config => Some(self.profiles.entry(unquoted(rest)).or_default()),
            ("sso-session", false) if is_config => Some(self.sessions.entry(unquoted(rest)).or_default()),
            (_, true) if is_config && kind != "default" => None,
            (_, true) => Some(self.profiles.entry(kind.to_owned()).or_default()),
            // In the file with credentials any name is a profile, also one with a space.
            _ if !is_config => Some(self.profiles.entry(unquoted(name)).or_default()),
            _ => None,
        }
    }

    /// The settings of a profile.
    pub(crate) fn get(&self, name: &str) -> Option<&Properties> {
        self.profiles.get(name)
    }

    /// The settings of an SSO session.
    pub(crate) fn session(&self, name: &str) -> Option<&Properties> {
        self.sessions.get(name)
    }

    /// The error for a profile that does not exist.
    pub(crate) fn missing(&self, name: &str) -> CredentialsError {
        let files: Vec<String> = self.files.iter().map(|file| format!("`{}`", file.display())).collect();
        let hint = wattle_options::suggest::hint(name, self.profiles.keys().map(String::as_str));
        CredentialsError::new(
            format!("profile `{name}`"),
            CredentialsProblem::Invalid,
            format!("it is neither in {}", files.join(" nor in ")),
            match hint {
                Some(hint) => format!("{hint}; check also the variables `AWS_CONFIG_FILE` and `HOME` of the agent"),
                None => "check the variables `AWS_CONFIG_FILE` and `HOME` of the agent".to_owned(),
            },
        )
    }
}

/// The region of a profile.
pub(crate) fn region_of_profile(profiles: &Profiles, name: &str) -> Option<String> {
    profiles.get(name)?.get("region").filter(|region| !region.is_empty()).cloned()
}

fn in_file(path: &Path, reason: String, fix: &str) -> CredentialsError {
    CredentialsError::new(format!("file `{}`", path.display()), CredentialsProblem::Invalid, reason, fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dialect_of_aws_tools_is_read() {
        let mut profiles = Profiles::default();
        let config = "# comment\n[default]\nregion = eu-west-1 # here\n[profile logs]\nrole_arn=arn:x\ns3 =\n  region = no\n\
                      [profile \"with space\"]\nregion=a\n[sso-session corp]\nsso_region = us-east-1\n[services x]\na=b\n\
                      [stray]\nregion = z\n";
        profiles.add(config, true).unwrap();
        profiles.add("[logs]\naws_secret_access_key = a\\b\"c=#d/e+\n[stray two]\nx=1\n", false).unwrap();
        assert_eq!(region_of_profile(&profiles, "default").as_deref(), Some("eu-west-1"));
        assert_eq!(region_of_profile(&profiles, "with space").as_deref(), Some("a"));
        let logs = profiles.get("logs").unwrap();
        assert_eq!(logs.get("role_arn").map(String::as_str), Some("arn:x"));
        assert_eq!(logs.get("aws_secret_access_key").map(String::as_str), Some("a\\b\"c=#d/e+"));
        assert_eq!(logs.get("region"), None);
        assert_eq!(profiles.session("corp").unwrap().get("sso_region").map(String::as_str), Some("us-east-1"));
        assert!(profiles.get("stray").is_none() && profiles.get("stray two").is_some());
        assert_eq!(profiles.add("[a]\nb\n", false), Err(2));
        assert_eq!(profiles.add("\n[a\n", false), Err(2));
    }
}
