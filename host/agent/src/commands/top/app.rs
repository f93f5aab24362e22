//! Connects the agent, the keys and the terminal.

use std::time::Duration;

use ratatui::crossterm::event::{Event, read};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, MissedTickBehavior, interval};
use wattle_api::graph::Graph;
use wattle_api::status::Status;

use super::details::details;
use super::draw::{Palette, Screen, draw};
use super::live::{News, Tapping, follow};
use super::model::{Model, safe};
use super::rates::Pair;
use super::terminal;
use super::ui::{Action, Ui, View};
use crate::client::Client;
use crate::commands::status::units::ago;
use crate::exit::{Done, Failure};

/// How often the time since a lost connection is drawn.
const TICK: Duration = Duration::from_secs(1);
/// Part of the interval by which a document may come early, since the agent writes one a second.
const EARLY: f64 = 0.9;

/// The documents that are shown.
struct Shown {
    before: Option<Status>,
    now: Status,
    graph: Graph,
    interval: f64,
}

impl Shown {
    /// Takes a document if the interval has passed, or if another process answers.
    fn take(&mut self, status: Status) -> bool {
        let is_same = status.pid == self.now.pid && status.started_at == self.now.started_at;
        if is_same && status.uptime_seconds - self.now.uptime_seconds < self.interval * EARLY {
            return false;
        }
        self.before = Some(std::mem::replace(&mut self.now, status));
        true
    }

    fn pair(&self) -> Pair<'_> {
        Pair::new(self.before.as_ref(), &self.now)
    }

    fn model(&self, ui: &Ui) -> Model {
        let mut model = Model::new(&self.pair(), &self.graph);
        ui.sort(&mut model);
        model
    }
}

/// Shows an agent until the operator quits.
pub(super) async fn run(client: Client, first: Status, graph: Graph, every: Duration, palette: Palette) -> Done {
    let mut shown = Shown { before: None, now: first, graph, interval: every.as_secs_f64() };
    let mut ui = Ui::default();
    let mut screen = terminal::Screen::take()?;
    let (news_sender, mut news) = channel(64);
    let stream = (client.clone(), news_sender.clone());
    tokio::spawn(async move { follow(&stream.0, &stream.1).await });
    let mut keys = keys()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut continued = signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut lost: Option<(Instant, String)> = None;
    let mut tapping: Option<Tapping> = None;
    loop {
        ui.lost = lost.as_ref().map(|(since, why)| {
            format!("● no connection for {}: {why}; trying again", ago(since.elapsed().as_secs_f64()))
        });
        let model = shown.model(&ui);
        show(&mut screen, &shown, &model, &ui, palette)?;
        let action = tokio::select! {
            item = news.recv() => {
                // The sender lives as long as this function.
                let Some(item) = item else { return Ok(()) };
                take(item, &mut shown, &mut ui, &mut lost);
                Action::None
            }
            key = keys.recv() => match key {
                // The terminal ended.
                None => return Ok(()),
                Some(Event::Key(key)) => ui.key(key, &model, &shown.graph),
                // A resize draws again; the rest is not used.
                Some(_) => Action::None,
            },
            _ = tick.tick() => Action::None,
            // Another program continued this one, which may have left the terminal in another mode.
            _ = continued.recv() => Action::Redraw,
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        };
        match action {
            Action::None => {}
            Action::Quit => return Ok(()),
            Action::Suspend => {
                screen.suspend().await?;
                // The continuation that this waited for.
                continued = signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
            }
            Action::Redraw => screen.resume()?,
            Action::Tap(point) => tapping = Some(Tapping::start(client.clone(), &point, news_sender.clone())),
            Action::EndTap => tapping = None,
        }
        // A task of a page that is closed ends here.
        if !matches!(ui.view, View::Tap(_)) {
            drop(tapping.take());
        }
    }
}

/// Takes an item of the stream.
fn take(item: News, shown: &mut Shown, ui: &mut Ui, lost: &mut Option<(Instant, String)>) {
    let is_paused = ui.is_paused;
    match (item, &mut ui.view) {
        (News::Lost(since, why), _) => *lost = Some((since, safe(&why))),
        (News::Status(status), _) => {
            *lost = None;
            if !is_paused {
                shown.take(*status);
            }
        }
        (News::Graph(graph), _) => {
            *lost = None;
            shown.graph = *graph;
        }
        (News::Event(text), View::Tap(tap)) if !is_paused => tap.push(&text),
        (News::Report(report), View::Tap(tap)) => tap.report = report,
        (News::TapEnded(why), View::Tap(tap)) => tap.error = Some(safe(&why)),
        // Of a page that was closed.
        (News::Event(_) | News::Report(_) | News::TapEnded(_), _) => {}
    }
}

fn show(screen: &mut terminal::Screen, shown: &Shown, model: &Model, ui: &Ui, palette: Palette) -> Result<(), Failure> {
    let page = match &ui.view {
        View::Details(subject) => details(&shown.pair(), &shown.graph, subject),
        _ => None,
    };
    screen.terminal().draw(|frame| {
        let area = frame.area();
        draw(&Screen { model, ui, details: page.as_ref(), palette }, area, frame.buffer_mut());
    })?;
    Ok(())
}

/// A thread that reads keys. It ends with the program.
fn keys() -> Result<Receiver<Event>, Failure> {
    let (sender, keys): (Sender<Event>, _) = channel(16);
    let reads = move || {
        while let Ok(event) = read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("wattle-keys".into()).spawn(reads)?;
    Ok(keys)
}
