//! What the operator looks at: the panel, the selection, the page. Keys change it.

use std::collections::VecDeque;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use wattle_api::graph::Graph;
use wattle_api::tap::TapReport;

use super::details::point;
use super::model::{Model, Order, Panel, Subject};

/// Maximum number of lines of tapped events that a page keeps, and their size in bytes.
const MAX_TAP_LINES: usize = 2000;
const MAX_TAP_BYTES: usize = 1 << 20;

/// What the program does after a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    None,
    Quit,
    /// Stop until the shell continues the program.
    Suspend,
    /// Draw everything again.
    Redraw,
    /// Show events at this point.
    Tap(String),
    /// Close the page of events.
    EndTap,
}

/// What is on the screen.
#[derive(Clone, Debug, Default)]
pub(crate) enum View {
    #[default]
    Overview,
    Details(Subject),
    Alerts,
    Help,
    Tap(TapView),
}

/// Events of a point, as lines that are safe for a terminal.
#[derive(Clone, Debug, Default)]
pub(crate) struct TapView {
    pub(crate) point: String,
    pub(crate) lines: VecDeque<String>,
    pub(crate) report: TapReport,
    /// Why there are no more events.
    pub(crate) error: Option<String>,
    bytes: usize,
}

impl TapView {
    pub(crate) fn new(point: String) -> Self {
        Self { point, ..Self::default() }
    }

    /// Adds an event, and drops the oldest lines that have no room.
    pub(crate) fn push(&mut self, text: &str) {
        for line in text.split('\n') {
            self.bytes += line.len();
            self.lines.push_back(line.to_owned());
        }
        while self.lines.len() > MAX_TAP_LINES || self.bytes > MAX_TAP_BYTES {
            let Some(line) = self.lines.pop_front() else { break };
            self.bytes -= line.len();
        }
    }
}

/// The state of the screen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ui {
    pub(crate) focus: Panel,
    pub(crate) view: View,
    /// Whether the figures stand still.
    pub(crate) is_paused: bool,
    /// Why there are no new figures: the connection, with the time since which it is lost.
    pub(crate) lost: Option<String>,
    /// A line about the last key.
    pub(crate) message: Option<String>,
    /// First line of a page; for events, lines above the newest.
    pub(crate) scroll: usize,
    orders: [Order; 4],
    /// The selected rows, and where they were, for the case that one disappears.
    selected: [(Option<Subject>, usize); 4],
}

/// One of four values.
fn of<T>(values: &[T; 4], panel: Panel) -> &T {
    let [sources, pipelines, outputs, sinks] = values;
    match panel {
        Panel::Sources => sources,
        Panel::Pipelines => pipelines,
        Panel::Outputs => outputs,
        Panel::Sinks => sinks,
    }
}

fn of_mut<T>(values: &mut [T; 4], panel: Panel) -> &mut T {
    let [sources, pipelines, outputs, sinks] = values;
    match panel {
        Panel::Sources => sources,
        Panel::Pipelines => pipelines,
        Panel::Outputs => outputs,
        Panel::Sinks => sinks,
    }
}

impl Ui {
    /// The order of a panel.
    pub(crate) fn order(&self, panel: Panel) -> Order {
        *of(&self.orders, panel)
    }

    /// The index of the selected row of a panel.
    pub(crate) fn selected(&self, panel: Panel, model: &Model) -> usize {
        let rows = &model.table(panel).rows;
        let (subject, place) = of(&self.selected, panel);
        let found = subject.as_ref().and_then(|subject| rows.iter().position(|row| row.subject == *subject));
        found.unwrap_or_else(|| (*place).min(rows.len().saturating_sub(1)))
    }

    /// Sorts the tables of a new model.
    pub(crate) fn sort(&self, model: &mut Model) {
        for (table, order) in model.tables.iter_mut().zip(self.orders) {
            table.sort(order);
        }
    }

    /// Takes a key.
    pub(crate) fn key(&mut self, key: KeyEvent, model: &Model, graph: &Graph) -> Action {
        if key.kind == KeyEventKind::Release {
            return Action::None;
        }
        self.message = None;
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Action::Quit,
                KeyCode::Char('z') => Action::Suspend,
                KeyCode::Char('l') => Action::Redraw,
                KeyCode::Char('f') => self.movement(KeyCode::PageDown, model),
                KeyCode::Char('b') => self.movement(KeyCode::PageUp, model),
                _ => Action::None,
            };
        }
        match key.code {
            KeyCode::Char('p' | ' ') => {
                self.is_paused = !self.is_paused;
                Action::None
            }
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.open(View::Help),
            KeyCode::Char('e') => self.open(View::Alerts),
            KeyCode::Esc | KeyCode::Backspace | KeyCode::Left => self.back(),
            KeyCode::Char('q') | KeyCode::F(10) => match self.view {
                View::Overview => Action::Quit,
                _ => self.back(),
            },
            KeyCode::Char('t') => self.tap(model, graph),
            KeyCode::Enter | KeyCode::Right => self.enter(model),
            KeyCode::Char('s') => {
                let order = of_mut(&mut self.orders, self.focus);
                *order = order.next();
                self.message = Some(format!("sorted by {}", order.name()));
                Action::None
            }
            KeyCode::Tab => self.turn(1),
            KeyCode::BackTab => self.turn(Panel::ALL.len() - 1),
            KeyCode::Char(digit @ '1'..='4') => {
                let index = usize::try_from(u32::from(digit) - u32::from('1')).unwrap_or_default();
                self.focus = Panel::ALL.get(index).copied().unwrap_or_default();
                self.show_overview()
            }
            code => self.movement(code, model),
        }
    }

    fn open(&mut self, view: View) -> Action {
        let action = self.show_overview();
        self.view = view;
        action
    }

    fn back(&mut self) -> Action {
        self.show_overview()
    }

    fn show_overview(&mut self) -> Action {
        self.scroll = 0;
        match std::mem::take(&mut self.view) {
            View::Tap(_) => Action::EndTap,
            _ => Action::None,
        }
    }

    fn turn(&mut self, by: usize) -> Action {
        let next = (self.focus.index() + by) % Panel::ALL.len();
        self.focus = Panel::ALL.get(next).copied().unwrap_or_default();
        self.show_overview()
    }

    /// What the selected row, or the page, is about.
    fn subject(&self, model: &Model) -> Option<Subject> {
        match &self.view {
            View::Details(subject) => Some(subject.clone()),
            View::Overview => {
                let row = self.selected(self.focus, model);
                model.table(self.focus).rows.get(row).map(|row| row.subject.clone())
            }
            View::Alerts | View::Help | View::Tap(_) => None,
        }
    }

    fn enter(&mut self, model: &Model) -> Action {
        match self.subject(model) {
            Some(subject) => self.open(View::Details(subject)),
            None => Action::None,
        }
    }

    fn tap(&mut self, model: &Model, graph: &Graph) -> Action {
        let Some(point) = self.subject(model).and_then(|subject| point(graph, &subject)) else {
            self.message = Some("select an output, a node or a pipeline to see its events".to_owned());
            return Action::None;
        };
        self.scroll = 0;
        self.is_paused = false;
        self.view = View::Tap(TapView::new(point.clone()));
        Action::Tap(point)
    }

    /// Moves the selection or the page.
    fn movement(&mut self, code: KeyCode, model: &Model) -> Action {
        const PAGE: usize = 10;
        let (is_down, steps) = match code {
            KeyCode::Down | KeyCode::Char('j') => (true, 1),
            KeyCode::Up | KeyCode::Char('k') => (false, 1),
            KeyCode::PageDown => (true, PAGE),
            KeyCode::PageUp => (false, PAGE),
            KeyCode::End | KeyCode::Char('G') => (true, usize::MAX),
            KeyCode::Home | KeyCode::Char('g') => (false, usize::MAX),
            _ => return Action::None,
        };
        match self.view {
            View::Overview => {
                let rows = &model.table(self.focus).rows;
                let at = self.selected(self.focus, model);
                let last = rows.len().saturating_sub(1);
                let at = if is_down { at.saturating_add(steps).min(last) } else { at.saturating_sub(steps) };
                let subject = rows.get(at).map(|row| row.subject.clone());
                *of_mut(&mut self.selected, self.focus) = (subject, at);
            }
            // The newest events are at the bottom.
            View::Tap(_) if is_down => self.scroll = self.scroll.saturating_sub(steps),
            View::Tap(_) => self.scroll = self.scroll.saturating_add(steps),
            _ if is_down => self.scroll = self.scroll.saturating_add(steps),
            _ => self.scroll = self.scroll.saturating_sub(steps),
        }
        Action::None
    }
}
