//! What all clients of a source or sink share: transport, credentials, region, and endpoints.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use reqsign_aws_v4::IMDSv2CredentialProvider;
use reqsign_core::{Env, OsEnv};
use wattle_tls::{ClientOptions, TlsConfigError, client_config};

use crate::client::{Call, exchange};
use crate::connect::proxies;
use crate::credentials::{Auth, Chain, Credentials, CredentialsError, Profiles};
use crate::endpoint::{self, Service, Variant};
use crate::error::{Error, ErrorKind};
use crate::http::{Http, Limits, Response};
use crate::region::{self, RegionError};
use crate::sts::Sts;

/// What a session is made of. [`AwsOptions::resolve`](crate::AwsOptions::resolve) makes it from options.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    pub(crate) region: Option<String>,
    /// Address of a queue. Its region is the default, before that of the instance metadata.
    pub queue_url: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) path_style: Option<bool>,
    pub(crate) fips: Option<bool>,
    pub(crate) dual_stack: Option<bool>,
    pub(crate) auth: Auth,
    /// The region of STS, if it is another one.
    pub(crate) sts_region: Option<String>,
    pub(crate) load_timeout: Duration,
    /// TLS of all connections.
    pub tls: ClientOptions,
    /// Time limits of requests.
    pub limits: Limits,
    /// The environment; tests replace it.
    pub env: Arc<dyn Env>,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            region: None,
            queue_url: None,
            endpoint: None,
            path_style: None,
            fips: None,
            dual_stack: None,
            auth: Auth::default(),
            sts_region: None,
            load_timeout: Duration::from_secs(10),
            tls: ClientOptions { ca_file: None, crt_file: None, key_file: None, verify: true },
            limits: Limits::default(),
            env: Arc::new(OsEnv),
        }
    }
}

/// Why a session cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A certificate file cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
    /// The shared files of AWS tools cannot be used.
    #[error(transparent)]
    Files(#[from] CredentialsError),
    /// There is no region.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// A value of the environment or of a file is not valid.
    #[error("{0}")]
    Invalid(String),
}

/// Transport, credentials, region and endpoints of a source or sink. Clones share them.
#[derive(Clone, Debug)]
pub struct Session {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    http: Http,
    credentials: Credentials,
    region: String,
    /// Custom address of all services; `None` for those of AWS or of the environment.
    endpoint: Option<String>,
    path_style: bool,
    variant: Variant,
    env: Arc<dyn Env>,
}

impl Session {
    /// Creates a session. It asks the instance metadata for the region if nothing else names one; it does not load
    /// credentials.
    ///
    /// # Errors
    ///
    /// Certificates or shared files cannot be used, or there is no region.
    pub async fn new(config: SessionConfig) -> Result<Self, SessionError> {
        let env = config.env.clone();
        let mut tls = config.tls;
        if tls.ca_file.is_none() && tls.verify {
            tls.ca_file = env.var("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(PathBuf::from);
        }
        if !tls.verify {
            tracing::warn!(
                "`tls.verify` is false: the certificates of AWS are not verified, so others on the network path can read \
                 and change objects and messages"
            );
        }
        let tls = Arc::new(client_config(&tls, true).or_else(|error| match (&error, &config.endpoint) {
            // Plain HTTP to a custom endpoint needs no authorities.
            (TlsConfigError::NoSystemRoots, Some(endpoint)) if endpoint.starts_with("http://") => {
                client_config(&tls, false)
            }
            _ => Err(error),
        })?);
        let http = Http::new(tls.clone(), Arc::new(proxies(&*env)), config.limits);
        let imds = config.auth.imds;
        let limits =
            Limits { connect: imds.connect_timeout, first_byte: imds.read_timeout, progress: imds.read_timeout };
        let metadata = Http::new(tls, Arc::new(Matcher::builder().build()), limits);
        let endpoint = config.endpoint.as_deref().map(endpoint::trimmed);
        for (name, address) in [Service::CloudTrail, Service::S3, Service::Sqs, Service::Sts]
            .into_iter()
            .filter_map(|service| Some((service.name(), endpoint::from_environment(service, &*env)?)))
        {
            endpoint::check(&address).map_err(|problem| {
                SessionError::Invalid(format!(
                    "the address of `{name}` in the environment {problem}; check `AWS_ENDPOINT_URL*`"
                ))
            })?;
        }
        let has_endpoint = endpoint.is_some() || endpoint::from_environment(Service::S3, &*env).is_some();
        let profiles = Profiles::load(&*env, config.auth.credentials_file.as_deref()).await?;
        let profile = config.auth.profile.as_deref();
        let of_queue = config.queue_url.as_deref().and_then(region::of_queue);
        let default = of_queue.or_else(|| has_endpoint.then(|| region::DEFAULT.to_owned()));
        let found = region::find(config.region.as_deref(), &*env, &profiles, profile, default, &metadata).await?;
        if !region::is_region(&found) {
            let text =
                format!("`{found}` is not a region; write it like `eu-west-1`, in `AWS_REGION` or in the profile");
            return Err(SessionError::Invalid(text));
        }
        let flag = |option: Option<bool>, variable: &str| {
            option.unwrap_or_else(|| env.var(variable).is_some_and(|value| value.eq_ignore_ascii_case("true")))
        };
        let variant = Variant {
            fips: flag(config.fips, "AWS_USE_FIPS_ENDPOINT"),
            dual_stack: flag(config.dual_stack, "AWS_USE_DUALSTACK_ENDPOINT"),
        };
        let sts_region = config.sts_region.clone().unwrap_or_else(|| found.clone());
        let sts_endpoint = endpoint::from_environment(Service::Sts, &*env)
            .unwrap_or_else(|| endpoint::standard(Service::Sts, &sts_region, variant));
        let chain = Chain {
            auth: config.auth,
            env: env.clone(),
            http: http.clone(),
            metadata,
            sts: Sts { http: http.clone(), endpoint: sts_endpoint, region: sts_region },
            imds: IMDSv2CredentialProvider::new(),
        };
        let credentials = Credentials::new(chain, config.load_timeout);
        // Buckets are host names at AWS only; other servers rarely have the names.
        let path_style = config.path_style.unwrap_or(has_endpoint);
        let shared = Shared { http, credentials, region: found, endpoint, path_style, variant, env };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.shared.region
    }

    /// The credentials of all clients.
    pub fn credentials(&self) -> &Credentials {
        &self.shared.credentials
    }

    pub(crate) fn path_style(&self) -> bool {
        self.shared.path_style
    }

    /// The custom address of a service, without a slash at its end.
    pub(crate) fn custom_endpoint(&self, service: Service) -> Option<String> {
        self.shared.endpoint.clone().or_else(|| endpoint::from_environment(service, &*self.shared.env))
    }

    /// The address of a service in a region, without a slash at its end.
    pub(crate) fn endpoint(&self, service: Service, region: &str) -> String {
        self.custom_endpoint(service).unwrap_or_else(|| endpoint::standard(service, region, self.shared.variant))
    }

    /// Sends a signed call. If the service reports the credentials as expired, loads new ones and sends it once more.
    ///
    /// # Errors
    ///
    /// There are no credentials, there was no response, or it has another status than 2xx.
    pub(crate) async fn call(&self, call: &Call) -> Result<Response, Error> {
        let get = async || {
            let held = self.shared.credentials.get().await;
            held.map_err(|error| Error::credentials(call.operation, &call.resource, &error))
        };
        let held = get().await?;
        match exchange(&self.shared.http, call, Some(held.credential())).await {
            Err(error) if error.kind == ErrorKind::ExpiredCredentials => {
                self.shared.credentials.invalidate(&held);
                exchange(&self.shared.http, call, Some(get().await?.credential())).await
            }
            result => result,
        }
    }
}
