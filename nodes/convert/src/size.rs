//! Byte sizes: `512`, `10k`, `1.5 MiB`.

use crate::decimal::Decimal;

/// What `k`, `M` and so on mean without an `i` after them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prefixes {
    /// Powers of 1000, as in SI.
    #[default]
    Decimal,
    /// Powers of 1024, as in the output of `ls -h` and in nginx.
    Binary,
}

/// Reads a size in bytes: a number, and optionally one of the prefixes `k`, `M`, `G`, `T`, `P`, `E` in any case, an `i` for
/// powers of 1024, and `B`, `byte` or `bytes`. A fraction of a byte is rounded.
///
/// Returns `None` for any other text, and for more than 64 bits.
pub fn parse(text: &[u8], prefixes: Prefixes) -> Option<u64> {
    let (number, unit) = Decimal::split(text.trim_ascii())?;
    let unit = unit.trim_ascii_start();
    let (power, rest) = match unit.split_first() {
        None => (0, unit),
        Some((letter, rest)) => match b"KMGTPE".iter().position(|known| *known == letter.to_ascii_uppercase()) {
            Some(place) => (u32::try_from(place).ok()? + 1, rest),
            None => (0, unit),
        },
    };
    let (is_binary, rest) = match rest {
        [b'i' | b'I', rest @ ..] if power > 0 => (true, rest),
        _ => (prefixes == Prefixes::Binary, rest),
    };
    let is_unit = match power {
        0 => [&b""[..], b"b", b"byte", b"bytes"].iter().any(|name| rest.eq_ignore_ascii_case(name)),
        _ => rest.is_empty() || rest.eq_ignore_ascii_case(b"b"),
    };
    let base: u64 = if is_binary { 1024 } else { 1000 };
    number.times_rounded(base.checked_pow(power)?).filter(|_| is_unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_have_decimal_and_binary_prefixes() {
        for (text, expected) in [
            ("512", 512),
            ("0", 0),
            ("512 B", 512),
            ("1 byte", 1),
            ("2bytes", 2),
            ("10k", 10_000),
            ("10kB", 10_000),
            ("10 Ki", 10_240),
            ("1.5 MiB", 1_572_864),
            ("1.5mb", 1_500_000),
            ("2T", 2_000_000_000_000),
            ("15EiB", 15 << 60),
            ("0.1KiB", 102),
            ("0.6", 1),
            (" 7 ", 7),
        ] {
            assert_eq!(parse(text.as_bytes(), Prefixes::Decimal), Some(expected), "{text}");
        }
        assert_eq!(parse(b"10k", Prefixes::Binary), Some(10_240));
        assert_eq!(parse(b"10", Prefixes::Binary), Some(10));
    }

    #[test]
    fn other_texts_are_no_sizes() {
        for text in
            ["", "k", "-1", "+1", "1 i", "1ib", "1kib3", "1kbyte", "1x", "1e3", "1.k", "16EiB", "1 2", "1 ZB", "1,024"]
        {
            assert_eq!(parse(text.as_bytes(), Prefixes::Decimal), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whole_numbers_keep_their_value(size: u64, small in 0..16_384_u64) {
            prop_assert_eq!(parse(size.to_string().as_bytes(), Prefixes::Binary), Some(size));
            prop_assert_eq!(parse(format!("{small} PiB").as_bytes(), Prefixes::Decimal), Some(small << 50));
        }

        #[test]
        fn any_bytes_give_a_size_or_none(bytes: Vec<u8>, near in "[0-9.kMiB ]{0,12}") {
            let _ = parse(&bytes, Prefixes::Decimal);
            let _ = parse(near.as_bytes(), Prefixes::Binary);
        }
    }
}
