//! Sends requests of a sink.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Request;
use wattle_http_client::{Client as HttpClient, Limits, Response, Server};
use wattle_tls::Endpoint;

use super::destination::Target;
use super::error::RequestError;
use super::options::Settings;
use crate::error::SinkError;

/// Maximum bytes of a response body with an item per event. OpenSearch writes about 200 bytes for an accepted event.
pub(super) const MAX_ITEMS_BYTES: usize = 64 << 20;

/// Sends the requests of a sink to its server.
pub(crate) struct Client {
    http: HttpClient,
}

impl Client {
    /// A client for these settings of the sink `sink`.
    ///
    /// # Errors
    ///
    /// A certificate file cannot be used, or the proxy of the environment cannot.
    pub(crate) fn new(sink: &Arc<str>, settings: &Settings) -> Result<Self, SinkError> {
        Ok(Self { http: HttpClient::new(&Endpoint::Sink(sink.clone()), &settings.server())? })
    }

    /// Waits until the certificate files have changed; forever if there are none.
    pub(crate) async fn files_changed(&self) {
        self.http.files_changed().await;
    }

    /// Sends a body to the address of the settings, see [`send_to`](Self::send_to).
    #[cfg(test)]
    pub(super) async fn send(&self, settings: &Settings, body: Bytes) -> Result<Response, RequestError> {
        self.send_to(settings, &Target::of(settings), body).await
    }

    /// Sends a body and waits for the complete response. Follows redirects within the same server.
    ///
    /// # Errors
    ///
    /// There was no complete response.
    pub(super) async fn send_to(
        &self,
        settings: &Settings,
        target: &Target,
        body: Bytes,
    ) -> Result<Response, RequestError> {
        let mut request = Request::new(body);
        *request.method_mut() = settings.method.clone();
        *request.uri_mut() = target.uri.clone();
        *request.headers_mut() = settings.headers.clone();
        request.headers_mut().extend(target.headers.clone());
        let limits = Limits {
            timeout: settings.timeout,
            timeout_option: "request.timeout",
            max_response_bytes: settings.destination.max_response_bytes(),
        };
        Ok(self.http.send(request, limits).await?)
    }
}

impl Settings {
    /// How to reach the server.
    pub(super) fn server(&self) -> Server {
        Server { uri: self.uri.clone(), proxy: self.proxy.clone(), tls: self.tls.clone(), is_http2: self.is_http2 }
    }
}
