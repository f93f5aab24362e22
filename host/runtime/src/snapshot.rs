//! State of stateful nodes: calls the exports of a component for it.

use wasmtime::Store;
use wasmtime::component::{Component, ComponentExportIndex, Instance, TypedFunc};

use crate::bindings::{Contract, Snapshot};
use crate::fault::{Fault, FaultKind};
use crate::instance;
use crate::state::State;

/// Where to find the functions for state in a component.
pub(crate) struct StateExports {
    pub(crate) version: ComponentExportIndex,
    save: ComponentExportIndex,
    restore: ComponentExportIndex,
}

impl StateExports {
    pub(crate) fn find(component: &Component, contract: Contract) -> Option<Self> {
        let state = component.get_export_index(None, contract.interface("state"))?;
        let find = |name| component.get_export_index(Some(&state), name);
        Some(Self { version: find("version")?, save: find("save")?, restore: find("restore")? })
    }
}

/// What an instance saved.
pub(crate) enum Saved {
    Snapshot(Snapshot),
    /// More than the limit allows. The instance can still be used.
    TooLarge(Fault),
}

/// The functions for state of one instance.
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

    pub(crate) fn save(&self, store: &mut Store<State>) -> Result<Saved, Fault> {
        instance::start_clock(store, store.data().limits.time);
        let most = store.data().limits.state_bytes;
        // No snapshot is larger than the memory that it comes from. A lower limit would end the call, and an instance whose
        // call ended so cannot make what it holds.
        store.set_hostcall_fuel(store.data().memory_bytes.saturating_add(1 << 10));
        let saved = self.save.call(&mut *store, ());
        let (snapshot,) = saved.map_err(|error| Fault::of(&error, store.data_mut()))?;
        if snapshot.bytes.len() as u64 > most {
            let message = format!("saved {} bytes of state; at most {most} are allowed", snapshot.bytes.len());
            return Ok(Saved::TooLarge(Fault::new(FaultKind::OutputLimit, message)));
        }
        Ok(Saved::Snapshot(snapshot))
    }

    /// Restores the state of an instance, or returns why it cannot; the instance must not be used
    /// then.
    pub(crate) fn restore(&self, store: &mut Store<State>, snapshots: &[Snapshot]) -> Result<(), String> {
        instance::start_clock(store, store.data().limits.time);
        let restored = self.restore.call(&mut *store, (snapshots.to_vec(),));
        restored.map_err(|error| Fault::of(&error, store.data_mut()).to_string())?.0
    }
}
