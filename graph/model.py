"""What becomes of a Document: Graph (validated) and Plan (what to do, in order)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graph.document import Link
from graph.node import Node
from graph.schema import Schema

NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Spec:
    """A node yet to run: its class, and each given input as a Link or a converted literal."""

    node: type[Node[Any]]
    inputs: Mapping[str, Any]
    is_changed: Any = None

    @property
    def links(self) -> dict[str, Link]:
        """The inputs that come from other nodes."""
        return {name: value for name, value in self.inputs.items() if isinstance(value, Link)}


@dataclass(frozen=True, slots=True)
class Graph:
    """A valid workflow: the nodes that `targets` need, each after those it takes values from; every input is right."""

    nodes: Mapping[str, Spec]
    targets: tuple[str, ...]  # the nodes whose running is the purpose: output nodes, or those that were asked for
    prompt: Mapping[str, Any] = field(default_factory=dict)  # the document's API form with converted values
    extra_pnginfo: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """One node of a plan."""

    id: str
    spec: Spec
    schema: Schema
    wires: tuple[tuple[str, int, int], ...]  # (input, index of the task that gives the value, which of its outputs)

    @property
    def lazy(self) -> frozenset[str]:
        """The linked inputs whose sources run only if the node asks for them."""
        schema = self.schema
        if not schema.lazy_names and not schema.lazy_undeclared:
            return NONE
        return frozenset(
            name
            for name, _, _ in self.wires
            if name in schema.lazy_names or (schema.lazy_undeclared and name not in schema.inputs)
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """Tasks in an order in which each follows those it takes values from; the same graph gives the same order."""

    tasks: tuple[Task, ...]
    targets: tuple[str, ...]
    graph: Graph
