"""One event at a time, based on the same columns."""

from __future__ import annotations

from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

from ._batch import Batch, Made, Reasons


class Action(NamedTuple):
    """What to do with an event. None keeps the event."""

    what: str
    port: int = 0
    code: str = ""
    message: str = ""


# Sends the event to port 0.
KEEP = Action("keep")


def PORT(index: int) -> Action:
    """Sends the event to this port."""
    return Action("port", port=index)


def DROP(code: str) -> Action:
    """Drops the event on purpose. The agent counts it under this code, in kebab-case."""
    return Action("drop", code=code)


def FAIL(code: str, message: str) -> Action:
    """Sends the event to the port `failed`, unchanged."""
    return Action("fail", code=code, message=message)


# Ends the event in the memory of the node, which must export `State`.
HOLD = Action("hold")


class Event:
    """The current event."""

    __slots__ = ("_batch", "_columns", "_row", "_rows", "_written")

    def __init__(self, batch: Batch, rows: int) -> None:
        self._batch = batch
        self._rows = rows
        self._row = 0
        self._columns: Dict[int, List[Optional[str]]] = {}
        self._written: Dict[int, List[Optional[str]]] = {}

    def get(self, field: int) -> Optional[str]:
        """The text of a field: strings unescaped, other values as JSON; None if the event does not have the field."""
        column = self._columns.get(field)
        if column is None:
            column = self._columns[field] = self._batch.read_text(field)
        return column[self._row]

    def set(self, field: int, value: str) -> None:
        """Sets a field to a string."""
        values = self._written.get(field)
        if values is None:
            values = self._written[field] = [None] * self._rows
        values[self._row] = value

    def emit(self, port: int, made: Sequence[Made], kind: str = "log") -> None:
        """Makes other events."""
        self._batch.emit(port, made, kind)


def process_events(decide: Callable[[Event], Optional[Action]], batch: Batch) -> None:
    """Makes a decision about every event of a batch."""
    rows = batch.rows
    event = Event(batch, rows)
    ports: Optional[bytearray] = None
    drops: Dict[str, List[int]] = {}
    held: List[int] = []
    reasons = Reasons()
    for row in range(rows):
        event._row = row
        action = decide(event)
        if action is None or action is KEEP:
            continue
        if action.what == "port":
            if ports is None:
                ports = bytearray(rows)
            ports[row] = action.port
        elif action.what == "drop":
            drops.setdefault(action.code, []).append(row)
        elif action.what == "fail":
            reasons.add(row, action.code, action.message)
        elif action.what == "hold":
            held.append(row)
    for field, values in event._written.items():
        batch.set_text(field, values)
    for code, dropped in drops.items():
        batch.drop(dropped, code)
    batch.hold(held)
    batch.fail(reasons)
    if ports is not None:
        batch.route(bytes(ports))
