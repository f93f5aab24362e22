//! Tokens, keys and passwords.

use std::ops::Range;

use memchr::memmem;

use super::{after_escape, begins, byte, ends, run, run_before};

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// A JSON Web Token whose header begins here: three parts (signed) or five (encrypted) of
/// base64url. The header is a JSON object, so its text begins with `eyJ`. Source: RFC 7515 section
/// 7.1, RFC 7516 section 7.1, <https://www.rfc-editor.org/rfc/rfc7515>
pub(super) fn jwt(text: &[u8], at: usize) -> Option<Range<usize>> {
    const MIN_HEADER: usize = 10;
    const MIN_BODY: usize = 4;
    if !begins_apart(text, at) {
        return None;
    }
    let header = run(text, at, is_base64url);
    let body = run(text, header + 1, is_base64url);
    if byte(text, header) != b'.' || header - at < MIN_HEADER || body - header <= MIN_BODY || byte(text, body) != b'.' {
        return None;
    }
    // The signature of an unsecured token is empty.
    let mut end = run(text, body + 1, is_base64url);
    let fourth = run(text, end + 1, is_base64url);
    if byte(text, end) == b'.' && byte(text, fourth) == b'.' {
        end = run(text, fourth + 1, is_base64url);
    }
    Some(at..end)
}

/// Whether a token that can contain dashes and full stops can begin here, so nothing is read twice.
fn begins_apart(text: &[u8], at: usize) -> bool {
    let goes_on = at.checked_sub(1).is_some_and(|b| is_base64url(byte(text, b)) || byte(text, b) == b'.');
    !goes_on || after_escape(text, at)
}

/// The token after `Bearer `, whose `earer ` is here. In prose, shorter words follow. Source: RFC
/// 6750 section 2.1, <https://www.rfc-editor.org/rfc/rfc6750>
pub(super) fn bearer(text: &[u8], at: usize) -> Option<Range<usize>> {
    const MIN_LEN: usize = 16;
    let word = at.checked_sub(1)?;
    if !matches!(byte(text, word), b'b' | b'B') || !begins(text, word) {
        return None;
    }
    let start = run(text, at + "earer".len(), |b| b == b' ');
    let end =
        run(text, start, |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'='));
    (end - start >= MIN_LEN).then_some(start..end)
}

/// The credentials after `Basic `, whose `asic ` is here: base64 of a name, a colon and a password.
/// Source: RFC 7617 section 2, <https://www.rfc-editor.org/rfc/rfc7617>
pub(super) fn basic(text: &[u8], at: usize) -> Option<Range<usize>> {
    let word = at.checked_sub(1)?;
    if !matches!(byte(text, word), b'b' | b'B') || !begins(text, word) {
        return None;
    }
    let start = run(text, at + "asic".len(), |b| b == b' ');
    let mut end = run(text, start, |b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_' | b'='));
    // PHP escapes a slash.
    while byte(text, end) == b'\\' && byte(text, end + 1) == b'/' {
        end = run(text, end + 1, |b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='));
    }
    // After the name of the header, any text is a credential; elsewhere only text that decodes to a
    // name and a password.
    let header = run_before(text, word, 40, |b| !b.is_ascii_control());
    let header = text.get(header..word)?;
    let is_header = header.windows(b"uthorization".len()).any(|w| w.eq_ignore_ascii_case(b"uthorization"));
    let is_pair = || holds_colon(text.get(start..end).unwrap_or_default());
    (start < end && ends(text, end) && (is_header || is_pair())).then_some(start..end)
}

/// Whether base64 decodes to printable text with a colon in it.
fn holds_colon(encoded: &[u8]) -> bool {
    let value = |b: u8| match b {
        b'A'..=b'Z' => Some(b - b'A'),
        b'a'..=b'z' => Some(b - b'a' + 26),
        b'0'..=b'9' => Some(b - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    };
    let (mut bits, mut count, mut colon) = (0_u32, 0, false);
    for value in encoded.iter().filter(|b| !matches!(b, b'=' | b'\\')).map(|b| value(*b)) {
        let Some(value) = value else { return false };
        (bits, count) = (bits << 6 | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            let byte = (bits >> count) as u8;
            if byte.is_ascii_control() {
                return false;
            }
            colon |= byte == b':';
        }
    }
    colon && encoded.len() >= 4
}

/// A PEM block whose first line ends here. A truncated block extends as far as its text looks like
/// PEM. Line feeds can be escaped. Source: RFC 7468 section 2,
/// <https://www.rfc-editor.org/rfc/rfc7468>
pub(super) fn private_key(text: &[u8], at: usize) -> Option<Range<usize>> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    let kind = run_before(text, at, 40, |b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b' ');
    // The run holds the word BEGIN too.
    let start = kind.checked_sub(5)?;
    if !text.get(start..at)?.starts_with(BEGIN) {
        return None;
    }
    let inside = at + "PRIVATE KEY-----".len();
    let end = run(text, inside, |b| {
        b.is_ascii_alphanumeric()
            || b.is_ascii_whitespace()
            || matches!(b, b'+' | b'/' | b'=' | b'\\' | b':' | b',' | b'-' | b'.' | b'%')
    });
    let block = text.get(inside..end)?;
    match memmem::find(block, b"-----END") {
        Some(last) => {
            let line = inside + last + "-----END".len();
            let dashes = memmem::find(text.get(line..end)?, b"-----").map_or(end, |d| line + d + 5);
            Some(start..dashes)
        }
        // The backslashes of the quote that ends the string are not part of the block.
        None => Some(start..run_before(text, end, end - inside, |b| b == b'\\')),
    }
}

/// The first characters of the base64 of an SSH public key: the name of its algorithm after its
/// length; also for a complete line that was encoded a second time, as `ImportKeyPair` of EC2 takes
/// it. Source: RFC 4253 section 6.6, RFC 5656 section 3.1, RFC 8709 section 4, `PROTOCOL.u2f` of
/// OpenSSH
pub(super) const SSH: &[&str] = &[
    "AAAAB3NzaC1",
    "AAAAC3NzaC1lZDI1",
    "AAAAC3NzaC1lZDQ0",
    "AAAAE2VjZHNhLXNoYTIt",
    "AAAAGnNrLXNzaC1lZDI1",
    "AAAAInNrLWVjZHNhLXNoYTIt",
    "c3NoLXJzYSBB",
    "c3NoLWVkMjU1MTkgQU",
    "ZWNkc2Etc2hhMi1u",
];

/// The base64 of an SSH public key that begins here; its comment stays.
pub(super) fn ssh_public_key(text: &[u8], at: usize) -> Option<Range<usize>> {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'-' | b'_' | b'%');
    if at.checked_sub(1).is_some_and(|b| byte(text, b).is_ascii_alphanumeric()) && !after_escape(text, at) {
        return None;
    }
    let mut end = run(text, at, is_part);
    // PHP escapes a slash.
    while byte(text, end) == b'\\' && byte(text, end + 1) == b'/' {
        end = run(text, end + 1, is_part);
    }
    Some(at..end)
}

/// A token of GitHub whose first underscore is here. Source:
/// <https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/>
pub(super) fn github(text: &[u8], at: usize) -> Option<Range<usize>> {
    let before = text.get(..at)?;
    let (start, shortest) = match before {
        [.., b'g', b'h', b'p' | b'o' | b'u' | b's' | b'r'] => (at - 3, 36),
        [.., b'g', b'i', b't', b'h', b'u', b'b'] if text.get(at + 1..)?.starts_with(b"pat_") => (at - 6, 26),
        _ => return None,
    };
    if !begins(text, start) {
        return None;
    }
    let end = run(text, at + 1, |b| b.is_ascii_alphanumeric() || b == b'_');
    (end - at > shortest).then_some(start..end)
}

/// A token of Slack that begins here.
/// Source: <https://docs.slack.dev/authentication/tokens/>
pub(super) fn slack(text: &[u8], at: usize) -> Option<Range<usize>> {
    const MIN_LEN: usize = 15;
    if !begins_apart(text, at) {
        return None;
    }
    let kind =
        if byte(text, at + 1) == b'o' { run(text, at + 3, |b| b.is_ascii_lowercase() || b == b'.') } else { at + 4 };
    let end = run(text, at, |b| is_base64url(b) || b == b'.');
    let is_token = (at + 4..at + 12).contains(&kind) && byte(text, kind) == b'-';
    // A full stop may end the sentence.
    let end = run_before(text, end, end - at, |b| b == b'.');
    (is_token && end - at >= MIN_LEN && ends(text, end)).then_some(at..end)
}

/// The password in a URL whose `://` is here.
/// Source: RFC 3986 section 3.2.1, <https://www.rfc-editor.org/rfc/rfc3986>
pub(super) fn basic_auth_url(text: &[u8], at: usize) -> Option<Range<usize>> {
    if !at.checked_sub(1).is_some_and(|scheme| byte(text, scheme).is_ascii_alphanumeric()) {
        return None;
    }
    let user = at + "://".len();
    let end = run(text, user, |b| {
        b.is_ascii_graphic() && !matches!(b, b'/' | b'?' | b'#' | b'"' | b'\\' | b'<' | b'>' | b'\'')
    });
    let (authority, _) = text.get(user..)?.split_at_checked(end - user)?;
    // An `@` in a password should be escaped, but often is not: the last one counts.
    let at_sign = memchr::memrchr(b'@', authority)?;
    let colon = memchr::memchr(b':', authority.get(..at_sign)?)?;
    (colon + 1 < at_sign).then_some(user + colon + 1..user + at_sign)
}
