//! The format `apache`: access logs with any `LogFormat`, and the error log.

use memchr::{memchr, memmem, memrchr};
use wattle_node::Setup;

use super::layout::{Kind, Layout, Layouts, no_layout, write_text};
use super::{Fault, Read, fixed_layout, variant};
use crate::object::{Object, decimal, key};
use crate::options::{Options, Variant};
use crate::scan::{Cursor, is_digits, without_line_end};

const COMMON: &str = r#"%h %l %u %t "%r" %>s %b"#;
const COMBINED: &str = r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#;
/// Of Debian, for several hosts in one log.
const VHOST_COMBINED: &str = r#"%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i""#;

/// Keys and kinds of directives without a name in braces.
const DIRECTIVES: [(u8, &str, Kind); 24] = [
    (b'h', "client", Kind::Text),
    (b'a', "client", Kind::Text),
    (b'l', "identity", Kind::Text),
    (b'u', "user", Kind::User),
    (b'r', "request", Kind::Request),
    (b's', "status", Kind::Integer),
    (b'b', "size", Kind::Integer),
    (b'B', "size", Kind::Integer),
    (b'O', "size", Kind::Integer),
    (b'I', "bytes_received", Kind::Integer),
    (b'S', "bytes_transferred", Kind::Integer),
    (b'D', "duration_us", Kind::Integer),
    (b'T', "duration_s", Kind::Number),
    (b'v', "host", Kind::Text),
    (b'V', "host", Kind::Text),
    (b'p', "port", Kind::Integer),
    (b'P', "pid", Kind::Integer),
    (b'm', "method", Kind::Text),
    (b'U', "path", Kind::Text),
    (b'q', "query", Kind::Text),
    (b'H', "protocol", Kind::Text),
    (b'f', "file", Kind::Text),
    (b'X', "connection", Kind::Text),
    (b'L', "log_id", Kind::Text),
];

/// The layouts to try, and whether lines of the error log occur.
pub(crate) struct Apache {
    access: Option<Layouts>,
    errors: bool,
    decoded: Vec<u8>,
}

impl Apache {
    pub(super) fn new(options: &Options, setup: &mut Setup<'_>) -> Option<Self> {
        if let Some(layout) = fixed_layout(options, layout, setup) {
            return Some(Self { access: Some(Layouts::new(vec![layout?])), errors: false, decoded: Vec::new() });
        }
        let allowed = [Variant::Auto, Variant::Common, Variant::Combined, Variant::Error];
        let variant = variant(options, &allowed, setup)?;
        let texts: &[&str] = match variant {
            Variant::Auto => &[COMBINED, COMMON, VHOST_COMBINED],
            Variant::Combined => &[COMBINED, VHOST_COMBINED],
            Variant::Common => &[COMMON],
            _ => &[],
        };
        let layouts: Vec<Layout> = texts.iter().filter_map(|text| layout(text).ok()).collect();
        Some(Self {
            access: (!layouts.is_empty()).then(|| Layouts::new(layouts)),
            errors: matches!(variant, Variant::Auto | Variant::Error),
            decoded: Vec::new(),
        })
    }
}

impl Read for Apache {
    fn read(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let line = without_line_end(text);
        if let Some(access) = &mut self.access
            && access.read(line, out)
        {
            return Ok(());
        }
        if self.errors {
            let start = out.len();
            let mut object = Object::begin(out);
            if read_error(line, &mut object, &mut self.decoded).is_some() {
                object.end();
                return Ok(());
            }
            out.truncate(start);
        }
        no_layout("not-apache", "an access or error log of Apache")
    }
}

/// Reads the value of `LogFormat` in the configuration of Apache.
fn layout(text: &str) -> Result<Layout, String> {
    let mut layout = Layout::default();
    let mut rest = Cursor::new(text.as_bytes());
    while !rest.is_at_end() {
        layout.literal(rest.take_while(|byte| byte != b'%'));
        if !rest.eat_byte(b'%') {
            break;
        }
        if rest.eat_byte(b'%') {
            layout.literal(b"%");
            continue;
        }
        rest.take_while(|byte| matches!(byte, b'<' | b'>' | b'!' | b',' | b'0'..=b'9'));
        let name = if rest.eat_byte(b'{') { Some(rest.until(b'}').ok_or("a brace is not closed")?) } else { None };
        let name = name.map(|name| String::from_utf8_lossy(name).to_ascii_lowercase());
        let directive = rest.take(1).first().copied().ok_or("`%` at the end begins no directive")?;
        match (directive, name.as_deref()) {
            // The brackets belong to the directive.
            (b't', None) => {
                layout.literal(b"[");
                layout.value("timestamp", Kind::Text)?;
                layout.literal(b"]");
            }
            (b't', Some(_)) => layout.value("timestamp", Kind::Text)?,
            (b'a', Some("c")) => layout.value("peer", Kind::Text)?,
            (b'T', Some("us")) => layout.value("duration_us", Kind::Integer)?,
            (b'T', Some("ms")) => layout.value("duration_ms", Kind::Integer)?,
            (b'i', Some("referer")) => layout.value("referer", Kind::Text)?,
            (b'i', Some("user-agent")) => layout.value("agent", Kind::Text)?,
            (b'i', Some("x-forwarded-for")) => layout.value("forwarded_for", Kind::Text)?,
            (b'i' | b'o' | b'e' | b'n' | b'C' | b'x', Some(name)) => {
                layout.value(&name.replace(|c: char| !c.is_ascii_alphanumeric(), "_"), Kind::Text)?;
            }
            _ => {
                let known = DIRECTIVES.iter().find(|(letter, ..)| *letter == directive);
                let (_, key, kind) = known.ok_or_else(|| format!("unknown directive `%{}`", char::from(directive)))?;
                layout.value(key, *kind)?;
            }
        }
    }
    Ok(layout)
}

/// Reads `[Wed Oct 10 22:14:15.9 2018] [core:error] [pid 42:tid 7] [client 10.0.0.1:5] AH00124: text, referer: http://x`.
fn read_error(line: &[u8], object: &mut Object<'_>, decoded: &mut Vec<u8>) -> Option<()> {
    let mut rest = Cursor::new(line);
    rest.eat_byte(b'[').then_some(())?;
    let timestamp = rest.until(b']')?;
    // The year stands at the end of the time, or ISO 8601 has it at the start.
    let has_year = timestamp.last_chunk::<4>().is_some_and(|year| is_digits(year))
        || timestamp.first_chunk::<4>().is_some_and(|year| is_digits(year));
    has_year.then_some(())?;
    object.text(key!("timestamp"), timestamp);
    rest.eat(b" [").then_some(())?;
    let level = rest.until(b']')?;
    let has_module = memchr(b':', level).is_some();
    let severity = match memchr(b':', level) {
        Some(colon) => {
            object.text_unless_nil(key!("module"), level.get(..colon)?);
            level.get(colon + 1..)?
        }
        None => level,
    };
    let is_severity = !severity.is_empty() && severity.iter().all(u8::is_ascii_alphanumeric);
    is_severity.then_some(())?;
    object.text(key!("severity"), severity);
    rest.spaces();
    let mut after = rest;
    while after.eat_byte(b'[') {
        let Some(context) = after.until(b']') else { break };
        if !write_context(context, has_module, object) {
            break;
        }
        after.spaces();
        rest = after;
    }
    let mut after = rest;
    if after.eat(b"AH")
        && let Some(digits) = after.digits(5, 5)
        && after.eat(b": ")
    {
        object.text(key!("code"), rest.rest.get(..2 + digits.len())?);
        rest = after;
    }
    let message = rest.rest;
    let referer = memmem::rfind(message, b", referer: ");
    write_text(key!("message"), message.get(..referer.unwrap_or(message.len()))?, object, decoded);
    if let Some(referer) = referer {
        write_text(key!("referer"), message.get(referer + 11..)?, object, decoded);
    }
    Some(())
}

/// Writes `pid 42:tid 7` or `client 10.0.0.1:5`; returns whether the text is one of them.
fn write_context(context: &[u8], has_port: bool, object: &mut Object<'_>) -> bool {
    if let Some(process) = context.strip_prefix(b"pid ") {
        let end = memchr(b':', process).unwrap_or(process.len());
        let (pid, thread) = process.split_at(end);
        let Some(pid) = decimal(pid) else { return false };
        object.raw(key!("pid"), pid);
        if let Some(tid) = thread.strip_prefix(b":tid ") {
            object.number_or_text(key!("tid"), tid);
        }
        return true;
    }
    let Some(client) = context.strip_prefix(b"client ").or_else(|| context.strip_prefix(b"remote ")) else {
        return false;
    };
    // An address of IPv6 has colons, too. Apache 2.4 writes it without brackets and always adds a port;
    // older versions, whose lines have no module, write neither.
    let colon = memrchr(b':', client).filter(|colon| {
        let host = client.get(..*colon).unwrap_or_default();
        memchr(b':', host).is_none() || host.ends_with(b"]") || has_port
    });
    match colon.and_then(|colon| Some((client.get(..colon)?, decimal(client.get(colon + 1..)?)?))) {
        Some((host, port)) => {
            let host = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host);
            object.text(key!("client"), host);
            object.raw(key!("client_port"), port);
        }
        None => object.text(key!("client"), client),
    }
    true
}
