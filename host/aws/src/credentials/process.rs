//! `credential_process` of a profile: a program that prints credentials. Runs only if `auth.credential_process` allows
//! it, because a file that names a program can come from somewhere else than the configuration of the agent.

use std::process::Stdio;
use std::time::Duration;

use reqsign_aws_v4::Credential;
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;

use super::{CredentialsError, CredentialsProblem};

/// Maximum bytes of output.
const MAX_OUTPUT: u64 = 64 << 10;

/// How long the program may run.
const LIMIT: Duration = Duration::from_secs(60);

const FIX: &str = "run the command as the agent's user; it must print JSON with `Version` 1, and end";

// No `Debug`: it holds secrets.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    version: u32,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<String>,
}

/// Runs the program of a profile.
pub(super) async fn run(provider: &str, command: &str) -> Result<Credential, CredentialsError> {
    let unavailable = |reason: String| CredentialsError::new(provider, CredentialsProblem::Unavailable, reason, FIX);
    let invalid = |reason: &str| CredentialsError::new(provider, CredentialsProblem::Invalid, reason, FIX);
    let words = split(command).ok_or_else(|| invalid("`credential_process` has a quote without an end"))?;
    let (program, arguments) = words.split_first().ok_or_else(|| invalid("`credential_process` is empty"))?;
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // Its errors can contain secrets, so they do not go to the log.
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| unavailable(format!("cannot start `{program}`: {error}")))?;
    let mut text = Vec::new();
    let run = async {
        if let Some(stdout) = child.stdout.take() {
            stdout.take(MAX_OUTPUT).read_to_end(&mut text).await?;
        }
        child.wait().await
    };
    let status = match tokio::time::timeout(LIMIT, run).await {
        Ok(status) => status.map_err(|error| unavailable(format!("`{program}` failed: {error}")))?,
        Err(_) => return Err(unavailable(format!("`{program}` did not end within {LIMIT:?}"))),
    };
    if !status.success() {
        return Err(unavailable(format!("`{program}` ended with {status}")));
    }
    // The error of the parser could repeat secrets.
    let found: Output =
        serde_json::from_slice(&text).map_err(|_| invalid("the output is not the JSON of a credential process"))?;
    if found.version != 1 {
        return Err(invalid("the output has another `Version` than 1"));
    }
    let expires_in = match found.expiration.as_deref().map(str::parse) {
        Some(Err(_)) => return Err(invalid("`Expiration` is not a time like `2026-01-02T03:04:05Z`")),
        Some(Ok(time)) => Some(time),
        None => None,
    };
    Ok(Credential {
        access_key_id: found.access_key_id,
        secret_access_key: found.secret_access_key,
        session_token: found.session_token,
        expires_in,
    })
}

/// Splits a command at spaces outside of quotes, without a shell. `None` if a quote does not end.
fn split(command: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for char in command.chars() {
        match (quote, char) {
            (Some(open), _) if open == char => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(char),
            (None, '"' | '\'') => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (None, _) if char.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_without_a_shell() {
        let words = split(r#"/opt/"my tool" --name 'a b' "" $HOME;x"#).unwrap();
        assert_eq!(words, ["/opt/my tool", "--name", "a b", "", "$HOME;x"]);
        assert_eq!(split("a 'b"), None);
        assert_eq!(split("  "), Some(vec![]));
    }
}
