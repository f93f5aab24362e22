"""State between batches. After a fault, a swap or a restart, the successor of the node receives it.

    from wattle_node import state

    State = state.exported(version=1, save=save, restore=restore)

Define `State` in the main module, beside `Node`, and build the component for the world `stateful-processor` (in
`node.toml`). `save` returns bytes. `restore` receives a list of snapshots, each with `version` and `bytes`, before the
first batch: usually one, several if fewer workers run than when the agent saved them, or if a canary ended. It raises
`NodeError` if it cannot read a snapshot.
"""

from __future__ import annotations

from typing import Callable, List

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import state as contract

from ._node import NodeError, _guarded


def exported(*, version: int, save: Callable[[], bytes], restore: Callable[[List[contract.Snapshot]], None]) -> type:
    """The class `State` of a node, which saves in the format of this version and restores."""

    class State(exports.State):
        def version(self) -> int:
            return version

        def save(self) -> contract.Snapshot:
            return contract.Snapshot(version, _guarded(save))

        def restore(self, snapshots: List[contract.Snapshot]) -> None:
            try:
                _guarded(restore, snapshots)
            except NodeError as error:
                raise Err(str(error))

    return State
