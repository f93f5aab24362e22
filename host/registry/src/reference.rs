//! References to packs in registries: `oci://host/repository:tag` and
//! `oci://host/repository@sha256:…`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::image::is_digest;

/// Prefix of references to registries.
pub const SCHEME: &str = "oci://";

/// A reference to a pack in a registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Host name or IP address, with the port if there is one.
    pub host: String,
    /// Path of the repository.
    pub repository: String,
    /// The tag. It is only informative if there is a digest.
    pub tag: Option<String>,
    /// Digest of the manifest; it pins the image.
    pub digest: Option<String>,
}

/// An error in a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad reference `{}`; {why}", text.escape_debug())]
pub struct BadReference {
    text: String,
    why: &'static str,
}

impl FromStr for Reference {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Self, BadReference> {
        let bad = |why| BadReference { text: text.to_owned(), why };
        let form = "write `oci://host/repository:tag` or `oci://host/repository@sha256:…`";
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| bad(form))?;
        let (host, path) = rest.split_once('/').ok_or_else(|| bad(form))?;
        let (path, digest) = match path.split_once('@') {
            Some((path, digest)) => (path, Some(digest)),
            None => (path, None),
        };
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
        if !is_host(host) {
            return Err(bad("the host must be a host name or an IP address, with an optional port"));
        }
        if !repository.split('/').all(is_component) || repository.len() > 255 {
            return Err(bad(
                "the repository must consist of lower-case letters and digits, separated by `.`, `_`, `-` and `/`",
            ));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(bad("the tag must consist of at most 128 letters, digits, `_`, `.` and `-`"));
        }
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(bad("the digest must be `sha256:` and 64 lower-case hexadecimal digits"));
        }
        if tag.is_none() && digest.is_none() {
            return Err(bad("add a tag or a digest; there is no default tag"));
        }
        Ok(Self {
            host: host.to_owned(),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl Reference {
    /// Returns a reference to the same repository, pinned to a digest.
    pub fn pinned(&self, digest: &str) -> Self {
        Self { digest: Some(digest.to_owned()), tag: None, ..self.clone() }
    }

    /// Returns the repository without tag and digest, as written in a trust policy.
    pub fn source(&self) -> String {
        format!("{SCHEME}{}/{}", self.host, self.repository)
    }

    /// Returns the digest, or the tag if there is no digest.
    pub fn version(&self) -> &str {
        self.digest.as_deref().or(self.tag.as_deref()).unwrap_or_default()
    }

    /// Returns whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

/// Returns whether a host (with or without port) is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = name_of(host);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Returns a host without its port and brackets.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((ip, port)) if ip.parse::<IpAddr>().is_ok() => ("v6", port),
            _ => return false,
        },
        None => match host.split_once(':') {
            Some((name, _)) => (name, host.get(name.len()..).unwrap_or_default()),
            None => (host, ""),
        },
    };
    let port_fits = match port.strip_prefix(':') {
        Some(port) => port.parse::<u16>().is_ok_and(|port| port > 0),
        None => port.is_empty(),
    };
    let labels = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    port_fits && name.len() <= 253 && name.split('.').all(labels)
}

fn is_component(text: &str) -> bool {
    let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|b| edge(*b))
        && bytes.last().is_some_and(|b| edge(*b))
        && bytes.iter().all(|&b| edge(b) || matches!(b, b'.' | b'_' | b'-'))
        && !["..", "._", "_.", ".-", "-.", "_-", "-_", "___"].iter().any(|wrong| text.contains(wrong))
}

fn is_tag(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn references_are_displayed_as_they_were_parsed() {
        for text in [
            "oci://registry.example.com/packs/cloudtrail:1.0.0",
            "oci://localhost:5000/cloudtrail:v1_2",
            "oci://127.0.0.1:5000/a/b-c/d__e:x",
            "oci://[::1]:5000/a:1",
            &format!("oci://r.example.com/a@{DIGEST}"),
            &format!("oci://r.example.com/a:1@{DIGEST}"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), *text);
        }
    }

    #[test]
    fn invalid_references_are_errors() {
        for text in [
            "http://host/a:1",
            "oci://host",
            "oci://host/a",
            "oci://host/:1",
            "oci:///a:1",
            "oci://host/A:1",
            "oci://host/a//b:1",
            "oci://host/../b:1",
            "oci://host/a:",
            "oci://host/a:1:2",
            "oci://host/a@sha256:12",
            "oci://host/a@sha512:ba7816bf",
            "oci://user@host/a:1",
            "oci://host:0/a:1",
            "oci://host:99999/a:1",
            "oci://ho st/a:1",
            "oci://host/a:1?x=y",
            "oci://host/a:1#f",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_is_this_machine_only() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:80", "127.9.9.9", "[::1]:5000"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example.com", "127.0.0.1.example.com", "10.0.0.1", "[2001:db8::1]:5000"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
