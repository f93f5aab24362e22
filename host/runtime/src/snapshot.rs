//! State of stateful nodes: calling what a component exports for it, and the place where snapshots are kept.

use std::sync::Arc;

use parking_lot::Mutex;
use wasmtime::Store;
use wasmtime::component::{Component, ComponentExportIndex, Instance, TypedFunc};

use crate::bindings::{STATE, Snapshot};
use crate::fault::{Fault, FaultKind};
use crate::instance;
use crate::state::State;

/// Where the functions of state are found in a component.
pub(crate) struct StateExports {
    pub(crate) version: ComponentExportIndex,
    save: ComponentExportIndex,
    restore: ComponentExportIndex,
}

impl StateExports {
    pub(crate) fn find(component: &Component) -> Option<Self> {
        let state = component.get_export_index(None, STATE)?;
        let find = |name| component.get_export_index(Some(&state), name);
        Some(Self { version: find("version")?, save: find("save")?, restore: find("restore")? })
    }
}

/// The functions of state of one instance.
pub(crate) struct StateFunctions {
    save: TypedFunc<(), (Snapshot,)>,
    restore: TypedFunc<(Vec<Snapshot>,), (Result<(), String>,)>,
}

impl StateFunctions {
    pub(crate) fn of(exports: &StateExports, instance: &Instance, store: &mut Store<State>) -> wasmtime::Result<Self> {
        Ok(Self {
            save: instance.get_typed_func(&mut *store, exports.save)?,
            restore: instance.get_typed_func(&mut *store, exports.restore)?,
        })
    }

    pub(crate) fn save(&self, store: &mut Store<State>) -> Result<Snapshot, Fault> {
        instance::start_clock(store, store.data().limits.time);
        let most = store.data().limits.state_bytes;
        // More than that is not even copied.
        store.set_hostcall_fuel(usize::try_from(most).unwrap_or(usize::MAX).saturating_add(1 << 10));
        let saved = self.save.call(&mut *store, ());
        let (snapshot,) = saved.map_err(|error| Fault::of(&error, store.data_mut()))?;
        if snapshot.bytes.len() as u64 > most {
            let message = format!("saved {} bytes of state; at most {most} are kept", snapshot.bytes.len());
            return Err(Fault::new(FaultKind::OutputLimit, message));
        }
        Ok(snapshot)
    }

    /// Gives an instance state, or tells why it cannot take it; it must not be used then.
    pub(crate) fn restore(&self, store: &mut Store<State>, snapshots: &[Snapshot]) -> Result<(), String> {
        instance::start_clock(store, store.data().limits.time);
        let restored = self.restore.call(&mut *store, (snapshots.to_vec(),));
        restored.map_err(|error| Fault::of(&error, store.data_mut()).to_string())?.0
    }
}

/// Where the state of one worker's node is kept, whichever instance holds it.
///
/// Mostly one snapshot: the last that was taken after a call that went well. Several where a former run had more workers.
#[derive(Debug, Default)]
pub struct StateSlot(Mutex<Arc<[Snapshot]>>);

impl StateSlot {
    /// A slot that holds these.
    pub fn new(snapshots: Vec<Snapshot>) -> Self {
        Self(Mutex::new(snapshots.into()))
    }

    /// What it holds.
    pub fn get(&self) -> Arc<[Snapshot]> {
        self.0.lock().clone()
    }

    /// Takes what another one holds in addition.
    pub fn take_from(&self, other: &Self) {
        let more = std::mem::take(&mut *other.0.lock());
        if !more.is_empty() {
            let mut held = self.0.lock();
            *held = [&**held, &more].concat().into();
        }
    }

    pub(crate) fn set(&self, snapshots: Vec<Snapshot>) {
        *self.0.lock() = snapshots.into();
    }
}
