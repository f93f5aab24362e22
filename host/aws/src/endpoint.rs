//! Addresses of services: by region, FIPS and dual-stack, or custom.

use hyper::Uri;
use reqsign_core::Env;

/// A service with its own name in addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    CloudTrail,
    S3,
    Sqs,
    Sts,
}

impl Service {
    /// The name in addresses and signatures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CloudTrail => "cloudtrail",
            Self::S3 => "s3",
            Self::Sqs => "sqs",
            Self::Sts => "sts",
        }
    }

    /// The variable with a custom address for this service only.
    fn variable(self) -> &'static str {
        match self {
            Self::CloudTrail => "AWS_ENDPOINT_URL_CLOUDTRAIL",
            Self::S3 => "AWS_ENDPOINT_URL_S3",
            Self::Sqs => "AWS_ENDPOINT_URL_SQS",
            Self::Sts => "AWS_ENDPOINT_URL_STS",
        }
    }
}

/// Which variant of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Variant {
    pub(crate) fips: bool,
    pub(crate) dual_stack: bool,
}

/// The domains of the partition of a region: of classic addresses, and of dual-stack addresses of services other than S3.
fn domains(region: &str) -> (&'static str, &'static str) {
    for (prefix, domains) in [
        ("cn-", ("amazonaws.com.cn", "api.amazonwebservices.com.cn")),
        ("us-isob-", ("sc2s.sgov.gov", "api.aws.scloud")),
        ("us-isof-", ("csp.hci.ic.gov", "api.aws.hci.ic.gov")),
        ("us-iso-", ("c2s.ic.gov", "api.aws.ic.gov")),
        ("eu-isoe-", ("cloud.adc-e.uk", "api.cloud-aws.adc-e.uk")),
        ("eusc-", ("amazonaws.eu", "api.amazonwebservices.eu")),
    ] {
        if region.starts_with(prefix) {
            return domains;
        }
    }
    ("amazonaws.com", "api.aws")
}

/// The address of a service of AWS, without a slash at its end.
pub(crate) fn standard(service: Service, region: &str, variant: Variant) -> String {
    let (classic, dual_stack) = domains(region);
    let fips = if variant.fips { "-fips" } else { "" };
    let name = service.name();
    match (service, variant.dual_stack) {
        (Service::S3, true) => format!("https://s3{fips}.dualstack.{region}.{classic}"),
        (_, true) => format!("https://{name}{fips}.{region}.{dual_stack}"),
        (_, false) => format!("https://{name}{fips}.{region}.{classic}"),
    }
}

/// The address of the portal that exchanges SSO tokens for credentials, and of the service that refreshes the tokens.
pub(crate) fn sso(region: &str, env: &dyn Env) -> (String, String) {
    let (domain, _) = domains(region);
    let custom = |name: &str| env.var(name).filter(|address| !address.is_empty());
    let portal = custom("AWS_ENDPOINT_URL_SSO").unwrap_or_else(|| format!("https://portal.sso.{region}.{domain}"));
    let oidc = custom("AWS_ENDPOINT_URL_SSO_OIDC").unwrap_or_else(|| format!("https://oidc.{region}.{domain}"));
    (trimmed(&portal), trimmed(&oidc))
}

/// A custom address in the environment: for the service, or for all.
pub(crate) fn from_environment(service: Service, env: &dyn Env) -> Option<String> {
    if env.var("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|value| value == "true") {
        return None;
    }
    [service.variable(), "AWS_ENDPOINT_URL"]
        .into_iter()
        .find_map(|name| env.var(name).filter(|address| !address.trim().is_empty()))
        .map(|address| trimmed(&address))
}

/// The address without spaces around it and slashes at its end.
pub(crate) fn trimmed(address: &str) -> String {
    address.trim().trim_end_matches('/').to_owned()
}

/// Checks a custom address.
///
/// # Errors
///
/// A text that says what is wrong. It does not repeat the address, which may contain a password.
pub(crate) fn check(address: &str) -> Result<(), &'static str> {
    let uri: Uri =
        address.parse().map_err(|_| "is not a valid address; write it like `https://s3.example.com:9000`")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err("must begin with `http://` or `https://` and a host name");
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("must not contain a user and a password; use `auth`");
    }
    if uri.query().is_some() {
        return Err("must not contain a query");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqsign_core::StaticEnv;

    #[test]
    fn addresses_follow_partition_fips_and_dual_stack() {
        let none = Variant::default();
        let (fips, dual) = (Variant { fips: true, ..none }, Variant { dual_stack: true, ..none });
        let both = Variant { fips: true, dual_stack: true };
        for (service, region, variant, expected) in [
            (Service::S3, "eu-west-1", none, "https://s3.eu-west-1.amazonaws.com"),
            (Service::S3, "us-east-1", fips, "https://s3-fips.us-east-1.amazonaws.com"),
            (Service::S3, "us-east-1", both, "https://s3-fips.dualstack.us-east-1.amazonaws.com"),
            (Service::S3, "cn-north-1", dual, "https://s3.dualstack.cn-north-1.amazonaws.com.cn"),
            (Service::Sqs, "us-gov-west-1", none, "https://sqs.us-gov-west-1.amazonaws.com"),
            (Service::Sqs, "eu-west-1", dual, "https://sqs.eu-west-1.api.aws"),
            (Service::Sts, "us-east-1", fips, "https://sts-fips.us-east-1.amazonaws.com"),
            (Service::Sts, "us-isob-east-1", none, "https://sts.us-isob-east-1.sc2s.sgov.gov"),
        ] {
            assert_eq!(standard(service, region, variant), expected);
        }
    }

    #[test]
    fn the_variable_of_the_service_comes_first() {
        let mut env = StaticEnv::default();
        env.envs.insert("AWS_ENDPOINT_URL".to_owned(), "http://all:1/".to_owned());
        assert_eq!(from_environment(Service::Sqs, &env).as_deref(), Some("http://all:1"));
        env.envs.insert("AWS_ENDPOINT_URL_SQS".to_owned(), "http://sqs:1".to_owned());
        assert_eq!(from_environment(Service::Sqs, &env).as_deref(), Some("http://sqs:1"));
        assert_eq!(from_environment(Service::S3, &env).as_deref(), Some("http://all:1"));
        env.envs.insert("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS".to_owned(), "true".to_owned());
        assert_eq!(from_environment(Service::S3, &env), None);
    }

    #[test]
    fn a_custom_address_is_checked() {
        assert_eq!(check("http://127.0.0.1:9000"), Ok(()));
        assert_eq!(check("https://storage.example.com/base"), Ok(()));
        for address in ["", "s3.example.com", "ftp://h", "https://u:p@h", "https://h?x=1", "http://"] {
            assert!(check(address).is_err(), "{address}");
        }
    }
}
