//! Framing and decompression of what sources read, compared with splitting the whole input at its line feeds.

use std::io::Write as _;
use std::time::Duration;

use arbitrary::Unstructured;
use wattle_source::BatchLimits;
use wattle_source::fuzzing::{Framed, lines, unpack};

#[derive(Debug)]
struct Setup {
    max_bytes: u16,
    max_events: u8,
    max_event_bytes: u16,
    /// Lengths of the pieces in which the input comes, over and over.
    pieces: [u8; 4],
    encoding: Encoding,
    /// Whether the input is compressed first, so that the decompression gets past the head.
    compress: bool,
    /// Where a byte of the compressed form is changed, if anywhere.
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

/// The first bytes say how, the rest is the input.
pub fn framing(bytes: &[u8]) {
    let mut source = Unstructured::new(bytes);
    let Ok(setup) = Setup::read(&mut source) else { return };
    let input = source.take_rest();
    frame(&setup, input);
    decompress(&setup, input);
}

/// What the lines are, by the book.
fn model(input: &[u8]) -> (Vec<&[u8]>, u64) {
    let ended = input.split(|b| *b == b'\n');
    let mut all: Vec<&[u8]> = ended.collect();
    // What follows the last line feed is an event if there is anything, carriage return and all.
    let last = all.pop().unwrap_or_default();
    all.iter_mut().for_each(|line| *line = line.strip_suffix(b"\r").unwrap_or(line));
    let empty = all.iter().filter(|line| line.is_empty()).count() as u64;
    let lines = all.into_iter().chain([last]).filter(|line| !line.is_empty()).collect();
    (lines, empty)
}

fn frame(setup: &Setup, input: &[u8]) {
    let limits = BatchLimits {
        max_bytes: usize::from(setup.max_bytes) + 1,
        max_events: usize::from(setup.max_events) + 1,
        max_age: Duration::ZERO,
    };
    let longest = u64::from(setup.max_event_bytes) + 1;
    let pieces = |from: usize| {
        let mut rest = &input[from..];
        let mut lengths = setup.pieces.iter().map(|length| usize::from(*length) + 1).cycle();
        std::iter::from_fn(move || {
            let (piece, left) = rest.split_at(lengths.next()?.min(rest.len()));
            rest = left;
            (!piece.is_empty()).then_some(piece)
        })
    };
    let Framed { batches, skipped, too_long_at } = lines(pieces(0), 0, &limits, longest);
    let found: Vec<&[u8]> = batches.iter().flat_map(|(rows, _)| rows.iter().map(Vec::as_slice)).collect();
    let (expected, empty) = model(input);
    match too_long_at {
        None => {
            assert_eq!(found, expected);
            assert_eq!(skipped, empty);
        }
        Some(at) => {
            let at = usize::try_from(at).unwrap();
            let (before, _) = model(&input[..at]);
            assert_eq!(found, before, "all events before the one that is too long");
            let line = input[at..].split(|b| *b == b'\n').next().unwrap_or_default();
            assert!(line.len() as u64 > longest, "it is too long");
        }
    }
    for (rows, end) in &batches {
        assert!(!rows.is_empty() && rows.len() <= limits.max_events);
        assert!(rows.len() == 1 || rows.iter().map(Vec::len).sum::<usize>() <= limits.max_bytes, "within the limit");
        assert!(*end <= input.len() as u64);
    }
    // A checkpoint between any two batches loses nothing and repeats nothing. All of them would be quadratic.
    if let Some((index, (_, end))) = batches.iter().enumerate().nth(batches.len() / 2)
        && too_long_at.is_none()
    {
        let rest = lines(pieces(usize::try_from(*end).unwrap()), *end, &limits, longest);
        let again = rest.batches.iter().flat_map(|(rows, _)| rows);
        assert!(again.eq(batches[index + 1..].iter().flat_map(|(rows, _)| rows)), "resumed at byte {end}");
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
    // One byte more than the limit shows that the limit is passed.
    assert!(whole.0.len() as u64 <= max_bytes + 1 && pieces.0.len() as u64 <= max_bytes + 1);
    // The quick way may take what the careful one refuses only in the ratio, which it knows more exactly.
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
