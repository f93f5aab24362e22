"""All example nodes in one component, which takes the option `node` to say which one it is, and `face`, because the
conformance suite checks all of them. A component of one's own has one node: see templates/python."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import node as contract

import add_field
import count
import decisions
import drop_if
import require

chosen = None

NODES = {"add-field": add_field, "count": count, "decisions": decisions, "drop-if": drop_if, "require": require}


class Node(exports.Node):
    def describe(self) -> contract.Description:
        return contract.Description("examples", "1.0.0", "The example nodes.", "{}", False)

    def configure(self, options: str) -> contract.Configured:
        global chosen
        try:
            given = json.loads(options)
            node, face = given.pop("node"), given.pop("face")
            made = {"events": "Events", "columns": "Columns"}[face]
            chosen = getattr(NODES[node], made)()
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Err([contract.OptionError("node", f"there is no such node with this face: {error}")])
        return chosen.configure(json.dumps(given))

    def process(self) -> None:
        chosen.process()
