//! The allocator of the agent.
//!
//! Batches are large, short-lived buffers that cross threads. glibc returns each one to the kernel
//! and faults it in again, which took a tenth of the CPU time of the CloudTrail pack. mimalloc
//! keeps freed pages, by default for too long: with consecutive documents of 16 MB it held 168 MB,
//! where 119 MB give the same speed. If the delay is too short, the kernel clears pages again for
//! each buffer: with 4 ms instead of 20, this took a third of the time of `.json.gz` files on a
//! busy machine. With 10 ms, reading from S3 peaks at 81 MB instead of 102, and `.json.gz` files
//! take the same time as with 20 (eight pairs, medians of 2.50 and 2.52 CPU seconds).
//!
//! Huge pages are off. With them the CloudTrail pack takes 5 % less CPU, but an agent under light
//! load holds 88 to 125 MB instead of 49: the kernel turns every 2 MiB with one used page into a
//! huge page, long after the other pages were returned. The variable `MIMALLOC_ALLOW_THP=1` keeps
//! them on.

use std::ffi::{c_int, c_long};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

#[cfg(test)]
use libmimalloc_sys::mi_option_get;
use libmimalloc_sys::mi_option_set_default;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `mi_option_purge_delay` of mimalloc 3, which the crate does not define: the time in milliseconds
/// for which freed pages are kept.
const PURGE_DELAY: c_int = 15;

/// Limit of the address space, in bytes, below which the allocator must not reserve a gigabyte at
/// once.
const SMALL_ADDRESS_SPACE: u64 = 8 << 30;

/// The delay while only batches are allocated.
const SOON_MS: c_long = 10;

/// The delay while the agent compiles, which allocates and frees a hundred times as much as it
/// keeps. Saves a twelfth of the time.
const LATER_MS: c_long = 1000;

/// Keeps freed pages for longer while it lives.
pub(crate) struct KeepPages;

impl KeepPages {
    pub(crate) fn new() -> Self {
        set_purge_delay(LATER_MS);
        Self
    }
}

impl Drop for KeepPages {
    fn drop(&mut self) {
        set_purge_delay(SOON_MS);
    }
}

/// Returns freed pages sooner and turns huge pages off. The variables `MIMALLOC_PURGE_DELAY` and
/// `MIMALLOC_ALLOW_THP` take precedence. Must be the first call of the program.
pub(crate) fn configure() {
    #[cfg(target_os = "linux")]
    if std::env::var_os("MIMALLOC_ALLOW_THP").is_none() {
        // A kernel without huge pages returns an error, which is fine.
        let _ = rustix::thread::disable_transparent_huge_pages(true);
    }
    set_purge_delay(SOON_MS);
}

/// Restarts the program if its address space is small, with an allocator that reserves less. A
/// restart is necessary because the allocator reads this option before `main`. Continues without it
/// if the restart fails or the variable is set.
pub(crate) fn fit_address_space() {
    const VARIABLE: &str = "MIMALLOC_ARENA_RESERVE";
    let is_small = wattle_runtime::address_space().is_some_and(|bytes| bytes < SMALL_ADDRESS_SPACE);
    if !is_small || std::env::var_os(VARIABLE).is_some() {
        return;
    }
    let mut arguments = std::env::args_os();
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    // glibc would reserve an arena of 64 MiB for each thread.
    let _ = command.args(arguments).env(VARIABLE, "16M").env("MALLOC_ARENA_MAX", "1").exec();
}

fn set_purge_delay(milliseconds: c_long) {
    // SAFETY: the call stores a number in a table of options. It can be made at any time, and
    // ignores unknown options.
    #[expect(unsafe_code, reason = "mimalloc has no safe interface for its options")]
    unsafe {
        mi_option_set_default(PURGE_DELAY, milliseconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, because options are global to the process.
    #[test]
    fn allocator_options_are_set() {
        #[expect(unsafe_code, reason = "mimalloc has no safe interface for its options")]
        let get = || unsafe { mi_option_get(PURGE_DELAY) };
        // mimalloc's default value, which no other option has.
        if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
            assert_eq!(get(), 1000);
            configure();
            assert_eq!(get(), SOON_MS);
            let pages = KeepPages::new();
            assert_eq!(get(), 1000);
            drop(pages);
            assert_eq!(get(), SOON_MS);
        }
        configure();
        #[cfg(target_os = "linux")]
        if std::env::var_os("MIMALLOC_ALLOW_THP").is_none() {
            assert!(rustix::thread::transparent_huge_pages_are_disabled().unwrap());
        }
    }
}
