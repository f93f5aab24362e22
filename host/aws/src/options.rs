//! The options that all sources and sinks of AWS services share.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use wattle_options::{Flag, Number, OptionErrors, Period, Secret};
use wattle_tls::{ClientOptions, TlsOptions, client_config};

use crate::credentials::{Auth, Imds, default_session};
use crate::endpoint;
use crate::http::Limits;
use crate::region::is_region;
use crate::session::SessionConfig;
use crate::sts::Role;

/// Region, endpoint and credentials. A source or sink has these options next to its own.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AwsOptions {
    /// The region, such as `eu-west-1`. Default: the variables `AWS_REGION` and `AWS_DEFAULT_REGION`, the profile, and
    /// the instance metadata; with `endpoint`, `us-east-1` instead of the metadata.
    pub region: Option<String>,
    /// Address of a server with the same protocol, such as `https://s3.example.com:9000`. Default: the variables
    /// `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL_SQS` and `AWS_ENDPOINT_URL`, then the endpoint of the region.
    pub endpoint: Option<String>,
    /// Whether the bucket is in the path of an address instead of the host name. Default: true with a custom endpoint,
    /// otherwise false.
    #[serde(alias = "force_path_style")]
    pub path_style: Option<Flag>,
    /// Whether to use the FIPS 140 endpoints of AWS. Default: the variable `AWS_USE_FIPS_ENDPOINT`, otherwise false.
    pub fips: Option<Flag>,
    /// Whether to use the endpoints of AWS that IPv6 reaches as well. Default: the variable
    /// `AWS_USE_DUALSTACK_ENDPOINT`, otherwise false.
    pub dual_stack: Option<Flag>,
    /// Time limit for a connection: name resolution, TCP, proxy and TLS. Default: `10s`.
    pub connect_timeout: Option<Period>,
    /// Time limit from a request to the first byte of its response. Default: `30s`.
    pub first_byte_timeout: Option<Period>,
    /// How long a request or response may pause. A slow transfer has no limit. Default: `30s`.
    pub idle_timeout: Option<Period>,
    /// Trusted servers, and the client certificate, for servers with certificates of your own authority. A changed file
    /// takes effect with the next reload. Default: the authorities in the file that the variable `AWS_CA_BUNDLE` names,
    /// otherwise those of the system.
    pub tls: TlsOptions,
    /// Credentials. Default: the first that is configured of the environment variables, the shared files (`AWS_PROFILE`),
    /// web identity (IRSA), the container (ECS, EKS Pod Identity), and the instance (IMDSv2).
    pub auth: AuthOptions,
}

/// Credentials. Without `access_key_id` and `profile`, the first that is configured: the environment variables, the
/// shared files (`AWS_PROFILE`), web identity (IRSA), the container (ECS, EKS Pod Identity), and the instance (IMDSv2).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuthOptions {
    /// Id of an access key. Requires `secret_access_key`. Use a variable, such as `${KEY_ID}`. Default: none.
    pub access_key_id: Option<Secret>,
    /// The access key. Use a variable, such as `${KEY}`. Default: none.
    pub secret_access_key: Option<Secret>,
    /// The token of temporary keys. Use a variable, such as `${TOKEN}`. Default: none.
    pub session_token: Option<Secret>,
    /// A profile of the shared files. Default: the variable `AWS_PROFILE`, otherwise `default`.
    pub profile: Option<String>,
    /// File with credentials in the format of `~/.aws/credentials`. The agent reads it again within 10 minutes after a
    /// change. Default: the variable `AWS_SHARED_CREDENTIALS_FILE`, otherwise `~/.aws/credentials`.
    pub credentials_file: Option<PathBuf>,
    /// ARN of a role to assume with the other credentials. Default: none.
    pub assume_role: Option<String>,
    /// The external id that the trust policy of the role requires. Default: none.
    pub external_id: Option<String>,
    /// Name of the session, which CloudTrail shows. Default: `wattle`.
    pub session_name: Option<String>,
    /// How long the credentials of the role are valid: `15m` to `12h`. Default: `1h`.
    pub session_duration: Option<Period>,
    /// Region of STS. Default: `region`.
    pub region: Option<String>,
    /// Whether the agent may run the program that `credential_process` of the profile names. Default: false.
    pub credential_process: Option<Flag>,
    /// Time limit for loading credentials. Default: `10s`.
    #[serde(alias = "load_timeout_secs")]
    pub load_timeout: Option<Period>,
    /// Requests to the metadata of the instance or container.
    pub imds: ImdsOptions,
}

/// Requests to the metadata of the instance or container.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ImdsOptions {
    /// Maximum number of attempts. Default: 4.
    pub max_attempts: Option<Number<usize>>,
    /// Time limit for a connection. Default: `1s`.
    #[serde(alias = "connect_timeout_seconds")]
    pub connect_timeout: Option<Period>,
    /// Time limit for a response. Default: `1s`.
    #[serde(alias = "read_timeout_seconds")]
    pub read_timeout: Option<Period>,
}

impl AwsOptions {
    /// Validates the options. `None` if there is an error.
    pub fn resolve(&self, errors: &mut OptionErrors) -> Option<SessionConfig> {
        let mut valid = true;
        let mut add = |path: &str, message: &str| {
            errors.add(path, message);
            valid = false;
        };
        let auth = &self.auth;
        for (path, region) in [("region", &self.region), ("auth.region", &auth.region)] {
            if region.as_ref().is_some_and(|region| !is_region(region)) {
                add(path, "is not the name of a region; write it like `eu-west-1`");
            }
        }
        if let Some(Err(problem)) = self.endpoint.as_deref().map(endpoint::check) {
            add("endpoint", problem);
        }
        if self.endpoint.is_some() {
            for (path, flag) in [("fips", self.fips), ("dual_stack", self.dual_stack)] {
                if flag.is_some_and(|flag| flag.0) {
                    add(path, "selects an endpoint of AWS; remove it or `endpoint`");
                }
            }
        }
        match (&auth.access_key_id, &auth.secret_access_key) {
            (Some(_), None) => add("auth.access_key_id", "requires `auth.secret_access_key`"),
            (None, Some(_)) => add("auth.secret_access_key", "requires `auth.access_key_id`"),
            (None, None) if auth.session_token.is_some() => add("auth.session_token", "requires `auth.access_key_id`"),
            (Some(_), Some(_)) if auth.profile.is_some() => add("auth.profile", "remove it or `auth.access_key_id`"),
            _ => {}
        }
        for (path, secret) in [
            ("auth.access_key_id", &auth.access_key_id),
            ("auth.secret_access_key", &auth.secret_access_key),
            ("auth.session_token", &auth.session_token),
        ] {
            if secret.as_ref().is_some_and(|secret| !is_secret(secret.reveal())) {
                add(path, "is empty or has characters that no key has, such as a space or a line break");
            }
        }
        if auth.profile.as_ref().is_some_and(String::is_empty) {
            add("auth.profile", "must not be empty");
        }
        match &auth.assume_role {
            Some(arn) if !arn.starts_with("arn:") || !arn.contains(":role/") => {
                add(
                    "auth.assume_role",
                    "is not the ARN of a role; write it like `arn:aws:iam::123456789012:role/logs`",
                );
            }
            Some(_) => {}
            None => {
                for (path, is_set) in [
                    ("auth.external_id", auth.external_id.is_some()),
                    ("auth.session_name", auth.session_name.is_some()),
                    ("auth.session_duration", auth.session_duration.is_some()),
                ] {
                    if is_set {
                        add(path, "requires `auth.assume_role`");
                    }
                }
            }
        }
        let is_session = |name: &str| {
            (2..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_=,.@-".contains(&b))
        };
        if auth.session_name.as_deref().is_some_and(|name| !is_session(name)) {
            add("auth.session_name", "must have 2 to 64 letters, digits or characters of `_=,.@-`");
        }
        let hours = Duration::from_mins(15)..=Duration::from_hours(12);
        if auth.session_duration.is_some_and(|duration| !hours.contains(&duration.0)) {
            add("auth.session_duration", "must be between `15m` and `12h`");
        }
        for (path, period) in [
            ("connect_timeout", self.connect_timeout),
            ("first_byte_timeout", self.first_byte_timeout),
            ("idle_timeout", self.idle_timeout),
            ("auth.load_timeout", auth.load_timeout),
            ("auth.imds.connect_timeout", auth.imds.connect_timeout),
            ("auth.imds.read_timeout", auth.imds.read_timeout),
        ] {
            if period.is_some_and(|period| period.0.is_zero()) {
                add(path, "must be longer than 0");
            }
        }
        if auth.imds.max_attempts.is_some_and(|attempts| attempts.0 == 0) {
            add("auth.imds.max_attempts", "must be at least 1");
        }
        let before = errors.count();
        let tls = self.tls.check(errors);
        // Authorities of the system are necessary only for connections.
        if errors.count() == before
            && let Err(error) = client_config(&tls, false)
        {
            errors.add(error.option().unwrap_or("tls"), error.to_string());
        }
        (valid && errors.count() == before).then(|| self.config(tls))
    }

    fn config(&self, tls: ClientOptions) -> SessionConfig {
        let (auth, default) = (&self.auth, SessionConfig::default());
        let imds = Imds::default();
        SessionConfig {
            region: self.region.clone(),
            queue_url: None,
            endpoint: self.endpoint.clone(),
            path_style: self.path_style.map(|flag| flag.0),
            fips: self.fips.map(|flag| flag.0).or(self.endpoint.is_some().then_some(false)),
            dual_stack: self.dual_stack.map(|flag| flag.0),
            auth: Auth {
                access_key_id: auth.access_key_id.clone(),
                secret_access_key: auth.secret_access_key.clone(),
                session_token: auth.session_token.clone(),
                profile: auth.profile.clone(),
                credentials_file: auth.credentials_file.clone(),
                role: auth.assume_role.as_ref().map(|arn| Role {
                    arn: arn.clone(),
                    session_name: auth.session_name.clone().unwrap_or_else(default_session),
                    external_id: auth.external_id.clone(),
                    duration: auth.session_duration.map(|duration| duration.0),
                }),
                allow_process: auth.credential_process.is_some_and(|flag| flag.0),
                imds: Imds {
                    max_attempts: auth.imds.max_attempts.map_or(imds.max_attempts, |number| number.0),
                    connect_timeout: auth.imds.connect_timeout.map_or(imds.connect_timeout, |period| period.0),
                    read_timeout: auth.imds.read_timeout.map_or(imds.read_timeout, |period| period.0),
                },
            },
            sts_region: auth.region.clone(),
            load_timeout: auth.load_timeout.map_or(default.load_timeout, |period| period.0),
            tls,
            limits: Limits {
                connect: self.connect_timeout.map_or(default.limits.connect, |period| period.0),
                first_byte: self.first_byte_timeout.map_or(default.limits.first_byte, |period| period.0),
                progress: self.idle_timeout.map_or(default.limits.progress, |period| period.0),
            },
            ..default
        }
    }
}

/// The files that the options name and a source or sink reads when it starts, without checking them.
pub fn files(options: &Value) -> Vec<PathBuf> {
    let tls = options.get("tls").and_then(|tls| TlsOptions::deserialize(tls).ok());
    tls.iter().flat_map(TlsOptions::files).collect()
}

fn is_secret(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(options: Value) -> Vec<String> {
        let read = wattle_options::read::<AwsOptions, _>(&options, |options, errors| options.resolve(errors));
        read.err().into_iter().flatten().map(|error| error.path).collect()
    }

    #[test]
    fn files_of_tls_are_read_when_options_are_checked() {
        assert_eq!(errors(json!({ "tls": { "crt_file": "/a" } })), ["tls.crt_file"]);
        assert_eq!(errors(json!({ "tls": { "ca_file": "/nonexistent" } })), ["tls.ca_file"]);
        let options = json!({ "tls": { "ca_file": "a", "crt_file": "b", "key_file": "c" } });
        assert_eq!(files(&options), ["a", "b", "c"].map(PathBuf::from));
    }

    #[test]
    fn options_as_vector_writes_them_are_valid() {
        let options = json!({"region": "eu-west-1", "endpoint": "http://127.0.0.1:9000", "force_path_style": true,
            "auth": {"assume_role": "arn:aws:iam::1:role/a/b", "external_id": "x", "session_name": "s-1",
            "load_timeout_secs": 5, "imds": {"max_attempts": 2, "connect_timeout_seconds": 1}}});
        let config =
            wattle_options::read::<AwsOptions, _>(&options, |options, errors| options.resolve(errors)).unwrap();
        assert_eq!((config.path_style, config.load_timeout), (Some(true), Duration::from_secs(5)));
        assert_eq!(config.auth.role.unwrap().external_id.as_deref(), Some("x"));
        assert_eq!(errors(json!({})), Vec::<String>::new());
    }

    #[test]
    fn every_wrong_option_is_reported() {
        let options = json!({"region": "EU West", "endpoint": "h:1", "fips": true, "idle_timeout": "0s", "auth": {"access_key_id": "a b",
            "external_id": "x", "session_name": "ä", "session_duration": "1m", "load_timeout": 0, "typo": 1}});
        let found = errors(options);
        for path in [
            "region",
            "endpoint",
            "fips",
            "idle_timeout",
            "auth.access_key_id",
            "auth.external_id",
            "auth.session_name",
            "auth.session_duration",
            "auth.load_timeout",
            "auth.typo",
        ] {
            assert!(found.iter().any(|found| found == path), "{path} in {found:?}");
        }
        assert_eq!(errors(json!({"auth": {"assume_role": "logs"}})), ["auth.assume_role"]);
    }

    #[test]
    fn every_option_states_its_default() {
        fn check(schema: &Value, path: &str) {
            let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
            for (name, option) in properties {
                let text = option.get("description").and_then(Value::as_str).unwrap_or_default();
                assert!(text.contains("Default: ") || option.get("properties").is_some(), "{path}{name}: {text}");
                check(option, &format!("{path}{name}."));
            }
        }
        let schema = wattle_options::schema_of::<AwsOptions>();
        assert!(schema.pointer("/properties/auth/properties/imds/properties/max_attempts").is_some(), "{schema}");
        check(&schema, "");
    }
}
