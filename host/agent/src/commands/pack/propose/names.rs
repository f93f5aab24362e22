//! Names of fields whose values are secrets.
//!
//! The lists follow the scrubbers and detectors in use: the deny list of Sentry's SDKs, the scrubbing
//! rules of Datadog, and the rules of gitleaks and detect-secrets for generic keys and passwords.

use std::collections::BTreeSet;

/// Names that are always searched for, in any spelling: `api_key` is also `apiKey` and `API-Key`.
pub(super) const NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pass",
    "pin",
    "otp",
    "mfa_code",
    "secret",
    "client_secret",
    "secret_key",
    "private_key",
    "api_key",
    "api_secret",
    "access_key",
    "access_key_id",
    "account_key",
    "auth_key",
    "encryption_key",
    "master_key",
    "session_key",
    "shared_access_key",
    "signing_key",
    "ssh_key",
    "token",
    "access_token",
    "api_token",
    "auth_token",
    "bearer_token",
    "csrf_token",
    "id_token",
    "refresh_token",
    "session_token",
    "xsrf_token",
    "jwt",
    "authorization",
    "proxy_authorization",
    "credential",
    "credentials",
    "cookie",
    "set_cookie",
    "session_id",
    "jsessionid",
    "phpsessid",
    "signature",
    "sig",
    "x_amz_signature",
    "x_amz_credential",
    "connection_string",
    "dsn",
    "card",
    "card_number",
    "card_no",
    "credit_card",
    "credit_card_number",
    "cc_number",
    "pan",
    "cvv",
    "cvv2",
    "cvc",
    "ssn",
    "social_security_number",
    "iban",
    "account_number",
    "routing_number",
];

/// Words that make a longer name one of a secret, such as `db_password` and `stripeApiKey`.
const WORDS: &[&str] = &[
    "password",
    "passwords",
    "passwd",
    "passphrase",
    "passcode",
    "pass",
    "pwd",
    "secret",
    "secrets",
    "token",
    "credential",
    "credentials",
    "authorization",
    "cookie",
    "cookies",
    "jwt",
    "cvv",
    "cvc",
    "ssn",
    "iban",
    "otp",
    "apikey",
];

/// Two words that do the same together.
const PAIRS: &[&str] = &[
    "apikey",
    "accesskey",
    "accountkey",
    "appkey",
    "authkey",
    "clientkey",
    "consumerkey",
    "deploykey",
    "encryptionkey",
    "functionskey",
    "hmackey",
    "licensekey",
    "masterkey",
    "privatekey",
    "secretkey",
    "servicekey",
    "sessionkey",
    "sharedkey",
    "signingkey",
    "sshkey",
    "storagekey",
    "subscriptionkey",
    "sessionid",
    "cardnumber",
    "cardno",
    "creditcard",
    "ccnumber",
    "connectionstring",
];

/// Ends of names in lower case without separators, such as `userpassword`.
const ENDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "privatekey",
    "secretkey",
    "accesskey",
    "sessid",
    // Not `pass` alone, which also ends `compass` and `bypass`.
    "dbpass",
    "userpass",
    "rootpass",
    "adminpass",
    "smtppass",
    "mailpass",
    "ftppass",
];

/// Last words of names that describe a secret and do not hold it, such as `token_type`.
const DESCRIBES: &[&str] = &[
    "age",
    "alg",
    "algorithm",
    "arn",
    "at",
    "attempts",
    "changed",
    "console",
    "count",
    "created",
    "date",
    "enabled",
    "endpoint",
    "error",
    "expires",
    "expiration",
    "expiry",
    "failed",
    "file",
    "format",
    "length",
    "list",
    "limit",
    "max",
    "method",
    "min",
    "mode",
    "name",
    "path",
    "policy",
    "provider",
    "required",
    "reset",
    "result",
    "scheme",
    "size",
    "source",
    "state",
    "status",
    "success",
    "time",
    "to",
    "ttl",
    "type",
    "updated",
    "uri",
    "url",
    "usage",
    "used",
    "valid",
    "version",
];

/// Words before `token` in names of positions in a listing, which are not secret.
const POSITIONS: &[&str] = &["next", "page", "previous", "continuation", "cancellation", "sync", "marker", "resume"];

/// Maximum number of names of the sample.
const MAX_NAMES: usize = 500;
/// Maximum number of bytes of a name, which is also part of the name of a rule.
const MAX_NAME: usize = 56;

/// A name of the sample.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) text: String,
    /// Whether only this spelling is a secret: `pwd` is a password, and `PWD` the working folder.
    pub(super) is_exact: bool,
}

/// The names of secrets in texts that [`NAMES`] lacks.
pub(super) fn in_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Name> {
    let known: BTreeSet<String> = NAMES.iter().map(|name| plain(name)).collect();
    let mut found: BTreeSet<Name> = BTreeSet::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    for text in texts {
        for word in text.split(|c| !is_part(c)) {
            let word = word.trim_matches(['-', '.']);
            // No other spelling of a known name has an underscore at an edge, such as `_authToken` of npm.
            let is_edged = word.starts_with('_') || word.ends_with('_');
            let is_known = known.contains(&plain(word)) && !is_edged;
            if word.len() < 3 || word.len() > MAX_NAME || is_known || !is_secret(word) {
                continue;
            }
            if found.len() < MAX_NAMES && seen.insert(word) {
                found.insert(Name {
                    text: word.to_owned(),
                    is_exact: is_edged || words(word).contains(&"pwd".to_owned()),
                });
            }
        }
    }
    found.into_iter().collect()
}

/// Whether the values of a field with this name are secrets.
pub(super) fn is_secret(name: &str) -> bool {
    let words = words(name);
    let Some(last) = words.last() else { return false };
    if DESCRIBES.contains(&last.as_str()) || matches!(name, "PWD" | "OLDPWD") {
        return false;
    }
    // The id of a secret is not the secret, but that of a session is.
    let is_id =
        last == "id" && !NAMES.iter().any(|known| plain(name) == plain(known)) && !plain(name).ends_with("sessionid");
    if is_id {
        return false;
    }
    let is_position = words.iter().any(|word| POSITIONS.contains(&word.as_str()));
    let spelled = plain(name);
    NAMES.iter().any(|known| spelled == plain(known))
        || words.iter().any(|word| WORDS.contains(&word.as_str()) && !(is_position && word == "token"))
        || words.windows(2).any(|pair| PAIRS.contains(&pair.concat().as_str()))
        || !is_position && ENDS.iter().any(|end| spelled.ends_with(end))
}

/// A name without case and separators.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The words of a name in lower case: `dbPassword` and `DB_PASSWORD` have two.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        let begins = !c.is_ascii_alphanumeric() || c.is_ascii_uppercase() && before.is_ascii_lowercase();
        if begins && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if c.is_ascii_alphanumeric() {
            words.last_mut().into_iter().for_each(|word| word.push(c.to_ascii_lowercase()));
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_in_every_spelling() {
        for name in [
            "password",
            "Password",
            "DB_PASSWORD",
            "dbPassword",
            "userpassword",
            "pwd",
            "DB_PWD",
            "api_key",
            "apiKey",
            "X-Api-Key",
            "stripeApiKey",
            "client-secret",
            "aws.secretAccessKey",
            "csrfmiddlewaretoken",
            "Set-Cookie",
            "card",
            "cardNumber",
            "CVV",
            "PHPSESSID",
            "private_key_pem",
            "password_hash",
            "DB_PASS",
            "dbPass",
            "POSTGRES_PASS",
            "smtp_pass",
            "smtp-pass",
            "pass",
            "passwd",
            "passphrase",
            "keyPassphrase",
            "dbpass",
            "app_secret",
            "slack_bot_token",
            "AWS_ACCESS_KEY",
            "secretKeyBase",
            "Ocp-Apim-Subscription-Key",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "key",
            "user",
            "token_type",
            "tokenExpiresAt",
            "password_changed",
            "nextToken",
            "next_page_token",
            "tokens",
            "max_tokens",
            "PWD",
            "OLDPWD",
            "discard",
            "company",
            "secretArn",
            "secretId",
            "credentialsIssuedTo",
            "keyboard",
            "compass",
            "bypass",
            "bypassRules",
            "passenger",
            "passenger_name",
            "pass_count",
            "passed",
            "passive",
            "trespass",
            "primary_key",
            "",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn names_of_the_sample_are_those_that_the_list_lacks() {
        let found = in_texts(["{\"db_password\":\"a\",\"Api-Key\":1}", "GET /?userpassword=x&user_pwd=y PWD=/root"]);
        let name = |text: &str, is_exact| Name { text: text.to_owned(), is_exact };
        assert_eq!(in_texts(["//npm.example/:_authToken=x authToken=y"]), [name("_authToken", true)]);
        assert_eq!(found, [name("db_password", false), name("user_pwd", true), name("userpassword", false)]);
    }
}
