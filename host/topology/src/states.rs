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
//! # State that moves
//!
//! State moves from slot to slot when workers share it in another way, when their number changes, or
//! when a canary ends. Its files stay until a file of its new slot has it: that file lists those that
//! it replaces, which are then removed, and which a start ignores. So that no slot writes over a file
//! that another one still needs, moved slots get file names with the next number: `<index>.<number>`.

mod file;

pub use self::file::VERSION as STATE_VERSION;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use wattle_plan::{Durability, Sharing, StateSettings};
use wattle_runtime::{Snapshot, Staged, StateSlot};

use file::{Content, Name};

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
    /// The number in the names of its files.
    number: u64,
    /// What it replaces, until the plan that needs it runs.
    before: Option<Box<NodeState>>,
    /// The first generation without the node. Its state stays until all events that the node held are
    /// delivered.
    leaves: Option<u64>,
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
    /// Whether a reload removed the node.
    pub(crate) leaves: bool,
    sharing: String,
    /// Its file, below the folder of all states.
    file: PathBuf,
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
        let is_divisible = |before: &str| is_divisible(before, &sharing);
        if let Some(known) = all.get_mut(&key) {
            known.leaves = None;
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
            let made = self.make(settings, Vec::new(), known.number + 1);
            let before = std::mem::replace(known, made);
            let shared_before = before.slots.clone();
            known.before = Some(Box::new(before));
            return Ok(Owned { slots: known.slots.clone(), shared_before });
        }
        let saved = self.read(pipeline, node, lost);
        if let Some(before) = saved.iter().map(|saved| &saved.content.sharing).find(|before| !is_divisible(before)) {
            return Err(indivisible(before));
        }
        let made = self.restore(settings, saved);
        let slots = made.slots.clone();
        all.insert(key, made);
        Ok(Owned { slots, shared_before: Slots::new() })
    }

    /// Empty slots for a node that starts without the state of its predecessor.
    pub(crate) fn fresh(&self, pipeline: &str, node: &str, settings: &StateSettings) -> Owned {
        let mut all = self.all.lock();
        let key = (pipeline.to_owned(), node.to_owned());
        let saved = self.read(pipeline, node, || {});
        let number = saved.iter().map(|saved| saved.name.number).max().map_or(0, |number| number + 1);
        let mut made = self.make(settings, Vec::new(), number);
        // The first file that is written ends the state of the predecessor.
        for slot in &made.slots {
            saved.iter().for_each(|saved| slot.replace_file(saved.path.clone()));
        }
        made.before = all.remove(&key).map(Box::new);
        let slots = made.slots.clone();
        all.insert(key, made);
        Owned { slots, shared_before: Slots::new() }
    }

    /// Ends what the last calls of [`slots`](Self::slots) and [`fresh`](Self::fresh) began, because the
    /// plan that needed them cannot be built.
    pub(crate) fn revert(&self) {
        for state in self.all.lock().values_mut() {
            if let Some(before) = state.before.take() {
                *state = *before;
            }
        }
    }

    fn is_durable(&self, settings: &StateSettings) -> bool {
        self.folder.is_some() && settings.durability == Durability::Disk
    }

    /// Slots with this state from disk.
    fn restore(&self, settings: &StateSettings, saved: Vec<Saved>) -> NodeState {
        let used = self.used(settings);
        let last = saved.iter().map(|saved| saved.name.number).max().unwrap_or(0);
        let sharing = describe(settings);
        // Every file can be written over only if its slot has its state.
        let stays = saved
            .iter()
            .all(|saved| saved.name.number == last && saved.name.index < used && saved.content.sharing == sharing);
        self.make(settings, saved, if stays { last } else { last + 1 })
    }

    /// Number of slots that get state from disk. The slot of the spare worker, the last one, starts
    /// empty.
    fn used(&self, settings: &StateSettings) -> usize {
        match settings.sharing {
            Sharing::Worker => self.workers,
            Sharing::Single => 1,
            Sharing::Key(_) => settings.shards.max(1) as usize,
        }
    }

    fn make(&self, settings: &StateSettings, saved: Vec<Saved>, number: u64) -> NodeState {
        let used = self.used(settings);
        let slots = used + usize::from(settings.sharing == Sharing::Worker);
        let mut shares: Vec<(Vec<Snapshot>, Vec<PathBuf>)> = vec![Default::default(); slots];
        for saved in saved {
            if let Some((snapshots, files)) = shares.get_mut(saved.name.index % used) {
                snapshots.extend(saved.content.snapshots);
                files.push(saved.path);
            }
        }
        let slots = shares.into_iter().map(|(snapshots, files)| Arc::new(StateSlot::from_files(snapshots, files)));
        let slots: Slots = slots.collect();
        let is_durable = self.is_durable(settings);
        slots.iter().for_each(|slot| slot.set_durable(is_durable));
        let (sharing, snapshot_interval) = (describe(settings), settings.snapshot_interval);
        NodeState { sharing, is_durable, snapshot_interval, slots, number, before: None, leaves: None }
    }

    /// The slots of a canary that ended: in this run, or in one before.
    pub(crate) fn ended(&self, canary: &str, node: &str, settings: &StateSettings) -> Option<Slots> {
        let mut all = self.all.lock();
        let key = (canary.to_owned(), node.to_owned());
        if let Some(known) = all.get(&key) {
            return Some(known.slots.clone());
        }
        let mut saved = self.read(canary, node, || {});
        let now = describe(settings);
        saved.retain(|saved| is_divisible(&saved.content.sharing, &now));
        if saved.is_empty() {
            return None;
        }
        let made = self.restore(settings, saved);
        let slots = made.slots.clone();
        all.insert(key, made);
        Some(slots)
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
                leaves: state.leaves.is_some(),
                sharing: state.sharing.clone(),
                file: file_of(pipeline, node, index, state.number),
            })
        });
        slots.collect()
    }

    /// Writes the snapshots of a slot to disk, and removes the files that had its state before.
    ///
    /// # Errors
    ///
    /// The file cannot be written; the ones before are unchanged.
    pub(crate) fn write_slot(&self, slot: &DurableSlot, staged: &Staged) -> io::Result<()> {
        self.write_file(&slot.slot, &slot.file, &slot.sharing, staged.snapshots(), staged.files())
    }

    fn write_file(
        &self,
        slot: &StateSlot,
        path: &Path,
        sharing: &str,
        snapshots: &[Snapshot],
        before: &[PathBuf],
    ) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let replaced: Vec<&Path> = before.iter().map(PathBuf::as_path).filter(|file| *file != path).collect();
        let whole = folder.join(path);
        file::write(&whole, sharing, &replaced, snapshots)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", whole.display())))?;
        slot.wrote(path.to_owned(), before);
        // A file that stays is ignored: the new one lists it.
        replaced.iter().for_each(|file| _ = fs::remove_file(folder.join(file)));
        Ok(())
    }

    /// Begins to discard the state of nodes that this generation does not want;
    /// [`discard`](Self::discard) ends it.
    pub(crate) fn retain(&self, generation: u64, wanted: impl Fn(&str, &str) -> bool) {
        self.all.lock().retain(|(pipeline, node), state| {
            state.before = None;
            if wanted(pipeline, node) {
                return true;
            }
            // The heir removes the files of state that moved.
            if state.slots.iter().any(|slot| slot.has_moved()) {
                return false;
            }
            state.leaves.get_or_insert(generation);
            true
        });
    }

    /// Discards the state of removed nodes that are not in use any more, as soon as all events that they
    /// held are delivered. Returns whether some still wait for that.
    pub(crate) fn discard(&self, is_in_use_before: impl Fn(u64) -> bool) -> bool {
        let mut waits = false;
        self.all.lock().retain(|(pipeline, node), state| {
            let Some(generation) = state.leaves else { return true };
            let is_done =
                !is_in_use_before(generation) && state.slots.iter().all(|slot| !slot.owes() && slot.is_done());
            if !is_done {
                waits = true;
                return true;
            }
            if state.slots.iter().any(|slot| !slot.get().is_empty()) {
                tracing::info!(
                    pipeline,
                    node,
                    "the node was removed; what it held is delivered, and its state is discarded"
                );
            }
            // Otherwise the next node of that name would begin with state from the last drain.
            self.remove(pipeline, node);
            false
        });
        waits
    }

    /// Logs state of removed nodes that stays at the end of a run, because what they held is not
    /// delivered.
    pub(crate) fn report_undelivered(&self) {
        let Some(folder) = &self.folder else { return };
        for ((pipeline, node), _) in self.all.lock().iter().filter(|(_, state)| state.leaves.is_some()) {
            let (files, bytes) = size_of(&folder.join(pipeline).join(node));
            if files == 0 {
                tracing::error!(
                    pipeline,
                    node,
                    "a reload removed the node, and not all events that it held are delivered; they are lost, because its \
                     state is in memory only"
                );
                continue;
            }
            tracing::error!(
                pipeline,
                node,
                files,
                bytes,
                folder = %folder.join(pipeline).join(node).display(),
                "a reload removed the node, and not all events that it held are delivered; keeping its state"
            );
        }
    }

    /// Logs state on disk of nodes that are not configured, and keeps it.
    pub(crate) fn report_orphans(&self, is_configured: impl Fn(&str, &str) -> bool) {
        let Some(folder) = &self.folder else { return };
        let names = |folder: &Path| -> Vec<String> {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
            names.sort();
            names
        };
        for pipeline in names(folder) {
            for node in names(&folder.join(&pipeline)) {
                let own = folder.join(&pipeline).join(&node);
                let (files, bytes) = size_of(&own);
                if files > 0 && !is_configured(&pipeline, &node) {
                    tracing::warn!(
                        pipeline,
                        node,
                        files,
                        bytes,
                        folder = %own.display(),
                        "keeping the state of a node that is not configured, with the events that it holds; configure \
                         the node under this name to continue, or remove the folder"
                    );
                }
            }
        }
    }

    fn remove(&self, pipeline: &str, node: &str) {
        if let Some(folder) = &self.folder {
            // Most nodes have no folder.
            let _ = fs::remove_dir_all(folder.join(pipeline).join(node));
        }
    }

    /// Writes the state of all nodes that have any and that is not written while the agent runs. Returns
    /// the files that cannot be written.
    pub(crate) fn write(&self) -> Vec<PathBuf> {
        let mut unsaved = Vec::new();
        for ((pipeline, node), state) in self.all.lock().iter() {
            if state.slots.iter().all(|slot| slot.get().is_empty()) {
                continue;
            }
            // What a removed node could not deliver is reported.
            if state.is_durable || (state.leaves.is_some() && state.slots.iter().all(|slot| !slot.owes())) {
                continue;
            }
            for (index, slot) in state.slots.iter().enumerate() {
                let path = file_of(pipeline, node, index, state.number);
                if let Err(error) = self.write_file(slot, &path, &state.sharing, &slot.get(), &slot.files()) {
                    tracing::error!(pipeline, node, %error, "cannot save state; the next start uses that of the last drain");
                    unsaved.extend(self.folder.as_ref().map(|folder| folder.join(path)));
                }
            }
        }
        unsaved
    }

    /// Reads the files of a node.
    fn read(&self, pipeline: &str, node: &str, lost: impl FnOnce()) -> Vec<Saved> {
        let Some(folder) = &self.folder else { return Vec::new() };
        let own = Path::new(pipeline).join(node);
        let mut all = Vec::new();
        let mut is_lost = false;
        for name in file::names(&folder.join(&own)) {
            let path = own.join(name.to_string());
            match file::read(&folder.join(&path)) {
                Ok(Some(content)) => all.push(Saved { name, path, content }),
                Ok(None) => is_lost = true,
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "cannot read saved state; the node starts without it");
                    is_lost = true;
                }
            }
        }
        // A crash kept them from being removed.
        let replaced: Vec<PathBuf> = all.iter().flat_map(|saved| saved.content.replaced.clone()).collect();
        replaced.iter().for_each(|file| _ = fs::remove_file(folder.join(file)));
        all.retain(|saved| !replaced.contains(&saved.path));
        if is_lost {
            lost();
        }
        all
    }
}

/// A file of a node.
struct Saved {
    name: Name,
    /// Below the folder of all states.
    path: PathBuf,
    content: Content,
}

/// Number and bytes of the files of a node.
fn size_of(folder: &Path) -> (usize, u64) {
    let sizes = file::names(folder).into_iter().map(|name| fs::metadata(folder.join(name.to_string())));
    sizes.flatten().fold((0, 0), |(files, bytes), file| (files + 1, bytes + file.len()))
}

/// The file of a slot, below the folder of all states.
fn file_of(pipeline: &str, node: &str, index: usize, number: u64) -> PathBuf {
    Path::new(pipeline).join(node).join(Name { index, number }.to_string())
}

/// First word of the sharing by key.
const KEY: &str = "key";

/// Whether state that was shared in one way can be shared in another one.
fn is_divisible(before: &str, now: &str) -> bool {
    before == now || [before, now].iter().all(|sharing| !sharing.starts_with(KEY))
}

/// How a node shares its state, as in the file.
fn describe(settings: &StateSettings) -> String {
    match &settings.sharing {
        Sharing::Worker => "worker".into(),
        Sharing::Single => "single".into(),
        Sharing::Key(fields) => format!("{KEY} {} {}", settings.shards, fields.join(" ")),
    }
}
