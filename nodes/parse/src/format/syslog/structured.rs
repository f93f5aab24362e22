//! Structured data of RFC 5424: `[id key="value"][other key="value"]`.

use memchr::{memchr, memchr2};

use crate::format::Fault;
use crate::object::{Object, key, put, write_clean};
use crate::pairs::Pairs;
use crate::scan::Cursor;

/// Whether a text begins with structured data that are whole; moves over them.
pub(super) fn skip(rest: &mut Cursor<'_>) -> bool {
    let mut after = *rest;
    if after.eat_byte(b'-') {
        return ends(&after) && {
            *rest = after;
            true
        };
    }
    while after.eat_byte(b'[') {
        if element(&mut after, |_, _| {}).is_none() {
            return false;
        }
    }
    let is_some = after.rest.len() < rest.rest.len();
    if is_some && ends(&after) {
        *rest = after;
        return true;
    }
    false
}

fn ends(after: &Cursor<'_>) -> bool {
    after.is_at_end() || after.peek() == Some(b' ')
}

/// Writes structured data that [`skip`] found to be whole.
pub(super) fn write(
    data: &[u8],
    object: &mut Object<'_>,
    ids: &mut Pairs,
    parameters: &mut Pairs,
) -> Result<(), Fault> {
    let mut rest = Cursor::new(data);
    ids.clear();
    while rest.eat_byte(b'[') {
        parameters.clear();
        let id = element(&mut rest, |name, value| parameters.add_made(name, |out| unescape(value, out)));
        let Some(id) = id else { break };
        let mut done = Ok(());
        ids.add_made(id, |out| {
            let mut object = Object::begin(out);
            done = parameters.write_all(b"", &mut object);
            object.end();
        });
        done?;
    }
    let all = object.nested(key!("structured_data"));
    // RFC 5424 forbids to repeat an id, but not to repeat the name of a parameter. Senders do both.
    ids.each(b"", |id, objects| {
        write_clean(id, all.out);
        all.out.push(b':');
        objects.write(all.out, put);
        all.out.push(b',');
        Ok(())
    })?;
    all.end();
    object.out.push(b',');
    Ok(())
}

/// Reads an element after its bracket, calls `found` with each parameter, and returns the id.
fn element<'a>(rest: &mut Cursor<'a>, mut found: impl FnMut(&'a [u8], &'a [u8])) -> Option<&'a [u8]> {
    let id = rest.take_while(|byte| !matches!(byte, b' ' | b']' | b'=' | b'"'));
    if id.is_empty() {
        return None;
    }
    loop {
        rest.spaces();
        if rest.eat_byte(b']') {
            return Some(id);
        }
        let name = rest.take_while(|byte| !matches!(byte, b' ' | b']' | b'=' | b'"'));
        if name.is_empty() || !rest.eat(b"=\"") {
            return None;
        }
        let mut end = 0;
        loop {
            end += memchr2(b'"', b'\\', rest.rest.get(end..)?)?;
            if rest.rest.get(end) == Some(&b'"') {
                break;
            }
            end += 2;
        }
        found(name, rest.take(end));
        rest.eat_byte(b'"');
    }
}

/// Writes what a value stands for: a backslash escapes `"`, `\` and `]`, and before anything else it is a backslash.
fn unescape(mut value: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr(b'\\', value) {
        let is_escape = matches!(value.get(at + 1), Some(b'"' | b'\\' | b']'));
        out.extend_from_slice(value.get(..if is_escape { at } else { at + 1 }).unwrap_or_default());
        // The byte after an escaping backslash is copied here, so that an escaped backslash escapes nothing.
        if is_escape {
            out.extend(value.get(at + 1));
        }
        value = value.get(at + 1 + usize::from(is_escape)..).unwrap_or_default();
    }
    put(value, out);
}
