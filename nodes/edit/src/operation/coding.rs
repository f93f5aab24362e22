//! `encode` and `decode`.

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD, Encoding, HEXLOWER, HEXLOWER_PERMISSIVE};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use wattle_node::json::{self, Kind};

use super::case::string;
use super::text::write_string;
use super::value::{Change, Made, utf8};
use crate::options::{self, Coding, InvalidUtf8};
use crate::problem::Problem;
use crate::rows::MAX_DEPTH;

/// What percent-encoding changes: everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(crate) struct Encode(pub(super) Coding);

impl Change for Encode {
    fn change(&mut self, kind: Kind, text: &[u8], out: &mut Vec<u8>) -> Result<Made, Problem> {
        if self.0 == Coding::Json {
            match kind {
                Kind::String => write_string(utf8(text)?.as_bytes(), out),
                _ => out.extend_from_slice(text),
            }
            return Ok(Made::Text);
        }
        if kind >= Kind::Array {
            return Err(Problem::WrongType(kind, "a string, a number or a boolean"));
        }
        let mut write = |encoding: &Encoding| {
            let start = out.len();
            out.resize(start + encoding.encode_len(text.len()), 0);
            out.get_mut(start..).into_iter().for_each(|out| encoding.encode_mut(text, out));
        };
        match self.0 {
            Coding::Base64 => write(&BASE64),
            Coding::Base64Url => write(&BASE64URL_NOPAD),
            Coding::Hex => write(&HEXLOWER),
            Coding::Percent | Coding::Json => {
                percent_encode(text, RESERVED).for_each(|part| out.extend_from_slice(part.as_bytes()));
            }
        }
        Ok(Made::Text)
    }
}

pub(crate) struct Decode {
    coding: Coding,
    /// The result goes to the body, which takes any bytes.
    takes_bytes: bool,
    replaces: bool,
}

impl Decode {
    pub(super) fn new(options: &options::Decode) -> Self {
        let is_body = |field: &str| field == "body";
        let takes_bytes = match &options.into {
            Some(into) => is_body(into),
            None => options.decode.each("").all(|(_, field)| is_body(field)),
        };
        Self { coding: options.coding, takes_bytes, replaces: options.invalid_utf8 == InvalidUtf8::Replace }
    }
}

impl Change for Decode {
    fn change(&mut self, kind: Kind, text: &[u8], out: &mut Vec<u8>) -> Result<Made, Problem> {
        string(kind)?;
        match self.coding {
            Coding::Base64 => decode_base64(&BASE64_NOPAD, text, out).ok_or(Problem::BadValue("base64"))?,
            Coding::Base64Url => {
                decode_base64(&BASE64URL_NOPAD, text, out).ok_or(Problem::BadValue("base64 for URLs"))?;
            }
            Coding::Hex => decode(&HEXLOWER_PERMISSIVE, text, out).ok_or(Problem::BadValue("hexadecimal"))?,
            Coding::Percent => out.extend(percent_decode(text)),
            Coding::Json => {
                if json::check(text, MAX_DEPTH).is_err() {
                    return Err(Problem::BadValue("valid JSON"));
                }
                out.extend_from_slice(text.trim_ascii());
                return Ok(Made::Json);
            }
        }
        if !self.takes_bytes && std::str::from_utf8(out).is_err() {
            if !self.replaces {
                return Err(Problem::BadValue(
                    "UTF-8 after it is decoded; `invalid_utf8 = \"replace\"` takes it with U+FFFD",
                ));
            }
            *out = String::from_utf8_lossy(out).into_owned().into_bytes();
        }
        Ok(Made::Text)
    }
}

/// Decodes a text that may lack its padding; with padding, its length is a multiple of 4.
fn decode_base64(encoding: &Encoding, text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let padding = text.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    (padding == 0 || text.len().is_multiple_of(4)).then_some(())?;
    decode(encoding, text.get(..text.len() - padding)?, out)
}

fn decode(encoding: &Encoding, text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    out.resize(start + encoding.decode_len(text.len()).ok()?, 0);
    let written = encoding.decode_mut(text, out.get_mut(start..)?).ok()?;
    out.truncate(start + written);
    Some(())
}
