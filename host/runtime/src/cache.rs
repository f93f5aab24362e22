//! Compiled code on disk, in the agent's own data folder.
//!
//! Compiled code runs outside of the sandbox's checks, so a file is loaded only if its
//! authentication code is correct: keyed BLAKE3 over artifact digest, engine hash and code, with a
//! random key in the same folder, readable only by the agent's user. A `.cwasm` from another origin
//! does not have it.
//!
//! File `<digest>-<engine hash>.cwasm`: the code, then 32 bytes of authentication code. The code is
//! memory-mapped, so code that never runs takes no memory. A file is never changed, only replaced
//! by rename, so a mapping stays as it was authenticated; a process that could write to it could
//! read the key as well.

use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use wasmtime::Engine;
use wasmtime::component::Component;
use wattle_plan::ArtifactLimits;

const KEY_BYTES: usize = blake3::KEY_LEN;
const CODE_BYTES: usize = blake3::OUT_LEN;

pub(crate) struct Cache {
    dir: PathBuf,
    key: [u8; KEY_BYTES],
}

impl Cache {
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let path = dir.join("key");
        let mut key = [0; KEY_BYTES];
        match File::open(&path).and_then(|mut file| file.read_exact(&mut key)) {
            Ok(()) => {
                // A key that other users can read or write authenticates nothing.
                if fs::metadata(&path)?.permissions().mode() & 0o077 == 0 {
                    return Ok(Self { dir: dir.into(), key });
                }
                tracing::warn!(path = %path.display(), "the key of the compile cache was accessible to other users; creating a new key");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, path = %path.display(), "cannot use the key of the compile cache"),
        }
        getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
        let temporary = dir.join(format!("key.{}", std::process::id()));
        let _ = fs::remove_file(&temporary);
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?.write_all(&key)?;
        fs::rename(&temporary, &path)?;
        Ok(Self { dir: dir.into(), key })
    }

    /// Loads the compiled component for this engine, if it is in the cache and authentic.
    pub(crate) fn load(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.path(engine, digest);
        match self.is_authentic(&path, engine, digest) {
            Ok(true) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Ok(false) => {
                tracing::warn!(path = %path.display(), "cached code is not authentic; compiling again");
                return None;
            }
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "cannot read cached code; compiling again");
                return None;
            }
        }
        // SAFETY: the file holds what `Component::serialize` gave to this agent for this engine:
        // only this agent has the key that authenticates it, and it never writes to a file that has
        // its name already.
        #[expect(unsafe_code, reason = "the only way to load precompiled code")]
        let component = unsafe { Component::deserialize_file(engine, &path) };
        component.inspect_err(|error| tracing::warn!(%error, "cannot load cached code; compiling again")).ok()
    }

    /// Returns why the compiler gave up on an artifact under limits no lower than these, and the
    /// file that records it.
    pub(crate) fn refused(&self, engine: &Engine, digest: &str, limits: &ArtifactLimits) -> Option<(String, PathBuf)> {
        let path = self.refusal(engine, digest);
        let text = fs::read_to_string(&path).ok()?;
        let mut lines = text.lines();
        let bytes = lines.next()?.parse::<u64>().ok()?;
        let nanos = lines.next()?.parse::<u128>().ok()?;
        let reason = lines.next()?.to_owned();
        // With higher limits than at that time, compiling may succeed.
        let is_same = bytes >= limits.max_compile_bytes && nanos >= limits.max_compile_time.as_nanos();
        is_same.then_some((reason, path))
    }

    /// Records why the compiler gave up on an artifact, for the next start.
    pub(crate) fn refuse(&self, engine: &Engine, digest: &str, limits: &ArtifactLimits, reason: &str) {
        let path = self.refusal(engine, digest);
        let text = format!("{}\n{}\n{reason}\n", limits.max_compile_bytes, limits.max_compile_time.as_nanos());
        let temporary = path.with_extension(format!("tmp{}", std::process::id()));
        if let Err(error) = fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, &path)) {
            tracing::warn!(%error, path = %path.display(), "cannot record that the compiler gave up on an artifact");
        }
    }

    fn refusal(&self, engine: &Engine, digest: &str) -> PathBuf {
        self.path(engine, digest).with_extension("refused")
    }

    /// Stores a compiled component. Logs an error: the next start compiles again.
    pub(crate) fn store(&self, engine: &Engine, digest: &str, component: &Component) {
        let path = self.path(engine, digest);
        let write = || -> Result<(), wasmtime::Error> {
            let compiled = component.serialize()?;
            let mut mac = self.mac(engine, digest);
            mac.update(&compiled);
            let temporary = path.with_extension(format!("tmp{}", std::process::id()));
            let _ = fs::remove_file(&temporary);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(&compiled)?;
            file.write_all(mac.finalize().as_bytes())?;
            fs::rename(&temporary, &path)?;
            Ok(())
        };
        if let Err(error) = write() {
            tracing::warn!(%error, path = %path.display(), "cannot store compiled code");
        }
    }

    /// Stores a compiled component unless it is in the cache already.
    pub(crate) fn keep(&self, engine: &Engine, digest: &str, component: &Component) {
        if !self.path(engine, digest).exists() {
            self.store(engine, digest, component);
        }
    }

    /// Removes the entry for this engine.
    pub(crate) fn remove(&self, engine: &Engine, digest: &str) {
        let _ = fs::remove_file(self.path(engine, digest));
    }

    fn path(&self, engine: &Engine, digest: &str) -> PathBuf {
        let digest = digest.trim_start_matches("sha256:");
        self.dir.join(format!("{digest}-{:016x}.cwasm", engine_hash(engine)))
    }

    fn is_authentic(&self, path: &Path, engine: &Engine, digest: &str) -> io::Result<bool> {
        let mut file = File::open(path)?;
        let Some(length) = file.metadata()?.len().checked_sub(CODE_BYTES as u64) else { return Ok(false) };
        let mut mac = self.mac(engine, digest);
        mac.update_reader((&file).take(length))?;
        let mut code = [0; CODE_BYTES];
        file.read_exact(&mut code)?;
        // `Hash` compares in constant time.
        Ok(mac.finalize() == blake3::Hash::from_bytes(code))
    }

    fn mac(&self, engine: &Engine, digest: &str) -> blake3::Hasher {
        let mut mac = blake3::Hasher::new_keyed(&self.key);
        mac.update(digest.as_bytes());
        mac.update(&engine_hash(engine).to_le_bytes());
        mac
    }
}

/// Loads code that this agent's own compiler process just wrote to its pipe.
pub(crate) fn load_compiled(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `Engine::precompile_component` produced the bytes in a process that this one started
    // from its own program, over a pipe that no other process has.
    #[expect(unsafe_code, reason = "the only way to load precompiled code")]
    unsafe {
        Component::deserialize(engine, code)
    }
}

fn engine_hash(engine: &Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}
