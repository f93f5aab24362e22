//! Texts of a drawing, and how wide they are in the fonts of most systems.

use wattle_api::graph::{Edge, Output, Pipeline};

/// Size of the font of names in pixels.
pub(super) const NAME: f64 = 13.0;
/// Size of the font of details.
pub(super) const DETAIL: f64 = 11.0;
/// Size of the font of labels.
pub(super) const LABEL: f64 = 10.5;

/// About the width of a text in pixels, in a wide sans-serif font. Names are bold.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let bold = if size >= NAME { 1.1 } else { 1.0 };
    text.chars().map(|c| advance(c) * size * bold).sum()
}

/// Width of a character, as a part of the size of the font.
fn advance(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '\'' | '|' | '.' | ',' | ':' | ';' | '!' => 0.32,
        'f' | 'r' | 't' | 'I' | ' ' | '(' | ')' | '[' | ']' | '/' | '-' => 0.4,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.95,
        'A'..='Z' => 0.7,
        c if c.is_ascii() => 0.62,
        _ => 1.0,
    }
}

/// The beginning of a text that fits into this many pixels.
pub(super) fn shortened(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut begin = String::new();
    for c in text.chars() {
        begin.push(c);
        if width(&begin, size) + size > room {
            begin.pop();
            break;
        }
    }
    begin.trim_end().to_owned() + "…"
}

/// What a pipeline receives.
pub(super) fn inputs(pipeline: &Pipeline) -> String {
    match pipeline.inputs.as_slice() {
        [first, _, rest @ ..] if !rest.is_empty() => format!("{first} and {} more", rest.len() + 1),
        few => few.join(", "),
    }
}

/// What an output feeds.
pub(super) fn outlet(output: &Output) -> String {
    if output.discard {
        return "discarded".into();
    }
    match output.sinks.iter().chain(&output.pipelines).map(String::as_str).collect::<Vec<_>>().as_slice() {
        [first, _, rest @ ..] if !rest.is_empty() => format!("→ {first} and {} more", rest.len() + 1),
        [] if output.name == output.title => String::new(),
        [] => output.name.clone(),
        few => format!("→ {}", few.join(", ")),
    }
}

/// The label of an edge: its port, unless that says nothing.
pub(super) fn label(edge: &Edge) -> &str {
    if edge.failed || edge.port == "out" { "" } else { &edge.port }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_where_it_no_longer_fits() {
        assert_eq!(shortened("mask", NAME, 100.0), "mask");
        let cut = shortened("get_describe_list_of_everything", NAME, 100.0);
        assert!(cut.ends_with('…') && width(&cut, NAME) <= 100.0 + NAME, "{cut}");
        assert!("get_describe_list_of_everything".starts_with(cut.trim_end_matches('…')));
        assert_eq!(shortened("", NAME, 0.0), "");
    }
}
