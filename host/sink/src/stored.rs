//! The format of a payload in a disk buffer. The buffer verifies checksums before it returns a
//! payload.
//!
//! The payload's bytes come first, so that decoding copies nothing. Then the key, the ends (u32
//! each), and a footer of 12 bytes: u32 length of the key (`u32::MAX` without a key), u32 number of
//! ends, u32 version of the format. Little-endian.

use wattle_batch::Ack;
use wattle_buffer::disk::Stored;

use crate::sink::Payload;

const VERSION: u32 = 1;
const NO_KEY: u32 = u32::MAX;
const FOOTER: usize = 12;

impl Stored for Payload {
    fn events(&self) -> usize {
        self.events
    }

    fn encoded_len(&self) -> usize {
        self.bytes.len() + self.key.as_ref().map_or(0, |key| key.len()) + self.ends.len() * size_of::<u32>() + FOOTER
    }

    fn encode(&self, out: &mut Vec<u8>) {
        // A record is smaller than 4 GiB, so every length in it fits.
        let short = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
        out.extend_from_slice(&self.bytes);
        if let Some(key) = &self.key {
            out.extend_from_slice(key.as_bytes());
        }
        for end in &self.ends {
            out.extend(short(*end));
        }
        out.extend(self.key.as_ref().map_or(NO_KEY.to_le_bytes(), |key| short(key.len())));
        out.extend(short(self.ends.len()));
        out.extend(VERSION.to_le_bytes());
    }
}

impl Payload {
    /// Decodes a payload that [`Stored::encode`] wrote; `None` if the content has another format.
    pub fn decode(mut content: Vec<u8>, events: usize, ack: Ack) -> Option<Self> {
        let number = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes);
        let (rest, version) = content.split_last_chunk()?;
        let (rest, ends) = rest.split_last_chunk()?;
        let (rest, key) = rest.split_last_chunk()?;
        let (key, ends) = (number(key), usize::try_from(number(ends)).ok()?);
        if number(version) != VERSION {
            return None;
        }
        let (rest, ends) = rest.split_at_checked(rest.len().checked_sub(ends.checked_mul(size_of::<u32>())?)?)?;
        let (ends, _) = ends.as_chunks();
        let ends: Vec<usize> = ends.iter().map(|end| number(end) as usize).collect();
        let key_len = if key == NO_KEY { 0 } else { usize::try_from(key).ok()? };
        let (bytes, text) = rest.split_at_checked(rest.len().checked_sub(key_len)?)?;
        let text = std::str::from_utf8(text).ok()?;
        let key = (key != NO_KEY).then(|| text.into());
        let within = ends.is_sorted() && ends.last().is_none_or(|last| *last <= bytes.len());
        let len = bytes.len();
        content.truncate(len);
        within.then_some(Self { key, bytes: content, events, ends, ack })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(key: Option<&str>, text: &str, ends: &[usize]) -> Payload {
        let (events, ack) = (ends.len(), Ack::none());
        Payload { key: key.map(Into::into), bytes: text.into(), events, ends: ends.to_vec(), ack }
    }

    #[test]
    fn a_decoded_payload_equals_the_encoded_one() {
        for written in [
            payload(None, "", &[]),
            payload(Some(""), "one\ntwo\n", &[4, 8]),
            payload(Some("logs/2026-11-22.ndjson"), "one\n", &[4]),
            payload(None, "no ends", &[]),
        ] {
            let mut bytes = Vec::new();
            written.encode(&mut bytes);
            assert_eq!(bytes.len(), written.encoded_len());
            let read = Payload::decode(bytes, written.events, Ack::none()).unwrap();
            let parts = |p: &Payload| (p.key.clone(), p.bytes.clone(), p.events, p.ends.clone());
            assert_eq!(parts(&read), parts(&written));
        }
    }

    #[test]
    fn other_formats_are_rejected() {
        let mut good = Vec::new();
        payload(Some("key"), "one\n", &[4]).encode(&mut good);
        let len = good.len();
        for (place, value) in [(len - 4, 2), (len - 8, 200), (len - 12, 200), (len - 16, 5)] {
            let mut bad = good.clone();
            bad[place] = value;
            assert!(Payload::decode(bad, 1, Ack::none()).is_none(), "byte {place}");
        }
        assert!(Payload::decode(vec![0; 11], 1, Ack::none()).is_none());
    }
}
