//! Authentication challenges of registries: the header `WWW-Authenticate`.

/// A challenge of a registry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User name and password.
    Basic,
    /// A token from a token server.
    Bearer { realm: String, query: String },
}

impl Challenge {
    /// Parses the value of a `WWW-Authenticate` header; `None` for an unsupported scheme.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, mut rest) = text.split_once(' ').unwrap_or((text, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut query) = (None, Vec::new());
        while let Some((key, after)) = rest.split_once('=') {
            let key = key.trim_matches([' ', ',']);
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_once(',').unwrap_or((after, "")),
            };
            rest = after;
            match key {
                "realm" => realm = Some(value.to_owned()),
                "service" | "scope" => query.push(format!("{key}={}", encode(value))),
                _ => {}
            }
        }
        Some(Self::Bearer { realm: realm?, query: query.join("&") })
    }
}

/// Percent-encodes characters that a query cannot contain.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'/' | b',' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_challenges_are_parsed() {
        let text =
            r#"Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a/b:pull,push""#;
        let expected = Challenge::Bearer {
            realm: "https://auth.example.com/token".into(),
            query: "service=registry&scope=repository:a/b:pull,push".into(),
        };
        assert_eq!(Challenge::parse(text), Some(expected));
        assert_eq!(Challenge::parse("Basic realm=\"x\""), Some(Challenge::Basic));
        assert_eq!(Challenge::parse("basic"), Some(Challenge::Basic));
        for text in ["Bearer", "Bearer service=\"x\"", "Negotiate", "", "Bearer realm=\"open"] {
            assert_eq!(Challenge::parse(text), None, "{text}");
        }
        assert_eq!(encode("a b&c=d%"), "a%20b%26c%3Dd%25");
    }
}
