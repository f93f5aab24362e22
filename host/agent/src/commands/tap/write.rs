//! Writes tapped events to standard output.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use rustix::event::{PollFd, PollFlags, poll};
use serde::Deserialize;
use serde_json::value::RawValue;
use wattle_printable as printable;

use crate::commands::status::units::size;
use crate::exit::{Done, Failure, UNAVAILABLE, print_json, print_styled};

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// As a block of lines.
    Pretty { color: bool },
    /// The whole document as one line.
    Json,
    /// The event as one line.
    Ndjson,
}

/// A `Tapped` whose event keeps its bytes: a number is not parsed.
#[derive(Deserialize)]
struct Tapped<'a> {
    #[serde(borrow, default)]
    at: Cow<'a, str>,
    #[serde(borrow, default)]
    point: Cow<'a, str>,
    #[serde(borrow)]
    event: &'a RawValue,
    #[serde(default)]
    cut: bool,
    #[serde(default)]
    bytes: u64,
}

/// Standard output.
pub(super) struct Writer {
    format: Format,
}

impl Writer {
    pub(super) fn new(format: Format) -> Self {
        Self { format }
    }

    /// Writes an event, and returns whether the agent has cut it.
    ///
    /// # Errors
    ///
    /// Standard output is closed, or the text is not an event.
    pub(super) async fn write(&self, data: String) -> Result<bool, Failure> {
        let format = self.format;
        // A reader that stops must not keep Ctrl-C from taking effect.
        let written = tokio::task::spawn_blocking(move || {
            let (text, is_cut) = render(&data, format)?;
            if format == Format::Json || format == Format::Ndjson {
                print_json(&text)?
            } else {
                print_styled(&text)?
            }
            Ok(is_cut)
        });
        written.await.map_err(io::Error::other)?
    }

    /// Fails quietly if the reader of standard output has ended, such as `head`. Without events, no write reports it.
    pub(super) fn check(&self) -> Done {
        let stdout = io::stdout();
        let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
        let is_closed = poll(&mut polled, Some(&rustix::event::Timespec::default())).is_ok()
            && polled.iter().any(|polled| polled.revents().contains(PollFlags::ERR));
        if is_closed { Err(Failure::silent(0)) } else { Ok(()) }
    }
}

/// An event as text, without a line break at its end, and whether the agent has cut it.
pub(crate) fn render(data: &str, format: Format) -> Result<(String, bool), Failure> {
    let tapped: Tapped<'_> = serde_json::from_str(data)
        .map_err(|error| Failure::with(UNAVAILABLE, format!("the response is not from an agent: {error}")))?;
    let text = match format {
        // Between the tokens of a document, a line break is a space.
        Format::Json => data.trim().replace(['\n', '\r'], " "),
        Format::Ndjson => tapped.event.get().replace(['\n', '\r'], " "),
        Format::Pretty { color } => pretty(&tapped, color),
    };
    Ok((text, tapped.cut))
}

/// A line with the point and the time, and the event below it. An empty line ends it.
fn pretty(tapped: &Tapped<'_>, color: bool) -> String {
    let styled = |code: &str, text: &str| {
        let text = printable::line(text);
        if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into_owned() }
    };
    let mut out = format!("{}  {}", styled("1;35", &tapped.point), styled("2", &tapped.at));
    match serde_json::from_str::<String>(tapped.event.get()) {
        Ok(beginning) if tapped.cut => {
            // Writing to a string does not fail.
            let _ = writeln!(out, "  {}", styled("33", &format!("only its beginning, of {}", size(tapped.bytes))));
            let text = printable::text(&beginning).into_owned();
            text.split('\n').for_each(|line| _ = writeln!(out, "    {line}"));
        }
        _ => {
            out.push('\n');
            out.push_str(&wattle_sink::pretty_event(tapped.event.get().as_bytes(), color));
        }
    }
    out
}
