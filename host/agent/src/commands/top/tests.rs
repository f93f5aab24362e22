//! Golden screens, and keys.

mod hostile;
mod screens;

use expect_test::{Expect, expect};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Modifier;
use wattle_api::graph::Graph;
use wattle_api::status::Status;

use super::details::{details, point};
use super::draw::{Palette, Screen, draw, lines, plain};
use super::model::{Body, Model, Order, Panel, Subject, Tone};
use super::rates::Pair;
use super::ui::{Action, TapView, Ui, View};

/// The documents that the tests of the binary serve as well.
pub(super) fn documents() -> (Status, Status, Graph) {
    let before = include_str!("../../../../../tests/fixtures/api/status-before.json");
    let now = include_str!("../../../../../tests/fixtures/api/status.json");
    let graph = include_str!("../../../../../tests/fixtures/api/graph.json");
    (serde_json::from_str(before).unwrap(), serde_json::from_str(now).unwrap(), serde_json::from_str(graph).unwrap())
}

/// A screen with keys pressed one after the other.
pub(super) struct Top {
    before: Status,
    now: Status,
    pub(super) graph: Graph,
    pub(super) ui: Ui,
}

impl Top {
    fn new() -> Self {
        let (before, now, graph) = documents();
        Self { before, now, graph, ui: Ui::default() }
    }

    fn model(&self) -> Model {
        let mut model = Model::new(&Pair::new(Some(&self.before), &self.now), &self.graph);
        self.ui.sort(&mut model);
        model
    }

    fn press(&mut self, code: KeyCode) -> Action {
        let model = self.model();
        self.ui.key(KeyEvent::new(code, KeyModifiers::NONE), &model, &self.graph)
    }

    fn keys(&mut self, keys: &str) -> Action {
        keys.chars().fold(Action::None, |_, key| self.press(KeyCode::Char(key)))
    }

    /// The screen as a terminal of this size has it.
    fn buffer(&self, width: u16, height: u16, color: bool) -> Buffer {
        let model = self.model();
        let pair = Pair::new(Some(&self.before), &self.now);
        let page = match &self.ui.view {
            View::Details(subject) => details(&pair, &self.graph, subject),
            _ => None,
        };
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let screen = Screen { model: &model, ui: &self.ui, details: page.as_ref(), palette: Palette { color } };
        terminal.draw(|frame| draw(&screen, frame.area(), frame.buffer_mut())).unwrap();
        terminal.backend().buffer().clone()
    }

    #[track_caller]
    fn check(&self, width: u16, height: u16, expected: &Expect) {
        expected.assert_eq(&format!("{}\n", lines(&self.buffer(width, height, true))));
    }

    fn selected(&self) -> String {
        let model = self.model();
        let at = self.ui.selected(self.ui.focus, &model);
        model.table(self.ui.focus).rows[at].name.clone()
    }
}

#[test]
fn keys_move_the_selection_and_it_stays_on_its_row_when_the_order_changes() {
    let mut top = Top::new();
    assert_eq!((top.ui.focus, top.selected().as_str()), (Panel::Pipelines, "trail"));
    top.keys("jjjj");
    assert_eq!(top.selected(), "mask-access-key-id");
    top.keys("ss");
    assert_eq!((top.ui.order(Panel::Pipelines), top.selected().as_str()), (Order::Cost, "mask-access-key-id"));
    let model = top.model();
    let names: Vec<&str> = model.table(Panel::Pipelines).rows.iter().map(|row| row.name.as_str()).collect();
    let by_cost =
        ["trail", "parse", "unroll", "mask-access-key-id", "filter", "route", "canary", "web", "parse", "shadow"];
    assert_eq!(names, by_cost);
    top.keys("G");
    assert_eq!(top.selected(), "shadow");
    top.keys("jk");
    assert_eq!(top.selected(), "parse");
    top.press(KeyCode::Home);
    assert_eq!(top.selected(), "trail");
    top.press(KeyCode::Tab);
    assert_eq!((top.ui.focus, top.selected().as_str()), (Panel::Outputs, "trail.processed"));
    top.press(KeyCode::BackTab);
    assert_eq!(top.ui.focus, Panel::Pipelines);
    top.keys("4kkkk");
    assert_eq!((top.ui.focus, top.selected().as_str()), (Panel::Sinks, "siem"));
    // The selected row is removed by a reload: the selection stays near.
    top.keys("jj");
    assert_eq!(top.selected(), "archive");
    top.now.sinks.pop();
    assert_eq!(top.selected(), "lake");
}

#[test]
fn pages_open_and_close_and_events_are_requested_at_the_point_of_the_row() {
    let mut top = Top::new();
    assert_eq!(top.keys("t"), Action::Tap("trail".to_owned()));
    assert!(matches!(top.ui.view, View::Tap(_)));
    assert_eq!(top.press(KeyCode::Esc), Action::EndTap);
    assert!(matches!(top.ui.view, View::Overview));
    top.keys("3");
    assert_eq!(top.keys("t"), Action::Tap("trail.processed".to_owned()));
    assert_eq!(top.keys("q"), Action::EndTap);
    assert_eq!(top.keys("1t"), Action::None);
    assert!(top.ui.message.as_deref().is_some_and(|message| message.contains("select an output")));
    top.press(KeyCode::Enter);
    assert!(matches!(&top.ui.view, View::Details(Subject::Source(name)) if name == "cloudtrail"));
    assert_eq!(top.keys("q"), Action::None);
    for (key, name) in [('?', "Help"), ('e', "Alerts")] {
        top.keys(&key.to_string());
        assert!(format!("{:?}", top.ui.view).starts_with(name));
    }
    top.press(KeyCode::Esc);
    assert_eq!(top.keys("q"), Action::Quit);
    let control = |code| KeyEvent::new(KeyCode::Char(code), KeyModifiers::CONTROL);
    let model = top.model();
    let (ui, graph) = (&mut top.ui, &top.graph);
    assert_eq!(
        ['c', 'z', 'l'].map(|key| ui.key(control(key), &model, graph)),
        [Action::Quit, Action::Suspend, Action::Redraw]
    );
}

#[test]
fn the_point_of_a_node_is_one_that_may_be_shown() {
    let (.., graph) = documents();
    let node = |name: &str| point(&graph, &Subject::Node("trail".into(), name.into()));
    assert_eq!(node("mask-access-key-id").as_deref(), Some("trail/mask-access-key-id.ok"));
    assert_eq!(node("parse").as_deref(), Some("trail/parse.ok"), "the agent says that it may not be shown");
    assert_eq!(node("removed"), None);
    assert_eq!(point(&graph, &Subject::Sink("siem".into())), None);
}

#[test]
fn rates_need_two_documents_of_one_process() {
    let (before, mut now, graph) = documents();
    let rate = |before: Option<&Status>, now: &Status| {
        let model = Model::new(&Pair::new(before, now), &graph);
        match &model.table(Panel::Sources).rows[1].body {
            Body::Cells(cells) => cells[2].text.clone(),
            Body::Note(_) => unreachable!(),
        }
    };
    assert_eq!(rate(Some(&before), &now), "1.5k");
    assert_eq!(rate(None, &now), "-");
    assert_eq!(rate(Some(&now), &now), "-", "no time passed");
    assert_eq!(rate(Some(&now), &before), "-", "a document that is older");
    now.started_at = "2026-11-30T20:00:00Z".into();
    assert_eq!(rate(Some(&before), &now), "-", "a restart");
    let (mut before, now, _) = documents();
    before.sources[1].counts = [("received_events", u64::MAX)].into_iter().collect();
    assert_eq!(rate(Some(&before), &now), "-", "a count that began again");
    before.sources.remove(1);
    assert_eq!(rate(Some(&before), &now), "-", "a source that was added");
}

#[test]
fn trouble_is_visible_with_and_without_colors() {
    let (_, mut now, graph) = documents();
    now.pipelines[0].balance.unbalanced = 5;
    now.pipelines[0].nodes[1].counts = [("circuit_open", 1)].into_iter().collect();
    now.ready = false;
    now.reason = Some("source `x` ended: no such file".into());
    let model = Model::new(&Pair::new(None, &now), &graph);
    assert_eq!(model.head.balance.tone, Tone::Bad);
    assert!(
        model.head.balance.text.starts_with("UNBALANCED by 5 events: balance 172k in + 1.2M split = "),
        "{}",
        model.head.balance.text
    );
    let bad: Vec<&str> = model.alerts.iter().filter(|a| a.tone == Tone::Bad).map(|a| a.text.as_str()).collect();
    assert_eq!(
        bad,
        [
            "not ready: source `x` ended: no such file",
            "pipeline trail is unbalanced by 5 events: a bug of the agent",
            "node trail/parse: its circuit is open after too many faults",
        ]
    );
    let mut top = Top::new();
    top.now = now;
    let styles = |color| {
        let buffer = top.buffer(80, 24, color);
        // `UNBALANCED` of the third line.
        buffer[(0, 2)].style()
    };
    assert_eq!(styles(true).fg, Some(ratatui::style::Color::Red));
    assert_eq!(styles(false).fg, Some(ratatui::style::Color::Reset));
    assert!(styles(false).add_modifier.contains(Modifier::BOLD | Modifier::UNDERLINED));
}

#[test]
fn no_color_needs_a_dark_or_a_light_background() {
    use ratatui::style::Color;
    let mut top = Top::new();
    top.ui.lost = Some("● no connection".into());
    for keys in ["", "e", "?", "q4"] {
        top.keys(keys);
        let buffer = top.buffer(120, 40, true);
        let allowed = [Color::Reset, Color::Green, Color::Yellow, Color::Red, Color::Cyan];
        assert!(buffer.content.iter().all(|cell| allowed.contains(&cell.fg) && cell.bg == Color::Reset));
        let plain = top.buffer(120, 40, false);
        assert!(plain.content.iter().all(|cell| cell.fg == Color::Reset));
    }
}

#[test]
fn a_page_of_events_keeps_a_bounded_number_of_bytes() {
    let mut view = TapView::new("main.out".into());
    for _ in 0..5000 {
        view.push("one line\ntwo");
    }
    assert_eq!(view.lines.len(), 2000);
    for _ in 0..5000 {
        view.push(&"x".repeat(1 << 10));
    }
    assert!(view.lines.iter().map(String::len).sum::<usize>() <= 1 << 20);
    view.push(&"y".repeat(2 << 20));
    assert!(view.lines.is_empty(), "a line without room is left out");
}

#[test]
fn any_size_of_the_terminal_can_be_drawn() {
    let mut top = Top::new();
    top.ui.lost = Some("● no connection".into());
    for view in ["", "e", "?"] {
        top.keys(view);
        for (width, height) in [(1, 1), (2, 3), (10, 2), (19, 5), (39, 9), (300, 3), (3, 100)] {
            let buffer = top.buffer(width, height, true);
            assert_eq!((buffer.area.width, buffer.area.height), (width, height));
        }
    }
}
