//! The secrets of the corpus, and the search for parts of them.

use std::collections::HashMap;

/// Length of the shortest part of a secret that counts as readable.
const WINDOW: usize = 8;

pub(crate) const ACCESS_KEY: &str = "ASIAQ7ZK4VXW2MPL9RTB";
/// An access key id without a key, in a sentence.
pub(crate) const LOOSE_KEY: &str = "AKIAJ8XDNE4WQZ6RHUVC";
pub(crate) const SECRET_KEY: &str = "kD9/vQ2w+LmZ7xTbN4sYc8HgRj5PfUe3aWoXiK1z";
pub(crate) const TOKEN: &str = "FwoGZXIvYXdzEJr3R7kq/Vn+T0pLs5uHyC2mWd8xGb1oQzN6fKiJa4tYwEeS9hUc7rMvXlPqBg0DjZ3A==";
/// Under `assumedRoleId`.
pub(crate) const ROLE: &str = "AROAV3NYHT6JQ8GDKSWC:nightly-x7Qz4";
/// Under `principalId`: the id of a role, which is not a secret by itself, and the name of a
/// session.
pub(crate) const PRINCIPAL: &str = "AROAM2CEUB5RLP9ZFTYX:operator-k3Wj8";
/// The base64 of a private key.
pub(crate) const PRIVATE_KEY: &str = "MIIEpAIBAAKCAQEA2vJ8qXm4TzKf7LwYb0PdRs5NhUc9gEiQ3aVoWtZ6xByD1kM";

/// Finds parts of secrets in what the agent wrote.
pub(crate) struct Readable {
    windows: HashMap<[u8; WINDOW], &'static str>,
}

impl Readable {
    /// Looks for every part of every secret.
    pub(crate) fn new() -> Self {
        Self::of(&[ACCESS_KEY, LOOSE_KEY, SECRET_KEY, TOKEN, ROLE, PRINCIPAL, PRIVATE_KEY])
    }

    /// The same for truncated documents: a role id at the end is not a secret, only the session
    /// name is.
    pub(crate) fn in_parts() -> Self {
        let session = PRINCIPAL.split_once(':').unwrap().1;
        Self::of(&[ACCESS_KEY, LOOSE_KEY, SECRET_KEY, TOKEN, ROLE, session, PRIVATE_KEY])
    }

    fn of(secrets: &[&'static str]) -> Self {
        let windows = secrets.iter().flat_map(|secret| secret.as_bytes().windows(WINDOW).map(move |w| (w, *secret)));
        Self { windows: windows.map(|(window, secret)| (window.try_into().unwrap(), secret)).collect() }
    }

    /// Fails if a part of a secret is readable, unchanged or after an obvious decoding.
    #[track_caller]
    pub(crate) fn assert_none(&self, what: &str, written: &[u8]) {
        let without = |byte: u8| written.iter().copied().filter(|b| *b != byte).collect::<Vec<u8>>();
        let percent = decoded(written, b"%", 2);
        let readings = [
            ("as it is", written.to_vec()),
            ("without NULs, as UTF-16", without(0)),
            ("without backslashes", without(b'\\')),
            ("with escapes decoded", decoded(&decoded(written, b"\\u00", 2), b"\\x", 2)),
            ("percent-decoded twice", decoded(&percent, b"%", 2)),
            ("percent-decoded", percent),
        ];
        let mut found = Vec::new();
        let mut last = ("", "");
        for (reading, text) in readings {
            for (at, window) in text.array_windows::<WINDOW>().enumerate() {
                if let Some(secret) = self.windows.get(window).filter(|secret| last != (reading, **secret)) {
                    let around = &text[at.saturating_sub(120)..text.len().min(at + 60)];
                    found.push(format!("{reading}: `{secret}` in {}", String::from_utf8_lossy(around)));
                    last = (reading, secret);
                }
            }
        }
        assert!(
            found.is_empty(),
            "{what}: {} parts of secrets are readable, {:#?}",
            found.len(),
            &found[..found.len().min(25)]
        );
        for magic in [&b"H4sI"[..], b"\x1f\x8b\x08"] {
            assert!(!written.windows(magic.len()).any(|w| w == magic), "{what}: compressed data");
        }
    }
}

/// Decodes escapes that consist of a mark and hexadecimal digits.
fn decoded(text: &[u8], mark: &[u8], digits: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let code = rest.strip_prefix(mark).and_then(|rest| rest.get(..digits)).and_then(|d| str::from_utf8(d).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &rest[mark.len() + digits..];
            }
            None => {
                out.push(first);
                rest = after;
            }
        }
    }
    out
}
