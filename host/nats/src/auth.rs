//! Credentials, as checked, and how a connection proves them.

use std::fmt;
use std::path::{Path, PathBuf};

use async_nats::{Auth, AuthError};
use nkeys::KeyPair;
use wattle_options::Secret;

/// Where the credentials are. Files are read for each connection.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    /// No credentials.
    None,
    /// A user with a password.
    User { user: String, password: Secret },
    /// A token.
    Token(Secret),
    /// A file with the seed of an nkey.
    Nkey(PathBuf),
    /// A file with a JWT and the seed of its nkey.
    Credentials(PathBuf),
}

/// Credentials that were read, for one connection.
pub(crate) enum Proof {
    /// Sent as they are.
    Plain(Auth),
    /// The key signs what the server sends.
    Signed { jwt: Option<String>, key: Box<KeyPair> },
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof")
    }
}

impl Identity {
    /// The file that has the credentials.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::Nkey(path) | Self::Credentials(path) => Some(path),
            _ => None,
        }
    }

    /// Reads the credentials.
    ///
    /// # Errors
    ///
    /// The file cannot be read or does not have what it must. The text names the file and nothing that is in it.
    pub(crate) fn read(&self) -> Result<Proof, String> {
        let mut auth = Auth::new();
        match self {
            Self::None => {}
            Self::User { user, password } => {
                auth.username = Some(user.clone());
                auth.password = Some(password.reveal().to_owned());
            }
            Self::Token(token) => auth.token = Some(token.reveal().to_owned()),
            Self::Nkey(path) => {
                let text = read(path)?;
                let key = key(&text, path)?;
                return Ok(Proof::Signed { jwt: None, key });
            }
            Self::Credentials(path) => {
                let text = read(path)?;
                let jwt = block(&text, "NATS USER JWT").ok_or_else(|| {
                    format!("`{}` has no `-----BEGIN NATS USER JWT-----`; write it with `nsc`", path.display())
                })?;
                let seed = block(&text, "USER NKEY SEED").ok_or_else(|| {
                    format!("`{}` has no `-----BEGIN USER NKEY SEED-----`; write it with `nsc`", path.display())
                })?;
                return Ok(Proof::Signed { jwt: Some(jwt.to_owned()), key: key(seed, path)? });
            }
        }
        Ok(Proof::Plain(auth))
    }
}

impl Proof {
    /// The answer to what a server sent.
    ///
    /// # Errors
    ///
    /// The key cannot sign.
    pub(crate) fn answer(&self, nonce: &[u8]) -> Result<Auth, AuthError> {
        match self {
            Self::Plain(auth) => Ok(auth.clone()),
            Self::Signed { jwt, key } => {
                let mut auth = Auth::new();
                auth.signature = Some(key.sign(nonce).map_err(AuthError::new)?);
                auth.nkey = jwt.is_none().then(|| key.public_key());
                auth.jwt.clone_from(jwt);
                Ok(auth)
            }
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}

/// The key of a seed, the first line that is not empty or a comment.
fn key(text: &str, path: &Path) -> Result<Box<KeyPair>, String> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let seed = lines.next().unwrap_or_default();
    // The error of the crate may quote the seed.
    KeyPair::from_seed(seed)
        .map(Box::new)
        .map_err(|_| format!("`{}` has no seed of an nkey, which begins with `SU`", path.display()))
}

/// The line in a block of a file of credentials.
fn block<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    // `nsc` writes five dashes before and six after the end of a block.
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| line.starts_with("---") && line.contains(&format!("BEGIN {name}")))?;
    lines.find(|line| !line.is_empty()).filter(|line| !line.starts_with("---"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn a_seed_signs_and_is_never_shown() {
        let pair = KeyPair::new_user();
        let seed = pair.seed().unwrap();
        let seed_file = file(&format!("# key of the agent\n{seed}\n"));
        let proof = Identity::Nkey(seed_file.path().to_owned()).read().unwrap();
        let auth = proof.answer(b"nonce").unwrap();
        assert_eq!((auth.nkey, auth.jwt), (Some(pair.public_key()), None));
        assert!(pair.verify(b"nonce", &auth.signature.unwrap()).is_ok());
        assert!(!format!("{proof:?}").contains(&seed));
        let credentials = file(&format!(
            "-----BEGIN NATS USER JWT-----\na.b.c\n------END NATS USER JWT------\n\nIMPORTANT\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        ));
        let auth = Identity::Credentials(credentials.path().to_owned()).read().unwrap().answer(b"n").unwrap();
        assert_eq!((auth.nkey, auth.jwt.as_deref()), (None, Some("a.b.c")));
        assert!(pair.verify(b"n", &auth.signature.unwrap()).is_ok());
    }

    #[test]
    fn an_error_names_the_file_and_nothing_in_it() {
        let check = |identity: fn(PathBuf) -> Identity, text: &str, part: &str| {
            let file = file(text);
            let error = identity(file.path().to_owned()).read().unwrap_err();
            assert!(error.contains(part) && error.contains(file.path().to_str().unwrap()), "{error}");
            assert!(!error.contains("SECRET"), "{error}");
        };
        check(Identity::Nkey, "SECRET", "no seed of an nkey");
        check(Identity::Nkey, "", "no seed of an nkey");
        check(Identity::Credentials, "SECRET", "BEGIN NATS USER JWT");
        let jwt = "-----BEGIN NATS USER JWT-----\nSECRET\n------END NATS USER JWT------\n";
        check(Identity::Credentials, jwt, "BEGIN USER NKEY SEED");
        check(Identity::Credentials, &format!("{jwt}-----BEGIN USER NKEY SEED-----\nSECRET\n"), "no seed of an nkey");
        let missing = Identity::Nkey("/missing/seed".into()).read().unwrap_err();
        assert!(missing.contains("cannot read `/missing/seed`"), "{missing}");
    }
}
