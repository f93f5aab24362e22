//! Distribution of packs: archives, registries, signatures.
//!
//! A pack is distributed as an OCI artifact: a manifest, a small configuration and one layer with
//! all files. Only the canonical form is accepted, so the same folder gives the same bytes
//! everywhere, and an archive contains nothing but the files of the pack.
//!
//! | module | contents |
//! | --- | --- |
//! | [`files`] | the files of a pack in memory, and their canonical tar |
//! | [`head`] | name, version and contract in the manifest of a pack |
//! | [`image`] | the artifact: manifest, configuration, layer |
//! | [`archive`] | the artifact in one file, as an OCI image layout in a tar |
//! | [`reference`] | `oci://host/repository:tag` |
//! | [`client`] | `push` and `pull` with the OCI distribution protocol |
//! | [`store`] | pulled images in the data folder, by digest |
//! | [`poll`] | polls tags for new images |
//! | [`sign`] | keys and signatures of publishers |
//!
//! # Invariants
//!
//! - Downloaded data is never used before its digest is verified, read beyond its size limit, or
//!   written outside of its folder.
//! - All calls block; none runs on a thread that moves events.
//! - Credentials are sent only to their registry and to the token server that it names. Plain HTTP
//!   is used only for loopback and for registries with `insecure` (`origin.rs`).
//! - A layer is never in memory as a whole: it is downloaded, verified and unpacked in pieces.

pub mod archive;
pub mod client;
pub mod files;
pub mod head;
pub mod image;
pub mod poll;
pub mod reference;
pub mod store;

mod challenge;
mod credentials;
mod http;
mod origin;
mod reason;
mod unpack;

pub use client::{Client, PullError};
pub use credentials::Credentials;
pub use image::Image;
pub use poll::{PollState, Poller, Polling};
pub use reference::Reference;
pub use store::Store;
pub use wattle_signing as sign;
