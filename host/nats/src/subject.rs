//! Names of subjects, streams and consumers.

/// Maximum length of a subject. The server limits a control line to 4 KiB, which also has the subject of the answer.
const MAX_SUBJECT_BYTES: usize = 1024;

/// Maximum length of the name of a stream or a consumer.
const MAX_NAME_BYTES: usize = 255;

/// Whether a subject can have `*` and `>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wildcards {
    /// As the subject of a message, which has none.
    Forbidden,
    /// As a filter.
    Allowed,
}

/// Whether a token of a subject can have this character.
pub fn is_token_char(char: char) -> bool {
    !char.is_whitespace() && !char.is_control() && !matches!(char, '.' | '*' | '>')
}

/// Checks a subject.
///
/// # Errors
///
/// What is wrong with it, as a sentence after the name of the option.
pub fn check_subject(subject: &str, wildcards: Wildcards) -> Result<(), String> {
    if subject.len() > MAX_SUBJECT_BYTES {
        return Err(format!("is longer than {MAX_SUBJECT_BYTES} bytes"));
    }
    let tokens: Vec<&str> = subject.split('.').collect();
    let is_wildcard = |(index, token): (usize, &str)| {
        wildcards == Wildcards::Allowed && (token == "*" || (token == ">" && index + 1 == tokens.len()))
    };
    let is_good = |(index, token): (usize, &&str)| {
        is_wildcard((index, token)) || (!token.is_empty() && token.chars().all(is_token_char))
    };
    if tokens.iter().enumerate().all(is_good) {
        return Ok(());
    }
    let hint = match wildcards {
        Wildcards::Forbidden => "without wildcards",
        Wildcards::Allowed => "where `*` stands for one token and a last `>` for the rest",
    };
    Err(format!("`{subject}` is not a subject: tokens between dots, without white space, {hint}"))
}

/// Checks the name of a stream or a consumer.
///
/// # Errors
///
/// What is wrong with it, as a sentence after the name of the option.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_good = |char: char| is_token_char(char) && !matches!(char, '/' | '\\');
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(is_good) {
        return Err(format!(
            "`{name}` is not a name: 1 to {MAX_NAME_BYTES} characters, without white space, `.`, `*`, `>`, `/` and `\\`"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_those_that_the_server_takes() {
        for good in ["a", "a.b-c_d.$x", "ä.1/2", &"x".repeat(MAX_SUBJECT_BYTES)] {
            assert_eq!(check_subject(good, Wildcards::Forbidden), Ok(()));
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a b", "a\tb", "a.*", ">", "a*", &"x".repeat(MAX_SUBJECT_BYTES + 1)] {
            assert!(check_subject(bad, Wildcards::Forbidden).is_err(), "{bad}");
        }
        for good in ["*", ">", "a.*.b", "a.>"] {
            assert_eq!(check_subject(good, Wildcards::Allowed), Ok(()));
        }
        for bad in ["a.>.b", "a*.b", ">>", "a.**"] {
            assert!(check_subject(bad, Wildcards::Allowed).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_those_that_the_server_takes() {
        for good in ["a", "A-b_1", "ä"] {
            assert_eq!(check_name(good), Ok(()));
        }
        for bad in ["", "a.b", "a b", "*", ">", "a/b", "a\\b", &"x".repeat(MAX_NAME_BYTES + 1)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
