//! Tests of the formats of logs, of missing parts, and of writing.

use jiff::Timestamp;
use proptest::prelude::*;

use crate::time::{Context, Format, Output, Zone};

const NAMES: [&str; 16] = [
    "rfc3339",
    "iso8601",
    "rfc2822",
    "clf",
    "nginx",
    "syslog",
    "klog",
    "kubernetes",
    "epoch",
    "epoch_s",
    "epoch_ms",
    "epoch_us",
    "epoch_ns",
    "%Y-%m-%d %T",
    "%b %d %T",
    "%T%.f",
];

/// The result of jiff for a text.
fn jiff(text: &str) -> Option<i64> {
    i64::try_from(text.parse::<Timestamp>().ok()?.as_nanosecond()).ok()
}

fn read(format: &str, text: &str, near: Option<&str>) -> Option<i64> {
    let zone = Zone::fixed("+01:00").unwrap();
    let context = Context { zone: &zone, near: near.map(|near| jiff(near).unwrap()) };
    Format::new(format).unwrap().parse_in(text.as_bytes(), &context)
}

#[track_caller]
fn check(format: &str, near: Option<&str>, expected: Option<&str>, texts: &[&str]) {
    for text in texts {
        assert_eq!(read(format, text, near), expected.map(|time| jiff(time).unwrap()), "{format} {text}");
    }
}

#[test]
fn formats_with_a_whole_time_read_only_their_texts() {
    let time = Some("2023-10-17T04:53:21Z");
    check(
        "iso8601",
        None,
        time,
        &[
            "2023-10-17T05:53:21",
            "2023-10-17 04:53:21Z",
            "20231017T055321",
            "20231017 06:53:21+02",
            "2023-10-17T06:53:21+02:00[Europe/Berlin]",
            "2023-10-17 04:53:21 UTC",
            "2023-10-17T04:53:21UTC",
            "2023-10-17 04:53:21 GMT",
            "2023-10-17 04:53:21 +0000 UTC",
            "2023-10-17T04:53:21Z UTC",
            "20231017T045321 UTC",
        ],
    );
    check("iso8601", None, Some("2023-10-17T00:00:00.5Z"), &["2023-10-17 00:00:00,5 UTC"]);
    check("iso8601", None, Some("2023-10-17T00:00:00Z"), &["2023-10-17 UTC"]);
    check("iso8601", None, Some("2023-10-16T23:00:00Z"), &["2023-10-17", "20231017", "2023-10-17T00:00"]);
    check(
        "iso8601",
        None,
        None,
        &[
            "",
            "2023",
            "2023-10",
            "04:53:21",
            "1697518401",
            "2023-10-17T05:53:21[Europe/Berlin]",
            "UTC",
            "2023-10-17 04:53:21 UTC+2",
            "2023-10-17 04:53:21 +0200 UTC",
            "2023-10-17 04:53:21 CEST",
            "2023-10-17 04:53:21 UTC UTC",
        ],
    );
    check(
        "rfc2822",
        None,
        time,
        &["Tue, 17 Oct 2023 04:53:21 GMT", "Fri, 17 Oct 2023 04:53:21 +0000", "17 Oct 23 04:53:21 UT"],
    );
    check("rfc2822", None, None, &["", "Tue, 17 Oct 2023", "17 Oct 2023 04:53:21"]);
    check(
        "clf",
        None,
        time,
        &["17/Oct/2023:04:53:21 +0000", "[17/OCT/2023:06:53:21 +0200]", " 16/Oct/2023:23:23:21 -0530 "],
    );
    check(
        "apache",
        None,
        None,
        &[
            "",
            "-",
            "17/Oct/2023:04:53:21",
            "17/Okt/2023:04:53:21 +0000",
            "17/Oct/2023:04:53:21 +00:00",
            "31/Sep/2023:04:53:21 +0000",
            "17/Oct/2023:24:53:21 +0000",
            "[17/Oct/2023:04:53:21 +0000",
            "17/Oct/2023 04:53:21 +0000",
            "17/Oct/2023:04:53:21 *0000",
        ],
    );
    check("nginx", None, time, &["2023/10/17 05:53:21", " 2023/10/17 05:53:21.000 "]);
    check(
        "nginx",
        None,
        None,
        &["", "2023/10/17", "2023/10/17 05:53", "2023/10/17T05:53:21", "2023/10/17 05:53:21 [error]"],
    );
}

#[test]
fn formats_without_a_year_need_a_time_to_be_near_to() {
    let near = Some("2023-10-20T00:00:00Z");
    let time = Some("2023-10-17T04:53:21Z");
    let syslog =
        ["Oct 17 05:53:21", "OCT 17 04:53:21 UTC", "Oct 17 06:53:21+02:00", "Oct 17 04:53:21 GMT", "Oct 17 04:53:21Z"];
    check("syslog", near, time, &syslog);
    check("syslog", None, None, &syslog);
    check("syslog", None, time, &["Oct 17 2023 05:53:21", "Oct 17 05:53:21 2023", "Oct 17 2023 04:53:21 +0000"]);
    check(
        "syslog",
        near,
        Some("2023-10-07T04:53:21.25Z"),
        &["Oct  7 05:53:21.25", "Oct 07 05:53:21.25", "Oct 7 05:53:21.25"],
    );
    check(
        "syslog",
        near,
        None,
        &[
            "",
            "Oct",
            "Oct 17",
            "Oct 32 05:53:21",
            "Oct 0 05:53:21",
            "Feb 30 05:53:21",
            "Okt 17 05:53:21",
            "Oct 17 5:53:21",
            "Oct 17 05:53:21 CEST",
            "Oct 17 05:53:21.",
            "Oct 17 25:53:21",
            "Oct  17 05:53:21",
            "Oct 17 05:53:21 host",
            "Feb 29 2023 05:53:21",
            "Oct 17 23 05:53:21",
            "Oct 17 05:53:21 23",
        ],
    );
    check("klog", near, time, &["I1017 05:53:21", "1017 05:53:21.000000", "E1017  05:53:21.0"]);
    check(
        "klog",
        near,
        None,
        &["", "X1017 05:53:21", "1332 05:53:21", "1017", "1017 05:53:21.123456 1 main.go:3]", "I 1017 05:53:21"],
    );
    check("klog", None, None, &["I1017 05:53:21"]);
    check(
        "kubernetes",
        near,
        time,
        &["I1017 05:53:21.000000", "2023-10-17T04:53:21.000000000Z", "2023-10-17T06:53:21+02:00"],
    );
    check("kubernetes", near, None, &["", "2023-10-17 05:53:21,5", "2023-10-17T05:53:21", "Oct 17 05:53:21"]);
    check("%b %d %T", near, time, &["Oct 17 05:53:21"]);
    check("%b %d %T", None, None, &["Oct 17 05:53:21"]);
    check("%T", Some("2023-10-17T04:00:00Z"), time, &["05:53:21"]);
    check("%T", None, None, &["05:53:21"]);
}

#[test]
fn texts_that_are_no_format_are_refused_with_the_reason() {
    for (format, part) in [
        ("rfc3338", "write `rfc3339`"),
        ("", "write `rfc3339`"),
        ("%Y", "lacks a part"),
        ("%Y-%m %H:%M", "lacks a part"),
        ("%j %H:%M", "lacks a part"),
        ("%a %H:%M", "lacks a part"),
        ("%M:%S", "lacks a part"),
        ("%Y-%m-%d %T %Q", "use `%z`"),
    ] {
        let error = Format::new(format).unwrap_err();
        assert!(error.contains(part), "{format}: {error}");
    }
    assert!(Output::new("iso8601").unwrap_err().contains("write `rfc3339`"));
    assert!(Output::new("%!").unwrap_err().contains("no format of `strftime`"));
}

fn written(output: &str, time: i64, zone: &str) -> String {
    let mut out = Vec::new();
    Output::new(output).unwrap().write(time, &Zone::fixed(zone).unwrap(), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn times_are_written_with_the_digits_of_the_output() {
    let time = jiff("2023-10-17T04:53:21.120000001Z").unwrap();
    for (output, expected) in [
        ("rfc3339", "2023-10-17T05:53:21.120000001+01:00"),
        ("rfc3339_s", "2023-10-17T05:53:21+01:00"),
        ("rfc3339_ms", "2023-10-17T05:53:21.120+01:00"),
        ("rfc3339_us", "2023-10-17T05:53:21.120000+01:00"),
        ("rfc3339_ns", "2023-10-17T05:53:21.120000001+01:00"),
        ("epoch", "1697518401.120000001"),
        ("epoch_s", "1697518401"),
        ("epoch_ms", "1697518401120"),
        ("epoch_us", "1697518401120000"),
        ("epoch_ns", "1697518401120000001"),
        ("%d.%m.%y %H Uhr %z", "17.10.23 05 Uhr +0100"),
    ] {
        assert_eq!(written(output, time, "+01:00"), expected);
    }
    assert_eq!(written("rfc3339_s", -1, "UTC"), "1969-12-31T23:59:59Z");
    assert_eq!(written("epoch_s", -1, "UTC"), "-1");
    assert_eq!(written("epoch", -1, "UTC"), "-0.000000001");
}

#[test]
fn the_first_and_the_last_time_are_written_in_every_format() {
    for (time, text, epoch, in_zone) in [
        (i64::MIN, "1677-09-21T00:12:43.145224192", "-9223372036.854775808", "1677-09-20T00:13:43.145224192-23:59"),
        (i64::MAX, "2262-04-11T23:47:16.854775807", "9223372036.854775807", "2262-04-10T23:48:16.854775807-23:59"),
    ] {
        let (whole, fraction) = text.split_once('.').unwrap();
        assert_eq!(written("rfc3339", time, "UTC"), format!("{text}Z"));
        assert_eq!(written("rfc3339_ns", time, "UTC"), format!("{text}Z"));
        assert_eq!(written("rfc3339_us", time, "UTC"), format!("{whole}.{fraction:.6}Z"));
        assert_eq!(written("rfc3339_ms", time, "UTC"), format!("{whole}.{fraction:.3}Z"));
        assert_eq!(written("rfc3339_s", time, "UTC"), format!("{whole}Z"));
        assert_eq!(written("%Y-%m-%dT%H:%M:%S.%9f", time, "UTC"), text);
        assert_eq!(written("rfc3339", time, "-23:59"), in_zone);
        assert_eq!(written("epoch", time, "UTC"), epoch);
        assert_eq!(written("epoch_s", time, "UTC"), time.div_euclid(1_000_000_000).to_string());
        assert_eq!(written("epoch_ms", time, "UTC"), time.div_euclid(1_000_000).to_string());
        assert_eq!(written("epoch_us", time, "UTC"), time.div_euclid(1_000).to_string());
        assert_eq!(written("epoch_ns", time, "UTC"), time.to_string());
        for (format, text) in [("rfc3339", &*format!("{text}Z")), ("iso8601", text), ("epoch", epoch)] {
            assert_eq!(Format::new(format).unwrap().parse_any_in(text.as_bytes(), &Context::UTC), Some(time), "{text}");
        }
    }
}

proptest! {
    #[test]
    fn written_times_are_those_of_jiff(nanoseconds: i64, zone in prop::sample::select(vec!["UTC", "-05:30", "+14:00"])) {
        let time = Timestamp::from_nanosecond(nanoseconds.into()).unwrap();
        let text = written("rfc3339", nanoseconds, zone);
        prop_assert_eq!(text.parse::<Timestamp>().unwrap(), time, "{}", text);
        if zone == "UTC" {
            prop_assert_eq!(text, time.to_string());
        }
        prop_assert_eq!(written("epoch_ms", nanoseconds, zone), nanoseconds.div_euclid(1_000_000).to_string());
        // Written and read back.
        for output in ["rfc3339", "epoch_ns"] {
            let text = written(output, nanoseconds, zone);
            let format = Format::new(output).unwrap();
            prop_assert_eq!(format.parse_any_in(text.as_bytes(), &Context::UTC), Some(nanoseconds));
            prop_assert_eq!(format.parse(text.as_bytes()), Some(nanoseconds).filter(|time| *time != i64::MIN));
        }
    }

    #[test]
    fn the_nearest_time_is_found(near in -9_000_000_000..9_000_000_000_i64, day in 1..=366_i64, second in 0..86_400_i64) {
        let date = jiff::civil::date(2000, 1, 1).checked_add(jiff::SignedDuration::from_hours(24 * (day - 1))).unwrap();
        let clock = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
        let near = near * 1_000_000_000;
        let context = Context { near: Some(near), ..Context::UTC };
        let read = |format: &str, text: &str| Format::new(format).unwrap().parse_in(text.as_bytes(), &context);
        let year = i32::from(jiff::tz::TimeZone::UTC.to_datetime(Timestamp::from_nanosecond(near.into()).unwrap()).year());
        let naive = |year: i32| jiff(&format!("{year:04}-{:02}-{:02}T{clock}Z", date.month(), date.day()));
        let expected = (year - 9..year + 9).filter_map(naive).min_by_key(|time| time.abs_diff(near));
        prop_assert_eq!(read("syslog", &date.strftime(&format!("%b %e {clock}")).to_string()), expected);
        prop_assert_eq!(read("%m/%d %T", &date.strftime(&format!("%m/%d {clock}")).to_string()), expected);
        let today = read("%T", &clock).unwrap();
        prop_assert!(today.abs_diff(near) <= 43_200 * 1_000_000_000, "{} {}", near, today);
        prop_assert_eq!(today.div_euclid(1_000_000_000).rem_euclid(86_400), second);
    }

    #[test]
    fn any_bytes_give_a_time_or_none(bytes: Vec<u8>, text in "[-+:./, 0-9TZJanOctMoIWP\\[\\]]{0,32}", near: Option<i64>) {
        let zone = Zone::fixed("-23:59").unwrap();
        for format in NAMES {
            let format = Format::new(format).unwrap();
            for text in [&bytes[..], text.as_bytes()] {
                let _ = format.parse_in(text, &Context { zone: &zone, near });
            }
        }
    }
}
