//! Texts of servers without the secrets that a request had: a server, or a proxy before it, may repeat them in an error.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::Request;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Shorter values, such as `100`, hide nothing, and would leave holes in texts.
const MIN_SECRET: usize = 6;

/// What encoders leave as it is in a query: the unreserved characters of RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text with `***` for each secret, also where a secret is percent-encoded. Secrets of less than [`MIN_SECRET`] bytes stay.
pub fn redact<'s>(text: &str, secrets: impl IntoIterator<Item = &'s str>) -> String {
    let mut text = text.to_owned();
    for secret in secrets.into_iter().filter(|secret| secret.len() >= MIN_SECRET) {
        text = text.replace(secret, "***");
        let encoded = utf8_percent_encode(secret, ESCAPED).to_string();
        if encoded != secret {
            text = text.replace(&encoded, "***");
        }
    }
    text
}

/// The secrets of a request: the values of its sensitive headers, also without their scheme and decoded, and the values
/// in its query. The longest are first, so that none hides a part of another.
pub(crate) fn secrets(request: &Request<Bytes>) -> Vec<String> {
    let mut secrets: Vec<String> = Vec::new();
    let headers = request.headers().values().filter(|value| value.is_sensitive());
    for value in headers.filter_map(|value| value.to_str().ok()) {
        secrets.push(value.to_owned());
        // `Bearer TOKEN`, `Splunk TOKEN`, `ApiKey KEY`, or `Basic` with user and password in base64.
        let Some((_, credential)) = value.split_once(' ') else { continue };
        secrets.push(credential.to_owned());
        let decoded = BASE64_STANDARD.decode(credential).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some((_, password)) = decoded.as_deref().and_then(|pair| pair.split_once(':')) {
            secrets.push(password.to_owned());
        }
    }
    let pairs = request.uri().query().into_iter().flat_map(|query| query.split('&'));
    for (_, value) in pairs.filter_map(|pair| pair.split_once('=')) {
        secrets.push(percent_decode_str(value).decode_utf8_lossy().into_owned());
        secrets.push(value.to_owned());
    }
    secrets.retain(|secret| secret.len() >= MIN_SECRET);
    secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.dedup();
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{AUTHORIZATION, HeaderValue};

    fn sensitive(text: &str) -> HeaderValue {
        let mut value = HeaderValue::from_str(text).unwrap();
        value.set_sensitive(true);
        value
    }

    #[test]
    fn secrets_of_a_request_are_hidden_in_all_their_forms() {
        let basic = BASE64_STANDARD.encode("me:geheim-42");
        let request = Request::post("http://h/in?sig=a%2Bb%2Fc1234&v=2&name=sinks-1")
            .header(AUTHORIZATION, sensitive(&format!("Basic {basic}")))
            .header("x-api-key", sensitive("KEY 4711-0815"))
            .header("content-type", "application/json")
            .body(Bytes::new())
            .unwrap();
        let secrets = secrets(&request);
        let said = format!(
            "no {basic} nor geheim-42, 'KEY 4711-0815', 4711-0815, a+b/c1234 or a%2Bb%2Fc1234 in application/json of v=2"
        );
        let expected = "no *** nor ***, '***', ***, *** or *** in application/json of v=2";
        assert_eq!(redact(&said, secrets.iter().map(String::as_str)), expected);
    }

    #[test]
    fn short_values_stay() {
        assert_eq!(redact("100 of 100 in us-east", ["100", "us"]), "100 of 100 in us-east");
    }
}
