//! Figures of this process from `/proc`, as Prometheus' client libraries report them.
//!
//! Read by hand: six numbers need no crate. `procfs` parses every field of a file to return one, and fails if another field
//! is missing, as in some sandboxes; here a missing field is 0.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// Ticks per second in `/proc` (`USER_HZ`): 100 on every architecture of Linux. Prometheus' library
/// has the same constant, because `sysconf` needs C.
const TICKS_PER_SECOND: f64 = 100.0;

/// Figures of this process; 0 if the system does not report one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Process {
    /// User and system time of all threads.
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_memory_bytes: u64,
    pub(crate) virtual_memory_bytes: u64,
    pub(crate) threads: u64,
    pub(crate) open_fds: u64,
    /// Maximum number of open descriptors.
    pub(crate) max_fds: u64,
}

impl Process {
    pub(crate) fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        Self {
            cpu_seconds: cpu_seconds(&stat),
            resident_memory_bytes: field(&status, "VmRSS:") << 10,
            virtual_memory_bytes: field(&status, "VmSize:") << 10,
            threads: field(&status, "Threads:"),
            // Reading the folder opens one more descriptor.
            open_fds: fs::read_dir("/proc/self/fd").map_or(0, |all| (all.count() as u64).saturating_sub(1)),
            max_fds: field(&limits, "Max open files"),
        }
    }
}

/// Seconds since 1970.
pub(crate) fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// The number after a name at the beginning of a line.
fn field(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|value| value.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[expect(clippy::cast_precision_loss, reason = "ticks of a century fit")]
fn cpu_seconds(stat: &str) -> f64 {
    // The program name in parentheses can contain any character, so count the fields after it.
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    ticks as f64 / TICKS_PER_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_after_any_program_name() {
        let stat = "7 (a ) b) S 1 1 1 0 -1 4194560 1200 0 3 0 250 50 0 0 20 0 9 0 12345 1000 200 0";
        assert_eq!(cpu_seconds(stat), 3.0);
        assert_eq!(cpu_seconds(""), 0.0);
    }

    #[test]
    fn this_process_has_memory_threads_and_descriptors() {
        let process = Process::read();
        assert!(
            process.resident_memory_bytes > 1 << 20 && process.virtual_memory_bytes > process.resident_memory_bytes
        );
        assert!(process.threads >= 1 && process.open_fds >= 3 && process.max_fds >= process.open_fds, "{process:?}");
    }
}
