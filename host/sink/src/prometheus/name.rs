//! Names of metrics, with suffixes for the unit and for counters.

use super::point::{Point, Value};

/// Units of UCUM and their names in Prometheus. The unit `1` has no name.
const UNITS: [(&str, &str); 26] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
];

/// Units after a slash.
const PER_UNITS: [(&str, &str); 7] =
    [("s", "second"), ("m", "minute"), ("h", "hour"), ("d", "day"), ("w", "week"), ("mo", "month"), ("y", "year")];

/// The name of a metric in Prometheus, such as `http_server_duration_seconds`. Empty if the name has no letters and
/// digits.
pub(crate) fn family_name(point: &Point) -> String {
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == ':';
    let mut parts: Vec<&str> = point.name.split(|char| !is_part(char)).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return String::new();
    }
    let (unit, per) = unit_parts(point);
    if !unit.is_empty() && !parts.contains(&&*unit) {
        parts.push(&unit);
    }
    if !per.is_empty() && !parts.contains(&&*per) {
        parts.extend(["per", &per]);
    }
    let suffix = match &point.value {
        Value::Counter(_) => Some("total"),
        Value::Gauge(_) if point.unit == "1" => Some("ratio"),
        _ => None,
    };
    if let Some(suffix) = suffix {
        parts.retain(|part| *part != suffix);
        parts.push(suffix);
    }
    let mut name = parts.join("_");
    if name.starts_with(|char: char| char.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

/// The unit that a family has in its name, such as `bytes_per_second`; empty for none.
pub(crate) fn unit_of(point: &Point) -> String {
    match unit_parts(point) {
        (unit, per) if per.is_empty() => unit,
        (unit, per) => format!("{unit}_per_{per}"),
    }
}

fn unit_parts(point: &Point) -> (String, String) {
    match point.unit.split_once('/') {
        Some((unit, per)) => (unit_name(unit, &UNITS), unit_name(per, &PER_UNITS)),
        None => (unit_name(&point.unit, &UNITS), String::new()),
    }
}

/// The name of a unit. Empty for an annotation, such as `{requests}`.
fn unit_name(unit: &str, names: &[(&str, &str)]) -> String {
    let unit = unit.trim();
    if unit.contains(['{', '}']) {
        return String::new();
    }
    let known = names.iter().find(|(known, _)| *known == unit);
    let name = known.map_or(unit, |(_, name)| name);
    let words = name.split(|char: char| !char.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_unit_and_the_suffix_of_counters() {
        let (counter, gauge, other) = (Value::Counter(1.0), Value::Gauge(1.0), Value::Summary(Default::default()));
        for (name, unit, value, expected) in [
            ("http.server.duration", "s", &other, "http_server_duration_seconds"),
            ("http.server.duration.seconds", "s", &other, "http_server_duration_seconds"),
            ("system.io", "By", &counter, "system_io_bytes_total"),
            ("system.io.total", "By", &counter, "system_io_bytes_total"),
            ("hits_total", "", &counter, "hits_total"),
            ("rate", "By/s", &gauge, "rate_bytes_per_second"),
            ("requests", "{requests}", &counter, "requests_total"),
            ("requests", "{requests}/s", &gauge, "requests_per_second"),
            ("load", "1", &gauge, "load_ratio"),
            ("load", "1", &counter, "load_total"),
            ("cpu", "%", &gauge, "cpu_percent"),
            ("odd", "my unit^2", &gauge, "odd_my_unit_2"),
            ("2xx.hits", "", &counter, "_2xx_hits_total"),
            ("a__b--c", "", &gauge, "a_b_c"),
            ("job:sum", "", &gauge, "job:sum"),
            ("\u{e4}\u{f6}", "s", &gauge, ""),
            ("", "s", &gauge, ""),
        ] {
            let point =
                Point { name: name.to_owned(), unit: unit.to_owned(), value: value.clone(), ..Point::default() };
            assert_eq!(family_name(&point), expected, "{name} {unit}");
        }
    }
}
