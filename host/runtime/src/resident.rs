//! Unmaps the code of the agent that only its start needs.
//!
//! The kernel maps 16 pages of a file for each page that a program touches, and keeps them mapped until memory is scarce.
//! So start-up, which reads most of the program once, leaves 30 MB in the resident set of an agent that then executes
//! less than 1 MB of code while idle. Without the mappings, the pages stay in the page cache: the next access to one of
//! them costs a minor fault, no read from the disk.

use std::io;

/// Unmaps the unmodified, read-only pages of the program file, and returns how many bytes of them were mapped. Call it
/// after work that the agent does seldom: start-up, a reload, a compilation. The agent continues with minor faults only.
///
/// Does nothing on other systems than Linux.
///
/// # Errors
///
/// `/proc/self/smaps` cannot be read, or the kernel rejects the call. Nothing else is affected.
pub fn unmap_idle_code() -> io::Result<u64> {
    #[cfg(target_os = "linux")]
    return linux::unmap_idle_code();
    #[cfg(not(target_os = "linux"))]
    return Ok(0);
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::io;
    use std::ops::Range;
    use std::os::unix::ffi::OsStrExt as _;
    use std::ptr::with_exposed_provenance_mut;

    use rustix::mm::{Advice, madvise};

    /// A mapping of a file, as `proc_pid_smaps(5)` describes it.
    struct Mapping {
        addresses: Range<usize>,
        is_code_or_constants: bool,
        resident: u64,
        modified: u64,
    }

    pub(super) fn unmap_idle_code() -> io::Result<u64> {
        // The program's own file is never unmapped while it runs, so its addresses stay valid after they are read. Those
        // of cached nodes do not: another thread may free a node and map memory there.
        let program = fs::read_link("/proc/self/exe")?;
        let smaps = fs::read("/proc/self/smaps")?;
        let mut bytes = 0;
        for mapping in mappings(&smaps, program.as_os_str().as_bytes()) {
            // Relocated constants (RELRO) are read-only too, but they are copies that the file does not have.
            if !mapping.is_code_or_constants || mapping.modified > 0 {
                continue;
            }
            // SAFETY: the mapping is a private, read-only mapping of the program file without modified pages. Unmapped
            // pages are read from the file again.
            #[expect(unsafe_code, reason = "madvise has no safe interface")]
            unsafe {
                madvise(
                    with_exposed_provenance_mut(mapping.addresses.start),
                    mapping.addresses.len(),
                    Advice::LinuxDontNeed,
                )?;
            }
            bytes += mapping.resident;
        }
        Ok(bytes)
    }

    /// The mappings of a file in the text of `smaps`. A mapping that lacks a field counts as modified.
    fn mappings(smaps: &[u8], file: &[u8]) -> Vec<Mapping> {
        let mut found = Vec::new();
        let mut is_file = false;
        for line in smaps.split(|byte| *byte == b'\n') {
            if let Some((addresses, permissions)) = header(line) {
                is_file =
                    line.ends_with(file) && line.get(..line.len() - file.len()).is_some_and(|l| l.ends_with(b" "));
                if is_file {
                    let is_code_or_constants = matches!(permissions, b"r-xp" | b"r--p");
                    found.push(Mapping { addresses, is_code_or_constants, resident: 0, modified: u64::MAX });
                }
            } else if let Some(mapping) = found.last_mut().filter(|_| is_file) {
                if let Some(bytes) = field(line, "Rss:") {
                    mapping.resident = bytes;
                } else if let Some(bytes) = field(line, "Anonymous:") {
                    mapping.modified = bytes;
                }
            }
        }
        found
    }

    /// Reads the first line of a mapping, such as `55d0c3e00000-55d0c6a00000 r-xp 00e00000 fe:00 42 /usr/bin/wattle`.
    fn header(line: &[u8]) -> Option<(Range<usize>, &[u8])> {
        let mut words = line.split(|byte| *byte == b' ');
        let (start, end) = std::str::from_utf8(words.next()?).ok()?.split_once('-')?;
        let address = |text: &str| usize::from_str_radix(text, 16).ok();
        Some((address(start)?..address(end)?, words.next()?))
    }

    /// Reads a field such as `Anonymous:             12 kB`, in bytes.
    fn field(line: &[u8], name: &str) -> Option<u64> {
        let value = std::str::from_utf8(line).ok()?.strip_prefix(name)?.trim().strip_suffix(" kB")?;
        value.parse::<u64>().ok()?.checked_mul(1024)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        const SMAPS: &[u8] = b"\
1000-3000 r--p 00000000 fe:00 42 /usr/bin/a wattle
Rss:                   8 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
3000-5000 r-xp 00002000 fe:00 42 /usr/bin/a wattle
Rss:                   4 kB
Anonymous:             4 kB
5000-6000 rw-p 00004000 fe:00 42 /usr/bin/a wattle
Rss:                   4 kB
Anonymous:             0 kB
6000-7000 r--p 00004000 fe:00 42 /usr/bin/a wattle
7000-8000 r-xp 00000000 fe:00 43 /usr/lib/wattle
Rss:                   4 kB
Anonymous:             0 kB
8000-9000 rw-p 00000000 00:00 0
Anonymous:             0 kB
";

        #[test]
        fn only_unmodified_mappings_of_the_program_are_unmapped() {
            let found = mappings(SMAPS, b"/usr/bin/a wattle");
            let seen: Vec<_> = found
                .iter()
                .map(|m| (m.addresses.start, m.addresses.len(), m.is_code_or_constants, m.resident, m.modified))
                .collect();
            assert_eq!(
                seen,
                [
                    (0x1000, 0x2000, true, 8 << 10, 0),
                    (0x3000, 0x2000, true, 4 << 10, 4 << 10),
                    (0x5000, 0x1000, false, 4 << 10, 0),
                    (0x6000, 0x1000, true, 0, u64::MAX),
                ],
                "a path with a space; a mapping without fields is not touched"
            );
        }

        #[test]
        fn the_program_runs_on_after_its_code_was_unmapped() {
            let text: Vec<String> = (0..100).map(|n| format!("{n:04}")).collect();
            let before = resident();
            let unmapped = unmap_idle_code().unwrap();
            let after = resident();
            assert!(unmapped > 0 && after < before, "{unmapped} bytes unmapped, {before} before and {after} after");
            assert_eq!(text.concat().len(), 400);
        }

        /// Resident pages of files, in KiB.
        fn resident() -> u64 {
            let status = fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with("RssFile:")).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        }
    }
}
