//! The chain of providers. The first provider that is configured decides; if it fails, the chain fails, because other
//! credentials could write to the wrong account.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::{Request, Uri};
use reqsign_aws_v4::{Credential, ECSCredentialProvider, IMDSv2CredentialProvider};
use reqsign_core::{Context, Env, ProvideCredential as _};
use wattle_options::Secret;

use super::profile::{Profiles, Properties};
use super::{CredentialsError, CredentialsProblem, Load, files, process, sso};
use crate::error::{Error, ErrorKind};
use crate::http::Http;
use crate::sts::{Role, Sts};

/// Maximum bytes of a response of a metadata service.
const MAX_BYTES: usize = 256 << 10;

/// Maximum number of profiles that refer to each other by `source_profile`.
const MAX_PROFILES: usize = 5;

const CONTAINER: &str = "the container credentials (ECS, EKS Pod Identity)";
const INSTANCE: &str = "the instance metadata (IMDSv2)";
const WEB_IDENTITY: &str = "web identity (`AWS_WEB_IDENTITY_TOKEN_FILE`)";
const ENVIRONMENT: &str = "the environment variables";

/// What the options say about credentials.
#[derive(Clone, Debug, Default)]
pub(crate) struct Auth {
    pub(crate) access_key_id: Option<Secret>,
    pub(crate) secret_access_key: Option<Secret>,
    pub(crate) session_token: Option<Secret>,
    pub(crate) profile: Option<String>,
    pub(crate) credentials_file: Option<PathBuf>,
    /// A role to assume with the credentials of the chain.
    pub(crate) role: Option<Role>,
    pub(crate) allow_process: bool,
    pub(crate) imds: Imds,
}

/// How to ask the instance metadata service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Imds {
    pub(crate) max_attempts: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
}

impl Default for Imds {
    fn default() -> Self {
        let second = Duration::from_secs(1);
        Self { max_attempts: 4, connect_timeout: second, read_timeout: second }
    }
}

/// The chain.
pub(crate) struct Chain {
    pub(crate) auth: Auth,
    pub(crate) env: Arc<dyn Env>,
    /// For services on the internet.
    pub(crate) http: Http,
    /// For metadata services, which no proxy can reach.
    pub(crate) metadata: Http,
    pub(crate) sts: Sts,
    pub(crate) imds: IMDSv2CredentialProvider,
}

/// The environment of a session, for the providers of `reqsign`.
#[derive(Clone, Debug)]
struct SharedEnv(Arc<dyn Env>);

impl Env for SharedEnv {
    fn var(&self, key: &str) -> Option<String> {
        self.0.var(key)
    }

    fn vars(&self) -> std::collections::HashMap<String, String> {
        self.0.vars()
    }

    fn home_dir(&self) -> Option<PathBuf> {
        self.0.home_dir()
    }
}

/// The transport, for the providers of `reqsign`.
#[derive(Debug)]
struct Transport(Http);

impl reqsign_core::HttpSend for Transport {
    async fn http_send(&self, request: Request<Bytes>) -> reqsign_core::Result<hyper::Response<Bytes>> {
        let failed =
            |error: crate::http::HttpError| reqsign_core::Error::unexpected(error.to_string()).set_retryable(true);
        let response = self.0.send(request, Duration::ZERO).await.map_err(failed)?;
        let mut whole = hyper::Response::new(response.body.collect(MAX_BYTES).await.map_err(failed)?);
        *whole.status_mut() = response.status;
        *whole.headers_mut() = response.headers;
        Ok(whole)
    }
}

impl Load for Chain {
    fn load(&self) -> Pin<Box<dyn Future<Output = Result<Credential, CredentialsError>> + Send + '_>> {
        Box::pin(async move {
            let credential = self.base().await?;
            match &self.auth.role {
                Some(role) => self.assume("`auth.assume_role`", role, &credential).await,
                None => Ok(credential),
            }
        })
    }
}

impl Chain {
    /// Credentials before `auth.assume_role`.
    async fn base(&self) -> Result<Credential, CredentialsError> {
        if let (Some(id), Some(secret)) = (&self.auth.access_key_id, &self.auth.secret_access_key) {
            let names = ["auth.access_key_id", "auth.secret_access_key", "auth.session_token"];
            let token = self.auth.session_token.as_ref().map(|token| token.reveal().to_owned());
            return of_key("the options", names, id.reveal().to_owned(), secret.reveal().to_owned(), token);
        }
        // A named profile is the only provider; with a file of its own, its default profile is.
        let option = self.auth.profile.clone();
        if option.is_some() || self.auth.credentials_file.is_some() {
            let name = option.unwrap_or_else(|| "default".to_owned());
            return self.profile(&name).await?.ok_or_else(|| empty_profile(&name));
        }
        if let Some(credential) = self.environment()? {
            return Ok(credential);
        }
        let named = self.variable("AWS_PROFILE");
        let name = named.clone().unwrap_or_else(|| "default".to_owned());
        match self.profile(&name).await {
            Ok(Some(credential)) => return Ok(credential),
            Ok(None) if named.is_some() => return Err(empty_profile(&name)),
            // There need not be a profile `default`.
            Ok(None) => {}
            Err(error) => return Err(error),
        }
        if let Some(credential) = self.web_identity().await? {
            return Ok(credential);
        }
        if let Some(credential) = self.container().await? {
            return Ok(credential);
        }
        let instance = match self.instance().await {
            Ok(credential) => return Ok(credential),
            Err(error) => error,
        };
        // Only on EC2 does the last provider exist, so its failure names all.
        let reason = format!(
            "none is configured (no `AWS_ACCESS_KEY_ID`, no profile `default`, no `AWS_WEB_IDENTITY_TOKEN_FILE`, no \
             `AWS_CONTAINER_CREDENTIALS_*`), and {INSTANCE} failed: {}",
            instance.reason
        );
        let fix = "set one of them, or `auth`";
        let problem = match instance.problem {
            CredentialsProblem::Denied => CredentialsProblem::Denied,
            _ => CredentialsProblem::NotConfigured,
        };
        Err(CredentialsError::new("any provider", problem, reason, fix))
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.env.var(name).filter(|value| !value.is_empty())
    }

    fn environment(&self) -> Result<Option<Credential>, CredentialsError> {
        let (id, secret) = (self.variable("AWS_ACCESS_KEY_ID"), self.variable("AWS_SECRET_ACCESS_KEY"));
        let session_token = self.variable("AWS_SESSION_TOKEN");
        match (id, secret) {
            (Some(id), Some(secret)) => {
                let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
                of_key(ENVIRONMENT, names, id, secret, session_token).map(Some)
            }
            (None, None) => Ok(None),
            (Some(_), None) => Err(half("AWS_SECRET_ACCESS_KEY")),
            (None, Some(_)) => Err(half("AWS_ACCESS_KEY_ID")),
        }
    }

    /// Credentials of a profile; `None` if it has none, or there is no profile `default`.
    async fn profile(&self, name: &str) -> Result<Option<Credential>, CredentialsError> {
        let profiles = Profiles::load(&*self.env, self.auth.credentials_file.as_deref()).await?;
        if name == "default" && profiles.get(name).is_none() {
            return Ok(None);
        }
        self.of_profile(&profiles, name, &mut Vec::new()).await
    }

    /// `above` are the profiles that lead to this one by `source_profile`.
    async fn of_profile(
        &self,
        profiles: &Profiles,
        name: &str,
        above: &mut Vec<String>,
    ) -> Result<Option<Credential>, CredentialsError> {
        let profile = profiles.get(name).ok_or_else(|| profiles.missing(name))?;
        let provider = format!("profile `{name}`");
        let get = |key: &str| profile.get(key).map(String::as_str).filter(|value| !value.is_empty());
        let invalid =
            |reason: &str, fix: &str| CredentialsError::new(&provider, CredentialsProblem::Invalid, reason, fix);
        // A profile can be its own source: then it gives its keys.
        let is_own_source = above.last().is_some_and(|last| last == name);
        if let Some(arn) = get("role_arn").filter(|_| !is_own_source) {
            if get("mfa_serial").is_some() {
                return Err(invalid("`mfa_serial` needs a person", "use a role without multi-factor authentication"));
            }
            let role = role_of(profile, arn);
            if let Some(path) = get("web_identity_token_file") {
                return self.with_token(&provider, &role, path).await.map(Some);
            }
            let source = match (get("source_profile"), get("credential_source")) {
                (Some(source), None) => {
                    if above.len() >= MAX_PROFILES || (source != name && above.iter().any(|above| above == source)) {
                        let fix = "end the chain with a profile that has keys";
                        return Err(invalid("`source_profile` leads in a circle, or through too many profiles", fix));
                    }
                    above.push(name.to_owned());
                    let found = Box::pin(self.of_profile(profiles, source, above)).await?;
                    found.ok_or_else(|| empty_profile(source))?
                }
                (None, Some("Environment")) => {
                    let fix = "set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`";
                    self.environment()?.ok_or_else(|| invalid("the environment has no credentials", fix))?
                }
                (None, Some("Ec2InstanceMetadata")) => self.instance().await?,
                (None, Some("EcsContainer")) => {
                    let reason = "`AWS_CONTAINER_CREDENTIALS_*` is not set";
                    self.container().await?.ok_or_else(|| invalid(reason, "run the agent in ECS or EKS"))?
                }
                _ => {
                    let fix = "`credential_source` is `Environment`, `Ec2InstanceMetadata` or `EcsContainer`";
                    return Err(invalid("`role_arn` needs either `source_profile` or `credential_source`", fix));
                }
            };
            return self.assume(&provider, &role, &source).await.map(Some);
        }
        match (get("aws_access_key_id"), get("aws_secret_access_key")) {
            (Some(id), Some(secret)) => {
                let names = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"];
                let token = get("aws_session_token").map(str::to_owned);
                return of_key(&provider, names, id.to_owned(), secret.to_owned(), token).map(Some);
            }
            (None, None) => {}
            _ => {
                return Err(invalid(
                    "it has only a half of the key",
                    "set both `aws_access_key_id` and `aws_secret_access_key`",
                ));
            }
        }
        if let Some(settings) = sso::Settings::of(name, profile, profiles) {
            return settings?.load(&self.http, &*self.env).await.map(Some);
        }
        if let Some(command) = get("credential_process") {
            if !self.auth.allow_process {
                let fix = "set `auth.credential_process = true` to allow the agent to run it";
                return Err(invalid("`credential_process` is not allowed", fix));
            }
            return process::run(&provider, command).await.map(Some);
        }
        Ok(None)
    }

    async fn web_identity(&self) -> Result<Option<Credential>, CredentialsError> {
        let (path, arn) = (self.variable("AWS_WEB_IDENTITY_TOKEN_FILE"), self.variable("AWS_ROLE_ARN"));
        let Some(path) = path else { return Ok(None) };
        let Some(arn) = arn else { return Err(half("AWS_ROLE_ARN")) };
        let name = self.variable("AWS_ROLE_SESSION_NAME");
        let role = Role { arn, session_name: name.unwrap_or_else(default_session), external_id: None, duration: None };
        self.with_token(WEB_IDENTITY, &role, &path).await.map(Some)
    }

    async fn with_token(&self, provider: &str, role: &Role, path: &str) -> Result<Credential, CredentialsError> {
        // Read each time: Kubernetes replaces the token.
        let bytes = files::read(&files::expand(path, &*self.env)).await.map_err(|error| {
            let fix = "check the service account of the pod, and the permissions of the agent's user";
            let reason = format!("cannot read the token in `{path}`: {error}");
            CredentialsError::new(provider, CredentialsProblem::Invalid, reason, fix)
        })?;
        let token = String::from_utf8_lossy(&bytes);
        let token = token.trim();
        if token.is_empty() {
            let reason = format!("the token in `{path}` is empty");
            let fix = "check the service account of the pod";
            return Err(CredentialsError::new(provider, CredentialsProblem::Invalid, reason, fix));
        }
        let assumed = self.sts.assume_role_with_web_identity(role, token).await;
        assumed.map_err(|error| of_sts(provider, &error))
    }

    async fn assume(&self, provider: &str, role: &Role, source: &Credential) -> Result<Credential, CredentialsError> {
        self.sts.assume_role(role, source).await.map_err(|error| of_sts(provider, &error))
    }

    async fn container(&self) -> Result<Option<Credential>, CredentialsError> {
        let full = self.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        let relative = self.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        if full.is_none() && relative.is_none() {
            return Ok(None);
        }
        // The request carries a token, so plain HTTP is for addresses of the machine and of the platform only.
        if let (Some(address), None) = (&full, &relative)
            && !is_container_address(address)
        {
            let reason =
                "`AWS_CONTAINER_CREDENTIALS_FULL_URI` is neither `https://` nor an address of ECS, EKS or loopback";
            return Err(CredentialsError::new(CONTAINER, CredentialsProblem::Invalid, reason, "check the variable"));
        }
        let mut provider = ECSCredentialProvider::new();
        if let Some(relative) = relative {
            provider = provider.with_relative_uri(relative);
        }
        let found = provider.provide_credential(&self.context()).await;
        let fix = "check that the task or pod has a role";
        found.map_err(|error| of_metadata(CONTAINER, &error, fix))
    }

    async fn instance(&self) -> Result<Credential, CredentialsError> {
        let fix = "give the instance a role; in containers, raise the hop limit of IMDSv2 to 2";
        let context = self.context();
        let mut attempt = 1;
        loop {
            match self.imds.provide_credential(&context).await {
                Ok(Some(credential)) => return Ok(credential),
                Ok(None) => {
                    let reason = "`AWS_EC2_METADATA_DISABLED` is `true`";
                    return Err(CredentialsError::new(INSTANCE, CredentialsProblem::NotConfigured, reason, fix));
                }
                // A machine that is not on EC2 does not even connect; more attempts would only delay the error.
                Err(error) if attempt < self.auth.imds.max_attempts && is_temporary(&error) => attempt += 1,
                Err(error) => return Err(of_metadata(INSTANCE, &error, fix)),
            }
        }
    }

    fn context(&self) -> Context {
        files::context(SharedEnv(self.env.clone()), Transport(self.metadata.clone()))
    }
}

/// Whether a container endpoint may receive the token: over TLS, on loopback, or at the addresses of ECS and EKS.
fn is_container_address(address: &str) -> bool {
    let Ok(uri) = address.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match uri.scheme_str() {
        Some("https") => true,
        Some("http") => {
            let is_loopback = host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
            is_loopback || ["localhost", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"].contains(&host)
        }
        _ => false,
    }
}

fn is_temporary(error: &reqsign_core::Error) -> bool {
    let connect =
        std::error::Error::source(error).is_some_and(|source| source.to_string().starts_with("cannot connect"));
    error.is_retryable() && !connect
}

pub(crate) fn default_session() -> String {
    "wattle".to_owned()
}

fn role_of(profile: &Properties, arn: &str) -> Role {
    let duration = profile.get("duration_seconds").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    Role {
        arn: arn.to_owned(),
        session_name: profile.get("role_session_name").cloned().unwrap_or_else(default_session),
        external_id: profile.get("external_id").cloned(),
        duration,
    }
}

/// The credentials of a long-term key. `names` are those of its parts, for errors.
///
/// # Errors
///
/// A part has characters that break the request, as when a file with a line break at its end becomes a variable.
fn of_key(
    provider: &str,
    names: [&str; 3],
    id: String,
    secret: String,
    session_token: Option<String>,
) -> Result<Credential, CredentialsError> {
    let parts = [Some(&id), Some(&secret), session_token.as_ref()];
    let wrong = names.iter().zip(parts).find(|(_, part)| part.is_some_and(|part| part.contains(char::is_control)));
    if let Some((name, _)) = wrong {
        let reason = format!("`{name}` has a line break or another control character");
        return Err(CredentialsError::new(provider, CredentialsProblem::Invalid, reason, "remove it"));
    }
    Ok(Credential { access_key_id: id, secret_access_key: secret, session_token, expires_in: None })
}

fn half(missing: &str) -> CredentialsError {
    let reason = format!("`{missing}` is not set, but the variable that belongs to it is");
    CredentialsError::new(ENVIRONMENT, CredentialsProblem::Invalid, reason, "set both, or none")
}

fn empty_profile(name: &str) -> CredentialsError {
    let fix = "add `aws_access_key_id` and `aws_secret_access_key`, `role_arn`, `sso_session` or `credential_process`";
    CredentialsError::new(format!("profile `{name}`"), CredentialsProblem::NotConfigured, "it has no credentials", fix)
}

fn of_sts(provider: &str, error: &Error) -> CredentialsError {
    let (problem, fix) = match error.kind {
        ErrorKind::Denied => {
            let fix = "check the trust policy of the role, its external id, and `sts:AssumeRole` of the caller";
            (CredentialsProblem::Denied, fix)
        }
        ErrorKind::Credentials | ErrorKind::ExpiredCredentials => {
            (CredentialsProblem::Denied, "check the credentials that assume the role")
        }
        ErrorKind::Rejected => (CredentialsProblem::Invalid, "check the ARN of the role and the session name"),
        ErrorKind::ClockSkew => (CredentialsProblem::Denied, "set the clock of this machine"),
        _ => (CredentialsProblem::Unavailable, "check that the agent can reach STS"),
    };
    CredentialsError::new(provider, problem, error.to_string(), fix)
}

fn of_metadata(provider: &str, error: &reqsign_core::Error, fix: &str) -> CredentialsError {
    let problem = match error.kind() {
        reqsign_core::ErrorKind::PermissionDenied => CredentialsProblem::Denied,
        reqsign_core::ErrorKind::ConfigInvalid => CredentialsProblem::Invalid,
        _ => CredentialsProblem::Unavailable,
    };
    let reason = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    CredentialsError::new(provider, problem, crate::client::cut(&reason), fix)
}
