//! TLS of the sink: which servers to trust, which certificate to show, and the files that say so.
//!
//! The files are read again when they change, and every connection that is made afterwards uses what they hold then.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::sync::watch;

use super::options::TlsOptions;

/// How often files are looked at while a request waits to be sent again.
const LOOK: Duration = Duration::from_secs(1);

/// What connections are made with.
#[derive(Debug)]
pub(super) struct Tls {
    sink: Arc<str>,
    options: TlsOptions,
    /// What the files looked like when they were read.
    read: Mutex<Vec<Option<Stamp>>>,
    config: watch::Sender<Arc<ClientConfig>>,
}

/// What tells one content of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl From<Metadata> for Stamp {
    fn from(metadata: Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

fn stamps(options: &TlsOptions) -> Vec<Option<Stamp>> {
    options.files().map(|path| std::fs::metadata(path).ok().map(Stamp::from)).collect()
}

impl Tls {
    /// Reads the files of the options; `used` says whether the address is `https`.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or does not hold what it should.
    pub(super) fn new(sink: Arc<str>, options: &TlsOptions, used: bool) -> Result<Self, String> {
        let read = Mutex::new(stamps(options));
        let config = watch::Sender::new(Arc::new(config(options, used)?));
        Ok(Self { sink, options: options.clone(), read, config })
    }

    /// The configuration for a new connection. May block on files.
    pub(super) fn current(&self) -> Arc<ClientConfig> {
        self.refresh();
        self.config.borrow().clone()
    }

    /// Waits until the files hold something else than now; for ever, if there are none.
    pub(super) async fn changed(self: &Arc<Self>) {
        let mut config = self.config.subscribe();
        if self.options.files().next().is_none() {
            return std::future::pending().await;
        }
        loop {
            tokio::select! {
                // The sender lives in `self`.
                _ = config.changed() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let tls = self.clone();
            let _ = tokio::task::spawn_blocking(move || tls.refresh()).await;
        }
    }

    /// Reads the files again if they changed. While what they hold is of no use, what was read before stays.
    fn refresh(&self) {
        let mut read = self.read.lock();
        let now = stamps(&self.options);
        if *read == now {
            return;
        }
        *read = now;
        match config(&self.options, true) {
            Ok(config) => {
                self.config.send_replace(Arc::new(config));
                tracing::info!(sink = %self.sink, "TLS files changed; new connections use them");
            }
            Err(error) => tracing::warn!(
                sink = %self.sink, error,
                "TLS files changed and cannot be used; new connections use what was read before"
            ),
        }
    }
}

fn config(options: &TlsOptions, used: bool) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS is not possible: {error}"))?;
    let builder = if !options.verifies() {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(TrustAnyone { provider }))
    } else if let Some(path) = &options.ca_file {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Listed::read(path, provider)?))
    } else {
        builder.with_root_certificates(if used { system_roots()? } else { RootCertStore::empty() })
    };
    match (&options.crt_file, &options.key_file) {
        (Some(crt), Some(key)) => {
            let chain = certificates("tls.crt_file", crt)?;
            let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| match error {
                pem::Error::NoItemsFound => {
                    format!(
                        "option `tls.key_file`: `{}` holds no private key in PEM without a passphrase",
                        key.display()
                    )
                }
                error => unreadable("tls.key_file", key, &error),
            })?;
            builder.with_client_auth_cert(chain, key_der).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => format!(
                    "option `tls.key_file`: the key in `{}` does not belong to the certificate in `{}`",
                    key.display(),
                    crt.display()
                ),
                error => format!(
                    "options `tls.crt_file` and `tls.key_file`: `{}` and `{}` cannot be used: {error}",
                    crt.display(),
                    key.display()
                ),
            })
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

fn system_roots() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(found.certs).0 == 0 {
        let error = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(format!(
            "the system has no certificates of authorities{error}; install them (package `ca-certificates`), or name a \
             file with `tls.ca_file`"
        ));
    }
    Ok(roots)
}

/// The certificates in a file, at least one.
fn certificates(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(option, path, &error))?;
    if found.is_empty() {
        return Err(format!("option `{option}`: `{}` holds no certificate in PEM", path.display()));
    }
    Ok(found)
}

fn unreadable(option: &str, path: &Path, error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => format!("option `{option}`: `{}` cannot be read: {error}", path.display()),
        _ => format!("option `{option}`: `{}` is not valid PEM; it may be cut off", path.display()),
    }
}

impl TlsOptions {
    /// The files that the options name.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.ca_file, &self.crt_file, &self.key_file].into_iter().flatten()
    }

    /// Whether the certificate of the server is checked.
    pub(super) fn verifies(&self) -> bool {
        self.verify.is_none_or(|verify| verify.0)
    }
}

/// Trusts the authorities in a file, and each certificate in it by itself.
///
/// `webpki` refuses a server whose certificate is marked as that of an authority, which is what `openssl req -x509` makes.
/// Where that very certificate is in the file, the operator has named the server's key, so nothing is gained by refusing it;
/// OpenSSL and curl accept it as well.
#[derive(Debug)]
struct Listed {
    inner: Arc<WebPkiServerVerifier>,
    listed: Vec<CertificateDer<'static>>,
}

impl Listed {
    fn read(path: &Path, provider: Arc<CryptoProvider>) -> Result<Self, String> {
        let listed = certificates("tls.ca_file", path)?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(listed.iter().cloned());
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let inner = inner.map_err(|_| {
            format!("option `tls.ca_file`: `{}` holds no certificate of an authority that can be used", path.display())
        })?;
        Ok(Self { inner, listed })
    }
}

/// Whether a certificate was refused for being that of an authority, and for nothing that `webpki` checks before.
pub(super) fn is_authority(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

impl ServerCertVerifier for Listed {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The period of validity has been checked by then, which tests make sure of; the name has not.
            Err(error) if is_authority(&error) && self.listed.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Accepts any certificate, for `tls.verify = false`.
#[derive(Debug)]
struct TrustAnyone {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for TrustAnyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
