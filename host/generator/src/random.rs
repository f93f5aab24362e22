//! Random numbers of the generator, and random strings.
//!
//! `rand::rngs::SmallRng` cannot guarantee the same bytes for a seed on every platform: its
//! algorithm depends on the width of a pointer and may change with a release. SplitMix64 is fixed,
//! and five lines long.

const HEX: &[u8; 16] = b"0123456789abcdef";
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// The base64url alphabet.
const URL64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Letters and digits; two occur twice, so that six random bits select one.
const ALPHANUMERIC: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789Zz";
/// The alphabet of S3 request IDs.
const REQUEST: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// The base64 characters whose last four bits are zero; only these can precede `==`.
const BEFORE_TWO_PADS: [&str; 4] = ["A", "Q", "g", "w"];

/// One seeded stream of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// Starts stream number `stream` of `seed`; streams of one seed do not influence each other.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut mixer = Self { state: seed };
        let mixed = mixer.draw();
        let mut second = Self { state: mixed ^ stream.wrapping_mul(0xD1B5_4A32_D192_ED03) };
        Self { state: second.draw() }
    }

    /// Draws 64 random bits.
    pub(crate) fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Draws a number below `limit` (0 when `limit` is 0).
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        (((self.draw() >> 32) * u64::from(limit)) >> 32) as u32
    }

    /// Draws a number from `low` to `high`, both included (`low` if `low` is greater).
    pub(crate) fn between(&mut self, low: u32, high: u32) -> u32 {
        low.saturating_add(self.below(high.saturating_sub(low).saturating_add(1)))
    }

    /// Returns true with a probability of `parts` in a million.
    pub(crate) fn chance(&mut self, parts: u32) -> bool {
        self.below(1_000_000) < parts
    }

    /// Draws one element (the default of `T` from an empty slice).
    pub(crate) fn pick<T: Copy + Default>(&mut self, from: &[T]) -> T {
        let index = self.below(u32::try_from(from.len()).unwrap_or(u32::MAX));
        from.get(index as usize).copied().unwrap_or_default()
    }

    pub(crate) fn hex(&mut self, count: usize, out: &mut Vec<u8>) {
        self.letters(HEX, 4, count, out);
    }

    pub(crate) fn base32(&mut self, count: usize, out: &mut Vec<u8>) {
        self.letters(BASE32, 5, count, out);
    }

    pub(crate) fn alphanumeric(&mut self, count: usize, out: &mut Vec<u8>) {
        self.letters(ALPHANUMERIC, 6, count, out);
    }

    pub(crate) fn url64(&mut self, count: usize, out: &mut Vec<u8>) {
        self.letters(URL64, 6, count, out);
    }

    /// Writes a request ID in the format of S3: 16 capital letters and digits.
    pub(crate) fn request_id(&mut self, out: &mut Vec<u8>) {
        self.letters(REQUEST, 5, 16, out);
    }

    /// Writes well-formed base64 of `count` characters, rounded down to a multiple of 4; half of
    /// the values end in padding.
    pub(crate) fn base64(&mut self, count: usize, out: &mut Vec<u8>) {
        let quads = count / 4;
        if quads == 0 || self.below(2) == 0 {
            return self.letters(BASE64, 6, quads * 4, out);
        }
        self.letters(BASE64, 6, quads * 4 - 3, out);
        out.extend_from_slice(self.pick(&BEFORE_TWO_PADS).as_bytes());
        out.extend_from_slice(b"==");
    }

    /// Writes a random (version 4) UUID.
    pub(crate) fn uuid(&mut self, out: &mut Vec<u8>) {
        self.hex(8, out);
        out.push(b'-');
        self.hex(4, out);
        out.extend_from_slice(b"-4");
        self.hex(3, out);
        out.push(b'-');
        out.extend_from_slice(self.pick(&["8", "9", "a", "b"]).as_bytes());
        self.hex(3, out);
        out.push(b'-');
        self.hex(12, out);
    }

    /// Writes `count` characters of `alphabet`, whose length must be 2 to the power of `bits`.
    fn letters<const N: usize>(&mut self, alphabet: &[u8; N], bits: u32, count: usize, out: &mut Vec<u8>) {
        let per_draw = (64 / bits) as usize;
        let mut left = count;
        while left > 0 {
            let mut source = self.draw();
            let now = left.min(per_draw);
            out.extend((0..now).map(|_| {
                let letter = alphabet.get(source as usize & (N - 1)).copied();
                source >>= bits;
                letter.unwrap_or(b'A')
            }));
            left -= now;
        }
    }
}
