//! The format `logfmt`: `level=info msg="all well" debug`.

use memchr::memchr2;
use wattle_node::json;

use super::{Fault, Read};
use crate::object::Object;
use crate::options::{BareKeys, Options};
use crate::pairs::{Pairs, Piece, Types};

/// What to do with keys that stand alone, and the memory for one row.
pub(crate) struct Logfmt {
    bare_keys: BareKeys,
    types: Types,
    pairs: Pairs,
}

impl Logfmt {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            bare_keys: options.bare_keys.unwrap_or_default(),
            types: Types::new(options.types.clone()),
            pairs: Pairs::default(),
        }
    }
}

impl Read for Logfmt {
    fn read(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let pairs = &mut self.pairs;
        pairs.clear();
        let bare = match self.bare_keys {
            BareKeys::True => pairs.make(|out| out.extend_from_slice(b"true")),
            BareKeys::Empty | BareKeys::Fail => Piece::default(),
        };
        let (mut at, mut first_bare, mut complete) = (0, None, 0);
        loop {
            at = end_of(text, at, |byte| byte <= b' ');
            if at == text.len() {
                break;
            }
            let end = end_of(text, at, |byte| byte > b' ' && byte != b'=' && byte != b'"');
            let key = Piece::of(at, end);
            let next = text.get(end).copied().unwrap_or(b' ');
            if end == at {
                return fault(format!("has a pair without a key at byte {at}"));
            }
            if next == b'"' {
                return fault(format!("has a quote in the key at byte {at}"));
            }
            if next != b'=' {
                if self.bare_keys == BareKeys::Fail {
                    return fault(format!("has no `=` in the pair at byte {at}"));
                }
                first_bare.get_or_insert(at);
                pairs.add(key, bare);
                at = end;
                continue;
            }
            complete += 1;
            let start = end + 1;
            at = if text.get(start) == Some(&b'"') {
                let (value, end) = quoted(text, start, pairs)?;
                pairs.add(key, value);
                end
            } else {
                let end = end_of(text, start, |byte| byte > b' ');
                pairs.add(key, Piece::of(start, end));
                end
            };
        }
        // A text of words only, such as a sentence, is in another format.
        if complete == 0 {
            return match first_bare {
                Some(at) => fault(format!("has no `=` in the pair at byte {at}")),
                None => fault("holds no pair".into()),
            };
        }
        let mut object = Object::begin(out);
        self.pairs.write(text, &self.types, &mut object)?;
        object.end();
        Ok(())
    }
}

/// Reads the quoted value that begins at `at`, with the escapes of JSON, and returns it with the place behind it.
fn quoted(text: &[u8], at: usize, pairs: &mut Pairs) -> Result<(Piece, usize), Fault> {
    let start = at + 1;
    let (mut end, mut is_escaped) = (start, false);
    loop {
        let Some(stop) = text.get(end..).and_then(|rest| memchr2(b'"', b'\\', rest)) else {
            return fault(format!("has a quote at byte {at} that is not closed"));
        };
        end += stop;
        if text.get(end) == Some(&b'"') {
            break;
        }
        is_escaped = true;
        end += 2;
    }
    let after = end + 1;
    if text.get(after).is_some_and(|&byte| byte > b' ') {
        return fault(format!("has text after the closing quote before byte {after}"));
    }
    let value = if is_escaped {
        pairs.make(|out| json::unescape_leniently(text.get(start..end).unwrap_or_default(), out))
    } else {
        Piece::of(start, end)
    };
    Ok((value, after))
}

/// Where the bytes of a kind that begin at `at` end.
#[inline]
fn end_of(text: &[u8], at: usize, is: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|&byte| !is(byte)).unwrap_or(rest.len())
}

fn fault<T>(message: String) -> Result<T, Fault> {
    Err(Fault { code: "not-logfmt", message })
}
