//! Identifiers and credentials of AWS.

use std::ops::Range;

use memchr::memchr2;

use super::{begins, byte, ends, percent_escape, run, run_before};

/// Prefixes of unique identifiers of IAM. Source:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids>
const PREFIXES: [&[u8; 4]; 12] =
    [b"ABIA", b"ACCA", b"AGPA", b"AIDA", b"AIPA", b"AKIA", b"ANPA", b"ANVA", b"APKA", b"AROA", b"ASCA", b"ASIA"];

/// From 16 characters (the API's minimum for an `AccessKeyId`) to 128 (its maximum); 20 and 21 in
/// practice. Source: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKey.html>
const ID_LENGTH: std::ops::RangeInclusive<usize> = 16..=128;

/// Minimum length of an identifier at the end of a truncated row. The prefix is four characters of
/// it.
const MIN_CUT_ID: usize = 8;

/// A secret access key has 40 characters of base64 without padding. Source:
/// <https://github.com/awslabs/git-secrets>, `--register-aws`. Cut and longer ones are masked too.
const MIN_SECRET: usize = 16;

/// The maximum length of a name.
const MAX_NAME: usize = 20;

/// An identifier whose prefix is at this place.
pub(super) fn id(text: &[u8], at: usize) -> Option<Range<usize>> {
    // Check this first, so no run of letters is read more than once.
    if !begins(text, at) {
        return None;
    }
    let end = run(text, at, |b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let is_id = ID_LENGTH.contains(&(end - at)) && ends(text, end);
    (is_id || is_cut(text, at, end)).then_some(at..end)
}

/// Whether a row was truncated inside an identifier: it ends there, and contains quotes, so it is
/// not a plain line of words.
fn is_cut(text: &[u8], start: usize, end: usize) -> bool {
    end == text.len()
        && (MIN_CUT_ID..*ID_LENGTH.start()).contains(&(end - start))
        && memchr2(b'"', b'\'', text.get(..start).unwrap_or_default()).is_some()
}

/// An identifier of any kind, whose first letter is at this place.
pub(super) fn any_id(text: &[u8], at: usize) -> Option<Range<usize>> {
    // Every prefix ends with `A`, so one comparison skips most places.
    if byte(text, at + 3) != b'A' {
        return None;
    }
    let prefix = text.get(at..at + 4)?;
    PREFIXES.iter().any(|p| prefix == *p).then(|| id(text, at))?
}

/// The identifier of a role whose prefix is at this place, with the session name after it; `None`
/// without a session name. Source:
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>, `RoleSessionName`
pub(super) fn role_session(text: &[u8], at: usize) -> Option<Range<usize>> {
    let id = id(text, at)?;
    let start = match percent_escape(text, id.end) {
        Some((b':', end)) => end,
        Some(_) => return None,
        None if byte(text, id.end) == b':' => id.end + 1,
        None => return None,
    };
    let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b'=' | b',' | b'.' | b'@' | b'-');
    let mut end = run(text, start, is_part);
    while let Some((_, after)) = percent_escape(text, end).filter(|(byte, _)| is_part(*byte)) {
        end = run(text, after, is_part);
    }
    // In an unquoted list or sentence, the punctuation after the name is not part of it.
    let end = run_before(text, end, end - start, |b| matches!(b, b',' | b'.'));
    (end > start).then_some(at..end)
}

/// The value assigned to the name whose last part is at this place.
pub(super) fn secret_access_key(text: &[u8], at: usize) -> Option<Range<usize>> {
    assigned(text, at)
}

/// The value assigned to the name whose last part is at this place: in a configuration file, an
/// environment variable, a header, or a presigned URL. Source:
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>
pub(super) fn session_token(text: &[u8], at: usize) -> Option<Range<usize>> {
    assigned(text, at)
}

/// Base64, also in a URL (`%2B`), or in JSON of PHP (`\/`).
fn assigned(text: &[u8], at: usize) -> Option<Range<usize>> {
    let space = |b: u8| matches!(b, b' ' | b'\t' | b'"' | b'\'' | b'\\');
    let name = text.get(..text.len().min(at + MAX_NAME))?;
    let sign = run(text, run(name, at, |b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'-')), space);
    let after = match (byte(text, sign), byte(text, sign + 1)) {
        (b'=', b'>') => sign + 2,
        (b'=' | b':', _) => sign + 1,
        _ => return None,
    };
    let start = run(text, after, space);
    let part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'%' | b'-' | b'_');
    let mut end = run(text, start, part);
    while byte(text, end) == b'\\' && byte(text, end + 1) == b'/' {
        end = run(text, end + 1, part);
    }
    (end - start >= MIN_SECRET).then_some(start..end)
}
