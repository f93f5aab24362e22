//! The options of a connection as written, and their check.

use std::path::PathBuf;

use async_nats::ServerAddr;
use schemars::JsonSchema;
use serde::Deserialize;
use wattle_options::{OptionErrors, Secret};
use wattle_tls::{ClientOptions, TlsOptions};

use crate::auth::Identity;
use crate::connection::Connection;

/// Credentials for the servers, of one kind.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuthOptions {
    /// Name of the user. Requires `password`. Default: none.
    pub user: Option<String>,
    /// Password of the user. Use a variable, such as `${NATS_PASSWORD}`. Default: none.
    pub password: Option<Secret>,
    /// Token. Use a variable, such as `${NATS_TOKEN}`. Default: none.
    pub token: Option<Secret>,
    /// File with the seed of an nkey, which begins with `SU`. Default: none.
    pub nkey_file: Option<PathBuf>,
    /// File with a JWT and the seed of its nkey, as `nsc generate creds` writes it. Default: none.
    pub credentials_file: Option<PathBuf>,
}

impl AuthOptions {
    /// The files that the options name.
    pub fn files(&self) -> Vec<PathBuf> {
        let files = [&self.nkey_file, &self.credentials_file].into_iter().flatten();
        files.filter(|file| !file.as_os_str().is_empty()).cloned().collect()
    }

    fn check(&self, errors: &mut OptionErrors) -> Option<Identity> {
        let Self { user, password, token, nkey_file, credentials_file } = self;
        let user = match (user, password) {
            (Some(user), Some(password)) => {
                Some(("auth.user", Identity::User { user: user.clone(), password: password.clone() }))
            }
            (Some(_), None) => {
                errors.add("auth.password", "is missing; set it, or remove `auth.user`");
                return None;
            }
            (None, Some(_)) => {
                errors.add("auth.user", "is missing; set it, or remove `auth.password`");
                return None;
            }
            (None, None) => None,
        };
        let token = token.as_ref().map(|token| ("auth.token", Identity::Token(token.clone())));
        let nkey = nkey_file.as_ref().map(|path| ("auth.nkey_file", Identity::Nkey(path.clone())));
        let credentials = credentials_file.as_ref();
        let credentials = credentials.map(|path| ("auth.credentials_file", Identity::Credentials(path.clone())));
        let mut given: Vec<_> = [user, token, nkey, credentials].into_iter().flatten().collect();
        let Some((option, identity)) = given.pop() else { return Some(Identity::None) };
        if let Some((other, _)) = given.first() {
            errors.add(option, format!("cannot be combined with `{other}`; remove one of the two"));
            return None;
        }
        let is_empty = match &identity {
            Identity::User { user, password } => user.is_empty() || password.reveal().is_empty(),
            Identity::Token(token) => token.reveal().is_empty(),
            _ => false,
        };
        if is_empty {
            errors.add(option, "must not be empty, and neither must the password");
        }
        // What the file has is read again for each connection.
        if identity.file().is_some()
            && let Err(error) = identity.read()
        {
            errors.add(option, error);
        }
        Some(identity)
    }
}

/// The options of a connection, by reference into those of a source or sink.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionOptions<'o> {
    /// Addresses of servers, separated by commas.
    pub url: &'o str,
    /// Name of the connection.
    pub connection_name: Option<&'o str>,
    /// Credentials.
    pub auth: &'o AuthOptions,
    /// TLS; `None` unless a server or its address asks for it.
    pub tls: Option<&'o TlsOptions>,
}

impl ConnectionOptions<'_> {
    /// Checks the options and reads the files that they name. Adds an error for each wrong one.
    pub fn check(&self, errors: &mut OptionErrors) -> Option<Connection> {
        let before = errors.count();
        let servers: Vec<ServerAddr> = self.url.split(',').filter_map(|url| server(url.trim(), errors)).collect();
        let identity = self.auth.check(errors);
        let is_required = self.tls.is_some();
        let default = TlsOptions::default();
        let tls = check_tls(
            self.tls.unwrap_or(&default),
            is_required || servers.iter().any(ServerAddr::tls_required),
            errors,
        );
        let name = self.connection_name.unwrap_or("wattle").to_owned();
        if name.is_empty() {
            errors.add("connection_name", "must not be empty");
        }
        let (identity, tls) = (identity?, tls?);
        (errors.count() == before).then_some(Connection { servers, name, identity, tls, is_required })
    }
}

/// Reads the address of a server.
fn server(url: &str, errors: &mut OptionErrors) -> Option<ServerAddr> {
    let wrong = |errors: &mut OptionErrors, what: &str| {
        errors.add("url", what);
        None
    };
    // The error must not show a password in the address.
    let shown = url.rsplit_once('@').map_or(url, |(_, host)| host);
    let bad = format!(
        "`{shown}` is not the address of a server; write `nats://HOST:4222` or `tls://HOST:4222`, and commas between several"
    );
    let Ok(server) = url.parse::<ServerAddr>() else { return wrong(errors, &bad) };
    if server.has_user_pass() || server.password().is_some() {
        return wrong(errors, "must not contain credentials; set `auth.user` and `auth.password`, or `auth.token`");
    }
    let path = server.as_url_str().trim_end_matches('/').rsplit_once("://").map_or("", |(_, rest)| rest);
    let is_bad = server.host().is_empty() || path.contains(['/', '?', '#']) || url.contains(char::is_whitespace);
    if !matches!(server.scheme(), "nats" | "tls") || is_bad {
        return wrong(errors, &bad);
    }
    Some(server)
}

/// Checks the options of TLS and reads their files.
fn check_tls(options: &TlsOptions, used: bool, errors: &mut OptionErrors) -> Option<ClientOptions> {
    let before = errors.count();
    let tls = options.check(errors);
    if errors.count() == before
        && let Err(error) = wattle_tls::client_config(&tls, used)
    {
        errors.add(error.option().unwrap_or("tls"), error.to_string());
    }
    (errors.count() == before).then_some(tls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn errors(url: &str, auth: Value, tls: Value) -> Vec<(String, String)> {
        #[derive(Deserialize)]
        struct Both {
            auth: AuthOptions,
            tls: Option<TlsOptions>,
        }
        let options = json!({ "auth": auth, "tls": tls });
        let result = wattle_options::read(&options, |Both { auth, tls }, errors| {
            ConnectionOptions { url, connection_name: None, auth: &auth, tls: tls.as_ref() }.check(errors)
        });
        result.err().unwrap_or_default().into_iter().map(|error| (error.path.clone(), error.to_string())).collect()
    }

    #[test]
    fn addresses_name_servers_without_credentials() {
        for good in ["nats://a:4222", "a", "10.0.0.1:1, [::1]:2", "nats://a/", "nats://a:1,nats://b:2"] {
            assert_eq!(errors(good, json!({}), Value::Null), [], "{good}");
        }
        for bad in ["", "nats://", "ws://a", "http://a", "nats://a/b", "nats://a:x", "a b", "nats://a,", "nats://a?b"] {
            let found = errors(bad, json!({}), Value::Null);
            assert!(!found.is_empty() && found.iter().all(|(option, _)| option == "url"), "{bad}: {found:?}");
        }
        for secret in ["nats://u:geheim@a", "nats://geheim@a:1", "nats://u:geheim@:x"] {
            let found = errors(secret, json!({}), Value::Null);
            assert!(found.len() == 1 && !found[0].1.contains("geheim"), "{found:?}");
        }
    }

    #[test]
    fn credentials_are_of_one_kind_and_complete() {
        let check = |auth: Value, tls: Value, option: &str, part: &str| {
            let found = errors("a:1", auth, tls);
            assert!(found.len() == 1 && found[0].0 == option && found[0].1.contains(part), "{found:?}");
        };
        check(json!({ "user": "u" }), Value::Null, "auth.password", "missing");
        check(json!({ "password": "p" }), Value::Null, "auth.user", "missing");
        check(json!({ "user": "u", "password": "" }), Value::Null, "auth.user", "empty");
        check(json!({ "token": "" }), Value::Null, "auth.token", "empty");
        check(json!({ "token": "t", "user": "u", "password": "p" }), Value::Null, "auth.token", "`auth.user`");
        check(json!({ "nkey_file": "/missing/seed" }), Value::Null, "auth.nkey_file", "cannot read");
        check(json!({ "credentials_file": "/missing/a.creds" }), Value::Null, "auth.credentials_file", "cannot read");
        check(json!({}), json!({ "crt_file": "a" }), "tls.crt_file", "`tls.key_file`");
        check(json!({}), json!({ "ca_file": "/missing/ca.pem" }), "tls.ca_file", "cannot read");
        assert_eq!(errors("a:1", json!({ "user": "u", "password": "p" }), json!({ "verify": false })), []);
    }
}
