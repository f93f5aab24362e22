//! Finds the address of the next page, which must be at the same server.

use hyper::Uri;
use hyper::header::{HeaderMap, LINK};
use wattle_http_client::place;

/// Longest address of a page, and longest cursor, in bytes. Both are saved.
pub(super) const MAX_BYTES: usize = 16 << 10;

/// Why an address cannot be used. The texts do not contain it, as it may contain a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LinkError {
    #[error("the address of the next page is not valid")]
    Invalid,
    #[error("the address of the next page has more than {MAX_BYTES} bytes")]
    TooLong,
    #[error(
        "the next page is at another server than `endpoint`, which must not get the credentials; set `endpoint` to the \
         scheme, host and port that the API writes into its links"
    )]
    OtherServer,
}

/// The target of the first link with `rel="next"` in the headers (RFC 8288).
pub(super) fn next(headers: &HeaderMap) -> Option<String> {
    headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok()).find_map(next_of)
}

fn next_of(value: &str) -> Option<String> {
    let mut rest = value;
    loop {
        // Targets contain commas and semicolons, but no angle brackets.
        let (_, after) = rest.split_once('<')?;
        let (target, after) = after.split_once('>')?;
        let mut is_next = false;
        rest = after;
        while let Some(after) = rest.trim_start().strip_prefix(';') {
            let (name, value, after) = parameter(after);
            let mut relations = value.split_ascii_whitespace();
            is_next |= name.eq_ignore_ascii_case("rel") && relations.any(|one| one.eq_ignore_ascii_case("next"));
            rest = after;
        }
        if is_next {
            return Some(target.trim().to_owned());
        }
    }
}

/// Reads `name=value` or `name="value"`; returns name, value and the rest.
fn parameter(text: &str) -> (&str, &str, &str) {
    let end = text.find(['=', ';', ',']).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    let name = name.trim();
    let Some(value) = rest.strip_prefix('=') else { return (name, "", rest) };
    let value = value.trim_start();
    if let Some(quoted) = value.strip_prefix('"') {
        let (value, rest) = quoted.split_once('"').unwrap_or((quoted, ""));
        return (name, value, rest);
    }
    let end = value.find([';', ',']).unwrap_or(value.len());
    let (value, rest) = value.split_at_checked(end).unwrap_or((value, ""));
    (name, value.trim(), rest)
}

/// The address of a page, from a text in the response to `from`.
///
/// # Errors
///
/// It is not an address, or not one at the same server.
pub(super) fn resolve(text: &str, from: &Uri) -> Result<Uri, LinkError> {
    if text.len() > MAX_BYTES {
        return Err(LinkError::TooLong);
    }
    let text = text.split('#').next().unwrap_or_default();
    let scheme = from.scheme_str().unwrap_or_default();
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let is_absolute = text.split_once("://").is_some_and(|(scheme, _)| scheme.bytes().all(is_scheme));
    let path_and_query = if is_absolute || text.starts_with("//") {
        let whole = if text.starts_with("//") { format!("{scheme}:{text}") } else { text.to_owned() };
        let to: Uri = whole.parse().map_err(|_| LinkError::Invalid)?;
        let has_credentials = to.authority().is_some_and(|authority| authority.as_str().contains('@'));
        let ((host, port), (from_host, from_port)) = (place(&to), place(from));
        let is_same = to.scheme() == from.scheme() && host.eq_ignore_ascii_case(&from_host) && port == from_port;
        if !is_same || has_credentials {
            return Err(LinkError::OtherServer);
        }
        to.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string)
    } else if text.starts_with('/') {
        text.to_owned()
    } else if text.starts_with('?') {
        format!("{}{text}", from.path())
    } else if text.is_empty() {
        return Err(LinkError::Invalid);
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/{text}")
    };
    // The authority stays that of `endpoint`, whatever the text says.
    let mut parts = from.clone().into_parts();
    parts.path_and_query = Some(path_and_query.parse().map_err(|_| LinkError::Invalid)?);
    Uri::from_parts(parts).map_err(|_| LinkError::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_link_is_found_among_others() {
        for (values, expected) in [
            (&[r#"<https://h/a?page=2>; rel="next""#][..], Some("https://h/a?page=2")),
            (
                &[r#"<https://h/a,b;c>; rel=prev, <https://h/n>; title="x, <y>; rel"; rel="last next""#],
                Some("https://h/n"),
            ),
            (&[r#"</self>;rel=self"#, "</n>;\tREL = Next ; a"], Some("/n")),
            (&[r#"<a>; rel="nextish", <b>; title=next"#], None),
            (&["", "<", "<a", "<a>;", "<a>;rel", "<a>; rel=\"next"], Some("a")),
            (&[], None),
        ] {
            let headers: HeaderMap = values.iter().map(|value| (LINK, value.parse().unwrap())).collect();
            assert_eq!(next(&headers).as_deref(), expected, "{values:?}");
        }
    }

    #[test]
    fn a_page_at_another_server_is_refused() {
        let from = Uri::from_static("https://api.example.com/v1/logs?x=1");
        for (text, expected) in [
            ("https://api.example.com/v1/logs?after=a%2Fb#part", Ok("https://api.example.com/v1/logs?after=a%2Fb")),
            ("https://API.example.com:443/n", Ok("https://api.example.com/n")),
            ("https://api.example.com", Ok("https://api.example.com/")),
            ("//api.example.com/n", Ok("https://api.example.com/n")),
            ("/v2?y", Ok("https://api.example.com/v2?y")),
            ("?page=2", Ok("https://api.example.com/v1/logs?page=2")),
            ("more?page=2", Ok("https://api.example.com/v1/more?page=2")),
            ("/v2?u=http://other", Ok("https://api.example.com/v2?u=http://other")),
            ("v2?u=http://other", Ok("https://api.example.com/v1/v2?u=http://other")),
            ("http://api.example.com/n", Err(LinkError::OtherServer)),
            ("https://api.example.com:444/n", Err(LinkError::OtherServer)),
            ("https://api.example.com.evil.example/n", Err(LinkError::OtherServer)),
            ("https://api.example.com@evil.example/n", Err(LinkError::OtherServer)),
            ("https://user@api.example.com/n", Err(LinkError::OtherServer)),
            ("//evil.example/n", Err(LinkError::OtherServer)),
            ("ftp://api.example.com/n", Err(LinkError::OtherServer)),
            ("", Err(LinkError::Invalid)),
            ("/a b", Err(LinkError::Invalid)),
            ("https://", Err(LinkError::Invalid)),
        ] {
            let found = resolve(text, &from).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), expected.as_ref().copied(), "{text}");
        }
        assert_eq!(resolve(&format!("/{}", "a".repeat(MAX_BYTES)), &from), Err(LinkError::TooLong));
    }
}
