//! Validates a pack and then installs it, so that a library holds only valid packs.

use std::path::Path;

use wattle_diagnostics::Findings;
use wattle_pack::{InstallError, Installed, Library, find_named};

use crate::outline::outline;

/// Copies a pack into a library folder as `<name>/<version>`; [`crate::load_pack`] describes
/// `reference`.
///
/// # Errors
///
/// The manifest of the pack is invalid, or [`wattle_pack::install`] fails.
pub fn install(reference: &str, library: &Library, folder: &Path) -> Result<Installed, InstallError> {
    let outline = outline(reference, library)?;
    let mut findings = Findings::default();
    let (found, _) = find_named(reference, library, &mut findings);
    let (files, _, _) = findings.finish(found.map(|found| found.files))?;
    wattle_pack::install(&files, &outline.files, &outline.name, &outline.version, folder)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use wattle_pack::FileList;
    use wattle_pack::{BuiltinPack, remove};

    const MANIFEST: &str = "[pack]\nname = \"p\"\nversion = \"1.0.0\"\ncontract = \"0.1\"\n";

    fn pack(folder: &Path, extra: &str) {
        fs::create_dir_all(folder.join("tests/a")).unwrap();
        fs::create_dir_all(folder.join(".git")).unwrap();
        fs::write(folder.join("pack.toml"), MANIFEST).unwrap();
        fs::write(folder.join("tests/a/input.txt"), extra).unwrap();
        fs::write(folder.join("pack.sum.minisig"), "signature").unwrap();
        fs::write(folder.join(".git/HEAD"), "x").unwrap();
    }

    #[test]
    fn installs_a_pack_completely_and_only_once() {
        let place = tempfile::tempdir().unwrap();
        let (from, library) = (place.path().join("from"), place.path().join("library"));
        pack(&from, "1");
        let from = from.to_str().unwrap();
        let first = install(from, &Library::default(), &library).unwrap();
        assert!(first.is_new);
        assert_eq!((first.id.as_str(), &first.folder), ("p@1.0.0", &library.join("p/1.0.0")));
        assert_eq!(FileList::of_folder(&first.folder).unwrap().digest(), first.digest);
        assert_eq!(fs::read_to_string(first.folder.join("pack.sum.minisig")).unwrap(), "signature");
        assert!(!first.folder.join(".git").exists());
        let names: Vec<_> = fs::read_dir(library.join("p")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["1.0.0"], "no temporary folder is left");
        let again = install(from, &Library::default(), &library).unwrap();
        assert_eq!(again, Installed { is_new: false, ..first });
        let found: Vec<_> = Library::default().with_folder(&library).list().into_iter().map(|p| p.version).collect();
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn refuses_other_content_under_the_same_version_and_keeps_the_installed_pack() {
        let place = tempfile::tempdir().unwrap();
        let (from, library) = (place.path().join("from"), place.path().join("library"));
        pack(&from, "1");
        let first = install(from.to_str().unwrap(), &Library::default(), &library).unwrap();
        pack(&from, "2");
        let refused = install(from.to_str().unwrap(), &Library::default(), &library);
        assert!(matches!(refused, Err(InstallError::Different { .. })), "{refused:?}");
        assert_eq!(FileList::of_folder(&first.folder).unwrap().digest(), first.digest);
    }

    #[test]
    fn a_built_in_pack_can_be_installed_and_removed() {
        let place = tempfile::tempdir().unwrap();
        let files = vec![("pack.toml".to_owned(), MANIFEST.as_bytes()), ("a/b".to_owned(), b"c".as_slice())];
        let builtin = BuiltinPack { name: "p".into(), version: "1.0.0".into(), files };
        let digest = builtin.file_list().unwrap().digest();
        let installed = install("p@1.0.0", &Library::new(vec![builtin]), place.path()).unwrap();
        assert_eq!(installed.digest, digest);
        assert_eq!(remove(place.path(), "p", "1.0.0").unwrap(), place.path().join("p/1.0.0"));
        assert!(!place.path().join("p").exists());
        assert!(matches!(remove(place.path(), "p", "1.0.0"), Err(InstallError::Io { .. })));
    }

    #[test]
    fn refuses_a_folder_that_is_not_a_pack() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("pack.toml"), "[pack]\nname = \"P\"\n").unwrap();
        let library = place.path().join("library");
        let refused = install(place.path().to_str().unwrap(), &Library::default(), &library);
        assert!(matches!(refused, Err(InstallError::Invalid(_))), "{refused:?}");
        assert!(!library.exists());
    }
}
