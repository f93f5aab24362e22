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

use hyper::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::http::uri::Authority;
use hyper::{Method, Request, StatusCode};

use super::super::response::Refusal;

/// Maximum size of the head of a request in bytes.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Requests from probes and from Prometheus, which use the names of their network. Nothing here shows an event.
const ANY_HOST: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

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
    let headers = request.headers();
    // HTTP/1.0 needs no `Host`, and browsers do not speak it.
    let host = match headers.get(HOST) {
        Some(host) => Some(check_host(host.to_str().unwrap_or_default(), allowed_hosts)?),
        None => None,
    };
    if let Some(origin) = headers.get(ORIGIN) {
        check_origin(origin.to_str().unwrap_or_default(), host.as_ref(), allowed_hosts)?;
    }
    check_site(request.method(), headers)
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

fn check_site(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    let get = |name: &'static str| headers.get(HeaderName::from_static(name)).and_then(|value| value.to_str().ok());
    let is_own = matches!(get("sec-fetch-site"), None | Some("same-origin" | "none"));
    // A link on another site may lead to the page; a frame may not.
    let is_link = || {
        method == Method::GET && get("sec-fetch-mode") == Some("navigate") && get("sec-fetch-dest") == Some("document")
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
        assert_eq!(status(&[]), 200, "HTTP/1.0");
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
        let site = |site, mode, dest| {
            let fetch =
                [("host", "127.0.0.1"), ("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
            status(&fetch)
        };
        assert_eq!(site("same-origin", "cors", "empty"), 200);
        assert_eq!(site("none", "navigate", "document"), 200);
        assert_eq!(site("cross-site", "navigate", "document"), 200);
        assert_eq!(site("cross-site", "navigate", "iframe"), 403);
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
