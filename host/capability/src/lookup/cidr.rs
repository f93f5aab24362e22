//! Networks by prefix, with a lookup of the longest match.
//!
//! Written by hand: `ip_network_table` had no release since 2020, its trie uses `unsafe`, and it
//! does not report its memory.

use std::collections::HashMap;
use std::net::IpAddr;

use wattle_address::Network;

use super::error::NetworkError;

/// IPv4 and IPv6 networks with their rows.
#[derive(Debug, Default)]
pub(super) struct Networks {
    v4: Family,
    v6: Family,
}

/// Networks of one family, by length and bits of the prefix.
#[derive(Debug, Default)]
struct Family {
    rows: HashMap<(u8, u128), u32>,
    /// Prefix lengths that occur, longest first.
    lengths: Vec<u8>,
}

/// Returns the bits of an address, left-aligned in 128 bits, and their number.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    }
}

fn prefix(bits: u128, length: u8) -> u128 {
    bits & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

impl Networks {
    /// Adds a network such as `10.0.0.0/8`, or a single address.
    pub(super) fn insert(&mut self, text: &[u8], row: u32) -> Result<(), NetworkError> {
        let wrong = || NetworkError::NotANetwork(String::from_utf8_lossy(text).into_owned());
        let text = std::str::from_utf8(text).map_err(|_| wrong())?.trim();
        let network = Network::parse(text).map_err(|error| match error {
            wattle_address::NetworkError::NotANetwork => wrong(),
            wattle_address::NetworkError::MappedPrefix => NetworkError::MappedPrefix(text.to_owned()),
            wattle_address::NetworkError::HostBits(_) => NetworkError::HostBits(text.to_owned()),
        })?;
        let (bits, width) = bits(network.address());
        let length = network.length();
        let family = if width == 32 { &mut self.v4 } else { &mut self.v6 };
        if let Some(other) = family.rows.insert((length, bits), row) {
            return Err(NetworkError::Repeated { network: text.to_owned(), row: other as usize + 1 });
        }
        if let Err(place) = family.lengths.binary_search_by(|known| length.cmp(known)) {
            family.lengths.insert(place, length);
        }
        Ok(())
    }

    /// Returns the row of the longest prefix of an address; `None` if there is none, or if `text`
    /// is not an address.
    pub(super) fn find(&self, text: &[u8]) -> Option<usize> {
        let (bits, width) = bits(wattle_address::read(text)?);
        let family = if width == 32 { &self.v4 } else { &self.v6 };
        let mut prefixes = family.lengths.iter().map(|length| (*length, prefix(bits, *length)));
        prefixes.find_map(|key| family.rows.get(&key)).map(|row| *row as usize)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        (self.v4.rows.capacity() + self.v6.rows.capacity()) * (size_of::<((u8, u128), u32)>() + 1)
    }
}
