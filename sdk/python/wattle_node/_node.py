"""Creates the exports of a component from a definition."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import node as contract
from wit_world.imports import diagnostics, fields
from wit_world.imports.fields import Access

from ._batch import Batch
from ._event import process_events

_NOTHING = object()
_TYPES = {
    str: ("string", "a string"),
    int: ("integer", "a whole number"),
    float: ("number", "a number"),
    bool: ("boolean", "true or false"),
    list: ("array", "a list"),
    dict: ("object", "a table"),
}


class Option(NamedTuple):
    """An option of the node. An option without a default is required. Unknown options are refused."""

    type: type
    default: Any = _NOTHING
    description: str = ""
    enum: Optional[Sequence[Any]] = None

    def fits(self, value: Any) -> bool:
        if isinstance(value, bool):
            return self.type is bool
        return isinstance(value, (int, float) if self.type is float else self.type)

    def schema(self) -> Dict[str, Any]:
        made: Dict[str, Any] = {"type": _TYPES[self.type][0]}
        if self.description:
            made["description"] = self.description
        if self.enum is not None:
            made["enum"] = list(self.enum)
        if self.default is not _NOTHING:
            made["default"] = self.default
        return made


class NodeError(Exception):
    """Raised to fail every row of the batch on purpose. Any other exception is a fault, like a panic."""


class Setup:
    """The set-up of the node. `option` names the option that contains a path, "" for none."""

    def __init__(self) -> None:
        self._ports = ["out"]
        self._tick: Optional[int] = None
        self._sharing: contract.Sharing = contract.Sharing_Worker()
        self._errors: List[contract.OptionError] = []

    def read(self, option: str, path: str) -> int:
        """Resolves a path to read."""
        return self._resolve(option, path, Access.READ)

    def write(self, option: str, path: str) -> int:
        """Resolves a path to set."""
        return self._resolve(option, path, Access.WRITE)

    def change(self, option: str, path: str) -> int:
        """Resolves a path to read and to change."""
        return self._resolve(option, path, Access.READ | Access.WRITE)

    def ports(self, names: Sequence[str]) -> None:
        """Names the output ports, port 0 first. Default: one port, `out`."""
        self._ports = list(names)

    def tick_every(self, milliseconds: int) -> None:
        """Asks for a tick at this interval, at least 10; see `wattle_node.timer`."""
        self._tick = milliseconds

    def share_single(self) -> None:
        """All workers share one instance. By default, each has an instance of its own."""
        self._sharing = contract.Sharing_Single()

    def share_by_key(self, paths: Sequence[str]) -> None:
        """Workers share a fixed number of instances, each for some of the keys, which are the texts of these fields."""
        self._sharing = contract.Sharing_Key(list(paths))

    def error(self, option: str, message: str) -> None:
        """Reports an error in an option."""
        self._errors.append(contract.OptionError(option, message))

    def _resolve(self, option: str, path: str, access: Access) -> int:
        try:
            return fields.resolve(path, access)
        except Err as error:
            self.error(option, error.value)
            return 0


def event_node(configure: Callable[[Dict[str, Any], Setup], Any], **about: Any) -> type:
    """The class `Node` of a node that decides about one event at a time; `about` has the arguments of `column_node`."""

    def decides(options: Dict[str, Any], setup: Setup) -> Callable[[Batch], None]:
        decide = configure(options, setup)
        return lambda batch: process_events(decide, batch)

    return column_node(decides, **about)


def column_node(
    configure: Callable[[Dict[str, Any], Setup], Any],
    *,
    name: str,
    version: str,
    summary: str,
    options: Optional[Dict[str, Option]] = None,
    masks: bool = False,
) -> type:
    """The class `Node` of a node that decides about all rows of a batch at once."""
    spec = options or {}
    # The host calls each export on a separate object, so the configured node is stored outside of them.
    process: Optional[Callable[[Batch], None]] = None

    class Node(exports.Node):
        def describe(self) -> contract.Description:
            return contract.Description(name, version, summary, json.dumps(_schema(spec)), masks)

        def configure(self, options: str) -> contract.Configured:
            nonlocal process
            setup = Setup()
            given = _checked(spec, options, setup)
            if not setup._errors:
                process = _guarded(configure, given, setup)
            if setup._errors:
                raise Err(setup._errors)
            return contract.Configured(setup._ports, setup._tick, setup._sharing)

        def process(self) -> None:
            try:
                _guarded(process, Batch())
            except NodeError as error:
                raise Err(str(error))

    return Node


def _guarded(function: Any, *arguments: Any) -> Any:
    """Calls a function, and reports an exception to the host before it ends the call, with message and traceback."""
    try:
        return function(*arguments)
    except NodeError:
        raise
    except BaseException as error:
        diagnostics.panicked(_told(error))
        raise


def _told(error: BaseException) -> str:
    """An exception and its position, without source lines: the module `traceback` would look for files that do not exist."""
    lines, at = [f"{type(error).__name__}: {error}"], error.__traceback__
    while at is not None:
        code = at.tb_frame.f_code
        lines.append(f"  {code.co_filename}:{at.tb_lineno} in {code.co_name}")
        at = at.tb_next
    return "\n".join(lines)


def _checked(spec: Dict[str, Option], text: str, setup: Setup) -> Dict[str, Any]:
    """The options with their defaults."""
    try:
        given = json.loads(text)
    except ValueError as error:
        setup.error("", f"the options are not JSON: {error}")
        return {}
    if not isinstance(given, dict):
        setup.error("", "the options must be a JSON object")
        return {}
    for key in given:
        if key not in spec:
            setup.error(key, f"unknown option; there are {', '.join(spec) or 'none'}")
    found = {}
    for key, option in spec.items():
        if key not in given:
            if option.default is _NOTHING:
                setup.error("", f"missing option `{key}`")
            found[key] = option.default
        elif not option.fits(given[key]):
            setup.error(key, f"must be {_TYPES[option.type][1]}")
        elif option.enum is not None and given[key] not in option.enum:
            setup.error(key, f"{json.dumps(given[key])} is not one of {', '.join(map(str, option.enum))}")
        else:
            found[key] = given[key]
    return found


def _schema(spec: Dict[str, Option]) -> Dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": False,
        "properties": {key: option.schema() for key, option in spec.items()},
        "required": [key for key, option in spec.items() if option.default is _NOTHING],
    }
