//! The options of a connection as written, and their check.

use schemars::JsonSchema;
use serde::Deserialize;
use wattle_options::{Flag, OptionErrors, Secret};
use wattle_tls::{ClientOptions, TlsOptions};

use crate::connection::{Connection, Sasl};

/// Maximum length of the name of a topic.
pub(crate) const MAX_TOPIC_BYTES: usize = 249;

/// Credentials for the brokers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SaslOptions {
    /// Whether to authenticate. Default: true if `username` is set, otherwise false.
    pub enabled: Option<Flag>,
    /// How the password is sent: `PLAIN`, which needs `tls` to keep it secret, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    /// Default: `PLAIN`.
    pub mechanism: Mechanism,
    /// Name of the user. Default: none.
    pub username: Option<String>,
    /// Password of the user. Use a variable, such as `${KAFKA_PASSWORD}`. Default: none.
    pub password: Option<Secret>,
}

/// How the password is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Mechanism {
    /// As it is.
    #[default]
    #[serde(rename = "PLAIN")]
    Plain,
    /// As an answer to a challenge, with SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// As an answer to a challenge, with SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

/// The options of a connection, by reference into those of a source or sink.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionOptions<'o> {
    /// Addresses of brokers, separated by commas.
    pub bootstrap_servers: &'o str,
    /// Credentials.
    pub sasl: &'o SaslOptions,
    /// TLS; `None` without it.
    pub tls: Option<&'o TlsOptions>,
}

impl ConnectionOptions<'_> {
    /// Checks the options and reads the files that they name. Adds an error for each wrong one.
    pub fn check(&self, errors: &mut OptionErrors) -> Option<Connection> {
        let before = errors.count();
        self.check_servers(errors);
        let sasl = self.check_sasl(errors);
        let tls = self.tls.and_then(|tls| check_tls(tls, errors));
        let bootstrap_servers = self.bootstrap_servers.to_owned();
        (errors.count() == before).then_some(Connection { bootstrap_servers, sasl, tls })
    }

    fn check_servers(&self, errors: &mut OptionErrors) {
        for server in self.bootstrap_servers.split(',').map(str::trim) {
            let port =
                server.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
            if !matches!(port, Some(Ok(1..))) || server.contains("://") || server.contains(char::is_whitespace) {
                let what =
                    format!("`{server}` is not a host name and a port; write brokers as `kafka-1:9092,kafka-2:9092`");
                return errors.add("bootstrap_servers", what);
            }
        }
    }

    fn check_sasl(&self, errors: &mut OptionErrors) -> Option<Sasl> {
        let SaslOptions { enabled, mechanism, username, password } = self.sasl;
        if !enabled.map_or(username.is_some(), |enabled| enabled.0) {
            return None;
        }
        match (username, password) {
            (Some(username), Some(password)) if !username.is_empty() && !password.reveal().is_empty() => {
                Some(Sasl { mechanism: *mechanism, username: username.clone(), password: password.clone() })
            }
            (username, _) => {
                let is_name = username.as_deref().is_none_or(str::is_empty);
                let option = if is_name { "sasl.username" } else { "sasl.password" };
                errors.add(option, "is missing or empty; set user and password");
                None
            }
        }
    }
}

/// Checks the options of TLS and reads their files.
fn check_tls(options: &TlsOptions, errors: &mut OptionErrors) -> Option<ClientOptions> {
    let before = errors.count();
    let tls = options.check(errors);
    let files = [("tls.ca_file", &tls.ca_file), ("tls.crt_file", &tls.crt_file), ("tls.key_file", &tls.key_file)];
    for (option, file) in files {
        // The client takes paths as text.
        if file.as_deref().is_some_and(|file| file.to_str().is_none()) {
            errors.add(option, "must be valid UTF-8");
        }
    }
    if errors.count() == before
        && let Err(error) = wattle_tls::client_config(&tls, true)
    {
        errors.add(error.option().unwrap_or("tls"), error.to_string());
    }
    (errors.count() == before).then_some(tls)
}

/// Whether the name of a topic can have this character.
pub fn is_topic_char(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-')
}

/// Checks the name of a topic.
///
/// # Errors
///
/// What is wrong with it, as a sentence after the name of the option.
pub fn check_topic(name: &str) -> Result<(), String> {
    if name.starts_with('^') {
        return Err(format!("`{name}` is a pattern; list the topics by their names"));
    }
    let is_name = !name.is_empty() && name.len() <= MAX_TOPIC_BYTES && name.chars().all(is_topic_char);
    if !is_name || matches!(name, "." | "..") {
        return Err(format!(
            "`{name}` is not the name of a topic: 1 to {MAX_TOPIC_BYTES} letters, digits, `.`, `_` and `-`"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn errors(servers: &str, sasl: Value, tls: Value) -> Vec<(String, String)> {
        #[derive(Deserialize)]
        struct Both {
            sasl: SaslOptions,
            tls: Option<TlsOptions>,
        }
        let options = json!({ "sasl": sasl, "tls": tls });
        let result = wattle_options::read(&options, |Both { sasl, tls }, errors| {
            ConnectionOptions { bootstrap_servers: servers, sasl: &sasl, tls: tls.as_ref() }.check(errors)
        });
        result.err().unwrap_or_default().into_iter().map(|error| (error.path.clone(), error.to_string())).collect()
    }

    #[test]
    fn addresses_of_brokers_have_a_host_and_a_port() {
        for good in ["a:9092", "a:9092, [::1]:9093", "10.0.0.1:1"] {
            assert_eq!(errors(good, json!({}), Value::Null), []);
        }
        for bad in ["", "a", "a:", ":9092", "a:0", "a:9092,", "kafka://a:9092", "a b:1", "a:70000"] {
            let found = errors(bad, json!({}), Value::Null);
            assert!(found.len() == 1 && found[0].0 == "bootstrap_servers", "{bad}: {found:?}");
        }
    }

    #[test]
    fn credentials_and_files_are_checked() {
        let check = |sasl: Value, tls: Value, option: &str, part: &str| {
            let found = errors("a:1", sasl, tls);
            assert!(found.len() == 1 && found[0].0 == option && found[0].1.contains(part), "{found:?}");
        };
        check(json!({ "enabled": true }), Value::Null, "sasl.username", "missing");
        check(json!({ "username": "u" }), Value::Null, "sasl.password", "missing");
        check(json!({ "mechanism": "NTLM" }), Value::Null, "sasl.mechanism", "`SCRAM-SHA-256`");
        check(json!({}), json!({ "crt_file": "a" }), "tls.crt_file", "`tls.key_file`");
        check(json!({}), json!({ "key_file": "a" }), "tls.key_file", "`tls.crt_file`");
        check(json!({}), json!({ "ca_file": "/missing/ca.pem" }), "tls.ca_file", "cannot read");
        assert_eq!(errors("a:1", json!({ "enabled": false, "username": "u" }), Value::Null), []);
        assert_eq!(errors("a:1", json!({ "username": "u", "password": "p" }), json!({ "verify": false })), []);
    }

    #[test]
    fn names_of_topics_are_those_that_kafka_takes() {
        for good in ["a", "a.b_c-D9", &"x".repeat(MAX_TOPIC_BYTES)] {
            assert_eq!(check_topic(good), Ok(()));
        }
        for bad in ["", ".", "..", "a b", "ä", "a/b", "^a.*", &"x".repeat(MAX_TOPIC_BYTES + 1)] {
            assert!(check_topic(bad).is_err(), "{bad}");
        }
    }
}
