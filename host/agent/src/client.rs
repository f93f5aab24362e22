//! The client of a running agent: of its API on the control socket or on the admin listener, and of the commands on the
//! control socket.
//!
//! Everything that it reads is bounded, because `--url` can name any server.

mod connection;
mod error;
mod events;
mod place;

use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

pub(crate) use self::error::ClientError;
pub(crate) use self::events::Events;
pub(crate) use self::place::{Place, data_dir, settings};
use crate::cli::AgentAddress;
use crate::exit::{Failure, USAGE};

/// How long the agent may take for a response that it has in memory.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of a document in bytes: enough for thousands of pipelines.
const MAX_BODY_BYTES: usize = 64 << 20;
/// Maximum size of an error document in bytes.
const MAX_PROBLEM_BYTES: usize = 1 << 20;
/// Prefix of the paths of the API.
const API: &str = "/api/v1";

/// A client of one agent.
#[derive(Clone)]
pub(crate) struct Client {
    /// Where the agent may be, in the order in which they are tried.
    places: Vec<Place>,
}

/// A response, of which only the head has been read.
pub(crate) struct Answered {
    place: Place,
    response: Response<Incoming>,
}

impl Client {
    /// The client of the agent that a command line names.
    ///
    /// # Errors
    ///
    /// The URL is not an address, or the configuration cannot be read.
    pub(crate) fn new(agent: &AgentAddress) -> Result<Self, Failure> {
        Ok(Self { places: place::places(agent)? })
    }

    /// The client of the agent of a data folder.
    pub(crate) fn of_folder(data_dir: &Path) -> Self {
        Self { places: vec![Place::Socket(data_dir.to_owned())] }
    }

    /// Gets a document of the API, such as `/status`.
    ///
    /// # Errors
    ///
    /// No agent answers, it refuses the request, or its response is not such a document.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let text = self.get_text(path).await?;
        serde_json::from_str(&text).map_err(|error| ClientError::NotAgent(error.to_string()))
    }

    /// Gets a document of the API as the agent wrote it.
    ///
    /// # Errors
    ///
    /// No agent answers, or it refuses the request.
    pub(crate) async fn get_text(&self, path: &str) -> Result<String, ClientError> {
        self.request(Method::GET, &format!("{API}{path}"), Bytes::new(), TIMEOUT).await
    }

    /// Posts a request without a body and gets a document of the API.
    ///
    /// # Errors
    ///
    /// No agent answers in time, it refuses the request, or its response is not such a document.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, limit: Duration) -> Result<T, ClientError> {
        let text = self.request(Method::POST, &format!("{API}{path}"), Bytes::new(), limit).await?;
        serde_json::from_str(&text).map_err(|error| ClientError::NotAgent(error.to_string()))
    }

    /// Opens a stream of server-sent events of the API, such as `/stream`.
    ///
    /// # Errors
    ///
    /// No agent answers, or it refuses the request.
    pub(crate) async fn stream(&self, path: &str) -> Result<Events, ClientError> {
        let path = format!("{API}{path}");
        let opened = async { self.checked(self.answer(&Method::GET, &path, &Bytes::new()).await?, &path).await };
        let answered = timeout(TIMEOUT, opened).await.map_err(|_| ClientError::Timeout(TIMEOUT))??;
        Ok(Events::new(answered.response.into_body()))
    }

    /// Sends a request and reads its response.
    ///
    /// # Errors
    ///
    /// No agent answers, or it refuses the request.
    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        limit: Duration,
    ) -> Result<String, ClientError> {
        let answer = async {
            let Answered { place, response } = self.checked(self.answer(&method, path, &body).await?, path).await?;
            let body = Limited::new(response.into_body(), MAX_BODY_BYTES).collect().await;
            let body = body.map_err(|error| ClientError::unavailable(&place, error))?.to_bytes();
            String::from_utf8(body.into()).map_err(|error| ClientError::NotAgent(error.to_string()))
        };
        timeout(limit, answer).await.map_err(|_| ClientError::Timeout(limit))?
    }

    /// The head of the response at the first place that answers.
    async fn answer(&self, method: &Method, path: &str, body: &Bytes) -> Result<Answered, ClientError> {
        let mut tried = Vec::new();
        for place in &self.places {
            match connection::send(place, method, path, body.clone()).await {
                Ok(response) => return Ok(Answered { place: place.clone(), response }),
                Err(error) => tried.push((place.clone(), error)),
            }
        }
        Err(ClientError::Unavailable(tried))
    }

    /// The response, if it is a success; otherwise the error that its document describes.
    async fn checked(&self, answered: Answered, path: &str) -> Result<Answered, ClientError> {
        let status = answered.response.status();
        if status.is_success() {
            return Ok(answered);
        }
        let Answered { place, response } = answered;
        if status == StatusCode::NOT_FOUND
            && path.starts_with(API)
            && let Some(old) = has_no_api(&place).await
        {
            return Err(old);
        }
        let body = Limited::new(response.into_body(), MAX_PROBLEM_BYTES).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let problem = serde_json::from_slice(&body).unwrap_or_default();
        Err(ClientError::Refused { place, status, problem })
    }
}

/// The error if an agent does not serve the API, which its 404 alone does not say.
async fn has_no_api(place: &Place) -> Option<ClientError> {
    let none = Bytes::new();
    let index = connection::send(place, &Method::GET, API, none.clone()).await.ok()?;
    if index.status() != StatusCode::NOT_FOUND {
        return None;
    }
    let mut version = None;
    if let Ok(response) = connection::send(place, &Method::GET, "/status", none).await
        && let Ok(body) = Limited::new(response.into_body(), MAX_BODY_BYTES).collect().await
    {
        let status = serde_json::from_slice::<wattle_api::status::Status>(&body.to_bytes());
        version = status.ok().map(|status| status.version).filter(|version| !version.is_empty());
    }
    Some(ClientError::NoApi { place: place.clone(), version })
}

/// Sends a command to the control socket of a data folder and returns the response, which is JSON.
///
/// # Errors
///
/// No agent runs there, or it does not respond in time.
pub(crate) fn send(data_dir: &Path, method: Method, path: &str, limit: Duration) -> Result<String, Failure> {
    let client = Client::of_folder(data_dir);
    block_on(async { client.request(method, path, Bytes::new(), limit).await })?.map_err(|error| error.failure(""))
}

/// Runs a client to its end, on this thread.
///
/// # Errors
///
/// The system cannot create what the runtime needs.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(future);
    // A write to a terminal that is stopped must not keep the process.
    runtime.shutdown_background();
    Ok(done)
}

/// A query of a URL from names and values.
///
/// # Errors
///
/// It is too long for the agent.
pub(crate) fn query(pairs: &[(&str, &str)]) -> Result<String, Failure> {
    /// The agent accepts a head of 16 KiB.
    const MAX_QUERY_BYTES: usize = 12 << 10;
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    let query = query.finish();
    if query.len() > MAX_QUERY_BYTES {
        let message = format!("the parameters have {} bytes; an agent accepts {MAX_QUERY_BYTES}", query.len());
        return Err(Failure::with(USAGE, message));
    }
    Ok(query)
}

#[cfg(test)]
mod tests;
