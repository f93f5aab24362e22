//! Blocks of 64 bytes turned into masks by vectors as wide as the processor has.

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
    /// Spaces and all that is below them.
    pub(crate) low: u64,
    pub(crate) not_ascii: u64,
}

/// A way to classify a block.
pub(crate) trait Classify: Fn(&[u8; BLOCK]) -> Classes {}

impl<F: Fn(&[u8; BLOCK]) -> Classes> Classify for F {}

/// Work that classifies blocks; compiled once for each way to do that, so `run` must be inlined.
pub(crate) trait Work {
    type Answer;

    fn run(self, classify: impl Classify) -> Self::Answer;
}

/// Does the work with the best vectors of this processor.
#[inline]
pub(crate) fn dispatch<W: Work>(work: W) -> W::Answer {
    #[cfg(target_arch = "x86_64")]
    if x86::has_wide_vectors() {
        return x86::with_wide_vectors(work);
    }
    work.run(|bytes| Block::load(bytes).classes())
}

/// Does the work in every way that this processor has, and answers with what each came to.
#[cfg(test)]
pub(crate) fn in_every_way<W: Work>(work: impl Fn() -> W) -> Vec<W::Answer> {
    vec![work().run(|bytes| Block::load(bytes).classes()), dispatch(work())]
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! Vectors of 32 bytes, which nearly every processor has, but not all. Where they are there, everything that the work
    //! does is compiled with them.

    use std::arch::is_x86_feature_detected as has;
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8,
    };

    use super::{BLOCK, Classes, Work};

    #[inline]
    pub(super) fn has_wide_vectors() -> bool {
        has!("avx2") && has!("bmi1") && has!("bmi2")
    }

    /// To be called only where [`has_wide_vectors`].
    #[inline]
    pub(super) fn with_wide_vectors<W: Work>(work: W) -> W::Answer {
        debug_assert!(has_wide_vectors());
        // SAFETY: the only caller has seen that the processor has the features.
        #[expect(unsafe_code, reason = "what the processor can do is not known before it runs")]
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
            // As in `Block::brackets`.
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
