//! Clients, certificates and the log of the tests about TLS.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wattle_tls::testing::{Authority, Files, Identity};

/// What a client trusts and presents.
#[derive(Clone)]
pub(crate) struct ClientOf<'a> {
    pub(crate) trusts: &'a Authority,
    pub(crate) identity: Option<&'a Identity>,
    pub(crate) protocols: &'a [&'a str],
}

impl<'a> ClientOf<'a> {
    pub(crate) fn new(trusts: &'a Authority) -> Self {
        Self { trusts, identity: None, protocols: &[] }
    }

    pub(crate) fn with(self, identity: &'a Identity) -> Self {
        Self { identity: Some(identity), ..self }
    }

    pub(crate) fn speaking(self, protocols: &'a [&'a str]) -> Self {
        Self { protocols, ..self }
    }

    pub(crate) async fn connect(&self, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusts.der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots);
        let mut config = match self.identity {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let chain = CertificateDer::pem_slice_iter(identity.certificate.as_bytes()).map(Result::unwrap);
                let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
                config.with_client_auth_cert(chain.collect(), key).unwrap()
            }
        };
        config.alpn_protocols = self.protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
    }

    /// The status of the response to one event.
    pub(crate) async fn post(&self, address: SocketAddr) -> Result<StatusCode, String> {
        let stream = self.connect(address).await.map_err(|error| error.to_string())?;
        let mut sender = Sender::new(stream).await?;
        sender.post().await
    }
}

/// A connection that sends several requests.
pub(crate) struct Sender(pub(crate) http1::SendRequest<Full<Bytes>>);

pub(crate) fn request(path: &str) -> Request<Full<Bytes>> {
    Request::post(path).header("content-type", "application/json").body(Full::new(Bytes::from_static(b"{}"))).unwrap()
}

impl Sender {
    pub(crate) async fn new(stream: TlsStream<TcpStream>) -> Result<Self, String> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    pub(crate) async fn post(&mut self) -> Result<StatusCode, String> {
        self.0.ready().await.map_err(|error| error.to_string())?;
        self.0.send_request(request("/")).await.map(|response| response.status()).map_err(|error| error.to_string())
    }
}

/// An authority and the files of a source whose certificate it issued.
pub(crate) struct Setup {
    pub(crate) authority: Authority,
    pub(crate) files: Files,
    pub(crate) options: Value,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let (authority, files) = (Authority::new("authority"), Files::new());
        let setup = Self { authority, files, options: Value::Null };
        let (crt_file, key_file) = setup.write(&setup.authority.issue("localhost"));
        Self { options: json!({ "tls": { "crt_file": crt_file, "key_file": key_file } }), ..setup }
    }

    /// Writes a certificate and its key to the files of the source.
    pub(crate) fn write(&self, identity: &Identity) -> (PathBuf, PathBuf) {
        (self.files.write("crt.pem", &identity.certificate), self.files.write("key.pem", &identity.key))
    }

    /// The options with an authority of clients.
    pub(crate) fn with_clients_of(&self, authority: &Authority) -> Value {
        let mut options = self.options.clone();
        options["tls"]["ca_file"] = json!(self.files.write("ca.pem", &authority.pem()));
        options
    }

    pub(crate) fn client(&self) -> ClientOf<'_> {
        ClientOf::new(&self.authority)
    }
}

/// The log of a test, which must run on one thread.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub(crate) fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let to = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || to.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// The text since the last call.
    pub(crate) fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock())).unwrap()
    }
}
