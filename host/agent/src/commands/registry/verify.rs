//! `wattle pack verify`: checks the signature of a pack and its files.

use std::path::Path;

use wattle_plan::{TrustPolicy, TrustedKey};
use wattle_registry::files;

use super::{distrusted, read, refused, settings};
use crate::cli::registry::VerifyOptions;
use crate::exit::{Done, Failure, print};

pub(crate) fn verify(options: &VerifyOptions) -> Done {
    let policy = match options.trusted.config.as_slice() {
        config @ [_, ..] => settings(config)?.trust,
        [] => {
            let keys = options.trusted.key.iter().map(|key| read_key(key).map(|read| (key.clone(), read)));
            TrustPolicy { keys: keys.collect::<Result<_, _>>()?, ..TrustPolicy::default() }
        }
    };
    let pack = read(&options.pack)?;
    let source = options.pack.display().to_string();
    let signer = wattle_pack::verify(&policy, &source, &pack).map_err(|problems| distrusted(&problems))?;
    let list = files::list(&pack).map_err(|error| refused(&options.pack, error))?;
    print(&format!("{source}: signed by `{}` with the key {}, {} files", signer.publisher, signer.key_id, list.len()))?;
    print(&list.digest())
}

/// A key, or the file that contains one.
fn read_key(text: &str) -> Result<TrustedKey, Failure> {
    if let Some(key) = TrustedKey::parse(text) {
        return Ok(key);
    }
    let path = Path::new(text);
    let content = std::fs::read_to_string(path).map_err(|error| refused(path, error))?;
    TrustedKey::parse(&content).ok_or_else(|| refused(path, "this is not a public key of minisign"))
}
