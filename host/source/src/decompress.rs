//! Decompression with limits on size and ratio, so that a small input cannot become an endless one.

use std::io::{self, BufReader, Read};

use schemars::JsonSchema;
use serde::Deserialize;

/// Bytes that tell the formats apart.
pub(crate) const MAGIC_BYTES: usize = 4;

/// Below this many decompressed bytes no ratio is too high: headers and small repetitive texts compress extremely well.
const RATIO_FREE_BYTES: u64 = 1 << 20;

/// Compressed bytes read before they are decompressed; few, so that the ratio is known well.
const INPUT_BYTES: usize = 32 << 10;

/// The largest output that is decompressed in one step. It is one buffer of a known size.
const MAX_WHOLE: usize = 64 << 20;

/// How bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
    /// Deflate in a zlib wrapper, as HTTP has it. It has no magic bytes.
    Zlib,
    /// Deflate without a wrapper, which some clients send as `deflate`. It has no magic bytes.
    Deflate,
}

impl Compression {
    /// Recognises a compression by its magic bytes.
    pub(crate) fn detect(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame, with which parallel and seekable zstd files begin.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// How far a decompression may go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caps {
    /// Decompressed bytes.
    pub(crate) max_bytes: u64,
    /// Decompressed bytes for each compressed one.
    pub(crate) max_ratio: u64,
}

/// Whether compressed input is recognised by its first bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Decompression {
    #[default]
    Auto,
    None,
}

/// Why an input could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadFailure {
    /// It could not be read at all.
    #[error("cannot be read: {0}")]
    Io(io::Error),
    /// The compressed form is wrong or ends too early.
    #[error("is damaged after {after} decompressed bytes: {reason}")]
    Damaged { after: u64, reason: String },
    #[error("holds more than {0} decompressed bytes; raise the limit if that is right")]
    TooLarge(u64),
    #[error("expands more than {0} times, like a decompression bomb; raise the limit if that is right")]
    TooDense(u64),
}

/// A limit of [`Caps`] was passed; travels inside of an [`io::Error`].
#[derive(Debug, thiserror::Error)]
enum Exceeded {
    #[error("too large")]
    Size,
    #[error("too dense")]
    Ratio,
}

/// Counts what is read, and remembers whether it was the reading that failed.
struct Counted<R> {
    inner: R,
    bytes: u64,
    failed: bool,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(out) {
            Ok(n) => {
                self.bytes += n as u64;
                Ok(n)
            }
            Err(error) => {
                self.failed = !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
                Err(error)
            }
        }
    }
}

type Input<R> = BufReader<Counted<R>>;

enum Inner<R: Read> {
    Plain(Counted<R>),
    Gzip(flate2::bufread::MultiGzDecoder<Input<R>>),
    Zlib(flate2::bufread::ZlibDecoder<Input<R>>),
    Deflate(flate2::bufread::DeflateDecoder<Input<R>>),
    Zstd(zstd::stream::read::Decoder<'static, Input<R>>),
}

/// Reads the decompressed form of an input: gzip with any number of members, zstd with any number of frames.
///
/// An input that says [`io::ErrorKind::WouldBlock`] can be read on later.
pub(crate) struct Decoder<R: Read> {
    inner: Inner<R>,
    caps: Caps,
    produced: u64,
}

impl<R: Read> Decoder<R> {
    pub(crate) fn new(compression: Compression, input: R, caps: Caps) -> io::Result<Self> {
        let counted = Counted { inner: input, bytes: 0, failed: false };
        let buffered = |counted| BufReader::with_capacity(INPUT_BYTES, counted);
        let inner = match compression {
            Compression::None => Inner::Plain(counted),
            Compression::Gzip => Inner::Gzip(flate2::bufread::MultiGzDecoder::new(buffered(counted))),
            Compression::Zlib => Inner::Zlib(flate2::bufread::ZlibDecoder::new(buffered(counted))),
            Compression::Deflate => Inner::Deflate(flate2::bufread::DeflateDecoder::new(buffered(counted))),
            Compression::Zstd => Inner::Zstd(zstd::stream::read::Decoder::with_buffer(buffered(counted))?),
        };
        Ok(Self { inner, caps, produced: 0 })
    }

    /// Bytes taken from the input so far, decompressed or not.
    pub(crate) fn taken(&self) -> u64 {
        self.counted().0.bytes
    }

    /// Says what an error of [`read`](Read::read) means.
    pub(crate) fn explain(&self, error: io::Error) -> ReadFailure {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Exceeded>()) {
            Some(Exceeded::Size) => return ReadFailure::TooLarge(self.caps.max_bytes),
            Some(Exceeded::Ratio) => return ReadFailure::TooDense(self.caps.max_ratio),
            None => {}
        }
        if self.counted().0.failed || matches!(self.inner, Inner::Plain(_)) {
            return ReadFailure::Io(error);
        }
        let reason = match error.kind() {
            io::ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
            _ => error.to_string(),
        };
        ReadFailure::Damaged { after: self.produced, reason }
    }

    /// The input, and how many of its bytes are not decompressed yet.
    fn counted(&self) -> (&Counted<R>, usize) {
        fn of<R>(input: &Input<R>) -> (&Counted<R>, usize) {
            (input.get_ref(), input.buffer().len())
        }
        match &self.inner {
            Inner::Plain(counted) => (counted, 0),
            Inner::Gzip(decoder) => of(decoder.get_ref()),
            Inner::Zlib(decoder) => of(decoder.get_ref()),
            Inner::Deflate(decoder) => of(decoder.get_ref()),
            Inner::Zstd(decoder) => of(decoder.get_ref()),
        }
    }

    fn check(&self) -> io::Result<()> {
        if self.produced > self.caps.max_bytes {
            return Err(io::Error::other(Exceeded::Size));
        }
        let (counted, waiting) = self.counted();
        let consumed = counted.bytes.saturating_sub(waiting as u64).max(1);
        if self.produced > RATIO_FREE_BYTES && self.produced / consumed > self.caps.max_ratio {
            return Err(io::Error::other(Exceeded::Ratio));
        }
        Ok(())
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = match &mut self.inner {
            // What is not compressed is not limited here.
            Inner::Plain(input) => {
                let n = input.read(out)?;
                self.produced += n as u64;
                return Ok(n);
            }
            Inner::Gzip(decoder) => decoder.read(out)?,
            Inner::Zlib(decoder) => decoder.read(out)?,
            Inner::Deflate(decoder) => decoder.read(out)?,
            Inner::Zstd(decoder) => decoder.read(out)?,
        };
        self.produced += n as u64;
        self.check()?;
        Ok(n)
    }
}

/// Decompresses gzip in one step if it is one member of moderate size, about twice as fast as [`Decoder`].
///
/// `None` means that [`Decoder`] must look at it, which finds out what is special or wrong.
pub(crate) fn gunzip_whole(compressed: &[u8], caps: Caps) -> Option<Vec<u8>> {
    // A further member would begin with these bytes. Elsewhere they are rare, and harmless: the slow way is taken.
    if memchr::memmem::find_iter(compressed, b"\x1f\x8b\x08").nth(1).is_some() {
        return None;
    }
    let (_, trailer) = compressed.split_last_chunk::<4>()?;
    let size = usize::try_from(u32::from_le_bytes(*trailer)).ok()?;
    let ratio_cap = (compressed.len() as u64).saturating_mul(caps.max_ratio).max(RATIO_FREE_BYTES);
    if size > MAX_WHOLE || size as u64 > ratio_cap.min(caps.max_bytes) {
        return None;
    }
    let mut out = vec![0; size];
    let written = libdeflater::Decompressor::new().gzip_decompress(compressed, &mut out).ok()?;
    (written == size).then_some(out)
}

/// Reads a whole input of at most `max_bytes` decompressed bytes and one more, so that a longer one shows.
///
/// What could be read comes back in any case, with the failure that ended it.
pub(crate) fn read_whole<R: Read>(decoder: &mut Decoder<R>, max_bytes: u64) -> (Vec<u8>, Option<ReadFailure>) {
    let mut out = Vec::new();
    let result = decoder.by_ref().take(max_bytes.saturating_add(1)).read_to_end(&mut out);
    let failure = result.err().map(|error| decoder.explain(error));
    (out, failure)
}

/// Decompresses bytes in memory, at most `max_bytes` and one more as [`read_whole`] does.
pub(crate) fn decompress(
    compression: Compression,
    bytes: &[u8],
    caps: Caps,
    max_bytes: u64,
) -> (Vec<u8>, Option<ReadFailure>) {
    let whole = Caps { max_bytes: caps.max_bytes.min(max_bytes), ..caps };
    if compression == Compression::Gzip
        && let Some(out) = gunzip_whole(bytes, whole)
    {
        return (out, None);
    }
    match Decoder::new(compression, bytes, caps) {
        Ok(mut decoder) => read_whole(&mut decoder, max_bytes),
        Err(error) => (Vec::new(), Some(ReadFailure::Io(error))),
    }
}

/// Passes over decompressed bytes that are known already. Fewer are passed over only where the input ends.
pub(crate) fn skip(reader: &mut impl Read, bytes: u64) -> io::Result<u64> {
    io::copy(&mut reader.by_ref().take(bytes), &mut io::sink())
}

#[cfg(test)]
mod tests;
