//! The target `syslog`; see `tests/fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wattle_fuzz_targets::syslog(bytes));
