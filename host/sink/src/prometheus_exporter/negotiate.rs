//! What a client accepts (RFC 9110, section 12.5).

use super::exposition::Format;

/// The format that the header `Accept` asks for. Without a format that the sink has, it is the text format, as other
/// exporters respond.
pub(super) fn format(accept: &str) -> Format {
    let (mut text, mut open_metrics) = (0.0_f64, 0.0_f64);
    for range in accept.split(',') {
        let (name, parameters) = range.split_once(';').unwrap_or((range, ""));
        let quality = quality(parameters);
        let version = parameter(parameters, "version");
        match name.trim().to_ascii_lowercase().as_str() {
            "application/openmetrics-text" if version.is_none_or(|version| version == "1.0.0") => {
                open_metrics = open_metrics.max(quality);
            }
            "text/plain" if version.is_none_or(|version| version == "0.0.4") => text = text.max(quality),
            _ => {}
        }
    }
    if open_metrics > 0.0 && open_metrics >= text { Format::OpenMetrics } else { Format::Text }
}

/// Whether the header `Accept-Encoding` accepts gzip.
pub(super) fn accepts_gzip(accept: &str) -> bool {
    let (mut named, mut any) = (None, None);
    for coding in accept.split(',') {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let is_accepted = quality(parameters) > 0.0;
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => named = Some(is_accepted),
            "*" => any = Some(is_accepted),
            _ => {}
        }
    }
    named.or(any).unwrap_or(false)
}

fn parameter<'p>(parameters: &'p str, name: &str) -> Option<&'p str> {
    let mut all = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    all.find(|(known, _)| known.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().trim_matches('"'))
}

/// The weight of a range; 1 if it is missing, and 0 if it is invalid.
fn quality(parameters: &str) -> f64 {
    match parameter(parameters, "q") {
        Some(text) => text.parse().ok().filter(|quality| (0.0..=1.0).contains(quality)).unwrap_or(0.0),
        None => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_the_one_that_the_client_prefers() {
        for (accept, expected) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/plain", Format::Text),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text; version=1.0.0", Format::OpenMetrics),
            ("application/openmetrics-text; version=\"1.0.0\"; charset=utf-8", Format::OpenMetrics),
            ("application/openmetrics-text; version=2.0.0", Format::Text),
            ("application/openmetrics-text;q=0", Format::Text),
            ("application/openmetrics-text;q=0.5,text/plain;q=0.7", Format::Text),
            ("application/openmetrics-text;q=wrong", Format::Text),
            ("application/json", Format::Text),
            // Prometheus 2.42.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            // Prometheus 3 with native histograms.
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                 application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                Format::OpenMetrics,
            ),
        ] {
            assert_eq!(format(accept), expected, "{accept}");
        }
    }

    #[test]
    fn responses_are_compressed_only_if_the_client_accepts_it() {
        for (accept, expected) in [
            ("", false),
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip;q=0, *", false),
            ("*", true),
            ("br, identity", false),
        ] {
            assert_eq!(accepts_gzip(accept), expected, "{accept}");
        }
    }
}
