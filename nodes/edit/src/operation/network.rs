//! `network`: an address becomes its network.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
        let address = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok());
        let (network, bits): (IpAddr, u8) = match address.ok_or(Problem::BadValue("an IP address"))? {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.v4)).unwrap_or(0);
                (Ipv4Addr::from_bits(address.to_bits() & mask).into(), self.v4)
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.v6)).unwrap_or(0);
                (Ipv6Addr::from_bits(address.to_bits() & mask).into(), self.v6)
            }
        };
        // Writing to a vector cannot fail.
        let _ = if self.address_only { write!(out, "{network}") } else { write!(out, "{network}/{bits}") };
        Ok(Made::Text)
    }
}
