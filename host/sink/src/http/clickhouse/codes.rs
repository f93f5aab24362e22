//! Codes of errors (`src/Common/ErrorCodes.cpp` of ClickHouse) and what they mean for the rows of a request.

use crate::http::response::Outcome;

/// Errors in a row: values that cannot be parsed or do not fit their column, unknown columns, violated constraints.
const OF_ROWS: [u32; 27] = [
    6, 25, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 128, 130, 131, 190, 321, 349, 376, 441, 467, 469, 491, 544, 675,
    676, 691,
];

/// Errors in the options or in the server: syntax, unknown settings, columns and formats, missing permission.
const OF_OPERATORS: [u32; 14] = [16, 47, 62, 73, 115, 164, 192, 193, 194, 291, 452, 497, 516, 36];

/// Unknown table, unknown database.
const OF_TABLES: [u32; 2] = [60, 81];

/// What a code means; `None` for one that only the status explains. With `are_many`, the events choose their tables, so
/// one that does not exist is an error of these events.
pub(super) fn outcome(code: u32, are_many: bool) -> Option<Outcome> {
    if OF_ROWS.contains(&code) || are_many && OF_TABLES.contains(&code) {
        Some(Outcome::Rejected)
    } else if OF_OPERATORS.contains(&code) || OF_TABLES.contains(&code) {
        Some(Outcome::NeedsOperator)
    } else {
        None
    }
}

/// The code of an error in a body, which begins like `Code: 27. DB::Exception: `.
pub(super) fn in_text(body: &str) -> Option<u32> {
    let (digits, rest) = body.strip_prefix("Code: ")?.split_once('.')?;
    digits.parse().ok().filter(|_| rest.trim_start().starts_with("DB::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_who_can_repair_an_error() {
        for (code, are_many, expected) in [
            (27, false, Some(Outcome::Rejected)),
            (117, true, Some(Outcome::Rejected)),
            (60, false, Some(Outcome::NeedsOperator)),
            (60, true, Some(Outcome::Rejected)),
            (516, true, Some(Outcome::NeedsOperator)),
            (252, false, None),
            (241, true, None),
        ] {
            assert_eq!(outcome(code, are_many), expected, "{code}");
        }
        assert_eq!(in_text("Code: 27. DB::Exception: Cannot parse input"), Some(27));
        assert_eq!(in_text("Code: 27, e.displayText() = DB::Exception"), None);
        assert_eq!(in_text("Ok."), None);
        assert_eq!(in_text(""), None);
    }
}
