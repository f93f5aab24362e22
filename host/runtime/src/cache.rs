//! Compiled code on disk, in the agent's own data folder.
//!
//! Compiled code runs outside of the sandbox's checks, so a file is loaded only if its authentication code is right:
//! HMAC-SHA-256 over artifact digest, engine hash and code, with a random key that lies in the same folder, readable by
//! the agent's user alone. A `.cwasm` that somebody brings along does not have it.
//!
//! File `<digest>-<engine hash>.cwasm`: 32 bytes of authentication code, then the code.

use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use wasmtime::Engine;
use wasmtime::component::Component;

/// The block size of SHA-256, so that the key is used as it is.
const KEY_BYTES: usize = 64;
const CODE_BYTES: usize = 32;

pub(crate) struct Cache {
    dir: PathBuf,
    key: [u8; KEY_BYTES],
}

impl Cache {
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let path = dir.join("key");
        let mut key = [0; KEY_BYTES];
        match File::open(&path).and_then(|mut file| file.read_exact(&mut key)) {
            Ok(()) => {
                // A key that others can read or write authenticates nothing.
                if fs::metadata(&path)?.permissions().mode() & 0o077 == 0 {
                    return Ok(Self { dir: dir.into(), key });
                }
                tracing::warn!(path = %path.display(), "key of the compile cache was open to others; a new one is made");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, path = %path.display(), "key of the compile cache is unusable"),
        }
        File::open("/dev/urandom")?.read_exact(&mut key)?;
        let temporary = dir.join(format!("key.{}", std::process::id()));
        let _ = fs::remove_file(&temporary);
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?.write_all(&key)?;
        fs::rename(&temporary, &path)?;
        Ok(Self { dir: dir.into(), key })
    }

    /// The compiled component, if there is one for this engine and it is authentic.
    pub(crate) fn load(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.path(engine, digest);
        let bytes = fs::read(&path).ok()?;
        let authentic = bytes
            .split_at_checked(CODE_BYTES)
            .filter(|(code, compiled)| self.mac(engine, digest, compiled).verify_slice(code).is_ok());
        let Some((_, compiled)) = authentic else {
            tracing::warn!(path = %path.display(), "cached code is not authentic; it is compiled again");
            return None;
        };
        // SAFETY: the bytes are what `Component::serialize` gave to this agent for this engine: only this agent has the
        // key that authenticates them.
        #[expect(unsafe_code, reason = "the only way to load precompiled code")]
        let component = unsafe { Component::deserialize(engine, compiled) };
        component.inspect_err(|error| tracing::warn!(%error, "cached code does not load; it is compiled again")).ok()
    }

    /// Keeps a compiled component. Failing to is logged: the next start compiles again.
    pub(crate) fn store(&self, engine: &Engine, digest: &str, component: &Component) {
        let path = self.path(engine, digest);
        let write = || -> Result<(), wasmtime::Error> {
            let compiled = component.serialize()?;
            let code = self.mac(engine, digest, &compiled).finalize().into_bytes();
            let temporary = path.with_extension(format!("tmp{}", std::process::id()));
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(&code)?;
            file.write_all(&compiled)?;
            fs::rename(&temporary, &path)?;
            Ok(())
        };
        if let Err(error) = write() {
            tracing::warn!(%error, path = %path.display(), "compiled code is not kept");
        }
    }

    fn path(&self, engine: &Engine, digest: &str) -> PathBuf {
        let digest = digest.trim_start_matches("sha256:");
        self.dir.join(format!("{digest}-{:016x}.cwasm", engine_hash(engine)))
    }

    fn mac(&self, engine: &Engine, digest: &str, compiled: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new(&self.key.into());
        mac.update(digest.as_bytes());
        mac.update(&engine_hash(engine).to_le_bytes());
        mac.update(compiled);
        mac
    }
}

fn engine_hash(engine: &Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}
