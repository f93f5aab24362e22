//! Packs on their way: archives, registries, signatures.
//!
//! A pack travels as an OCI artifact: a manifest, a small configuration and one layer with all files. It has one form
//! only, so the same folder gives the same bytes everywhere, and nothing can hide in another form of them.
//!
//! | module | what |
//! | --- | --- |
//! | [`files`] | the files of a pack in memory, and the canonical tar of them |
//! | [`head`] | what its manifest says of a pack |
//! | [`image`] | the artifact: manifest, configuration, layer |
//! | [`archive`] | the artifact in one file, as an OCI image layout in a tar |
//! | [`reference`] | `oci://host/repository:tag` |
//! | [`client`] | `push` and `pull` by the OCI distribution protocol |
//! | [`store`] | what was pulled, by digest, in the data folder |
//! | [`poll`] | notices tags that changed |
//! | [`sign`] | keys and signatures of publishers |
//!
//! # Invariants
//!
//! - Nothing that came from outside is used before its digest is right, read beyond its cap, or written outside of its
//!   folder.
//! - Everything here blocks; nothing of it runs on the threads that move events.
//! - Credentials go to the registry that they are for, and to the token server that it names; plain http goes to
//!   loopback or where `insecure` allows it (`origin.rs`).
//! - A layer is never held in memory as a whole: it is downloaded, compared and unpacked in pieces.

pub mod archive;
pub mod client;
pub mod files;
pub mod head;
pub mod image;
pub mod poll;
pub mod reference;
pub mod sign;
pub mod store;

mod challenge;
mod credentials;
mod http;
mod origin;
mod unpack;

pub use client::{Client, PullError};
pub use credentials::Credentials;
pub use image::Image;
pub use poll::{PollState, Poller, Polling};
pub use reference::Reference;
pub use store::Store;
