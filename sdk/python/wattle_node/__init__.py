"""The SDK for Wattle nodes in Python.

The main module has the class `Node`. `event_node` (one event at a time, simple) or `column_node` (all rows of a batch at
once, fast) creates it from a function that takes the options and a `Setup`, and returns the function that decides.
wit/batch.wit has the rules of the decisions.

    import wattle_node as wattle

    def configure(options, setup):
        field = setup.read("field", options["field"])

        def event(event):
            return wattle.DROP("empty") if event.get(field) == "" else None

        return event

    Node = wattle.event_node(
        configure, name="drop-empty", version="1.0.0", summary="Drops events whose field is empty.",
        options={"field": wattle.Option(str)},
    )

Import modules at the top of a file: a node cannot load a module after the component is built. In a node, the standard
library has no clock, randomness, files or network, and `print` has no effect.
"""

from ._batch import Batch, Column, LEAVE, Made, Reasons, column
from ._event import Action, DROP, Event, FAIL, HOLD, KEEP, PORT
from ._node import NodeError, Option, Setup, column_node, event_node

__all__ = [
    "Action", "Batch", "Column", "DROP", "Event", "FAIL", "HOLD", "KEEP", "LEAVE", "Made", "NodeError", "Option", "PORT",
    "Reasons", "Setup", "column", "column_node", "event_node",
]
