//! Refuses requests that a web site sent through an operator's browser, and heads that are too long.
//!
//! The listener has no passwords, so a browser on the same machine can reach it for any site that it shows. Three rules
//! keep such sites out:
//!
//! - `Host` must be an IP address, `localhost` or a name of `allowed_hosts`. With DNS rebinding a site gives its own
//!   name the address of the agent, so that a browser takes the agent for a part of the site; its name is then in
//!   `Host`.
//! - `Origin`, which browsers send with requests of scripts, must be the listener itself.
//! - `Sec-Fetch-Site`, which browsers send with all requests, must not name another site, except for a link to the
//!   page.
//!
//! Health probes need no `Host`: they show nothing about the agent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::header::{HOST, HeaderName, HeaderValue, ORIGIN};
use hyper::http::uri::Authority;
use hyper::{Method, Request, StatusCode, Version};

use super::super::response::Refusal;

/// Maximum size of the head of a request in bytes.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Requests from probes and from Prometheus, which use the names of their network. Nothing here shows an event.
const ANY_HOST: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// What browsers say about the site that sent a request, and for what.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Checks the head of a request. `is_private` stands for the control socket, which no browser can reach.
///
/// # Errors
///
/// Another site sent the request, or its head is too long.
pub(crate) fn check<B>(request: &Request<B>, allowed_hosts: &[String], is_private: bool) -> Result<(), Refusal> {
    check_size(request)?;
    if is_private || ANY_HOST.contains(&request.uri().path()) {
        return Ok(());
    }
    // A proxy and the agent could each take another one.
    let headers = request.headers();
    for name in [HOST, ORIGIN, SITE, MODE, DEST] {
        if headers.get_all(&name).iter().nth(1).is_some() {
            return Err(Refusal::bad_request(format!("the request has the header `{name}` more than once")));
        }
    }
    // HTTP/1.0 needs no `Host`, and browsers do not speak it.
    let host = match headers.get(HOST) {
        Some(host) => Some(check_host(host.to_str().unwrap_or_default(), allowed_hosts)?),
        None if request.version() >= Version::HTTP_11 => {
            return Err(Refusal::bad_request("the request has no header `Host`"));
        }
        None => None,
    };
    if let Some(authority) = request.uri().authority() {
        check_host(authority.as_str(), allowed_hosts)?;
    }
    if let Some(origin) = headers.get(ORIGIN) {
        check_origin(origin.to_str().unwrap_or_default(), host.as_ref(), allowed_hosts)?;
    }
    check_site(request)
}

fn check_size<B>(request: &Request<B>) -> Result<(), Refusal> {
    let uri = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>();
    if uri + headers <= MAX_HEAD_BYTES {
        return Ok(());
    }
    let error = format!("the head of the request is longer than {} KiB", MAX_HEAD_BYTES >> 10);
    Err(Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, error))
}

fn check_host(host: &str, allowed: &[String]) -> Result<Authority, Refusal> {
    let authority = host.parse::<Authority>().ok().filter(|authority| !authority.as_str().contains('@'));
    if let Some(authority) = authority.filter(|authority| is_allowed(authority.host(), allowed)) {
        return Ok(authority);
    }
    // Shortened, and escaped by `Debug`: the text comes from the request.
    let shown: String = host.chars().take(100).collect();
    let error = format!(
        "the agent does not serve the host {shown:?}; use its IP address or `localhost`, or add the name to \
         `allowed_hosts` in [admin]"
    );
    Err(Refusal::new(StatusCode::FORBIDDEN, error))
}

fn is_allowed(host: &str, allowed: &[String]) -> bool {
    is_address(host) || host.eq_ignore_ascii_case("localhost") || is_listed(host, allowed)
}

fn is_listed(host: &str, allowed: &[String]) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    allowed.iter().any(|name| name.eq_ignore_ascii_case(host))
}

fn is_address(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<Ipv4Addr>().map(IpAddr::V4).is_ok(),
    }
}

/// A proxy for TLS may replace `Host`, so the origin may also be a name that the operator listed.
fn check_origin(origin: &str, host: Option<&Authority>, allowed: &[String]) -> Result<(), Refusal> {
    let scheme_and_host = origin.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"));
    let authority = scheme_and_host.and_then(|(_, authority)| authority.parse::<Authority>().ok());
    let is_own = authority.is_some_and(|origin| host == Some(&origin) || is_listed(origin.host(), allowed));
    if is_own { Ok(()) } else { Err(cross_site()) }
}

fn check_site<B>(request: &Request<B>) -> Result<(), Refusal> {
    // A value that is not text matches nothing here.
    let get = |name| request.headers().get(name).map(|value: &HeaderValue| value.to_str().unwrap_or_default());
    let is_own = matches!(get(SITE), None | Some("same-origin" | "none"));
    // A link on another site may lead to the page; a frame may not, and streams have a limited number of places.
    let is_link = || {
        let is_page = *request.method() == Method::GET && request.uri().path() == "/";
        is_page && get(MODE) == Some("navigate") && get(DEST) == Some("document")
    };
    if is_own || is_link() { Ok(()) } else { Err(cross_site()) }
}

fn cross_site() -> Refusal {
    Refusal::new(
        StatusCode::FORBIDDEN,
        "another site sent this request; the agent serves only its own page and programs",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    /// The status of the refusal of `GET /api/v1/status`, or 200.
    fn status(headers: &[(&str, &str)]) -> u16 {
        let allowed = ["edge-7.example.com".to_owned()];
        let checked = check(&request("GET", "/api/v1/status", headers), &allowed, false);
        checked.map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
    }

    #[test]
    fn a_host_is_an_address_or_localhost_or_listed() {
        for host in [
            "127.0.0.1:9598",
            "127.0.0.1",
            "192.0.2.7:80",
            "[::1]:9598",
            "localhost:9598",
            "LOCALHOST",
            "edge-7.example.com:9598",
            "Edge-7.Example.com.",
        ] {
            assert_eq!(status(&[("host", host)]), 200, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9598",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "edge-7.example.com.evil.example",
            "x.edge-7.example.com",
            "edge-7.example.com@evil.example",
            "evil@127.0.0.1",
            "2130706433",
            "0x7f000001",
            "[::1",
            "",
            "a b",
        ] {
            assert_eq!(status(&[("host", host)]), 403, "{host}");
        }
        assert_eq!(status(&[]), 400);
        let mut old = request("GET", "/api/v1/status", &[]);
        *old.version_mut() = Version::HTTP_10;
        assert!(check(&old, &[], false).is_ok());
        let absolute = request("GET", "http://evil.example/api/v1/status", &[("host", "127.0.0.1")]);
        assert!(check(&absolute, &[], false).is_err());
        assert_eq!(status(&[("host", "127.0.0.1"), ("host", "evil.example")]), 400);
        assert_eq!(status(&[("host", "127.0.0.1"), ("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")]), 400);
        let refusal = check(&request("GET", "/status", &[("host", "evil.example")]), &[], false).unwrap_err();
        assert!(refusal.problem.error.contains("`allowed_hosts` in [admin]"), "{}", refusal.problem.error);
    }

    #[test]
    fn the_control_socket_probes_and_scrapes_need_no_host() {
        let evil = [("host", "evil.example"), ("origin", "http://evil.example")];
        assert!(check(&request("GET", "/api/v1/status", &evil), &[], true).is_ok());
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert!(check(&request("GET", path, &evil), &[], false).is_ok(), "{path}");
        }
        for path in ["/status", "/api/v1", "/"] {
            assert!(check(&request("GET", path, &evil), &[], false).is_err(), "{path}");
        }
    }

    #[test]
    fn an_origin_is_the_listener_itself_or_a_listed_proxy() {
        for (host, origin, expected) in [
            ("127.0.0.1:9598", "http://127.0.0.1:9598", 200),
            ("localhost:9598", "http://localhost:9598", 200),
            ("127.0.0.1:9598", "https://edge-7.example.com", 200),
            ("127.0.0.1:9598", "http://127.0.0.1:3000", 403),
            ("localhost:9598", "http://127.0.0.1:9598", 403),
            ("127.0.0.1:9598", "http://evil.example", 403),
            ("127.0.0.1:9598", "null", 403),
            ("127.0.0.1:9598", "", 403),
            ("127.0.0.1:9598", "file://127.0.0.1:9598", 403),
        ] {
            assert_eq!(status(&[("host", host), ("origin", origin)]), expected, "{origin}");
        }
    }

    #[test]
    fn other_sites_may_link_to_the_page_and_do_nothing_else() {
        let site_at = |path, site, mode, dest| {
            let fetch =
                [("host", "127.0.0.1"), ("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
            check(&request("GET", path, &fetch), &[], false).map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
        };
        let site = |site, mode, dest| site_at("/api/v1/status", site, mode, dest);
        assert_eq!(site("same-origin", "cors", "empty"), 200);
        assert_eq!(site("none", "navigate", "document"), 200);
        assert_eq!(site_at("/", "cross-site", "navigate", "document"), 200);
        assert_eq!(site_at("/", "cross-site", "navigate", "iframe"), 403);
        assert_eq!(site("cross-site", "navigate", "document"), 403, "a window could take the place of a stream");
        assert_eq!(site("cross-site", "no-cors", "image"), 403, "an image could otherwise take the place of a stream");
        assert_eq!(site("same-site", "no-cors", "script"), 403, "all ports of `localhost` are one site");
        let post = [
            ("host", "127.0.0.1"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert!(check(&request("POST", "/api/v1/try", &post), &[], false).is_err(), "a form");
    }

    #[test]
    fn a_long_head_is_refused_with_a_text() {
        let long = "a".repeat(MAX_HEAD_BYTES);
        assert_eq!(status(&[("host", "127.0.0.1"), ("cookie", &long)]), 431);
        assert!(check(&request("GET", &format!("/{long}"), &[]), &[], true).is_err(), "also on the control socket");
        assert_eq!(status(&[("host", "127.0.0.1"), ("cookie", &"a".repeat(15 << 10))]), 200);
    }
}
