//! `wattle pack keygen`: creates the key pair of a publisher.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use wattle_registry::sign::SecretKey;

use super::refused;
use crate::cli::registry::KeygenOptions;
use crate::exit::{Done, print};

pub(crate) fn keygen(options: &KeygenOptions) -> Done {
    let key = SecretKey::generate()?;
    let mut public = options.file.clone().into_os_string();
    public.push(".pub");
    // An existing key is never overwritten, because its signatures could not be renewed.
    for (path, text, mode) in [(&options.file, key.secret(), 0o600), (&public.into(), key.public(), 0o644)] {
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
        written.map_err(|error| refused(path, error))?;
    }
    print(&format!("key {}: secret in `{}`, without a password", key.id(), options.file.display()))?;
    print(&format!("[packs.trust.keys]\npublisher = \"{}\"", key.public_line()))
}
