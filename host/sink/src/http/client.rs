//! Sending one request: connections, TLS, and what comes back.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::options::{Format, Settings, TlsOptions};

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection is kept without use; servers close theirs after a minute or more.
const KEEP_IDLE: Duration = Duration::from_secs(30);

/// How much of an answer's body is kept for people to read.
const MAX_REASON_BYTES: usize = 300;

/// How much of it is read at most, so that the connection can be used again.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// The same where the body tells of every event. OpenSearch says some 200 bytes of one that it took.
const MAX_ITEMS_BYTES: usize = 64 << 20;

/// Sends requests over connections that it keeps.
pub(crate) struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// As much of a text as people read.
pub(super) fn beginning(text: &[u8]) -> String {
    let start = text.get(..MAX_REASON_BYTES).unwrap_or(text);
    String::from_utf8_lossy(start).trim().to_owned()
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The body, or its beginning.
    body: Vec<u8>,
}

impl Answer {
    /// The beginning of the body, for people.
    pub(crate) fn reason(&self) -> String {
        beginning(&self.body)
    }

    /// The body, of which only the beginning is kept where it does not tell of every event.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }
}

impl Client {
    /// A client for these settings.
    ///
    /// # Errors
    ///
    /// The certificates cannot be read, or are none.
    pub(crate) fn new(settings: &Settings) -> Result<Self, String> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let tls = tls_config(&settings.tls, settings.uri.scheme_str() == Some("https"))?;
        let https =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(connector);
        let pool =
            Pool::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(KEEP_IDLE).build(https);
        Ok(Self { pool })
    }

    /// Sends a body and waits for the whole answer.
    ///
    /// # Errors
    ///
    /// There was none; the text says why.
    pub(crate) async fn send(&self, settings: &Settings, body: Bytes) -> Result<Answer, String> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = settings.method.clone();
        *request.uri_mut() = settings.uri.clone();
        *request.headers_mut() = settings.headers.clone();
        let most = if settings.format == Format::Bulk { MAX_ITEMS_BYTES } else { MAX_ANSWER_BYTES };
        match tokio::time::timeout(settings.timeout, self.exchange(request, most)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {:?}", settings.timeout)),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>, most: usize) -> Result<Answer, String> {
        let response = self.pool.request(request).await.map_err(|error| {
            // The chain says more than its head, which is `client error (Connect)`.
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            text
        })?;
        let (head, mut rest) = response.into_parts();
        let mut body = Vec::new();
        // The status is known; a body that breaks off changes nothing, but for those that tell of every event, and they
        // cannot be read then.
        while let Some(Ok(frame)) = rest.frame().await {
            body.extend_from_slice(&frame.into_data().unwrap_or_default());
            if body.len() > most {
                break;
            }
        }
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

fn tls_config(options: &TlsOptions, used: bool) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS is not possible: {error}"))?;
    if options.verify.is_some_and(|verify| !verify.0) {
        let trust = Arc::new(TrustAnyone { provider });
        return Ok(builder.dangerous().with_custom_certificate_verifier(trust).with_no_client_auth());
    }
    let Some(path) = &options.ca_file else {
        if !used {
            return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
        }
        return match builder.with_native_roots() {
            Ok(builder) => Ok(builder.with_no_client_auth()),
            Err(error) => Err(format!(
                "the system has no certificates of authorities ({error}); install them (package `ca-certificates`), or \
                 name a file with `tls.ca_file`"
            )),
        };
    };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("option `tls.ca_file`: `{}` cannot be read: {error}", path.display()))?;
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(certificates).0 == 0 {
        return Err(format!("option `tls.ca_file`: `{}` holds no certificate", path.display()));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Takes any certificate, for `tls.verify = false`.
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
