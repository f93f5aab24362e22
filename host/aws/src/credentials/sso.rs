//! IAM Identity Center (SSO): the token of `aws sso login`, refreshed when it is about to expire, for credentials of a
//! role.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use hyper::{Method, Request};
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqsign_aws_v4::Credential;
use reqsign_core::Env;
use serde::Deserialize;
use serde_json::{Value, json};

use super::profile::{Profiles, Properties};
use super::{CredentialsError, CredentialsProblem, files};
use crate::endpoint;
use crate::http::Http;

/// Maximum bytes of a response.
const MAX_BYTES: usize = 256 << 10;

/// How long before it expires a token is refreshed.
const REFRESH_BEFORE: SignedDuration = SignedDuration::from_mins(5);

/// What a profile says about SSO.
pub(super) struct Settings {
    /// The name of the provider in messages.
    provider: String,
    /// The `sso_session`, or the start URL in profiles without one: the name of the file with the token.
    token_name: String,
    region: String,
    account: String,
    role: String,
    /// The command that an operator runs.
    login: String,
}

// No `Debug`: it holds secrets.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoleCredentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    /// Milliseconds.
    expiration: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoleResponse {
    role_credentials: RoleCredentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenResponse {
    access_token: String,
    /// Seconds.
    expires_in: i64,
    refresh_token: Option<String>,
}

impl Settings {
    /// The settings of a profile; `None` if it does not use SSO.
    pub(super) fn of(name: &str, profile: &Properties, profiles: &Profiles) -> Option<Result<Self, CredentialsError>> {
        let session = profile.get("sso_session");
        if session.is_none() && !profile.contains_key("sso_start_url") {
            return None;
        }
        let provider = format!("SSO of profile `{name}`");
        let missing = |what: &str| {
            let fix = "run `aws configure sso`, or add it to the file";
            CredentialsError::new(&provider, CredentialsProblem::Invalid, format!("{what} is missing"), fix)
        };
        let read = || {
            let section = match session {
                Some(session) => {
                    profiles.session(session).ok_or_else(|| missing(&format!("`[sso-session {session}]`")))?
                }
                None => profile,
            };
            let get = |section: &Properties, key: &str| {
                section.get(key).filter(|value| !value.is_empty()).cloned().ok_or_else(|| missing(&format!("`{key}`")))
            };
            let start_url = get(section, "sso_start_url")?;
            Ok(Self {
                token_name: session.cloned().unwrap_or(start_url),
                region: get(section, "sso_region")?,
                account: get(profile, "sso_account_id")?,
                role: get(profile, "sso_role_name")?,
                login: format!("run `aws sso login --profile {name}` as the agent's user"),
                provider: provider.clone(),
            })
        };
        Some(read())
    }

    fn error(&self, problem: CredentialsProblem, reason: impl Into<String>) -> CredentialsError {
        CredentialsError::new(&self.provider, problem, reason, &self.login)
    }

    /// Credentials of the role.
    pub(super) async fn load(&self, http: &Http, env: &dyn Env) -> Result<Credential, CredentialsError> {
        let (portal, oidc) = endpoint::sso(&self.region, env);
        let token = self.token(http, env, &oidc).await?;
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let uri = format!(
            "{portal}/federation/credentials?role_name={}&account_id={}",
            encode(&self.role),
            encode(&self.account)
        );
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() =
            uri.parse().map_err(|_| self.error(CredentialsProblem::Invalid, "`sso_region` is not a region"))?;
        let token =
            token.parse().map_err(|_| self.error(CredentialsProblem::Invalid, "the stored token is not valid"))?;
        request.headers_mut().insert("x-amz-sso_bearer_token", token);
        let body = self.send(http, request, "the portal").await?;
        let found: RoleResponse = serde_json::from_slice(&body).map_err(|_| {
            self.error(CredentialsProblem::Unavailable, "the response of the portal has no credentials")
        })?;
        let found = found.role_credentials;
        let expires = reqsign_core::time::Timestamp::from_millisecond(found.expiration).map_err(|_| {
            self.error(CredentialsProblem::Unavailable, "the response of the portal has no valid expiry")
        })?;
        Ok(Credential {
            access_key_id: found.access_key_id,
            secret_access_key: found.secret_access_key,
            session_token: Some(found.session_token),
            expires_in: Some(expires),
        })
    }

    /// The access token of the last login, refreshed if necessary.
    async fn token(&self, http: &Http, env: &dyn Env, oidc: &str) -> Result<String, CredentialsError> {
        let name = format!("{}.json", reqsign_core::hash::hex_sha1(self.token_name.as_bytes()));
        let path = files::expand(&format!("~/.aws/sso/cache/{name}"), env);
        let shown = path.display();
        let bytes = files::read(&path).await.map_err(|error| {
            self.error(CredentialsProblem::Invalid, format!("cannot read the token in `{shown}`: {error}"))
        })?;
        let not_valid = || self.error(CredentialsProblem::Invalid, format!("the token in `{shown}` is not valid"));
        let mut stored: Value = serde_json::from_slice(&bytes).map_err(|_| not_valid())?;
        let text = |name: &str| stored.get(name).and_then(Value::as_str);
        let token = text("accessToken").ok_or_else(not_valid)?.to_owned();
        let expires: Timestamp = text("expiresAt").and_then(|time| time.parse().ok()).ok_or_else(not_valid)?;
        let now = Timestamp::now();
        if expires.duration_since(now) > REFRESH_BEFORE {
            return Ok(token);
        }
        let (Some(id), Some(secret), Some(refresh)) = (text("clientId"), text("clientSecret"), text("refreshToken"))
        else {
            // Tokens of profiles without `sso_session` cannot be refreshed, and are used until they expire.
            let expired = || self.error(CredentialsProblem::Invalid, "the token of the last login has expired");
            return if expires > now { Ok(token) } else { Err(expired()) };
        };
        let body =
            json!({"clientId": id, "clientSecret": secret, "grantType": "refresh_token", "refreshToken": refresh});
        let mut request = Request::new(Bytes::from(body.to_string()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = format!("{oidc}/token")
            .parse()
            .map_err(|_| self.error(CredentialsProblem::Invalid, "`sso_region` is not a region"))?;
        request.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
        let body = match self.send(http, request, "the token service").await {
            Ok(body) => body,
            Err(error) if expires > now => {
                tracing::warn!(%error, "cannot refresh the SSO token; using the previous one until it expires");
                return Ok(token);
            }
            Err(error) => return Err(error),
        };
        let fresh: TokenResponse = serde_json::from_slice(&body).map_err(|_| {
            self.error(CredentialsProblem::Unavailable, "the response of the token service has no token")
        })?;
        let expires = now.saturating_add(SignedDuration::from_secs(fresh.expires_in)).unwrap_or(now);
        if let Some(stored) = stored.as_object_mut() {
            stored.insert("accessToken".to_owned(), fresh.access_token.clone().into());
            stored.insert("expiresAt".to_owned(), expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into());
            if let Some(refresh) = fresh.refresh_token {
                stored.insert("refreshToken".to_owned(), refresh.into());
            }
        }
        // The refresh token may have been replaced, so the file must have the new one, also for other tools.
        let (to, text) = (path.clone(), stored.to_string());
        let written = tokio::task::spawn_blocking(move || replace(&to, &text)).await.map_err(std::io::Error::other);
        if let Err(error) = written.and_then(|written| written) {
            tracing::warn!(path = %shown, %error, "cannot store the refreshed SSO token; a later refresh may fail");
        }
        Ok(fresh.access_token)
    }

    async fn send(&self, http: &Http, request: Request<Bytes>, what: &str) -> Result<Bytes, CredentialsError> {
        let unavailable = |reason: String| self.error(CredentialsProblem::Unavailable, reason);
        let response = http
            .send(request, std::time::Duration::ZERO)
            .await
            .map_err(|error| unavailable(format!("cannot reach {what}: {error}")))?;
        let status = response.status;
        let body = response.body.collect(MAX_BYTES).await;
        let body = body.map_err(|error| unavailable(format!("the response of {what} is not complete: {error}")))?;
        match status.as_u16() {
            200 => Ok(body),
            400 | 401 | 403 => {
                let reason = format!("{what} rejected the token (status {})", status.as_u16());
                Err(self.error(CredentialsProblem::Denied, reason))
            }
            status => Err(unavailable(format!("{what} responded with status {status}"))),
        }
    }
}

/// Replaces a file at once, readable by its owner only.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".wattle");
    let temporary = PathBuf::from(name);
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}
