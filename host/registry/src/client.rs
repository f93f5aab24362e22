//! `push` and `pull` with the OCI distribution protocol.
//!
//! The client is written by hand: it sends its few requests with ureq, which the workspace already
//! uses. oci-client would add 56 crates, and it reads manifests and tokens of any size into memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use ureq::http::header::LOCATION;
use ureq::http::{Method, Uri};

use crate::challenge::encode;
use crate::credentials::{self, Credentials, Env};
use crate::http::{Http, HttpError, HttpOptions, Request};
use crate::image::{self, Image, ImageError, MANIFEST, MAX_CONFIG, MAX_MANIFEST, Parts};
use crate::origin::resolve;
use crate::reference::Reference;
use crate::store::{Store, StoreError};

/// Media types of manifests. Includes those of container images, because their error is better than
/// the 404 of a registry.
const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

const DIGEST_HEADER: &str = "docker-content-digest";

/// Why a pack was not pulled or pushed.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The request failed, or the registry rejected it.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The registry sent something that is not the pack.
    #[error("{reference}: {error}")]
    Image {
        /// The requested pack.
        reference: String,
        /// Why it is not valid.
        error: ImageError,
    },
    /// The store failed.
    #[error("{reference}: {error}")]
    Store {
        /// The requested pack.
        reference: String,
        /// The error of the store.
        error: StoreError,
    },
    /// The digest of the manifest is not the digest in the reference or in the header of the
    /// registry.
    #[error("{reference}: digest mismatch: expected `{expected}`, found `{found}`")]
    DigestMismatch {
        /// The requested pack.
        reference: String,
        /// Expected digest.
        expected: String,
        /// Actual digest.
        found: String,
    },
}

impl PullError {
    /// Makes an error of the store one of a pull.
    pub(crate) fn store(reference: &Reference) -> impl Fn(StoreError) -> Self {
        move |error| Self::Store { reference: reference.to_string(), error }
    }
}

/// Options of a [`Client`].
#[derive(Clone)]
pub struct ClientOptions {
    /// Options by host.
    pub registries: BTreeMap<String, RegistryOptions>,
    /// Timeout of a small response; a layer may take ten times as long.
    pub timeout: Duration,
    /// Looks up environment variables, for credentials.
    pub env: Arc<Env>,
}

/// Options of one host.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    /// Use plain HTTP although the host is another machine.
    pub insecure: bool,
    /// Name and password.
    pub credentials: Option<Credentials>,
}

/// Client for registries.
pub struct Client {
    options: ClientOptions,
    hosts: Mutex<BTreeMap<String, Arc<Http>>>,
}

impl Client {
    /// Creates a client.
    pub fn new(options: ClientOptions) -> Self {
        Self { options, hosts: Mutex::default() }
    }

    fn http(&self, host: &str) -> Arc<Http> {
        if let Some(http) = self.hosts.lock().get(host) {
            return http.clone();
        }
        let own = self.options.registries.get(host).cloned().unwrap_or_default();
        let credentials = own.credentials.or_else(|| credentials::find(host, &*self.options.env));
        let options = HttpOptions { insecure: own.insecure, credentials, timeout: self.options.timeout };
        let http = Arc::new(Http::new(host, options));
        self.hosts.lock().insert(host.to_owned(), http.clone());
        http
    }

    /// Requests only the digest of a manifest. Returns `None` if the registry does not send it.
    ///
    /// # Errors
    ///
    /// The request failed, or the registry has no such manifest.
    pub fn digest(&self, reference: &Reference) -> Result<Option<String>, PullError> {
        let http = self.http(&reference.host);
        let request = Request::new(Method::HEAD, manifest_url(&http, reference)).accept(ACCEPT);
        let response = http.request(&request)?.expect(&[200])?;
        Ok(response.header(DIGEST_HEADER).filter(|digest| image::is_digest(digest)).map(str::to_owned))
    }

    /// Pulls a pack. The layer is written to an unlinked file in the folder of the store, and used
    /// only after its digest is verified.
    ///
    /// # Errors
    ///
    /// The request failed, or the response is not that pack.
    pub fn pull(&self, reference: &Reference, store: &Store) -> Result<Image, PullError> {
        let http = self.http(&reference.host);
        let refused = |error| PullError::Image { reference: reference.to_string(), error };
        let request = Request::new(Method::GET, manifest_url(&http, reference)).accept(ACCEPT).max_bytes(MAX_MANIFEST);
        let response = http.request(&request)?.expect(&[200])?;
        let found = image::digest(&response.body);
        let digests = [reference.digest.as_deref(), response.header(DIGEST_HEADER)];
        if let Some(expected) = digests.into_iter().flatten().find(|expected| *expected != found) {
            return Err(PullError::DigestMismatch {
                reference: reference.to_string(),
                expected: expected.to_owned(),
                found,
            });
        }
        let manifest = response.body;
        let parts = Parts::read(&manifest).map_err(refused)?;
        let blob = |descriptor: &image::Descriptor, max: u64| {
            let url = format!("{}/v2/{}/blobs/{}", http.base(), reference.repository, descriptor.digest);
            // Never read more than the manifest announces.
            Request::new(Method::GET, url).accept("*/*").max_bytes(max.min(descriptor.size)).long().blob()
        };
        let config = http.request(&blob(&parts.config, MAX_CONFIG))?.expect(&[200])?.body;
        parts.config.check("the configuration", &config).map_err(refused)?;
        let spooled = store.spool().map_err(PullError::store(reference))?;
        let response = http.request(&blob(&parts.layer, parts.layer.size).into_file(&spooled))?.expect(&[200])?;
        let (length, found) = response.written.unwrap_or_default();
        if found != parts.layer.digest {
            let (part, expected) = ("the layer".to_owned(), parts.layer.digest);
            return Err(refused(ImageError::WrongDigest { part, expected, found }));
        }
        Image::with_spooled(manifest, config, spooled, length).map_err(refused)
    }

    /// Pushes a pack and returns the digest of its manifest.
    ///
    /// # Errors
    ///
    /// A request failed, or the registry rejected it.
    pub fn push(&self, reference: &Reference, image: &Image) -> Result<String, PullError> {
        let http = self.http(&reference.host);
        let digest = image.digest();
        if let Some(expected) = reference.digest.as_ref().filter(|expected| **expected != digest) {
            return Err(PullError::DigestMismatch {
                reference: reference.to_string(),
                expected: expected.clone(),
                found: digest,
            });
        }
        let layer = image.layer().map_err(|error| StoreError::Io { path: "the layer".into(), error });
        let layer = layer.map_err(PullError::store(reference))?;
        // Blobs first, because registries refuse a manifest with missing blobs.
        self.push_blob(&http, reference, &layer)?;
        self.push_blob(&http, reference, image.config())?;
        let request = Request::new(Method::PUT, manifest_url(&http, reference)).content(MANIFEST, image.manifest());
        let response = http.request(&request)?.expect(&[201])?;
        match response.header(DIGEST_HEADER).filter(|expected| *expected != digest) {
            Some(expected) => Err(PullError::DigestMismatch {
                reference: reference.to_string(),
                expected: expected.to_owned(),
                found: digest,
            }),
            None => Ok(digest),
        }
    }

    fn push_blob(&self, http: &Http, reference: &Reference, bytes: &[u8]) -> Result<(), PullError> {
        let digest = image::digest(bytes);
        let blobs = format!("{}/v2/{}/blobs", http.base(), reference.repository);
        // The registry may already have the blob.
        if http.request(&Request::new(Method::HEAD, format!("{blobs}/{digest}")).blob())?.status.is_success() {
            return Ok(());
        }
        let begun = http
            .request(&Request::new(Method::POST, format!("{blobs}/uploads/")).content(OCTETS, b""))?
            .expect(&[202])?;
        let nowhere =
            || HttpError::Failed { url: begun.url.clone(), error: "the registry gives no upload location".to_owned() };
        let at: Uri = begun.url.parse().map_err(|_| nowhere())?;
        let location = begun.header(LOCATION.as_str()).and_then(|location| resolve(&at, location));
        let location = location.ok_or_else(nowhere)?.to_string();
        // The location may already have a query.
        let separator = if location.contains('?') { '&' } else { '?' };
        let url = format!("{location}{separator}digest={}", encode(&digest));
        http.request(&Request::new(Method::PUT, url).content(OCTETS, bytes).long())?.expect(&[201])?;
        Ok(())
    }
}

const OCTETS: &str = "application/octet-stream";

fn manifest_url(http: &Http, reference: &Reference) -> String {
    format!("{}/v2/{}/manifests/{}", http.base(), reference.repository, reference.version())
}
