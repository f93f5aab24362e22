//! The formats `cri` and `docker`: lines that a container runtime writes for the output of a container.

use memchr::memchr;
use wattle_node::json::{self, Kind, Path};

use super::{Fault, Read};
use crate::object::{Object, key};
use crate::scan::{Cursor, without_line_end};

/// `2016-10-06T00:17:09.669794202Z stdout F the text`, as Kubernetes describes it ("CRI: log format").
pub(crate) struct Cri;

impl Read for Cri {
    fn read(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut object = Object::begin(out);
        if read_cri(without_line_end(text), &mut object).is_none() {
            let message = "is no line of a container runtime: a time, `stdout` or `stderr`, tags, and the text";
            return Err(Fault { code: "not-cri", message: message.into() });
        }
        object.end();
        Ok(())
    }
}

fn read_cri(line: &[u8], object: &mut Object<'_>) -> Option<()> {
    let mut rest = Cursor::new(line);
    let timestamp = rest.until(b' ')?;
    let is_time = timestamp.len() >= 20 && timestamp.get(10) == Some(&b'T') && timestamp.first()?.is_ascii_digit();
    is_time.then_some(())?;
    let stream = rest.until(b' ')?;
    matches!(stream, b"stdout" | b"stderr").then_some(())?;
    // Tags are separated by colons; the first says whether the line is a part of a longer one. An
    // empty text may come without the space before it.
    let tags = rest.word();
    rest.eat_byte(b' ');
    let partial = match tags.get(..memchr(b':', tags).unwrap_or(tags.len()))? {
        b"P" => &b"true"[..],
        b"F" => b"false",
        _ => return None,
    };
    object.text(key!("timestamp"), timestamp);
    object.text(key!("stream"), stream);
    object.raw(key!("partial"), partial);
    object.text(key!("message"), rest.rest);
    Some(())
}

/// `{"log":"the text\n","stream":"stdout","time":"2016-10-06T00:17:09.669794202Z"}`. A part of a
/// longer line has no line feed at its end.
#[derive(Default)]
pub(crate) struct Docker {
    paths: Vec<(Path, &'static str)>,
    log: Vec<u8>,
}

impl Read for Docker {
    fn read(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let fault = |message: &str| Err(Fault { code: "not-docker", message: message.into() });
        // The deepest JSON that the host accepts.
        if !json::check(text, 512).is_ok_and(|kind| kind == Kind::Object) {
            return fault("is not a JSON object");
        }
        if self.paths.is_empty() {
            let keys = [("log", ""), ("stream", key!("stream")), ("time", key!("timestamp")), ("attrs", key!("attrs"))];
            self.paths = keys.iter().filter_map(|(key, to)| Some((Path::parse(key).ok()?, *to))).collect();
        }
        let mut object = Object::begin(out);
        let mut has_log = false;
        for (path, to) in &self.paths {
            let Ok(Some(found)) = json::find(text, path) else { continue };
            let value = text.get(found.start..found.end).unwrap_or_default();
            if !to.is_empty() {
                object.raw(to, value);
                continue;
            }
            let Some(inner) = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")) else { continue };
            has_log = true;
            self.log.clear();
            json::unescape_lossy(inner, &mut self.log);
            let line = without_line_end(&self.log);
            object.raw(key!("partial"), if self.log.ends_with(b"\n") { b"false" } else { b"true" });
            object.text(key!("message"), line);
        }
        if !has_log {
            return fault("has no text at `log`");
        }
        object.end();
        Ok(())
    }
}
