//! Values with fields of the poll between `{{` and `}}`, such as `{{ since }}`.

use std::fmt;

use wattle_options::Secret;
use wattle_template::Part;

/// A field of the poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Cursor,
    Since,
    Page,
    Offset,
}

/// What the fields stand for in one request. `None` has no value yet.
#[derive(Clone, Default)]
pub(super) struct Values {
    pub(super) cursor: Option<String>,
    pub(super) since: Option<String>,
    pub(super) page: Option<u64>,
    pub(super) offset: Option<u64>,
}

/// A value of an option. It may contain a token, so `Debug` does not print it.
#[derive(Clone)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone)]
enum Piece {
    Literal(Secret),
    Field(Field),
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Field {
    /// The field with this name.
    fn of(name: &str) -> Option<Self> {
        [Self::Cursor, Self::Since, Self::Page, Self::Offset].into_iter().find(|field| field.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cursor => "cursor",
            Self::Since => "since",
            Self::Page => "page",
            Self::Offset => "offset",
        }
    }
}

impl Values {
    fn of(&self, field: Field) -> Option<String> {
        match field {
            Field::Cursor => self.cursor.clone(),
            Field::Since => self.since.clone(),
            Field::Page => self.page.map(|page| page.to_string()),
            Field::Offset => self.offset.map(|offset| offset.to_string()),
        }
    }
}

impl Template {
    /// Reads a value.
    ///
    /// # Errors
    ///
    /// A field is not closed, or is not a field of the poll.
    pub(super) fn parse(value: &Secret) -> Result<Self, String> {
        // The error must not contain the text, which may be secret.
        let parts = wattle_template::parts(value.reveal());
        let parts = parts.map_err(|_| "has a `{{` without a `}}` after it".to_owned())?;
        let piece = |part| {
            match part {
            Part::Literal(text) => Ok(Piece::Literal(Secret::new(text.to_owned()))),
            Part::Field(name) => Field::of(name).map(Piece::Field).ok_or_else(|| {
                "has an unknown field; the fields are `{{ cursor }}`, `{{ since }}`, `{{ page }}` and `{{ offset }}`".to_owned()
            }),
        }
        };
        Ok(Self(parts.into_iter().map(piece).collect::<Result<_, _>>()?))
    }

    /// Whether a field occurs.
    pub(super) fn has(&self, field: Field) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Field(found) if *found == field))
    }

    /// The text outside of the fields.
    pub(super) fn literals(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Literal(text) => Some(text.reveal()),
            Piece::Field(_) => None,
        })
    }

    /// The value with its fields filled in; `None` if one of them has no value yet.
    pub(super) fn fill(&self, values: &Values) -> Option<String> {
        let piece = |piece: &Piece| match piece {
            Piece::Literal(text) => Some(text.reveal().to_owned()),
            Piece::Field(field) => values.of(*field),
        };
        self.0.iter().map(piece).collect()
    }

    /// The value with its fields filled in as in a JSON string. A field without a value is empty.
    pub(super) fn fill_json(&self, values: &Values) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text.reveal().as_bytes()),
                Piece::Field(field) => {
                    wattle_json::escape(values.of(*field).unwrap_or_default().as_bytes(), &mut out);
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Template, String> {
        Template::parse(&Secret::new(text.to_owned()))
    }

    #[test]
    fn fields_are_filled_in_and_a_value_waits_for_all_of_its_fields() {
        let template = parse("created:>={{since}} p{{ page }}").unwrap();
        let mut values = Values { since: Some("\"a\"".into()), ..Values::default() };
        assert_eq!(template.fill(&values), None);
        assert_eq!(template.fill_json(&values), br#"created:>=\"a\" p"#);
        values.page = Some(7);
        assert_eq!(template.fill(&values).unwrap(), "created:>=\"a\" p7");
        assert_eq!(parse("").unwrap().fill(&values).unwrap(), "");
        assert!(template.has(Field::Page) && !template.has(Field::Cursor));
    }

    #[test]
    fn no_text_of_a_value_is_shown() {
        for text in ["geheim {{ x", "{{ geheim }}"] {
            let error = parse(text).unwrap_err();
            assert!(!error.contains("geheim"), "{error}");
        }
        assert_eq!(format!("{:?}", parse("geheim").unwrap()), "***");
    }
}
