//! Templates: texts with fields of the event between `{{` and `}}`, such as `{{ attributes.user }}@{{ body.host }}`.
//!
//! The crate finds the parts of a template, for sinks and for nodes. They resolve the fields, and decide what a missing value
//! becomes.

use std::fmt;

/// A part of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'t> {
    /// A text that is not empty, as it stands.
    Literal(&'t str),
    /// What stands between the braces, without the white space around it. It is not checked, and can be empty.
    Field(&'t str),
}

/// A field is not closed: there is no `}}` after its `{{`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclosed {
    /// The beginning of the text after the braces.
    after: Box<str>,
}

/// Characters of the text after the braces that the message has.
const SHOWN: usize = 40;

impl fmt::Display for Unclosed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{{{{{}` has no `}}}}` after it; a field looks like `{{{{ attributes.user }}}}`", self.after)
    }
}

impl std::error::Error for Unclosed {}

/// Splits a template into its parts, in order. `}}` outside of a field is text.
///
/// # Errors
///
/// A field is not closed.
pub fn parts(template: &str) -> Result<Vec<Part<'_>>, Unclosed> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((field, after)) = after.split_once("}}") else {
            return Err(Unclosed { after: after.chars().take(SHOWN).collect() });
        };
        parts.extend((!before.is_empty()).then_some(Part::Literal(before)));
        parts.push(Part::Field(field.trim()));
        rest = after;
    }
    parts.extend((!rest.is_empty()).then_some(Part::Literal(rest)));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::Part::{Field, Literal};
    use super::*;

    #[test]
    fn a_template_has_literals_and_fields_in_order() {
        for (template, expected) in [
            ("", &[][..]),
            ("a } b }} { c", &[Literal("a } b }} { c")]),
            ("{{a}}", &[Field("a")]),
            ("x {{ a.b }}{{\tc }} y", &[Literal("x "), Field("a.b"), Field("c"), Literal(" y")]),
            ("{{}}{{ }}", &[Field(""), Field("")]),
            ("{{ \"a {b\" }}}", &[Field("\"a {b\""), Literal("}")]),
        ] {
            assert_eq!(parts(template).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn a_field_that_is_not_closed_is_refused_with_its_beginning() {
        let error = |template| parts(template).unwrap_err().to_string();
        assert_eq!(
            error("{{ a }} {{ b } "),
            "`{{ b } ` has no `}}` after it; a field looks like `{{ attributes.user }}`"
        );
        assert!(error(&format!("{{{{{}", "é".repeat(100))).contains(&format!("`{{{{{}`", "é".repeat(SHOWN))));
    }
}
