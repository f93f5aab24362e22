//! Framing and decompression in sources: compares lines with the input split at its line feeds, and
//! JSON documents with the same input in one piece.

use std::io::Write as _;
use std::time::Duration;

use arbitrary::Unstructured;
use wattle_source::BatchLimits;
use wattle_source::fuzzing::{Framed, unpack};

#[derive(Debug)]
struct Setup {
    max_bytes: u16,
    max_events: u8,
    max_event_bytes: u16,
    /// Lengths of the input pieces, used in turn.
    pieces: [u8; 4],
    encoding: Encoding,
    /// Whether to compress the input first, so decompression gets beyond the header.
    compress: bool,
    /// Where to change a byte of the compressed input, if anywhere.
    damage: Option<(u16, u8)>,
}

#[derive(Clone, Copy, Debug)]
enum Encoding {
    None,
    Gzip,
    Zlib,
    Zstd,
}

impl Setup {
    fn read(from: &mut Unstructured<'_>) -> arbitrary::Result<Self> {
        let encodings = [Encoding::None, Encoding::Gzip, Encoding::Zlib, Encoding::Zstd];
        Ok(Self {
            max_bytes: from.arbitrary()?,
            max_events: from.arbitrary()?,
            max_event_bytes: from.arbitrary()?,
            pieces: from.arbitrary()?,
            encoding: *from.choose(&encodings)?,
            compress: from.arbitrary()?,
            damage: from.arbitrary()?,
        })
    }
}

impl Encoding {
    fn name(self) -> &'static str {
        match self {
            Self::None => "identity",
            Self::Gzip => "gzip",
            Self::Zlib => "deflate",
            Self::Zstd => "zstd",
        }
    }
}

/// The first bytes are the setup, the rest is the input.
pub fn framing(bytes: &[u8]) {
    let mut source = Unstructured::new(bytes);
    let Ok(setup) = Setup::read(&mut source) else { return };
    let input = source.take_rest();
    frame(&setup, input);
    documents(&setup, input);
    decompress(&setup, input);
}

/// The expected result: events, empty lines, zero bytes before lines, and lines that are too long.
fn model(input: &[u8], longest: u64) -> (Vec<&[u8]>, u64, u64, (u64, u64)) {
    let mut all: Vec<&[u8]> = input.split(|b| *b == b'\n').collect();
    // Text after the last line feed is an event unless it is empty, including a carriage return.
    let last = all.pop().unwrap_or_default();
    let (mut events, mut empty, mut nuls, mut too_long) = (Vec::new(), 0, 0, (0, 0));
    for (line, is_fed) in all.into_iter().map(|line| (line, true)).chain([(last, false)]) {
        let mut start = 0;
        while let Some(rest) = line.get(start..) {
            if rest.starts_with(b"\0") {
                start += 1;
                nuls += 1;
            } else if rest.starts_with(b"\xef\xbb\xbf") {
                start += 3;
            } else {
                break;
            }
        }
        let full = &line[start..];
        let text = if is_fed { full.strip_suffix(b"\r").unwrap_or(full) } else { full };
        if full.len() as u64 > longest {
            too_long.0 += 1;
            too_long.1 += full.len() as u64;
        } else if !text.is_empty() {
            events.push(text);
        } else if is_fed {
            empty += 1;
        }
    }
    (events, empty, nuls, too_long)
}

fn limits(setup: &Setup) -> BatchLimits {
    BatchLimits {
        max_bytes: usize::from(setup.max_bytes) + 1,
        max_events: usize::from(setup.max_events) + 1,
        max_age: Duration::ZERO,
    }
}

/// The input from this offset, in the pieces of the setup.
fn pieces<'a>(setup: &'a Setup, mut rest: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut lengths = setup.pieces.iter().map(|length| usize::from(*length) + 1).cycle();
    std::iter::from_fn(move || {
        let (piece, left) = rest.split_at(lengths.next()?.min(rest.len()));
        rest = left;
        (!piece.is_empty()).then_some(piece)
    })
}

fn rows(framed: &Framed) -> Vec<&[u8]> {
    framed.batches.iter().flat_map(|(rows, _)| rows.iter().map(Vec::as_slice)).collect()
}

fn frame(setup: &Setup, input: &[u8]) {
    let limits = limits(setup);
    let longest = u64::from(setup.max_event_bytes) + 1;
    let lines = |input, at| wattle_source::fuzzing::frame(pieces(setup, input), at, &limits, false, longest, longest);
    let framed = lines(input, 0);
    let (expected, empty, nuls, too_long) = model(input, longest);
    assert_eq!(rows(&framed), expected);
    assert_eq!((framed.skipped, framed.nuls, framed.too_long), (empty, nuls, too_long));
    for (rows, end) in &framed.batches {
        assert!(!rows.is_empty() && rows.len() <= limits.max_events);
        assert!(rows.len() == 1 || rows.iter().map(Vec::len).sum::<usize>() <= limits.max_bytes, "within the limit");
        assert!(*end <= input.len() as u64);
    }
    // A checkpoint between any two batches loses and repeats nothing. Testing all would be
    // quadratic.
    if let Some((index, (_, end))) = framed.batches.iter().enumerate().nth(framed.batches.len() / 2) {
        let rest = lines(&input[usize::try_from(*end).unwrap()..], *end);
        let again = rest.batches.iter().flat_map(|(rows, _)| rows);
        assert!(again.eq(framed.batches[index + 1..].iter().flat_map(|(rows, _)| rows)), "resumed at byte {end}");
    }
}

/// Documents do not depend on the pieces, and every byte is in an event or is white space or junk
/// between events.
fn documents(setup: &Setup, input: &[u8]) {
    let limits = limits(setup);
    let framed = wattle_source::fuzzing::frame(pieces(setup, input), 0, &limits, true, 1 << 20, 1 << 20);
    let whole = wattle_source::fuzzing::frame([input], 0, &limits, true, 1 << 20, 1 << 20);
    assert_eq!(rows(&framed), rows(&whole));
    assert_eq!((framed.skipped, framed.nuls, framed.too_long), (whole.skipped, whole.nuls, whole.too_long));
    let mut rest = input;
    for row in rows(&whole) {
        let at = rest.windows(row.len()).position(|window| window == row).expect("events are in the input, in order");
        assert!(
            rest[..at].iter().all(|byte| b" \t\r\n\0\x1e\xef\xbb\xbf".contains(byte)),
            "only white space lies between events"
        );
        rest = &rest[at + row.len()..];
    }
    if let Some((index, (_, end))) = framed.batches.iter().enumerate().nth(framed.batches.len() / 2) {
        let at = usize::try_from(*end).unwrap();
        let again = wattle_source::fuzzing::frame(pieces(setup, &input[at..]), *end, &limits, true, 1 << 20, 1 << 20);
        let after: Vec<&[u8]> =
            framed.batches[index + 1..].iter().flat_map(|(rows, _)| rows.iter().map(Vec::as_slice)).collect();
        assert_eq!(rows(&again), after, "resumed at byte {end}");
    }
}

fn decompress(setup: &Setup, input: &[u8]) {
    let mut bytes = input.to_vec();
    if setup.compress {
        let level = flate2::Compression::fast();
        bytes = match setup.encoding {
            Encoding::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(input).unwrap();
                encoder.finish().unwrap()
            }
            Encoding::Zlib => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(input).unwrap();
                encoder.finish().unwrap()
            }
            Encoding::None | Encoding::Zstd => bytes,
        };
    }
    let damaged = setup.damage.filter(|_| !bytes.is_empty());
    if let Some((at, bits)) = damaged {
        let at = usize::from(at) % bytes.len();
        bytes[at] ^= bits;
    }
    let (max_bytes, max_ratio) = (u64::from(setup.max_bytes) * 64 + 1, u64::from(setup.max_events) + 1);
    let Some((whole, pieces, at_once)) = unpack(setup.encoding.name(), &bytes, max_bytes, max_ratio) else { return };
    // One byte above the limit shows that the limit is exceeded.
    assert!(whole.0.len() as u64 <= max_bytes + 1 && pieces.0.len() as u64 <= max_bytes + 1);
    // The fast path may accept input that the careful one refuses only because of the ratio, which
    // it computes more exactly.
    if let Some(at_once) = at_once {
        assert!(whole.1.is_none());
        assert_eq!(whole.0, at_once);
        assert!(at_once.starts_with(&pieces.0) || pieces.1.is_some());
    } else {
        assert_eq!(whole, pieces);
    }
    let compressed = setup.compress && matches!(setup.encoding, Encoding::Gzip | Encoding::Zlib);
    if compressed && damaged.is_none() && input.len() as u64 <= max_bytes {
        assert_eq!(whole, (input.to_vec(), None), "what was compressed comes back");
    }
}
