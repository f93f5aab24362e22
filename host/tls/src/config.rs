//! The TLS configuration of a client, from the files that its options name, and the errors of such files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::{ClientConfig, RootCertStore};

use crate::roots::system_roots;
use crate::verify::{Listed, TrustAnyone};

/// Name of the option with trusted authorities.
pub(crate) const CA_FILE: &str = "tls.ca_file";
/// Name of the option with the certificate of this side.
pub(crate) const CRT_FILE: &str = "tls.crt_file";
/// Name of the option with the private key.
pub(crate) const KEY_FILE: &str = "tls.key_file";

/// The TLS options of a client.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Certificates to trust instead of the system's authorities (option `tls.ca_file`).
    pub ca_file: Option<PathBuf>,
    /// The client certificate (option `tls.crt_file`). Requires `key_file`.
    pub crt_file: Option<PathBuf>,
    /// The private key of the client certificate (option `tls.key_file`).
    pub key_file: Option<PathBuf>,
    /// Whether to verify the certificate of the server.
    pub verify: bool,
}

impl ClientOptions {
    /// The files that the options name.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.ca_file, &self.crt_file, &self.key_file].into_iter().flatten()
    }
}

/// Why a TLS configuration cannot be created. The text does not name the option; [`option`](Self::option) does.
#[derive(Debug, thiserror::Error)]
pub enum TlsConfigError {
    /// A file cannot be read.
    #[error("cannot read `{}`: {error}", .path.display())]
    Unreadable {
        /// Name of the option.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// A file is not PEM.
    #[error("`{}` is not valid PEM; it may be incomplete", .path.display())]
    NotPem {
        /// Name of the option.
        option: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A file has no certificate.
    #[error("`{}` contains no PEM certificate", .path.display())]
    NoCertificate {
        /// Name of the option.
        option: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The key file has no private key.
    #[error("`{}` contains no PEM private key without a passphrase", .0.display())]
    NoKey(PathBuf),
    /// The private key needs a passphrase.
    #[error(
        "the key in `{path}` has a passphrase, which the agent cannot ask for; write it without one, with \
         `openssl pkey -in {path} -out NEW_FILE`",
        path = .0.display()
    )]
    EncryptedKey(PathBuf),
    /// The PEM is complete, but what it contains is not a certificate.
    #[error("`{}` contains a damaged certificate", .0.display())]
    DamagedCertificate(PathBuf),
    /// The file has certificates, but none can serve as an authority.
    #[error("`{}` contains no usable certificate of an authority", .0.display())]
    NoAuthority(PathBuf),
    /// The key belongs to another certificate.
    #[error("the key in `{}` does not belong to the certificate in `{}`", .key.display(), .crt.display())]
    KeyMismatch {
        /// The file with the key.
        key: PathBuf,
        /// The file with the certificate.
        crt: PathBuf,
    },
    /// Certificate and key cannot be used for another reason.
    #[error("cannot use `{}` with the key in `{}`: {error}", .crt.display(), .key.display())]
    Unusable {
        /// The file with the certificate.
        crt: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// The error of the TLS library.
        error: rustls::Error,
    },
    /// The system has no trusted authorities.
    #[error(
        "the system has no trusted certificate authorities; install them (package `ca-certificates`), or name a file \
         with `tls.ca_file`"
    )]
    NoSystemRoots,
    /// The TLS library cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Library(rustls::Error),
}

impl TlsConfigError {
    /// The option whose file cannot be used.
    pub fn option(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable { option, .. } | Self::NotPem { option, .. } | Self::NoCertificate { option, .. } => {
                Some(option)
            }
            Self::NoKey(_) | Self::EncryptedKey(_) | Self::KeyMismatch { .. } => Some(KEY_FILE),
            Self::NoAuthority(_) => Some(CA_FILE),
            Self::DamagedCertificate(_) | Self::Unusable { .. } => Some(CRT_FILE),
            Self::NoSystemRoots | Self::Library(_) => None,
        }
    }

    fn pem(option: &'static str, path: &Path, error: pem::Error) -> Self {
        let path = path.to_owned();
        match error {
            pem::Error::Io(error) => Self::Unreadable { option, path, error },
            _ => Self::NotPem { option, path },
        }
    }

    /// Why a certificate and a key cannot be used together.
    pub(crate) fn pair(crt: &Path, key: &Path, error: rustls::Error) -> Self {
        let (crt, key) = (crt.to_owned(), key.to_owned());
        match error {
            rustls::Error::InconsistentKeys(_) => Self::KeyMismatch { key, crt },
            rustls::Error::InvalidCertificate(_) => Self::DamagedCertificate(crt),
            error => Self::Unusable { crt, key, error },
        }
    }
}

/// Creates the TLS configuration of a client. `used` is whether any connection uses TLS; if not, a
/// system without trusted authorities is not an error.
///
/// # Errors
///
/// A file cannot be read, or does not contain what its option requires.
pub fn client_config(options: &ClientOptions, used: bool) -> Result<ClientConfig, TlsConfigError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(TlsConfigError::Library)?;
    let builder = if !options.verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(TrustAnyone { provider }))
    } else if let Some(path) = &options.ca_file {
        let listed = Listed::new(certificates(CA_FILE, path)?, provider);
        let listed = listed.ok_or_else(|| TlsConfigError::NoAuthority(path.clone()))?;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(listed))
    } else {
        let mut roots = RootCertStore::empty();
        if used && roots.add_parsable_certificates(system_roots()).0 == 0 {
            return Err(TlsConfigError::NoSystemRoots);
        }
        builder.with_root_certificates(roots)
    };
    let (Some(crt), Some(key)) = (&options.crt_file, &options.key_file) else {
        return Ok(builder.with_no_client_auth());
    };
    let (chain, private_key) = pair(crt, key)?;
    builder.with_client_auth_cert(chain, private_key).map_err(|error| TlsConfigError::pair(crt, key, error))
}

/// Reads a certificate, with those of its authorities, and its private key.
pub(crate) fn pair(
    crt: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsConfigError> {
    let chain = certificates(CRT_FILE, crt)?;
    let text = std::fs::read(key).map_err(|error| TlsConfigError::pem(KEY_FILE, key, pem::Error::Io(error)))?;
    let private_key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        // In the label of the block, or in a header of it.
        _ if memchr::memmem::find(&text, b"ENCRYPTED").is_some() => TlsConfigError::EncryptedKey(key.to_owned()),
        pem::Error::NoItemsFound => TlsConfigError::NoKey(key.to_owned()),
        error => TlsConfigError::pem(KEY_FILE, key, error),
    })?;
    Ok((chain, private_key))
}

/// Reads the certificates in a file; an empty file is an error.
pub(crate) fn certificates(option: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| TlsConfigError::pem(option, path, error))?;
    if found.is_empty() {
        return Err(TlsConfigError::NoCertificate { option, path: path.to_owned() });
    }
    Ok(found)
}
