//! Decompression with limits on size and ratio, so that a small input cannot produce endless
//! output.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Deserialize;

/// Number of bytes that identify the format.
pub(crate) const MAGIC_BYTES: usize = 4;

/// Any ratio is allowed up to this many decompressed bytes: headers and small repetitive texts
/// compress extremely well.
const RATIO_FREE_BYTES: u64 = 1 << 20;

/// Size of compressed reads; small, so that the ratio is accurate.
const INPUT_BYTES: usize = 32 << 10;

/// Maximum output of decompression in one step.
const MAX_WHOLE: usize = 64 << 20;

/// Reason for incomplete compressed input.
pub(crate) const ENDS_EARLY: &str = "it ends too early";

/// Reason for a zstd frame with a larger window than allowed.
const WINDOW: &str = "its zstd window, as `zstd --long` makes it, is larger than `max_zstd_window`; raise that option";

/// Compression formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
    /// Deflate in a zlib wrapper, as HTTP defines it. It has no magic bytes.
    Zlib,
    /// Deflate without a wrapper, which some clients send as `deflate`. It has no magic bytes.
    Deflate,
}

impl Compression {
    /// Detects a compression by its magic bytes.
    pub(crate) fn detect(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame, at the start of zstd files from parallel and seekable compressors.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// Limits of decompression.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caps {
    /// Maximum number of decompressed bytes.
    pub(crate) max_bytes: u64,
    /// Maximum number of decompressed bytes per compressed byte.
    pub(crate) max_ratio: u64,
}

impl Caps {
    /// No limits.
    pub(crate) const NONE: Self = Self { max_bytes: u64::MAX, max_ratio: u64::MAX };
}

/// Whether compressed input is recognised by its first bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Decompression {
    #[default]
    Auto,
    None,
}

/// An error that prevents reading an input to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadFailure {
    /// The input cannot be read.
    #[error("cannot be read: {0}")]
    Io(io::Error),
    /// The compressed data is damaged or incomplete.
    #[error("is damaged after {after} decompressed bytes: {reason}")]
    Damaged { after: u64, reason: String },
    /// The compressed data is complete, and other data follows it.
    #[error("has other data after its compressed data, which ends after {0} decompressed bytes")]
    Followed(u64),
    #[error("contains more than {0} decompressed bytes; raise `max_decompressed_bytes` if that is expected")]
    TooLarge(u64),
    #[error(
        "expands more than {0} times, like a decompression bomb; raise `max_decompression_ratio` if that is expected"
    )]
    TooDense(u64),
}

/// Why [`Decoder`] reads no further; wrapped in an [`io::Error`].
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("too large")]
    Size,
    #[error("too dense")]
    Ratio,
    #[error("followed by other data")]
    Followed,
}

/// Counts bytes, and remembers whether the inner reader failed.
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
                // Reading can continue after these two errors.
                self.failed = !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
                Err(error)
            }
        }
    }
}

type Input<R> = BufReader<Counted<R>>;

enum Inner<R: Read> {
    Plain(Counted<R>),
    /// One member at a time, so that the data after a member can be examined.
    Gzip(flate2::bufread::GzDecoder<Input<R>>),
    Zlib(flate2::bufread::ZlibDecoder<Input<R>>),
    Deflate(flate2::bufread::DeflateDecoder<Input<R>>),
    Zstd(zstd::stream::read::Decoder<'static, Input<R>>),
    /// Placeholder while the next member starts.
    Changing,
}

/// Gets a copy of all decompressed bytes in their order, to hash them.
pub(crate) type Tap = Arc<Mutex<dyn Write + Send>>;

/// Decompresses an input: gzip with any number of members, zstd with any number of frames.
///
/// Zero bytes after the compressed data are padding. Other data there is an error, which comes after all decompressed
/// bytes. After [`io::ErrorKind::WouldBlock`] of the input, reading can continue.
pub(crate) struct Decoder<R: Read> {
    inner: Inner<R>,
    caps: Caps,
    produced: u64,
    /// The compressed data ended.
    is_over: bool,
    tap: Option<Tap>,
}

impl<R: Read> Decoder<R> {
    pub(crate) fn new(compression: Compression, input: R, caps: Caps) -> io::Result<Self> {
        let counted = Counted { inner: input, bytes: 0, failed: false };
        let buffered = |counted| BufReader::with_capacity(INPUT_BYTES, counted);
        let inner = match compression {
            Compression::None => Inner::Plain(counted),
            Compression::Gzip => Inner::Gzip(flate2::bufread::GzDecoder::new(buffered(counted))),
            Compression::Zlib => Inner::Zlib(flate2::bufread::ZlibDecoder::new(buffered(counted))),
            Compression::Deflate => Inner::Deflate(flate2::bufread::DeflateDecoder::new(buffered(counted))),
            Compression::Zstd => Inner::Zstd(zstd::stream::read::Decoder::with_buffer(buffered(counted))?),
        };
        Ok(Self { inner, caps, produced: 0, is_over: false, tap: None })
    }

    /// Accepts zstd windows of up to 2 to the power of `log` bytes.
    pub(crate) fn with_window(mut self, log: u32) -> io::Result<Self> {
        if let Inner::Zstd(decoder) = &mut self.inner {
            decoder.window_log_max(log)?;
        }
        Ok(self)
    }

    /// Copies all decompressed bytes to a tap.
    pub(crate) fn with_tap(mut self, tap: Option<Tap>) -> Self {
        self.tap = tap;
        self
    }

    /// Returns whether an error means that something other than a member or frame follows a complete one.
    fn is_behind_the_end(&self, error: &io::Error) -> bool {
        // Both libraries report this only as text.
        self.produced > 0
            && match &self.inner {
                Inner::Gzip(_) => error.to_string().contains("invalid gzip header"),
                Inner::Zstd(_) => error.to_string().contains("Unknown frame descriptor"),
                Inner::Plain(_) | Inner::Zlib(_) | Inner::Deflate(_) | Inner::Changing => false,
            }
    }

    /// Skips the padding after the compressed data. Fails at the first byte of other data.
    fn skip_padding(&mut self) -> io::Result<()> {
        fn skip(input: &mut impl BufRead) -> io::Result<()> {
            loop {
                let bytes = input.fill_buf()?;
                if bytes.iter().any(|byte| *byte != 0) {
                    return Err(io::Error::other(Refused::Followed));
                }
                let len = bytes.len();
                if len == 0 {
                    return Ok(());
                }
                input.consume(len);
            }
        }
        match &mut self.inner {
            Inner::Gzip(decoder) => skip(decoder.get_mut()),
            Inner::Zlib(decoder) => skip(decoder.get_mut()),
            Inner::Deflate(decoder) => skip(decoder.get_mut()),
            Inner::Zstd(decoder) => skip(decoder.get_mut()),
            Inner::Plain(_) | Inner::Changing => Ok(()),
        }
    }

    /// Number of bytes taken from the input, decompressed or not.
    pub(crate) fn taken(&self) -> u64 {
        self.counted().0
    }

    /// Explains an error of [`read`](Read::read).
    pub(crate) fn explain(&self, error: io::Error) -> ReadFailure {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Refused>()) {
            Some(Refused::Size) => return ReadFailure::TooLarge(self.caps.max_bytes),
            Some(Refused::Ratio) => return ReadFailure::TooDense(self.caps.max_ratio),
            Some(Refused::Followed) => return ReadFailure::Followed(self.produced),
            None => {}
        }
        if self.counted().2 || matches!(self.inner, Inner::Plain(_)) {
            return ReadFailure::Io(error);
        }
        let reason = match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                return ReadFailure::Damaged { after: self.produced, reason: ENDS_EARLY.into() };
            }
            _ if error.to_string().contains("requires too much memory") => WINDOW.to_owned(),
            _ => error.to_string(),
        };
        ReadFailure::Damaged { after: self.produced, reason }
    }

    /// Returns the bytes taken from the input, the number of bytes not yet decompressed, and
    /// whether the input failed.
    fn counted(&self) -> (u64, usize, bool) {
        fn of<R>(input: &Input<R>) -> (u64, usize, bool) {
            (input.get_ref().bytes, input.buffer().len(), input.get_ref().failed)
        }
        match &self.inner {
            Inner::Plain(counted) => (counted.bytes, 0, counted.failed),
            Inner::Gzip(decoder) => of(decoder.get_ref()),
            Inner::Zlib(decoder) => of(decoder.get_ref()),
            Inner::Deflate(decoder) => of(decoder.get_ref()),
            Inner::Zstd(decoder) => of(decoder.get_ref()),
            Inner::Changing => (0, 0, false),
        }
    }

    /// Advances to the next member; returns whether there is one.
    fn next_member(&mut self) -> io::Result<bool> {
        let first = match &mut self.inner {
            Inner::Gzip(decoder) => decoder.get_mut().fill_buf()?.first().copied(),
            _ => None,
        };
        if first != Some(0x1f) {
            self.is_over = true;
            self.skip_padding()?;
            return Ok(false);
        }
        if let Inner::Gzip(decoder) = std::mem::replace(&mut self.inner, Inner::Changing) {
            self.inner = Inner::Gzip(flate2::bufread::GzDecoder::new(decoder.into_inner()));
        }
        Ok(true)
    }

    fn check(&self) -> io::Result<()> {
        if self.produced > self.caps.max_bytes {
            return Err(io::Error::other(Refused::Size));
        }
        let (bytes, waiting, _) = self.counted();
        let consumed = bytes.saturating_sub(waiting as u64).max(1);
        if self.produced > RATIO_FREE_BYTES && self.produced / consumed > self.caps.max_ratio {
            return Err(io::Error::other(Refused::Ratio));
        }
        Ok(())
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.is_over {
            self.skip_padding()?;
            return Ok(0);
        }
        loop {
            let result = match &mut self.inner {
                // `max_bytes` and `max_ratio` apply to compressed input only.
                Inner::Plain(input) => {
                    let n = input.read(out)?;
                    self.produced += n as u64;
                    if let (Some(tap), Some(read)) = (&self.tap, out.get(..n)) {
                        tap.lock().write_all(read)?;
                    }
                    return Ok(n);
                }
                Inner::Gzip(decoder) => decoder.read(out),
                Inner::Zlib(decoder) => decoder.read(out),
                Inner::Deflate(decoder) => decoder.read(out),
                Inner::Zstd(decoder) => decoder.read(out),
                Inner::Changing => Ok(0),
            };
            match result {
                Err(error) if self.is_behind_the_end(&error) => {
                    // The header took the bytes that `skip_padding` would find.
                    if matches!(self.inner, Inner::Gzip(_)) {
                        return Err(io::Error::other(Refused::Followed));
                    }
                    self.is_over = true;
                    self.skip_padding()?;
                    return Ok(0);
                }
                Ok(0) if !out.is_empty() && self.next_member()? => {}
                result => {
                    let n = result?;
                    self.produced += n as u64;
                    self.check()?;
                    if let (Some(tap), Some(read)) = (&self.tap, out.get(..n)) {
                        tap.lock().write_all(read)?;
                    }
                    return Ok(n);
                }
            }
        }
    }
}

/// Decompresses gzip in one step if it is one member of moderate size. This is about twice as fast
/// as [`Decoder`].
///
/// Returns `None` if [`Decoder`] must handle the input, which detects special cases and errors.
pub(crate) fn gunzip_whole(compressed: &[u8], caps: Caps) -> Option<Vec<u8>> {
    // Another member would start with these bytes. In other places they are rare and only cause the
    // slow path.
    if memchr::memmem::find_iter(compressed, b"\x1f\x8b\x08").nth(1).is_some() {
        return None;
    }
    let (_, trailer) = compressed.split_last_chunk::<4>()?;
    // The trailer has the size modulo 4 GiB; `MAX_WHOLE` is far below.
    let size = usize::try_from(u32::from_le_bytes(*trailer)).ok()?;
    let ratio_cap = (compressed.len() as u64).saturating_mul(caps.max_ratio).max(RATIO_FREE_BYTES);
    if size > MAX_WHOLE || size as u64 > ratio_cap.min(caps.max_bytes) {
        return None;
    }
    let mut out = vec![0; size];
    let written = libdeflater::Decompressor::new().gzip_decompress(compressed, &mut out).ok()?;
    // A wrong size means damage or several members; `Decoder` handles both.
    (written == size).then_some(out)
}

/// Reads a whole input: at most `max_bytes` decompressed bytes, and one more byte that shows that
/// the input is longer.
///
/// Always returns the readable part, with the error that ended it.
pub(crate) fn read_whole<R: Read>(decoder: &mut Decoder<R>, max_bytes: u64) -> (Vec<u8>, Option<ReadFailure>) {
    let mut out = Vec::new();
    let result = decoder.by_ref().take(max_bytes.saturating_add(1)).read_to_end(&mut out);
    (out, result.err().map(|error| decoder.explain(error)))
}

/// Decompresses bytes in memory, at most `max_bytes` and one more, like [`read_whole`].
pub(crate) fn decompress(
    compression: Compression,
    bytes: &[u8],
    caps: Caps,
    max_bytes: u64,
) -> (Vec<u8>, Option<ReadFailure>) {
    // Beyond `max_bytes`, `Decoder` returns the part up to the limit.
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

/// Skips decompressed bytes; fewer only if the input ends.
pub(crate) fn skip(reader: &mut impl Read, bytes: u64) -> io::Result<u64> {
    io::copy(&mut reader.by_ref().take(bytes), &mut io::sink())
}

#[cfg(test)]
mod tests;
