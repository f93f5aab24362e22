"""All example nodes in one component. The options `node` and `face` select one, because the
conformance suite checks all of them. Your component has one node: see templates/python."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import node as contract

import add_field
import count
import decisions
import drop_if
import memory
import require
import wattle_node as wattle
from wattle_node import state, timer

chosen = None
chosen_module = None

NODES = {
    "add-field": add_field, "count": count, "decisions": decisions, "drop-if": drop_if, "memory": memory,
    "require": require,
}


class Node(exports.Node):
    def describe(self) -> contract.Description:
        return contract.Description("examples", "1.0.0", "The example nodes.", "{}", False)

    def configure(self, options: str) -> contract.Configured:
        global chosen, chosen_module
        try:
            given = json.loads(options)
            node, face = given.pop("node"), given.pop("face")
            made = {"events": "Events", "columns": "Columns"}[face]
            chosen_module = NODES[node]
            chosen = getattr(chosen_module, made)()
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Err([contract.OptionError("node", f"there is no such node with this face: {error}")])
        return chosen.configure(json.dumps(given))

    def process(self) -> None:
        chosen.process()


# A node without state saves nothing, and refuses any other state.
def save():
    return chosen_module.save() if hasattr(chosen_module, "save") else b""


def restore(snapshots):
    if hasattr(chosen_module, "restore"):
        chosen_module.restore(snapshots)
    elif any(snapshot.version != 1 or snapshot.bytes for snapshot in snapshots):
        raise wattle.NodeError("this node keeps no state")


# A node without a timer asks for no ticks, but the host can make one.
def tick(tick):
    if hasattr(chosen_module, "tick"):
        chosen_module.tick(tick)


State = state.exported(version=1, save=save, restore=restore)
Timer = timer.exported(tick)
