//! The pages over the overview: details, problems, help, events.

use ratatui::style::{Modifier, Style};

use super::super::details::Line;
use super::super::model::{Cell, Tone, safe};
use super::super::ui::TapView;
use super::{Pen, Screen, wrap};

/// Columns of the names of facts.
const NAME: usize = 16;

const HELP: [(&str, &str); 14] = [
    ("q, Ctrl-C", "quit"),
    ("↑ ↓, j k", "move; PgUp PgDn, Home End, g G move further"),
    ("Tab, 1-4", "change the panel: sources, pipelines, outputs, sinks"),
    ("Enter, →", "show details: failures by code, drops by reason, ports"),
    ("Esc, ←", "go back"),
    ("t", "show events of the selected output, node or pipeline"),
    ("s", "sort the panel: graph, rate, cost, trouble, name"),
    ("p, Space", "pause; the agent goes on"),
    ("e", "show all problems"),
    ("Ctrl-L", "draw the screen again"),
    ("Ctrl-Z", "suspend; fg continues"),
    ("BUSY", "time in calls of a node, as a share of one worker: its CPU time, and waits"),
    ("NS/EVENT", "nanoseconds of these calls for each event"),
    ("SHARE", "bytes of an output divided by bytes of the input"),
];

/// A line of a page.
type Styled = (String, Style);

/// Draws a page: its title, and lines from the scroll position on.
fn page(screen: &Screen<'_>, pen: &mut Pen<'_>, title: &str, lines: &[Styled], footer: usize) {
    let width = pen.width();
    pen.text(0, 0, width, title, screen.palette.title(true));
    let mut y = 1;
    if let Some(lost) = &screen.ui.lost {
        pen.cell(0, y, width, &Cell::new(lost.clone(), Tone::Bad));
        y += 1;
    }
    let room = footer.saturating_sub(y);
    let first = screen.ui.scroll.min(lines.len().saturating_sub(room));
    for (index, (text, style)) in lines.iter().skip(first).take(room).enumerate() {
        pen.text(0, y + index, width, text, *style);
    }
    if lines.len() > room {
        let note = format!("{}-{} of {}", first + 1, (first + room).min(lines.len()), lines.len());
        pen.cell(width.saturating_sub(note.len()), 0, note.len(), &Cell::new(note, Tone::Dim));
    }
}

/// Lines with a name and a text, as many as the text needs.
fn fact(lines: &mut Vec<Styled>, width: usize, name: &str, text: &str, style: Style) {
    let room = width.saturating_sub(NAME + 2).max(10);
    for (index, part) in wrap(text, room).into_iter().enumerate() {
        let name = if index == 0 { name } else { "" };
        lines.push((format!("  {name:<NAME$}{part}"), style));
    }
}

pub(super) fn details(screen: &Screen<'_>, pen: &mut Pen<'_>, footer: usize) {
    let Some(details) = screen.details else {
        let text = "the running configuration does not have it any more".to_owned();
        return page(screen, pen, "details", &[(text, screen.palette.style(Tone::Warn))], footer);
    };
    let width = pen.width();
    let names = details.lines.iter().filter_map(|line| match line {
        Line::Count(name, ..) => Some(unicode_width::UnicodeWidthStr::width(name.as_str())),
        _ => None,
    });
    // Counts of the widest number, a rate, and the spaces between them.
    let name_width = names.max().unwrap_or_default().min(width.saturating_sub(32)).max(NAME - 2);
    let mut lines: Vec<Styled> = Vec::new();
    for line in &details.lines {
        match line {
            Line::Heading(heading) => {
                lines.push((String::new(), Style::new()));
                lines.push(((*heading).to_owned(), screen.palette.title(false)));
            }
            Line::Fact(name, cell) => fact(&mut lines, width, name, &cell.text, screen.palette.style(cell.tone)),
            Line::Count(name, total, rate, tone) => {
                let name = super::fit(name, name_width);
                let padding = name_width.saturating_sub(unicode_width::UnicodeWidthStr::width(name.as_str()));
                let text = format!("  {name}{:padding$} {total:>15} {rate:>10}", "");
                lines.push((text.trim_end().to_owned(), screen.palette.style(*tone)));
            }
        }
    }
    page(screen, pen, &details.title, &lines, footer);
}

pub(super) fn alerts(screen: &Screen<'_>, pen: &mut Pen<'_>, footer: usize) {
    let mut lines: Vec<Styled> = Vec::new();
    for alert in &screen.model.alerts {
        let style = screen.palette.style(alert.tone);
        let parts = wrap(&alert.text, pen.width().saturating_sub(2).max(10));
        lines.extend(
            parts
                .into_iter()
                .enumerate()
                .map(|(index, part)| (format!("{} {part}", if index == 0 { '!' } else { ' ' }), style)),
        );
    }
    if lines.is_empty() {
        lines.push(("none".to_owned(), screen.palette.style(Tone::Good)));
    }
    page(screen, pen, "problems", &lines, footer);
}

pub(super) fn help(screen: &Screen<'_>, pen: &mut Pen<'_>, footer: usize) {
    let mut lines: Vec<Styled> = Vec::new();
    for (key, does) in HELP {
        fact(&mut lines, pen.width(), key, does, Style::new());
    }
    page(screen, pen, "keys and columns", &lines, footer);
}

/// The newest events at the bottom.
pub(super) fn tap(screen: &Screen<'_>, tap: &TapView, pen: &mut Pen<'_>, footer: usize) {
    let width = pen.width();
    let report = &tap.report;
    let figures = format!("{} shown, {} skipped, {} passed", report.shown, report.skipped, report.passed);
    let title = format!("events of {}", safe(&tap.point));
    pen.text(0, 0, width, &title, screen.palette.title(true));
    if title.chars().count() + figures.len() + 2 <= width {
        pen.cell(width - figures.len(), 0, figures.len(), &Cell::new(figures, Tone::Dim));
    }
    let mut y = 1;
    for text in screen.ui.lost.iter().chain(&tap.error) {
        pen.cell(0, y, width, &Cell::new(text.clone(), Tone::Bad));
        y += 1;
    }
    if tap.lines.is_empty() {
        let wait = Cell::new("no event has passed yet", Tone::Dim);
        return pen.cell(0, y, width, &wait);
    }
    let room = footer.saturating_sub(y);
    let first = tap.lines.len().saturating_sub(room);
    let first = first.saturating_sub(screen.ui.scroll);
    for (index, line) in tap.lines.iter().skip(first).take(room).enumerate() {
        let is_header = !line.is_empty() && !line.starts_with(' ');
        let style = if is_header { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
        pen.text(0, y + index, width, line, style);
    }
}
