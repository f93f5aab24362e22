//! Indents JSON. What fits into a line and nests nothing stays on one line; numbers and strings keep their bytes, but for
//! characters that terminals execute.

use super::json;

/// Columns of a line; an object or list that is longer is split.
const WIDTH: usize = 80;
/// Columns of one level.
const STEP: usize = 2;
/// Maximum columns of indentation below the first line. Each value of the input has at most one line, so this bounds the
/// output, however deep the input nests.
const MAX_INDENT: usize = 40;

/// Writes a valid JSON text whose first line begins in the column `indent`; further lines begin there or to the right. Its
/// outermost object or list is split even if it fits.
pub(super) fn write(text: &[u8], indent: usize, out: &mut Vec<u8>) {
    walk(text, WIDTH, indent, out);
}

/// Does as [`write`] for a value that begins in `column`, behind its key, and may stay on that line.
pub(super) fn write_behind(text: &[u8], column: usize, indent: usize, out: &mut Vec<u8>) {
    walk(text, column, indent, out);
}

/// Writes a valid JSON text on one line, with a space after each separator.
pub(super) fn write_line(text: &[u8], out: &mut Vec<u8>) {
    let mut compact = Vec::new();
    wattle_json::minify(text, &mut compact);
    spread(&compact, out);
}

/// One pass without recursion: events nest as deep as their authors like.
fn walk(text: &[u8], column: usize, indent: usize, out: &mut Vec<u8>) {
    let mut compact = Vec::new();
    wattle_json::minify(text, &mut compact);
    let text = &compact[..];
    let (mut depth, mut at) = (0_usize, 0);
    let mut line = out.len();
    while let Some(&byte) = text.get(at) {
        match byte {
            b'{' | b'[' => {
                let used = if at == 0 { column } else { out.len() - line };
                if let Some(end) = short(text, at, used) {
                    spread(text.get(at..end).unwrap_or_default(), out);
                    at = end;
                    continue;
                }
                out.push(byte);
                depth += 1;
                line = break_line(depth, indent, out);
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line = break_line(depth, indent, out);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line = break_line(depth, indent, out);
            }
            b':' => out.extend_from_slice(b": "),
            _ => {
                at = push_scalar(text, at, out);
                continue;
            }
        }
        at += 1;
    }
}

/// Returns where the new line begins.
fn break_line(depth: usize, indent: usize, out: &mut Vec<u8>) -> usize {
    out.push(b'\n');
    let line = out.len();
    out.extend(std::iter::repeat_n(b' ', indent + (depth * STEP).min(MAX_INDENT)));
    line
}

/// The end of the object or list at `at` if it stays on its line: it is empty, or it fits and nests only empty ones. Looks
/// at no more than one line and one value.
fn short(text: &[u8], at: usize, used: usize) -> Option<usize> {
    if is_closing(text, at + 1) {
        return Some(at + 2);
    }
    // Its brackets, and the comma after them.
    let mut room = WIDTH.checked_sub(used + 3)?;
    let mut end = at + 1;
    loop {
        let (next, columns) = match text.get(end)? {
            b'}' | b']' => return Some(end + 1),
            b'{' | b'[' if is_closing(text, end + 1) => (end + 2, 2),
            b'{' | b'[' => return None,
            b',' | b':' => (end + 1, 2),
            _ => {
                let next = scalar(text, end);
                (next, next - end)
            }
        };
        room = room.checked_sub(columns)?;
        end = next;
    }
}

fn is_closing(text: &[u8], at: usize) -> bool {
    matches!(text.get(at), Some(b'}' | b']'))
}

/// Writes compact JSON with a space after each separator.
fn spread(text: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b',' | b':' => out.extend_from_slice(&[byte, b' ']),
            b'{' | b'}' | b'[' | b']' => out.push(byte),
            _ => {
                at = push_scalar(text, at, out);
                continue;
            }
        }
        at += 1;
    }
}

/// Writes the string, number or word at `at`. Returns its end.
fn push_scalar(text: &[u8], at: usize, out: &mut Vec<u8>) -> usize {
    let end = scalar(text, at);
    out.extend_from_slice(json(text.get(at..end).unwrap_or_default()).as_bytes());
    end
}

/// The end of the string, number or word at `at`.
fn scalar(text: &[u8], at: usize) -> usize {
    // Valid JSON has a value here. Of any other text one byte is taken, so that the walk ends.
    wattle_json::value_at(text, at).map_or(at + 1, |value| value.end).max(at + 1)
}
