//! The forms of time that syslog senders write.

use crate::scan::Cursor;

/// Length of a time of RFC 3339 at the start of a text, with a space or `T` between date and time, a point or a comma
/// before the fraction, and a zone or none.
pub(super) fn iso(text: &[u8]) -> Option<usize> {
    let mut rest = Cursor::new(text);
    let date = [(4, b'-'), (2, b'-')];
    for (digits, separator) in date {
        rest.digits(digits, digits)?;
        rest.eat_byte(separator).then_some(())?;
    }
    rest.digits(2, 2)?;
    (rest.eat_byte(b'T') || rest.eat_byte(b't') || rest.eat_byte(b' ')).then_some(())?;
    clock(&mut rest)?;
    zone(&mut rest);
    Some(text.len() - rest.rest.len())
}

/// Length of a time of RFC 3164 at the start of a text: `Oct 10 22:14:15`, also with a fraction, with the year before
/// the month, after the day or after the time, and with the name or the offset of a zone.
pub(super) fn bsd(text: &[u8]) -> Option<usize> {
    let mut rest = Cursor::new(text);
    if year(&mut rest) {
        rest.eat_byte(b' ').then_some(())?;
    }
    month(rest.take(3)).then_some(())?;
    rest.eat_byte(b' ').then_some(())?;
    rest.eat_byte(b' ');
    rest.digits(1, 2)?;
    rest.eat_byte(b' ').then_some(())?;
    if year(&mut rest) {
        rest.eat_byte(b' ').then_some(())?;
    }
    clock(&mut rest)?;
    // What follows belongs to the time only if it is nothing else: hosts and programs stand here, too. A colon right before
    // other text is one of an IPv6 address such as `2001:db8::1`.
    let mut after = rest;
    if after.eat_byte(b' ') && year(&mut after) && matches!(after.rest, [b' ', ..] | [b':', b' ', ..] | b":") {
        rest = after;
    }
    let mut after = rest;
    if after.eat_byte(b' ') && named_zone(&mut after) {
        rest = after;
    } else {
        zone(&mut rest);
    }
    Some(text.len() - rest.rest.len())
}

/// Length of seconds since 1970, perhaps with a fraction, as Meraki sends them.
pub(super) fn epoch(text: &[u8]) -> Option<usize> {
    let mut rest = Cursor::new(text);
    rest.digits(10, 10)?;
    if rest.eat_byte(b'.') {
        rest.digits(1, 9)?;
    }
    (rest.peek() == Some(b' ')).then(|| text.len() - rest.rest.len())
}

/// `22:14:15`, perhaps with a fraction.
fn clock(rest: &mut Cursor<'_>) -> Option<()> {
    rest.digits(2, 2)?;
    for _ in 0..2 {
        rest.eat_byte(b':').then_some(())?;
        rest.digits(2, 2)?;
    }
    if let [b'.' | b',', digit, ..] = rest.rest
        && digit.is_ascii_digit()
    {
        rest.take(1);
        rest.digits(1, 9)?;
    }
    Some(())
}

/// Moves over `Z` or an offset, if one comes next.
fn zone(rest: &mut Cursor<'_>) {
    let mut after = *rest;
    if after.eat_byte(b'Z') || after.eat_byte(b'z') {
        *rest = after;
        return;
    }
    after.eat_byte(b' ');
    if !(after.eat_byte(b'+') || after.eat_byte(b'-')) || after.digits(2, 2).is_none() {
        return;
    }
    after.eat_byte(b':');
    if after.digits(2, 2).is_some() && matches!(after.peek(), None | Some(b' ' | b':')) {
        *rest = after;
    }
}

/// The name of a zone: a usual one before a space, any before the `: %` of Cisco.
fn named_zone(rest: &mut Cursor<'_>) -> bool {
    const USUAL: [&[u8]; 24] = [
        b"UTC", b"GMT", b"EST", b"EDT", b"CST", b"CDT", b"MST", b"MDT", b"PST", b"PDT", b"CET", b"CEST", b"BST",
        b"IST", b"JST", b"MSK", b"EET", b"EEST", b"WET", b"WEST", b"AEST", b"AEDT", b"KST", b"HKT",
    ];
    let name = rest.take_while(|byte| byte.is_ascii_uppercase());
    match rest.rest {
        [b':', b' ', b'%', ..] => (2..=5).contains(&name.len()),
        [b' ' | b':', ..] => USUAL.contains(&name),
        _ => false,
    }
}

fn year(rest: &mut Cursor<'_>) -> bool {
    match rest.rest {
        [b'1' | b'2', b'9' | b'0', a, b, ..] if a.is_ascii_digit() && b.is_ascii_digit() => {
            let mut after = *rest;
            after.take(4);
            let ends = !after.peek().is_some_and(|byte| byte.is_ascii_digit());
            if ends {
                *rest = after;
            }
            ends
        }
        _ => false,
    }
}

fn month(name: &[u8]) -> bool {
    const MONTHS: [&[u8]; 12] =
        [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];
    MONTHS.iter().any(|month| name.eq_ignore_ascii_case(month))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(read: fn(&[u8]) -> Option<usize>, line: &str, time: Option<&str>) {
        assert_eq!(read(line.as_bytes()).and_then(|end| line.get(..end)), time, "{line}");
    }

    #[test]
    fn times_of_rfc_3164_end_where_host_or_program_begins() {
        for (line, time) in [
            ("Oct 10 22:14:15 host", "Oct 10 22:14:15"),
            ("Oct  1 22:14:15 host", "Oct  1 22:14:15"),
            ("Oct 1 22:14:15 host", "Oct 1 22:14:15"),
            ("Oct 10 2018 22:14:15: %ASA", "Oct 10 2018 22:14:15"),
            ("2018 Oct 10 22:14:15 UTC: %ETH", "2018 Oct 10 22:14:15 UTC"),
            ("Oct 10 22:14:15.123 XYZ: %SYS", "Oct 10 22:14:15.123 XYZ"),
            ("Oct 10 22:14:15 CRON: run", "Oct 10 22:14:15"),
            ("Oct 10 22:14:15 CET host", "Oct 10 22:14:15 CET"),
            ("Oct 10 22:14:15 2018 host", "Oct 10 22:14:15 2018"),
            ("Oct 10 22:14:15 2018: %ASA", "Oct 10 22:14:15 2018"),
            ("Oct 10 22:14:15 2018host", "Oct 10 22:14:15"),
            ("Oct 10 22:14:15 2001:db8::1 host", "Oct 10 22:14:15"),
            ("Oct 10 22:14:15 2001:: host", "Oct 10 22:14:15"),
            ("Oct 10 22:14:15 +0200 host", "Oct 10 22:14:15 +0200"),
            ("Oct 10 22:14:15 -host", "Oct 10 22:14:15"),
            ("oct 10 22:14:15,5 host", "oct 10 22:14:15,5"),
        ] {
            check(bsd, line, Some(time));
        }
        for line in ["Okt 10 22:14:15", "Oct 10 22:14", "Oct x", "Oct 100 22:14:15", "2018Oct 10 22:14:15", ""] {
            check(bsd, line, None);
        }
    }

    #[test]
    fn times_of_rfc_3339_are_read_with_zone_and_fraction() {
        for (line, time) in [
            ("2018-10-10T22:14:15.003Z host", "2018-10-10T22:14:15.003Z"),
            ("2018-10-10 22:14:15,003 host", "2018-10-10 22:14:15,003"),
            ("2018-10-10T22:14:15+02:00 host", "2018-10-10T22:14:15+02:00"),
            ("2018-10-10T22:14:15 host", "2018-10-10T22:14:15"),
        ] {
            check(iso, line, Some(time));
        }
        for line in ["2018-10-10", "2018-10-10T22:14", "2018-1-10T22:14:15", "x"] {
            check(iso, line, None);
        }
    }

    #[test]
    fn seconds_since_1970_have_ten_digits() {
        check(epoch, "1563249630.774247467 MX84", Some("1563249630.774247467"));
        check(epoch, "1563249630 MX84", Some("1563249630"));
        check(epoch, "156324963 MX84", None);
        check(epoch, "1563249630x", None);
    }
}
