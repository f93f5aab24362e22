//! The layout is read as a runtime reads it: by digests, from `index.json` down to the files of the layers.

use std::io::Read as _;

use super::*;

const IMAGE: Image<'_> = Image {
    version: "1.2.3",
    commit: "c0ffee",
    repository: "https://git.example/wattle",
    seconds: 1_700_000_000,
    time: "2023-11-14T22:13:20Z",
    agent_toml: b"[admin]\n",
};

fn layout() -> Vec<u8> {
    let mut layout = Layout::default();
    assert!(layout.add(&IMAGE, "amd64", b"first binary").unwrap() > 100_000, "the certificates alone are larger");
    layout.add(&IMAGE, "arm64", b"second binary").unwrap();
    layout.finish(&IMAGE).unwrap()
}

/// Path, mode, owner and content of each entry.
fn entries(tar: &[u8]) -> BTreeMap<String, (u32, u64, Vec<u8>)> {
    let mut archive = tar::Archive::new(tar);
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        assert_eq!(entry.header().mtime().unwrap(), IMAGE.seconds);
        let path = entry.path().unwrap().display().to_string();
        (path, (entry.header().mode().unwrap(), entry.header().uid().unwrap(), content))
    };
    archive.entries().unwrap().map(read).collect()
}

fn blob(files: &BTreeMap<String, (u32, u64, Vec<u8>)>, descriptor: &Value) -> Vec<u8> {
    let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let (_, _, bytes) = &files[&format!("blobs/sha256/{digest}")];
    assert_eq!(hex_digest(bytes), digest);
    assert_eq!(descriptor["size"], bytes.len());
    bytes.clone()
}

fn document(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn every_platform_leads_to_its_binary() {
    let files = entries(&layout());
    assert_eq!(document(&files["oci-layout"].2)["imageLayoutVersion"], "1.0.0");
    let top = document(&files["index.json"].2);
    assert_eq!(top["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "1.2.3");
    let index = document(&blob(&files, &top["manifests"][0]));
    for (place, architecture, binary) in [(0, "amd64", &b"first binary"[..]), (1, "arm64", b"second binary")] {
        let platform = &index["manifests"][place];
        assert_eq!(platform["platform"]["architecture"], architecture);
        let manifest = document(&blob(&files, platform));
        let config = document(&blob(&files, &manifest["config"]));
        assert_eq!(config["architecture"], architecture);
        let mut all = BTreeMap::new();
        for (layer, diff) in
            manifest["layers"].as_array().unwrap().iter().zip(config["rootfs"]["diff_ids"].as_array().unwrap())
        {
            let tar = zstd::decode_all(&blob(&files, layer)[..]).unwrap();
            assert_eq!(format!("sha256:{}", hex_digest(&tar)), diff.as_str().unwrap());
            all.extend(entries(&tar));
        }
        assert_eq!(all["usr/bin/wattle"], (0o755, 0, binary.to_vec()));
        assert_eq!((all["var/lib/wattle/"].0, all["var/lib/wattle/"].1), (0o700, 65532), "the agent writes there");
        let pem = String::from_utf8(all["etc/ssl/certs/ca-certificates.crt"].2.clone()).unwrap();
        assert!(pem.matches("-----BEGIN CERTIFICATE-----\nMII").count() > 100);
        assert!(!all.keys().any(|path| path.contains("bin/sh")));
    }
}

#[test]
fn the_agent_runs_as_another_user_than_root_and_answers_for_its_health() {
    let files = entries(&layout());
    let index = document(&blob(&files, &document(&files["index.json"].2)["manifests"][0]));
    let manifest = document(&blob(&files, &index["manifests"][0]));
    let config = document(&blob(&files, &manifest["config"]));
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Healthcheck"]["Test"], json!(["CMD", "/usr/bin/wattle", "status"]));
    assert_eq!(config["config"]["Labels"]["org.opencontainers.image.revision"], "c0ffee");
}

#[test]
fn the_same_files_give_the_same_layout() {
    assert!(layout() == layout());
}

#[test]
fn both_platforms_share_the_layer_below_the_agent() {
    let names = entries(&layout()).keys().filter(|path| path.starts_with("blobs/")).count();
    assert_eq!(names, 2 + 2 + 1 + 2 + 1, "manifests, configurations, the index, two binaries, the shared layer");
}
