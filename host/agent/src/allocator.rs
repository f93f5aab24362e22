//! The allocator of the agent.
//!
//! Batches are large, short-lived buffers that cross threads. glibc gives each back to the kernel and faults it in anew;
//! that was a tenth of the CPU time of the CloudTrail pack. mimalloc keeps them, by default a while too long: with
//! documents of 16 MB one after the other it held 168 MB where 119 do at the same speed. Where it does not keep them from
//! one document to the next, the kernel clears a huge page for each buffer again: at 4 ms instead of 20, a third of the
//! time of `.json.gz` files on a busy machine, for no less memory.

use std::ffi::{c_int, c_long};

#[cfg(test)]
use libmimalloc_sys::mi_option_get;
use libmimalloc_sys::mi_option_set_default;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `mi_option_purge_delay` of mimalloc 3, which the crate does not name: for how many milliseconds freed pages are kept.
const PURGE_DELAY: c_int = 15;

/// Gives freed pages back sooner. `MIMALLOC_PURGE_DELAY` of the environment has precedence. To be called first of all.
pub(crate) fn configure() {
    const MILLISECONDS: c_long = 20;
    // SAFETY: it stores a number in a table of options and may be called at any time; an option that does not exist is
    // ignored.
    #[expect(unsafe_code, reason = "mimalloc has no safe interface for its options")]
    unsafe {
        mi_option_set_default(PURGE_DELAY, MILLISECONDS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        #[expect(unsafe_code, reason = "mimalloc has no safe interface for its options")]
        let get = || unsafe { mi_option_get(PURGE_DELAY) };
        // Its default, which no option beside it has.
        if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
            assert_eq!(get(), 1000);
            configure();
            assert_eq!(get(), 20);
        }
    }
}
