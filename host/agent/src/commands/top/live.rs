//! Reads the stream of documents, and events of a point, in tasks.

use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};
use wattle_api::graph::Graph;
use wattle_api::status::Status;
use wattle_api::tap::TapReport;

use crate::client::{Client, ClientError, query};
use crate::commands::tap::{Format, render};

/// Pause before an attempt to connect again; doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// Events a second on a page; more cannot be read.
const TAP_RATE: &str = "5";

/// News for the screen.
pub(crate) enum News {
    Status(Box<Status>),
    Graph(Box<Graph>),
    /// The connection ended, or an attempt failed: since when, and why.
    Lost(Instant, String),
    /// An event of the page, as lines.
    Event(String),
    Report(TapReport),
    /// The page gets no more events: why.
    TapEnded(String),
}

/// Sends documents until the receiver is dropped, and connects again whenever the connection ends.
pub(crate) async fn follow(client: &Client, news: &Sender<News>) {
    let mut lost: Option<Instant> = None;
    let mut pause = FIRST_PAUSE;
    while !news.is_closed() {
        let error = match stream(client, news, &mut lost, &mut pause).await {
            Ok(()) => ClientError::Lost("the agent closed it".to_owned()),
            Err(error) => error,
        };
        let since = *lost.get_or_insert_with(Instant::now);
        if news.send(News::Lost(since, error.to_string())).await.is_err() {
            return;
        }
        sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

async fn stream(
    client: &Client,
    news: &Sender<News>,
    lost: &mut Option<Instant>,
    pause: &mut Duration,
) -> Result<(), ClientError> {
    let mut events = client.stream("/stream").await?;
    while let Some(message) = events.next().await? {
        let read = |error: serde_json::Error| ClientError::NotAgent(error.to_string());
        let item = match message.event.as_str() {
            "status" => News::Status(Box::new(serde_json::from_str(&message.data).map_err(read)?)),
            "graph" => News::Graph(Box::new(serde_json::from_str(&message.data).map_err(read)?)),
            "end" => return Err(message.ended()),
            // A newer agent may send others.
            _ => continue,
        };
        (*lost, *pause) = (None, FIRST_PAUSE);
        if news.send(item).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// A task that reads events of a point. Dropping it ends the request.
pub(crate) struct Tapping(AbortHandle);

impl Tapping {
    /// Begins to read events of a point.
    pub(crate) fn start(client: Client, point: &str, news: Sender<News>) -> Self {
        let query = query(&[("point", point), ("rate", TAP_RATE)]);
        let task = tokio::spawn(async move {
            let ended = match query {
                Ok(query) => tap(&client, &query, &news).await,
                Err(failure) => failure.message,
            };
            // The screen may have ended already.
            let _ = news.send(News::TapEnded(ended)).await;
        });
        Self(task.abort_handle())
    }
}

impl Drop for Tapping {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends events until the stream ends; returns why it ended.
async fn tap(client: &Client, query: &str, news: &Sender<News>) -> String {
    let mut events = match client.stream(&format!("/tap?{query}")).await {
        Ok(events) => events,
        Err(error) => return error.to_string(),
    };
    loop {
        let item = match events.next().await {
            Ok(None) => return "the agent ended the stream".to_owned(),
            Err(error) => return error.to_string(),
            Ok(Some(message)) => match message.event.as_str() {
                "event" => match render(&message.data, Format::Pretty { color: false }) {
                    Ok((text, _)) => News::Event(text),
                    Err(failure) => return failure.message,
                },
                "end" => return message.ended().to_string(),
                "report" => match serde_json::from_str(&message.data) {
                    Ok(report) => News::Report(report),
                    Err(error) => return error.to_string(),
                },
                _ => continue,
            },
        };
        if news.send(item).await.is_err() {
            return String::new();
        }
    }
}
