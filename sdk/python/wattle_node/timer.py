"""A node that acts between batches, such as at the end of a window.

    from wattle_node import timer

    Timer = timer.exported(tick)

Define `Timer` in the main module, beside `Node`, and build the component for the world `timed-processor`, or
`stateful-timed-processor` if it also has a `State` (in `node.toml`). The agent calls `tick` with a `Tick` before the first
batch, and then between two batches at the interval of `Setup.tick_every`. It raises `NodeError` to fail, which is a fault.
"""

from __future__ import annotations

from typing import Callable, Sequence

from componentize_py_types import Err
from wit_world import exports

from ._batch import Made, count, emit
from ._node import NodeError, _guarded


class Tick:
    """The call of a timer."""

    __slots__ = ("last", "now")

    def __init__(self, now: int, last: bool) -> None:
        # Nanoseconds since 1970; never decreases.
        self.now = now
        # Whether to make all events that the node still owes: the run ends with its input, or the state is larger than the
        # node may save. The host saves the state afterwards, and more batches can follow.
        self.last = last

    def emit(self, port: int, made: Sequence[Made], kind: str = "log") -> None:
        """Makes events of the kind "log", "metric" or "span", which leave on a port."""
        emit(port, made, kind)

    def count(self, name: str, value: int) -> None:
        """Adds to a count that the agent shows under this name in its summary, metrics and status."""
        count(name, value)


def exported(tick: Callable[[Tick], None]) -> type:
    """The class `Timer` of a node."""

    class Timer(exports.Timer):
        def tick(self, now: int, last: bool) -> None:
            try:
                _guarded(tick, Tick(now, last))
            except NodeError as error:
                raise Err(str(error))

    return Timer
