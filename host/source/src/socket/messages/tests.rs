use proptest::prelude::*;

use super::*;

const LIMITS: BatchLimits = BatchLimits { max_bytes: 1000, max_events: 3, max_age: std::time::Duration::ZERO };

/// The messages of a stream that arrives in pieces, the counts of skipped data, and what is left.
fn read(framing: StreamFraming, max: usize, pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Skipped, usize) {
    let mut messages = Messages::new(framing, max, Pool::default());
    let mut found = Vec::new();
    for piece in pieces {
        let mut piece = *piece;
        while !piece.is_empty() {
            let space = messages.space();
            let n = space.len().min(piece.len());
            space[..n].copy_from_slice(&piece[..n]);
            messages.advance(n).unwrap();
            piece = &piece[n..];
            if messages.count() > 1 {
                found.extend(messages.take(&LIMITS).iter().flat_map(rows));
            }
        }
    }
    let left = messages.finish();
    found.extend(messages.take(&LIMITS).iter().flat_map(rows));
    (found, messages.take_skipped(), left)
}

fn rows(column: &Column) -> Vec<Vec<u8>> {
    column.iter().map(<[u8]>::to_vec).collect()
}

#[track_caller]
fn expect(framing: StreamFraming, stream: &[u8], expected: &[&str]) {
    for size in 1..=stream.len() {
        let pieces: Vec<&[u8]> = stream.chunks(size).collect();
        let (found, _, left) = read(framing, 100, &pieces);
        let found: Vec<String> = found.into_iter().map(|m| String::from_utf8(m).unwrap()).collect();
        assert_eq!((found, left), (expected.iter().map(|e| (*e).to_owned()).collect(), 0), "in pieces of {size}");
    }
}

#[test]
fn both_forms_of_rfc_6587_are_recognised_in_one_stream() {
    let stream = b"<1>a\r\n5 <2>b\n\n12 <3>multi\nline<4>c\0<5>d\n10 things\n6 <6>e\r\n\n2026\n<7>last";
    let expected = ["<1>a", "<2>b", "<3>multi\nlin", "e<4>c", "<5>d", "10 things", "<6>e", "2026", "<7>last"];
    expect(StreamFraming::Auto, stream, &expected);
}

#[test]
fn lines_and_counted_messages() {
    expect(StreamFraming::Lines, b"5 <1>a\n\n\r\n0\0b\nlast", &["5 <1>a", "0\0b", "last"]);
    expect(StreamFraming::OctetCounting, b"5 <1>ab3 x\ny\n4 z\r\n\0", &["<1>ab", "x\ny", "z"]);
}

#[test]
fn a_counted_message_that_is_cut_is_no_message() {
    for cut in 3..8 {
        let (found, _, left) = read(StreamFraming::OctetCounting, 100, &[&b"1 a7 <1>abcd"[..cut + 2]]);
        assert_eq!((found, left), (vec![b"a".to_vec()], cut - 1));
    }
    let (found, _, left) = read(StreamFraming::Auto, 100, &[b"9 <1>abcd"]);
    assert_eq!((found, left), (vec![], 9));
}

#[test]
fn batches_are_within_the_limits_and_so_is_the_buffer() {
    let mut messages = Messages::new(StreamFraming::Lines, 100, Pool::default());
    let limits = BatchLimits { max_bytes: 8 << 10, ..LIMITS };
    let mut found = 0;
    for _ in 0..10_000 {
        let space = messages.space();
        let n = space.len().min(1000);
        space[..n].copy_from_slice(&b"123456789\n".repeat(100)[..n]);
        messages.advance(n).unwrap();
        assert!(messages.buffer.len() <= 8 << 10);
        if messages.is_full(&limits) {
            let columns = messages.take(&limits);
            assert!(columns.iter().all(|column| (1..=3).contains(&column.rows())));
            found += columns.iter().map(Column::rows).sum::<usize>();
        }
    }
    assert!(found > 10_000, "{found}");
}

#[test]
fn a_stream_without_lengths_is_an_error() {
    for stream in ["<1>a\n", "5<1>abc", "05 <1>ab", "99999999999 x", "\n-1 x"] {
        let mut messages = Messages::new(StreamFraming::OctetCounting, 100, Pool::default());
        messages.space()[..stream.len()].copy_from_slice(stream.as_bytes());
        let error = messages.advance(stream.len()).unwrap_err();
        assert!(error.to_string().contains("use another `framing`"), "{error}");
    }
}

/// A client that sends nothing but line feeds costs neither memory nor time that grows with what it has sent.
#[test]
fn line_feeds_between_counted_messages_are_not_kept() {
    let mut messages = Messages::new(StreamFraming::OctetCounting, 100, Pool::default());
    for _ in 0..10_000 {
        messages.space()[0] = b'\n';
        messages.advance(1).unwrap();
    }
    assert_eq!((messages.buffer.len(), messages.finish()), (FIRST_BYTES, 0));
    expect(StreamFraming::OctetCounting, b"\n\n1 a\r\n\n\x001 b\n", &["a", "b"]);
}

#[test]
fn too_long_messages_are_skipped_and_counted() {
    for (framing, stream) in [
        (StreamFraming::Lines, "abcdefgh\nok\nabcdefghi\r\nfine\n"),
        (StreamFraming::OctetCounting, "8 abcdefgh2 ok9 abcdefghi4 fine"),
        (StreamFraming::Auto, "8 <bcdefgh2 ok\n<bcdefghi\nfine"),
    ] {
        for size in 1..=stream.len() {
            let pieces: Vec<&[u8]> = stream.as_bytes().chunks(size).collect();
            let (found, skipped, left) = read(framing, 5, &pieces);
            let found: Vec<_> = found.iter().map(|m| str::from_utf8(m).unwrap()).collect();
            assert_eq!((found, left), (vec![if framing == StreamFraming::Auto { "2 ok" } else { "ok" }, "fine"], 0));
            assert_eq!(skipped.too_long, 2, "{framing:?} in pieces of {size}");
            assert!((17..=21).contains(&skipped.too_long_bytes), "{}", skipped.too_long_bytes);
        }
    }
}

proptest! {
    /// Whatever arrives in whatever pieces: the messages are the same, and every byte is in a message, in a separator,
    /// in a length or counted.
    #[test]
    fn pieces_do_not_matter(
        stream in prop::collection::vec(prop_oneof![Just(b'\n'), Just(0), Just(b'\r'), Just(b' '), Just(b'<'),
            b'0'..=b'9', any::<u8>()], 0..200),
        sizes in prop::collection::vec(1..20_usize, 1..20), is_auto: bool, max in 1..30_usize,
    ) {
        let framing = if is_auto { StreamFraming::Auto } else { StreamFraming::Lines };
        let whole = read(framing, max, &[&stream]);
        let mut pieces = Vec::new();
        let mut rest = &stream[..];
        for size in sizes.iter().cycle() {
            if rest.is_empty() { break }
            let (piece, behind) = rest.split_at((*size).min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        let in_pieces = read(framing, max, &pieces);
        prop_assert_eq!(&whole.0, &in_pieces.0);
        prop_assert_eq!(whole.2, in_pieces.2);
        prop_assert_eq!(whole.1.too_long, in_pieces.1.too_long);
        prop_assert!(whole.0.iter().all(|message| !message.is_empty() && message.len() <= max));
    }
}
