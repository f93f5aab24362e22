//! Damaged snapshots.

use serde_json::Value;

use crate::native::Native;
use crate::node::{Node, Snapshot, Stateful};

fn restored<N: Node + Stateful>(options: &Value, snapshots: Vec<Snapshot>) -> Result<Native<N>, String> {
    let mut node = Native::<N>::configure("node", &options.to_string()).map_err(|errors| format!("{errors:?}"))?;
    node.restore(snapshots)?;
    Ok(node)
}

/// Checks that a node restores a snapshot, and refuses it with another version, cut off anywhere, and with any bit
/// changed, also after an intact one.
///
/// # Errors
///
/// What the node did instead.
pub fn check_damaged_snapshots<N: Node + Stateful>(options: &Value, saved: &Snapshot) -> Result<(), String> {
    let restore = |version: u32, bytes: Vec<u8>| {
        restored::<N>(options, vec![saved.clone(), Snapshot { version, bytes }]).map(|_| ())
    };
    restored::<N>(options, vec![saved.clone()])?;
    match restore(saved.version + 1, saved.bytes.clone()) {
        Err(error) if error.contains(&format!("version {}", saved.version + 1)) => {}
        other => return Err(format!("another version: {other:?}")),
    }
    for length in 0..saved.bytes.len() {
        let part = saved.bytes.get(..length).unwrap_or_default();
        if restore(saved.version, part.to_vec()).is_ok() {
            return Err(format!("restored the first {length} of {} bytes", saved.bytes.len()));
        }
    }
    for place in 0..saved.bytes.len() {
        for bit in 0..8 {
            let mut bytes = saved.bytes.clone();
            bytes.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 1 << bit);
            if restore(saved.version, bytes).is_ok() {
                return Err(format!("restored a snapshot whose bit {bit} of byte {place} is changed"));
            }
        }
    }
    Ok(())
}

/// Changes each byte of a snapshot to several values, and hands nodes that restore the result to `use_node`, which must
/// not panic. `seal` computes the checksum that a snapshot ends with, so that nodes cannot refuse all of them by it.
///
/// # Errors
///
/// The snapshot does not end with its checksum, or the node restores none.
pub fn check_forged_snapshots<N: Node + Stateful>(
    options: &Value,
    saved: &Snapshot,
    seal: impl Fn(&[u8]) -> [u8; 8],
    mut use_node: impl FnMut(Native<N>),
) -> Result<(), String> {
    let Some((content, sum)) = saved.bytes.split_last_chunk::<8>() else { return Err("it has no checksum".into()) };
    if *sum != seal(content) {
        return Err("it does not end with its checksum".into());
    }
    let mut restores = 0_usize;
    for place in 0..content.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = content.to_vec();
            bytes.iter_mut().skip(place).take(1).for_each(|byte| *byte = value);
            let sum = seal(&bytes);
            bytes.extend_from_slice(&sum);
            if let Ok(node) = restored::<N>(options, vec![Snapshot { version: saved.version, bytes }]) {
                restores += 1;
                use_node(node);
            }
        }
    }
    if restores == 0 { Err("the node refused all snapshots".into()) } else { Ok(()) }
}
