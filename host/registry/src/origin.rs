//! Rules for the servers that a request may be sent to, and for the servers that get credentials.
//!
//! - The *home registry* is the scheme, host and port from a reference and `[packs.registries]`. It
//!   gets the credentials after a challenge. Challenges of other servers are ignored.
//! - Redirects carry no credentials: another origin never gets `Authorization`, a redirected
//!   request for a blob never carries it, and a chain of redirects that leaves the home registry
//!   does not get it when it leads back.
//! - A token server that the home registry names gets the credentials over HTTPS on any host
//!   (Docker Hub's is `auth.docker.io`). Over plain HTTP it gets them only on the host of a home
//!   registry that uses plain HTTP itself.
//! - Plain HTTP is allowed to loopback if the home registry is on loopback, and to a home registry
//!   with `insecure = true`.

use std::net::IpAddr;

use ureq::http::Uri;

use crate::reference::is_loopback;

/// Scheme, host and port of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    is_https: bool,
    /// In lower case, without brackets.
    host: String,
    port: u16,
}

impl Origin {
    /// Returns the origin of a URL; `None` for schemes other than HTTP and HTTPS, and for a URL
    /// with user information.
    fn of(url: &Uri) -> Option<Self> {
        let is_https = match url.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        if url.authority()?.as_str().contains('@') {
            return None;
        }
        let host = url.host()?.trim_matches(['[', ']']).to_ascii_lowercase();
        let port = url.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        Some(Self { is_https, host, port })
    }

    fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// The home registry.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    /// Host with the port, as written.
    host: String,
    is_https: bool,
    origin: Option<Origin>,
}

impl Home {
    /// Creates the home registry of a host with an optional port. `insecure` selects plain HTTP.
    pub(crate) fn new(host: &str, insecure: bool) -> Self {
        // A registry on this machine uses plain HTTP.
        let is_https = !insecure && !is_loopback(host);
        let home = Self { host: host.to_owned(), is_https, origin: None };
        let origin = home.base().parse().ok().and_then(|url| Origin::of(&url));
        Self { origin, ..home }
    }

    /// URL of the registry.
    pub(crate) fn base(&self) -> String {
        format!("{}://{}", if self.is_https { "https" } else { "http" }, self.host)
    }

    /// Host with the port, as written.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Returns whether a URL has the scheme, host and port of this registry.
    pub(crate) fn is_at(&self, url: &Uri) -> bool {
        self.origin.is_some() && Origin::of(url) == self.origin
    }

    /// Returns whether a request may be sent to a URL.
    pub(crate) fn allows(&self, url: &Uri) -> bool {
        let (Some(origin), Some(home)) = (Origin::of(url), &self.origin) else { return false };
        origin.is_https || (origin.is_loopback() && home.is_loopback()) || (!self.is_https && origin == *home)
    }

    /// Returns whether a token server that the registry names may get the credentials.
    pub(crate) fn trusts_realm(&self, url: &Uri) -> bool {
        let (Some(origin), Some(home)) = (Origin::of(url), &self.origin) else { return false };
        origin.is_https || (!self.is_https && origin.host == home.host)
    }
}

/// Resolves the value of a `Location` header relative to the URL of the response.
pub(crate) fn resolve(at: &Uri, location: &str) -> Option<Uri> {
    if location.contains("://") {
        return location.parse().ok();
    }
    if let Some(rest) = location.strip_prefix("//") {
        return format!("{}://{rest}", at.scheme_str()?).parse().ok();
    }
    let path = if location.starts_with('/') {
        location.to_owned()
    } else {
        let (folder, _) = at.path().rsplit_once('/')?;
        format!("{folder}/{location}")
    };
    format!("{}://{}{path}", at.scheme_str()?, at.authority()?).parse().ok()
}

/// Returns a URL for messages, without the query, which can contain a signature, and without user
/// information.
pub(crate) fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> Uri {
        url.parse().unwrap()
    }

    #[test]
    fn locations_are_resolved_relative_to_the_response() {
        let from = at("http://127.0.0.1:5000/v2/a/blobs/uploads/");
        let resolved = |location| resolve(&from, location).map(|uri| uri.to_string());
        assert_eq!(resolved("/v2/x").as_deref(), Some("http://127.0.0.1:5000/v2/x"));
        assert_eq!(resolved("x?y=1").as_deref(), Some("http://127.0.0.1:5000/v2/a/blobs/uploads/x?y=1"));
        assert_eq!(resolved("https://b.example.com/x").as_deref(), Some("https://b.example.com/x"));
        assert_eq!(resolved("//b.example.com/x").as_deref(), Some("http://b.example.com/x"));
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for (home, insecure, url, is_home) in [
            ("r.example.com", false, "https://r.example.com/v2/", true),
            ("r.example.com", false, "https://R.Example.COM:443/v2/", true),
            ("r.example.com", false, "https://r.example.com:444/v2/", false),
            ("r.example.com", false, "http://r.example.com/v2/", false),
            ("r.example.com", false, "https://r.example.com@evil.example/v2/", false),
            ("r.example.com", false, "https://evil.example/r.example.com", false),
            ("r.example.com", false, "https://r.example.com.evil.example/", false),
            ("r.example.com:5000", true, "http://r.example.com:5000/", true),
            ("r.example.com:5000", true, "https://r.example.com:5000/", false),
            ("127.0.0.1:5000", false, "http://127.0.0.1:5000/", true),
            ("127.0.0.1:5000", false, "http://localhost:5000/", false),
            ("[::1]:5000", false, "http://[::1]:5000/", true),
        ] {
            assert_eq!(Home::new(home, insecure).is_at(&at(url)), is_home, "{home} {url}");
        }
    }

    #[test]
    fn plain_http_is_allowed_to_loopback_and_insecure_home_registries() {
        for (home, insecure, url, allowed) in [
            ("127.0.0.1:5000", false, "http://localhost:1/x", true),
            ("127.0.0.1:5000", false, "http://169.254.169.254/latest", false),
            ("127.0.0.1:5000", false, "ftp://127.0.0.1/x", false),
            ("127.0.0.1:5000", false, "http://localhost:x@evil.example/", false),
            ("127.0.0.1:5000", false, "http://127.0.0.1:80@evil.example/", false),
            ("r.example.com", false, "http://r.example.com/x", false),
            ("r.example.com", false, "http://127.0.0.1:8080/metadata", false),
            ("r.example.com", false, "https://cdn.example.net/x", true),
            ("r.example.com", true, "http://r.example.com/x", true),
            ("r.example.com", true, "http://r.example.com:81/x", false),
            ("r.example.com", true, "http://other.example.com/x", false),
        ] {
            let Ok(url) = url.parse() else { continue };
            assert_eq!(Home::new(home, insecure).allows(&url), allowed, "{home} {url}");
        }
        assert_eq!(Home::new("127.0.0.1:5000", false).base(), "http://127.0.0.1:5000");
        assert_eq!(Home::new("r.example.com", false).base(), "https://r.example.com");
    }

    #[test]
    fn a_token_server_gets_credentials_over_https_or_on_the_host_of_a_plain_home() {
        for (home, insecure, realm, trusted) in [
            ("r.example.com", false, "https://auth.example.net/token", true),
            ("r.example.com", false, "http://r.example.com/token", false),
            ("r.example.com", true, "http://r.example.com:81/token", true),
            ("r.example.com", true, "http://auth.example.com/token", false),
            ("127.0.0.1:5000", false, "http://127.0.0.1:5001/token", true),
            ("127.0.0.1:5000", false, "http://localhost:5001/token", false),
            ("127.0.0.1:5000", false, "https://u:p@auth.example.com/token", false),
        ] {
            assert_eq!(Home::new(home, insecure).trusts_realm(&at(realm)), trusted, "{home} {realm}");
        }
    }

    #[test]
    fn messages_contain_no_signature_and_no_password() {
        assert_eq!(shown("https://u:p@a.example/x/y?X-Amz-Signature=1#z"), "https://a.example/x/y");
        assert_eq!(shown("https://a.example"), "https://a.example");
    }
}
