//! Compares names of logs before and after rotation.

use std::path::Path;

/// Suffixes that rotation and operators add to a name.
const ENDINGS: [&str; 10] = ["gz", "zst", "z", "old", "bak", "orig", "save", "copy", "prev", "rotated"];

/// Returns the name without suffixes of rotation: `app.log` for `app.log.1`, `app.log.2.gz`,
/// `app.log-20260101` and `app-20260101.log`.
pub(super) fn base(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut name: &str = &name;
    loop {
        let shorter = without_ending(name).map_or_else(|| without_number(name), Some);
        match shorter {
            Some(shorter) if !shorter.is_empty() => name = shorter,
            _ => break,
        }
    }
    match name.rsplit_once('.') {
        // Dates before the extension, as with the option `extension` of logrotate.
        Some((stem, ending)) if !stem.is_empty() => {
            let mut stem = stem;
            while let Some(shorter) = without_number(stem).filter(|shorter| !shorter.is_empty()) {
                stem = shorter;
            }
            format!("{stem}.{ending}")
        }
        _ => name.to_owned(),
    }
}

fn without_ending(name: &str) -> Option<&str> {
    let (stem, ending) = name.rsplit_once(['.', '-', '_'])?;
    ENDINGS.contains(&ending.to_ascii_lowercase().as_str()).then_some(stem)
}

fn without_number(name: &str) -> Option<&str> {
    let (stem, number) = name.rsplit_once(['.', '-', '_'])?;
    let is_number = number.chars().any(|c| c.is_ascii_digit())
        && number.chars().all(|c| c.is_ascii_digit() || matches!(c, 'T' | 'Z' | ':' | '+'));
    is_number.then_some(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_names_have_the_base_of_the_original_name() {
        for (name, expected) in [
            ("app.log", "app.log"),
            ("app.log.1", "app.log"),
            ("app.log.2.gz", "app.log"),
            ("app.log-20260101", "app.log"),
            ("app.log-20260101-1767225600.zst", "app.log"),
            ("app-2026-01-01T10:00:00Z.log", "app.log"),
            ("app.log.old", "app.log"),
            ("app", "app"),
            ("1", "1"),
            (".1", ".1"),
            ("777.log", "777.log"),
            ("messages-20260101", "messages"),
            ("other.log", "other.log"),
        ] {
            assert_eq!(base(Path::new("/var/log").join(name).as_path()), expected, "{name}");
        }
    }
}
