//! Registries for tests: Debian's `docker-registry` on loopback, and one that lies, stalls and cuts
//! connections.

mod fake;

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::{free_address, get, wait_until};

pub use fake::{FakeRegistry, Manner};

/// Debian's `docker-registry`, started by the test on a free port of loopback.
#[derive(Debug)]
pub struct DockerRegistry {
    address: SocketAddr,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Default for DockerRegistry {
    fn default() -> Self {
        Self::start()
    }
}

impl DockerRegistry {
    /// Starts an empty registry.
    ///
    /// # Panics
    ///
    /// The program is missing: nothing can be tested, and a skipped test would look like one that
    /// passed.
    pub fn start() -> Self {
        Self::with("")
    }

    /// Starts a registry that accepts only the user `reader` with the password `secret`.
    ///
    /// # Panics
    ///
    /// As [`DockerRegistry::start`].
    pub fn start_with_password() -> Self {
        Self::with("reader:$2y$04$zl/2zIs9dDo3xocoBCXjU./B87DtOAB4IhkEaw2433r6nD2hwAnGa\n")
    }

    /// Starts a registry with these users, in the format of Apache's `htpasswd`; without users,
    /// everyone has full access.
    fn with(users: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("wattle-registry-").tempdir().unwrap();
        let address = free_address();
        let config = folder.path().join("config.yml");
        let root = folder.path().join("data").display().to_string();
        let text = format!(
            "version: 0.1\nlog: {{ level: error, accesslog: {{ disabled: true }} }}\n\
             storage: {{ filesystem: {{ rootdirectory: {root} }}, delete: {{ enabled: true }} }}\n\
             http: {{ addr: \"{address}\" }}\n"
        );
        let passwords = folder.path().join("htpasswd");
        fs::write(&passwords, users).unwrap();
        let auth = match users {
            "" => String::new(),
            _ => format!("auth: {{ htpasswd: {{ realm: here, path: {} }} }}\n", passwords.display()),
        };
        fs::write(&config, text + &auth).unwrap();
        let spawned = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = spawned.unwrap_or_else(|error| {
            panic!("`docker-registry` does not start ({error}); install it: apt-get install docker-registry")
        });
        let registry = Self { address, child, _folder: folder };
        wait_until("docker-registry answers", || {
            get(address, "/v2/").is_some_and(|answer| [200, 401].contains(&answer.status))
        });
        registry
    }

    /// Address and port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A reference to a repository with a tag or a digest, such as `packs/sample:1`.
    pub fn reference(&self, path: &str) -> String {
        format!("oci://{}/{path}", self.address)
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
