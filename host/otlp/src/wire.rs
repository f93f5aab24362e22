//! The wire format of requests: writes one with a single record, and joins those without decoding the records.
//!
//! The requests of all signals have the same shape
//! (<https://github.com/open-telemetry/opentelemetry-proto>): field 1 has the resources; a resource has itself in field 1,
//! its scopes in field 2 and the address of its schema in field 3; a scope likewise has itself, its records and an address.

use std::collections::HashMap;

/// Keys of the fields: the number, and wire type 2, which is bytes with their length.
const OWN: u8 = 1 << 3 | 2;
const MEMBER: u8 = 2 << 3 | 2;
const URL: u8 = 3 << 3 | 2;

/// The encodings of events are damaged.
#[derive(Debug, thiserror::Error)]
#[error("an encoded event is not a request with one record")]
pub struct Damaged;

/// What identifies a resource or a scope: its encoding, and the address of its schema.
pub(crate) type Head<'m> = (Option<&'m [u8]>, &'m [u8]);

/// Appends a request with one record.
pub(crate) fn write_one(resource: Head<'_>, scope: Head<'_>, record: &[u8], out: &mut Vec<u8>) {
    write_field(OWN, level_len(resource, level_field_len(scope, field_len(record))), out);
    write_level(resource, out, |out| {
        write_field(MEMBER, level_len(scope, field_len(record)), out);
        write_level(scope, out, |out| write_bytes(MEMBER, record, out));
    });
}

/// Makes one request of the encodings of events, after each other. Records of the same resource and scope are put together,
/// in the order of the events.
///
/// # Errors
///
/// The bytes are not what [`write_one`] wrote.
pub(crate) fn join<'m>(events: &'m [u8]) -> Result<Vec<u8>, Damaged> {
    let mut resources: Groups<'m, Groups<'m, Vec<&'m [u8]>>> = Groups::default();
    let mut rest = events;
    while let Some((key, resource)) = next(&mut rest)? {
        if key != OWN {
            return Err(Damaged);
        }
        let (head, scopes) = level(resource)?;
        let add = |group: &mut Groups<'m, Vec<&'m [u8]>>| {
            for scope in scopes {
                let (head, records) = level(scope)?;
                group.update(head, |group| group.extend(records));
            }
            Ok(())
        };
        resources.update(head, add).transpose()?;
    }
    let mut out = Vec::with_capacity(events.len());
    for (resource, scopes) in resources.groups {
        let records = |records: &Vec<&[u8]>| records.iter().map(|record| field_len(record)).sum();
        let len = scopes.groups.iter().map(|(scope, members)| level_field_len(*scope, records(members))).sum();
        write_field(OWN, level_len(resource, len), &mut out);
        write_level(resource, &mut out, |out| {
            for (scope, members) in &scopes.groups {
                write_field(MEMBER, level_len(*scope, records(members)), out);
                write_level(*scope, out, |out| members.iter().for_each(|record| write_bytes(MEMBER, record, out)));
            }
        });
    }
    Ok(out)
}

/// Groups in the order of their first members.
struct Groups<'m, G> {
    groups: Vec<(Head<'m>, G)>,
    places: HashMap<Head<'m>, usize>,
    last: Option<(Head<'m>, usize)>,
}

impl<G> Default for Groups<'_, G> {
    fn default() -> Self {
        Self { groups: Vec::new(), places: HashMap::new(), last: None }
    }
}

impl<'m, G: Default> Groups<'m, G> {
    /// Changes the group with this head.
    fn update<T>(&mut self, head: Head<'m>, change: impl FnOnce(&mut G) -> T) -> Option<T> {
        let next = self.groups.len();
        let place = match self.last {
            // Most events have the same resource and scope as the one before, which is compared faster than hashed.
            Some((last, place)) if last == head => place,
            _ => *self.places.entry(head).or_insert(next),
        };
        self.last = Some((head, place));
        if place == next {
            self.groups.push((head, G::default()));
        }
        self.groups.get_mut(place).map(|(_, group)| change(group))
    }
}

/// The head of a resource or a scope, and its members.
fn level(mut message: &[u8]) -> Result<(Head<'_>, Vec<&[u8]>), Damaged> {
    let (mut own, mut url, mut members): (Option<&[u8]>, &[u8], Vec<&[u8]>) = (None, &[], Vec::new());
    while let Some((key, bytes)) = next(&mut message)? {
        match key {
            OWN => own = Some(bytes),
            MEMBER => members.push(bytes),
            URL => url = bytes,
            _ => return Err(Damaged),
        }
    }
    Ok(((own, url), members))
}

/// The next field of a message; `None` at its end.
fn next<'m>(message: &mut &'m [u8]) -> Result<Option<(u8, &'m [u8])>, Damaged> {
    let Some((key, mut rest)) = message.split_first() else { return Ok(None) };
    let len = prost::decode_length_delimiter(&mut rest).map_err(|_| Damaged)?;
    let (bytes, rest) = rest.split_at_checked(len).ok_or(Damaged)?;
    *message = rest;
    Ok(Some((*key, bytes)))
}

/// Bytes of a field with its key and its length.
fn field_len(bytes: &[u8]) -> usize {
    1 + prost::length_delimiter_len(bytes.len()) + bytes.len()
}

/// Bytes of a resource or scope whose members take so many.
fn level_len((own, url): Head<'_>, members: usize) -> usize {
    own.map_or(0, field_len) + members + if url.is_empty() { 0 } else { field_len(url) }
}

/// The same with key and length.
fn level_field_len(head: Head<'_>, members: usize) -> usize {
    let len = level_len(head, members);
    1 + prost::length_delimiter_len(len) + len
}

fn write_field(key: u8, len: usize, out: &mut Vec<u8>) {
    out.push(key);
    // A vector has room for it.
    let _ = prost::encode_length_delimiter(len, out);
}

fn write_bytes(key: u8, bytes: &[u8], out: &mut Vec<u8>) {
    write_field(key, bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn write_level((own, url): Head<'_>, out: &mut Vec<u8>, members: impl FnOnce(&mut Vec<u8>)) {
    if let Some(own) = own {
        write_bytes(OWN, own, out);
    }
    members(out);
    if !url.is_empty() {
        write_bytes(URL, url, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_one_resource_and_scope_are_put_together() {
        let (a, b): (Head<'_>, Head<'_>) = ((Some(b"resource a"), b""), (None, b"https://schema"));
        let (s, t): (Head<'_>, Head<'_>) = ((Some(b""), b""), (None, b""));
        let mut events = Vec::new();
        let long = vec![b'x'; 300];
        for (resource, scope, record) in
            [(a, s, &b"1"[..]), (b, s, b"2"), (a, t, b"3"), (a, s, b"4"), (b, s, &long), (a, s, b"")]
        {
            write_one(resource, scope, record, &mut events);
        }
        let joined = join(&events).unwrap();
        let mut found = Vec::new();
        let mut rest = &joined[..];
        while let Some((_, resource)) = next(&mut rest).unwrap() {
            let (head, scopes) = level(resource).unwrap();
            found.push((head, scopes.into_iter().map(|scope| level(scope).unwrap()).collect::<Vec<_>>()));
        }
        let expected =
            vec![(a, vec![(s, vec![&b"1"[..], b"4", b""]), (t, vec![b"3"])]), (b, vec![(s, vec![&b"2"[..], &long])])];
        assert_eq!(found, expected);
        assert_eq!(join(&joined).unwrap(), joined);
        // Any cut but one between two events is found.
        let mut ends = vec![0];
        let mut rest = &events[..];
        while next(&mut rest).unwrap().is_some() {
            ends.push(events.len() - rest.len());
        }
        for cut in 0..events.len() {
            assert_eq!(join(&events[..cut]).is_ok(), ends.contains(&cut), "{cut}");
        }
    }
}
