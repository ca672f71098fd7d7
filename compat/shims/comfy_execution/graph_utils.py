"""ComfyUI's module comfy_execution.graph_utils: what nodes use to write down the graph that they expand to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from graph.given import Blocked as ExecutionBlocker

__all__ = ["ExecutionBlocker", "GraphBuilder", "Node", "add_graph_prefix", "is_link"]

LONGEST = 60  # characters of an id that are put into another one
Prefix = tuple[str, int, int]  # the node that makes graphs, which call of it this is, how many graphs there were before
PREFIX: ContextVar[Prefix] = ContextVar("prefix", default=("", 0, 0))


def is_link(value: object) -> bool:
    """Whether it is a link in API form: ["node id", number of the output]."""
    match value:
        case [str(), bool()]:
            return False
        case [str(), int() | float()]:
            return isinstance(value, list)
    return False


class Node:
    """A node of a graph that is being built."""

    def __init__(self, id: str, class_type: str, inputs: Mapping[str, Any]) -> None:
        self.id = id
        self.class_type = class_type
        self.inputs = dict(inputs)
        self.override_display_id: str | None = None

    def out(self, index: int) -> list[Any]:
        """A link to one of its outputs."""
        return [self.id, index]

    def set_input(self, key: str, value: Any) -> None:
        """Give an input a value or a link; None takes it away."""
        if value is None:
            self.inputs.pop(key, None)
        else:
            self.inputs[key] = value

    def get_input(self, key: str) -> Any:
        """What an input was given, or None."""
        return self.inputs.get(key)

    def set_override_display_id(self, override_display_id: str) -> None:
        """Name the node of the workflow that shall stand for it, instead of the one that makes it."""
        self.override_display_id = override_display_id

    def serialize(self) -> dict[str, Any]:
        """The node in API form."""
        found: dict[str, Any] = {"class_type": self.class_type, "inputs": self.inputs}
        if self.override_display_id is not None:
            found["override_display_id"] = self.override_display_id
        return found


class GraphBuilder:
    """A graph to expand to. Ids are the same each time that the same node makes the same graph.

    They say which node made it in which call, and begin with the id of the node in the workflow that it came from.
    """

    def __init__(self, prefix: str | None = None) -> None:
        self.prefix = self.alloc_prefix() if prefix is None else prefix
        self.nodes: dict[str, Node] = {}
        self._unnamed = 0

    @classmethod
    def set_default_prefix(cls, root: str, call_index: int, graph_index: int = 0) -> None:
        """Begin the ids of graphs that are made from now on, in this call of this node, with these."""
        PREFIX.set((root, call_index, graph_index))

    @classmethod
    def alloc_prefix(cls) -> str:
        """What begins the ids of the next graph."""
        root, call, number = PREFIX.get()
        PREFIX.set((root, call, number + 1))
        return f"{_shortened(root)}.{call}.{number}."

    def node(self, class_type: str, id: str | None = None, **inputs: Any) -> Node:
        """A new node, or the one that has that id already."""
        if id is None:
            self._unnamed += 1
            id = str(self._unnamed)
        full = self._full(id)
        return self.nodes.setdefault(full, Node(full, class_type, inputs))

    def lookup_node(self, id: str) -> Node | None:
        """The node that was made with that id."""
        return self.nodes.get(self._full(id))

    def replace_node_output(self, node_id: str, index: int, new_value: Any) -> None:
        """Give whatever is linked to that output the new value or link instead; None takes the input away."""
        old = [self._full(node_id), index]
        for node in self.nodes.values():
            for key in [key for key, value in node.inputs.items() if is_link(value) and value == old]:
                node.set_input(key, new_value)

    def remove_node(self, id: str) -> None:
        """Forget the node that was made with that id. Raises KeyError if there is none."""
        del self.nodes[self._full(id)]

    def finalize(self) -> dict[str, Any]:
        """The graph in API form."""
        return {node_id: node.serialize() for node_id, node in self.nodes.items()}

    def _full(self, id: str) -> str:
        return self.prefix + _shortened(id)


def _shortened(id: str) -> str:
    """A long id as its first and last part and a digest: a loop that copies nodes puts their ids into the new ones."""
    if len(id) <= LONGEST:
        return id
    digest = hashlib.blake2b(id.encode(), digest_size=8).hexdigest()
    short = f"{id.partition('.')[0]}.{digest}.{id.rpartition('.')[2]}"
    return short if len(short) <= LONGEST else digest


def add_graph_prefix(
    graph: Mapping[str, Mapping[str, Any]], outputs: Sequence[Any], prefix: str
) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """The graph, and links into it, with the prefix before every id."""

    def prefixed(value: Any) -> Any:
        return [prefix + value[0], value[1]] if is_link(value) else value

    nodes = {
        prefix + node_id: {**node, "inputs": {key: prefixed(value) for key, value in node.get("inputs", {}).items()}}
        for node_id, node in graph.items()
    }
    return nodes, tuple(prefixed(value) for value in outputs)
