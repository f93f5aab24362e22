//! `wattle tap`: shows events of a running agent as they pass points of its graph.

mod report;
mod write;

use std::io::IsTerminal as _;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};
use wattle_api::graph::Graph;
use wattle_api::{Index, TapPolicy};
use wattle_printable::Line;

use self::report::Report;
use self::write::Writer;
pub(crate) use self::write::{Format, render};
use crate::cli::{Color, TapFormat, TapOptions};
use crate::client::{Client, ClientError, Events, block_on, query};
use crate::exit::{Done, Failure, say};

/// Pause before the first attempt to connect again; doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// How long to wait for the last figures after the last event of `--limit`.
const LAST_REPORT: Duration = Duration::from_secs(1);
/// Maximum number of points of a request.
const MAX_POINTS: usize = 64;
/// What the operator can do if no agent answers.
pub(crate) const ADVICE: &str =
    "Name the agent with `--config FILE`, `--data-dir DIR`, or `--url URL` of its admin listener.";

pub(crate) fn tap(options: &TapOptions, color: Color) -> Done {
    let client = Client::new(&options.agent)?;
    let is_terminal = std::io::stdout().is_terminal();
    let format = match options.format.unwrap_or(if is_terminal { TapFormat::Pretty } else { TapFormat::Ndjson }) {
        TapFormat::Pretty => Format::Pretty { color: color.wanted(is_terminal) },
        TapFormat::Json => Format::Json,
        TapFormat::Ndjson => Format::Ndjson,
    };
    let mut tap = Tap { client, options, writer: Writer::new(format), report: Report::default() };
    let done = block_on(async {
        tokio::select! {
            done = tap.run() => done,
            interrupted = interrupted() => interrupted,
        }
    })?;
    let is_closed = done.as_ref().is_err_and(|failure| failure.message.is_empty());
    if !options.quiet && !is_closed && tap.report.is_begun() {
        say(&format!("wattle: {}", tap.report));
    }
    done
}

/// Waits for Ctrl-C or SIGTERM, which end the command as an operator wants it.
async fn interrupted() -> Done {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

struct Tap<'a> {
    client: Client,
    options: &'a TapOptions,
    writer: Writer,
    report: Report,
}

impl Tap<'_> {
    /// Shows events until the limit is reached or the connection ends for good.
    async fn run(&mut self) -> Done {
        let events = self.open().await?.map_err(|error| error.failure(ADVICE))?;
        let mut lost = self.follow(events).await?;
        while let Some(error) = lost {
            if self.options.no_reconnect {
                return Err(error.failure(""));
            }
            say(&format!("wattle: {error}; connecting again"));
            let events = self.reopen().await?;
            say("wattle: connected again");
            lost = self.follow(events).await?;
        }
        Ok(())
    }

    /// Opens the stream again, as soon as an agent answers.
    async fn reopen(&mut self) -> Result<Events, Failure> {
        let mut pause = FIRST_PAUSE;
        loop {
            sleep(pause).await;
            match self.open().await? {
                Ok(events) => return Ok(events),
                Err(error) if error.is_passing() => pause = (pause * 2).min(MAX_PAUSE),
                Err(error) => return Err(error.failure("")),
            }
        }
    }

    /// Opens the stream. The outer error is final.
    async fn open(&mut self) -> Result<Result<Events, ClientError>, Failure> {
        let points = match self.points().await? {
            Ok(points) => points,
            Err(error) => return Ok(Err(error)),
        };
        let (rate, limit) = (self.options.rate.to_string(), self.left().map(|left| left.to_string()));
        let mut pairs: Vec<(&str, &str)> = points.iter().map(|point| ("point", point.as_str())).collect();
        pairs.extend(self.options.filters.iter().map(|filter| ("filter", filter.as_str())));
        pairs.push(("rate", &rate));
        pairs.extend(limit.as_ref().map(|limit| ("limit", limit.as_str())));
        Ok(self.client.stream(&format!("/tap?{}", query(&pairs)?)).await)
    }

    /// The points of the command line, or all outputs that may be shown.
    async fn points(&self) -> Result<Result<Vec<String>, ClientError>, Failure> {
        if !self.options.points.is_empty() {
            return Ok(Ok(self.options.points.clone()));
        }
        let index: Index = match self.client.get("").await {
            Ok(index) => index,
            Err(error) => return Ok(Err(error)),
        };
        let graph: Graph = match self.client.get("/graph").await {
            Ok(graph) => graph,
            Err(error) => return Ok(Err(error)),
        };
        outputs(&index, &graph).map(Ok)
    }

    /// Number of events up to the limit.
    fn left(&self) -> Option<u64> {
        self.options.limit.map(|limit| limit.saturating_sub(self.report.shown))
    }

    /// Shows the events of a stream until the limit is reached; returns the error if the stream ends before.
    async fn follow(&mut self, mut events: Events) -> Result<Option<ClientError>, Failure> {
        self.report.begin();
        loop {
            let is_full = self.left() == Some(0);
            let next = match is_full {
                false => events.next().await,
                true => timeout(LAST_REPORT, events.next()).await.unwrap_or(Ok(None)),
            };
            let message = match next {
                Ok(Some(message)) => message,
                Ok(None) | Err(_) if is_full => return Ok(None),
                Ok(None) => return Ok(Some(ClientError::Lost("the agent closed it".to_owned()))),
                Err(error) => return Ok(Some(error)),
            };
            match message.event.as_str() {
                "event" if !is_full => {
                    let is_cut = self.writer.write(message.data).await?;
                    self.report.show(is_cut);
                }
                "report" => {
                    self.report.update(&message.data, self.options.rate);
                    self.writer.check()?;
                }
                "end" => return Ok(Some(message.ended())),
                // A newer agent may send others.
                _ => {}
            }
        }
    }
}

/// The points of all outputs that may be shown, or of as many as a request takes.
fn outputs(index: &Index, graph: &Graph) -> Result<Vec<String>, Failure> {
    if index.tap == TapPolicy::Off {
        return Err(Failure::new("the agent shows no events: its configuration has `[admin] tap = \"off\"`"));
    }
    let mut points = Vec::new();
    for pipeline in &graph.pipelines {
        let may_be_shown = pipeline.outputs.iter().filter(|output| output.masked || index.tap == TapPolicy::All);
        points.extend(may_be_shown.map(|output| format!("{}.{}", pipeline.name, output.name)));
    }
    if points.is_empty() {
        let names: Vec<String> = graph.pipelines.iter().map(|pipeline| format!("`{}`", Line(&pipeline.name))).collect();
        return Err(Failure::new(format!(
            "no output of the pipelines {} may be shown, because events reach it without passing a masking node; grant \
             it with `[admin] tap = \"all\"`",
            names.join(", ")
        )));
    }
    if points.len() > MAX_POINTS {
        let all = points.len();
        points.truncate(MAX_POINTS);
        say(&format!("wattle: warning: only the first {MAX_POINTS} of {all} outputs are shown; name the points"));
    }
    Ok(points)
}

#[cfg(test)]
mod tests;
