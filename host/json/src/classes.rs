//! Classifies blocks of 64 bytes with the widest vectors that the processor has.

use crate::block::{BLOCK, Block};

/// Positions of each class in a block, inside and outside of strings: bit i describes byte i.
pub(crate) struct Classes {
    pub(crate) quotes: u64,
    pub(crate) backslashes: u64,
    pub(crate) colons: u64,
    pub(crate) commas: u64,
    /// `{` and `[`.
    pub(crate) open: u64,
    /// `}` and `]`.
    pub(crate) close: u64,
    pub(crate) space: u64,
    /// Spaces and all bytes below.
    pub(crate) low: u64,
    pub(crate) not_ascii: u64,
}

/// A way to classify a block.
pub(crate) trait Classify: Fn(&[u8; BLOCK]) -> Classes {}

impl<F: Fn(&[u8; BLOCK]) -> Classes> Classify for F {}

/// Work that classifies blocks. It is compiled once for each instruction set, so `run` must be
/// inlined.
pub(crate) trait Work {
    type Answer;

    fn run(self, classify: impl Classify) -> Self::Answer;
}

/// Runs the work with the widest vectors of this processor.
#[inline]
pub(crate) fn dispatch<W: Work>(work: W) -> W::Answer {
    #[cfg(target_arch = "x86_64")]
    if x86::has_wide_vectors() {
        return x86::with_wide_vectors(work);
    }
    work.run(|bytes| Block::load(bytes).classes())
}

/// Runs the work with each instruction set of this processor and returns all results.
#[cfg(test)]
pub(crate) fn in_every_way<W: Work>(work: impl Fn() -> W) -> Vec<W::Answer> {
    vec![work().run(|bytes| Block::load(bytes).classes()), dispatch(work())]
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! Vectors of 32 bytes, which nearly every processor has, but not all. The whole work is
    //! compiled for them, not only the classification.

    use std::arch::is_x86_feature_detected as has;
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8,
    };

    use super::{BLOCK, Classes, Work};

    #[inline]
    pub(super) fn has_wide_vectors() -> bool {
        has!("avx2") && has!("bmi1") && has!("bmi2")
    }

    /// Must be called only if [`has_wide_vectors`].
    #[inline]
    pub(super) fn with_wide_vectors<W: Work>(work: W) -> W::Answer {
        debug_assert!(has_wide_vectors());
        // SAFETY: the only caller has checked that the processor has these features.
        #[expect(unsafe_code, reason = "the features of the processor are known only at run time")]
        unsafe {
            wide(work)
        }
    }

    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn wide<W: Work>(work: W) -> W::Answer {
        work.run(|bytes: &[u8; BLOCK]| {
            let halves: [__m256i; 2] = bytemuck::must_cast(*bytes);
            let splat = |byte: u8| _mm256_set1_epi8(byte.cast_signed());
            let mask = |test: &dyn Fn(__m256i) -> __m256i| {
                let [low, high] = halves.map(|half| u64::from(_mm256_movemask_epi8(test(half)).cast_unsigned()));
                low | high << 32
            };
            let positions = |byte| mask(&|half| _mm256_cmpeq_epi8(half, splat(byte)));
            // See `Block::brackets`.
            let brackets = |byte| mask(&|half| _mm256_cmpeq_epi8(_mm256_or_si256(half, splat(0x20)), splat(byte)));
            Classes {
                quotes: positions(b'"'),
                backslashes: positions(b'\\'),
                colons: positions(b':'),
                commas: positions(b','),
                open: brackets(b'{'),
                close: brackets(b'}'),
                space: positions(b' '),
                low: mask(&|half| _mm256_cmpeq_epi8(_mm256_min_epu8(half, splat(b' ')), half)),
                not_ascii: mask(&|half| half),
            }
        })
    }
}
