//! Sets of networks.

use std::net::IpAddr;

use wattle_address::{Network, NetworkError};

/// Networks as ranges of addresses, sorted and without overlaps, so that a long list costs a binary search.
#[derive(Debug, Default)]
pub(crate) struct Networks {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Networks {
    /// Adds a network such as `10.0.0.0/8`, or a single address. The error describes the problem.
    pub(crate) fn add(&mut self, text: &str) -> Result<(), String> {
        let network = Network::parse(text).map_err(|error| match error {
            NetworkError::NotANetwork => {
                format!("`{text}` is not a network; write one such as `10.0.0.0/8` or `2001:db8::/32`, or an address")
            }
            NetworkError::MappedPrefix => format!(
                "`{text}` is an IPv4-mapped network, whose prefix has 96 to 128 bits; write one of IPv4 such as `10.0.0.0/8`, or \
                 `::ffff:10.0.0.0/104`"
            ),
            NetworkError::HostBits(network) => format!("`{text}` has bits outside of its prefix; write `{network}`"),
        })?;
        let length = u32::from(network.length());
        match network.address() {
            IpAddr::V4(address) => {
                let bits = u32::from(address);
                self.v4.push((bits, bits | u32::MAX.checked_shr(length).unwrap_or(0)));
            }
            IpAddr::V6(address) => {
                let bits = u128::from(address);
                self.v6.push((bits, bits | u128::MAX.checked_shr(length).unwrap_or(0)));
            }
        }
        Ok(())
    }

    /// Prepares [`have`](Self::have), after the last network.
    pub(crate) fn sort(&mut self) {
        merge(&mut self.v4);
        merge(&mut self.v6);
    }

    /// Whether a text is an address in one of the networks, read as lookup tables read it.
    pub(crate) fn have(&self, text: &[u8]) -> bool {
        match wattle_address::read(text) {
            Some(IpAddr::V4(address)) => within(&self.v4, u32::from(address)),
            Some(IpAddr::V6(address)) => within(&self.v6, u128::from(address)),
            None => false,
        }
    }
}

/// Networks are disjoint or nested, so a range that begins in the previous one also ends in it.
fn merge<T: Ord + Copy>(ranges: &mut Vec<(T, T)>) {
    // Of two networks that begin at the same address, the larger one first.
    ranges.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
    ranges.dedup_by(|later, earlier| later.0 <= earlier.1);
}

fn within<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let after = ranges.partition_point(|range| range.0 <= address);
    after.checked_sub(1).and_then(|last| ranges.get(last)).is_some_and(|range| address <= range.1)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        let mut networks = Networks::default();
        texts.iter().for_each(|text| networks.add(text).unwrap());
        networks.sort();
        networks
    }

    #[test]
    fn addresses_are_found_in_networks_of_their_family() {
        let some = networks(&["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "10.1.0.0/16", "::1"]);
        for text in [
            "10.0.0.0",
            "10.255.255.255",
            " 192.0.2.1 ",
            "2001:db8::1",
            "::1",
            "::ffff:10.2.3.4",
            "10.0.0.1:80",
            "[::1]:80",
        ] {
            assert!(some.have(text.as_bytes()), "{text}");
        }
        for text in ["9.255.255.255", "11.0.0.0", "192.0.2.2", "2001:db9::", "::2", "", "x", "10.0.0.1:x", "10.0.0.0/8"]
        {
            assert!(!some.have(text.as_bytes()), "{text}");
        }
        assert!(!some.have(b"\xff"));
        let mapped = networks(&["::ffff:10.0.0.0/104"]);
        assert!(mapped.have(b"10.9.9.9") && mapped.have(b"::ffff:10.9.9.9") && !mapped.have(b"11.0.0.0"));
        let all = networks(&["0.0.0.0/0"]);
        assert!(all.have(b"255.255.255.255") && !all.have(b"::2"));
        assert!(networks(&["::/0"]).have(b"ffff::") && !networks(&["::/0"]).have(b"1.2.3.4"));
    }

    #[test]
    fn other_texts_are_refused_with_the_reason() {
        for text in ["", "x", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0/8"] {
            assert!(Networks::default().add(text).unwrap_err().contains("is not a network"), "{text}");
        }
        assert!(Networks::default().add("::ffff:10.0.0.0/8").unwrap_err().contains("96 to 128 bits"));
        assert!(Networks::default().add("10.1.2.3/8").unwrap_err().contains("write `10.0.0.0/8`"));
        assert!(Networks::default().add("2001:db8::1/32").unwrap_err().contains("write `2001:db8::/32`"));
    }

    proptest! {
        #[test]
        fn agrees_with_a_loop_over_all_networks(
            list in prop::collection::vec((0..256_u32, 24..=32_u32), 1..12),
            address in 0..256_u32,
        ) {
            let mask = |length: u32| u32::MAX << (32 - length);
            let texts: Vec<String> = list.iter()
                .map(|(bits, length)| format!("{}/{length}", Ipv4Addr::from(bits & mask(*length)))).collect();
            let expected = list.iter().any(|(bits, length)| (bits ^ address) & mask(*length) == 0);
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let found = networks(&texts).have(Ipv4Addr::from(address).to_string().as_bytes());
            prop_assert_eq!(found, expected);
        }
    }
}
