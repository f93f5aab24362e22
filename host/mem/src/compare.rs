//! Compares bytes, eight at once; 16 or 64 on x86-64.

/// The sign of the result says which bytes come first, as for `memcmp`.
///
/// # Safety
///
/// Both can be read for `n` bytes.
#[inline(always)]
pub(crate) unsafe fn compare(a: *const u8, b: *const u8, n: usize) -> i32 {
    // SAFETY: each call reads within `n` bytes.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        if n >= 64 {
            return blocks::<64>(a, b, n, |a, b| four_registers(a, b));
        }
        #[cfg(target_arch = "x86_64")]
        if n >= 16 {
            return blocks::<16>(a, b, n, |a, b| registers(a, b));
        }
        if n >= 8 {
            return blocks::<8>(a, b, n, |a, b| order(number(a), number(b)));
        }
        if n >= 4 {
            let number = |at: *const u8| u64::from(u32::from_be(at.cast::<u32>().read_unaligned()));
            return blocks::<4>(a, b, n, |a, b| order(number(a), number(b)));
        }
        for i in 0..n {
            let (a, b) = (*a.add(i), *b.add(i));
            if a != b {
                return i32::from(a) - i32::from(b);
            }
        }
        0
    }
}

/// Compares blocks of `N` bytes one after the other, and the last `N` bytes, of which some were compared before.
///
/// # Safety
///
/// As for [`compare`], with at least `N` bytes; `block` reads `N`.
#[inline(always)]
unsafe fn blocks<const N: usize>(
    a: *const u8,
    b: *const u8,
    n: usize,
    block: impl Fn(*const u8, *const u8) -> i32,
) -> i32 {
    let last = n - N;
    let mut at = 0;
    while at < last {
        // SAFETY: `at` is `N` bytes before the end.
        let result = unsafe { block(a.add(at), b.add(at)) };
        if result != 0 {
            return result;
        }
        at += N;
    }
    // SAFETY: `last` is `N` bytes before the end.
    unsafe { block(a.add(last), b.add(last)) }
}

/// Eight bytes as the number that orders as they do.
///
/// # Safety
///
/// Eight bytes can be read.
#[inline(always)]
unsafe fn number(at: *const u8) -> u64 {
    // SAFETY: the caller promises it; no place is expected to be aligned.
    u64::from_be(unsafe { at.cast::<u64>().read_unaligned() })
}

#[inline(always)]
fn order(a: u64, b: u64) -> i32 {
    i32::from(a > b) - i32::from(a < b)
}

/// Compares 16 bytes.
///
/// # Safety
///
/// Both can be read for 16 bytes.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn registers(a: *const u8, b: *const u8) -> i32 {
    use core::arch::x86_64::{_mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8};
    // SAFETY: the caller promises it; no place is expected to be aligned.
    unsafe {
        let equal = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(a.cast()), _mm_loadu_si128(b.cast())));
        if equal == 0xffff {
            return 0;
        }
        let first = (!equal).trailing_zeros() as usize;
        i32::from(*a.add(first)) - i32::from(*b.add(first))
    }
}

/// Compares 64 bytes, with one branch while they are equal.
///
/// # Safety
///
/// Both can be read for 64 bytes.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn four_registers(a: *const u8, b: *const u8) -> i32 {
    use core::arch::x86_64::{_mm_and_si128, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8};
    // SAFETY: the caller promises it; no place is expected to be aligned.
    unsafe {
        let equal = |at| _mm_cmpeq_epi8(_mm_loadu_si128(a.add(at).cast()), _mm_loadu_si128(b.add(at).cast()));
        let all = _mm_and_si128(_mm_and_si128(equal(0), equal(16)), _mm_and_si128(equal(32), equal(48)));
        if _mm_movemask_epi8(all) == 0xffff { 0 } else { blocks::<16>(a, b, 64, |a, b| registers(a, b)) }
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    #[test]
    fn the_first_difference_decides_at_every_place_of_every_length() {
        for n in 0..=210 {
            for shift in [0, 1, 7] {
                let (a, mut b) = (vec![100; n + shift], vec![100; n]);
                let check = |b: &[u8]| {
                    let a = &a[shift..];
                    // SAFETY: both have `n` bytes.
                    let (there, back) =
                        unsafe { (compare(a.as_ptr(), b.as_ptr(), n), compare(b.as_ptr(), a.as_ptr(), n)) };
                    assert_eq!(there.signum(), a.cmp(b) as i32, "{n} {b:?}");
                    assert_eq!(back.signum(), -there.signum());
                };
                check(&b);
                for place in 0..n {
                    for value in [0, 99, 101, 255] {
                        // What comes later differs in the other direction, and must not count.
                        b[place..].fill(if value < 100 { 200 } else { 0 });
                        b[place] = value;
                        check(&b);
                    }
                    b[place..].fill(100);
                }
            }
        }
    }
}
