"""Write a Wattle node in Python.

A node is the class `Node` of its main module, made with `event_node` (one event at a time, simple) or `column_node` (all
rows of a batch at once, fast) from a function that takes the options and a `Setup` and answers with the function that
decides. The decisions are those of wit/batch.wit, where their rules stand.

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

Modules must be imported at the top of a file: what is not there when the component is made cannot be loaded later. There
is no clock, no randomness, no file and no network, and what is printed goes nowhere.
"""

from ._batch import Batch, Column, Reasons, column
from ._event import Action, DROP, Event, FAIL, KEEP, PORT
from ._node import NodeError, Option, Setup, column_node, event_node

__all__ = [
    "Action", "Batch", "Column", "DROP", "Event", "FAIL", "KEEP", "NodeError", "Option", "PORT", "Reasons", "Setup",
    "column", "column_node", "event_node",
]
