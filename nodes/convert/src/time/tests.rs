//! Tests of reading times.

mod formats;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use Format::{Auto, Rfc3339};

const SECONDS: Format = Format::Epoch(Epoch::Seconds);
const MILLISECONDS: Format = Format::Epoch(Epoch::Milliseconds);
const MICROSECONDS: Format = Format::Epoch(Epoch::Microseconds);
const NANOSECONDS: Format = Format::Epoch(Epoch::Nanoseconds);

/// The result of jiff for a text.
fn jiff(text: &str) -> Option<i64> {
    let timestamp: Timestamp = text.parse().ok()?;
    i64::try_from(timestamp.as_nanosecond()).ok()
}

#[track_caller]
fn check(format: Format, expected: Option<&str>, texts: &[&str]) {
    for text in texts {
        assert_eq!(format.parse(text.as_bytes()), expected.map(|time| jiff(time).unwrap()), "{format:?} {text}");
    }
}

#[test]
fn reads_all_forms_of_rfc_3339() {
    check(
        Rfc3339,
        Some("2023-10-17T04:53:21Z"),
        &[
            "2023-10-17T04:53:21Z",
            "2023-10-17t04:53:21z",
            "2023-10-17 04:53:21+00:00",
            "2023-10-17T04:53:21.000-00:00",
            "2023-10-17T06:53:21+02:00",
            "2023-10-16T23:23:21-05:30",
        ],
    );
    check(Rfc3339, Some("1969-12-31T23:59:59.5Z"), &["1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500000000999Z"]);
    check(Rfc3339, Some("2016-12-31T23:59:59.25Z"), &["2016-12-31T23:59:60.25Z"]);
    check(Rfc3339, Some("2000-02-29T00:00:00Z"), &["2000-02-29T00:00:00Z"]);
    check(
        Rfc3339,
        None,
        &[
            "",
            "yesterday",
            "2023-10-17",
            "2023-10-17T04:53:21",
            "2023-10-17T04:53:21.Z",
            "2023-10-17T04:53:21+0200",
            "2023-10-17T04:53:21+24:00",
            "2023-10-17T04:53:21+00:60",
            "2023-10-17T04:53:21ZZ",
            "2023-10-17T24:00:00Z",
            "2023-10-17T04:60:00Z",
            "2023-10-17T04:53:61Z",
            "2023-13-17T04:53:21Z",
            "2023-00-17T04:53:21Z",
            "2023-10-00T04:53:21Z",
            "2023-11-31T04:53:21Z",
            "2023-02-29T04:53:21Z",
            "1900-02-29T04:53:21Z",
            "2023-1-017T04:53:21Z",
            "1600-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "1697518401",
        ],
    );
}

#[test]
fn reads_numbers_in_every_unit() {
    check(SECONDS, Some("2023-10-17T04:53:21Z"), &["1697518401", "1697518401.0", " 1.697518401e9 ", "16975184010E-1"]);
    check(
        SECONDS,
        Some("2023-10-17T04:53:21.123456789Z"),
        &["1697518401.123456789", "1697518401.12345678999999999999999"],
    );
    check(MILLISECONDS, Some("2023-10-17T04:53:21.123Z"), &["1697518401123", "1697518401123.0"]);
    check(MICROSECONDS, Some("2023-10-17T04:53:21.123456Z"), &["1697518401123456"]);
    check(NANOSECONDS, Some("2023-10-17T04:53:21.123456789Z"), &["1697518401123456789"]);
    check(SECONDS, Some("1969-12-31T23:59:58.5Z"), &["-1.5"]);
    check(SECONDS, Some("1970-01-01T00:00:00Z"), &["0", "0e999", "1e-999", "-0"]);
    check(SECONDS, None, &["", "-", ".5", "1.5.5", "1e", "1e5.5", "12x", "+1", "true", "1e99", "99999999999", "1,5"]);
    check(
        NANOSECONDS,
        None,
        &["99999999999999999999999999999999999999999999", "-9223372036854775808", "9223372036854775808"],
    );
}

#[test]
fn derives_the_unit_from_the_size() {
    check(
        Auto,
        Some("2023-10-17T04:53:21Z"),
        &[
            "2023-10-17T04:53:21Z",
            "1697518401",
            "1697518401000",
            "1697518401000.0",
            "1697518401000000",
            "1697518401000000000",
        ],
    );
    check(Auto, Some("1969-12-31T23:59:59Z"), &["-1"]);
    // A number with an exponent is the number that it stands for.
    check(
        Auto,
        Some("2023-10-17T04:53:20Z"),
        &[
            "1.69751840e9",
            "1.6975184e12",
            "16975184E+8",
            "1697518400000e-3",
            "0.0016975184e21",
            "1.6975184e+15",
            "0016975184e2",
        ],
    );
    check(Auto, Some("1970-01-01T00:00:00Z"), &["0e12", "0.0e15", "1e-12"]);
    check(Auto, Some("1969-12-31T23:59:59Z"), &["-1e0", "-0.1e1"]);
    check(Auto, None, &["1.7e", "1.7e1.2", "1e99", "1e999999999999", "1e99999999999999999999"]);
    check(Auto, None, &["soon", "2023-10-17"]);
}

proptest! {
    #[test]
    fn agrees_with_jiff_about_times(nanoseconds in i64::MIN + 1.., hours in -23..=23_i64, minutes in 0..60_i64) {
        let time = Timestamp::from_nanosecond(nanoseconds.into()).unwrap();
        prop_assert_eq!(Rfc3339.parse(time.to_string().as_bytes()), Some(nanoseconds));
        let offset = hours * 3600 + minutes * 60 * if hours < 0 { -1 } else { 1 };
        let zone = jiff::tz::Offset::from_seconds(offset as i32).unwrap();
        let shown = time.display_with_offset(zone).to_string();
        prop_assert_eq!(Rfc3339.parse(shown.as_bytes()), Some(nanoseconds), "{}", shown);
        prop_assert_eq!(NANOSECONDS.parse(nanoseconds.to_string().as_bytes()), Some(nanoseconds));
    }

    #[test]
    fn agrees_with_jiff_about_calendars(
        text in "(1[6-9]|2[0-3])[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-6][0-9])"
    ) {
        prop_assert_eq!(Rfc3339.parse(text.as_bytes()), jiff(&text), "{}", text);
    }

    #[test]
    fn agrees_with_jiff_about_leap_days(year in 1678..2262_i32) {
        let text = format!("{year}-02-29T00:00:00Z");
        prop_assert_eq!(Rfc3339.parse(text.as_bytes()), jiff(&text), "{}", text);
    }

    #[test]
    fn any_bytes_give_a_time_or_none(bytes: Vec<u8>, number in "[-+0-9.eE]{0,45}") {
        for format in [Rfc3339, SECONDS, MILLISECONDS, MICROSECONDS, NANOSECONDS, Auto] {
            let _ = format.parse(&bytes);
            let _ = format.parse(number.as_bytes());
        }
    }
}

/// Before 1970, `%s` is the second before the time, as `date` writes it, and the fraction counts from it.
#[test]
fn directives_read_seconds_with_a_fraction() {
    for (format, text, time) in [
        ("%s.%f", "1697518401.5", "2023-10-17T04:53:21.5Z"),
        ("%s%.f", "1697518401.000000001", "2023-10-17T04:53:21.000000001Z"),
        ("%s%.f", "1697518401", "2023-10-17T04:53:21Z"),
        ("%s.%3f", "-1.999", "1969-12-31T23:59:59.999Z"),
    ] {
        assert_eq!(directives(format).unwrap().parse(text.as_bytes()), jiff(time), "{format} {text}");
    }
    for (output, time, text) in [
        ("%s.%3f", -100_000, "-1.999"),
        ("%s", -1, "-1"),
        ("%s", -1_000_000_000, "-1"),
        ("%s.%3f", 1_500_000_000, "1.500"),
    ] {
        let mut out = Vec::new();
        Output::new(output).unwrap().write(time, &Zone::UTC, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), text, "{output} {time}");
    }
}

proptest! {
    /// The directives of a second and of its fraction give the time back, before 1970 too.
    #[test]
    fn seconds_with_a_fraction_are_read_as_they_are_written(time in (i64::MIN + 1).., format in 0..3_usize) {
        let format = ["%s.%f", "%s%.f", "%s %N"][format];
        let mut text = Vec::new();
        Output::new(format).unwrap().write(time, &Zone::UTC, &mut text);
        let read = directives(format).unwrap().parse(&text);
        prop_assert_eq!(read, Some(time), "{}", String::from_utf8_lossy(&text));
    }
}

fn directives(text: &str) -> Result<Format, String> {
    Directives::new(text).map(Format::Directives)
}

#[test]
fn directives_of_strptime_read_the_times_of_logs() {
    for (format, text, time) in [
        ("%d/%b/%Y:%H:%M:%S %z", "17/Oct/2023:06:53:21 +0200", "2023-10-17T04:53:21Z"),
        ("%d/%b/%Y:%H:%M:%S %z", " 17/Oct/2023:04:53:21 -0000 ", "2023-10-17T04:53:21Z"),
        ("%Y/%m/%d %H:%M:%S", "2023/10/17 04:53:21", "2023-10-17T04:53:21Z"),
        ("%a, %d %b %Y %T %z", "Tue, 17 Oct 2023 04:53:21 +0000", "2023-10-17T04:53:21Z"),
        ("%Y-%m-%d %H:%M:%S%.f", "2023-10-17 04:53:21.25", "2023-10-17T04:53:21.25Z"),
        ("%Y-%m-%d %H:%M:%S%.f", "2023-10-17 04:53:21", "2023-10-17T04:53:21Z"),
        ("%m/%d/%y %I:%M:%S %p", "10/17/23 04:53:21 AM", "2023-10-17T04:53:21Z"),
        ("%Y%m%d", "20231017", "2023-10-17T00:00:00Z"),
        ("[%s]", "[1697518401]", "2023-10-17T04:53:21Z"),
    ] {
        let prepared = directives(format).unwrap();
        assert_eq!(prepared.parse(text.as_bytes()), jiff(time), "{format} {text}");
        for broken in ["", "yesterday", "2023", &format!("{text} and more"), "\u{fffd}"] {
            assert_eq!(prepared.parse(broken.as_bytes()), None, "{format} {broken}");
        }
        assert_eq!(prepared.parse(b"\xff\xfe"), None);
    }
}

#[test]
fn directives_that_form_no_time_are_refused_with_the_reason() {
    for (format, part) in [
        ("%K %Y", "no format of `strptime`"),
        ("%H:%M:%S", "lacks a part"),
        ("%b %d %H:%M:%S", "lacks a part"),
        ("100%", "no format of `strptime`"),
    ] {
        let error = directives(format).unwrap_err();
        assert!(error.contains(part), "{format}: {error}");
    }
}
