"""The batch of a call: reads its columns and makes decisions about its rows."""

from __future__ import annotations

import json
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from wit_world.imports import batch as host
from wit_world.imports import events
from wit_world.imports.types import Column, EventKind, Form, Reason

# The value that leaves the time of a row unchanged, for `Batch.set_timestamp`.
LEAVE = -(2**63)


def column(values: Iterable[Optional[bytes]]) -> Column:
    """A column of bytes; rows of None have no value."""
    rows = list(values)
    offsets, at = [0], 0
    for row in rows:
        at += len(row) if row is not None else 0
        offsets.append(at)
    kinds = bytes(0 if row is None else 4 for row in rows)
    return Column(b"".join(row for row in rows if row is not None), offsets, kinds)


def _form(name: str) -> Form:
    return Form.JSON if name == "json" else Form.TEXT


class Made(NamedTuple):
    """An event that a node makes. Give it an attribute `id` that depends only on what the event is about: after a crash, the
    node can make it again. `timestamp` is in nanoseconds since 1970."""

    body: str
    attributes: Optional[Dict[str, Any]] = None
    timestamp: Optional[int] = None


_KINDS = {"log": EventKind.LOG, "metric": EventKind.METRIC, "span": EventKind.SPAN}


def emit(port: int, made: Sequence[Made], kind: str = "log") -> None:
    """Makes events that have no parent, of the kind "log", "metric" or "span". They leave on a port after the rows of the
    batch."""
    if made:
        attributes = (None if event.attributes is None else json.dumps(event.attributes).encode() for event in made)
        times = [LEAVE if event.timestamp is None else event.timestamp for event in made]
        events.emit(port, _KINDS[kind], column(event.body.encode() for event in made), column(attributes), times)


def count(name: str, value: int) -> None:
    """Adds to a count that the agent shows under this name in its summary, metrics and status."""
    if value > 0:
        host.count(name, value)


class Reasons:
    """Rows that fail, with reasons. Neighbouring rows with the same reason share it."""

    def __init__(self) -> None:
        self.rows: List[int] = []
        self.which: List[int] = []
        self.reasons: List[Reason] = []
        self._known: dict[Tuple[str, str], int] = {}

    def add(self, row: int, code: str, message: str) -> None:
        which = self._known.get((code, message))
        if which is None:
            which = self._known[(code, message)] = len(self.reasons)
            self.reasons.append(Reason(code, message))
        self.rows.append(row)
        self.which.append(which)


class Batch:
    """The batch of the current call. A field is a handle from `Setup`; a form is "text" or "json"."""

    @property
    def rows(self) -> int:
        return host.rows()

    @property
    def redelivered(self) -> bool:
        """Whether the source offered the batch before."""
        return host.redelivered()

    def read_text(self, field: int) -> List[Optional[str]]:
        """The text of the field of every row."""
        return host.read_text(field)

    def read(self, field: int, form: str = "text") -> Column:
        """The field of every row as bytes: row i is `bytes[offsets[i]:offsets[i + 1]]`, of the kind `kinds[i]`."""
        return host.read(field, _form(form))

    def check_json(self, field: int) -> bytes:
        """The JSON kind of each row's text, 0 if it is not valid JSON."""
        return host.check_json(field)

    def set_text(self, field: int, values: List[Optional[str]]) -> None:
        """Sets a field to strings; rows of None stay unchanged."""
        host.set_text(field, values)

    def set(self, field: int, form: str, values: Column) -> None:
        host.set(field, _form(form), values)

    def set_json_from(self, target: int, source: int, rows: bytes) -> None:
        host.set_json_from(target, source, rows)

    def set_timestamp(self, nanoseconds: List[int]) -> None:
        host.set_timestamp(nanoseconds)

    def replace(self, field: int, form: str, starts: List[int], ends: List[int], texts: Sequence[bytes]) -> None:
        host.replace(field, _form(form), starts, ends, column(texts))

    def split(
        self,
        field: int,
        form: str,
        spans: Sequence[Tuple[int, int, int]],
        prefix: bytes = b"",
        suffix: bytes = b"",
    ) -> None:
        """Splits rows; a span is (row, first byte, byte after the last)."""
        parents, starts, ends = ([span[i] for span in spans] for i in range(3))
        host.split(field, _form(form), parents, starts, ends, prefix, suffix)

    def split_into(self, parents: List[int], bodies: Sequence[bytes]) -> None:
        host.split_into(parents, column(bodies))

    def combine(self, groups: Sequence[Sequence[int]], bodies: Sequence[bytes]) -> None:
        """Makes one event of each group of rows, with these bodies; everything else comes from the first row of a group."""
        if groups:
            offsets = [0]
            for group in groups:
                offsets.append(offsets[-1] + len(group))
            host.combine([row for group in groups for row in group], offsets, column(bodies))

    def hold(self, rows: List[int]) -> None:
        """Ends rows in the memory of the node, which must export `State`."""
        if rows:
            host.hold(rows)

    def emit(self, port: int, made: Sequence[Made], kind: str = "log") -> None:
        """Makes events that have no parent; see `emit`."""
        emit(port, made, kind)

    def drop(self, rows: List[int], code: str) -> None:
        if rows:
            host.drop(rows, code)

    def route(self, ports: bytes) -> None:
        """Sets the port of each row or, after a split, of each child."""
        host.route(ports)

    def copy_to(self, port: int, rows: List[int]) -> None:
        if rows:
            host.copy_to(port, rows)

    def fail(self, reasons: Reasons) -> None:
        if reasons.rows:
            host.fail(reasons.rows, reasons.which, reasons.reasons)

    def count(self, name: str, value: int) -> None:
        """Adds to a count that the agent shows under this name in its summary, metrics and status."""
        count(name, value)
