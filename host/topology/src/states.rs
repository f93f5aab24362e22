//! State of stateful nodes: from one generation to the next, and from one run of the agent to the
//! next.
//!
//! Each worker has separate instances, so each node has a slot for every worker and one for the
//! spare worker; a node that workers share has one for each of its instances. At a swap, a worker saves the state of its old instance to its slot, and the new
//! instance restores it from there. Each worker does this at a batch boundary, so no row is missed
//! and none counts twice.
//!
//! The slots of a node are files `state/<pipeline>/<node>/<index>` of the data folder: written by
//! `snapshots.rs` while the agent runs if the state is durable, else by a drain. The next start
//! distributes them over its workers; if there are fewer workers, some get several snapshots. A node
//! keeps its state as long as it keeps its name. State that is shared by a key stays with its key: it
//! cannot be divided in another way.
//!
//! # The file
//!
//! `wattle state 2` and a line feed; the BLAKE3 digest of the rest; the length in 8 bytes and the text
//! of how the state is shared; then for each snapshot its version in 4 bytes and its length in 8,
//! little-endian, and its bytes. A new file is written beside the old one, synced, and renamed over it.
//! An incomplete file is set aside.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use wattle_plan::{Durability, Sharing, StateSettings};
use wattle_runtime::{Snapshot, StateSlot};

const HEAD: &[u8] = b"wattle state 2\n";

/// Slots of one node: one for each worker and one for the spare worker, or one for each of the
/// instances that all workers share.
pub(crate) type Slots = Vec<Arc<StateSlot>>;

/// The slots of a node.
pub(crate) struct Owned {
    pub(crate) slots: Slots,
    /// The slots of its predecessor, if that shared its state in another way. The node must take them
    /// over.
    pub(crate) shared_before: Slots,
}

/// Why the state of a node cannot be divided.
#[derive(Debug, thiserror::Error)]
#[error("the state was shared by {before}, and cannot be divided for `{now}`")]
pub(crate) struct Indivisible {
    before: String,
    now: String,
}

/// The state of one node.
#[derive(Clone)]
struct NodeState {
    /// How its instances share it.
    sharing: String,
    is_durable: bool,
    snapshot_interval: Duration,
    slots: Slots,
}

/// The state of all nodes, by pipeline and node.
pub(crate) struct States {
    /// `None` for a run that keeps nothing.
    folder: Option<PathBuf>,
    workers: usize,
    all: Mutex<BTreeMap<(String, String), NodeState>>,
}

/// A slot whose snapshots are written to disk while the agent runs.
pub(crate) struct DurableSlot {
    pub(crate) pipeline: String,
    pub(crate) node: String,
    pub(crate) index: usize,
    pub(crate) slot: Arc<StateSlot>,
    pub(crate) snapshot_interval: Duration,
    sharing: String,
}

impl States {
    /// The state that former runs left in this data folder, for this number of workers.
    pub(crate) fn new(data_dir: Option<&Path>, workers: usize) -> Self {
        Self { folder: data_dir.map(|dir| dir.join("state")), workers: workers.max(1), all: Mutex::default() }
    }

    /// The slots of a node. The first call reads the saved state from disk, and calls `lost` if it
    /// is unusable.
    ///
    /// # Errors
    ///
    /// The state was shared by other keys, or by a key and now is not.
    pub(crate) fn slots(
        &self,
        pipeline: &str,
        node: &str,
        settings: &StateSettings,
        lost: impl FnOnce(),
    ) -> Result<Owned, Indivisible> {
        let mut all = self.all.lock();
        let key = (pipeline.to_owned(), node.to_owned());
        let sharing = describe(settings);
        let indivisible = |before: &str| Indivisible { before: before.to_owned(), now: sharing.clone() };
        let is_divisible = |before: &str| before == sharing || [before, &sharing].iter().all(|s| !s.starts_with(KEY));
        if let Some(known) = all.get_mut(&key) {
            if known.sharing == sharing {
                known.is_durable = self.is_durable(settings);
                known.snapshot_interval = settings.snapshot_interval;
                known.slots.iter().for_each(|slot| slot.set_durable(known.is_durable));
                return Ok(Owned { slots: known.slots.clone(), shared_before: Slots::new() });
            }
            let is_empty = known.slots.iter().all(|slot| slot.get().is_empty());
            if !is_divisible(&known.sharing) && !is_empty {
                return Err(indivisible(&known.sharing));
            }
            // The instances of the running generation still use the old slots.
            let made = self.make(settings, Vec::new());
            let before = std::mem::replace(known, made);
            return Ok(Owned { slots: known.slots.clone(), shared_before: before.slots });
        }
        let saved = self.read(pipeline, node, lost);
        if let Some(before) = saved.as_ref().map(|saved| &saved.sharing).filter(|before| !is_divisible(before)) {
            return Err(indivisible(before));
        }
        let made = self.make(settings, saved.map(|saved| saved.snapshots).unwrap_or_default());
        let slots = made.slots.clone();
        all.insert(key, made);
        Ok(Owned { slots, shared_before: Slots::new() })
    }

    /// Empty slots for a node that starts without the state of its predecessor.
    pub(crate) fn fresh(&self, pipeline: &str, node: &str, settings: &StateSettings) -> Owned {
        let made = self.make(settings, Vec::new());
        let slots = made.slots.clone();
        self.all.lock().insert((pipeline.to_owned(), node.to_owned()), made);
        Owned { slots, shared_before: Slots::new() }
    }

    fn is_durable(&self, settings: &StateSettings) -> bool {
        self.folder.is_some() && settings.durability == Durability::Disk
    }

    /// Slots with these snapshots, each with the index of its slot.
    fn make(&self, settings: &StateSettings, snapshots: Vec<(usize, Snapshot)>) -> NodeState {
        // The spare worker's slot is the last one, and starts empty.
        let (slots, used) = match settings.sharing {
            Sharing::Worker => (self.workers + 1, self.workers),
            Sharing::Single => (1, 1),
            Sharing::Key(_) => (settings.shards.max(1) as usize, settings.shards.max(1) as usize),
        };
        let mut shares: Vec<Vec<Snapshot>> = vec![Vec::new(); slots];
        for (index, snapshot) in snapshots {
            if let Some(share) = shares.get_mut(index % used) {
                share.push(snapshot);
            }
        }
        let slots: Slots = shares.into_iter().map(|share| Arc::new(StateSlot::new(share))).collect();
        let is_durable = self.is_durable(settings);
        slots.iter().for_each(|slot| slot.set_durable(is_durable));
        let (sharing, snapshot_interval) = (describe(settings), settings.snapshot_interval);
        NodeState { sharing, is_durable, snapshot_interval, slots }
    }

    /// The slots of a node that runs, or ran since the agent started.
    pub(crate) fn held(&self, pipeline: &str, node: &str) -> Option<Slots> {
        self.all.lock().get(&(pipeline.to_owned(), node.to_owned())).map(|state| state.slots.clone())
    }

    /// All slots whose snapshots are written while the agent runs.
    pub(crate) fn durable(&self) -> Vec<DurableSlot> {
        let all = self.all.lock();
        let durable = all.iter().filter(|(_, state)| state.is_durable);
        let slots = durable.flat_map(|((pipeline, node), state)| {
            state.slots.iter().enumerate().map(|(index, slot)| DurableSlot {
                pipeline: pipeline.clone(),
                node: node.clone(),
                index,
                slot: slot.clone(),
                snapshot_interval: state.snapshot_interval,
                sharing: state.sharing.clone(),
            })
        });
        slots.collect()
    }

    /// Writes the snapshots of a slot to disk.
    ///
    /// # Errors
    ///
    /// The file cannot be written; the one before is unchanged.
    pub(crate) fn write_slot(&self, slot: &DurableSlot, snapshots: &[Snapshot]) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        write(&folder.join(&slot.pipeline).join(&slot.node), slot.index, &slot.sharing, snapshots)
    }

    /// Discards the state of nodes that are no longer wanted.
    pub(crate) fn retain(&self, wanted: impl Fn(&str, &str) -> bool) {
        self.all.lock().retain(|(pipeline, node), state| {
            let stays = wanted(pipeline, node);
            if !stays {
                if state.slots.iter().any(|slot| !slot.get().is_empty()) {
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
            // Most nodes have no folder.
            let _ = fs::remove_dir_all(folder.join(pipeline).join(node));
        }
    }

    /// Writes the state of all nodes that have any and that is not written while the agent runs.
    /// Removes from disk the state of nodes that another node has `inherited`, so it does not come back
    /// when another node gets the name.
    pub(crate) fn write(&self, inherited: impl Fn(&str, &str) -> bool) {
        let Some(folder) = &self.folder else { return };
        for ((pipeline, node), state) in self.all.lock().iter() {
            if state.slots.iter().all(|slot| slot.get().is_empty()) {
                if inherited(pipeline, node) {
                    // The files exist only if a former run ended before the canary did.
                    self.remove(pipeline, node);
                }
                continue;
            }
            if state.is_durable {
                continue;
            }
            let folder = folder.join(pipeline).join(node);
            for (index, slot) in state.slots.iter().enumerate() {
                if let Err(error) = write(&folder, index, &state.sharing, &slot.get()) {
                    tracing::error!(pipeline, node, %error, "cannot save state; the next start uses that of the last drain");
                }
            }
        }
    }

    /// Reads the snapshots of a node with the indices of their slots.
    fn read(&self, pipeline: &str, node: &str, lost: impl FnOnce()) -> Option<Saved> {
        let folder = self.folder.as_ref()?.join(pipeline).join(node);
        let mut saved: Option<Saved> = None;
        let mut is_lost = false;
        for (index, path) in files(&folder) {
            match fs::read(&path) {
                Ok(bytes) => match decode(&bytes) {
                    Some((sharing, snapshots)) => {
                        let saved = saved.get_or_insert_with(|| Saved { sharing, snapshots: Vec::new() });
                        saved.snapshots.extend(snapshots.into_iter().map(|snapshot| (index, snapshot)));
                    }
                    None => {
                        set_aside(&path);
                        is_lost = true;
                    }
                },
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "cannot read saved state; the node starts without it");
                    is_lost = true;
                }
            }
        }
        if is_lost {
            lost();
        }
        saved
    }
}

/// Snapshots from disk, with the indices of their slots.
struct Saved {
    sharing: String,
    snapshots: Vec<(usize, Snapshot)>,
}

/// First word of the sharing by key.
const KEY: &str = "key";

/// How a node shares its state, as in the file.
fn describe(settings: &StateSettings) -> String {
    match &settings.sharing {
        Sharing::Worker => "worker".into(),
        Sharing::Single => "single".into(),
        Sharing::Key(fields) => format!("{KEY} {} {}", settings.shards, fields.join(" ")),
    }
}

/// The files of the slots of a node, in the order of their indices.
fn files(folder: &Path) -> Vec<(usize, PathBuf)> {
    // A node without saved state has no folder.
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let indexed = |entry: fs::DirEntry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path()));
    let mut files: Vec<(usize, PathBuf)> = entries.filter_map(Result::ok).filter_map(indexed).collect();
    files.sort();
    files
}

fn set_aside(path: &Path) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!("{name}.corrupt-{now}"));
    let error = fs::rename(path, &aside).err().map(|error| error.to_string()).unwrap_or_default();
    tracing::warn!(path = %path.display(), aside = %aside.display(), error, "saved state is corrupt and was set aside");
}

fn write(folder: &Path, index: usize, sharing: &str, snapshots: &[Snapshot]) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let new = folder.join(format!("{index}.new"));
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&encode(sharing, snapshots))?;
    file.sync_all()?;
    fs::rename(&new, folder.join(index.to_string()))?;
    File::open(folder)?.sync_all()
}

fn encode(sharing: &str, snapshots: &[Snapshot]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&(sharing.len() as u64).to_le_bytes());
    body.extend_from_slice(sharing.as_bytes());
    for snapshot in snapshots {
        body.extend_from_slice(&snapshot.version.to_le_bytes());
        body.extend_from_slice(&(snapshot.bytes.len() as u64).to_le_bytes());
        body.extend_from_slice(&snapshot.bytes);
    }
    [HEAD, blake3::hash(&body).as_bytes(), &body].concat()
}

fn decode(file: &[u8]) -> Option<(String, Vec<Snapshot>)> {
    let (digest, body) = file.strip_prefix(HEAD)?.split_first_chunk::<32>()?;
    if blake3::hash(body) != *digest {
        return None;
    }
    let part = |bytes: &'_ [u8]| -> Option<(usize, usize)> {
        let (length, _) = bytes.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        Some((8, 8_usize.checked_add(length)?))
    };
    let (start, end) = part(body)?;
    let sharing = std::str::from_utf8(body.get(start..end)?).ok()?.to_owned();
    let mut body = body.get(end..)?;
    let mut snapshots = Vec::new();
    while !body.is_empty() {
        let (version, rest) = body.split_first_chunk::<4>()?;
        let (start, end) = part(rest)?;
        let bytes = rest.get(start..end)?.to_vec().into();
        snapshots.push(Snapshot { version: u32::from_le_bytes(*version), bytes });
        body = rest.get(end..)?;
    }
    Some((sharing, snapshots))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(version: u32, text: &'static str) -> Snapshot {
        Snapshot { version, bytes: text.as_bytes().into() }
    }

    fn slots_of(states: &States, node: &str) -> Slots {
        let lost = || panic!("nothing is lost");
        states.slots("main", node, &StateSettings::default(), lost).unwrap().slots
    }

    #[test]
    fn state_shared_by_a_key_is_not_divided() {
        let dir = tempfile::tempdir().unwrap();
        let by = |fields: &[&str], shards| StateSettings {
            sharing: Sharing::Key(fields.iter().map(|field| (*field).to_owned()).collect()),
            shards,
            ..StateSettings::default()
        };
        let states = States::new(Some(dir.path()), 2);
        let first = states.slots("main", "n", &by(&["body.user"], 2), || {}).unwrap().slots;
        assert_eq!(first.len(), 2);
        write(&dir.path().join("state/main/n"), 1, &describe(&by(&["body.user"], 2)), &[snapshot(1, "one")]).unwrap();
        let states = States::new(Some(dir.path()), 4);
        for settings in [by(&["body.user"], 3), by(&["body.host"], 2), StateSettings::default()] {
            assert!(states.slots("main", "n", &settings, || {}).is_err(), "{settings:?}");
        }
        let again = states.slots("main", "n", &by(&["body.user"], 2), || {}).unwrap().slots;
        assert_eq!(held(&again), [vec![], vec![snapshot(1, "one")]]);
        let fresh = states.fresh("main", "n", &by(&["body.host"], 2)).slots;
        assert_eq!(held(&fresh), [vec![], vec![]]);
    }

    #[test]
    fn workers_that_share_one_instance_take_over_what_each_had() {
        let states = States::new(None, 2);
        let before = slots_of(&states, "n");
        let single = StateSettings { sharing: Sharing::Single, ..StateSettings::default() };
        let owned = states.slots("main", "n", &single, || {}).unwrap();
        assert_eq!((owned.slots.len(), owned.shared_before.len()), (1, before.len()));
    }

    fn held(slots: &Slots) -> Vec<Vec<Snapshot>> {
        slots.iter().map(|slot| slot.get().to_vec()).collect()
    }

    #[test]
    fn fewer_workers_share_the_saved_states() {
        let dir = tempfile::tempdir().unwrap();
        let all = [snapshot(1, "one"), snapshot(1, ""), snapshot(2, "three")];
        for (index, snapshot) in all.iter().enumerate() {
            write(&dir.path().join("state/main/count"), index, "worker", std::slice::from_ref(snapshot)).unwrap();
        }
        let states = States::new(Some(dir.path()), 2);
        let slots = slots_of(&states, "count");
        let [one, two, three] = all;
        assert_eq!(held(&slots), [vec![one.clone(), three.clone()], vec![two.clone()], vec![]]);
        // Writes the same snapshots back, in whichever slots they are.
        states.write(|_, _| false);
        let alone = slots_of(&States::new(Some(dir.path()), 1), "count");
        assert_eq!(held(&alone), [vec![one, three, two], vec![]]);
        let other = slots_of(&states, "other");
        assert_eq!(held(&other), [vec![], vec![], vec![]]);
    }

    #[test]
    fn the_state_of_a_removed_node_does_not_come_back() {
        let dir = tempfile::tempdir().unwrap();
        for node in ["stays", "goes"] {
            write(&dir.path().join("state/main").join(node), 0, "worker", &[snapshot(1, node)]).unwrap();
        }
        let states = States::new(Some(dir.path()), 1);
        let all = |node| held(&slots_of(&states, node)).concat();
        assert_eq!(all("goes"), [snapshot(1, "goes")]);
        assert_eq!(all("stays"), [snapshot(1, "stays")]);
        states.retain(|_, node| node == "stays");
        assert_eq!(all("goes"), []);
        assert_eq!(all("stays"), [snapshot(1, "stays")]);
        let next = States::new(Some(dir.path()), 1);
        assert_eq!(held(&slots_of(&next, "goes")).concat(), []);
        assert_eq!(held(&slots_of(&next, "stays")).concat(), [snapshot(1, "stays")]);
    }

    #[test]
    fn a_change_of_any_byte_of_the_file_is_detected() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state/main/count");
        write(&folder, 0, "worker", &[snapshot(7, "state")]).unwrap();
        let whole = fs::read(folder.join("0")).unwrap();
        let damaged = (0..whole.len()).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            bytes
        });
        let cut = (0..whole.len()).map(|at| whole[..at].to_vec());
        for bytes in damaged.chain(cut) {
            fs::write(folder.join("0"), &bytes).unwrap();
            let mut lost = false;
            let states = States::new(Some(dir.path()), 1);
            let slots = states.slots("main", "count", &StateSettings::default(), || lost = true).unwrap().slots;
            assert!(lost && held(&slots).concat().is_empty(), "{bytes:?}");
            assert!(!folder.join("0").exists(), "it is set aside");
        }
    }
}
