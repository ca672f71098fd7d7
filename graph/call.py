"""One node's turn: from its values to an instance, and from what it gives to outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from graph.context import Cancelled
from graph.document import Link
from graph.model import Task
from graph.node import Node
from graph.paths import Paths
from graph.schema import Schema

T = TypeVar("T")


class Host(Protocol):
    """What a node's context needs of the run that it belongs to."""

    paths: Paths
    prompt: Mapping[str, Any]
    extra_pnginfo: Mapping[str, Any]
    resources: Mapping[type, Any]

    @property
    def is_cancelled(self) -> bool:
        """Whether the run shall end."""

    def report(self, node_id: str, value: float, total: float, preview: object | None) -> None:
        """Tell of a node's progress."""


class NodeContext:
    """The Context of one running node; `shown` collects its UI output."""

    __slots__ = ("_host", "node_id", "shown")

    def __init__(self, host: Host, node_id: str) -> None:
        self._host = host
        self.node_id = node_id
        self.shown: dict[str, list[Any]] = {}

    @property
    def prompt(self) -> Mapping[str, Any]:
        """The whole workflow in API form, with its values converted."""
        return self._host.prompt

    @property
    def extra_pnginfo(self) -> Mapping[str, Any]:
        """Further metadata to save with results."""
        return self._host.extra_pnginfo

    @property
    def paths(self) -> Paths:
        """The one resolver of file names."""
        return self._host.paths

    def progress(self, value: float, total: float, preview: object | None = None) -> None:
        """Report that `value` of `total` units are done. Raises Cancelled when the run is cancelled."""
        self.check_cancelled()
        self._host.report(self.node_id, value, total, preview)

    def check_cancelled(self) -> None:
        """Raise Cancelled when the run is cancelled."""
        if self._host.is_cancelled:
            raise Cancelled

    def show(self, key: str, entries: Sequence[Any]) -> None:
        """Add entries to this node's UI output."""
        self.shown.setdefault(key, []).extend(entries)

    def resource(self, kind: type[T]) -> T:
        """The object of that type that the program was started with. Raises LookupError when there is none."""
        for known, resource in self._host.resources.items():
            if issubclass(known, kind):
                return resource  # type: ignore[no-any-return]
        raise LookupError(f"this engine was given no {kind.__name__}")


def instance(task: Task, values: Sequence[tuple[Any, ...] | None], leaders: Sequence[int]) -> Node[Any]:
    """The node with real values. `values` are outputs by task, `leaders` the task whose outputs each task shares."""
    arguments = {name: value for name, value in task.spec.inputs.items() if not isinstance(value, Link)}
    for name, index, output in task.wires:
        source = values[leaders[index]]
        assert source is not None, f"node {task.id} runs before its input {name} is there"
        arguments[name] = source[output]
    return task.spec.node.build(arguments)


def split(schema: Schema, result: Any) -> tuple[Any, ...]:
    """A node's result as one value per output. Raises TypeError if their number is wrong."""
    count = len(schema.outputs)
    if count == 1:
        return (result,)
    if count == 0 and result is None:
        return ()
    if count == 0 or not isinstance(result, tuple) or len(result) != count:
        given = f"a tuple of {len(result)}" if isinstance(result, tuple) else type(result).__name__
        raise TypeError(f"it declares {count} outputs but gave {given}; that is a fault of the node class")
    return tuple(result)
