//! STS: temporary credentials of a role.

use std::time::Duration;

use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqsign_aws_v4::Credential;
use serde::Deserialize;

use crate::client::{Call, exchange};
use crate::endpoint::Service;
use crate::error::{Error, ErrorKind};
use crate::http::Http;

/// Maximum bytes of a response. Session tokens have no documented limit; real ones have about 1 KiB.
const MAX_BYTES: usize = 256 << 10;

/// The STS endpoint of a region.
#[derive(Clone, Debug)]
pub(crate) struct Sts {
    pub(crate) http: Http,
    pub(crate) endpoint: String,
    pub(crate) region: String,
}

/// A role, and how to assume it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) arn: String,
    pub(crate) session_name: String,
    pub(crate) external_id: Option<String>,
    /// Default of STS: an hour.
    pub(crate) duration: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Response {
    #[serde(alias = "AssumeRoleResult", alias = "AssumeRoleWithWebIdentityResult")]
    result: ResponseResult,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResponseResult {
    credentials: ResponseCredentials,
}

// No `Debug`: it holds secrets.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResponseCredentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: String,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl Sts {
    /// Assumes a role with other credentials.
    ///
    /// # Errors
    ///
    /// STS cannot be reached, or rejects the request.
    pub(crate) async fn assume_role(&self, role: &Role, source: &Credential) -> Result<Credential, Error> {
        self.call("AssumeRole", role, None, Some(source)).await
    }

    /// Assumes a role with a token of an identity provider, such as Kubernetes.
    ///
    /// # Errors
    ///
    /// STS cannot be reached, or rejects the request.
    pub(crate) async fn assume_role_with_web_identity(&self, role: &Role, token: &str) -> Result<Credential, Error> {
        self.call("AssumeRoleWithWebIdentity", role, Some(token), None).await
    }

    async fn call(
        &self,
        operation: &'static str,
        role: &Role,
        token: Option<&str>,
        source: Option<&Credential>,
    ) -> Result<Credential, Error> {
        let duration = role.duration.map(|duration| duration.as_secs().to_string());
        let fields = [
            ("Action", Some(operation)),
            ("Version", Some("2011-06-15")),
            ("RoleArn", Some(role.arn.as_str())),
            ("RoleSessionName", Some(role.session_name.as_str())),
            ("ExternalId", role.external_id.as_deref()),
            ("DurationSeconds", duration.as_deref()),
            ("WebIdentityToken", token),
        ];
        let pairs = fields.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
        let form: Vec<String> =
            pairs.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))).collect();
        let mut call = Call {
            operation,
            resource: role.arn.clone(),
            service: Service::Sts,
            region: self.region.clone(),
            method: Method::POST,
            uri: hyper::Uri::default(),
            headers: HeaderMap::new(),
            body: form.join("&").into(),
            wait: Duration::ZERO,
        };
        call.uri = format!("{}/", self.endpoint)
            .parse()
            .map_err(|_| call.error(ErrorKind::Rejected, "the address of STS is not valid"))?;
        call.set(CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded")?;
        let response = exchange(&self.http, &call, source).await.map_err(|mut error| {
            // STS may repeat the token in its message.
            if let Some(token) = token {
                error.reason = error.reason.replace(token, "***").into();
            }
            error
        })?;
        let body = response.body.collect(MAX_BYTES).await.map_err(|error| call.http_error(&error))?;
        let invalid = || call.error(ErrorKind::InvalidResponse, "the response of STS has no credentials");
        let text = std::str::from_utf8(&body).map_err(|_| invalid())?;
        // The error of the parser could repeat secrets.
        let found: Response = quick_xml::de::from_str(text).map_err(|_| invalid())?;
        let found = found.result.credentials;
        Ok(Credential {
            access_key_id: found.access_key_id,
            secret_access_key: found.secret_access_key,
            session_token: Some(found.session_token),
            expires_in: Some(found.expiration.parse().map_err(|_| invalid())?),
        })
    }
}
