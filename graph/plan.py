"""Graph to Plan: what the targets need, in an order in which everything comes after what it takes values from."""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx

from graph.model import Graph, Plan, Task

ROOT = 0  # no node id, which are strings


def plan(graph: Graph, targets: Sequence[str] | None = None) -> Plan:
    """The plan of a graph, or of some of its nodes. One branch is finished before the next begins.

    Raises KeyError for a target that is not in the graph and ValueError for a graph with a cycle.
    """
    wanted = tuple(dict.fromkeys(graph.targets if targets is None else targets))
    needs: nx.DiGraph[str | int] = nx.DiGraph()  # edges lead from a node to those it takes values from
    needs.add_edges_from((ROOT, target) for target in wanted)
    for node_id, spec in graph.nodes.items():
        needs.add_edges_from((node_id, link.node) for link in spec.links.values())
    indices: dict[str, int] = {}
    tasks: list[Task] = []
    # Depth first and sources first: a topological order of the ancestors of all targets.
    for node_id in nx.dfs_postorder_nodes(needs, ROOT) if wanted else ():
        if not isinstance(node_id, str):
            continue
        spec = graph.nodes[node_id]
        try:  # a source that has no index yet is one that comes later
            wires = tuple((name, indices[link.node], link.output) for name, link in spec.links.items())
        except KeyError as error:
            raise ValueError(f"the graph has a cycle through nodes {node_id} and {error.args[0]}") from None
        tasks.append(Task(node_id, spec, spec.node.schema(), wires))
        indices[node_id] = len(tasks) - 1
    return Plan(tuple(tasks), wanted, graph)
