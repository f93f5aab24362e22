//! The input: generated CloudTrail with numbered events, and the model of the output of each event.

use memchr::memmem;
use serde_json::Value;
use wattle_tests::Trail;

/// Outputs of the pack for events without a fault.
pub(crate) const OUTPUTS: [&str; 2] = ["processed", "get_describe_list"];

const KEY: &[u8] = b"\"eventID\":\"";
/// Bytes of an event's id.
const ID: usize = 36;

/// Where an event must come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this output, with both versions.
    Always(usize),
    /// In `get_describe_list` with 1.0.0, in `processed` with 1.1.0.
    ByVersion,
}

/// A document whose events take new numbers each time that it is used.
pub(crate) struct Template {
    text: Vec<u8>,
    /// Positions of the ids.
    ids: Vec<usize>,
    pub(crate) places: Vec<Place>,
}

impl Template {
    pub(crate) fn records(&self) -> usize {
        self.ids.len()
    }

    /// The document with events of this stream, from this number on.
    pub(crate) fn write(&self, stream: usize, first: usize) -> Vec<u8> {
        let mut text = self.text.clone();
        for (number, at) in (first..).zip(&self.ids) {
            text[*at..at + ID].copy_from_slice(format!("{stream:04}-{number:031}").as_bytes());
        }
        text
    }
}

/// Documents with this many records each.
pub(crate) fn templates(seed: u64, records: u32, count: usize) -> Vec<Template> {
    let mut trail = Trail::new(seed, records);
    (0..count).map(|_| template(trail.document())).collect()
}

fn template(text: Vec<u8>) -> Template {
    let ids: Vec<usize> = memmem::find_iter(&text, KEY).map(|at| at + KEY.len()).collect();
    let document: Value = serde_json::from_slice(&text).unwrap();
    let places: Vec<Place> = document["Records"].as_array().unwrap().iter().map(place).collect();
    assert_eq!(ids.len(), places.len(), "an id for each record");
    Template { text, ids, places }
}

/// The model: the promises of the READMEs of both versions.
fn place(record: &Value) -> Place {
    let name = record["eventName"].as_str().unwrap();
    if !["Get", "List", "Describe"].iter().any(|verb| name.starts_with(verb)) {
        return Place::Always(0);
    }
    let is_false = |value: &Value| *value == false || *value == "false";
    let identity = &record["userIdentity"];
    let console = &record["sessionCredentialFromConsole"];
    let evidence = record.get("errorCode").is_some()
        || SENSITIVE.contains(&name)
        || name == "DescribeInstanceAttribute" && record["requestParameters"]["attribute"] == "userData"
        || record["eventCategory"] == "Data"
        || is_false(&record["managementEvent"])
        || identity["type"] == "Root"
        || (*console == true || *console == "true")
            && is_false(&identity["sessionContext"]["attributes"]["mfaAuthenticated"]);
    if evidence { Place::ByVersion } else { Place::Always(1) }
}

const SENSITIVE: [&str; 9] = [
    "GetSecretValue",
    "GetParameter",
    "GetParameters",
    "GetParametersByPath",
    "GetParameterHistory",
    "GetPasswordData",
    "GetAccountAuthorizationDetails",
    "GetFederationToken",
    "GetObject",
];

/// Stream and number of each event in lines that a sink wrote.
pub(crate) fn numbers(lines: &[u8]) -> impl Iterator<Item = (usize, usize)> + '_ {
    memmem::find_iter(lines, KEY).map(|at| {
        let id = std::str::from_utf8(&lines[at + KEY.len()..at + KEY.len() + ID]).unwrap();
        let (stream, number) = id.split_once('-').unwrap();
        (stream.parse().unwrap(), number.parse().unwrap())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_writes_new_numbers_that_can_be_read_back() {
        let all = templates(1, 5, 20);
        let line = all[3].write(2, 40);
        assert_eq!(numbers(&line).collect::<Vec<_>>(), (40..45).map(|n| (2, n)).collect::<Vec<_>>());
        assert_eq!(line.len(), all[3].text.len());
        for kind in [Place::Always(0), Place::Always(1), Place::ByVersion] {
            assert!(all.iter().any(|t| t.places.contains(&kind)), "{kind:?}");
        }
    }
}
