//! Changes and writes a lock.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use super::{FORMAT, FormerPin, Lock, Pin};
use wattle_plan::{PackUse, hex_digest};

/// Former pins that are kept for each reference.
const MAX_FORMER: usize = 10;

impl Lock {
    /// Pins the packs of a plan. If `names` is not empty, only packs with these names change.
    /// References that the plan does not use lose their pins. Replaced pins become former ones,
    /// with `now` as their end.
    pub fn pin_uses(&self, uses: &[PackUse], names: &[String], now: &str) -> Self {
        let mut new = Self { pins: Vec::new(), former: self.former.clone() };
        for used in uses {
            let pin = match self.pin(&used.reference) {
                Some(old) if !names.is_empty() && !names.contains(&used.name) => old.clone(),
                _ => Pin::from(used),
            };
            if !new.pins.iter().any(|known| known.reference == pin.reference) {
                new.pins.push(pin);
            }
        }
        new.pins.sort_by(|a, b| a.reference.cmp(&b.reference));
        for old in &self.pins {
            let same = |pin: &&Pin| pin.version == old.version && pin.digest == old.digest;
            if new.pin(&old.reference).filter(same).is_none() {
                new.former.push(FormerPin { pin: old.clone(), until: now.to_owned() });
            }
        }
        new.forget();
        new
    }

    /// Returns to the previous pins: for every reference to the pack, its latest former pin becomes
    /// current again. The replaced pins are forgotten; an upgrade finds those versions again.
    /// Returns each old and new pin.
    pub fn roll_back(&mut self, name: &str) -> Vec<(Pin, Pin)> {
        let mut changes = Vec::new();
        for pin in self.pins.iter_mut().filter(|pin| pin.name == name) {
            let last = self.former.iter().rposition(|former| former.pin.reference == pin.reference);
            if let Some(index) = last {
                let former = self.former.remove(index).pin;
                changes.push((std::mem::replace(pin, former.clone()), former));
            }
        }
        changes
    }

    /// Drops the oldest former pins beyond the limit.
    fn forget(&mut self) {
        let references: Vec<String> = self.former.iter().map(|former| former.pin.reference.clone()).collect();
        let mut index = 0;
        let newer = |index: usize| {
            let own = references.get(index);
            references.iter().skip(index + 1).filter(|reference| Some(*reference) == own).count()
        };
        self.former.retain(|_| {
            index += 1;
            newer(index - 1) < MAX_FORMER
        });
    }

    /// The lock as text.
    pub fn text(&self) -> String {
        let mut body = format!("format = {FORMAT}\n");
        for pin in &self.pins {
            body.push_str("\n[[pin]]\n");
            write_pin(&mut body, pin);
        }
        for former in &self.former {
            body.push_str("\n[[former]]\n");
            write_pin(&mut body, &former.pin);
            let _ = writeln!(body, "until = {}", quoted(&former.until));
        }
        format!(
            "# Written by `wattle pack upgrade`; keep it in version control beside the configuration.\n\
             checksum = \"{}\"\n{body}",
            hex_digest(body.as_bytes())
        )
    }

    /// Writes the lock atomically: at any instant the file is the old or the new one.
    ///
    /// # Errors
    ///
    /// The folder cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = path.with_file_name(name);
        let mut file = std::fs::File::create(&new)?;
        io::Write::write_all(&mut file, self.text().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    }
}

impl From<&PackUse> for Pin {
    fn from(used: &PackUse) -> Self {
        Self {
            reference: used.reference.clone(),
            name: used.name.clone(),
            version: used.version.clone(),
            source: used.source.clone(),
            digest: used.digest.clone(),
            artifacts: used.artifacts.clone(),
        }
    }
}

fn write_pin(text: &mut String, pin: &Pin) {
    let version = pin.version.to_string();
    for (key, value) in [
        ("reference", &pin.reference),
        ("name", &pin.name),
        ("version", &version),
        ("source", &pin.source),
        ("digest", &pin.digest),
    ] {
        let _ = writeln!(text, "{key} = {}", quoted(value));
    }
    let artifacts: Vec<String> =
        pin.artifacts.iter().map(|(path, digest)| format!("{} = {}", quoted(path), quoted(digest))).collect();
    if !artifacts.is_empty() {
        let _ = writeln!(text, "artifacts = {{ {} }}", artifacts.join(", "));
    }
}

/// Formats a TOML string. None of these strings has control characters, and JSON escapes all others
/// in the same way.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use semver::Version;

    use super::*;
    use crate::lock::LOCK_FILE;

    fn used(reference: &str, version: &str, digest: &str) -> PackUse {
        PackUse {
            reference: reference.into(),
            name: reference.split('@').next().unwrap().into(),
            version: Version::parse(version).unwrap(),
            source: "library".into(),
            digest: digest.into(),
            signature: String::new(),
            artifacts: BTreeMap::from([("nodes/a \"b\".wasm".into(), "sha256:1".into())]),
        }
    }

    fn upgraded(lock: &Lock, uses: &[PackUse], names: &[&str]) -> Lock {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        lock.pin_uses(uses, &names, "2026-01-02T03:04:05Z")
    }

    fn versions(lock: &Lock) -> Vec<(String, String)> {
        lock.pins.iter().map(|pin| (pin.reference.clone(), pin.version.to_string())).collect()
    }

    #[test]
    fn a_lock_reads_back_as_written_and_any_changed_byte_is_detected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOCK_FILE);
        assert_eq!(Lock::read(&path).unwrap(), None);
        let lock =
            upgraded(&Lock::default(), &[used("a@^1", "1.0.0", "sha256:x"), used("b", "2.0.0", "sha256:y")], &[]);
        let lock = upgraded(&lock, &[used("a@^1", "1.1.0", "sha256:z")], &[]);
        assert_eq!(lock.former.len(), 2);
        lock.write(&path).unwrap();
        assert_eq!(Lock::read(&path).unwrap(), Some(lock));
        let text = std::fs::read(&path).unwrap();
        let start = text.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for at in start..text.len() {
            let mut altered = text.clone();
            altered[at] ^= 1;
            std::fs::write(&path, &altered).unwrap();
            assert!(Lock::read(&path).is_err(), "byte {at}: {}", String::from_utf8_lossy(&altered));
        }
        std::fs::write(&path, &text[..text.len() - 1]).unwrap();
        assert!(Lock::read(&path).is_err());
    }

    #[test]
    fn the_lock_of_a_newer_agent_is_refused_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOCK_FILE);
        let body = "format = 2\n[[pin]]\nkind = \"other\"\n";
        let text = format!("# A comment.\nchecksum = \"{}\"\n{body}", hex_digest(body.as_bytes()));
        std::fs::write(&path, &text).unwrap();
        let refused = Lock::read(&path).unwrap_err();
        assert_eq!(refused.diagnostics.len(), 1, "{}", refused.text());
        assert!(refused.text().contains("format 2 of a newer agent"), "{}", refused.text());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn an_upgrade_of_one_pack_leaves_the_pins_of_the_others() {
        let lock = upgraded(&Lock::default(), &[used("a@^1", "1.0.0", "x"), used("b@1", "1.0.0", "y")], &[]);
        let lock = upgraded(&lock, &[used("a@^1", "1.2.0", "z"), used("b@1", "1.9.0", "w")], &["a"]);
        let expected = [("a@^1", "1.2.0"), ("b@1", "1.0.0")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(versions(&lock), expected);
        assert_eq!(lock.former.len(), 1);
        let lock = upgraded(&lock, &[used("a@^1", "1.2.0", "z")], &[]);
        assert_eq!(versions(&lock), [("a@^1".to_owned(), "1.2.0".to_owned())], "what is not used is not pinned");
    }

    #[test]
    fn each_rollback_restores_the_latest_remaining_former_pin() {
        let mut lock = Lock::default();
        for minor in 0..=2 {
            lock = upgraded(&lock, &[used("a@^1", &format!("1.{minor}.0"), &format!("{minor}"))], &[]);
        }
        let back = lock.roll_back("a");
        assert_eq!((back[0].0.version.minor, back[0].1.version.minor), (2, 1));
        assert_eq!(lock.roll_back("a")[0].1.version.minor, 0);
        assert_eq!(lock.roll_back("a"), []);
        assert_eq!(lock.roll_back("b"), []);
        assert_eq!(versions(&lock), [("a@^1".to_owned(), "1.0.0".to_owned())]);
    }

    #[test]
    fn only_the_latest_former_pins_are_kept() {
        let mut lock = Lock::default();
        for patch in 0..30 {
            lock = upgraded(&lock, &[used("a@^1", &format!("1.0.{patch}"), &format!("{patch}"))], &[]);
        }
        assert_eq!(lock.former.len(), MAX_FORMER);
        assert_eq!(lock.former.last().unwrap().pin.version.patch, 28);
    }
}
