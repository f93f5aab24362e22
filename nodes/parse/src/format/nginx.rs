//! The format `nginx`: access logs with any `log_format`, and the error log.

use memchr::memmem::{self, Finder};
use wattle_node::Setup;

use super::layout::{Kind, Layout, Layouts, no_layout, request, write_request, write_text};
use super::{Fault, Read, fixed_layout, variant};
use crate::object::{Object, key};
use crate::options::{Options, Variant};
use crate::scan::{Cursor, without_line_end};

const COMBINED: &str = r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent""#;

/// The layout in the `nginx.conf` of most packages.
const MAIN: &str = r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_x_forwarded_for""#;

/// The layout of the ingress controller of Kubernetes.
const INGRESS: &str = r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id"#;

/// Keys and kinds of variables; others keep their names and are texts.
const VARIABLES: [(&str, &str, Kind); 26] = [
    ("remote_addr", "client", Kind::Text),
    ("remote_user", "user", Kind::User),
    ("time_local", "timestamp", Kind::Text),
    ("time_iso8601", "timestamp", Kind::Text),
    ("msec", "timestamp", Kind::Text),
    ("request", "request", Kind::Request),
    ("request_method", "method", Kind::Text),
    ("request_uri", "path", Kind::Text),
    ("uri", "path", Kind::Text),
    ("server_protocol", "protocol", Kind::Text),
    ("status", "status", Kind::Integer),
    ("body_bytes_sent", "size", Kind::Integer),
    ("bytes_sent", "bytes_sent", Kind::Integer),
    ("http_referer", "referer", Kind::Text),
    ("http_user_agent", "agent", Kind::Text),
    ("http_x_forwarded_for", "forwarded_for", Kind::Text),
    ("request_time", "request_time", Kind::Number),
    ("request_length", "request_length", Kind::Integer),
    ("gzip_ratio", "gzip_ratio", Kind::Number),
    ("connection", "connection", Kind::Integer),
    ("connection_requests", "connection_requests", Kind::Integer),
    ("remote_port", "client_port", Kind::Integer),
    ("server_port", "server_port", Kind::Integer),
    ("server_name", "server", Kind::Text),
    ("http_host", "host", Kind::Text),
    ("pid", "pid", Kind::Integer),
];

/// The layouts to try, and whether lines of the error log occur.
pub(crate) struct Nginx {
    access: Option<Layouts>,
    errors: Option<Errors>,
}

impl Nginx {
    pub(super) fn new(options: &Options, setup: &mut Setup<'_>) -> Option<Self> {
        if let Some(layout) = fixed_layout(options, layout, setup) {
            return Some(Self { access: Some(Layouts::new(vec![layout?])), errors: None });
        }
        let allowed = [Variant::Auto, Variant::Combined, Variant::Main, Variant::Ingress, Variant::Error];
        let variant = variant(options, &allowed, setup)?;
        let layouts = [(Variant::Combined, COMBINED), (Variant::Main, MAIN), (Variant::Ingress, INGRESS)];
        let wanted = layouts.iter().filter(|(name, _)| matches!(variant, Variant::Auto) || *name == variant);
        let wanted: Vec<Layout> = wanted.filter_map(|(_, text)| layout(text).ok()).collect();
        Some(Self {
            access: (!wanted.is_empty()).then(|| Layouts::new(wanted)),
            errors: matches!(variant, Variant::Auto | Variant::Error).then(Errors::default),
        })
    }
}

impl Read for Nginx {
    fn read(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let line = without_line_end(text);
        if let Some(access) = &mut self.access
            && access.read(line, out)
        {
            return Ok(());
        }
        if let Some(errors) = &mut self.errors {
            let start = out.len();
            let mut object = Object::begin(out);
            if errors.read(line, &mut object).is_some() {
                object.end();
                return Ok(());
            }
            out.truncate(start);
        }
        no_layout("not-nginx", "an access or error log of nginx")
    }
}

/// Reads the value of `log_format` in the configuration of nginx.
fn layout(text: &str) -> Result<Layout, String> {
    let mut layout = Layout::default();
    let mut rest = Cursor::new(text.as_bytes());
    while !rest.is_at_end() {
        layout.literal(rest.take_while(|byte| byte != b'$'));
        if !rest.eat_byte(b'$') {
            break;
        }
        let has_brace = rest.eat_byte(b'{');
        let name = rest.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if name.is_empty() || has_brace && !rest.eat_byte(b'}') {
            return Err("`$` begins no variable such as `$remote_addr`".into());
        }
        let name = std::str::from_utf8(name).map_err(|error| error.to_string())?;
        let known = VARIABLES.iter().find(|(variable, ..)| *variable == name);
        let (key, kind) = known.map_or_else(
            || (name, if name.starts_with("upstream_") { Kind::List } else { Kind::Text }),
            |(_, key, kind)| (*key, *kind),
        );
        layout.value(key, kind)?;
    }
    Ok(layout)
}

/// The error log: `2018/10/10 22:14:15 [error] 42#7: *5 open() failed, client: 10.0.0.1, server: example.com`.
struct Errors {
    client: Finder<'static>,
    decoded: Vec<u8>,
}

impl Default for Errors {
    fn default() -> Self {
        Self { client: Finder::new(b", client: "), decoded: Vec::new() }
    }
}

/// What follows the message: the name in the log, and the key with its quotes and the colon.
const CONTEXT: [(&[u8], &str); 9] = [
    (b"client: ", key!("client")),
    (b"server: ", key!("server")),
    (b"request: ", key!("request")),
    (b"subrequest: ", key!("subrequest")),
    (b"upstream: ", key!("upstream")),
    (b"host: ", key!("host")),
    (b"referrer: ", key!("referer")),
    (b"login: ", key!("login")),
    (b"session: ", key!("session")),
];

impl Errors {
    fn read(&mut self, line: &[u8], object: &mut Object<'_>) -> Option<()> {
        let mut rest = Cursor::new(line);
        for (digits, separator) in [(4, b'/'), (2, b'/'), (2, b' '), (2, b':'), (2, b':')] {
            rest.digits(digits, digits)?;
            rest.eat_byte(separator).then_some(())?;
        }
        rest.digits(2, 2)?;
        object.text(key!("timestamp"), line.get(..line.len() - rest.rest.len())?);
        rest.eat(b" [").then_some(())?;
        object.text(key!("severity"), rest.until(b']')?);
        rest.eat_byte(b' ').then_some(())?;
        object.number_or_text(key!("pid"), rest.digits(1, 10)?);
        rest.eat_byte(b'#').then_some(())?;
        object.number_or_text(key!("tid"), rest.digits(1, 18)?);
        rest.eat(b": ").then_some(())?;
        let mut after = rest;
        if after.eat_byte(b'*')
            && let Some(connection) = after.digits(1, 18)
            && after.eat_byte(b' ')
        {
            object.number_or_text(key!("cid"), connection);
            rest = after;
        }
        let end = self.client.find(rest.rest).unwrap_or(rest.rest.len());
        object.text(key!("message"), rest.take(end));
        while rest.eat(b", ") {
            self.pair(&mut rest, object)?;
        }
        rest.is_at_end().then_some(())
    }

    /// Writes one pair of the context: a quoted value, or one up to the next name.
    fn pair(&mut self, rest: &mut Cursor<'_>, object: &mut Object<'_>) -> Option<()> {
        let (_, key) = CONTEXT.iter().find(|(name, _)| rest.eat(name))?;
        if rest.eat_byte(b'"') {
            let value = rest.until(b'"')?;
            if *key == key!("request") && request(value).is_some() {
                write_request(value, object, &mut self.decoded);
            } else {
                write_text(key, value, object, &mut self.decoded);
            }
            return Some(());
        }
        let next = memmem::find_iter(rest.rest, b", ").find(|at| {
            let after = rest.rest.get(at + 2..).unwrap_or_default();
            CONTEXT.iter().any(|(name, _)| after.starts_with(name))
        });
        let value = rest.take(next.unwrap_or(rest.rest.len()));
        if !value.is_empty() {
            write_text(key, value, object, &mut self.decoded);
        }
        Some(())
    }
}
