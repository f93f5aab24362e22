//! State of stateful nodes: from one generation to the next, and from one run of the agent to the
//! next.
//!
//! Each worker has separate instances, so each node has a slot for every worker and one for the
//! spare worker. At a swap, a worker saves the state of its old instance to its slot, and the new
//! instance restores it from there. Each worker does this at a batch boundary, so no row is missed
//! and none counts twice.
//!
//! A drain writes all slots of a node to `state/<pipeline>/<node>` of the data folder. The next
//! start distributes them over its workers; if there are fewer workers, some get several snapshots.
//! A node keeps its state as long as it keeps its name.
//!
//! # The file
//!
//! `wattle state 1` and a line feed; the BLAKE3 digest of the rest; then for each snapshot its
//! version in 4 bytes and its length in 8, little-endian, and its bytes. A new file is written
//! beside the old one, synced, and renamed over it. An incomplete file is set aside.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use wattle_runtime::{Snapshot, StateSlot};

const HEAD: &[u8] = b"wattle state 1\n";

/// Slots of one node: one for each worker and one for the spare worker.
pub(crate) type Slots = Vec<Arc<StateSlot>>;

/// The state of all nodes, by pipeline and node.
pub(crate) struct States {
    /// `None` for a run that keeps nothing.
    folder: Option<PathBuf>,
    workers: usize,
    all: Mutex<BTreeMap<(String, String), Slots>>,
}

impl States {
    /// The state that former runs left in this data folder, for this number of workers.
    pub(crate) fn new(data_dir: Option<&Path>, workers: usize) -> Self {
        Self { folder: data_dir.map(|dir| dir.join("state")), workers: workers.max(1), all: Mutex::default() }
    }

    /// The slots of a node. The first call reads the saved state from disk, and calls `lost` if it
    /// is unusable.
    pub(crate) fn slots(&self, pipeline: &str, node: &str, lost: impl FnOnce()) -> Slots {
        let mut all = self.all.lock();
        let key = (pipeline.to_owned(), node.to_owned());
        if let Some(slots) = all.get(&key) {
            return slots.clone();
        }
        let mut shares: Vec<Vec<Snapshot>> = vec![Vec::new(); self.workers + 1];
        for (index, snapshot) in self.read(pipeline, node, lost).into_iter().enumerate() {
            if let Some(share) = shares.get_mut(index % self.workers) {
                share.push(snapshot);
            }
        }
        let slots: Slots = shares.into_iter().map(|share| Arc::new(StateSlot::new(share))).collect();
        all.insert(key, slots.clone());
        slots
    }

    /// The slots of a node that runs, or ran since the agent started.
    pub(crate) fn held(&self, pipeline: &str, node: &str) -> Option<Slots> {
        self.all.lock().get(&(pipeline.to_owned(), node.to_owned())).cloned()
    }

    /// Discards the state of nodes that are no longer wanted.
    pub(crate) fn retain(&self, wanted: impl Fn(&str, &str) -> bool) {
        self.all.lock().retain(|(pipeline, node), slots| {
            let stays = wanted(pipeline, node);
            if !stays {
                if slots.iter().any(|slot| !slot.get().is_empty()) {
                    tracing::warn!(pipeline, node, "the node was removed; its state is discarded");
                }
                // Otherwise the next node of that name would begin with state from the last drain.
                self.remove(pipeline, node);
            }
            stays
        });
    }

    fn remove(&self, pipeline: &str, node: &str) {
        if let Some(folder) = &self.folder {
            // Most nodes have no file.
            let _ = fs::remove_file(folder.join(pipeline).join(node));
        }
    }

    /// Writes the state of all nodes that have any. Removes from disk the state of nodes that
    /// another node has `inherited`, so it does not come back when another node gets the name.
    pub(crate) fn write(&self, inherited: impl Fn(&str, &str) -> bool) {
        let Some(folder) = &self.folder else { return };
        for ((pipeline, node), slots) in self.all.lock().iter() {
            let snapshots: Vec<Snapshot> = slots.iter().flat_map(|slot| slot.get().to_vec()).collect();
            if snapshots.is_empty() {
                if inherited(pipeline, node) {
                    // The file exists only if a former run ended before the canary did.
                    self.remove(pipeline, node);
                }
                continue;
            }
            if let Err(error) = write(&folder.join(pipeline), node, &snapshots) {
                tracing::error!(pipeline, node, %error, "cannot save state; the next start uses that of the last drain");
            }
        }
    }

    fn read(&self, pipeline: &str, node: &str, lost: impl FnOnce()) -> Vec<Snapshot> {
        let Some(folder) = &self.folder else { return Vec::new() };
        let path = folder.join(pipeline).join(node);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot read saved state; the node starts without state");
                lost();
                return Vec::new();
            }
        };
        decode(&bytes).unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let aside = path.with_file_name(format!("{node}.corrupt-{now}"));
            let moved = fs::rename(&path, &aside).err().map(|error| error.to_string());
            let error = moved.unwrap_or_default();
            tracing::warn!(path = %path.display(), aside = %aside.display(), error, "saved state is corrupt and was set aside");
            lost();
            Vec::new()
        })
    }
}

fn write(folder: &Path, node: &str, snapshots: &[Snapshot]) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // Names of nodes contain no dot, so this name is free.
    let new = folder.join(format!("{node}.new"));
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&encode(snapshots))?;
    file.sync_all()?;
    fs::rename(&new, folder.join(node))?;
    File::open(folder)?.sync_all()
}

fn encode(snapshots: &[Snapshot]) -> Vec<u8> {
    let mut body = Vec::new();
    for snapshot in snapshots {
        body.extend_from_slice(&snapshot.version.to_le_bytes());
        body.extend_from_slice(&(snapshot.bytes.len() as u64).to_le_bytes());
        body.extend_from_slice(&snapshot.bytes);
    }
    [HEAD, blake3::hash(&body).as_bytes(), &body].concat()
}

fn decode(file: &[u8]) -> Option<Vec<Snapshot>> {
    let (digest, mut body) = file.strip_prefix(HEAD)?.split_first_chunk::<32>()?;
    if blake3::hash(body) != *digest {
        return None;
    }
    let mut snapshots = Vec::new();
    while !body.is_empty() {
        let (version, rest) = body.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<8>()?;
        let (bytes, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        snapshots.push(Snapshot { version: u32::from_le_bytes(*version), bytes: bytes.to_vec().into() });
        body = rest;
    }
    Some(snapshots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(version: u32, text: &'static str) -> Snapshot {
        Snapshot { version, bytes: text.as_bytes().into() }
    }

    fn held(slots: &Slots) -> Vec<Vec<Snapshot>> {
        slots.iter().map(|slot| slot.get().to_vec()).collect()
    }

    #[test]
    fn fewer_workers_share_the_saved_states() {
        let dir = tempfile::tempdir().unwrap();
        let all = [snapshot(1, "one"), snapshot(1, ""), snapshot(2, "three")];
        write(&dir.path().join("state/main"), "count", &all).unwrap();
        let states = States::new(Some(dir.path()), 2);
        let slots = states.slots("main", "count", || panic!("nothing is lost"));
        let [one, two, three] = all;
        assert_eq!(held(&slots), [vec![one.clone(), three.clone()], vec![two.clone()], vec![]]);
        // Writes the same snapshots back, in whichever slots they are.
        states.write(|_, _| false);
        let alone = States::new(Some(dir.path()), 1).slots("main", "count", || panic!("nothing is lost"));
        assert_eq!(held(&alone), [vec![one, three, two], vec![]]);
        let other = states.slots("main", "other", || panic!("nothing is lost"));
        assert_eq!(held(&other), [vec![], vec![], vec![]]);
    }

    #[test]
    fn the_state_of_a_removed_node_does_not_come_back() {
        let dir = tempfile::tempdir().unwrap();
        for node in ["stays", "goes"] {
            write(&dir.path().join("state/main"), node, &[snapshot(1, node)]).unwrap();
        }
        let states = States::new(Some(dir.path()), 1);
        let slots = |node| held(&states.slots("main", node, || panic!("nothing is lost"))).concat();
        assert_eq!(slots("goes"), [snapshot(1, "goes")]);
        assert_eq!(slots("stays"), [snapshot(1, "stays")]);
        states.retain(|_, node| node == "stays");
        assert_eq!(slots("goes"), []);
        assert_eq!(slots("stays"), [snapshot(1, "stays")]);
        let next = States::new(Some(dir.path()), 1);
        assert_eq!(held(&next.slots("main", "goes", || panic!("nothing is lost"))).concat(), []);
        assert_eq!(held(&next.slots("main", "stays", || panic!("nothing is lost"))).concat(), [snapshot(1, "stays")]);
    }

    #[test]
    fn a_change_of_any_byte_of_the_file_is_detected() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state/main");
        write(&folder, "count", &[snapshot(7, "state")]).unwrap();
        let whole = fs::read(folder.join("count")).unwrap();
        let damaged = (0..whole.len()).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            bytes
        });
        let cut = (0..whole.len()).map(|at| whole[..at].to_vec());
        for bytes in damaged.chain(cut) {
            fs::write(folder.join("count"), &bytes).unwrap();
            let mut lost = false;
            let slots = States::new(Some(dir.path()), 1).slots("main", "count", || lost = true);
            assert!(lost && held(&slots).concat().is_empty(), "{bytes:?}");
            assert!(!folder.join("count").exists(), "it is set aside");
        }
    }
}
