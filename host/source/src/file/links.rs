//! Opens files by path, and follows only trusted symbolic links.
//!
//! A user who can write to a watched folder can create a link there, and an agent run by root would
//! ship files that root may read. So a link is trusted only if root or the agent's user created it,
//! or if its target has the owner of the link, as Linux does for sticky folders
//! (`protected_symlinks`). Each link of a chain is checked, and the file is opened relative to open
//! folders, so that no component can be replaced in between.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path};
use std::sync::OnceLock;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2, readlinkat};
use schemars::JsonSchema;
use serde::Deserialize;

/// Maximum number of links in a path, as in the kernel.
const MAX_LINKS: usize = 40;

const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Which symbolic links are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Links {
    /// Links of root, links of the agent's user, and links to a target with the same owner.
    #[default]
    SameOwner,
    /// All links; but if the agent runs as root, no links across owners.
    Always,
    /// No links below the folder that a glob names.
    Never,
}

impl Links {
    /// Returns whether a link with one owner to a target with another owner is followed.
    pub(super) fn allow(self, link: u32, target: u32) -> bool {
        let own = own_user();
        match self {
            Self::Never => false,
            Self::Always if own != 0 => true,
            Self::SameOwner | Self::Always => link == 0 || link == own || link == target,
        }
    }

    /// Opens a file for reading. The path below `root` must lead to a regular file.
    ///
    /// # Errors
    ///
    /// The file does not exist, is not a regular file, cannot be read, or is behind a link that is
    /// not followed.
    pub(super) fn open(self, path: &Path, root: &Path) -> io::Result<File> {
        if self == Self::Never {
            return self.open_below(path, root);
        }
        // Most paths have no link, and one system call opens them.
        let direct = openat2(CWD, path, READ, Mode::empty(), ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS);
        match direct {
            Ok(file) => regular(file.into()),
            Err(rustix::io::Errno::LOOP | rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => self.walk(path),
            Err(error) => Err(error.into()),
        }
    }

    /// The folder in the configuration may be behind links; paths below it may not.
    fn open_below(self, path: &Path, root: &Path) -> io::Result<File> {
        let (root, below) = match path.strip_prefix(root) {
            Ok(below) if !below.as_os_str().is_empty() => (root, below),
            // A glob without wildcards is the path of the file itself.
            _ => (path.parent().unwrap_or(path), Path::new(path.file_name().unwrap_or_default())),
        };
        self.walk(&std::fs::canonicalize(root)?.join(below))
    }

    fn walk(self, path: &Path) -> io::Result<File> {
        let mut rest: VecDeque<OsString> = VecDeque::new();
        push(&mut rest, path);
        let mut folder = root_folder()?;
        let mut links = 0;
        // The owners of followed links, each with the number of names that are left when its target
        // is reached.
        let mut followed: Vec<(u32, usize)> = Vec::new();
        while let Some(name) = rest.pop_front() {
            let found = openat(&folder, &*name, LOOK, Mode::empty())?;
            let stat = fstat(&found)?;
            while let Some((owner, _)) = followed.pop_if(|(_, left)| *left == rest.len()) {
                if !self.allow(owner, stat.st_uid) {
                    return Err(refused(owner, stat.st_uid));
                }
            }
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(rustix::io::Errno::LOOP.into());
                    }
                    if self == Self::Never {
                        return Err(io::Error::new(
                            io::ErrorKind::PermissionDenied,
                            "it is behind a symbolic link, and `follow_symlinks` is `never`",
                        ));
                    }
                    let target = readlinkat(&found, "", Vec::new())?;
                    let target = Path::new(OsStr::from_bytes(target.as_bytes()));
                    followed.push((stat.st_uid, rest.len()));
                    if target.is_absolute() {
                        folder = root_folder()?;
                    }
                    let before = rest.len();
                    push(&mut rest, target);
                    // `/` and `.` have no name to look up.
                    if rest.len() == before && followed.pop().is_some() {
                        let target = fstat(&folder)?.st_uid;
                        if !self.allow(stat.st_uid, target) {
                            return Err(refused(stat.st_uid, target));
                        }
                    }
                }
                _ if rest.is_empty() => return open_found(&folder, &name, &stat),
                _ => folder = found,
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Returns the effective user of the process. An unknown user counts as root, which has the
/// strictest rules.
fn own_user() -> u32 {
    static USER: OnceLock<u32> = OnceLock::new();
    *USER.get_or_init(|| std::fs::metadata("/proc/self").map_or(0, |own| own.uid()))
}

fn open_found(folder: &OwnedFd, name: &OsStr, found: &Stat) -> io::Result<File> {
    let file = openat(folder, name, READ, Mode::empty())?;
    let stat = fstat(&file)?;
    if (stat.st_dev, stat.st_ino) != (found.st_dev, found.st_ino) {
        return Err(io::Error::new(io::ErrorKind::NotFound, "another file has its name"));
    }
    regular(file.into())
}

fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
}

fn root_folder() -> io::Result<OwnedFd> {
    Ok(openat(CWD, "/", LOOK.union(OFlags::DIRECTORY), Mode::empty())?)
}

fn push(rest: &mut VecDeque<OsString>, path: &Path) {
    for component in path.components().rev() {
        match component {
            Component::Normal(name) => rest.push_front(name.to_owned()),
            Component::ParentDir => rest.push_front("..".into()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
}

fn refused(link: u32, target: u32) -> io::Error {
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "a symbolic link of user {link} leads to something of user {target}; links across owners are not followed \
             (see `follow_symlinks`)"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{lchown, symlink};

    #[test]
    fn links_are_followed_according_to_owners() {
        let own = own_user();
        for (link, target, same_owner) in [(0, 1001, true), (own, 1001, true), (1001, 1001, true), (1001, 1002, false)]
        {
            assert_eq!(Links::SameOwner.allow(link, target), same_owner, "{link} {target}");
            assert_eq!(Links::Always.allow(link, target), same_owner || own != 0);
            assert!(!Links::Never.allow(link, target));
        }
    }

    fn read(links: Links, path: &Path, root: &Path) -> io::Result<String> {
        io::read_to_string(links.open(path, root)?)
    }

    #[test]
    fn chains_of_links_are_followed_except_with_never() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().canonicalize().unwrap();
        for name in ["in/sub", "pods/x", "docker"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        fs::write(folder.join("docker/1.log"), "text").unwrap();
        symlink("../../docker/1.log", folder.join("pods/x/0.log")).unwrap();
        symlink(folder.join("pods/x/0.log"), folder.join("in/a.log")).unwrap();
        symlink("../pods", folder.join("in/pods")).unwrap();
        symlink("b.log", folder.join("in/b.log")).unwrap();
        symlink("in", folder.join("alias")).unwrap();
        fs::write(folder.join("in/sub/c.log"), "text").unwrap();
        let root = folder.join("alias");
        for (name, never) in
            [("a.log", false), ("pods/x/0.log", false), ("sub/c.log", true), ("sub/../sub/c.log", true)]
        {
            let path = root.join(name);
            assert_eq!(read(Links::SameOwner, &path, &root).unwrap(), "text", "{name}");
            assert_eq!(read(Links::Never, &path, &root).is_ok(), never, "{name}");
            // A path without a wildcard.
            assert_eq!(read(Links::Never, &path, &path).is_ok(), name != "a.log" && name != "pods/x/0.log", "{name}");
        }
        let error = read(Links::Never, &root.join("a.log"), &root).unwrap_err();
        assert!(error.to_string().contains("`follow_symlinks` is `never`"), "{error}");
        for name in ["b.log", "none.log", "sub"] {
            assert!(read(Links::SameOwner, &root.join(name), &root).is_err(), "{name}");
        }
    }

    #[test]
    fn root_follows_no_link_across_owners_at_any_place_of_the_path() {
        if own_user() != 0 {
            println!("skipped: only root can give files to others");
            return;
        }
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().canonicalize().unwrap();
        fs::create_dir_all(folder.join("secret")).unwrap();
        fs::create_dir_all(folder.join("in")).unwrap();
        fs::write(folder.join("secret/key.log"), "key").unwrap();
        fs::write(folder.join("theirs.log"), "theirs").unwrap();
        lchown(folder.join("theirs.log"), Some(1001), None).unwrap();
        let link = |to: &str, name: &str, owner: u32| {
            symlink(to, folder.join("in").join(name)).unwrap();
            lchown(folder.join("in").join(name), Some(owner), None).unwrap();
        };
        link("../secret/key.log", "direct.log", 1001);
        link("../secret", "folder", 1001);
        link("direct.log", "behind-root.log", 0);
        link("behind-root.log", "behind-both.log", 1001);
        link("../in/folder/key.log", "through.log", 0);
        link("../theirs.log", "own.log", 1001);
        link("../secret/key.log", "root.log", 0);
        link("/", "all", 1001);
        link(".", "here", 1001);
        let from_root = format!("all{}/secret/key.log", folder.display());
        for links in [Links::SameOwner, Links::Always] {
            for (name, expected) in [
                ("direct.log", None),
                ("folder/key.log", None),
                ("behind-root.log", None),
                ("behind-both.log", None),
                ("through.log", None),
                (&from_root, None),
                ("here/own.log", None),
                ("own.log", Some("theirs")),
                ("root.log", Some("key")),
            ] {
                let found = read(links, &folder.join("in").join(name), &folder.join("in"));
                assert_eq!(found.as_ref().ok().map(String::as_str), expected, "{links:?} {name} {found:?}");
            }
        }
    }
}
