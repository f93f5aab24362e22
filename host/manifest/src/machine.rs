//! Limits of the machine that defaults depend on.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use wattle_plan::BatchSettings;

/// With less memory than this, defaults come from the small profile.
pub const SMALL_BYTES: u64 = 192 << 20;
/// Minimum memory of an agent: the program, the code of its built-in nodes and one instance of
/// each.
pub const MIN_MEMORY_BYTES: u64 = 32 << 20;
/// Maximum bytes of a batch in the small profile.
const SMALL_BATCH_BYTES: u64 = 64 << 10;

/// Memory limit of this process's control group, in bytes; `None` if it has no limit.
pub fn memory_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    limit_of(Path::new("/sys/fs/cgroup"), &groups)
}

/// Finds the lowest limit of a process's groups and their ancestors. In a container the paths can
/// be those of the host, so the root of the mount counts as well.
fn limit_of(mount: &Path, groups: &str) -> Option<u64> {
    let mut lowest = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, name) = match controllers {
            "" => (mount.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|c| c == "memory") => (mount.join("memory"), "memory.limit_in_bytes"),
            _ => continue,
        };
        let group: PathBuf = root.join(path.trim_start_matches('/'));
        let folders = group.ancestors().take_while(|folder| folder.starts_with(&root));
        let limits =
            folders.filter_map(|folder| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok());
        // Version 1 writes a number far above any real memory size if there is no limit.
        lowest = limits.filter(|bytes| *bytes < 1 << 60).chain(lowest).min();
    }
    lowest
}

fn is_small() -> bool {
    memory_limit().is_some_and(|bytes| bytes < SMALL_BYTES)
}

/// Default number of worker threads: one for each processor, or one in the small profile, since
/// each worker has its own instances.
pub(crate) fn default_workers() -> usize {
    if is_small() { 1 } else { available_parallelism().map_or(1, usize::from) }
}

/// Default batch settings.
pub(crate) fn default_batch() -> BatchSettings {
    let default = BatchSettings::default();
    if is_small() { BatchSettings { max_bytes: SMALL_BATCH_BYTES, ..default } } else { default }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_limit_of_a_group_and_its_ancestors_counts() {
        let mount = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = mount.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(limit_of(mount.path(), "0::/a/b\n"), None);
        write("a/b/memory.max", "max\n");
        assert_eq!(limit_of(mount.path(), "0::/a/b\n"), None);
        write("a/memory.max", "67108864\n");
        assert_eq!(limit_of(mount.path(), "0::/a/b\n"), Some(64 << 20));
        write("a/b/memory.max", "1000\n");
        assert_eq!(limit_of(mount.path(), "0::/a/b\n"), Some(1000));
        // Version 1 in a container: the path is that of the host, the limit is at the mount.
        write("memory/memory.limit_in_bytes", "2000\n");
        assert_eq!(limit_of(mount.path(), "5:cpu,cpuacct:/x\n4:memory:/docker/1\n"), Some(2000));
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(limit_of(mount.path(), "4:memory:/docker/1\n"), None);
    }
}
