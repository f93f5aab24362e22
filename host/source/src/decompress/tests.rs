//! Every format: complete and damaged input, within limits and beyond.

use super::*;
use crate::testing::gzip;
use std::io::Write;

/// Without a limit on the output.
fn decompress(compression: Compression, bytes: &[u8], caps: Caps) -> (Vec<u8>, Option<ReadFailure>) {
    super::decompress(compression, bytes, caps, u64::MAX - 1)
}

const CAPS: Caps = Caps { max_bytes: 64 << 20, max_ratio: 1000 };

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn text(bytes: usize) -> Vec<u8> {
    let mut state = 7_u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b"abcdefgh"[(state >> 29) as usize]
    })
    .take(bytes)
    .collect()
}

/// A reader that returns a few bytes at a time and `WouldBlock` in between.
struct Halting<'a>(&'a [u8], bool);

impl Read for Halting<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = out.len().min(3);
        self.0.read(&mut out[..n])
    }
}

#[test]
fn formats_are_detected_by_their_first_bytes() {
    assert_eq!(Compression::detect(&gzip(b"x")), Compression::Gzip);
    assert_eq!(Compression::detect(&zstd(b"x")), Compression::Zstd);
    assert_eq!(Compression::detect(b"\x50\x2a\x4d\x18...."), Compression::Zstd);
    for head in [&b""[..], b"\x1f", b"\x1f\x8b", b"{\"a\"", b"[1]"] {
        assert_eq!(Compression::detect(head), Compression::None, "{head:?}");
    }
}

#[test]
fn every_format_is_decompressed_completely_with_members_and_interrupted_reads() {
    let (a, b) = (text(300_000), text(10));
    let both = [a.clone(), b.clone()].concat();
    for (compression, bytes, expected) in [
        (Compression::None, both.clone(), &both),
        (Compression::Gzip, gzip(&a), &a),
        (Compression::Gzip, [gzip(&a), gzip(&b)].concat(), &both),
        (Compression::Gzip, [gzip(&b), gzip(b"")].concat(), &b),
        (Compression::Zlib, zlib(&a), &a),
        (Compression::Zstd, zstd(&a), &a),
        (Compression::Zstd, [zstd(&a), zstd(&b)].concat(), &both),
    ] {
        let (out, failure) = decompress(compression, &bytes, CAPS);
        assert!(failure.is_none() && out == *expected, "{compression:?}: {failure:?}");

        let mut decoder = Decoder::new(compression, Halting(&bytes, false), CAPS).unwrap();
        let mut out = Vec::new();
        let mut piece = [0; 1000];
        loop {
            match decoder.read(&mut piece) {
                Ok(0) => break,
                Ok(n) => out.extend_from_slice(&piece[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("{compression:?}: {error}"),
            }
        }
        assert!(out == *expected, "{compression:?} with halts: {} bytes", out.len());
        assert_eq!(decoder.taken(), bytes.len() as u64);
    }
}

#[test]
fn one_step_decompression_accepts_a_single_member_and_agrees_with_the_decoder() {
    let a = text(50_000);
    assert_eq!(gunzip_whole(&gzip(&a), CAPS).unwrap(), a);
    assert_eq!(gunzip_whole(&gzip(b""), CAPS).unwrap(), b"");
    let twins = [gzip(&a), gzip(&a)].concat();
    assert!(gunzip_whole(&twins, CAPS).is_none(), "two equal members have the trailer of the first");
    assert_eq!(decompress(Compression::Gzip, &twins, CAPS).0.len(), 100_000);
    let whole = gzip(&a);
    assert!(gunzip_whole(&whole[..whole.len() - 1], CAPS).is_none());
    assert!(gunzip_whole(b"", CAPS).is_none());
    let mut bent = whole.clone();
    bent[whole.len() / 2] ^= 0x10;
    assert!(gunzip_whole(&bent, CAPS).is_none());
    assert!(gunzip_whole(&[whole, vec![0; 9]].concat(), CAPS).is_none());
}

#[test]
fn a_damaged_input_gives_its_readable_part_and_the_reason() {
    let a = text(500_000);
    for (compression, bytes) in
        [(Compression::Gzip, gzip(&a)), (Compression::Zlib, zlib(&a)), (Compression::Zstd, zstd(&a))]
    {
        let (out, failure) = decompress(compression, &bytes[..bytes.len() / 2], CAPS);
        assert!(!out.is_empty() && a.starts_with(&out), "{compression:?} gave {} bytes", out.len());
        let Some(ReadFailure::Damaged { after, reason }) = failure else { panic!("{compression:?}: {failure:?}") };
        assert_eq!(after, out.len() as u64);
        assert_eq!(reason, "it ends too early", "{compression:?}");
    }
    let (out, failure) = decompress(Compression::Gzip, b"\x1f\x8b\x08\x00garbage that is no deflate", CAPS);
    assert!(out.is_empty() && matches!(failure, Some(ReadFailure::Damaged { after: 0, .. })), "{failure:?}");
}

#[test]
fn other_data_after_the_compressed_data_is_an_error_and_padding_is_not() {
    let a = text(100_000);
    type Pack = fn(&[u8]) -> Vec<u8>;
    let packed: [(Compression, Pack); 3] =
        [(Compression::Gzip, |bytes| gzip(bytes)), (Compression::Zlib, zlib), (Compression::Zstd, zstd)];
    let tails = [
        b"tail\n".to_vec(),
        [vec![0; 70_000], b"tail".to_vec()].concat(),
        b"\x1ftail that begins as a member of gzip".to_vec(),
        b"\x1f\x8btail that begins as a member of gzip".to_vec(),
        gzip(b"other"),
        zstd(b"other"),
        zlib(b"other"),
    ];
    for (compression, pack) in packed {
        for tail in &tails {
            if Compression::detect(tail) == compression {
                continue;
            }
            let bytes = [pack(&a), tail.clone()].concat();
            let (out, failure) = decompress(compression, &bytes, CAPS);
            assert!(out == a, "{compression:?}: {} bytes before {tail:02x?}", out.len());
            assert!(matches!(failure, Some(ReadFailure::Followed(100_000))), "{compression:?}: {failure:?}");
            // The error stays, also after interrupted reads.
            let mut decoder = Decoder::new(compression, Halting(&bytes, false), CAPS).unwrap();
            let mut out = Vec::new();
            let mut failures = 0;
            while failures < 2 {
                match decoder.read_to_end(&mut out) {
                    Ok(_) => panic!("{compression:?}: no error for {tail:02x?}"),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => failures += 1,
                }
            }
            assert!(out == a, "{compression:?} with halts: {} bytes before {tail:02x?}", out.len());
        }
        let padded = [pack(&a), vec![0; 70_000]].concat();
        let (out, failure) = decompress(compression, &padded, CAPS);
        assert!(out == a && failure.is_none(), "{compression:?}: {failure:?}");
    }
}

#[test]
fn decompression_bombs_stop_at_the_limits() {
    let zeros = vec![0; 30 << 20];
    for (compression, bytes) in [
        (Compression::Gzip, gzip(&zeros)),
        (Compression::Gzip, [gzip(&zeros), gzip(b"x")].concat()),
        (Compression::Zlib, zlib(&zeros)),
        (Compression::Zstd, zstd(&zeros)),
    ] {
        let (out, failure) = decompress(compression, &bytes, Caps { max_bytes: 1 << 20, max_ratio: 1 << 40 });
        assert!(matches!(failure, Some(ReadFailure::TooLarge(_))), "{compression:?}: {failure:?}");
        assert!(out.len() <= 2 << 20);
        let (out, failure) = decompress(compression, &bytes, Caps { max_bytes: 1 << 40, max_ratio: 50 });
        assert!(matches!(failure, Some(ReadFailure::TooDense(50))), "{compression:?}: {failure:?}");
        assert!(out.len() <= 4 << 20, "{}", out.len());
    }
    let small = vec![b' '; 1 << 19];
    let (out, failure) = decompress(Compression::Zstd, &zstd(&small), Caps { max_bytes: 1 << 40, max_ratio: 2 });
    assert!(failure.is_none() && out == small, "small inputs may have any ratio");
}

#[test]
fn an_input_that_cannot_be_read_is_not_reported_as_damaged() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("disk on fire"))
        }
    }
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let mut decoder = Decoder::new(compression, Broken, CAPS).unwrap();
        let (_, failure) = read_whole(&mut decoder, 100);
        assert!(matches!(failure, Some(ReadFailure::Io(_))), "{compression:?}: {failure:?}");
    }
}

#[test]
fn one_extra_byte_shows_that_an_input_is_longer_than_the_limit() {
    let a = text(1000);
    for bytes in [gzip(&a), [gzip(&a), gzip(b"")].concat()] {
        for (wanted, got) in [(1000, 1000), (999, 1000), (10, 11)] {
            let (out, failure) = super::decompress(Compression::Gzip, &bytes, CAPS, wanted);
            assert!(failure.is_none() && out.len() == got, "{wanted}: {} bytes, {failure:?}", out.len());
        }
    }
}

#[test]
fn skips_decompressed_bytes() {
    let a = text(100_000);
    let packed = gzip(&a);
    let mut decoder = Decoder::new(Compression::Gzip, &packed[..], CAPS).unwrap();
    assert_eq!(skip(&mut decoder, 99_990).unwrap(), 99_990);
    assert_eq!(read_whole(&mut decoder, 1000).0, a[99_990..]);
    assert_eq!(skip(&mut decoder, 5).unwrap(), 0);
}
