//! Masks: what varies from event to event becomes a placeholder before words are compared.
//!
//! Drain leaves this step to regular expressions that the operator writes for each kind of log ("domain knowledge"). Here one
//! pass over the text finds the kinds of values that occur in all logs, without regular expressions. A word without a
//! digit has none of them, so most words are only copied.

use std::net::Ipv6Addr;

use crate::options::Mask;

/// Which built-in masks apply.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Masks {
    uuid: bool,
    time: bool,
    ip: bool,
    mac: bool,
    hex: bool,
    id: bool,
    number: bool,
}

impl Masks {
    pub(crate) fn new(masks: &[Mask]) -> Self {
        let has = |mask| masks.contains(&mask);
        Self {
            uuid: has(Mask::Uuid),
            time: has(Mask::Time),
            ip: has(Mask::Ip),
            mac: has(Mask::Mac),
            hex: has(Mask::Hex),
            id: has(Mask::Id),
            number: has(Mask::Num),
        }
    }

    /// Appends a word with a digit, with its values masked.
    pub(crate) fn word(self, word: &[u8], out: &mut Vec<u8>) {
        let mut at = 0;
        while let Some(rest @ [first, ..]) = word.get(at..) {
            let before = word.get(..at).and_then(<[u8]>::last).copied();
            let starts = !before.is_some_and(|byte| byte.is_ascii_alphanumeric());
            if starts && let Some((length, placeholder)) = self.value(rest, before) {
                out.extend_from_slice(placeholder);
                at += length;
            } else if first.is_ascii_alphanumeric() {
                at += self.run(rest, starts, out);
            } else {
                out.push(*first);
                at += 1;
            }
        }
    }

    /// The length of a value that begins here and has a structure, and its placeholder.
    fn value(self, text: &[u8], before: Option<u8>) -> Option<(usize, &'static [u8])> {
        let ends = |length: usize| !text.get(length).is_some_and(u8::is_ascii_alphanumeric);
        let checked = |length: Option<usize>| length.filter(|length| ends(*length));
        let first = text.first()?;
        if !first.is_ascii_hexdigit() && *first != b':' {
            return None;
        }
        if self.uuid
            && let Some(length) = checked(uuid(text))
        {
            return Some((length, b"<uuid>"));
        }
        if self.time
            && let Some(length) = checked(time(text))
        {
            return Some((length, b"<time>"));
        }
        if self.ip
            && before != Some(b'.')
            && before != Some(b':')
            && let Some(length) = checked(ipv4(text).or_else(|| ipv6(text)))
        {
            return Some((length, b"<ip>"));
        }
        if self.mac
            && let Some(length) = checked(mac(text))
        {
            return Some((length, b"<mac>"));
        }
        if self.hex
            && let [b'0', b'x' | b'X', digits @ ..] = text
        {
            let length = count(digits, u8::is_ascii_hexdigit);
            if length > 0 && ends(length + 2) {
                return Some((length + 2, b"<hex>"));
            }
        }
        None
    }

    /// Appends a run of letters and digits, masked, and perhaps the fraction behind it. Returns its length.
    fn run(self, text: &[u8], starts: bool, out: &mut Vec<u8>) -> usize {
        let length = count(text, u8::is_ascii_alphanumeric);
        let run = text.get(..length).unwrap_or_default();
        let digits = run.iter().filter(|byte| byte.is_ascii_digit()).count();
        if starts && digits > 0 && digits < length {
            if self.hex && length >= 8 && run.iter().all(u8::is_ascii_hexdigit) {
                out.extend_from_slice(b"<hex>");
                return length;
            }
            if self.id && length >= 16 {
                out.extend_from_slice(b"<id>");
                return length;
            }
        }
        if !self.number || digits == 0 {
            out.extend_from_slice(run);
            return length;
        }
        let mut at = 0;
        while at < length {
            let rest = text.get(at..).unwrap_or_default();
            let letters = count(rest, u8::is_ascii_alphabetic);
            out.extend_from_slice(rest.get(..letters).unwrap_or_default());
            at += letters;
            let rest = rest.get(letters..).unwrap_or_default();
            if rest.first().is_some_and(u8::is_ascii_digit) {
                at += number(rest);
                // A sign belongs to the number, unless it is a hyphen.
                if letters == 0 && ends_with_sign(out) {
                    out.pop();
                }
                out.extend_from_slice(b"<num>");
            }
        }
        at
    }
}

/// Whether a masked text ends with a sign that is not a hyphen.
fn ends_with_sign(text: &[u8]) -> bool {
    match text {
        [before @ .., b'-' | b'+'] => !before.last().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'>'),
        _ => false,
    }
}

fn count(text: &[u8], is: impl Fn(&u8) -> bool) -> usize {
    text.iter().take_while(|byte| is(byte)).count()
}

/// The length of digits in groups, such as `12`, `1,234.5` and `1.2.3`.
fn number(text: &[u8]) -> usize {
    let mut length = count(text, u8::is_ascii_digit);
    while let Some([b'.' | b',', next, ..]) = text.get(length..)
        && next.is_ascii_digit()
    {
        length += 1 + count(text.get(length + 1..).unwrap_or_default(), u8::is_ascii_digit);
    }
    length
}

/// Whether the text begins with this shape: `0` is a digit, `x` a hexadecimal digit, `T` a `T`, space or `_`.
fn has_shape(text: &[u8], shape: &[u8]) -> bool {
    text.len() >= shape.len()
        && text.iter().zip(shape).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            b'x' => byte.is_ascii_hexdigit(),
            b'T' => matches!(byte, b'T' | b't' | b'_'),
            b'-' => matches!(byte, b'-' | b'/' | b'.'),
            other => byte == other,
        })
}

fn uuid(text: &[u8]) -> Option<usize> {
    const SHAPE: &[u8] = b"xxxxxxxx~xxxx~xxxx~xxxx~xxxxxxxxxxxx";
    let is = text.len() >= SHAPE.len()
        && text.iter().zip(SHAPE).all(|(byte, shape)| match shape {
            b'~' => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    is.then_some(SHAPE.len())
}

/// A date, a time of day, or both, as in ISO 8601, with a fraction and a zone.
fn time(text: &[u8]) -> Option<usize> {
    if !text.first()?.is_ascii_digit() {
        return None;
    }
    let date = [&b"0000-00-00"[..], b"00-00-0000"].into_iter().find(|shape| has_shape(text, shape)).map(<[u8]>::len);
    let rest = text.get(date.unwrap_or(0)..)?;
    let clock = if date.is_some() {
        match rest {
            [b'T' | b't' | b'_', clock @ ..] => clock_time(clock).map(|length| length + 1),
            _ => None,
        }
    } else {
        clock_time(rest)
    };
    match (date, clock) {
        (None, None) => None,
        (date, clock) => Some(date.unwrap_or(0) + clock.unwrap_or(0)),
    }
}

/// A time of day such as `04:53:21`, `04:53:21.5Z` or `04:53:21,123+02:00`.
fn clock_time(text: &[u8]) -> Option<usize> {
    if !has_shape(text, b"00:00:00") {
        return None;
    }
    let mut length = 8;
    if let Some([b'.' | b',' | b':', next, ..]) = text.get(length..)
        && next.is_ascii_digit()
    {
        length += 1 + count(text.get(length + 1..)?, u8::is_ascii_digit);
    }
    let zone = text.get(length..)?;
    if zone.first().is_some_and(|byte| matches!(byte, b'Z' | b'z')) {
        length += 1;
    } else if matches!(zone.first(), Some(b'+' | b'-')) {
        let zone = zone.get(1..)?;
        length +=
            [&b"00:00"[..], b"0000", b"00"].into_iter().find(|shape| has_shape(zone, shape)).map_or(0, |s| s.len() + 1);
    }
    Some(length)
}

fn ipv4(text: &[u8]) -> Option<usize> {
    let mut length = 0;
    for part in 0..4 {
        if part > 0 {
            if text.get(length) != Some(&b'.') {
                return None;
            }
            length += 1;
        }
        let digits = count(text.get(length..)?, u8::is_ascii_digit);
        if digits == 0 || digits > 3 {
            return None;
        }
        length += digits;
    }
    // A fifth part makes it a version or an OID.
    match text.get(length..)? {
        [b'.', next, ..] if next.is_ascii_digit() => None,
        _ => Some(length),
    }
}

fn ipv6(text: &[u8]) -> Option<usize> {
    let length = count(text, |byte| byte.is_ascii_hexdigit() || *byte == b':');
    let length = length.min(39);
    let text = text.get(..length)?;
    if text.iter().filter(|byte| **byte == b':').count() < 2 {
        return None;
    }
    // A colon behind the address is punctuation.
    let parses = |text: &[u8]| std::str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok());
    if parses(text) {
        return Some(length);
    }
    let (last, shorter) = text.split_last()?;
    (*last == b':' && parses(shorter)).then_some(length - 1)
}

fn mac(text: &[u8]) -> Option<usize> {
    let is = |separator: u8| {
        text.len() >= 17
            && text
                .iter()
                .take(17)
                .enumerate()
                .all(|(at, byte)| if at % 3 == 2 { *byte == separator } else { byte.is_ascii_hexdigit() })
    };
    (is(b':') || is(b'-')).then_some(17)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(word: &str) -> String {
        let mut out = Vec::new();
        Masks::new(&Mask::ALL).word(word.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_become_placeholders() {
        for (word, expected) in [
            ("42", "<num>"),
            ("-42", "<num>"),
            ("+4.5,", "<num>,"),
            ("a-42", "a-<num>"),
            ("(-42)", "(<num>)"),
            ("1,234.5", "<num>"),
            ("1.2.3.4.5", "<num>"),
            ("12.", "<num>."),
            ("10KB", "<num>KB"),
            ("5ms", "<num>ms"),
            ("ssh2", "ssh<num>"),
            ("blk_-1608999687919862906", "blk_<num>"),
            ("R02-M1-N0-C:J12-U11", "R<num>-M<num>-N<num>-C:J<num>-U<num>"),
            ("uid=0", "uid=<num>"),
            ("0x1f", "<hex>"),
            ("(0x1F)", "(<hex>)"),
            ("0xyz", "<num>xyz"),
            ("7d9f8c6b5d", "<hex>"),
            ("deadbee5", "<hex>"),
            ("1234567890", "<num>"),
            ("AKIAIOSFODNN7EXAMPLE", "<id>"),
            ("10.251.43.21", "<ip>"),
            ("/10.251.43.21:50010", "/<ip>:<num>"),
            ("10.251.43.21,", "<ip>,"),
            ("v10.251.43.21", "v<num>"),
            ("::1", "<ip>"),
            ("fe80::1%eth0", "<ip>%eth<num>"),
            ("[2001:db8::8a2e:370:7334]:80", "[<ip>]:<num>"),
            ("2001:db8::1:", "<ip>:"),
            ("00:1b:44:11:3a:b7", "<mac>"),
            ("00-1B-44-11-3A-B7", "<mac>"),
            ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "<uuid>"),
            ("id=6ba7b810-9dad-11d1-80b4-00c04fd430c8;", "id=<uuid>;"),
            ("2024-05-01T10:00:00.123Z", "<time>"),
            ("2024-05-01T10:00:00+02:00]", "<time>]"),
            ("2024-05-01", "<time>"),
            ("2005/06/03", "<time>"),
            ("10:00:00", "<time>"),
            ("10:00:00,123", "<time>"),
            ("10:00", "<num>:<num>"),
            ("naïve7", "naïve<num>"),
            ("7é8", "<num>é<num>"),
        ] {
            assert_eq!(masked(word), expected, "{word}");
        }
    }

    #[test]
    fn masks_can_be_left_out() {
        let mut out = Vec::new();
        Masks::new(&[Mask::Ip]).word(b"10.0.0.1:80", &mut out);
        assert_eq!(out, b"<ip>:80");
    }
}
