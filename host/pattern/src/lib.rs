//! Why a pattern is not a regular expression, for the errors of options of sources and nodes, and of
//! parameters of packs.
//!
//! The crate depends on no other one, also not on `regex`, since guests use it and each links its
//! own build of that crate.

/// The problem with a pattern on one line, and how to fix it, from the error of the crate `regex`. The text does not quote
/// the pattern, which may come from a secret parameter; the agent shows its place.
pub fn bad_pattern(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    // The last line has the problem; the lines before it draw the pattern.
    let problem = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
    // The errors of the crate are text outside of its parser.
    let cures = [
        ("unclosed group", "close it with `)`, or write `\\(` for the character"),
        ("unopened group", "remove the `)`, or write `\\)` for the character"),
        ("unclosed character class", "close it with `]`, or write `\\[` for the character"),
        ("look-around", "match the text around it too, and put what you need in a group, such as `password=(\\S+)`"),
        ("backreferences", "list what may be repeated instead"),
        (
            "repetition operator missing expression",
            "write an expression before it, or `\\*`, `\\+`, `\\?` for the character",
        ),
        ("unrecognized escape sequence", "write `\\\\` for a backslash"),
        ("exceeds size limit", "repeat less, or use smaller numbers in `{}`"),
    ];
    let cure = cures.into_iter().find(|(part, _)| problem.contains(part));
    cure.map_or_else(
        || format!("not a regular expression: {problem}"),
        |(_, cure)| format!("not a regular expression: {problem}; {cure}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_pattern_is_explained_on_one_line_with_a_fix() {
        let drawn = "regex parse error:\n    (a\n    ^\nerror: unclosed group";
        let expected = "not a regular expression: unclosed group; close it with `)`, or write `\\(` for the character";
        assert_eq!(bad_pattern(&drawn), expected);
        assert_eq!(bad_pattern(&"error: something new"), "not a regular expression: something new");
    }
}
