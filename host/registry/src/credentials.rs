//! Credentials for registries, from the configuration, the environment, or Docker's configuration.
//!
//! In this order: `[packs.registries."host"]`; `WATTLE_REGISTRY_USERNAME` and
//! `WATTLE_REGISTRY_PASSWORD`, which apply only to the host in `WATTLE_REGISTRY`; `auths`,
//! `credHelpers` and `credsStore` of Docker's `config.json`.
//!
//! Docker's configuration is read by hand. The crate `docker_credential` (1.4) runs a credential
//! helper of any name, including one with a path in it, finds hosts only if they are written
//! exactly like the reference, reads the environment of the process instead of [`Env`], and returns
//! the output of a failed helper in its error.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::reason::json_reason;

/// Looks up an environment variable.
pub(crate) type Env = dyn Fn(&str) -> Option<String> + Send + Sync;

/// A name and a password. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub username: String,
    /// The password or token.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

impl Credentials {
    /// Returns the value of an `Authorization` header.
    pub(crate) fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.username, self.password)))
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct DockerConfig {
    auths: BTreeMap<String, DockerAuth>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct DockerAuth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperOutput {
    username: String,
    secret: String,
}

/// Finds credentials for a host in the environment or in Docker's configuration.
pub(crate) fn find(host: &str, env: &Env) -> Option<Credentials> {
    let variable = |name: &str| env(name).filter(|value| !value.is_empty());
    if variable("WATTLE_REGISTRY").as_deref() == Some(host) {
        let username = variable("WATTLE_REGISTRY_USERNAME");
        let password = variable("WATTLE_REGISTRY_PASSWORD");
        if let (Some(username), Some(password)) = (username, password) {
            return Some(Credentials { username, password });
        }
    }
    let folder = variable("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".docker")))?;
    let path = folder.join("config.json");
    let read = match std::fs::read(&path) {
        Ok(text) => serde_json::from_slice::<DockerConfig>(&text).map_err(|error| json_reason(&error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => Err(error.to_string()),
    };
    match read {
        Ok(config) => of_docker(&config, host),
        Err(error) => {
            tracing::warn!(path = %path.display(), error, "cannot read Docker's configuration; ignoring it");
            None
        }
    }
}

fn of_docker(config: &DockerConfig, host: &str) -> Option<Credentials> {
    let auth = config.auths.iter().find(|(key, _)| host_of(key) == host).map(|(_, auth)| auth);
    if let Some(auth) = auth {
        match decode(auth) {
            Ok(None) => {}
            Ok(found) => return found,
            Err(error) => {
                tracing::warn!(registry = host, error, "ignoring an entry of `auths` in Docker's configuration")
            }
        }
    }
    let helper = config.cred_helpers.iter().find(|(key, _)| host_of(key) == host).map(|(_, helper)| helper);
    helper.or(config.creds_store.as_ref()).and_then(|helper| run_helper(helper, host))
}

/// Returns the host of a key, which Docker sometimes writes as a URL.
fn host_of(key: &str) -> &str {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    rest.split('/').next().unwrap_or_default()
}

/// Returns the credentials of an entry; `None` if they are in a helper. The error never contains a part of the secret.
fn decode(auth: &DockerAuth) -> Result<Option<Credentials>, &'static str> {
    if let (Some(username), Some(password)) = (&auth.username, &auth.password) {
        return Ok(Some(Credentials { username: username.clone(), password: password.clone() }));
    }
    let Some(encoded) = auth.auth.as_ref().filter(|encoded| !encoded.is_empty()) else { return Ok(None) };
    let text = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match text.as_deref().and_then(|text| text.split_once(':')) {
        Some((username, password)) => {
            // Docker removes NUL characters at the end as well.
            let password = password.trim_end_matches('\0').to_owned();
            Ok(Some(Credentials { username: username.to_owned(), password }))
        }
        None => Err("`auth` is not `name:password` in base64; run `docker login` again"),
    }
}

/// Runs a credential helper of Docker.
fn run_helper(helper: &str, host: &str) -> Option<Credentials> {
    // A name with a path could run any program.
    if !helper.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        tracing::warn!(
            "the name of a credential helper in Docker's configuration has invalid characters; not running it"
        );
        return None;
    }
    let program = format!("docker-credential-{helper}");
    let run = || {
        let mut child = Command::new(&program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        // Dropped after the write, because the helper reads until the end of its input.
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(host.as_bytes())?;
        }
        child.wait_with_output()
    };
    match run() {
        Ok(output) if output.status.success() => match serde_json::from_slice::<HelperOutput>(&output.stdout) {
            Ok(helped) => Some(Credentials { username: helped.username, password: helped.secret }),
            // Without the error of serde, which can quote the secret.
            Err(_) => {
                tracing::warn!(program, "a credential helper of Docker printed no `Username` and `Secret` as JSON");
                None
            }
        },
        // The helper has no credentials for this host.
        Ok(_) => None,
        Err(error) => {
            let error = match error.kind() {
                io::ErrorKind::NotFound => {
                    "the program is not in `PATH`; install it, or remove it from the file".to_owned()
                }
                _ => error.to_string(),
            };
            tracing::warn!(program, error, "cannot run a credential helper of Docker");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(username: &str, password: &str) -> Option<Credentials> {
        Some(Credentials { username: username.into(), password: password.into() })
    }

    fn env(pairs: Vec<(&'static str, String)>) -> Box<Env> {
        Box::new(move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone()))
    }

    #[test]
    fn variables_apply_to_their_host_only() {
        let env = env(vec![
            ("WATTLE_REGISTRY", "a.example.com".into()),
            ("WATTLE_REGISTRY_USERNAME", "u".into()),
            ("WATTLE_REGISTRY_PASSWORD", "p".into()),
        ]);
        assert_eq!(find("a.example.com", &*env), credentials("u", "p"));
        assert_eq!(find("b.example.com", &*env), None);
    }

    #[test]
    fn all_forms_of_docker_s_configuration_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let config = r#"{"auths":{"a.example.com":{"auth":"dTpwOng="},"https://b.example.com/v1/":
            {"username":"v","password":"q"},"c.example.com":{}},"credHelpers":{"c.example.com":"../../bin/sh"}}"#;
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let env = env(vec![("DOCKER_CONFIG", folder.path().to_str().unwrap().into())]);
        assert_eq!(find("a.example.com", &*env), credentials("u", "p:x"));
        assert_eq!(find("b.example.com", &*env), credentials("v", "q"));
        assert_eq!(find("c.example.com", &*env), None);
        assert_eq!(find("d.example.com", &*env), None);
        let broken = |auth: &str| decode(&DockerAuth { auth: Some(auth.into()), ..DockerAuth::default() });
        assert!(broken("dTpw!").is_err() && broken("bm8gY29sb24=").is_err());
        assert_eq!(broken(""), Ok(None));
        assert!(!format!("{:?}", find("a.example.com", &*env)).contains("p:x"));
    }
}
