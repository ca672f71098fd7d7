"""One node's turn: from its values to the arguments of its calls, and from what those give to outputs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from graph.context import Cancelled, LiveGraph
from graph.document import Link
from graph.given import Blocked, Many
from graph.model import Task
from graph.paths import Paths, Where
from graph.saving import Ledger, Series
from graph.schema import Schema

T = TypeVar("T")
SPECIAL = (Many, Blocked)


class Host(Protocol):
    """What a node's context needs of the run that it belongs to."""

    paths: Paths
    prompt: Mapping[str, Any]
    extra_pnginfo: Mapping[str, Any]

    @property
    def live(self) -> LiveGraph:
        """The nodes of the run."""

    @property
    def is_cancelled(self) -> bool:
        """Whether the run shall end."""

    def resources(self, lane: str) -> Mapping[type, Any]:
        """What nodes on that lane can ask for."""

    def ledger(self, node_id: str) -> Ledger | None:
        """Where the names of files that a node claims are on record."""

    def report(self, node_id: str, display_id: str, value: float, total: float, preview: object | None) -> None:
        """Tell of a node's progress."""


class Source(Protocol):
    """What arguments() needs to know of a work."""

    @property
    def leader(self) -> Source: ...
    @property
    def outputs(self) -> tuple[Any, ...] | None: ...


class NodeContext:
    """The Context of one running node; `shown` collects its UI output."""

    __slots__ = ("_display_id", "_host", "_lane", "_parent", "_series", "call", "is_over", "node_id", "shown")

    def __init__(self, host: Host, node_id: str, display_id: str = "", lane: str = "") -> None:
        self._host = host
        self._display_id = display_id or node_id
        self._lane = lane
        self._parent: NodeContext | None = None
        self._series: list[Series] = []
        self.node_id = node_id
        self.call = 0
        self.is_over = False  # nobody waits for this node any more
        self.shown: dict[str, list[Any]] = {}

    def of_call(self, call: int) -> NodeContext:
        """The context of another of the node's calls. What is shown and saved there counts here."""
        other = NodeContext(self._host, self.node_id, self._display_id, self._lane)
        other.call, other.shown, other._series, other._parent = call, self.shown, self._series, self
        return other

    @property
    def files(self) -> tuple[str, ...]:
        """The files that the node saved: those of its series, and those that it shows, since some save on their own."""
        saved = (path for series in self._series for path in series.files)
        return tuple(dict.fromkeys(str(path) for path in (*saved, *self._shown_files())))

    def _shown_files(self) -> Iterator[Path]:
        for entries in self.shown.values():
            for entry in entries:
                match entry:
                    case {"filename": str(name), "type": "output" | "temp" as where}:
                        path = self.paths.folders[where] / str(entry.get("subfolder", "")) / name
                        if path.is_file():
                            yield path

    @property
    def prompt(self) -> Mapping[str, Any]:
        """The whole workflow in API form, with its values converted."""
        return self._host.prompt

    @property
    def extra_pnginfo(self) -> Mapping[str, Any]:
        """Further metadata to save with results."""
        return self._host.extra_pnginfo

    @property
    def live(self) -> LiveGraph:
        """The workflow as it is now."""
        return self._host.live

    @property
    def paths(self) -> Paths:
        """The one resolver of file names."""
        return self._host.paths

    def progress(self, value: float, total: float, preview: object | None = None) -> None:
        """Report that `value` of `total` units are done. Raises Cancelled when the run is cancelled."""
        self.check_cancelled()
        self._host.report(self.node_id, self._display_id, value, total, preview)

    def check_cancelled(self) -> None:
        """Raise Cancelled when the run is cancelled."""
        if self._host.is_cancelled or self.is_over or (self._parent is not None and self._parent.is_over):
            raise Cancelled

    def show(self, key: str, entries: Sequence[Any]) -> None:
        """Add entries to this node's UI output."""
        self.shown.setdefault(key, []).extend(entries)

    def series(self, prefix: str, where: Where = "output", *, width: int = 0, height: int = 0) -> Series:
        """Numbered names for files to save, see Paths.series()."""
        ledger = self._host.ledger(self.node_id)
        made = self.paths.series(prefix, where, width=width, height=height, ledger=ledger)
        self._series.append(made)
        return made

    def resource(self, kind: type[T]) -> T:
        """The object of that type that the program was started with. Raises LookupError when there is none."""
        for known, resource in self._host.resources(self._lane).items():
            if issubclass(known, kind):
                return resource  # type: ignore[no-any-return]
        raise LookupError(f"this engine was given no {kind.__name__}")


def arguments(task: Task, works: Sequence[Source], asked: frozenset[str]) -> dict[str, Any]:
    """The values of all inputs that are given: literals, and what the sources gave; None for what was not asked for."""
    schema, lazy = task.schema, task.lazy
    found = {name: value for name, value in task.spec.inputs.items() if not isinstance(value, Link)}
    for name, index, output in task.wires:
        if schema.raw_names and name in schema.raw_names:
            found[name] = task.spec.inputs[name]
        elif lazy and name in lazy and name not in asked:
            found[name] = None
        else:
            outputs = works[index].leader.outputs
            assert outputs is not None, f"node {task.id} runs before its input {name} is there"
            found[name] = outputs[output]
    return found


def split(schema: Schema, result: Any) -> tuple[Any, ...]:
    """A node's result as one value per output. Raises TypeError if their number or type is wrong."""
    outputs = schema.outputs
    if len(outputs) == 1:
        values: tuple[Any, ...] = (result,)
    elif not outputs and result is None:
        return ()
    elif not outputs or not isinstance(result, tuple) or len(result) != len(outputs):
        given = f"a tuple of {len(result)}" if isinstance(result, tuple) else type(result).__name__
        raise TypeError(f"it declares {len(outputs)} outputs but gave {given}; that is a fault of the node class")
    else:
        values = tuple(result)
    for output, value in zip(outputs, values, strict=True):
        if output.kind is None or output.whole or isinstance(value, output.kind) or type(value) in SPECIAL:
            continue
        raise TypeError(
            f"it declares its output {output.name} as {output.type}, but gave {type(value).__name__}; "
            "that is a fault of the node class"
        )
    return values


# ── several values on a wire ──────────────────────────────────────────────────────────────────────────────────────────


def calls(schema: Schema, given: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The arguments of each call, where there are lists among the values; None for one call with them as they are.

    Of lists that travel on a wire each call takes one value; a list that is too short repeats its last. An empty one
    makes no call at all. What an input wants as a whole list it gets so in each call.
    """
    if not (schema.takes_lists or schema.whole_names or any(type(value) is Many for value in given.values())):
        return None
    whole = {name for name in given if schema.takes_lists or name in schema.whole_names}
    lists = {name: value for name, value in given.items() if type(value) is Many and name not in whole}
    count = 1
    if lists:
        count = 0 if not all(lists.values()) else max(map(len, lists.values()))
    fixed = {name: _as_list(value) if name in whole else value for name, value in given.items() if name not in lists}
    return [
        {name: lists[name][min(number, len(lists[name]) - 1)] if name in lists else fixed[name] for name in given}
        for number in range(count)
    ]


def blocked(given: Mapping[str, Any], schema: Schema) -> Blocked | None:
    """What blocks a call with these arguments."""
    for name, value in given.items():
        if type(value) is Blocked:
            return value
        if type(value) is list and (schema.takes_lists or name in schema.whole_names):
            for each in value:
                if type(each) is Blocked:
                    return each
    return None


def merge(schema: Schema, results: Sequence[tuple[Any, ...]], *, mapped: bool) -> tuple[Any, ...]:
    """The outputs of a task from those of its calls. Raises TypeError for an output that is no list but should be."""
    if not mapped and not any(output.whole for output in schema.outputs):
        return results[0]
    columns: list[Any] = []
    for number, output in enumerate(schema.outputs):
        column = [result[number] for result in results]
        if not mapped and (not output.whole or type(column[0]) is Blocked):
            columns.append(column[0])
            continue
        values: list[Any] = []
        for value in column:
            if type(value) is Blocked or not (output.whole or type(value) is Many):
                values.append(value)
            elif isinstance(value, list | tuple):
                values.extend(value)
            else:
                raise TypeError(
                    f"it declares its output {output.name} as a list, but gave {type(value).__name__}; "
                    "that is a fault of the node class"
                )
        columns.append(values[0] if len(values) == 1 else Many(values))
    return tuple(columns)


def _as_list(value: Any) -> list[Any]:
    return list(value) if type(value) is Many else [value]


async def together(results: Sequence[Any]) -> list[Any]:
    """What all calls of an async node give in the end; when one fails, the others are cancelled."""
    waits = [asyncio.ensure_future(_contained(each)) for each in results if isinstance(each, Awaitable)]
    try:
        given = iter(await asyncio.gather(*waits))
    except BaseException:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)  # they may have something to tidy up
        raise
    return [next(given) if isinstance(each, Awaitable) else each for each in results]


async def _contained(wait: Awaitable[Any]) -> Any:
    """What it gives. A node that would end the program, which asyncio lets pass, has failed like any other."""
    try:
        return await wait
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"it raised {type(error).__name__}: {error}") from error


# ── values in other people's hands ────────────────────────────────────────────────────────────────────────────────────


def shells(value: Any) -> Any:
    """The value in new dicts and lists, so that nobody else sees what is put into them or taken out."""
    if type(value) is dict:
        return {key: shells(each) for key, each in value.items()}
    if type(value) is list:
        return [shells(each) for each in value]
    if type(value) is tuple:
        return tuple(shells(each) for each in value)
    return value
