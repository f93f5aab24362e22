//! `memcpy`, `memmove` and `memcmp` for static binaries with musl, in which every copy of Rust and of C uses them.
//!
//! Those of musl are written to be small. On x86-64 they copy 60 to 4000 bytes in 5 to 8 times the time that those of glibc
//! take, and its `memcmp` compares one byte after the other on every architecture: 4000 bytes take 270 times as long. An agent
//! that reads JSON does little else. The linker takes these functions instead, since it meets this crate before musl.
//! On aarch64, `memcpy` and `memmove` of musl are good, and stay.
//!
//! Only instructions that every processor of the architecture has are used, so nothing has to be asked at start.
#![no_std]
// The compiler would see a copy in the loops here, and call the function that it is in.
#![no_builtins]
#![allow(unsafe_code, reason = "these are the functions that safe copies are made of")]

#[cfg(test)]
extern crate std;

#[cfg(any(target_env = "musl", test))]
mod compare;
#[cfg(all(target_arch = "x86_64", any(target_env = "musl", test)))]
mod copy;

/// The names that the linker looks for. Elsewhere than in a static binary, the functions of the system are better.
#[cfg(all(target_env = "musl", not(test)))]
mod names {
    use core::ffi::{c_int, c_void};

    /// # Safety
    ///
    /// As for [`core::ptr::copy_nonoverlapping`].
    #[cfg(target_arch = "x86_64")]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut c_void, from: *const c_void, n: usize) -> *mut c_void {
        // SAFETY: the caller promises it.
        unsafe { crate::copy::copy(to.cast(), from.cast(), n) };
        to
    }

    /// # Safety
    ///
    /// As for [`core::ptr::copy`].
    #[cfg(target_arch = "x86_64")]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(to: *mut c_void, from: *const c_void, n: usize) -> *mut c_void {
        // SAFETY: the caller promises it.
        unsafe { crate::copy::copy(to.cast(), from.cast(), n) };
        to
    }

    /// # Safety
    ///
    /// Both point to `n` bytes.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(a: *const c_void, b: *const c_void, n: usize) -> c_int {
        // SAFETY: the caller promises it.
        unsafe { crate::compare::compare(a.cast(), b.cast(), n) }
    }

    /// # Safety
    ///
    /// Both point to `n` bytes.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(a: *const c_void, b: *const c_void, n: usize) -> c_int {
        // SAFETY: the caller promises it.
        unsafe { crate::compare::compare(a.cast(), b.cast(), n) }
    }
}
