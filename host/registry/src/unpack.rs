//! Reads the canonical tar of a pack in pieces, so that it needs memory only for one block and the
//! paths.
//!
//! The reader generates the header that [`crate::files::to_tar`] writes for each entry and compares
//! it with the header in the archive. Contents go to an [`Unpack`] as a stream and are hashed on
//! the way.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};
use wattle_pack::digest::{FileList, is_part, is_path};

use crate::files::{Files, FilesError, MAX_BYTES, MAX_FILES, MAX_PATH, create_private};

/// Size of a tar block in bytes.
const BLOCK: usize = 512;
/// Maximum size of an extension header for a long path, in bytes. The longest allowed path needs
/// less.
const MAX_EXTENSION: u64 = 1024;

/// Receives the files of an archive, one after the other.
pub(crate) trait Unpack {
    /// Receives one file. `path` is valid; `content` ends at the end of the file.
    ///
    /// # Errors
    ///
    /// `content` cannot be read, or the receiver cannot store it.
    fn file(&mut self, path: &str, content: &mut dyn Read) -> io::Result<()>;
}

/// Keeps the files in memory.
impl Unpack for Files {
    fn file(&mut self, path: &str, content: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        self.insert(path.to_owned(), bytes);
        Ok(())
    }
}

/// Checks the files and keeps nothing.
pub(crate) struct Discard;

impl Unpack for Discard {
    fn file(&mut self, _: &str, content: &mut dyn Read) -> io::Result<()> {
        io::copy(content, &mut io::sink()).map(drop)
    }
}

/// Writes the files to a new folder, each synced.
pub(crate) struct IntoFolder {
    folder: PathBuf,
}

impl IntoFolder {
    /// Creates the folder with mode 0700.
    pub(crate) fn create(folder: &Path) -> io::Result<Self> {
        private_folder(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }
}

impl Unpack for IntoFolder {
    fn file(&mut self, path: &str, content: &mut dyn Read) -> io::Result<()> {
        let path = self.folder.join(path);
        if let Some(parent) = path.parent() {
            private_folder(parent)?;
        }
        let mut file = create_private(&path)?;
        io::copy(content, &mut file)?;
        file.sync_all()
    }
}

/// Creates a folder and its parents with mode 0700.
pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The paths of an archive so far. Refuses bad paths, paths that are the same file on some
/// machines, and too many files.
#[derive(Default)]
pub(crate) struct Paths {
    /// From the path in lower case to the path.
    files: BTreeMap<String, String>,
    /// The same for folders.
    folders: BTreeMap<String, String>,
    bytes: u64,
}

impl Paths {
    /// Adds a path with the size of its file in bytes.
    ///
    /// # Errors
    ///
    /// The path is refused, or a limit is exceeded.
    pub(crate) fn add(&mut self, path: &str, size: u64) -> Result<(), FilesError> {
        if !is_path(path) || path.len() > MAX_PATH {
            return Err(FilesError::BadPath(path.to_owned()));
        }
        if self.files.len() >= MAX_FILES {
            return Err(FilesError::TooLarge("4,096 files"));
        }
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > MAX_BYTES {
            return Err(FilesError::TooLarge("256 MiB"));
        }
        let same = |other: &str| Err(FilesError::SamePath(other.to_owned(), path.to_owned()));
        let lower = path.to_lowercase();
        // A path must not repeat, and a file must not have the name of a folder.
        if let Some(other) = self.files.get(&lower).or_else(|| self.folders.get(&lower)) {
            return same(other);
        }
        for (at, _) in path.match_indices('/') {
            let folder = path.get(..at).unwrap_or_default();
            let lower = folder.to_lowercase();
            if let Some(file) = self.files.get(&lower) {
                return same(file);
            }
            // Folders that differ only by case are the same folder on some machines.
            match self.folders.get(&lower) {
                Some(other) if other != folder => return same(other),
                Some(_) => {}
                None => drop(self.folders.insert(lower, folder.to_owned())),
            }
        }
        self.files.insert(lower, path.to_owned());
        Ok(())
    }
}

/// Reads a canonical tar, passes each file to `into`, and returns the list of the files with their
/// digests.
///
/// # Errors
///
/// The tar is not canonical, exceeds a limit, contains bad paths or anything but regular files; or
/// `into` fails.
pub(crate) fn unpack(tar: &mut dyn Read, into: &mut dyn Unpack) -> Result<Unpacked, FilesError> {
    let mut blocks = Blocks { tar, offset: 0 };
    let mut paths = Paths::default();
    let mut digests: Vec<(String, [u8; 32])> = Vec::new();
    // Reported last, because the error about a repeated path is more helpful.
    let mut unordered = None;
    while let Some(head) = blocks.head()? {
        let Head { path, size, start } = head;
        paths.add(&path, size)?;
        if digests.last().is_some_and(|(before, _)| *before >= path) {
            unordered.get_or_insert(start);
        }
        let mut content = Content { tar: &mut *blocks.tar, left: size, sha: Sha256::new() };
        // Read what `into` left, so that the digest covers the whole file.
        let stored = into.file(&path, &mut content).and_then(|()| io::copy(&mut content, &mut io::sink()));
        stored.map_err(FilesError::unreadable(format!("`{path}`")))?;
        if content.left > 0 {
            return Err(FilesError::unreadable(format!("`{path}`"))(io::ErrorKind::UnexpectedEof.into()));
        }
        let digest = content.sha.finalize().into();
        blocks.offset += size as usize;
        // Zeros fill the last block of a file.
        blocks.zeros((BLOCK - size as usize % BLOCK) % BLOCK)?;
        digests.push((path, digest));
    }
    if let Some(start) = unordered {
        return Err(FilesError::NotCanonical(start));
    }
    let others = digests.iter().filter(|(path, _)| !is_part(path)).map(|(path, _)| path.clone()).collect();
    Ok(Unpacked { list: FileList::of_digests(digests)?, others })
}

/// Contents of an archive.
pub(crate) struct Unpacked {
    /// The files of the pack.
    pub(crate) list: FileList,
    /// Paths of files that are not in the list: the list itself, its signatures, hidden files.
    pub(crate) others: Vec<String>,
}

struct Head {
    path: String,
    size: u64,
    /// Offset of the header in the tar.
    start: usize,
}

/// Reads the blocks of a tar, and counts the offset for messages.
struct Blocks<'a> {
    tar: &'a mut dyn Read,
    offset: usize,
}

impl Blocks<'_> {
    /// Reads the header of the next entry; `None` at the end of the tar.
    fn head(&mut self) -> Result<Option<Head>, FilesError> {
        let start = self.offset;
        let mut raw = self.block()?;
        if raw.iter().all(|byte| *byte == 0) {
            // Two zero blocks end a tar, and no byte may follow.
            self.zeros(BLOCK)?;
            let mut more = [0];
            return match self.read(&mut more)? {
                0 => Ok(None),
                _ => Err(FilesError::NotCanonical(self.offset - 1)),
            };
        }
        let mut header = Header::from_byte_slice(&raw).clone();
        let mut long_path = None;
        if header.entry_type() == EntryType::GNULongName {
            let size = header.entry_size().map_err(FilesError::unreadable("the tar"))?;
            if size > MAX_EXTENSION {
                return Err(FilesError::NotCanonical(start));
            }
            let mut name = Vec::new();
            while name.len() < size as usize {
                name.extend(self.block()?);
            }
            raw.extend(&name);
            // The name ends with a NUL character.
            name.truncate((size as usize).saturating_sub(1));
            long_path = Some(name);
            let block = self.block()?;
            raw.extend(&block);
            header = Header::from_byte_slice(&block).clone();
        }
        let path = long_path.unwrap_or_else(|| header.path_bytes().into_owned());
        let path = String::from_utf8(path)
            .map_err(|error| FilesError::BadPath(String::from_utf8_lossy(error.as_bytes()).into_owned()))?;
        match header.entry_type() {
            EntryType::Regular => {}
            EntryType::XHeader | EntryType::GNULongName | EntryType::GNULongLink => {
                return Err(FilesError::NotCanonical(start));
            }
            kind => return Err(FilesError::NotAFile { path, kind: name_of(kind) }),
        }
        let size = header.entry_size().map_err(FilesError::unreadable("the tar"))?;
        if size > MAX_BYTES {
            return Err(FilesError::TooLarge("256 MiB"));
        }
        if !is_path(&path) || path.len() > MAX_PATH {
            return Err(FilesError::BadPath(path));
        }
        let canonical = canonical_head(&path, size)?;
        if canonical != raw {
            // The error names the first byte that differs.
            let same = canonical.iter().zip(&raw).take_while(|(ours, theirs)| ours == theirs).count();
            return Err(FilesError::NotCanonical(start + same));
        }
        Ok(Some(Head { path, size, start }))
    }

    /// Reads one complete block.
    fn block(&mut self) -> Result<Vec<u8>, FilesError> {
        let mut block = vec![0; BLOCK];
        match self.read(&mut block)? {
            BLOCK => Ok(block),
            _ => Err(FilesError::NotCanonical(self.offset)),
        }
    }

    /// Reads bytes that must be zero.
    fn zeros(&mut self, count: usize) -> Result<(), FilesError> {
        let mut bytes = vec![0; count];
        let start = self.offset;
        let read = self.read(&mut bytes)?;
        match bytes.iter().position(|byte| *byte != 0) {
            Some(at) => Err(FilesError::NotCanonical(start + at)),
            None if read < count => Err(FilesError::NotCanonical(start + read)),
            None => Ok(()),
        }
    }

    /// Fills a buffer up to the end of the tar.
    fn read(&mut self, mut bytes: &mut [u8]) -> Result<usize, FilesError> {
        let mut total = 0;
        while !bytes.is_empty() {
            match self.tar.read(bytes) {
                Ok(0) => break,
                Ok(read) => {
                    total += read;
                    bytes = bytes.get_mut(read..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(FilesError::unreadable("the tar")(error)),
            }
        }
        self.offset += total;
        Ok(total)
    }
}

/// The content of one entry, hashed while it is read.
struct Content<'a> {
    tar: &'a mut dyn Read,
    left: u64,
    sha: Sha256,
}

impl Read for Content<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let max = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let bytes = bytes.get_mut(..max).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(0);
        }
        let read = self.tar.read(bytes)?;
        self.left = self.left.saturating_sub(read as u64);
        self.sha.update(bytes.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// The header that [`crate::files::to_tar`] writes for a file, with the extension for a long path.
fn canonical_head(path: &str, size: u64) -> Result<Vec<u8>, FilesError> {
    let mut builder = Builder::new(Vec::new());
    let appended = builder.append_data(&mut header(size), path, io::empty());
    appended.map_err(FilesError::unreadable(format!("`{path}`")))?;
    Ok(std::mem::take(builder.get_mut()))
}

/// The fields of a header that are the same for every file, and the size in bytes.
pub(crate) fn header(size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn name_of(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Symlink => "a symbolic link",
        EntryType::Link => "a hard link",
        EntryType::Directory => "a folder entry",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        EntryType::GNUSparse => "a sparse file",
        EntryType::XGlobalHeader => "an extended header",
        _ => "an entry of an unknown type",
    }
}
