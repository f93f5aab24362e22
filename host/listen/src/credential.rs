//! Credentials that requests must have.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use subtle::ConstantTimeEq;
use wattle_options::{OptionErrors, Secret};

/// A header that a request must have.
#[derive(Clone, Debug)]
pub struct Credential {
    header: HeaderName,
    /// What the value begins with; compared without case. Empty for headers with the bare secret.
    scheme: &'static str,
    secret: Secret,
}

impl Credential {
    /// A bearer token, from the option `path`.
    pub fn bearer(path: &str, token: &Secret, errors: &mut OptionErrors) -> Option<Self> {
        is_usable(path, token, errors).then(|| Self { header: AUTHORIZATION, scheme: "bearer ", secret: token.clone() })
    }

    /// User and password.
    pub fn basic(user: &str, password: &Secret, errors: &mut OptionErrors) -> Option<Self> {
        if user.is_empty() || user.contains(':') {
            errors.add("auth.user", "must not be empty and must not contain a colon");
            return None;
        }
        // RFC 7617, section 2.
        let pair = BASE64_STANDARD.encode(format!("{user}:{}", password.reveal()));
        Some(Self { header: AUTHORIZATION, scheme: "basic ", secret: Secret::new(pair) })
    }

    /// A key in a separate header, from the options `path.name` and `path.value`.
    pub fn header(name: &str, path: &str, value: Secret, errors: &mut OptionErrors) -> Option<Self> {
        let Ok(header) = HeaderName::try_from(name) else {
            errors.add(
                &format!("{path}.name"),
                format!("`{name}` is not the name of a header; write it like `x-api-key`"),
            );
            return None;
        };
        is_usable(&format!("{path}.value"), &value, errors).then(|| Self { header, scheme: "", secret: value })
    }

    /// The bare secret in a header of the protocol, from the option `path`.
    pub fn in_header(header: HeaderName, path: &str, key: Secret, errors: &mut OptionErrors) -> Option<Self> {
        is_usable(path, &key, errors).then(|| Self { header, scheme: "", secret: key })
    }

    /// An API key of Elasticsearch in base64, from the option `path`.
    pub fn api_key(path: &str, key: Secret, errors: &mut OptionErrors) -> Option<Self> {
        is_usable(path, &key, errors).then(|| Self { header: AUTHORIZATION, scheme: "apikey ", secret: key })
    }

    /// Whether a request has the credential. The time does not depend on how much of it is right.
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(&self.header).map_or(&b""[..], |value| value.as_bytes());
        let given = given.split_at_checked(self.scheme.len());
        let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(self.scheme.as_bytes()));
        given.is_some_and(|(_, given)| bool::from(given.ct_eq(self.secret.reveal().as_bytes())))
    }

    /// The value of `WWW-Authenticate` for a request without it; `None` where the header is not one of HTTP itself.
    pub fn challenge(&self) -> Option<&'static str> {
        match self.scheme {
            "bearer " => Some("Bearer"),
            "basic " => Some("Basic realm=\"wattle\", charset=\"UTF-8\""),
            "apikey " => Some("ApiKey"),
            _ => None,
        }
    }

    /// What a request lacks, for its response.
    pub fn what(&self) -> String {
        match self.scheme {
            "bearer " => "the bearer token is missing or wrong".to_owned(),
            "basic " => "the user or the password is missing or wrong".to_owned(),
            "apikey " => "the API key is missing or wrong".to_owned(),
            _ => format!("the key in the header `{}` is missing or wrong", self.header),
        }
    }
}

/// Credentials of requests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "strategy", rename_all = "lowercase", deny_unknown_fields)]
pub enum AuthOptions {
    /// User and password, in the header `Authorization`.
    Basic {
        /// Name of the user, without a colon.
        user: String,
        /// Password of the user. Use a variable, such as `${PASSWORD}`.
        password: Secret,
    },
    /// A token, in the header `Authorization`.
    Bearer {
        /// The token. Use a variable, such as `${TOKEN}`.
        token: Secret,
    },
    /// A key in a separate header, such as that of an API destination of EventBridge.
    Header {
        /// Name of the header, such as `x-api-key`.
        name: String,
        /// Value of the header. Use a variable, such as `${API_KEY}`.
        value: Secret,
    },
}

impl AuthOptions {
    /// Checks the option `auth`.
    pub fn check(self, errors: &mut OptionErrors) -> Option<Credential> {
        match self {
            Self::Basic { user, password } => Credential::basic(&user, &password, errors),
            Self::Bearer { token } => Credential::bearer("auth.token", &token, errors),
            Self::Header { name, value } => Credential::header(&name, "auth", value, errors),
        }
    }
}

fn is_usable(path: &str, secret: &Secret, errors: &mut OptionErrors) -> bool {
    match check_secret(secret) {
        Ok(()) => true,
        Err(problem) => {
            errors.add(path, problem);
            false
        }
    }
}

/// Checks a secret that clients send in a header.
///
/// # Errors
///
/// The problem, if no request can have it.
pub fn check_secret(secret: &Secret) -> Result<(), &'static str> {
    match secret.reveal() {
        "" => Err("is empty; leave the option out to accept every request"),
        text if HeaderValue::from_str(text).is_err() || text.trim() != text => {
            Err("contains characters that a header cannot carry, such as a line break at its end; remove them")
        }
        _ => Ok(()),
    }
}
