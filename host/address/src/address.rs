//! Addresses as events have them.

use std::net::IpAddr;

/// Reads an IP address. Events often have it with a port (`10.0.0.1:443`, `[2001:db8::1]:443`), in
/// brackets, or with a zone (`fe80::1%eth0`), which are passed over. An IPv4-mapped IPv6 address
/// counts as IPv4.
#[must_use]
pub fn read(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let address = match text.parse::<IpAddr>() {
        Ok(address) => address,
        Err(_) => within(text)?.parse().ok()?,
    };
    Some(address.to_canonical())
}

/// The address in a text with a port, brackets or a zone.
fn within(text: &str) -> Option<&str> {
    let (address, rest) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        // More than one colon is an IPv6 address, which needs brackets before a port.
        None => match text.split_once(':') {
            Some((address, port)) if !port.contains(':') => (address, text.get(address.len()..)?),
            _ => (text, ""),
        },
    };
    let is_port = |rest: &str| rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    let has_port = rest.is_empty() || is_port(rest);
    has_port.then(|| address.split_once('%').map_or(address, |(address, _)| address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_brackets_and_zones_are_passed_over() {
        for (text, address) in [
            ("10.0.0.1", Some("10.0.0.1")),
            (" 10.0.0.1 ", Some("10.0.0.1")),
            ("10.0.0.1:443", Some("10.0.0.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("[fe80::1%eth0]:80", Some("fe80::1")),
            ("::ffff:10.0.0.1", Some("10.0.0.1")),
            ("[::ffff:10.0.0.1]:1", Some("10.0.0.1")),
            ("10.0.0.1:", None),
            ("10.0.0.1:http", None),
            ("10.0.0.1:70000", None),
            ("10.0.0.1:1:2", None),
            ("[2001:db8::1", None),
            ("[2001:db8::1]443", None),
            ("10.0.0.0/8", None),
            ("localhost", None),
            ("", None),
        ] {
            assert_eq!(read(text.as_bytes()), address.map(|address| address.parse().unwrap()), "{text}");
        }
        assert_eq!(read(b"\xff"), None);
    }
}
