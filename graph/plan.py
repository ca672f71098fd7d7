"""Graph to Plan: what the targets need, in an order in which everything comes after what it takes values from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graph.document import Link
from graph.model import Graph, Plan, Task
from graph.node import Node
from graph.schema import Schema


def plan(graph: Graph, targets: Sequence[str] | None = None) -> Plan:
    """The plan of a graph, or of some of its nodes, in the graph's order.

    Raises KeyError for a target that is not in the graph and ValueError for a graph that is not in order.
    """
    wanted = graph.targets if targets is None else tuple(dict.fromkeys(targets))
    needed = graph.nodes if wanted == graph.targets else _ancestors(graph, wanted)
    schemas: dict[type[Node[Any]], Schema] = {}
    indices: dict[str, int] = {}
    tasks: list[Task] = []
    for node_id, spec in graph.nodes.items():
        if node_id not in needed:
            continue
        schema = schemas.get(spec.node)
        if schema is None:
            schema = schemas[spec.node] = spec.node.schema()
        try:
            wires = tuple(
                [
                    (name, indices[value.node], value.output)
                    for name, value in spec.inputs.items()
                    if isinstance(value, Link)
                ]
            )
        except KeyError as error:
            sentence = f"node {node_id} takes from node {error.args[0]}, which does not come before it in the graph"
            raise ValueError(sentence) from None
        indices[node_id] = len(tasks)
        tasks.append(Task(node_id, spec, schema, wires))
    return Plan(tuple(tasks), wanted, graph)


def _ancestors(graph: Graph, targets: Sequence[str]) -> set[str]:
    """The targets and all that they need."""
    found = set(targets)
    stack = list(targets)
    while stack:
        fresh = [link.node for link in graph.nodes[stack.pop()].links.values() if link.node not in found]
        found.update(fresh)
        stack += fresh
    return found
