//! `push` and `pull` by the OCI distribution protocol.
//!
//! The few requests that a pack needs are sent with ureq, which the workspace has already. oci-client would add 56
//! crates, and reads manifests and tokens to memory whatever their size.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use ureq::http::header::LOCATION;
use ureq::http::{Method, Uri};

use crate::challenge::encode;
use crate::credentials::{self, Credentials, Env};
use crate::http::{Ask, Http, HttpError, HttpOptions};
use crate::image::{self, Image, ImageError, MANIFEST, MOST_CONFIG, MOST_MANIFEST, Parts};
use crate::origin::resolve;
use crate::reference::Reference;
use crate::store::{Store, StoreError};

/// What else a registry may answer with where a manifest is asked for; asking for it gives a better message than its 404.
const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

const DIGEST_HEADER: &str = "docker-content-digest";

/// Why a pack was not pulled or pushed.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The registry could not be asked, or refused.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// What it gave is not the pack.
    #[error("{reference}: {error}")]
    Image {
        /// What was asked for.
        reference: String,
        /// Why it is refused.
        error: ImageError,
    },
    /// There is no room for it on disk.
    #[error("{reference}: {error}")]
    Store {
        /// What was asked for.
        reference: String,
        /// Why it cannot be stored.
        error: StoreError,
    },
    /// It says another digest than it gives, or than was asked for.
    #[error("{reference}: the registry says the digest is `{said}`, but `{found}` is")]
    Lie {
        /// What was asked for.
        reference: String,
        /// What it says.
        said: String,
        /// What it is.
        found: String,
    },
}

/// How registries are spoken to.
#[derive(Clone)]
pub struct ClientOptions {
    /// Hosts with options of their own.
    pub registries: BTreeMap<String, RegistryOptions>,
    /// How long a small answer may take; a layer may take ten times as long.
    pub timeout: Duration,
    /// The environment, for credentials.
    pub env: Arc<Env>,
}

/// Options of one host.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    /// Plain http although the host is another machine.
    pub insecure: bool,
    /// Name and password.
    pub credentials: Option<Credentials>,
}

/// Speaks to registries.
pub struct Client {
    options: ClientOptions,
    hosts: Mutex<BTreeMap<String, Arc<Http>>>,
}

impl Client {
    /// A client with these options.
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

    /// Asks for the digest of a manifest and nothing else. `None` where the registry does not say it.
    ///
    /// # Errors
    ///
    /// The registry cannot be asked, or has no such manifest.
    pub fn digest(&self, reference: &Reference) -> Result<Option<String>, PullError> {
        let http = self.http(&reference.host);
        let ask = Ask::new(Method::HEAD, manifest_url(&http, reference)).accept(ACCEPT);
        let answer = http.ask(&ask)?.expect(&[200])?;
        Ok(answer.header(DIGEST_HEADER).filter(|digest| image::is_digest(digest)).map(str::to_owned))
    }

    /// Pulls a pack. The layer goes to an unlinked file in the folder of the store; nothing of it is used before its
    /// digest is right.
    ///
    /// # Errors
    ///
    /// The registry cannot be asked, or what it gives is not that pack.
    pub fn pull(&self, reference: &Reference, store: &Store) -> Result<Image, PullError> {
        let http = self.http(&reference.host);
        let refused = |error| PullError::Image { reference: reference.to_string(), error };
        let ask = Ask::new(Method::GET, manifest_url(&http, reference)).accept(ACCEPT).most(MOST_MANIFEST);
        let answer = http.ask(&ask)?.expect(&[200])?;
        let found = image::digest(&answer.body);
        let said = [reference.digest.as_deref(), answer.header(DIGEST_HEADER)];
        if let Some(said) = said.into_iter().flatten().find(|said| *said != found) {
            return Err(PullError::Lie { reference: reference.to_string(), said: said.to_owned(), found });
        }
        let manifest = answer.body;
        let parts = Parts::read(&manifest).map_err(refused)?;
        let blob = |descriptor: &image::Descriptor, max: u64| {
            let url = format!("{}/v2/{}/blobs/{}", http.base(), reference.repository, descriptor.digest);
            Ask::new(Method::GET, url).accept("*/*").most(max.min(descriptor.size)).long().blob()
        };
        let config = http.ask(&blob(&parts.config, MOST_CONFIG))?.expect(&[200])?.body;
        parts.config.check("the configuration", &config).map_err(refused)?;
        let spooled = store.spool().map_err(|error| PullError::Store { reference: reference.to_string(), error })?;
        let answer = http.ask(&blob(&parts.layer, parts.layer.size).into_file(&spooled))?.expect(&[200])?;
        let (length, found) = answer.written.unwrap_or_default();
        if found != parts.layer.digest {
            let (part, expected) = ("the layer".to_owned(), parts.layer.digest);
            return Err(refused(ImageError::WrongDigest { part, expected, found }));
        }
        Image::with_spooled(manifest, config, spooled, length).map_err(refused)
    }

    /// Pushes a pack, and answers with the digest of its manifest.
    ///
    /// # Errors
    ///
    /// The registry cannot be asked, or refuses.
    pub fn push(&self, reference: &Reference, image: &Image) -> Result<String, PullError> {
        let http = self.http(&reference.host);
        let digest = image.digest();
        if let Some(expected) = reference.digest.as_ref().filter(|expected| **expected != digest) {
            return Err(PullError::Lie { reference: reference.to_string(), said: expected.clone(), found: digest });
        }
        let layer = image.layer().map_err(|error| PullError::Store {
            reference: reference.to_string(),
            error: StoreError::Io { path: "the layer".into(), error },
        })?;
        self.push_blob(&http, reference, &layer)?;
        self.push_blob(&http, reference, image.config())?;
        let ask = Ask::new(Method::PUT, manifest_url(&http, reference)).content(MANIFEST, image.manifest());
        let answer = http.ask(&ask)?.expect(&[201])?;
        match answer.header(DIGEST_HEADER).filter(|said| *said != digest) {
            Some(said) => {
                Err(PullError::Lie { reference: reference.to_string(), said: said.to_owned(), found: digest })
            }
            None => Ok(digest),
        }
    }

    fn push_blob(&self, http: &Http, reference: &Reference, bytes: &[u8]) -> Result<(), PullError> {
        let digest = image::digest(bytes);
        let blobs = format!("{}/v2/{}/blobs", http.base(), reference.repository);
        if http.ask(&Ask::new(Method::HEAD, format!("{blobs}/{digest}")).blob())?.status.is_success() {
            return Ok(());
        }
        let begun =
            http.ask(&Ask::new(Method::POST, format!("{blobs}/uploads/")).content(OCTETS, b""))?.expect(&[202])?;
        let nowhere = || HttpError::Failed { url: begun.url.clone(), error: "no place to upload to".to_owned() };
        let at: Uri = begun.url.parse().map_err(|_| nowhere())?;
        let location = begun.header(LOCATION.as_str()).and_then(|location| resolve(&at, location));
        let location = location.ok_or_else(nowhere)?.to_string();
        let separator = if location.contains('?') { '&' } else { '?' };
        let url = format!("{location}{separator}digest={}", encode(&digest));
        http.ask(&Ask::new(Method::PUT, url).content(OCTETS, bytes).long())?.expect(&[201])?;
        Ok(())
    }
}

const OCTETS: &str = "application/octet-stream";

fn manifest_url(http: &Http, reference: &Reference) -> String {
    format!("{}/v2/{}/manifests/{}", http.base(), reference.repository, reference.version())
}
