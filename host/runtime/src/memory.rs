//! Address space: makes engines reserve little if it is limited, and explains errors of mappings.

use std::io::Read as _;
use std::sync::OnceLock;

use rlimit::Resource;
use wasmtime::Config;

/// A smaller address space counts as small: each linear memory would reserve more than 4 GiB of it.
const SMALL_BYTES: u64 = 256 << 30;

/// Whether the address space of this process is so small that linear memories must reserve no more
/// than they use.
pub(crate) fn is_small() -> bool {
    static SMALL: OnceLock<bool> = OnceLock::new();
    *SMALL.get_or_init(|| address_space().is_some())
}

/// Limit of this process's address space, in bytes; `None` if it has no relevant limit.
pub fn address_space() -> Option<u64> {
    Resource::AS.get_soft().ok().filter(|bytes| *bytes < SMALL_BYTES)
}

/// Makes linear memories reserve only what they use, and move when they grow; code checks accesses
/// instead of guard pages.
pub(crate) fn reserve_little(config: &mut Config) {
    config.memory_reservation(0).memory_guard_size(0).memory_reservation_for_growth(1 << 20);
}

/// Suggests a fix for an error about a failed mapping; `None` for any other error.
pub(crate) fn explain(error: &str) -> Option<String> {
    if !["mmap", "mprotect", "os error 12", "annot allocate memory"].iter().any(|text| error.contains(text)) {
        return None;
    }
    if let Some(bytes) = address_space() {
        let mib = bytes >> 20;
        return Some(format!(
            "the process may have {mib} MiB of address space; raise the limit (`ulimit -v`, `LimitAS=`) or lower `workers`"
        ));
    }
    let (mappings, most) = (count_mappings(), max_mappings());
    Some(match mappings.zip(most) {
        Some((mappings, most)) if mappings.saturating_mul(10) >= most.saturating_mul(9) => format!(
            "the process has {mappings} memory mappings of at most {most}; raise `vm.max_map_count` or lower `workers`"
        ),
        _ => "the machine or the control group of the process has no memory left; raise its limit or lower `workers`"
            .into(),
    })
}

fn max_mappings() -> Option<usize> {
    std::fs::read_to_string("/proc/sys/vm/max_map_count").ok()?.trim().parse().ok()
}

/// Counts lines without keeping the text, which can have many megabytes. The crate `procfs` would parse each of them.
fn count_mappings() -> Option<usize> {
    let mut file = std::fs::File::open("/proc/self/maps").ok()?;
    let mut buffer = [0; 8 << 10];
    let mut lines = 0;
    loop {
        match file.read(&mut buffer).ok()? {
            0 => return Some(lines),
            read => lines += buffer.iter().take(read).filter(|byte| **byte == b'\n').count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mapping_errors_are_explained() {
        assert_eq!(explain("unknown import"), None);
        let text = explain("mmap failed to reserve 0x1000 bytes").unwrap();
        assert!(text.contains("lower `workers`"), "{text}");
        assert!(count_mappings().is_none_or(|mappings| mappings > 10));
    }
}
