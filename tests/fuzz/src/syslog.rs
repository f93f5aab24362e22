//! Streams of syslog messages: compares the framing, in pieces, with a model that reads the whole stream at once.

use arbitrary::Unstructured;
use wattle_source::fuzzing::{Streamed, stream};

#[derive(Debug)]
struct Setup {
    framing: &'static str,
    max_bytes: u16,
    batch: u8,
    /// Lengths of the input pieces, used in turn.
    pieces: [u8; 4],
}

impl Setup {
    fn read(from: &mut Unstructured<'_>) -> arbitrary::Result<Self> {
        Ok(Self {
            framing: from.choose(&["auto", "lines", "octet_counting"])?,
            max_bytes: from.arbitrary()?,
            batch: from.arbitrary()?,
            pieces: from.arbitrary()?,
        })
    }
}

/// The first bytes are the setup, the rest is the stream.
pub fn syslog(bytes: &[u8]) {
    let mut source = Unstructured::new(bytes);
    let Ok(setup) = Setup::read(&mut source) else { return };
    let input = source.take_rest();
    let (max, batch) = (usize::from(setup.max_bytes) + 1, usize::from(setup.batch) + 1);
    let mut lengths = setup.pieces.iter().map(|length| usize::from(*length) + 1).cycle();
    let mut rest = input;
    let pieces = std::iter::from_fn(|| {
        let (piece, left) = rest.split_at(lengths.next()?.min(rest.len()));
        rest = left;
        (!piece.is_empty()).then_some(piece)
    });
    let expected = model(input, setup.framing, max);
    assert_eq!(stream(pieces, setup.framing, max, batch), expected, "{setup:?}");
}

/// The length of a counted message and of its head; `Err` without one, `None` if the stream ends too early to know.
fn length(rest: &[u8], framing: &str) -> Option<Result<(usize, usize), ()>> {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits > 10 || rest.first() == Some(&b'0') {
        return Some(Err(()));
    }
    let next = rest.get(digits)?;
    if digits == 0 || *next != b' ' {
        return Some(Err(()));
    }
    if framing == "auto" && *rest.get(digits + 1)? != b'<' {
        return Some(Err(()));
    }
    let bytes = str::from_utf8(&rest[..digits]).unwrap().parse::<u64>().unwrap();
    Some(Ok((digits + 1, usize::try_from(bytes).unwrap())))
}

fn model(input: &[u8], framing: &str, max: usize) -> Streamed {
    let mut found = Streamed::default();
    let mut rest = input;
    let add = |found: &mut Streamed, message: &[u8]| {
        let mut text = message;
        for end in [&b"\0"[..], b"\n", b"\r"] {
            text = text.strip_suffix(end).unwrap_or(text);
        }
        match text.len() {
            0 => found.empty += 1,
            length if length > max => found.too_long += 1,
            _ => found.messages.push(text.to_vec()),
        }
    };
    loop {
        if framing == "octet_counting" {
            let blank = rest.iter().take_while(|byte| b"\n\r\0".contains(byte)).count();
            rest = &rest[blank..];
        }
        if rest.is_empty() {
            return found;
        }
        let counted = if framing == "lines" { Some(Err(())) } else { length(rest, framing) };
        match counted {
            None if framing == "auto" => add(&mut found, std::mem::take(&mut rest)),
            None => {
                found.left = rest.len();
                return found;
            }
            Some(Ok((head, bytes))) if bytes > max => {
                found.too_long += 1;
                rest = rest.get(head + bytes..).unwrap_or_default();
            }
            Some(Ok((head, bytes))) => match rest.get(head..head + bytes) {
                Some(message) => {
                    add(&mut found, message);
                    rest = &rest[head + bytes..];
                }
                None => {
                    found.left = rest.len();
                    return found;
                }
            },
            Some(Err(())) if framing == "octet_counting" => {
                found.is_wrong = true;
                return found;
            }
            Some(Err(())) => {
                let is_end = |byte: &u8| *byte == b'\n' || (framing == "auto" && *byte == 0);
                let end = rest.iter().position(is_end).unwrap_or(rest.len());
                add(&mut found, &rest[..end]);
                rest = rest.get(end + 1..).unwrap_or_default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    /// The corpus is small; these inputs are new in each run.
    #[test]
    fn random_streams_agree_with_the_model() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..50_000 {
            let mut input: Vec<u8> = (0..8).map(|_| random.u8(..)).collect();
            // Short limits and pieces more often.
            input[2] &= random.choice([0, 255]).unwrap();
            let length = random.usize(0..80);
            input.extend((0..length).map(|_| *random.choice(b"0123456789  <<>>\n\n\r\0ab").unwrap()));
            super::syslog(&input);
        }
    }
}
