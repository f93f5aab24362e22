//! The memory of a pull: a few pieces, whatever an image unpacks to within its limits.

use std::fs;
use std::process::Stdio;

use wattle_registry::Image;
use wattle_registry::files::Files;
use wattle_tests::{FakeRegistry, Folder};

/// Peak resident memory of a process so far, in MiB.
fn peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib >> 10)
}

/// An image of 1.5 MB that unpacks to 120 MiB, within the allowed ratio.
#[test]
fn a_pull_holds_pieces_of_an_image_and_not_the_image() {
    let registry = FakeRegistry::start();
    let manifest = b"[pack]\nname = \"sample\"\nversion = \"1.0.0\"\ncontract = \"0.1\"\n".to_vec();
    let mut seed = 1_u64;
    let mut noise = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as u8
    };
    let noise: Vec<u8> = (0..1_400_000).map(|_| noise()).collect();
    let mut files = Files::from([("pack.toml".to_owned(), manifest), ("noise.bin".to_owned(), noise)]);
    files.extend((0..2).map(|number| (format!("zero{number}.bin"), vec![0; 60 << 20])));
    let image = Image::pack(&files, "sample", "1.0.0", "0.1").unwrap();
    assert!(image.layer().unwrap().len() < 2 << 20);
    registry.put("1", &image);
    let folder = Folder::new();
    let mut pull = folder.wattle();
    pull.args(["pack", "pull", &registry.reference("1"), "--library", "library"]);
    let mut child = pull.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut highest = 0;
    let code = loop {
        highest = peak(child.id()).unwrap_or_default().max(highest);
        match child.try_wait().unwrap() {
            Some(status) => break status.code(),
            None => std::thread::yield_now(),
        }
    };
    assert_eq!(code, Some(0));
    assert!(folder.path("library/sample/1.0.0/zero1.bin").is_file());
    assert!(highest < 64, "the pull took {highest} MiB");
}
