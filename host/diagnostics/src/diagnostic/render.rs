//! Formats diagnostics as text over several lines with an excerpt, as text on one line, and as
//! JSON.

use std::fmt::Write as _;

use wattle_printable::{Line, line, text};

use super::{Diagnostic, Severity};

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const BLUE: &str = "\x1b[1;34m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

impl Diagnostic {
    /// Renders the diagnostic over several lines in the style of rustc; each line ends with a line
    /// feed.
    pub fn render(&self, color: bool) -> String {
        let paint = |style: &str, text: &str| if color { format!("{style}{text}{PLAIN}") } else { text.to_owned() };
        let tone = if self.severity == Severity::Error { RED } else { YELLOW };
        let gutter = if self.excerpt.is_some() { " ".repeat(self.line.to_string().len()) } else { String::new() };
        let bar = paint(BLUE, "|");

        let mut out = paint(tone, &format!("{}[{}]", self.severity, self.code));
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}", paint(BOLD, &format!(": {}", continued(&self.message))));
        if let Some(position) = self.position() {
            let _ = writeln!(out, "{gutter}{} {position}", paint(BLUE, "-->"));
        }
        if let Some(excerpt) = &self.excerpt {
            // Keep tabs before the carets, so that the carets stay aligned at any tab width.
            let indent: String =
                excerpt.text.chars().take(excerpt.start).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let carets = paint(tone, &"^".repeat(self.length.max(1)));
            let _ = writeln!(out, "{gutter} {bar}");
            let _ = writeln!(out, "{} {bar} {}", paint(BLUE, &self.line.to_string()), text(&excerpt.text));
            let _ = writeln!(out, "{gutter} {bar} {indent}{carets}");
        }
        for note in &self.notes {
            let _ = writeln!(out, "{gutter} {} note: {}", paint(BLUE, "="), continued(note));
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(out, "{gutter} {} help: {}", paint(BLUE, "="), continued(hint));
        }
        out
    }

    /// Renders the diagnostic on one line, as `file:line:column: error[E0203]: message; hint`.
    pub fn render_line(&self) -> String {
        let mut out = self.position().map(|position| format!("{position}: ")).unwrap_or_default();
        let _ = write!(out, "{}[{}]: {}", self.severity, self.code, line(&self.message));
        if let Some(hint) = &self.hint {
            let _ = write!(out, "; {}", line(hint));
        }
        out
    }

    /// Renders the diagnostic as one JSON object on one line.
    pub fn render_json(&self) -> String {
        // Plain strings and numbers always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The place in a file; `None` for a value of the command line, which has no file.
    fn position(&self) -> Option<String> {
        if self.file.as_os_str().is_empty() {
            return None;
        }
        let file = Line(self.file.display());
        Some(if self.line == 0 { file.to_string() } else { format!("{file}:{}:{}", self.line, self.column) })
    }
}

/// Indents the continuation lines of a text, so that none of them looks like another diagnostic.
fn continued(shown: &str) -> String {
    text(shown).replace('\n', "\n      ")
}

#[cfg(test)]
mod tests {
    use super::super::Excerpt;
    use super::*;
    use expect_test::{Expect, expect};

    fn sample() -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            code: "E0203",
            message: "unknown node type `unrol`".to_owned(),
            file: "agent.toml".into(),
            line: 12,
            column: 13,
            length: 15,
            hint: Some("did you mean `builtin:unroll`?".to_owned()),
            notes: Vec::new(),
            excerpt: Some(Excerpt { text: "\tartifact = \"builtin:unrol\"".to_owned(), start: 12 }),
        }
    }

    #[track_caller]
    fn check(text: &str, expected: Expect) {
        expected.assert_eq(text);
    }

    #[test]
    fn shows_the_line_with_carets_under_the_place() {
        check(
            &sample().render(false),
            expect![[r#"
                error[E0203]: unknown node type `unrol`
                  --> agent.toml:12:13
                   |
                12 | 	artifact = "builtin:unrol"
                   | 	           ^^^^^^^^^^^^^^^
                   = help: did you mean `builtin:unroll`?
            "#]],
        );
    }

    #[test]
    fn shows_only_the_file_if_there_is_no_place() {
        let diagnostic = Diagnostic { line: 0, column: 0, length: 0, excerpt: None, ..sample() };
        check(
            &diagnostic.render(false),
            expect![[r#"
                error[E0203]: unknown node type `unrol`
                --> agent.toml
                 = help: did you mean `builtin:unroll`?
            "#]],
        );
        check(
            &diagnostic.render_line(),
            expect!["agent.toml: error[E0203]: unknown node type `unrol`; did you mean `builtin:unroll`?"],
        );
    }

    #[test]
    fn shows_no_place_without_a_file() {
        let diagnostic =
            Diagnostic { file: "".into(), line: 0, column: 0, length: 0, excerpt: None, hint: None, ..sample() };
        check(
            &diagnostic.render(false),
            expect![[r#"
                error[E0203]: unknown node type `unrol`
            "#]],
        );
        check(&diagnostic.render_line(), expect!["error[E0203]: unknown node type `unrol`"]);
    }

    #[test]
    fn colours_only_on_request() {
        assert!(sample().render(true).contains("\x1b[1;31merror[E0203]\x1b[0m"));
        assert!(!sample().render(false).contains('\x1b'));
    }

    #[test]
    fn renders_json_without_the_excerpt() {
        check(
            &sample().render_json(),
            expect![[
                r#"{"severity":"error","code":"E0203","message":"unknown node type `unrol`","file":"agent.toml","line":12,"column":13,"length":15,"hint":"did you mean `builtin:unroll`?"}"#
            ]],
        );
    }
}
