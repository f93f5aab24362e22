//! The log format of container runtimes: `TIME STREAM TAG MESSAGE`. The tag `P` marks a part of a longer line.

/// A line of a container runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Name of the stream.
    pub(crate) stream: &'a [u8],
    /// Position of the tag in the line.
    pub(crate) tag_at: usize,
    pub(crate) is_part: bool,
    pub(crate) message: &'a [u8],
}

impl<'a> Line<'a> {
    /// Reads a line; none if it has another format.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        // A timestamp such as 2024-01-01T00:00:00.000000000Z, or one with an offset.
        if !(line.first()?.is_ascii_digit() && line.get(4) == Some(&b'-') && line.get(10) == Some(&b'T')) {
            return None;
        }
        let time_end = memchr::memchr(b' ', line.get(..64.min(line.len()))?)?;
        let rest = line.get(time_end + 1..)?;
        let stream = [&b"stdout "[..], b"stderr "].into_iter().find(|name| rest.starts_with(name))?;
        let tag_at = time_end + 1 + stream.len();
        let rest = line.get(tag_at..)?;
        // Colons separate tags; the first tag marks parts and complete lines.
        let tags_end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
        let is_part = match rest.get(..tags_end)? {
            [b'P'] | [b'P', b':', ..] => true,
            [b'F'] | [b'F', b':', ..] => false,
            _ => return None,
        };
        let message = rest.get(tags_end + 1..).unwrap_or_default();
        Some(Self { stream: stream.trim_ascii_end(), tag_at, is_part, message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_container_runtimes_are_read() {
        let line = Line::parse(b"2024-05-01T00:00:00.5Z stderr P:x a b").unwrap();
        assert_eq!((line.stream, line.tag_at, line.is_part, line.message), (&b"stderr"[..], 30, true, &b"a b"[..]));
        assert!(!Line::parse(b"2024-05-01T00:00:00.5+02:00 stdout F ").unwrap().is_part);
        assert_eq!(Line::parse(b"2024-05-01T00:00:00.5Z stdout F").unwrap().message, b"");
        for other in ["", "hello", "2024-05-01T00:00:00.5Z stdin F x", "2024-05-01T00:00:00.5Z stdout X x"] {
            assert_eq!(Line::parse(other.as_bytes()), None, "{other}");
        }
    }
}
