//! The format `url`: URLs, and targets of requests such as `/a?b=c`.

use wattle_convert::url::{TooManyParameters, Url as Parts};

use super::{Fault, Read};
use crate::options::Options;

pub(crate) struct Url {
    parse_query: bool,
}

impl Url {
    pub(super) fn new(options: &Options) -> Self {
        Self { parse_query: options.parse_query.unwrap_or(false) }
    }
}

impl Read for Url {
    fn read(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let fault = |message: &str| Fault { code: "not-url", message: message.into() };
        let Some(url) = Parts::of(text.trim_ascii()) else {
            return Err(fault("is not a URL with a scheme such as `https:`, nor a path that begins with `/`"));
        };
        url.write(self.parse_query, out).map_err(|TooManyParameters| fault("has a query of more than 1,000 parameters"))
    }
}
