//! A panel: a line of titles, and rows below it.

use ratatui::style::{Modifier, Style};
use unicode_width::UnicodeWidthStr as _;

use super::super::model::{Body, Cell, Order, Row, Table, Tone};
use super::Pen;

/// Columns in front of a name, and for each level below.
const INDENT: usize = 2;
/// Least columns of a name.
const MIN_NAME: usize = 12;
/// Maximum columns of a text behind the name.
const MAX_TEXT: usize = 24;
/// Spaces between columns, if there is room, and otherwise.
const WIDE_GAP: usize = 2;
const NARROW_GAP: usize = 1;

/// A panel and its place.
pub(super) struct Frame<'a> {
    pub(super) table: &'a Table,
    /// The key of the panel and its order; none for plain text.
    pub(super) number: Option<(usize, Order)>,
    /// The selected row, if the panel has the focus.
    pub(super) selected: Option<usize>,
    /// The first line.
    pub(super) y: usize,
    /// Number of lines, with the titles.
    pub(super) lines: usize,
}

/// Draws a panel.
pub(super) fn draw(pen: &mut Pen<'_>, frame: &Frame<'_>) {
    if frame.lines == 0 {
        return;
    }
    let Frame { table, selected, y, lines, .. } = frame;
    let room = lines - 1;
    // The selected row is always visible.
    let first = selected.map_or(0, |selected| (selected + 1).saturating_sub(room));
    let first = first.min(table.rows.len().saturating_sub(room));
    let layout = layout(table, pen.width());
    titles(pen, frame, &layout, first, room);
    for (index, row) in table.rows.iter().enumerate().skip(first).take(room) {
        let line = y + 1 + index - first;
        draw_row(pen, row, &layout, line);
        if *selected == Some(index) {
            pen.line_style(line, Style::new().add_modifier(Modifier::REVERSED));
        }
    }
}

/// The columns that are shown.
struct Layout {
    /// Their place in the table and their width. The first one is the name.
    columns: Vec<(usize, usize)>,
    /// Spaces between them.
    gap: usize,
}

/// Chooses columns for a width.
fn layout(table: &Table, width: usize) -> Layout {
    let names = table.rows.iter().filter(|row| matches!(row.body, Body::Cells(_)));
    let names = names.map(|row| INDENT * (row.depth + 1) + row.name.width()).max().unwrap_or_default();
    let title = table.columns.first().map_or(0, |column| column.title.len() + INDENT);
    let wanted = names.max(title);
    let mut columns: Vec<(usize, usize, u16)> = Vec::new();
    for (index, column) in table.columns.iter().enumerate().skip(1) {
        if usize::from(column.from) <= width {
            let cells = table.rows.iter().filter_map(|row| match &row.body {
                Body::Cells(cells) => cells.get(index - 1).map(|cell| cell.text.width()),
                Body::Note(_) => None,
            });
            let widest = cells.max().unwrap_or_default();
            let widest = if column.is_number { widest } else { widest.min(MAX_TEXT) };
            columns.push((index, widest.max(column.title.len()), column.from));
        }
    }
    let used = |columns: &[(usize, usize, u16)], gap| columns.iter().map(|(_, width, _)| width + gap).sum::<usize>();
    // Narrow gaps where they make room for a name.
    let gap = if used(&columns, WIDE_GAP) + wanted <= width { WIDE_GAP } else { NARROW_GAP };
    // Names must stay legible, so the least important column goes first.
    let least = wanted.min(MIN_NAME);
    while used(&columns, gap) + least > width && columns.len() > 1 {
        let least_important = columns.iter().enumerate().max_by_key(|(place, (_, _, from))| (*from, *place));
        let Some((place, _)) = least_important else { break };
        columns.remove(place);
    }
    let name = wanted.min(width.saturating_sub(used(&columns, gap)));
    let rest = columns.into_iter().map(|(index, width, _)| (index, width));
    Layout { columns: [(0, name)].into_iter().chain(rest).collect(), gap }
}

fn titles(pen: &mut Pen<'_>, frame: &Frame<'_>, layout: &Layout, first: usize, room: usize) {
    let style = pen.palette.title(frame.selected.is_some());
    let mut x = 0;
    for &(index, width) in &layout.columns {
        let Some(column) = frame.table.columns.get(index) else { continue };
        match frame.number {
            Some((number, _)) if index == 0 => {
                pen.text(x, frame.y, width, &format!("{number} {}", column.title), style);
            }
            _ if column.is_number => pen.text(x, frame.y, width, &format!("{:>width$}", column.title), style),
            _ => pen.text(x, frame.y, width, column.title, style),
        }
        x += width + layout.gap;
    }
    // What is hidden, and the order, in what is left of the line.
    let mut notes = Vec::new();
    if let Some((_, order)) = frame.number
        && order != Order::Graph
    {
        notes.push(format!("by {}", order.name()));
    }
    let rows = frame.table.rows.len();
    if rows > room {
        notes.push(format!("{}-{} of {rows}", (first + 1).min(first + room), first + room));
    }
    let note = notes.join(", ");
    let width = pen.width();
    if !note.is_empty() && x + note.len() <= width {
        pen.cell(width - note.len(), frame.y, note.len(), &Cell::new(note, Tone::Dim));
    }
}

fn draw_row(pen: &mut Pen<'_>, row: &Row, layout: &Layout, y: usize) {
    let indent = INDENT * (row.depth + 1);
    let mut x = 0;
    let cells = match &row.body {
        Body::Cells(cells) => cells,
        Body::Note(note) => {
            let width = pen.width();
            let name = format!("{} ", row.name);
            pen.text(indent, y, width.saturating_sub(indent), &name, pen.palette.style(Tone::Dim));
            let x = indent + name.width();
            pen.cell(x, y, width.saturating_sub(x), note);
            return;
        }
    };
    for &(index, width) in &layout.columns {
        match index.checked_sub(1).and_then(|index| cells.get(index)) {
            None => pen.text(indent, y, width.saturating_sub(indent), &row.name, pen.palette.style(Tone::Plain)),
            Some(cell) => {
                let used = cell.text.width();
                let shift = if is_number(cell, width, used) { width - used } else { 0 };
                pen.cell(x + shift, y, width - shift, cell);
            }
        }
        x += width + layout.gap;
    }
}

/// Whether a cell is aligned right: figures begin with a digit, `-` or `<`.
fn is_number(cell: &Cell, width: usize, used: usize) -> bool {
    used <= width && cell.text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '<')
}
