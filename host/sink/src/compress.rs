//! Compression of whole bodies and of long streams.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Deserialize;

/// Compression algorithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compression {
    /// No compression.
    #[default]
    None,
    /// Gzip, at the default level.
    Gzip,
    /// Zstandard, at the default level.
    Zstd,
}

impl Compression {
    /// Compresses a whole body, which consists of these parts.
    pub(crate) fn compress<'p>(self, parts: impl IntoIterator<Item = &'p [u8]>) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let Some(mut stream) = Stream::new(self)? else {
            parts.into_iter().for_each(|part| out.extend_from_slice(part));
            return Ok(out);
        };
        parts.into_iter().try_for_each(|part| stream.write(part))?;
        stream.finish(&mut out)?;
        Ok(out)
    }

    /// A complete, empty stream. It decodes to nothing, so it can follow any stream and mark it as
    /// complete: the last bytes of a file then show whether the file is complete, without decoding
    /// the rest.
    pub(crate) fn end_mark(self) -> &'static [u8] {
        match self {
            Self::None => &[],
            Self::Gzip => &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            Self::Zstd => &[0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0],
        }
    }
}

/// A compressed stream: a gzip member or a Zstandard frame.
pub(crate) enum Stream {
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Stream {
    /// A new stream; `None` without compression.
    pub(crate) fn new(compression: Compression) -> io::Result<Option<Self>> {
        Ok(match compression {
            Compression::None => None,
            Compression::Gzip => {
                Some(Self::Gzip(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default())))
            }
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), zstd::DEFAULT_COMPRESSION_LEVEL)?;
                encoder.include_checksum(true)?;
                Some(Self::Zstd(encoder))
            }
        })
    }

    /// Compresses bytes. The stream keeps its output until [`drain`](Self::drain).
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.write_all(bytes),
            Self::Zstd(encoder) => encoder.write_all(bytes),
        }
    }

    /// Appends the output so far to `out`.
    pub(crate) fn drain(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Gzip(encoder) => out.append(encoder.get_mut()),
            Self::Zstd(encoder) => out.append(encoder.get_mut()),
        }
    }

    /// Flushes the stream, so that everything written so far can be decoded even if nothing
    /// follows.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.flush()?,
            Self::Zstd(encoder) => encoder.flush()?,
        }
        self.drain(out);
        Ok(())
    }

    /// Ends the stream and appends its remaining output.
    pub(crate) fn finish(self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => out.append(&mut encoder.finish()?),
            Self::Zstd(encoder) => out.append(&mut encoder.finish()?),
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) fn decompress(compression: Compression, bytes: &[u8]) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let mut out = Vec::new();
    match compression {
        Compression::None => out.extend_from_slice(bytes),
        Compression::Gzip => drop(flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut out)?),
        Compression::Zstd => drop(zstd::stream::read::Decoder::new(bytes)?.read_to_end(&mut out)?),
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_and_end_marks_concatenate() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let mut bytes = compression.compress([&b"one "[..]]).unwrap();
            bytes.extend_from_slice(compression.end_mark());
            bytes.extend(compression.compress([&b"two"[..]]).unwrap());
            bytes.extend_from_slice(compression.end_mark());
            assert_eq!(decompress(compression, &bytes).unwrap(), b"one two", "{compression:?}");
        }
    }

    #[test]
    fn flushed_bytes_can_be_decoded_without_an_end() {
        use std::io::Read;
        for compression in [Compression::Gzip, Compression::Zstd] {
            let mut stream = Stream::new(compression).unwrap().unwrap();
            let mut out = Vec::new();
            stream.write(b"an event\n").unwrap();
            stream.flush(&mut out).unwrap();
            let mut got = [0; 9];
            match compression {
                Compression::Gzip => flate2::read::MultiGzDecoder::new(&out[..]).read_exact(&mut got).unwrap(),
                _ => zstd::stream::read::Decoder::new(&out[..]).unwrap().read_exact(&mut got).unwrap(),
            }
            assert_eq!(&got, b"an event\n");
        }
    }
}
