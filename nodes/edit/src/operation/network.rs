//! `network`: an address becomes its network.

use std::io::Write as _;

use wattle_node::json::Kind;

use super::Compiler;
use super::case::string;
use super::value::{Change, Made};
use crate::options;
use crate::problem::Problem;

pub(crate) struct Network {
    v4: u8,
    v6: u8,
    address_only: bool,
}

impl Network {
    pub(super) fn new(options: &options::Network, compiler: &mut Compiler<'_, '_>) -> Option<Self> {
        let (v4, v6) = (options.v4.unwrap_or(24), options.v6.unwrap_or(48));
        if v4 > 32 {
            compiler.error("v4", "an IPv4 address has 32 bits");
        }
        if v6 > 128 {
            compiler.error("v6", "an IPv6 address has 128 bits");
        }
        Some(Self { v4, v6, address_only: options.address_only == Some(true) })
    }
}

impl Change for Network {
    fn change(&mut self, kind: Kind, text: &[u8], out: &mut Vec<u8>) -> Result<Made, Problem> {
        string(kind)?;
        let address = wattle_address::read(text).ok_or(Problem::BadValue("an IP address"))?;
        let network = wattle_address::Network::of(address, self.v4, self.v6);
        // Writing to a vector cannot fail.
        let _ = if self.address_only { write!(out, "{}", network.address()) } else { write!(out, "{network}") };
        Ok(Made::Text)
    }
}
