//! Configures an instance: for one node or for several in a row, in each version of the contract.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::Store;
use wattle_batch::FieldPath;
use wattle_plan::Sharing;

use super::Exports;
use crate::bindings::{Configured, ConfiguredV01, Contract, GivenSharing, GuestOptionError};
use crate::state::State;

/// The options of an instance.
#[derive(Clone, Copy)]
pub(crate) enum Options<'a> {
    /// Of one node.
    One(&'a str),
    /// Of several nodes in a row, whose work it does.
    Several(&'a [Arc<str>]),
}

/// What a node asked for in `configure`, beside its ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Requested {
    /// Time between two calls of the timer; `None` without a timer.
    pub(crate) tick: Option<Duration>,
    /// How workers share its state.
    pub(crate) sharing: Sharing,
}

/// Configures an instance. Both versions of the contract differ in the record that it returns.
pub(super) fn configure(
    store: &mut Store<State>,
    instance: &wasmtime::component::Instance,
    exports: &Exports,
    options: Options<'_>,
) -> wasmtime::Result<Result<Configured, Vec<GuestOptionError>>> {
    type Answer<T> = (Result<T, Vec<GuestOptionError>>,);
    let options = match (options, &exports.fuse) {
        (Options::One(options), _) => options,
        (Options::Several(options), Some(fuse)) => {
            let fuse = instance.get_typed_func::<(&[&str],), (bool,)>(&mut *store, fuse)?;
            let options: Vec<&str> = options.iter().map(|options| &**options).collect();
            let (is_fused,) = fuse.call(store, (&options,))?;
            // The nodes have one port each.
            let ports = vec!["out".to_owned()];
            let configured = Configured { ports, tick_milliseconds: None, sharing: GivenSharing::Worker };
            return Ok(is_fused.then_some(configured).ok_or_else(Vec::new));
        }
        (Options::Several(_), None) => return Ok(Err(Vec::new())),
    };
    match exports.contract {
        Contract::V01 => {
            let configure =
                instance.get_typed_func::<(&str,), Answer<ConfiguredV01>>(&mut *store, &exports.configure)?;
            let (answer,) = configure.call(store, (options,))?;
            let whole =
                |ConfiguredV01 { ports }| Configured { ports, tick_milliseconds: None, sharing: GivenSharing::Worker };
            Ok(answer.map(whole))
        }
        Contract::V02 => {
            let configure = instance.get_typed_func::<(&str,), Answer<Configured>>(&mut *store, &exports.configure)?;
            Ok(configure.call(store, (options,))?.0)
        }
    }
}

/// Shortest time between two calls of a timer.
const MIN_TICK: Duration = Duration::from_millis(10);

/// What the node asked for in `configure`.
pub(super) fn requested(configured: &Configured, exports: &Exports) -> Result<Requested, String> {
    let tick = match (configured.tick_milliseconds, exports.has_timer()) {
        (Some(_), false) => return Err("`configure` returned a tick interval, but the node has no `timer`".into()),
        (Some(milliseconds), true) => Some(Duration::from_millis(milliseconds.into()).max(MIN_TICK)),
        // With other options the node may need no ticks.
        (None, _) => None,
    };
    if !matches!(configured.sharing, GivenSharing::Worker) && exports.state.is_none() {
        return Err("`configure` returned how to share state, but the node exports no `state`".into());
    }
    if let GivenSharing::Key(fields) = &configured.sharing {
        if fields.is_empty() {
            return Err("`configure` returned a key without fields".into());
        }
        for field in fields {
            FieldPath::parse(field).map_err(|error| format!("`configure` returned a bad key: {error}"))?;
        }
    }
    Ok(Requested { tick, sharing: configured.sharing.clone().into() })
}

pub(super) fn check_ports(ports: &[String]) -> Result<(), String> {
    if ports.is_empty() || ports.len() > 255 {
        return Err(format!("`configure` returned {} ports; 1 to 255 are possible", ports.len()));
    }
    for (index, port) in ports.iter().enumerate() {
        if port == "failed" || ports.iter().take(index).any(|p| p == port) {
            return Err(format!("`configure` returned the port `{port}`, which is reserved or a duplicate"));
        }
    }
    Ok(())
}
