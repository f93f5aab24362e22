//! Files with credentials: bounded reads that do not block the runtime.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use reqsign_core::{Context, Env, FileRead};

/// Maximum bytes of a file.
const MAX_BYTES: u64 = 1 << 20;

/// The path with `~/` replaced by the home folder.
pub(crate) fn expand(path: &str, env: &dyn Env) -> PathBuf {
    match (path.strip_prefix("~/"), env.home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

/// Reads a file.
///
/// # Errors
///
/// It cannot be read, or is larger than 1 MiB.
pub(crate) async fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let path = path.to_owned();
    let read = move || {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(std::io::Error::other("it has more than 1 MiB"));
        }
        Ok(bytes)
    };
    tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other)?
}

/// Reads files for the providers of `reqsign`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> reqsign_core::Result<Vec<u8>> {
        Ok(read(Path::new(path)).await?)
    }
}

/// Builds the context of the providers of `reqsign`.
pub(crate) fn context(env: impl Env, http: impl reqsign_core::HttpSend) -> Context {
    Context::new().with_env(env).with_file_read(Files).with_http_send(http)
}
