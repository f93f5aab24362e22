//! Copies bytes between places that may overlap, with the registers of SSE2.
//!
//! Up to 128 bytes, everything is loaded before anything is stored, from both ends, so that the middle may be copied twice.
//! Longer copies load the ends first, loop over what is between, and store the ends last: the loop may then overwrite the
//! ends of the source.

use core::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_storeu_si128};

/// Bytes in a register.
const WIDTH: usize = 16;
/// Bytes that one round of a loop copies.
const ROUND: usize = 4 * WIDTH;

/// # Safety
///
/// `from` can be read and `to` written for `n` bytes.
#[inline(always)]
pub(crate) unsafe fn copy(to: *mut u8, from: *const u8, n: usize) {
    // SAFETY: each call gets a length that it can copy, and the caller's promise.
    unsafe {
        match n {
            0..=16 => up_to_16(to, from, n),
            17..=32 => ends::<1>(to, from, n),
            33..=64 => ends::<2>(to, from, n),
            65..=128 => ends::<4>(to, from, n),
            // No byte of the source is overwritten before it is read.
            _ if (to as usize).wrapping_sub(from as usize) >= n => forward(to, from, n),
            _ => backward(to, from, n),
        }
    }
}

/// # Safety
///
/// As for [`copy`], with at most 16 bytes.
#[inline(always)]
unsafe fn up_to_16(to: *mut u8, from: *const u8, n: usize) {
    // SAFETY: each type is at most as long as `n`.
    unsafe {
        if n >= 8 {
            two::<u64>(to, from, n);
        } else if n >= 4 {
            two::<u32>(to, from, n);
        } else if n >= 2 {
            two::<u16>(to, from, n);
        } else if n == 1 {
            *to = *from;
        }
    }
}

/// Copies the first and the last bytes of `n`.
///
/// # Safety
///
/// As for [`copy`], with at least as many bytes as the type has.
#[inline(always)]
unsafe fn two<T: Copy>(to: *mut u8, from: *const u8, n: usize) {
    let last = n - size_of::<T>();
    // SAFETY: both are within `n` bytes, and no place is expected to be aligned.
    unsafe {
        let (a, b) = (from.cast::<T>().read_unaligned(), from.add(last).cast::<T>().read_unaligned());
        to.cast::<T>().write_unaligned(a);
        to.add(last).cast::<T>().write_unaligned(b);
    }
}

/// Copies `N` registers from both ends.
///
/// # Safety
///
/// As for [`copy`], with `N` to `2 * N` registers of bytes.
#[inline(always)]
unsafe fn ends<const N: usize>(to: *mut u8, from: *const u8, n: usize) {
    let last = n - N * WIDTH;
    // SAFETY: both ends are within `n` bytes.
    unsafe {
        let (a, b) = (load::<N>(from), load::<N>(from.add(last)));
        store(to, a);
        store(to.add(last), b);
    }
}

/// # Safety
///
/// As for [`copy`], with more than 128 bytes. `to` is not behind `from` within `n` bytes.
unsafe fn forward(to: *mut u8, from: *const u8, n: usize) {
    // SAFETY: the loop ends one round before the end, and starts within the first register.
    unsafe {
        let (head, tail) = (load::<1>(from), load::<4>(from.add(n - ROUND)));
        // Stores that cross lines of the cache cost twice.
        let mut at = WIDTH - (to as usize) % WIDTH;
        while at < n - ROUND {
            store(to.add(at), load::<4>(from.add(at)));
            at += ROUND;
        }
        store(to, head);
        store(to.add(n - ROUND), tail);
    }
}

/// # Safety
///
/// As for [`copy`], with more than 128 bytes. `to` is not before `from` within `n` bytes.
unsafe fn backward(to: *mut u8, from: *const u8, n: usize) {
    // SAFETY: the loop ends within the first round, and starts within the last register.
    unsafe {
        let (head, tail) = (load::<4>(from), load::<1>(from.add(n - WIDTH)));
        let mut at = n - (to as usize + n) % WIDTH;
        while at > ROUND {
            at -= ROUND;
            store(to.add(at), load::<4>(from.add(at)));
        }
        store(to, head);
        store(to.add(n - WIDTH), tail);
    }
}

/// # Safety
///
/// `N` registers of bytes can be read.
#[inline(always)]
unsafe fn load<const N: usize>(from: *const u8) -> [__m128i; N] {
    // SAFETY: the caller promises it; no place is expected to be aligned.
    core::array::from_fn(|i| unsafe { _mm_loadu_si128(from.add(i * WIDTH).cast()) })
}

/// # Safety
///
/// `N` registers of bytes can be written.
#[inline(always)]
unsafe fn store<const N: usize>(to: *mut u8, registers: [__m128i; N]) {
    for (i, register) in registers.into_iter().enumerate() {
        // SAFETY: the caller promises it; no place is expected to be aligned.
        unsafe { _mm_storeu_si128(to.add(i * WIDTH).cast(), register) };
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// Bytes that all differ from their neighbours.
    fn bytes(n: usize) -> Vec<u8> {
        (0..n).map(|i| (i % 251) as u8).collect()
    }

    /// Copies inside of one buffer, and compares with what Rust does.
    fn check(size: usize, to: usize, from: usize, n: usize) {
        let (mut actual, mut expected) = (bytes(size), bytes(size));
        expected.copy_within(from..from + n, to);
        let start = actual.as_mut_ptr();
        // SAFETY: both are within the buffer.
        unsafe { copy(start.add(to), start.add(from), n) };
        assert!(actual == expected, "{n} bytes from {from} to {to}");
    }

    #[test]
    fn every_length_is_copied_to_every_distance() {
        for n in 0..=330 {
            for distance in (0..40).chain([63, 64, 65, 127, 128, 129, n]) {
                for shift in [0, 1, 15] {
                    check(800, 2 + shift + distance, 2 + shift, n);
                    check(800, 2 + shift, 2 + shift + distance, n);
                }
            }
        }
    }

    #[test]
    fn long_copies_at_random_places_overlap_or_not() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2000 {
            let n = random.usize(129..5000);
            let (to, from) = (random.usize(0..10_000 - n), random.usize(0..10_000 - n));
            check(10_000, to, from, n);
            check(10_000, from + random.usize(0..100).min(10_000 - n - from), from, n);
        }
    }
}
