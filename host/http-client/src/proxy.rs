//! The proxy of a client: from the options, or from the environment variables that curl uses.

use std::fmt;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::proxy::matcher::Matcher;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use wattle_options::{Flag, OptionErrors, Secret};

/// The proxy that requests go through: an address, or a table.
///
/// An address, such as `http://user:password@proxy.example.com:3128`, is the proxy for every request. Without the option,
/// the environment variables `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` apply; names in lower case take
/// precedence.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum ProxyOptions {
    /// Address of the proxy for all requests: `http://` or `https://`, with user and password if it requires them.
    Address(Secret),
    /// A proxy for each scheme, and hosts that are reached directly.
    Table(ProxyTable),
}

/// A proxy for each scheme, and hosts that are reached directly.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyTable {
    /// Whether to use a proxy. `false` also ignores the environment. Default: true.
    enabled: Option<Flag>,
    /// Address of the proxy for requests to `http://`. Default: the environment variable `HTTP_PROXY`.
    http: Option<Secret>,
    /// Address of the proxy for requests to `https://`. Default: the environment variable `HTTPS_PROXY`.
    https: Option<Secret>,
    /// Hosts that are reached directly: host names, which include their subdomains, IP addresses, networks such as
    /// `10.0.0.0/8`, or `*` for all hosts. Default: the environment variable `NO_PROXY`.
    no_proxy: Option<Vec<String>>,
}

impl<'de> Deserialize<'de> for ProxyOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        // `untagged` would lose the error message of the inner type.
        match Value::deserialize(deserializer)? {
            address @ Value::String(_) => Secret::deserialize(address).map(Self::Address).map_err(D::Error::custom),
            table @ Value::Object(_) => ProxyTable::deserialize(table).map(Self::Table).map_err(D::Error::custom),
            _ => Err(D::Error::custom("must be an address such as `http://proxy.example.com:3128`, or a table")),
        }
    }
}

/// A proxy that requests go through.
#[derive(Clone)]
pub(crate) struct Proxy {
    /// Scheme, host and optional port, without credentials.
    pub(crate) uri: Uri,
    /// Value of `proxy-authorization`.
    pub(crate) credentials: Option<HeaderValue>,
    /// The option or variable that names the proxy, for messages.
    pub(crate) origin: String,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("uri", &self.uri).field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// Why an address is not the address of a proxy. The text does not repeat the address, which may contain a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyAddressError {
    /// It cannot be parsed.
    #[error("is not the address of a proxy; write it like `http://proxy.example.com:3128`")]
    Invalid,
    /// It has another scheme, such as `socks5`.
    #[error("is a kind of proxy that is not supported; the address must begin with `http://` or `https://`")]
    Scheme,
}

/// The address of a proxy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {error}")]
pub struct ProxyError {
    /// The option or variable that holds the address.
    pub origin: String,
    /// What is wrong with it.
    pub error: ProxyAddressError,
}

/// Finds the proxy for requests to an address; `variable` reads the environment.
///
/// # Errors
///
/// The address of the proxy cannot be used.
pub(crate) fn find(
    options: Option<&ProxyOptions>,
    uri: &Uri,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, ProxyError> {
    let variable = |name: &str| {
        let names = [name.to_ascii_lowercase(), name.to_owned()];
        names.into_iter().find_map(|name| variable(&name).filter(|value| !value.trim().is_empty()).map(|v| (name, v)))
    };
    let is_https = uri.scheme_str() == Some("https");
    let option = |secret: &Secret, path: &str| (path.to_owned(), secret.reveal().to_owned());
    let environment = || {
        let found = variable(if is_https { "HTTPS_PROXY" } else { "HTTP_PROXY" }).or_else(|| variable("ALL_PROXY"));
        found.map(|(name, value)| (format!("environment variable `{name}`"), value))
    };
    let mut excluded = None;
    let found = match options {
        Some(ProxyOptions::Address(address)) => Some(option(address, "proxy")),
        Some(ProxyOptions::Table(table)) => {
            if table.enabled.is_some_and(|enabled| !enabled.0) {
                return Ok(None);
            }
            excluded = table.no_proxy.as_ref().map(|names| names.join(","));
            let (address, path) = if is_https { (&table.https, "proxy.https") } else { (&table.http, "proxy.http") };
            address.as_ref().map(|address| option(address, path)).or_else(environment)
        }
        None => environment(),
    };
    let Some((origin, address)) = found else { return Ok(None) };
    // `NO_PROXY` applies to proxies of the environment, and to tables without `no_proxy`.
    if excluded.is_none() && !matches!(options, Some(ProxyOptions::Address(_))) {
        excluded = variable("NO_PROXY").map(|(_, value)| value);
    }
    let proxy = parse(&address).map_err(|error| ProxyError { origin: origin.clone(), error })?;
    let matcher = Matcher::builder().all(address.trim()).no(excluded.unwrap_or_default()).build();
    Ok(matcher.intercept(uri).map(|_| Proxy { origin, ..proxy }))
}

fn parse(address: &str) -> Result<Proxy, ProxyAddressError> {
    let matcher = Matcher::builder().all(address.trim()).build();
    let Some(found) = matcher.intercept(&Uri::from_static("http://any/")) else {
        return Err(ProxyAddressError::Invalid);
    };
    if !matches!(found.uri().scheme_str(), Some("http" | "https")) {
        return Err(ProxyAddressError::Scheme);
    }
    let credentials = found.basic_auth().cloned().map(|mut value| {
        value.set_sensitive(true);
        value
    });
    Ok(Proxy { uri: found.uri().clone(), credentials, origin: String::new() })
}

/// Checks every address in the options, including the one for the other scheme.
pub fn check(options: &ProxyOptions, errors: &mut OptionErrors) {
    let addresses = match options {
        ProxyOptions::Address(address) => vec![("proxy", Some(address))],
        ProxyOptions::Table(table) => vec![("proxy.http", table.http.as_ref()), ("proxy.https", table.https.as_ref())],
    };
    for (path, address) in addresses {
        if let Some(address) = address {
            errors.check(path, parse(address.reveal()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Host of the proxy, its origin, and its credentials.
    fn found(options: Value, uri: &str, variables: &[(&str, &str)]) -> Option<(String, String, Option<String>)> {
        let options: Option<ProxyOptions> = serde_json::from_value(options).unwrap();
        let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        let proxy = find(options.as_ref(), &uri.parse().unwrap(), variable).unwrap()?;
        assert!(!format!("{proxy:?} {options:?}").contains("geheim"));
        let credentials = proxy.credentials.map(|value| value.to_str().unwrap().to_owned());
        Some((proxy.uri.authority().unwrap().to_string(), proxy.origin, credentials))
    }

    #[track_caller]
    fn check(options: Value, uri: &str, variables: &[(&str, &str)], host: Option<&str>) {
        let found = found(options, uri, variables).map(|(host, ..)| host);
        assert_eq!(found.as_deref(), host);
    }

    #[test]
    fn the_variables_of_curl_name_the_proxy() {
        let (http, https) = ("http://in.example.com/", "https://in.example.com/");
        let both = [("HTTP_PROXY", "http://plain:1"), ("https_proxy", "http://secure:2")];
        check(json!(null), http, &both, Some("plain:1"));
        check(json!(null), https, &both, Some("secure:2"));
        check(json!(null), https, &[("HTTPS_PROXY", "upper:1"), ("https_proxy", "lower:2")], Some("lower:2"));
        check(json!(null), https, &[("ALL_PROXY", "http://all:1")], Some("all:1"));
        check(json!(null), https, &[("HTTPS_PROXY", ""), ("HTTP_PROXY", "http://plain:1")], None);
        for (excluded, is_used) in [
            ("example.com", false),
            (".example.com", false),
            ("other.com, in.example.com", false),
            ("*", false),
            ("ample.com", true),
            ("10.0.0.0/8", true),
            ("", true),
        ] {
            let all = [("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", excluded)];
            check(json!(null), https, &all, is_used.then_some("p:1"));
        }
        let all = [("http_proxy", "http://p:1"), ("no_proxy", "10.0.0.0/8,::1")];
        check(json!(null), "http://10.1.2.3:80/", &all, None);
        check(json!(null), "http://[::1]:80/", &all, None);
        check(json!(null), "http://11.1.2.3/", &all, Some("p:1"));
    }

    #[test]
    fn options_take_precedence_over_the_environment() {
        let uri = "https://in.example.com/";
        let variables = [("HTTPS_PROXY", "http://env:1"), ("NO_PROXY", "example.com")];
        check(json!("http://opt:1"), uri, &variables, Some("opt:1"));
        check(json!({ "https": "http://opt:1", "no_proxy": [] }), uri, &variables, Some("opt:1"));
        check(json!({ "https": "http://opt:1" }), uri, &variables, None);
        check(json!({ "http": "http://opt:1", "no_proxy": ["other.com"] }), uri, &variables, Some("env:1"));
        check(json!({ "https": "http://opt:1", "no_proxy": ["a.b", "in.example.com"] }), uri, &[], None);
        check(json!({ "enabled": "false", "https": "http://opt:1" }), uri, &variables, None);
    }

    #[test]
    fn credentials_come_from_the_address_and_are_never_printed() {
        let uri = "http://h/";
        let (host, origin, credentials) = found(json!("http://me:geheim%40x@p:3128"), uri, &[]).unwrap();
        assert_eq!((host.as_str(), origin.as_str()), ("p:3128", "proxy"));
        assert_eq!(credentials.as_deref(), Some("Basic bWU6Z2VoZWltQHg="));
        let (_, origin, credentials) = found(json!(null), uri, &[("http_proxy", "p:1")]).unwrap();
        assert_eq!((origin.as_str(), credentials), ("environment variable `http_proxy`", None));
    }

    #[test]
    fn a_bad_address_is_reported_with_its_origin() {
        for (address, part) in
            [("socks5://p:1", "not supported"), ("http://", "not the address"), ("p:1 x", "not the address")]
        {
            let variable = |name: &str| (name == "http_proxy").then(|| address.to_owned());
            let error = find(None, &Uri::from_static("http://h/"), variable).unwrap_err();
            assert_eq!(error.origin, "environment variable `http_proxy`");
            let message = error.to_string();
            assert!(message.contains(part) && !message.contains("p:1"), "{message}");
        }
    }
}
