//! `url`: the parts of a URL.

use wattle_convert::url::{TooManyParameters, Url as Parts};
use wattle_node::json::Kind;

use super::case::string;
use super::value::{Change, Made, utf8};
use crate::problem::Problem;

pub(crate) struct Url {
    pub(super) parse_query: bool,
}

impl Change for Url {
    fn change(&mut self, kind: Kind, text: &[u8], out: &mut Vec<u8>) -> Result<Made, Problem> {
        string(kind)?;
        let parts = Parts::of(utf8(text)?.as_bytes().trim_ascii()).ok_or(Problem::BadValue("a URL"))?;
        match parts.write(self.parse_query, out) {
            Ok(()) => Ok(Made::Json),
            Err(TooManyParameters) => Err(Problem::BadValue("a URL with at most 1,000 parameters")),
        }
    }
}
