"""Nodes of a workflow whose subgraphs are unfolded: their inputs, and what lies around and inside of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from graph.read.editor import Slot
from graph.read.subgraphs import DEEPEST, Placed


class End(NamedTuple):
    """Input number `number` of a node."""

    node: Placed
    number: int

    @property
    def slot(self) -> Slot:
        """The input itself."""
        return self.node.shape.inputs[self.number]


def end_of(node: Placed, key: str) -> End | None:
    """The input of this name; the last, if there are several, as it is the one that is sent."""
    numbers = [number for number, slot in enumerate(node.shape.inputs) if slot.name == key]
    return End(node, numbers[-1]) if numbers else None


def around(node: Placed) -> list[Placed]:
    """The nodes that stand for the subgraphs around a node, the outermost first."""
    found: list[Placed] = []
    while node.scope.outer is not None:
        node = node.scope.outer
        found.insert(0, node)
    return found


def inside_of(outer: Placed) -> Iterator[Placed]:
    """The nodes inside of a subgraph, without those that stand for further ones."""
    for node in outer.inside.nodes.values() if outer.inside else ():
        if node.inside is not None:
            yield from inside_of(node)
        else:
            yield node


def outer_ids(name: str) -> Iterator[str]:
    """The ids of the nodes that a node with this id would lie in."""
    parts = name.split(":", DEEPEST)
    return (":".join(parts[:count]) for count in range(1, len(parts)))
