//! `wattle top`: shows the rates and costs of a running agent in the terminal.
//!
//! [`model`] makes rows of text from documents, [`ui`] keeps what the operator looks at, [`draw`] draws both, and [`app`]
//! connects them with the agent and the terminal.

mod app;
mod details;
mod draw;
mod figures;
mod live;
mod model;
mod rates;
mod terminal;
mod ui;

use std::io::IsTerminal as _;
use std::time::Duration;

use ratatui::crossterm::terminal::size;
use tokio::time::sleep;
use wattle_api::graph::Graph;
use wattle_api::status::Status;

use self::draw::Palette;
use self::model::Model;
use self::rates::Pair;
use super::tap::ADVICE;
use crate::cli::{Color, TopOptions};
use crate::client::{Client, ClientError, block_on};
use crate::exit::{Done, Failure, print};

/// Columns of `--once` without a terminal and without `COLUMNS`.
const PLAIN_WIDTH: u16 = 120;
/// Columns of `--once` on a terminal, at least and at most.
const WIDTHS: std::ops::RangeInclusive<u16> = 40..=1000;

pub(crate) fn top(options: &TopOptions, color: Color) -> Done {
    let client = Client::new(&options.agent)?;
    let interval = Duration::from_secs(options.interval.into());
    if options.once {
        let text = block_on(once(&client, interval))?.map_err(|error| error.failure(ADVICE))?;
        return print(&text);
    }
    if !(std::io::stdout().is_terminal() && std::io::stdin().is_terminal()) {
        return Err(Failure::new("`wattle top` needs a terminal; use `--once` for plain text, or `wattle status`"));
    }
    let palette = Palette { color: color.wanted(true) };
    block_on(async {
        // An agent that is not there is an error, not an empty screen.
        let first: Status = client.get("/status").await.map_err(|error| error.failure(ADVICE))?;
        let graph: Graph = client.get("/graph").await.map_err(|error| error.failure(ADVICE))?;
        app::run(client, first, graph, interval, palette).await
    })?
}

/// The overview as plain text, with the rates of one interval.
async fn once(client: &Client, interval: Duration) -> Result<String, ClientError> {
    let before: Status = client.get("/status").await?;
    sleep(interval).await;
    let now: Status = client.get("/status").await?;
    let graph: Graph = client.get("/graph").await?;
    Ok(draw::plain(&Model::new(&Pair::new(Some(&before), &now), &graph), width()))
}

/// Columns of plain text.
fn width() -> u16 {
    let of_terminal = || if std::io::stdout().is_terminal() { Some(size().ok()?.0) } else { None };
    let of_variable = || std::env::var("COLUMNS").ok()?.parse().ok();
    of_variable().or_else(of_terminal).unwrap_or(PLAIN_WIDTH).clamp(*WIDTHS.start(), *WIDTHS.end())
}

#[cfg(test)]
mod tests;
