//! The format `syslog`: RFC 5424, RFC 3164, and what devices send that is neither.

mod legacy;
mod structured;
mod time;

use memchr::memmem;
use wattle_convert::syslog::{FACILITIES, SEVERITIES};
use wattle_node::Setup;

use super::{Fault, Read};
use crate::object::{Object, key};
use crate::options::{Options, Variant};
use crate::pairs::Pairs;
use crate::scan::{Cursor, is_digits, without_line_end};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The forms to accept, and the memory for structured data.
pub(crate) struct Syslog {
    ietf: bool,
    legacy: bool,
    ids: Pairs,
    parameters: Pairs,
}

impl Syslog {
    pub(super) fn new(options: &Options, setup: &mut Setup<'_>) -> Option<Self> {
        let allowed = [Variant::Auto, Variant::Rfc3164, Variant::Rfc5424];
        let variant = super::variant(options, &allowed, setup)?;
        Some(Self {
            ietf: variant != Variant::Rfc3164,
            legacy: variant != Variant::Rfc5424,
            ids: Pairs::default(),
            parameters: Pairs::default(),
        })
    }

    fn write_ietf(&mut self, header: &Header<'_>, mut rest: Cursor<'_>, object: &mut Object<'_>) -> Result<(), Fault> {
        object.raw(key!("version"), header.version);
        object.text_unless_nil(key!("timestamp"), header.timestamp);
        object.text_unless_nil(key!("hostname"), header.hostname);
        object.text_unless_nil(key!("appname"), header.appname);
        if header.procid != b"-" {
            object.number_or_text(key!("procid"), header.procid);
        }
        object.text_unless_nil(key!("msgid"), header.msgid);
        let before = rest.rest;
        if structured::skip(&mut rest) {
            let data = before.get(..before.len() - rest.rest.len()).unwrap_or_default();
            if data != b"-" {
                structured::write(data, object, &mut self.ids, &mut self.parameters)?;
            }
            rest.eat_byte(b' ');
        }
        rest.eat(BYTE_ORDER_MARK);
        if !rest.is_at_end() {
            object.text(key!("message"), rest.rest);
        }
        Ok(())
    }
}

impl Read for Syslog {
    fn read(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let text = without_line_end(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text));
        let mut rest = Cursor::new(text);
        skip_length(&mut rest);
        let priority = priority(&mut rest)?;
        let mut object = Object::begin(out);
        if let Some(priority) = priority {
            write_priority(priority, &mut object);
        }
        let mut after = rest;
        if self.ietf
            && let Some(header) = Header::read(&mut after)
        {
            self.write_ietf(&header, after, &mut object)?;
        } else if self.legacy {
            legacy::write(rest, priority.is_some(), &mut object)?;
        } else {
            return fault("has no header of RFC 5424: version, time, host, program, process and message id");
        }
        object.end();
        Ok(())
    }
}

/// The header of RFC 5424 after the priority.
struct Header<'a> {
    version: &'a [u8],
    timestamp: &'a [u8],
    hostname: &'a [u8],
    appname: &'a [u8],
    procid: &'a [u8],
    msgid: &'a [u8],
}

impl<'a> Header<'a> {
    fn read(rest: &mut Cursor<'a>) -> Option<Self> {
        let version = rest.digits(1, 2).filter(|version| !version.starts_with(b"0"))?;
        rest.eat_byte(b' ').then_some(())?;
        let timestamp = rest.word();
        // A time tells this header from a message of RFC 3164 that begins with a number.
        (timestamp == b"-" || time::iso(timestamp) == Some(timestamp.len())).then_some(())?;
        let mut words = [&b""[..]; 4];
        for word in &mut words {
            rest.eat_byte(b' ').then_some(())?;
            *word = rest.word();
            (!word.is_empty()).then_some(())?;
        }
        rest.eat_byte(b' ');
        let [hostname, appname, procid, msgid] = words;
        Some(Self { version, timestamp, hostname, appname, procid, msgid })
    }
}

/// Moves over the length of RFC 6587 that a sender over TCP puts before the priority.
fn skip_length(rest: &mut Cursor<'_>) {
    let mut after = *rest;
    if after.digits(1, 6).is_some() && after.eat_byte(b' ') && after.peek() == Some(b'<') {
        *rest = after;
    }
}

fn priority(rest: &mut Cursor<'_>) -> Result<Option<usize>, Fault> {
    let mut after = *rest;
    if !after.eat_byte(b'<') {
        return Ok(None);
    }
    let Some(digits) = after.digits(1, 3).filter(|_| after.eat_byte(b'>')) else {
        return fault("begins with `<`, but not with a priority such as `<34>`");
    };
    let priority = digits.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
    if priority > 191 {
        return fault("has a priority above 191");
    }
    *rest = after;
    Ok(Some(priority))
}

fn write_priority(priority: usize, object: &mut Object<'_>) {
    let (facility, severity) = (priority / 8, priority % 8);
    let mut digits = [0; 3];
    object.raw(key!("priority"), number(priority, &mut digits));
    object.text(key!("facility"), FACILITIES.get(facility).unwrap_or(&"").as_bytes());
    object.raw(key!("facility_code"), number(facility, &mut digits));
    object.text(key!("severity"), SEVERITIES.get(severity).unwrap_or(&"").as_bytes());
    object.raw(key!("severity_code"), number(severity, &mut digits));
}

/// The digits of a number below 1000.
fn number(number: usize, digits: &mut [u8; 3]) -> &[u8] {
    let digit = |value: usize| b'0' + u8::try_from(value % 10).unwrap_or(0);
    *digits = [digit(number / 100), digit(number / 10), digit(number)];
    let skipped = usize::from(number < 100) + usize::from(number < 10);
    digits.get(skipped..).unwrap_or_default()
}

/// How often a message came, if it says `last message repeated 5 times` or `message repeated 5 times: [...]`.
fn repeated(message: &[u8]) -> Option<&[u8]> {
    let rest = message.strip_prefix(b"last ").unwrap_or(message).strip_prefix(b"message repeated ")?;
    let end = memmem::find(rest, b" times")?;
    rest.get(..end).filter(|count| count.len() < 10 && is_digits(count))
}

fn fault<T>(message: &str) -> Result<T, Fault> {
    Err(Fault { code: "not-syslog", message: message.into() })
}
