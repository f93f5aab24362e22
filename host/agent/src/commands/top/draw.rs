//! Draws a screen. It needs no more than 16 colors and none for black, white or the background, so it can be read on
//! light and dark terminals; without colors, bold and reverse say the same.

mod pages;
mod table;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use unicode_width::UnicodeWidthStr as _;

use super::details::Details;
use super::model::{Cell, Model, Panel, Tone};
use super::ui::{Ui, View};

/// Lines of alerts of the overview; the page of problems has all of them.
const MAX_ALERTS: usize = 2;
/// Lines of a panel without the focus: its titles and two rows, or one row where there is little room.
const PANEL_LINES: [usize; 2] = [3, 2];
/// Lines of the panel with the focus before the others get a second row.
const FOCUSED_LINES: usize = 6;

/// The colors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    /// Whether colors are used at all.
    pub(crate) color: bool,
}

impl Palette {
    fn style(self, tone: Tone) -> Style {
        let style = match tone {
            Tone::Plain | Tone::Good => Style::new(),
            Tone::Dim => Style::new().add_modifier(Modifier::DIM),
            Tone::Warn | Tone::Bad => Style::new().add_modifier(Modifier::BOLD),
        };
        match tone {
            Tone::Good if self.color => style.fg(Color::Green),
            Tone::Warn if self.color => style.fg(Color::Yellow),
            Tone::Bad if self.color => style.fg(Color::Red),
            // Bold alone is the style of a warning.
            Tone::Bad => style.add_modifier(Modifier::UNDERLINED),
            _ => style,
        }
    }

    fn title(self, is_focused: bool) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        let style = if self.color { style.fg(Color::Cyan) } else { style };
        if is_focused { style.add_modifier(Modifier::UNDERLINED) } else { style }
    }
}

/// Everything on a screen.
pub(crate) struct Screen<'a> {
    pub(crate) model: &'a Model,
    pub(crate) ui: &'a Ui,
    /// The page of [`View::Details`]; none if its subject does not exist any more.
    pub(crate) details: Option<&'a Details>,
    pub(crate) palette: Palette,
}

/// Draws a screen.
pub(crate) fn draw(screen: &Screen<'_>, area: Rect, buf: &mut Buffer) {
    let mut pen = Pen { buf, area, palette: screen.palette };
    let footer = usize::from(area.height).saturating_sub(1);
    match &screen.ui.view {
        View::Overview => overview(screen, &mut pen, footer),
        View::Details(_) => pages::details(screen, &mut pen, footer),
        View::Alerts => pages::alerts(screen, &mut pen, footer),
        View::Help => pages::help(screen, &mut pen, footer),
        View::Tap(tap) => pages::tap(screen, tap, &mut pen, footer),
    }
    let keys = match &screen.ui.view {
        View::Overview => "q quit  ? help  Tab panel  Enter details  t tap  s sort  p pause  e problems",
        View::Tap(_) => "Esc back  ↑↓ scroll  p pause  ? help",
        _ => "Esc back  ↑↓ scroll  ? help",
    };
    let footer_text = match (&screen.ui.message, screen.ui.is_paused) {
        (Some(message), _) => Cell::plain(message.clone()),
        (None, true) => Cell::new("paused; press p to go on", Tone::Warn),
        (None, false) => Cell::new(keys, Tone::Dim),
    };
    pen.cell(0, footer, usize::from(area.width), &footer_text);
}

/// The overview as plain text, all of it.
pub(crate) fn plain(model: &Model, width: u16) -> String {
    let alerts = model.alerts.len();
    let rows: usize =
        model.tables.iter().map(|table| if table.rows.is_empty() { 0 } else { table.rows.len() + 2 }).sum();
    let height = u16::try_from(HEAD + alerts + rows).unwrap_or(u16::MAX);
    let area = Rect::new(0, 0, width, height);
    let mut buf = Buffer::empty(area);
    let mut pen = Pen { buf: &mut buf, area, palette: Palette { color: false } };
    let mut y = head(model, &mut pen, &Ui::default(), alerts);
    for panel in Panel::ALL {
        let table = model.table(panel);
        if !table.rows.is_empty() {
            y += 1;
            table::draw(
                &mut pen,
                &table::Frame { table, number: None, selected: None, y, lines: table.rows.len() + 1 },
            );
            y += table.rows.len() + 1;
        }
    }
    lines(&buf)
}

/// The text of a buffer, without spaces at the ends of lines.
pub(crate) fn lines(buf: &Buffer) -> String {
    let width = usize::from(buf.area.width).max(1);
    let mut out = String::new();
    for line in buf.content.chunks(width) {
        let mut text = String::new();
        let mut covered = 0;
        for cell in line {
            // A wide character covers the cell behind it, which has a space.
            if covered > 0 {
                covered -= 1;
                continue;
            }
            covered = cell.symbol().width().saturating_sub(1);
            text.push_str(cell.symbol());
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    let end = out.trim_end_matches('\n').len();
    out.truncate(end);
    out
}

/// Lines of the head without alerts.
const HEAD: usize = 3;

/// Draws the head; returns the line below it.
fn head(model: &Model, pen: &mut Pen<'_>, ui: &Ui, max_alerts: usize) -> usize {
    pen.list(0, &model.head.agent);
    pen.list(1, &model.head.load);
    let width = pen.width();
    pen.cell(0, 2, width, &model.head.balance);
    let mut y = HEAD;
    if let Some(lost) = &ui.lost {
        pen.cell(0, y, width, &Cell::new(lost.clone(), Tone::Bad));
        y += 1;
    }
    let all = model.alerts.len();
    let shown = if all > max_alerts { max_alerts.saturating_sub(1) } else { all };
    for alert in model.alerts.iter().take(shown) {
        pen.cell(0, y, width, &Cell::new(format!("! {}", alert.text), alert.tone));
        y += 1;
    }
    if all > shown {
        pen.cell(0, y, width, &Cell::new(format!("! {} more problems; press e", all - shown), Tone::Warn));
        y += 1;
    }
    y
}

fn overview(screen: &Screen<'_>, pen: &mut Pen<'_>, footer: usize) {
    let Screen { model, ui, .. } = screen;
    let mut y = head(model, pen, ui, MAX_ALERTS);
    let wanted = Panel::ALL.map(|panel| (panel, model.table(panel).rows.len() + 1));
    for (panel, lines) in share(&wanted, ui.focus, footer.saturating_sub(y)) {
        let is_focused = panel == ui.focus;
        let selected = is_focused.then(|| ui.selected(panel, model));
        let number = Some((panel.index() + 1, ui.order(panel)));
        table::draw(pen, &table::Frame { table: model.table(panel), number, selected, y, lines });
        y += lines;
    }
}

/// Shares lines among the panels: all that they want if there is room; otherwise the focused one gets what is left after
/// a row or two of each other one. Where even that has no room, only the focused one is shown.
fn share(wanted: &[(Panel, usize)], focus: Panel, room: usize) -> Vec<(Panel, usize)> {
    let least = |lines: usize| -> Vec<(Panel, usize)> {
        wanted.iter().map(|(panel, wanted)| (*panel, (*wanted).min(lines))).collect()
    };
    let sum = |shares: &[(Panel, usize)]| shares.iter().map(|(_, lines)| lines).sum::<usize>();
    let [many, few] = PANEL_LINES;
    let mut shares = least(many);
    if sum(&shares) + FOCUSED_LINES - many > room {
        shares = least(few);
    }
    let Some(mut left) = room.checked_sub(sum(&shares)) else { return vec![(focus, room)] };
    for is_first in [true, false] {
        for ((panel, lines), (_, wanted)) in shares.iter_mut().zip(wanted) {
            if (*panel == focus) == is_first {
                let more = (wanted - *lines).min(left);
                *lines += more;
                left -= more;
            }
        }
    }
    shares
}

/// Where texts are written. Nothing is written outside of the area.
struct Pen<'a> {
    buf: &'a mut Buffer,
    area: Rect,
    palette: Palette,
}

impl Pen<'_> {
    fn width(&self) -> usize {
        usize::from(self.area.width)
    }

    /// Writes a text of at most `width` columns. `x` and `y` count from the corner of the area.
    fn text(&mut self, x: usize, y: usize, width: usize, text: &str, style: Style) {
        let (Ok(left), Ok(top)) = (u16::try_from(x), u16::try_from(y)) else { return };
        if left >= self.area.width || top >= self.area.height {
            return;
        }
        let width = width.min(self.width() - x);
        self.buf.set_stringn(self.area.x + left, self.area.y + top, fit(text, width), width, style);
    }

    fn cell(&mut self, x: usize, y: usize, width: usize, cell: &Cell) {
        self.text(x, y, width, &cell.text, self.palette.style(cell.tone));
    }

    /// Writes texts side by side, as many as fit.
    fn list(&mut self, y: usize, cells: &[Cell]) {
        let (mut x, width) = (0, self.width());
        for (index, cell) in cells.iter().enumerate() {
            let needed = cell.text.width();
            if index > 0 && x + needed > width {
                return;
            }
            self.cell(x, y, width - x.min(width), cell);
            x += needed + 2;
        }
    }

    /// Sets the style of a whole line.
    fn line_style(&mut self, y: usize, style: Style) {
        if let Ok(top) = u16::try_from(y)
            && top < self.area.height
        {
            self.buf.set_style(Rect::new(self.area.x, self.area.y + top, self.area.width, 1), style);
        }
    }
}

/// A text with at most this many columns; `…` marks that it was cut.
fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let next = unicode_width::UnicodeWidthChar::width(c).unwrap_or_default();
        if used + next > width.saturating_sub(1) {
            break;
        }
        used += next;
        out.push(c);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

/// A text in lines of at most this many columns.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for c in text.chars() {
        let next = unicode_width::UnicodeWidthChar::width(c).unwrap_or_default();
        if used + next > width && used > 0 {
            lines.push(String::new());
            used = 0;
        }
        used += next;
        if let Some(line) = lines.last_mut() {
            line.push(c);
        }
    }
    lines
}
