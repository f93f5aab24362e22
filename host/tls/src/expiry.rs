//! When a certificate expires.
//!
//! Reads the few fields before the validity by hand: a parser of all of X.509 is much more than one date needs, and
//! webpki, which checks certificates, does not give it out.

use std::path::Path;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Tags of ASN.1 (X.690).
const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The version, which is left out for version 1.
const VERSION: u8 = 0xa0;

/// The time after which the first certificate in a file, which is the one of the server or client itself, is not valid.
/// `None` if the file cannot be read or has no certificate. Reads a file.
pub fn expiry(path: &Path) -> Option<Timestamp> {
    not_after(&CertificateDer::pem_file_iter(path).ok()?.next()?.ok()?)
}

/// The field `notAfter` (RFC 5280, section 4.1).
fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if let Some((_, after)) = element(rest, VERSION) {
        rest = after;
    }
    // The serial number, the algorithm of the signature and the issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = element(rest, tag)?.1;
    }
    let (validity, _) = element(rest, SEQUENCE)?;
    let (_, rest) = time(validity)?;
    time(rest).map(|(not_after, _)| not_after)
}

/// The contents of the first element, which must have this tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..0x80 => (usize::from(length), rest),
        _ => {
            // The number of bytes of the length.
            let (length, rest) =
                rest.split_at_checked(usize::from(length & 0x7f)).filter(|(bytes, _)| bytes.len() <= 4)?;
            (length.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
        }
    };
    (first == tag).then_some(())?;
    rest.split_at_checked(length)
}

fn time(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (text, century, rest) = match element(bytes, UTC_TIME) {
        Some((text, rest)) => (text, None, rest),
        None => element(bytes, GENERALIZED_TIME).map(|(text, rest)| (text, Some(()), rest))?,
    };
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, text) = text.split_at_checked(if century.is_some() { 4 } else { 2 })?;
    let year: i16 = year.parse().ok()?;
    // Two digits stand for 1950 to 2049.
    let year = match century {
        Some(()) => year,
        None if year < 50 => 2000 + year,
        None => 1900 + year,
    };
    let number = |at: usize| text.get(at..at + 2)?.parse::<i8>().ok();
    let date = Date::new(year, number(0)?, number(2)?).ok()?;
    let time = Time::new(number(4)?, number(6)?, number(8)?, 0).ok()?;
    let at = TimeZone::UTC.to_timestamp(DateTime::from_parts(date, time)).ok()?;
    Some((at, rest))
}

#[cfg(test)]
mod tests {
    use rcgen::date_time_ymd;

    use super::*;
    use crate::testing::{Files, params, self_signed};

    #[test]
    fn the_end_of_the_first_certificate_counts() {
        let files = Files::new();
        let until = |year| {
            let mut params = params("localhost", false);
            params.not_after = date_time_ymd(year, 3, 4);
            self_signed(&params).certificate
        };
        for (text, expected) in [
            (until(2031), Some("2031-03-04T00:00:00Z")),
            (until(2051), Some("2051-03-04T00:00:00Z")),
            (format!("{}{}", until(2040), until(2031)), Some("2040-03-04T00:00:00Z")),
            (String::new(), None),
        ] {
            let found = expiry(&files.write("crt.pem", &text));
            assert_eq!(found, expected.map(|text| text.parse().unwrap()));
        }
        assert_eq!(expiry(Path::new("/nonexistent")), None);
    }

    #[test]
    fn damaged_certificates_have_no_end() {
        let certificate = self_signed(&params("localhost", false)).certificate;
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        assert!(not_after(&der).is_some());
        for length in 0..100 {
            assert_eq!(not_after(&der[..length]), None);
        }
    }
}
