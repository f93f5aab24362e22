//! Hides a value and keeps its shape, so that a parser reads the result like the value.

/// Writes the shape of a value without escapes of JSON.
pub(super) fn text(value: &[u8], out: &mut Vec<u8>) {
    write(value, false, out);
}

/// Writes the shape of a text that can contain escapes of JSON, which stay escapes.
pub(super) fn escaped(text: &[u8], out: &mut Vec<u8>) {
    write(text, true, out);
}

/// Writes the shape of a JSON number or boolean. Returns `false` if the value is another word, which
/// needs quotes.
pub(super) fn bare(value: &[u8], out: &mut Vec<u8>) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    let is_number = digits.first().is_some_and(u8::is_ascii_digit)
        && value.iter().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E'));
    if is_number {
        out.extend(value.iter().map(|b| if b.is_ascii_digit() { b'1' } else { *b }));
    } else if matches!(value, b"true" | b"false") {
        out.extend_from_slice(b"true");
    } else {
        return false;
    }
    true
}

fn write(value: &[u8], has_escapes: bool, out: &mut Vec<u8>) {
    for chunk in value.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(char) = rest.chars().next() {
            let taken = match escape(rest.as_bytes(), has_escapes) {
                Some((taken, shape)) => {
                    out.extend_from_slice(shape);
                    taken
                }
                None => {
                    let mut buffer = [0; 4];
                    out.extend_from_slice(shape_of(char).encode_utf8(&mut buffer).as_bytes());
                    char.len_utf8()
                }
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
        // Bytes that are not UTF-8 can be letters of another encoding.
        out.extend(chunk.invalid().iter().map(|_| b'x'));
    }
}

/// Length of the escape at the start of a text, and its shape.
fn escape(text: &[u8], has_escapes: bool) -> Option<(usize, &[u8])> {
    let is_hex = |from: usize, to: usize| text.get(from..to).is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit));
    match text {
        [b'%', ..] if is_hex(1, 3) => Some((3, b"%78")),
        [b'\\', b'u', ..] if has_escapes && is_hex(2, 6) => Some((6, b"\\u0078")),
        [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' | b'u', ..] if has_escapes => {
            Some((2, text.get(..2)?))
        }
        _ => None,
    }
}

fn shape_of(char: char) -> char {
    match char {
        c if c.is_uppercase() => 'X',
        c if c.is_alphabetic() => 'x',
        c if c.is_numeric() => '1',
        c => c,
    }
}
