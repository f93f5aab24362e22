//! Layers from other tools: everything except regular files in the canonical form is refused with a
//! reason.

use std::io::Write as _;

use flate2::write::GzEncoder;
use sha2::Digest as _;
use tar::{Builder, EntryType, Header};
use wattle_registry::files::{self, Files};
use wattle_registry::image::{ARTIFACT, CONFIG, Image, LAYER, MANIFEST};

/// Builds an entry from raw fields, without the checks of a tar writer.
fn entry(path: &str, kind: EntryType, link: &str, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    let raw = header.as_mut_bytes();
    raw[..path.len()].copy_from_slice(path.as_bytes());
    raw[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(path: &str) -> Vec<u8> {
    entry(path, EntryType::Regular, "", b"x")
}

fn end(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend([0; 1024]);
    bytes
}

#[track_caller]
fn refused(tar: Vec<u8>, reason: &str) {
    let error = files::from_tar(&tar).unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
}

#[test]
fn links_and_special_files_are_refused() {
    for (kind, name) in [
        (EntryType::Symlink, "a symbolic link"),
        (EntryType::Link, "a hard link"),
        (EntryType::Directory, "a folder entry"),
        (EntryType::Char, "a device"),
        (EntryType::Block, "a device"),
        (EntryType::Fifo, "a pipe"),
        (EntryType::Continuous, "unknown type"),
        (EntryType::XGlobalHeader, "extended header"),
        (EntryType::new(b'Z'), "unknown type"),
    ] {
        let bad = entry("evil", kind, "/etc/passwd", b"");
        refused(end([file("a"), bad].concat()), name);
    }
}

#[test]
fn paths_outside_of_the_folder_are_refused() {
    for path in ["/etc/passwd", "../x", "a/../../x", "a/..", "./a", "a//b", "a\\b", "a\nb", "..", ".", "a/"] {
        refused(end(file(path)), "bad path");
    }
    refused(end(entry("a\u{0}b", EntryType::Regular, "", b"x")), "not in the form");
    let mut raw = Vec::new();
    raw.extend(file("a"));
    raw[0] = 0xff;
    let mut header = Header::from_byte_slice(&raw[..512]).clone();
    header.set_cksum();
    raw[..512].copy_from_slice(header.as_bytes());
    refused(end(raw), "bad path");
}

#[test]
fn repeated_paths_are_refused_ignoring_case() {
    refused(end([file("a"), file("a")].concat()), "the same file");
    refused(end([file("README.md"), file("readme.md")].concat()), "the same file");
    refused(end([file("a"), file("a/b")].concat()), "the same file");
    refused(end([file("a/x"), file("A/y")].concat()), "the same file");
    refused(end([file("\u{c9}"), file("\u{e9}")].concat()), "the same file");
}

#[test]
fn every_other_form_is_refused() {
    let good = end([file("a"), file("b")].concat());
    assert_eq!(files::from_tar(&good).unwrap().len(), 2);
    refused(end([file("b"), file("a")].concat()), "not in the form");
    let mut trailing = good.clone();
    trailing.extend(end(file("c")));
    refused(trailing, "not in the form");
    let mut padded = good.clone();
    padded[512 + 100] = b'!';
    refused(padded, "not in the form");
    for (offset, what) in [(100, "mode"), (108, "owner"), (136, "time")] {
        let mut other = good.clone();
        other[offset + 6] = b'1';
        let mut header = Header::from_byte_slice(&other[..512]).clone();
        header.set_cksum();
        other[..512].copy_from_slice(header.as_bytes());
        let error = files::from_tar(&other).unwrap_err().to_string();
        assert!(error.contains("not in the form"), "{what}: {error}");
    }
    // A long-name extension for a name that is short enough.
    let mut extended = Builder::new(Vec::new());
    extended.append_pax_extensions([("path", b"a".as_slice())]).unwrap();
    let mut bytes = extended.into_inner().unwrap();
    bytes.truncate(1024);
    refused(end([bytes, file("b")].concat()), "not in the form");
}

#[test]
fn sizes_and_counts_are_limited() {
    let many: Vec<u8> = (0..=files::MAX_FILES).flat_map(|n| file(&format!("{n:05}"))).collect();
    refused(end(many), "4,096 files");
    let mut large = Header::new_gnu();
    large.set_entry_type(EntryType::Regular);
    large.set_path("a").unwrap();
    large.set_size(files::MAX_BYTES + 1);
    large.set_cksum();
    refused(end(large.as_bytes().to_vec()), "256 MiB");
    let long = Files::from([(["a"; 121].join("/"), Vec::new())]);
    assert!(Image::pack(&long, "a", "1.0.0", "0.1").unwrap_err().to_string().contains("bad path"));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An image with this layer and valid digests.
fn with_layer(layer: Vec<u8>) -> Image {
    let digest = |bytes: &[u8]| {
        let hex: String = sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{hex}")
    };
    let config = format!(
        r#"{{"name":"a","version":"1.0.0","contract":"0.1","digest":"{}"}}"#,
        digest(b"whatever the files are")
    );
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","artifactType":"{ARTIFACT}",
        "config":{{"mediaType":"{CONFIG}","digest":"{}","size":{}}},
        "layers":[{{"mediaType":"{LAYER}","digest":"{}","size":{}}}]}}"#,
        digest(config.as_bytes()),
        config.len(),
        digest(&layer),
        layer.len()
    );
    Image::of_parts(manifest.into_bytes(), config.into_bytes(), layer).unwrap()
}

#[test]
fn decompression_bombs_are_refused() {
    let bomb = gzip(&vec![0; 64 << 20]);
    assert!(bomb.len() < 100 << 10);
    let error = with_layer(bomb).unpack().unwrap_err().to_string();
    assert!(error.contains("unpacks to more than"), "{error}");
}

#[test]
fn layers_with_data_after_their_end_are_refused() {
    let mut layer = gzip(&end(file("a")));
    layer.extend(gzip(b"more"));
    let error = with_layer(layer).unpack().unwrap_err().to_string();
    assert!(error.contains("after its end"), "{error}");
}

#[test]
fn files_that_do_not_match_the_configuration_are_refused() {
    let error = with_layer(gzip(&end(file("a")))).unpack().unwrap_err().to_string();
    assert!(error.contains("list of the files") && error.contains("is expected"), "{error}");
}
