//! The region of a session.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderValue;
use hyper::{Method, Request};
use reqsign_core::Env;

use crate::credentials::{Profiles, region_of_profile};
use crate::http::Http;

/// The region that servers other than AWS expect by default.
pub(crate) const DEFAULT: &str = "us-east-1";

/// Maximum bytes of a response of the instance metadata.
const MAX_BYTES: usize = 64 << 10;

/// Why there is no region.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no region is configured, and the instance metadata has none ({0}); set `region`, or the variable `AWS_REGION`, or \
     `region` in the profile"
)]
pub struct RegionError(String);

/// Finds the region: the option, the environment, the profile, `default`, and the instance metadata.
pub(crate) async fn find(
    option: Option<&str>,
    env: &dyn Env,
    profiles: &Profiles,
    profile: Option<&str>,
    default: Option<String>,
    metadata: &Http,
) -> Result<String, RegionError> {
    if let Some(region) = option {
        return Ok(region.to_owned());
    }
    let variable = |name: &str| env.var(name).filter(|value| !value.trim().is_empty());
    if let Some(region) = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")) {
        return Ok(region.trim().to_owned());
    }
    let name = profile.map(str::to_owned).or_else(|| variable("AWS_PROFILE")).unwrap_or_else(|| "default".to_owned());
    if let Some(region) = region_of_profile(profiles, &name) {
        return Ok(region);
    }
    if let Some(region) = default {
        return Ok(region);
    }
    if variable("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value == "true") {
        return Err(RegionError("`AWS_EC2_METADATA_DISABLED` is `true`".to_owned()));
    }
    of_instance(env, metadata).await.map_err(RegionError)
}

async fn of_instance(env: &dyn Env, http: &Http) -> Result<String, String> {
    let base = env.var("AWS_EC2_METADATA_SERVICE_ENDPOINT").filter(|address| !address.is_empty());
    let base = base.unwrap_or_else(|| "http://169.254.169.254".to_owned());
    let base = base.trim_end_matches('/');
    let mut token = Request::new(Bytes::new());
    *token.method_mut() = Method::PUT;
    *token.uri_mut() = format!("{base}/latest/api/token").parse().map_err(|_| "its address is not valid")?;
    token.headers_mut().insert("x-aws-ec2-metadata-token-ttl-seconds", HeaderValue::from_static("60"));
    let token = text(http, token).await?;
    let token = HeaderValue::try_from(token).map_err(|_| "its token is not valid")?;
    let mut region = Request::new(Bytes::new());
    *region.uri_mut() =
        format!("{base}/latest/meta-data/placement/region").parse().map_err(|_| "its address is not valid")?;
    region.headers_mut().insert("x-aws-ec2-metadata-token", token);
    let region = text(http, region).await?;
    if is_region(&region) { Ok(region) } else { Err("its response is not a region".to_owned()) }
}

async fn text(http: &Http, request: Request<Bytes>) -> Result<String, String> {
    let response = http.send(request, Duration::ZERO).await.map_err(|error| error.to_string())?;
    if !response.status.is_success() {
        return Err(format!("it responded with status {}", response.status.as_u16()));
    }
    let body = response.body.collect(MAX_BYTES).await.map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&body).trim().to_owned())
}

/// Whether a text can be the name of a region. It becomes a part of host names.
pub(crate) fn is_region(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// The region in the address of a queue, such as `https://sqs.eu-west-1.amazonaws.com/1/q`.
pub(crate) fn of_queue(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let host = rest.split('/').next()?.split(':').next()?;
    let mut labels = host.split('.');
    let service = labels.next()?;
    let region = match service {
        "sqs" | "sqs-fips" => labels.next()?,
        // An endpoint of a network: `vpce-ID.sqs.eu-west-1.vpce.amazonaws.com`.
        endpoint if endpoint.starts_with("vpce-") && labels.next() == Some("sqs") => labels.next()?,
        // The oldest form: `eu-west-1.queue.amazonaws.com`.
        other if labels.clone().next() == Some("queue") => other,
        _ => return None,
    };
    (host.contains("amazon") || host.contains("api.aws")).then_some(region).filter(|r| is_region(r)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_queue_has_its_region() {
        for (url, region) in [
            ("https://sqs.eu-west-1.amazonaws.com/123/q", Some("eu-west-1")),
            ("https://sqs-fips.us-gov-west-1.amazonaws.com/123/q", Some("us-gov-west-1")),
            ("https://sqs.cn-north-1.amazonaws.com.cn/123/q", Some("cn-north-1")),
            ("https://eu-west-1.queue.amazonaws.com/123/q", Some("eu-west-1")),
            ("https://sqs.eu-west-1.api.aws/123/q", Some("eu-west-1")),
            ("https://vpce-0a1-b2.sqs.eu-west-1.vpce.amazonaws.com/123/q", Some("eu-west-1")),
            ("https://vpce-0a1-b2.s3.eu-west-1.vpce.amazonaws.com/123/q", None),
            ("http://127.0.0.1:5555/123/q", None),
            ("http://sqs.example.com/123/q", None),
            ("q", None),
        ] {
            assert_eq!(of_queue(url).as_deref(), region, "{url}");
        }
    }

    #[test]
    fn a_region_is_safe_in_a_host_name() {
        assert!(is_region("eu-west-1"));
        for text in ["", "eu west", "a.b", "a/b", "EU", "-a", "a-"] {
            assert!(!is_region(text), "{text}");
        }
    }
}
