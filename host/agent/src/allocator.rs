//! The allocator of the agent.
//!
//! Batches are large, short-lived buffers that cross threads. glibc gives each back to the kernel and faults it in anew;
//! that was a tenth of the CPU time of the CloudTrail pack. mimalloc keeps them, by default a while too long: with
//! documents of 16 MB one after the other it held 168 MB where 119 do at the same speed. Where it does not keep them from
//! one document to the next, the kernel clears a huge page for each buffer again: at 4 ms instead of 20, a third of the
//! time of `.json.gz` files on a busy machine, for no less memory.
//!
//! Huge pages are off. With them the CloudTrail pack takes 5 % less CPU, and an agent under a light load holds 88 to 125 MB
//! instead of 49, in steps up and down: the kernel makes a whole huge page of every 2 MiB in which one page is in use, long
//! after the others were given back. `MIMALLOC_ALLOW_THP=1` of the environment keeps them on, where memory is no matter.

use std::ffi::{c_int, c_long};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

#[cfg(test)]
use libmimalloc_sys::mi_option_get;
use libmimalloc_sys::mi_option_set_default;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `mi_option_purge_delay` of mimalloc 3, which the crate does not name: for how many milliseconds freed pages are kept.
const PURGE_DELAY: c_int = 15;

/// Address space in bytes in which the allocator must not reserve a gigabyte at once.
const SMALL_ADDRESS_SPACE: u64 = 8 << 30;

/// The delay while batches are all that is allocated.
const SOON_MS: c_long = 20;

/// The delay while something is compiled, which allocates and frees a hundred times what it keeps: a twelfth less time.
const LATER_MS: c_long = 1000;

/// Freed pages are kept for longer as long as this lives.
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

/// Gives freed pages back sooner, and does without huge pages. `MIMALLOC_PURGE_DELAY` and `MIMALLOC_ALLOW_THP` of the
/// environment have precedence. To be called first of all.
pub(crate) fn configure() {
    #[cfg(target_os = "linux")]
    if std::env::var_os("MIMALLOC_ALLOW_THP").is_none() {
        // A kernel that knows no huge pages is as good.
        let _ = rustix::thread::disable_transparent_huge_pages(true);
    }
    set_purge_delay(SOON_MS);
}

/// Starts this program again where its address space is small, with an allocator that reserves little of it: that is
/// decided before `main`. It goes on as it is if that fails, and where the environment decides.
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
    // One arena of the C library for each thread would take 64 MiB each.
    let _ = command.args(arguments).env(VARIABLE, "16M").env("MALLOC_ARENA_MAX", "1").exec();
}

fn set_purge_delay(milliseconds: c_long) {
    // SAFETY: it stores a number in a table of options and may be called at any time; an option that does not exist is
    // ignored.
    #[expect(unsafe_code, reason = "mimalloc has no safe interface for its options")]
    unsafe {
        mi_option_set_default(PURGE_DELAY, milliseconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, since options are of the whole process.
    #[test]
    fn options_are_those_that_are_meant() {
        #[expect(unsafe_code, reason = "mimalloc has no safe interface for its options")]
        let get = || unsafe { mi_option_get(PURGE_DELAY) };
        // Its default, which no option beside it has.
        if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
            assert_eq!(get(), 1000);
            configure();
            assert_eq!(get(), 20);
            let pages = KeepPages::new();
            assert_eq!(get(), 1000);
            drop(pages);
            assert_eq!(get(), 20);
        }
        configure();
        #[cfg(target_os = "linux")]
        if std::env::var_os("MIMALLOC_ALLOW_THP").is_none() {
            assert!(rustix::thread::transparent_huge_pages_are_disabled().unwrap());
        }
    }
}
