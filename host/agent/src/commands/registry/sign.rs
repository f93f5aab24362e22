//! `wattle pack sign`: signs the list of the files of a pack.

use wattle_pack::SIGNATURE_FILE;
use wattle_pack::digest::LIST_FILE;
use wattle_registry::files;
use wattle_registry::head::Head;
use wattle_registry::sign::SecretKey;

use super::{read_folder, refused};
use crate::cli::registry::SignOptions;
use crate::exit::{Done, Failure, print};
use wattle_supervisor::environment;

pub(crate) fn sign(options: &SignOptions) -> Done {
    let secret = match (&options.key, environment("WATTLE_SIGN_KEY")) {
        (Some(path), _) => std::fs::read_to_string(path).map_err(|error| refused(path, error))?,
        (None, Some(secret)) => secret,
        (None, None) => {
            return Err(Failure::new("no key; give `--key FILE`, or set WATTLE_SIGN_KEY to the key itself"));
        }
    };
    let key = SecretKey::parse(&secret)?;
    let folder = &options.folder;
    let pack = read_folder(folder)?;
    let head = Head::of_files(&pack).map_err(|error| refused(folder, error))?;
    let list = files::list(&pack).map_err(|error| refused(folder, error))?;
    let text = list.text();
    let signature = key.sign(&text, &format!("{}@{}", head.name, head.version));
    for (name, content) in [(LIST_FILE, &text), (SIGNATURE_FILE, &signature)] {
        let path = folder.join(name);
        // An agent that watches the pack must never read a part of a signature.
        let temporary = folder.join(format!(".{name}.tmp"));
        std::fs::write(&temporary, content).map_err(|error| refused(&temporary, error))?;
        std::fs::rename(&temporary, &path).map_err(|error| refused(&path, error))?;
    }
    print(&format!("signed {}@{}, {} files, with the key {}", head.name, head.version, list.len(), key.id()))?;
    print(&list.digest())
}
