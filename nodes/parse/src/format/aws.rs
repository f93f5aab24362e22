//! The formats `aws_vpc_flow` and `aws_alb`.

use std::collections::BTreeSet;
use std::sync::Arc;

use memchr::memchr;
use wattle_node::Setup;

use super::{Fault, HEADER, Read};
use crate::object::{Object, is_nil, key, write_string};
use crate::options::{Columns, Options};
use crate::scan::{Cursor, is_digits, without_line_end};
use crate::streams::Streams;

/// Fields of the default format, version 2 ("Flow log records" of the VPC user guide).
const VERSION_2: [&str; 14] = [
    "version",
    "account-id",
    "interface-id",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "start",
    "end",
    "action",
    "log-status",
];

/// Further fields, of versions 3 to 8.
const LATER: [&str; 23] = [
    "vpc-id",
    "subnet-id",
    "instance-id",
    "tcp-flags",
    "type",
    "pkt-srcaddr",
    "pkt-dstaddr",
    "region",
    "az-id",
    "sublocation-type",
    "sublocation-id",
    "pkt-src-aws-service",
    "pkt-dst-aws-service",
    "flow-direction",
    "traffic-path",
    "ecs-cluster-arn",
    "ecs-cluster-name",
    "ecs-container-instance-arn",
    "ecs-container-instance-id",
    "ecs-container-id",
    "ecs-service-name",
    "ecs-task-arn",
    "reject-reason",
];

const NUMBERS: [&str; 10] =
    ["version", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end", "tcp-flags", "traffic-path"];

/// One field: its key with quotes and the colon, and whether it is a number.
struct Field {
    name: String,
    key: String,
    is_number: bool,
}

impl Field {
    fn new(name: &str, key: &str) -> Self {
        let mut json = Vec::new();
        write_string(key.as_bytes(), &mut json);
        json.push(b':');
        let is_number = NUMBERS.contains(&name);
        Self { name: name.into(), key: String::from_utf8(json).unwrap_or_default(), is_number }
    }

    /// The fields with these names. Keys have underscores, so that paths to them need no quotes. A later field with a key
    /// that another one has gets its number, as in a header of `csv`.
    fn all<'n>(names: impl IntoIterator<Item = &'n str>) -> Vec<Self> {
        let mut seen = BTreeSet::new();
        let field = |(number, name): (usize, &str)| {
            let mut key = name.replace('-', "_");
            while !seen.insert(key.clone()) {
                key = format!("{key}_{}", number + 1);
            }
            Self::new(name, &key)
        };
        names.into_iter().enumerate().map(field).collect()
    }
}

type Fields = Arc<Vec<Field>>;

/// A flow log whose fields the options or headers name, or the default ones.
pub(crate) struct VpcFlow {
    fields: Fields,
    streams: Streams<Fields>,
}

impl VpcFlow {
    pub(super) fn new(options: &Options, setup: &mut Setup<'_>) -> Option<Self> {
        let of = |fields: Vec<Field>| Self { fields: Arc::new(fields), streams: Streams::default() };
        let columns = match &options.columns {
            None => return Some(of(Field::all(VERSION_2))),
            Some(Columns::Names(columns)) => columns,
            Some(Columns::From(_)) => {
                setup.error("columns", "headers of flow logs count in any case; remove `columns`, or list the fields");
                return None;
            }
        };
        let mut is_right = !columns.is_empty();
        if columns.is_empty() {
            setup.error("columns", "at least one field is needed");
        }
        // The console shows fields as `${srcaddr}`.
        let names: Vec<&str> =
            columns.iter().map(|column| column.trim_start_matches("${").trim_end_matches('}')).collect();
        for (number, name) in names.iter().enumerate() {
            let is_known = VERSION_2.contains(name) || LATER.contains(name) || name.starts_with("ecs-");
            if !is_known {
                setup.error(format!("columns[{number}]"), format!("flow logs have no field `{name}`"));
            } else if names.get(..number).unwrap_or_default().contains(name) {
                setup.error(format!("columns[{number}]"), format!("`{name}` occurs twice"));
            } else {
                continue;
            }
            is_right = false;
        }
        is_right.then(|| of(Field::all(names)))
    }

    /// Whether a line names the fields; then the following lines of its stream have these.
    fn is_header(&mut self, line: &[u8]) -> bool {
        let Ok(line) = std::str::from_utf8(line) else { return false };
        let names: Vec<&str> = line.split(' ').collect();
        let is_name = |name: &&str| VERSION_2.contains(name) || LATER.contains(name) || name.starts_with("ecs-");
        if names.len() < 2 || !names.iter().all(is_name) {
            return false;
        }
        let is_same = |fields: &Fields| fields.iter().map(|field| field.name.as_str()).eq(names.iter().copied());
        let known = if is_same(&self.fields) { Some(self.fields.clone()) } else { self.streams.find(is_same) };
        self.streams.hold(known.unwrap_or_else(|| Arc::new(Field::all(names))));
        true
    }
}

impl Read for VpcFlow {
    fn read(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let line = without_line_end(text);
        // No value begins with a letter of the first field's name, except for names themselves.
        if line.first().is_some_and(u8::is_ascii_lowercase) && self.is_header(line) {
            return Err(Fault { code: HEADER, message: "is a header".into() });
        }
        let mut object = Object::begin(out);
        let mut rest = Cursor::new(line);
        let mut count = 0;
        let fields = self.streams.get().unwrap_or(&self.fields);
        for field in fields.iter() {
            if rest.is_at_end() {
                break;
            }
            let value = rest.word();
            rest.eat_byte(b' ');
            count += 1;
            if field.is_number && !is_nil(value) && !is_digits(value) {
                let message =
                    format!("has a `{}` that is not a number; set `columns` to the fields of the log", field.name);
                return Err(Fault { code: "not-vpc-flow", message });
            }
            match field.is_number {
                _ if is_nil(value) => {}
                true => object.number_or_text(&field.key, value),
                false => object.text(&field.key, value),
            }
        }
        if count != fields.len() || !rest.is_at_end() {
            let wanted = fields.len();
            let message = format!("has not exactly {wanted} fields; set `columns` to the fields of the log");
            return Err(Fault { code: "not-vpc-flow", message });
        }
        object.end();
        Ok(())
    }

    fn selects(&self) -> bool {
        !self.streams.is_empty()
    }

    fn select(&mut self, stream: &[u8]) {
        self.streams.select(stream);
    }

    fn adopt(&mut self, stream: &[u8]) {
        self.streams.adopt(stream);
    }
}

/// How a field of a load balancer's log is written.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    /// An address and a port.
    Peer(&'static str),
    Request,
}

/// Fields in order ("Access log entries" of the guide to Application Load Balancers). AWS adds
/// fields at the end from time to time; those behind the last one known here are left out.
const ALB: [(&str, Kind); 30] = [
    (key!("type"), Kind::Text),
    (key!("timestamp"), Kind::Text),
    (key!("elb"), Kind::Text),
    (key!("client"), Kind::Peer(key!("client_port"))),
    (key!("target"), Kind::Peer(key!("target_port"))),
    (key!("request_processing_time"), Kind::Number),
    (key!("target_processing_time"), Kind::Number),
    (key!("response_processing_time"), Kind::Number),
    (key!("elb_status_code"), Kind::Number),
    (key!("target_status_code"), Kind::Number),
    (key!("received_bytes"), Kind::Number),
    (key!("sent_bytes"), Kind::Number),
    (key!("request"), Kind::Request),
    (key!("user_agent"), Kind::Text),
    (key!("ssl_cipher"), Kind::Text),
    (key!("ssl_protocol"), Kind::Text),
    (key!("target_group_arn"), Kind::Text),
    (key!("trace_id"), Kind::Text),
    (key!("domain_name"), Kind::Text),
    (key!("chosen_cert_arn"), Kind::Text),
    (key!("matched_rule_priority"), Kind::Number),
    (key!("request_creation_time"), Kind::Text),
    (key!("actions_executed"), Kind::Text),
    (key!("redirect_url"), Kind::Text),
    (key!("error_reason"), Kind::Text),
    (key!("target_list"), Kind::Text),
    (key!("target_status_code_list"), Kind::Text),
    (key!("classification"), Kind::Text),
    (key!("classification_reason"), Kind::Text),
    (key!("conn_trace_id"), Kind::Text),
];

/// Fields that the first version of the log had.
const ALB_MINIMUM: usize = 12;

/// Access logs of Application Load Balancers.
pub(crate) struct Alb;

impl Read for Alb {
    fn read(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut object = Object::begin(out);
        if read_alb(without_line_end(text), &mut object).is_none() {
            let message = "is no line of an access log of an Application Load Balancer";
            return Err(Fault { code: "not-alb", message: message.into() });
        }
        object.end();
        Ok(())
    }
}

fn read_alb(line: &[u8], object: &mut Object<'_>) -> Option<()> {
    let mut rest = Cursor::new(line);
    let mut count = 0;
    for (key, kind) in ALB {
        if rest.is_at_end() {
            break;
        }
        let value = value(&mut rest)?;
        count += 1;
        if count == 1 {
            matches!(value, b"http" | b"https" | b"h2" | b"grpcs" | b"ws" | b"wss").then_some(())?;
        }
        if is_nil(value) || value == b"- - -" {
            continue;
        }
        match kind {
            Kind::Text => object.text(key, value),
            Kind::Number => number(key, value, object)?,
            Kind::Peer(port) => peer(key, port, value, object),
            Kind::Request => super::layout::write_request(value, object, &mut Vec::new()),
        }
    }
    (count >= ALB_MINIMUM).then_some(())
}

/// Takes a value up to a space, or in quotes, in which nothing is escaped but a quote.
fn value<'a>(rest: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let value = if rest.eat_byte(b'"') {
        let mut end = 0;
        loop {
            end += memchr(b'"', rest.rest.get(end..)?)?;
            // A quote ends the value only before a space or at the end of the line.
            if matches!(rest.rest.get(end + 1), None | Some(b' ')) {
                break;
            }
            end += 1;
        }
        let value = rest.take(end);
        rest.eat_byte(b'"');
        value
    } else {
        rest.word()
    };
    (rest.is_at_end() || rest.eat_byte(b' ')).then_some(value)
}

/// Writes a number; `-1` stands for a time that was not measured and is left out.
fn number(key: &str, value: &[u8], object: &mut Object<'_>) -> Option<()> {
    if value == b"-1" {
        return Some(());
    }
    let is_number = wattle_node::json::check(value, 0).is_ok_and(|kind| kind == wattle_node::json::Kind::Number);
    is_number.then(|| object.raw(key, value))
}

/// Writes `10.0.0.1:80` or `[2001:db8::1]:80`.
fn peer(key: &str, port_key: &str, value: &[u8], object: &mut Object<'_>) {
    let colon = memchr::memrchr(b':', value);
    let parts = colon.and_then(|at| Some((value.get(..at)?, value.get(at + 1..)?)));
    match parts.filter(|(_, port)| is_digits(port)) {
        Some((host, port)) => {
            let host = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host);
            object.text(key, host);
            object.number_or_text(port_key, port);
        }
        None => object.text(key, value),
    }
}
