//! A small file system, for full and read-only disks.

use std::path::PathBuf;
use std::process::Command;

/// A tmpfs that is unmounted on drop.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts it with options such as `size=8m`; `None` if the user may not mount.
    pub fn mount(folder: PathBuf, options: &str) -> Option<Self> {
        std::fs::create_dir_all(&folder).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&folder).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }

    /// Changes its options.
    ///
    /// # Panics
    ///
    /// They cannot be changed.
    pub fn remount(&self, options: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).output();
        let is_done = done.is_ok_and(|output| output.status.success());
        assert!(is_done, "{} cannot be mounted again with {options}", self.0.display());
    }

    /// Fills it with a file `ballast`.
    pub fn fill(&self) {
        // Byte by byte at the end, so that not one page is left.
        for piece in [1 << 16, 1 << 12, 1] {
            while append(&self.ballast(), piece) {}
        }
    }

    /// The file that fills it.
    pub fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

fn append(path: &std::path::Path, bytes: usize) -> bool {
    use std::io::Write as _;
    let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
    file.write_all(&vec![0; bytes]).is_ok()
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // At once, also while a program that the test could not stop uses it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}
