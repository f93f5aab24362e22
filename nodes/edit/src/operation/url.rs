//! `url`: the parts of a URL, after RFC 3986, appendix B.
//!
//! Split by hand: the crate `url` normalizes hosts with tables of 300 kB and refuses much of what logs have.

use percent_encoding::percent_decode;
use wattle_node::json::Kind;

use super::case::string;
use super::text::write_string;
use super::value::{Change, Made};
use crate::problem::Problem;

pub(crate) struct Url {
    pub(super) parse_query: bool,
}

impl Change for Url {
    fn change(&mut self, kind: Kind, text: &[u8], out: &mut Vec<u8>) -> Result<Made, Problem> {
        string(kind)?;
        let parts = Parts::of(text.trim_ascii()).ok_or(Problem::BadValue("a URL"))?;
        out.push(b'{');
        let start = out.len();
        for (name, part) in [("scheme", parts.scheme), ("user", parts.user), ("host", parts.host)] {
            part.into_iter().for_each(|part| member(name, start, out, |out| write_string(part, out)));
        }
        // The digits were checked, and a number may not begin with zeros.
        parts.port.into_iter().for_each(|port| {
            member("port", start, out, |out| out.extend_from_slice(port.to_string().as_bytes()));
        });
        if !parts.path.is_empty() {
            member("path", start, out, |out| write_string(parts.path, out));
        }
        if let Some(query) = parts.query {
            member("query", start, out, |out| match self.parse_query {
                true => parameters(query, out),
                false => write_string(query, out),
            });
        }
        parts.fragment.into_iter().for_each(|part| member("fragment", start, out, |out| write_string(part, out)));
        out.push(b'}');
        Ok(Made::Json)
    }
}

fn member(name: &str, start: usize, out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    if out.len() > start {
        out.push(b',');
    }
    write_string(name.as_bytes(), out);
    out.push(b':');
    value(out);
}

/// Writes the parameters of a query as an object. Of parameters with the same name the last one stays.
fn parameters(query: &[u8], out: &mut Vec<u8>) {
    let decode = |text: &[u8]| -> Vec<u8> {
        let text: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        percent_decode(&text).collect()
    };
    let pairs = query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = split_at(pair, b'=').unwrap_or((pair, b""));
        (decode(name), decode(value))
    });
    let pairs: Vec<(Vec<u8>, Vec<u8>)> = pairs.collect();
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
}

/// The text before and after the first of these bytes.
fn split_at(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = memchr::memchr(at, text)?;
    Some((text.get(..place)?, text.get(place + 1..)?))
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Parts<'t> {
    scheme: Option<&'t [u8]>,
    user: Option<&'t [u8]>,
    host: Option<&'t [u8]>,
    port: Option<u16>,
    path: &'t [u8],
    query: Option<&'t [u8]>,
    fragment: Option<&'t [u8]>,
}

impl<'t> Parts<'t> {
    /// Splits a URL with a scheme, or a path that begins with `/`.
    fn of(text: &'t [u8]) -> Option<Self> {
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
        // The colons of an IPv6 address stand in brackets.
        let after_brackets = memchr::memrchr(b']', text).map_or(0, |place| place + 1);
        let port = memchr::memrchr(b':', text.get(after_brackets..)?).map(|place| after_brackets + place);
        let (host, port) = match port {
            Some(place) => (text.get(..place)?, text.get(place + 1..)?),
            None => (text, &b""[..]),
        };
        if !port.is_empty() {
            let is_number = port.iter().all(u8::is_ascii_digit);
            self.port = Some(std::str::from_utf8(port).ok().filter(|_| is_number)?.parse().ok()?);
        }
        let host = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host);
        self.host = (!host.is_empty()).then_some(host);
        Some(())
    }
}
