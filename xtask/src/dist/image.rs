//! The image for containers, as an OCI image layout in a tar, written without a daemon.
//!
//! Nothing but the agent, a configuration, names of users and the certificates of authorities is in it: no shell, no libc.
//! The certificates are Mozilla's, from the crate `webpki-root-certs`: `Cargo.lock` fixes them, while those of this machine
//! change with its packages. Layers are compressed with zstd, since gzip makes them a quarter larger; containerd 1.5,
//! Docker 23, Podman and CRI-O read it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use serde_json::{Value, json};

use super::hex_digest;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// User and group of the agent, as in the Helm chart.
const USER: u64 = 65532;
/// Level of zstd. Higher ones need more memory than some runtimes allow.
const LEVEL: i32 = 19;

/// A file or folder in a layer.
pub(crate) struct Entry<'a> {
    path: &'a str,
    mode: u32,
    owner: u64,
    /// `None` for a folder.
    content: Option<&'a [u8]>,
}

/// What all platforms share.
pub(crate) struct Image<'a> {
    pub(crate) version: &'a str,
    pub(crate) commit: &'a str,
    pub(crate) repository: &'a str,
    /// Unix time of all files in seconds.
    pub(crate) seconds: u64,
    /// The same time in the format of RFC 3339.
    pub(crate) time: &'a str,
    /// The configuration without one of the user.
    pub(crate) agent_toml: &'a [u8],
}

/// An image layout: its files by path.
#[derive(Default)]
pub(crate) struct Layout {
    files: BTreeMap<String, Vec<u8>>,
    platforms: Vec<Value>,
}

impl Layout {
    /// Adds the image for one architecture. Returns the size of its layers in bytes.
    pub(crate) fn add(&mut self, image: &Image<'_>, architecture: &str, binary: &[u8]) -> anyhow::Result<usize> {
        let authorities = authorities()?;
        let mut layers = Vec::new();
        let mut diffs = Vec::new();
        let mut size = 0;
        // The small layer changes rarely, and both platforms share it.
        for entries in [base(image, authorities.as_bytes()), agent(binary)] {
            let tar = tar(&entries, image.seconds)?;
            diffs.push(format!("sha256:{}", hex_digest(&tar)));
            let layer = zstd::bulk::compress(&tar, LEVEL)?;
            size += layer.len();
            layers.push(self.blob(LAYER, layer));
        }
        let labels = labels(image);
        let config = json!({
            "created": image.time,
            "architecture": architecture,
            "os": "linux",
            "config": {
                "User": format!("{USER}:{USER}"),
                "Env": [
                    "PATH=/usr/bin",
                    "WATTLE_CONFIG=/etc/wattle/agent.toml",
                    "WATTLE_DATA_DIR=/var/lib/wattle",
                    "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
                ],
                "Entrypoint": ["/usr/bin/wattle"],
                "Cmd": ["run"],
                "Volumes": { "/var/lib/wattle": {} },
                "WorkingDir": "/",
                "StopSignal": "SIGTERM",
                "Labels": labels,
                // Docker and Podman run it; times in nanoseconds.
                "Healthcheck": {
                    "Test": ["CMD", "/usr/bin/wattle", "status"],
                    "Interval": 30_000_000_000_u64, "Timeout": 5_000_000_000_u64,
                    "StartPeriod": 10_000_000_000_u64, "Retries": 3,
                },
            },
            "rootfs": { "type": "layers", "diff_ids": diffs },
            "history": [{ "created": image.time, "created_by": "cargo xtask dist" }, { "created": image.time, "created_by": "cargo xtask dist" }],
        });
        let config = self.blob(CONFIG, config.to_string().into_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, "annotations": labels,
        });
        let mut manifest = self.blob(MANIFEST, manifest.to_string().into_bytes());
        manifest["platform"] = json!({ "architecture": architecture, "os": "linux" });
        self.platforms.push(manifest);
        Ok(size)
    }

    /// The layout in a tar.
    pub(crate) fn finish(mut self, image: &Image<'_>) -> anyhow::Result<Vec<u8>> {
        let index = json!({
            "schemaVersion": 2, "mediaType": INDEX, "manifests": self.platforms, "annotations": labels(image),
        });
        let mut index = self.blob(INDEX, index.to_string().into_bytes());
        index["annotations"] = json!({ "org.opencontainers.image.ref.name": image.version });
        let top = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [index] });
        self.files.insert("index.json".to_owned(), top.to_string().into_bytes());
        self.files.insert("oci-layout".to_owned(), json!({ "imageLayoutVersion": "1.0.0" }).to_string().into_bytes());
        let entries: Vec<Entry<'_>> = self.files.iter().map(|(path, bytes)| Entry::file(path, 0o644, bytes)).collect();
        tar(&entries, image.seconds)
    }

    /// Adds bytes by their digest. Returns their descriptor.
    fn blob(&mut self, kind: &str, bytes: Vec<u8>) -> Value {
        let (digest, size) = (hex_digest(&bytes), bytes.len());
        self.files.insert(format!("blobs/sha256/{digest}"), bytes);
        json!({ "mediaType": kind, "digest": format!("sha256:{digest}"), "size": size })
    }
}

impl<'a> Entry<'a> {
    fn file(path: &'a str, mode: u32, content: &'a [u8]) -> Self {
        Self { path, mode, owner: 0, content: Some(content) }
    }

    fn folder(path: &'a str, mode: u32, owner: u64) -> Self {
        Self { path, mode, owner, content: None }
    }
}

/// The layer below the agent.
fn base<'a>(image: &Image<'a>, authorities: &'a [u8]) -> Vec<Entry<'a>> {
    const PASSWD: &[u8] =
        b"root:x:0:0:root:/:/sbin/nologin\nwattle:x:65532:65532:wattle:/var/lib/wattle:/sbin/nologin\n";
    const GROUP: &[u8] = b"root:x:0:\nwattle:x:65532:\n";
    vec![
        // A runtime mounts what belongs there, also if it cannot add folders.
        Entry::folder("dev/", 0o755, 0),
        Entry::folder("etc/", 0o755, 0),
        Entry::file("etc/group", 0o644, GROUP),
        Entry::file("etc/passwd", 0o644, PASSWD),
        Entry::folder("etc/ssl/", 0o755, 0),
        Entry::folder("etc/ssl/certs/", 0o755, 0),
        Entry::file("etc/ssl/certs/ca-certificates.crt", 0o644, authorities),
        Entry::folder("etc/wattle/", 0o755, 0),
        Entry::file("etc/wattle/agent.toml", 0o644, image.agent_toml),
        Entry::folder("proc/", 0o555, 0),
        Entry::folder("run/", 0o755, 0),
        Entry::folder("run/wattle/", 0o700, USER),
        Entry::folder("sys/", 0o555, 0),
        Entry::folder("tmp/", 0o1777, 0),
        Entry::folder("usr/", 0o755, 0),
        Entry::folder("usr/bin/", 0o755, 0),
        Entry::folder("var/", 0o755, 0),
        Entry::folder("var/lib/", 0o755, 0),
        Entry::folder("var/lib/wattle/", 0o700, USER),
    ]
}

fn agent(binary: &[u8]) -> Vec<Entry<'_>> {
    vec![
        Entry::folder("usr/", 0o755, 0),
        Entry::folder("usr/bin/", 0o755, 0),
        Entry::file("usr/bin/wattle", 0o755, binary),
    ]
}

fn labels(image: &Image<'_>) -> Value {
    json!({
        "org.opencontainers.image.title": "wattle",
        "org.opencontainers.image.description": "Telemetry agent whose pipeline nodes are sandboxed WebAssembly components",
        "org.opencontainers.image.version": image.version,
        "org.opencontainers.image.revision": image.commit,
        "org.opencontainers.image.created": image.time,
        "org.opencontainers.image.source": image.repository,
        "org.opencontainers.image.licenses": "Apache-2.0",
    })
}

/// A tar with these entries in this order.
fn tar(entries: &[Entry<'_>], seconds: u64) -> anyhow::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let content = entry.content.unwrap_or_default();
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(if entry.content.is_some() {
            tar::EntryType::Regular
        } else {
            tar::EntryType::Directory
        });
        header.set_mode(entry.mode);
        header.set_uid(entry.owner);
        header.set_gid(entry.owner);
        header.set_mtime(seconds);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, entry.path, content)?;
    }
    Ok(builder.into_inner()?)
}

/// The certificates of all authorities in PEM.
fn authorities() -> anyhow::Result<String> {
    let mut pem = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        let text = base64::engine::general_purpose::STANDARD.encode(certificate);
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in text.as_bytes().chunks(64) {
            writeln!(pem, "{}", std::str::from_utf8(line)?)?;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    Ok(pem)
}

#[cfg(test)]
mod tests;
