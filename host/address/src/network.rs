//! Networks: an address and the number of bits that its addresses share.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bits before the IPv4 address in an IPv4-mapped IPv6 address.
const MAPPED: u8 = 96;

/// A network. An IPv4-mapped IPv6 network is one of IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    length: u8,
}

/// Why a text is not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkError {
    /// It has another form, or the prefix is longer than the address.
    NotANetwork,
    /// The address has bits outside of the prefix. The network has none.
    HostBits(Network),
    /// The address is an IPv4-mapped IPv6 address, but the prefix ends before its IPv4 address.
    MappedPrefix,
}

impl Network {
    /// The network of an address: of its first bits, `v4` of an IPv4 address and `v6` of an IPv6 address. An
    /// IPv4-mapped IPv6 address counts as IPv4. More bits than the address has are all of them.
    #[must_use]
    pub fn of(address: IpAddr, v4: u8, v6: u8) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let length = v4.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                Self { address: Ipv4Addr::from_bits(address.to_bits() & mask).into(), length }
            }
            IpAddr::V6(address) => {
                let length = v6.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                Self { address: Ipv6Addr::from_bits(address.to_bits() & mask).into(), length }
            }
        }
    }

    /// Reads a network such as `10.0.0.0/8`, or a single address. The prefix of an IPv4-mapped IPv6 network is that of
    /// IPv6: `::ffff:10.0.0.0/104`. A shorter one such as `::ffff:10.0.0.0/8` would mean most of IPv6, but a writer means
    /// IPv4.
    ///
    /// # Errors
    ///
    /// The text is not a network, or the prefix does not fit the address.
    pub fn parse(text: &str) -> Result<Self, NetworkError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u8>().map_err(|_| NetworkError::NotANetwork)?)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| NetworkError::NotANetwork)?;
        let address = written.to_canonical();
        let width = if written.is_ipv4() { 32 } else { 128 };
        let mut length = length.unwrap_or(width);
        if length > width {
            return Err(NetworkError::NotANetwork);
        }
        if written.is_ipv6() && address.is_ipv4() {
            length = length.checked_sub(MAPPED).ok_or(NetworkError::MappedPrefix)?;
        }
        let network = Self::of(address, length, length);
        if network.address == address { Ok(network) } else { Err(NetworkError::HostBits(network)) }
    }

    /// The first address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Number of bits that the addresses share.
    #[must_use]
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// Whether an address is in the network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        Self::of(address, self.length, self.length).address == self.address
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<String, NetworkError> {
        Network::parse(text).map(|network| network.to_string())
    }

    #[test]
    fn mapped_networks_are_those_of_ipv4() {
        for (text, network) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.1", "192.0.2.1/32"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::ffff:1.2.3.4", "1.2.3.4/32"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(network), "{text}");
        }
        for text in
            ["", "x", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "::ffff:10.0.0.0/129", "10.0.0.0/104"]
        {
            assert_eq!(parsed(text), Err(NetworkError::NotANetwork), "{text}");
        }
        for text in ["::ffff:10.0.0.0/8", "::ffff:10.0.0.0/32", "::ffff:10.0.0.0/95", "::ffff:0:0/0"] {
            assert_eq!(parsed(text), Err(NetworkError::MappedPrefix), "{text}");
        }
        let Err(NetworkError::HostBits(network)) = Network::parse("::ffff:10.1.2.3/104") else { panic!() };
        assert_eq!(network.to_string(), "10.0.0.0/8");
    }

    proptest! {
        #[test]
        fn a_mapped_address_is_in_the_network_of_its_ipv4_address(bits: u32, length in 0..=32_u8, other: u32) {
            let plain = Ipv4Addr::from(bits);
            let network = Network::of(plain.into(), length, 0);
            prop_assert_eq!(Network::of(plain.to_ipv6_mapped().into(), length, 0), network);
            prop_assert_eq!(Network::parse(&network.to_string()), Ok(network));
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            let other = Ipv4Addr::from(other);
            prop_assert_eq!(network.contains(other.to_ipv6_mapped().into()), (bits ^ u32::from(other)) & mask == 0);
            prop_assert!(network.contains(plain.into()) && !network.contains(Ipv6Addr::LOCALHOST.into()));
        }
    }
}
