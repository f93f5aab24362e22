//! Packs as files: the library finds them; digests, locks and signatures verify them.
//!
//! `host/manifest` interprets the manifest of a pack; this crate reads only its version.
//!
//! # Invariants
//!
//! - A pinned pack is opened with the pinned digest or not at all.
//! - No text makes this crate panic.

pub mod digest;
pub mod reference;
pub mod trust;

mod install;
mod library;
mod lock;
mod remote;
mod signature;

pub use digest::{FileChange, FileList, FileListError};
pub use install::{InstallError, Installed, install, remove};
pub use library::{BuiltinPack, Found, Library, LibraryEntry, MANIFEST, PackFiles, clean, find_named, read_plain};
pub use lock::{FormerPin, LOCK_FILE, Lock, LockManifest, Pin, Pinning};
pub use remote::{Located, NotLocated, REMOTE, Remote};
pub use trust::{Distrust, PackBytes, SIGNATURE_FILE, Signer, read_files, verify, verify_folder};
