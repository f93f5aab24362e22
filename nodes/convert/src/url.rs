//! The parts of a URL, after RFC 3986, appendix B.
//!
//! Split by hand: the crate `url` normalizes hosts with tables of 300 kB and refuses much of what logs have.

use percent_encoding::percent_decode;

use crate::write_string;

/// Parameters of one query.
const MAX_PARAMETERS: usize = 1000;

/// The parts of a URL. It has no password: [`Url::of`] leaves it out, so that it cannot be written anywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Url<'t> {
    /// Before the first colon.
    pub scheme: Option<&'t [u8]>,
    /// Name of the user.
    pub user: Option<&'t [u8]>,
    /// Name or address; an IPv6 address without its brackets.
    pub host: Option<&'t [u8]>,
    /// Port, if there is one.
    pub port: Option<u16>,
    /// Path; empty if there is none.
    pub path: &'t [u8],
    /// After the question mark.
    pub query: Option<&'t [u8]>,
    /// After the number sign.
    pub fragment: Option<&'t [u8]>,
}

/// A query has more than 1,000 parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyParameters;

impl<'t> Url<'t> {
    /// Splits a URL with a scheme, or a path that begins with `/`.
    pub fn of(text: &'t [u8]) -> Option<Self> {
        let mut parts = Self::default();
        let (rest, fragment) = split_at(text, b'#').map_or((text, None), |(rest, after)| (rest, Some(after)));
        let (mut rest, query) = split_at(rest, b'?').map_or((rest, None), |(rest, after)| (rest, Some(after)));
        (parts.fragment, parts.query) = (fragment, query);
        if rest.first() != Some(&b'/') {
            let (scheme, after) = split_at(rest, b':')?;
            let is_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
                && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
            if !is_scheme {
                return None;
            }
            (parts.scheme, rest) = (Some(scheme), after);
        }
        if let Some(after) = rest.strip_prefix(b"//") {
            let end = memchr::memchr(b'/', after).unwrap_or(after.len());
            let (authority, path) = after.split_at_checked(end)?;
            rest = path;
            let place = memchr::memrchr(b'@', authority);
            let host = match place {
                Some(place) => {
                    // The password stays out.
                    let user = authority.get(..place)?;
                    parts.user = Some(split_at(user, b':').map_or(user, |(name, _)| name));
                    authority.get(place + 1..)?
                }
                None => authority,
            };
            parts.authority(host)?;
        }
        parts.path = rest;
        Some(parts)
    }

    fn authority(&mut self, text: &'t [u8]) -> Option<()> {
        // The colons of an IPv6 address stand in brackets, and brackets stand nowhere else.
        let (host, port) = match text.strip_prefix(b"[") {
            Some(text) => {
                let (host, after) = split_at(text, b']')?;
                (host, if after.is_empty() { after } else { after.strip_prefix(b":")? })
            }
            None => match memchr::memrchr(b':', text) {
                Some(place) => (text.get(..place)?, text.get(place + 1..)?),
                None => (text, &b""[..]),
            },
        };
        if memchr::memchr2(b'[', b']', host).is_some() {
            return None;
        }
        if !port.is_empty() {
            let is_number = port.iter().all(u8::is_ascii_digit);
            self.port = Some(std::str::from_utf8(port).ok().filter(|_| is_number)?.parse().ok()?);
        }
        self.host = (!host.is_empty()).then_some(host);
        Some(())
    }

    /// Appends a JSON object of the parts that there are: `scheme`, `user`, `host`, `port`, `path`, `query` and
    /// `fragment`. With `parse_query`, `query` is an object of the decoded parameters.
    ///
    /// # Errors
    /// The query has too many parameters. `out` may contain a part of the object then.
    pub fn write(&self, parse_query: bool, out: &mut Vec<u8>) -> Result<(), TooManyParameters> {
        out.push(b'{');
        let start = out.len();
        for (name, part) in [("scheme", self.scheme), ("user", self.user), ("host", self.host)] {
            part.into_iter().for_each(|part| text_member(name, part, start, out));
        }
        if let Some(port) = self.port {
            member("port", start, out);
            // The digits were checked, and a number may not begin with zeros.
            out.extend_from_slice(port.to_string().as_bytes());
        }
        if !self.path.is_empty() {
            text_member("path", self.path, start, out);
        }
        match self.query {
            Some(query) if parse_query => {
                member("query", start, out);
                parameters(query, out)?;
            }
            Some(query) => text_member("query", query, start, out),
            None => {}
        }
        self.fragment.into_iter().for_each(|part| text_member("fragment", part, start, out));
        out.push(b'}');
        Ok(())
    }
}

fn text_member(name: &str, value: &[u8], start: usize, out: &mut Vec<u8>) {
    member(name, start, out);
    write_string(value, out);
}

/// Appends the key of a member of an object whose members begin at `start`.
fn member(name: &str, start: usize, out: &mut Vec<u8>) {
    if out.len() > start {
        out.push(b',');
    }
    write_string(name.as_bytes(), out);
    out.push(b':');
}

/// Writes the parameters of a query as an object. Of parameters with the same name the last one stays.
fn parameters(query: &[u8], out: &mut Vec<u8>) -> Result<(), TooManyParameters> {
    let decode = |text: &[u8]| -> Vec<u8> {
        let text: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        percent_decode(&text).collect()
    };
    let pairs = query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    let pairs = pairs.take(MAX_PARAMETERS + 1).map(|pair| {
        let (name, value) = split_at(pair, b'=').unwrap_or((pair, b""));
        (decode(name), decode(value))
    });
    let pairs: Vec<(Vec<u8>, Vec<u8>)> = pairs.collect();
    if pairs.len() > MAX_PARAMETERS {
        return Err(TooManyParameters);
    }
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    // Sorted by name and then from the last to the first, so that the first of equal names is the one that stays.
    let name = |index: &usize| pairs.get(*index).map(|pair| &pair.0);
    order.sort_unstable_by(|a, b| name(a).cmp(&name(b)).then(b.cmp(a)));
    order.dedup_by(|a, b| name(a) == name(b));
    order.sort_unstable();
    out.push(b'{');
    let start = out.len();
    for (name, value) in order.into_iter().filter_map(|index| pairs.get(index)) {
        if out.len() > start {
            out.push(b',');
        }
        write_string(name, out);
        out.push(b':');
        write_string(value, out);
    }
    out.push(b'}');
    Ok(())
}

/// The text before and after the first of these bytes.
fn split_at(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = memchr::memchr(at, text)?;
    Some((text.get(..place)?, text.get(place + 1..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn written(text: &str, parse_query: bool) -> String {
        let mut out = Vec::new();
        Url::of(text.as_bytes()).unwrap().write(parse_query, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_password_is_never_part_of_a_url() {
        for text in
            ["https://ann:secret@example.com/a", "//ann:secret@x", "ftp://a:b:secret@c@[::1]:21", "x://:secret@"]
        {
            assert!(!written(text, true).contains("secret"), "{text}");
        }
        assert_eq!(
            written("https://ann:secret@[2001:db8::1]:08443/a/b?c=d#e", false),
            r#"{"scheme":"https","user":"ann","host":"2001:db8::1","port":8443,"path":"/a/b","query":"c=d","fragment":"e"}"#
        );
    }

    #[test]
    fn brackets_stand_around_a_host_only() {
        for text in
            ["http://[::1", "http://::1]", "http://x[::1]", "http://[::1]x", "http://[[::1]]:1", "http://a@[:80"]
        {
            assert_eq!(Url::of(text.as_bytes()), None, "{text}");
        }
        for (text, host, port) in
            [("//[::1]", "::1", None), ("//[::1]:", "::1", None), ("//a@[::1]:80/[", "::1", Some(80))]
        {
            let url = Url::of(text.as_bytes()).unwrap();
            assert_eq!((url.host, url.port), (Some(host.as_bytes()), port), "{text}");
        }
    }

    #[test]
    fn a_query_has_at_most_a_thousand_parameters() {
        assert_eq!(written("/?a=1&b=%41+x&a=2&&c", true), r#"{"path":"/","query":{"b":"A x","a":"2","c":""}}"#);
        let many = format!("/?{}", "a&".repeat(1001));
        let url = Url::of(many.as_bytes()).unwrap();
        assert_eq!(url.write(true, &mut Vec::new()), Err(TooManyParameters));
        assert_eq!(url.write(false, &mut Vec::new()), Ok(()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_no_url_or_become_valid_json(
            bytes: Vec<u8>,
            text in "([a-z]{0,3}:)?(//)?[a-z:@\\[\\]0-9]{0,9}[/?#&=%\"é]{0,6}",
            parse_query: bool,
        ) {
            for text in [&bytes[..], text.as_bytes()] {
                let Some(url) = Url::of(text) else { continue };
                let mut out = Vec::new();
                url.write(parse_query, &mut out).unwrap();
                prop_assert!(wattle_json::check(&out, 8).is_ok(), "{}", String::from_utf8_lossy(&out));
            }
        }
    }
}
