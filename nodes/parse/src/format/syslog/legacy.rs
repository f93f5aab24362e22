//! RFC 3164 and the messages of devices that follow it in part.
//!
//! | sender | line |
//! | --- | --- |
//! | RFC 3164 | `Oct 10 22:14:15 host sshd[42]: text` |
//! | a local socket | `Oct 10 22:14:15 sshd[42]: text` |
//! | Cisco IOS | `29: router: *Oct 10 22:14:15.123 UTC: %SYS-5-CONFIG_I: text` |
//! | Cisco ASA | `Oct 10 2018 22:14:15 asa : %ASA-6-305011: text` |
//! | Cisco NX-OS | `: 2018 Oct 10 22:14:15 UTC: %ETHPORT-5-IF_UP: text` |
//! | Cisco IOS XR | `7: RP/0/RSP0/CPU0:Oct 10 22:14:15.123 : config[65710]: text` |
//! | F5 | `Oct 10 22:14:15 bigip notice mcpd[42]: text` |
//! | Meraki | `1 1563249630.774247467 MX84 flows text` |

use wattle_convert::syslog::SEVERITIES;

use super::{fault, repeated, time};
use crate::format::Fault;
use crate::object::{Object, key};
use crate::scan::{Cursor, is_digits};

/// The longest name of a program; RFC 5424 allows 48, programs go further.
const MAX_NAME: usize = 128;
/// Maximum number of words in the name of a program.
const MAX_WORDS: usize = 4;

/// Writes the members of a message after its priority.
pub(super) fn write(mut rest: Cursor<'_>, has_priority: bool, object: &mut Object<'_>) -> Result<(), Fault> {
    let prelude = Prelude::read(&mut rest);
    if !has_priority && prelude.timestamp.is_none() {
        return fault("begins with neither a priority nor a time");
    }
    let mut hostname = prelude.origin;
    if prelude.timestamp.is_some() {
        // `last message repeated` of syslogd names no program, and on a local socket no host.
        if hostname.is_none() && repeated(rest.rest).is_none() {
            hostname = host(&mut rest);
        }
        rest.spaces();
        if let [b':', after @ ..] = rest.rest
            && (prelude.origin.is_some() || after.trim_ascii_start().starts_with(b"%"))
        {
            rest.take(1);
            rest.spaces();
        }
    }
    let level = level(&mut rest);
    let tag = Tag::read(&mut rest).or_else(|| Tag::read_words(&mut rest));
    if let Some(version) = prelude.version {
        object.raw(key!("version"), version);
    }
    if let Some(timestamp) = prelude.timestamp {
        object.text(key!("timestamp"), timestamp);
    }
    if let Some(hostname) = hostname {
        object.text_unless_nil(key!("hostname"), hostname);
    }
    if let Some(level) = level.filter(|_| !has_priority) {
        object.text(key!("severity"), level.as_bytes());
    }
    if let Some(Tag { appname, procid }) = tag {
        object.text(key!("appname"), appname);
        if !procid.is_empty() {
            object.number_or_text(key!("procid"), procid);
        }
        rest.eat_byte(b' ');
    }
    if let Some(sequence) = prelude.sequence {
        object.number_or_text(key!("sequence"), sequence);
    }
    if let Some(count) = repeated(rest.rest) {
        object.number_or_text(key!("repeated"), count);
    }
    object.text(key!("message"), rest.rest);
    Ok(())
}

/// What stands before the host.
#[derive(Default)]
struct Prelude<'a> {
    version: Option<&'a [u8]>,
    sequence: Option<&'a [u8]>,
    origin: Option<&'a [u8]>,
    timestamp: Option<&'a [u8]>,
}

impl<'a> Prelude<'a> {
    /// Reads it up to the time and the colon behind that; reads nothing where no time follows.
    fn read(rest: &mut Cursor<'a>) -> Self {
        let mut prelude = Self::default();
        let mut after = *rest;
        // Four pieces at most: sequence number, origin, an empty piece of NX-OS, time.
        for _ in 0..4 {
            after.spaces();
            if let Some(timestamp) = prelude.time(&mut after) {
                prelude.timestamp = Some(timestamp);
                *rest = after;
                if rest.eat_byte(b':') {
                    rest.spaces();
                }
                return prelude;
            }
            if prelude.sequence.is_some() && after.peek() == Some(b'%') {
                *rest = after;
                return prelude;
            }
            let piece = after.take_while(|byte| !matches!(byte, b':' | b' '));
            let is_free = if is_digits(piece) { prelude.sequence.is_none() } else { prelude.origin.is_none() };
            if !after.eat_byte(b':') || !is_free {
                break;
            }
            if is_digits(piece) {
                prelude.sequence = Some(piece);
            } else if !piece.is_empty() {
                prelude.origin = Some(piece);
            }
        }
        Self::default()
    }

    fn time(&mut self, rest: &mut Cursor<'a>) -> Option<&'a [u8]> {
        let mut after = *rest;
        if after.eat(b"1 ")
            && let Some(length) = time::epoch(after.rest)
        {
            self.version = Some(b"1");
            let timestamp = after.take(length);
            *rest = after;
            return Some(timestamp);
        }
        let mut after = *rest;
        // A clock that is not synchronized is marked by Cisco.
        if !after.eat_byte(b'*') {
            after.eat_byte(b'.');
        }
        let first = after.peek()?;
        let length = if first.is_ascii_digit() {
            time::iso(after.rest).or_else(|| time::bsd(after.rest)).or_else(|| time::epoch(after.rest))?
        } else {
            time::bsd(after.rest)?
        };
        let timestamp = after.take(length);
        if !matches!(after.peek(), None | Some(b' ' | b':')) {
            return None;
        }
        *rest = after;
        Some(timestamp)
    }
}

/// Takes the host, unless a program or the message stands in its place.
fn host<'a>(rest: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let mut after = *rest;
    after.spaces();
    let word = after.word();
    let mut rest_of_line = after;
    rest_of_line.spaces();
    // One word alone is a message.
    if word.is_empty() || rest_of_line.is_at_end() {
        return None;
    }
    let mut tag = Cursor::new(word);
    let is_tag = Tag::read(&mut tag).is_some() && tag.is_at_end();
    if is_tag {
        // `asa: %ASA-6-305011: text` has the colon at the host.
        let name = word.strip_suffix(b":").filter(|name| !name.contains(&b'['))?;
        if name.starts_with(b"%") || !rest_of_line.rest.starts_with(b"%") {
            return None;
        }
        *rest = after;
        return Some(name);
    }
    let is_other = matches!(word.first(), Some(b'%' | b'{' | b'[' | b'<' | b'"'))
        || word.starts_with(b"CEF:")
        || word.starts_with(b"LEEF:")
        || word.contains(&b'=');
    if is_other {
        return None;
    }
    *rest = after;
    Some(word)
}

/// Takes the severity that F5 and others write before the program.
fn level(rest: &mut Cursor<'_>) -> Option<&'static str> {
    let mut after = *rest;
    let word = after.word();
    let name = match word {
        b"error" => "err",
        b"warn" => "warning",
        _ => *SEVERITIES.iter().find(|name| name.as_bytes() == word)?,
    };
    after.spaces();
    let mut tag = after;
    Tag::read(&mut tag)?;
    *rest = after;
    Some(name)
}

/// The program and its process.
struct Tag<'a> {
    appname: &'a [u8],
    procid: &'a [u8],
}

impl<'a> Tag<'a> {
    /// Reads `sshd[42]:` or `kernel:`, up to the space before the message.
    fn read(rest: &mut Cursor<'a>) -> Option<Self> {
        let mut after = *rest;
        let appname = after.take_while(|byte| !is_outside_of_names(byte));
        if appname.is_empty() || appname.len() > MAX_NAME {
            return None;
        }
        let mut procid = &b""[..];
        let has_brackets = after.eat_byte(b'[');
        if has_brackets {
            procid = after.take_while(|byte| !matches!(byte, b' ' | b'[' | b']'));
            after.eat_byte(b']').then_some(())?;
        }
        let has_colon = after.eat_byte(b':');
        let ends = matches!(after.peek(), None | Some(b' ' | b'\t'));
        let is_tag = if has_brackets { has_colon || ends && is_digits(procid) } else { has_colon && ends };
        // These begin messages of formats of their own.
        if !is_tag || matches!(appname, b"CEF" | b"LEEF") {
            return None;
        }
        *rest = after;
        Some(Self { appname, procid })
    }

    /// Reads `Google Chrome[42]:`, as macOS and login shells write names of several words. Only the number of a process
    /// and the colon after it tell such a name from the beginning of a message.
    fn read_words(rest: &mut Cursor<'a>) -> Option<Self> {
        let mut after = *rest;
        let appname = after.take_while(|byte| byte == b' ' || !is_outside_of_names(byte));
        let words = appname.split(|byte| *byte == b' ').count();
        // `read` decides about names of one word.
        let is_name = (2..=MAX_WORDS).contains(&words) && appname.len() <= MAX_NAME;
        if !is_name || appname.trim_ascii().len() != appname.len() {
            return None;
        }
        after.eat_byte(b'[').then_some(())?;
        let procid = after.take_while(|byte| byte.is_ascii_digit());
        let is_tag = !procid.is_empty() && after.eat_byte(b']') && after.eat_byte(b':');
        if !is_tag || !matches!(after.peek(), None | Some(b' ')) {
            return None;
        }
        *rest = after;
        Some(Self { appname, procid })
    }
}

/// Bytes that do not occur in the names of programs, but where other formats begin.
fn is_outside_of_names(byte: u8) -> bool {
    matches!(byte, b':' | b'[' | b'{' | b'}' | b'"' | b'\'' | b'=' | b',' | b';' | b'<' | b'>' | b'|') || byte <= b' '
}
