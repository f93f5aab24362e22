//! HTTP requests of nodes, to granted hosts only.
//!
//! # Invariants
//!
//! - A name is resolved once, and the client connects only to the addresses that were checked. So a name cannot resolve to
//!   another address between check and connection.
//! - Without `allow_private`, no connection goes to this machine, a private network, or a cloud's metadata service.
//! - A redirect is a response and is never followed; proxies are not used.

mod address;

use std::io::{self, Read as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ureq::config::Config;
use ureq::http::{self, Uri};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, AsSendBody};
use wattle_plan::HttpGrant;

use self::address::is_public;

/// Maximum number of concurrent requests of one call.
const CONCURRENT: usize = 8;
/// Headers that the agent sets.
const OWN_HEADERS: &[&str] = &["connection", "content-length", "host", "transfer-encoding", "upgrade", "te", "trailer"];
/// Allowed methods.
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// A request of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `HEAD`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// URL with scheme and host.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// Empty for none.
    pub body: Vec<u8>,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code; error statuses are responses too.
    pub status: u16,
    /// Names in lower case, and values. Values that are not text are omitted.
    pub headers: Vec<(String, String)>,
    /// Body, at most `max_response` of the grant.
    pub body: Vec<u8>,
}

/// A failed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why it failed; the node gets the name of this kind as code.
    pub kind: FailureKind,
    /// Text for the operator.
    pub message: String,
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The request breaks a rule of the interface.
    BadRequest,
    /// The host is not granted.
    HostNotAllowed,
    /// The host has no public address, and no other is granted.
    AddressNotAllowed,
    /// The batch has used its requests or its time.
    Budget,
    /// The server did not respond in time.
    Timeout,
    /// The connection or the request failed.
    Connect,
    /// The response is too large.
    TooLarge,
}

impl FailureKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::BadRequest,
        Self::HostNotAllowed,
        Self::AddressNotAllowed,
        Self::Budget,
        Self::Timeout,
        Self::Connect,
        Self::TooLarge,
    ];

    /// The code in the contract with nodes.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::HostNotAllowed => "host-not-allowed",
            Self::AddressNotAllowed => "address-not-allowed",
            Self::Budget => "budget",
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::TooLarge => "too-large",
        }
    }
}

fn failure(kind: FailureKind, message: impl Into<String>) -> Failure {
    Failure { kind, message: message.into() }
}

/// Remaining budget for the requests of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Time.
    pub time: Duration,
    /// Requests.
    pub requests: u32,
}

impl Budget {
    /// Returns the full budget of a batch.
    pub fn of(grant: &HttpGrant) -> Self {
        Self { time: grant.time_per_batch, requests: grant.requests_per_batch }
    }
}

/// HTTP client. It opens connections on demand and keeps them for 10 s.
#[derive(Debug, Default)]
pub struct Client {
    public: OnceLock<Agent>,
    any: OnceLock<Agent>,
}

impl Client {
    /// Sends requests concurrently, returns the responses in the same order, and reduces the
    /// budget.
    pub fn send(&self, grant: &HttpGrant, requests: &[Request], budget: &mut Budget) -> Vec<Result<Response, Failure>> {
        let since = Instant::now();
        let until = since + budget.time;
        let allowed = budget.requests as usize;
        let next = AtomicUsize::new(0);
        let answers: Mutex<Vec<_>> = Mutex::new(requests.iter().map(|_| None).collect());
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(request) = requests.get(index) else { return };
                let answer = match index < allowed {
                    true => self.send_one(grant, request, until),
                    false => {
                        let max = grant.requests_per_batch;
                        Err(failure(
                            FailureKind::Budget,
                            format!("more than {max} requests for one batch (`requests_per_batch`)"),
                        ))
                    }
                };
                if let Some(place) = answers.lock().get_mut(index) {
                    *place = Some(answer);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..requests.len().min(CONCURRENT) {
                // With fewer threads the requests take longer; the budget bounds that.
                let _ = std::thread::Builder::new().name("wattle-http".into()).spawn_scoped(scope, work);
            }
            work();
        });
        budget.time = budget.time.saturating_sub(since.elapsed());
        budget.requests = budget.requests.saturating_sub(u32::try_from(requests.len()).unwrap_or(u32::MAX));
        let lost = || Err(failure(FailureKind::Connect, "the request was lost; please report this"));
        answers.into_inner().into_iter().map(|answer| answer.unwrap_or_else(lost)).collect()
    }

    fn send_one(&self, grant: &HttpGrant, request: &Request, until: Instant) -> Result<Response, Failure> {
        let bad = |message: String| failure(FailureKind::BadRequest, message);
        if !METHODS.contains(&request.method.as_str()) {
            return Err(bad(format!("`{}` is not one of {}", request.method, METHODS.join(", "))));
        }
        let uri: Uri = request.url.parse().map_err(|_| bad(format!("`{}` is not a valid URL", request.url)))?;
        check_host(grant, &uri)?;
        let mut built = http::Request::builder().method(request.method.as_str()).uri(uri);
        for (name, value) in &request.headers {
            if OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
                return Err(bad(format!("the agent sets the header `{name}`")));
            }
            built = built.header(name, value);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let max = grant.time_per_batch;
            return Err(failure(
                FailureKind::Budget,
                format!("requests took more than {max:?} for one batch (`time_per_batch`)"),
            ));
        }
        let timeout = grant.timeout.min(left);
        let agent = self.agent(grant.allow_private);
        let wrong = |error: http::Error| bad(format!("the request has an invalid header ({error})"));
        match request.body.is_empty() {
            true => run(agent, built.body(()).map_err(wrong)?, grant, timeout),
            false if matches!(request.method.as_str(), "GET" | "HEAD") => {
                Err(bad(format!("{} cannot have a body", request.method)))
            }
            false => run(agent, built.body(request.body.as_slice()).map_err(wrong)?, grant, timeout),
        }
    }

    fn agent(&self, allow_private: bool) -> &Agent {
        let made = || {
            let config = Agent::config_builder()
                .tls_config(wattle_tls::ureq_config())
                .http_status_as_error(false)
                .max_redirects(0)
                .proxy(None)
                .user_agent(concat!("wattle/", env!("CARGO_PKG_VERSION")))
                .max_idle_age(Duration::from_secs(10))
                .build();
            Agent::with_parts(
                config,
                DefaultConnector::new(),
                Checked { allow_private, names: DefaultResolver::default() },
            )
        };
        if allow_private { self.any.get_or_init(made) } else { self.public.get_or_init(made) }
    }
}

fn run(
    agent: &Agent,
    request: http::Request<impl AsSendBody>,
    grant: &HttpGrant,
    timeout: Duration,
) -> Result<Response, Failure> {
    let host = request.uri().host().unwrap_or_default().to_owned();
    let failed = |error: ureq::Error| match error {
        ureq::Error::Timeout(_) => failure(FailureKind::Timeout, format!("`{host}` took more than {timeout:?}")),
        ureq::Error::BodyExceedsLimit(_) => {
            let max = grant.max_response_bytes;
            failure(
                FailureKind::TooLarge,
                format!("the response of `{host}` has more than {max} bytes (`max_response`)"),
            )
        }
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            failure(FailureKind::AddressNotAllowed, error.to_string())
        }
        ureq::Error::Http(_) | ureq::Error::BadUri(_) => {
            failure(FailureKind::BadRequest, format!("the request to `{host}` is not valid ({error})"))
        }
        error => failure(FailureKind::Connect, format!("`{host}`: {}", wattle_tls::explain(&error))),
    };
    let request = agent.configure_request(request).timeout_global(Some(timeout)).build();
    let mut answer = agent.run(request).map_err(&failed)?;
    let mut body = Vec::new();
    // One byte more than the limit shows that it is exceeded.
    let max = grant.max_response_bytes.saturating_add(1);
    let reader = answer.body_mut().with_config().limit(u64::MAX).reader();
    reader.take(max).read_to_end(&mut body).map_err(|error| failed(error.into()))?;
    if body.len() as u64 > grant.max_response_bytes {
        return Err(failed(ureq::Error::BodyExceedsLimit(grant.max_response_bytes)));
    }
    let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    let headers = answer.headers().iter().filter_map(text).collect();
    Ok(Response { status: answer.status().as_u16(), headers, body })
}

/// Refuses hosts that are not granted.
fn check_host(grant: &HttpGrant, uri: &Uri) -> Result<(), Failure> {
    let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
    let default_port = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return Err(failure(FailureKind::BadRequest, format!("`{uri}` has neither https:// nor http://"))),
    };
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(failure(FailureKind::BadRequest, "user names and passwords belong in a header, not in the URL"));
    }
    let port = uri.port_u16().unwrap_or(default_port);
    let is_granted = grant.hosts.iter().any(|granted| {
        let (clear, granted) = match granted.strip_prefix("http://") {
            Some(rest) => (true, rest),
            None => (false, granted.as_str()),
        };
        let (name, granted_port) = split_port(granted, if clear { 80 } else { 443 });
        let is_host = match name.strip_prefix("*.") {
            // The wildcard needs at least one label.
            Some(parent) => {
                let below =
                    host.len().checked_sub(parent.len()).and_then(|at| Some((host.get(..at)?, host.get(at..)?)));
                below.is_some_and(|(label, end)| {
                    end.eq_ignore_ascii_case(parent) && label.len() > 1 && label.ends_with('.')
                })
            }
            None => name.eq_ignore_ascii_case(host),
        };
        is_host && granted_port == port && clear == (scheme == "http")
    });
    if is_granted {
        return Ok(());
    }
    let message = format!("{scheme}://{host}:{port} is not one of the granted hosts: {}", grant.hosts.join(", "));
    Err(failure(FailureKind::HostNotAllowed, message))
}

/// Splits a host and its port. IPv6 addresses are in brackets.
fn split_port(text: &str, default: u16) -> (&str, u16) {
    match text.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?))) {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, port),
        _ => (text, default),
    }
}

/// Resolver that removes addresses that are not granted.
#[derive(Debug)]
struct Checked {
    allow_private: bool,
    names: DefaultResolver,
}

impl Resolver for Checked {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.names.resolve(uri, config, timeout)?;
        if self.allow_private {
            return Ok(found);
        }
        let mut allowed = self.empty();
        let mut refused = None;
        for address in found.iter() {
            match is_public(address.ip()) {
                true => allowed.push(*address),
                false => refused = Some(address.ip()),
            }
        }
        match refused {
            Some(address) if allowed.is_empty() => {
                let host = uri.host().unwrap_or_default();
                let message = format!("`{host}` has the address {address}, which is not public (`allow_private`)");
                Err(io::Error::new(io::ErrorKind::PermissionDenied, message).into())
            }
            _ => Ok(allowed),
        }
    }
}

#[cfg(test)]
mod tests;
