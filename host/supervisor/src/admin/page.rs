//! The page at `/`: one document without external parts. `build.rs` makes it of the files in `page/`.
//!
//! The policy permits only the scripts and the style of this document, and requests to this agent. The scripts build
//! elements and never parse markup, so text of an event cannot become a part of the page.

use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, HeaderMap, HeaderValue,
    IF_NONE_MATCH, VARY,
};
use hyper::{Response, StatusCode};

use super::response::{Body, with_status};

const HTML: &str = "text/html; charset=utf-8";
const DOCUMENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/page.html"));
const COMPRESSED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/page.html.gz"));
const POLICY: &str = env!("WATTLE_PAGE_POLICY");
const TAG: &str = env!("WATTLE_PAGE_TAG");

/// The page, or 304 if the client has it.
pub(crate) fn page(request: &HeaderMap) -> Response<Body> {
    let lists = |name, wanted: &dyn Fn(&str) -> bool| {
        let values = request.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|item| wanted(item.trim()))
    };
    let is_known = lists(IF_NONE_MATCH, &|item| item.strip_prefix("W/").unwrap_or(item) == TAG);
    let takes_gzip = lists(ACCEPT_ENCODING, &takes_gzip);
    let mut response = match (is_known, takes_gzip) {
        (true, _) => with_status(StatusCode::NOT_MODIFIED, HTML, ""),
        (false, true) => with_status(StatusCode::OK, HTML, COMPRESSED),
        (false, false) => with_status(StatusCode::OK, HTML, DOCUMENT),
    };
    let headers = response.headers_mut();
    if takes_gzip && !is_known {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    // Another version of the agent has another page, so each visit asks.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(ETAG, HeaderValue::from_static(TAG));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    response
}

/// Whether an item of `accept-encoding` permits gzip.
fn takes_gzip(item: &str) -> bool {
    let (name, weight) = item.split_once(';').unwrap_or((item, ""));
    let refuses = weight.trim().strip_prefix("q=").and_then(|q| q.trim().parse().ok()).is_some_and(|q: f32| q <= 0.0);
    (name.trim().eq_ignore_ascii_case("gzip") || name.trim() == "*") && !refuses
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use hyper::header::HeaderName;
    use std::io::Read as _;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    async fn body(response: Response<Body>) -> Vec<u8> {
        response.into_body().collect().await.unwrap().to_bytes().to_vec()
    }

    #[tokio::test]
    async fn the_page_is_compressed_only_for_clients_that_take_it() {
        let plain = page(&headers(&[]));
        assert_eq!(plain.headers().get(CONTENT_ENCODING), None);
        let plain = body(plain).await;
        assert!(plain.starts_with(b"<!doctype html>"));
        for refuses in ["br", "gzip;q=0", "gzip; q=0.0, br"] {
            let response = page(&headers(&[(ACCEPT_ENCODING, refuses)]));
            assert_eq!(response.headers().get(CONTENT_ENCODING), None, "{refuses}");
        }
        let response = page(&headers(&[(ACCEPT_ENCODING, "br, GZIP;q=0.5")]));
        assert_eq!(response.headers().get(CONTENT_ENCODING).unwrap(), "gzip");
        let compressed = body(response).await;
        assert!(compressed.len() < 150 << 10, "{} bytes", compressed.len());
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&*compressed).read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == plain, "both are the same document");
    }

    #[tokio::test]
    async fn a_client_that_has_the_page_gets_no_body() {
        let tag = page(&headers(&[])).headers().get(ETAG).unwrap().clone();
        let known = HeaderMap::from_iter([(IF_NONE_MATCH, tag)]);
        let response = page(&known);
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert!(body(response).await.is_empty());
        assert_eq!(page(&headers(&[(IF_NONE_MATCH, "\"other\"")])).status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn the_page_has_nothing_that_its_policy_refuses() {
        let text = String::from_utf8(body(page(&headers(&[]))).await).unwrap();
        for refused in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", " style=\"", "src=\"", "eval("]
        {
            assert!(!text.contains(refused), "{refused}");
        }
        // No address of another server, but for the name of SVG.
        assert!(text.split("://").skip(1).all(|address| address.starts_with("www.w3.org")));
        assert_eq!((text.matches("<script").count(), text.matches("<style").count()), (2, 1));
    }
}
