//! Converts blocks of bytes to masks with SIMD: bit i of a mask describes byte i of the block.

use wide::u8x16;

use crate::classes::Classes;

/// Bytes in one block.
pub(crate) const BLOCK: usize = 64;

/// Bytes that one step inside a string examines.
pub(crate) const STEP: usize = 32;

/// Every second bit, from bit 1.
const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;

/// 64 bytes in four vectors.
pub(crate) struct Block([u8x16; 4]);

impl Block {
    /// Loads the block at `at`, padded with spaces after the end of the text; `None` at the end of
    /// the text.
    #[inline]
    pub(crate) fn at(text: &[u8], at: usize) -> Option<Self> {
        let rest = text.get(at..)?;
        if let Some(full) = rest.first_chunk::<BLOCK>() {
            return Some(Self::load(full));
        }
        let mut padded = [b' '; BLOCK];
        padded.get_mut(..rest.len())?.copy_from_slice(rest);
        (!rest.is_empty()).then(|| Self::load(&padded))
    }

    /// Loads exactly one block.
    #[inline]
    pub(crate) fn load(bytes: &[u8; BLOCK]) -> Self {
        let (parts, _) = bytes.as_chunks::<16>();
        let mut vectors = [u8x16::ZERO; 4];
        for (vector, part) in vectors.iter_mut().zip(parts) {
            *vector = u8x16::from(*part);
        }
        Self(vectors)
    }

    #[inline]
    fn mask(&self, test: impl Fn(u8x16) -> u8x16) -> u64 {
        let [a, b, c, d] = self.0;
        u64::from(test(a).to_bitmask())
            | u64::from(test(b).to_bitmask()) << 16
            | u64::from(test(c).to_bitmask()) << 32
            | u64::from(test(d).to_bitmask()) << 48
    }

    /// Returns where `byte` is.
    #[inline]
    pub(crate) fn positions(&self, byte: u8) -> u64 {
        let byte = u8x16::splat(byte);
        self.mask(|vector| vector.simd_eq(byte))
    }

    /// Returns where brackets open and where they close, inside and outside of strings.
    #[inline]
    pub(crate) fn brackets(&self) -> (u64, u64) {
        // Square and curly brackets differ in bit 5. Setting it turns square brackets into curly
        // ones and no other byte into a bracket.
        let fold = u8x16::splat(0x20);
        let (open, close) = (u8x16::splat(b'{'), u8x16::splat(b'}'));
        (self.mask(|vector| (vector | fold).simd_eq(open)), self.mask(|vector| (vector | fold).simd_eq(close)))
    }

    /// Returns where bytes of each class are.
    #[inline]
    pub(crate) fn classes(&self) -> Classes {
        let (open, close) = self.brackets();
        let space = u8x16::splat(b' ');
        Classes {
            quotes: self.positions(b'"'),
            backslashes: self.positions(b'\\'),
            colons: self.positions(b':'),
            commas: self.positions(b','),
            open,
            close,
            space: self.positions(b' '),
            low: self.mask(|vector| vector.min(space).simd_eq(vector)),
            not_ascii: self.mask(|vector| vector),
        }
    }

    /// Returns where white space is, inside and outside of strings.
    #[inline]
    pub(crate) fn white(&self) -> u64 {
        self.mask(white)
    }
}

/// State that a block inherits from the blocks before it: whether it begins inside a string or
/// after a backslash.
#[derive(Clone, Copy, Default)]
pub(crate) struct Strings {
    /// 1 if the block's first byte is escaped, else 0.
    escaped: u64,
    /// All ones if the block begins inside a string, else 0.
    inside: u64,
}

impl Strings {
    /// A state that begins inside a string.
    pub(crate) const fn begun() -> Self {
        Self { escaped: 0, inside: u64::MAX }
    }

    /// Returns the quotes of the block that begin or end strings.
    #[inline]
    pub(crate) fn quotes(&mut self, block: &Block) -> u64 {
        let backslashes = block.positions(b'\\');
        block.positions(b'"') & !self.escaped(backslashes)
    }

    /// Returns the bytes inside strings, including opening quotes but not closing ones.
    #[inline]
    pub(crate) fn inside(&mut self, block: &Block) -> u64 {
        let quotes = self.quotes(block);
        self.inside_of(quotes)
    }

    /// Like [`Strings::inside`], for the unescaped quotes of the block.
    #[inline]
    pub(crate) fn inside_of(&mut self, quotes: u64) -> u64 {
        let inside = prefix_xor(quotes) ^ self.inside;
        // Copies the last bit to all bits: the next block begins where this one ends.
        self.inside = (inside >> 63).wrapping_neg();
        inside
    }

    /// Returns the bytes after an odd number of backslashes.
    #[inline]
    pub(crate) fn escaped(&mut self, backslashes: u64) -> u64 {
        if backslashes == 0 {
            return std::mem::take(&mut self.escaped);
        }
        // A backslash that is not escaped may begin a run. Subtracting the starts from the odd bits
        // carries through each run and leaves the bits of every second byte of it, whether the run
        // began at an even or an odd place.
        let starts = backslashes & !self.escaped;
        let runs = ((starts << 1) | ODD).wrapping_sub(starts) ^ ODD;
        let escaped = runs ^ (backslashes | self.escaped);
        self.escaped = (runs & backslashes) >> 63;
        escaped
    }
}

/// Returns for each bit whether the number of set bits up to and including it is odd.
#[inline]
const fn prefix_xor(mut bits: u64) -> u64 {
    // Six shifts. A carry-less multiplication needs one step, but has no portable safe form.
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^ bits << 32
}

/// Returns where quotes and backslashes are.
#[inline]
pub(crate) fn string_ends(bytes: &[u8; STEP]) -> u32 {
    let (quote, backslash) = (u8x16::splat(b'"'), u8x16::splat(b'\\'));
    halves(bytes, |vector| (vector.simd_eq(quote) | vector.simd_eq(backslash)).to_bitmask())
}

/// Returns where backslashes are.
#[inline]
pub(crate) fn backslashes(bytes: &[u8; STEP]) -> u32 {
    let backslash = u8x16::splat(b'\\');
    halves(bytes, |vector| vector.simd_eq(backslash).to_bitmask())
}

/// Returns where quotes, backslashes and control characters are: the bytes that a string must
/// escape.
#[inline]
pub(crate) fn string_stops(bytes: &[u8; STEP]) -> u32 {
    let (quote, backslash, control) = (u8x16::splat(b'"'), u8x16::splat(b'\\'), u8x16::splat(0x1f));
    halves(bytes, |vector| {
        (vector.simd_eq(quote) | vector.simd_eq(backslash) | vector.min(control).simd_eq(vector)).to_bitmask()
    })
}

/// Returns where bytes outside of ASCII are.
#[inline]
pub(crate) fn not_ascii(bytes: &[u8; STEP]) -> u32 {
    halves(bytes, u8x16::to_bitmask)
}

/// Returns where bytes other than spaces are.
#[inline]
pub(crate) fn not_spaces(bytes: &[u8; STEP]) -> u32 {
    let space = u8x16::splat(b' ');
    !halves(bytes, |vector| vector.simd_eq(space).to_bitmask())
}

#[inline]
fn white(vector: u8x16) -> u8x16 {
    let [space, tab, feed, back] = [b' ', b'\t', b'\n', b'\r'].map(u8x16::splat);
    vector.simd_eq(space) | vector.simd_eq(tab) | vector.simd_eq(feed) | vector.simd_eq(back)
}

#[inline]
fn halves(bytes: &[u8; STEP], test: impl Fn(u8x16) -> u32) -> u32 {
    let mut mask = 0;
    for (half, shift) in bytes.as_chunks::<16>().0.iter().zip([0, 16]) {
        mask |= test(u8x16::from(*half)) << shift;
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected masks, byte by byte.
    fn slow(text: &[u8]) -> Vec<bool> {
        let (mut inside, mut escaped) = (false, false);
        text.iter()
            .map(|byte| {
                inside ^= *byte == b'"' && !escaped;
                escaped = *byte == b'\\' && !escaped;
                inside
            })
            .collect()
    }

    fn fast(text: &[u8]) -> Vec<bool> {
        let mut strings = Strings::default();
        (0..text.len())
            .step_by(BLOCK)
            .flat_map(|at| {
                let mask = strings.inside(&Block::at(text, at).unwrap());
                (0..BLOCK.min(text.len() - at)).map(move |bit| mask >> bit & 1 == 1)
            })
            .collect()
    }

    #[test]
    fn masks_agree_with_a_byte_loop() {
        for before in 0..70 {
            for run in 0..70 {
                let mut text = vec![b'a'; before];
                text.push(b'"');
                text.extend(std::iter::repeat_n(b'\\', run));
                text.extend_from_slice(b"\"x\" y \"z\\\"\"");
                assert_eq!(fast(&text), slow(&text), "{before} bytes, then {run} backslashes");
            }
        }
    }

    #[test]
    fn only_brackets_are_brackets() {
        for byte in 0..=255_u8 {
            let (open, close) = Block::load(&[byte; BLOCK]).brackets();
            assert_eq!(open != 0, matches!(byte, b'[' | b'{'), "{byte:#x}");
            assert_eq!(close != 0, matches!(byte, b']' | b'}'), "{byte:#x}");
            let stops = string_stops(&[byte; STEP]);
            assert_eq!(stops == u32::MAX, byte < 0x20 || matches!(byte, b'"' | b'\\'), "{byte:#x}");
            assert_eq!(not_ascii(&[byte; STEP]) == u32::MAX, byte >= 0x80, "{byte:#x}");
            assert_eq!(not_spaces(&[byte; STEP]) == 0, byte == b' ', "{byte:#x}");
            assert_eq!(string_ends(&[byte; STEP]) != 0, matches!(byte, b'"' | b'\\'), "{byte:#x}");
        }
    }
}
