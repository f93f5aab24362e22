//! Globs of `include` and `exclude` as absolute paths.

/// Returns an absolute glob; a relative one starts in the current folder.
pub(super) fn absolute_glob(glob: &str) -> String {
    let glob = glob.strip_prefix("./").unwrap_or(glob);
    match std::env::current_dir() {
        Ok(folder) if !glob.starts_with('/') => {
            format!("{}/{glob}", globset::escape(&folder.to_string_lossy()).trim_end_matches('/'))
        }
        _ => glob.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_globs_start_in_the_current_folder() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute_glob("a/*.log"), format!("{}/a/*.log", here.display()));
        assert_eq!(absolute_glob("./a"), format!("{}/a", here.display()));
        assert_eq!(absolute_glob("/a"), "/a");
    }
}
