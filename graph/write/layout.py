"""Where nodes go on the editor's canvas: layers from left to right, each ordered so that wires are short."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import networkx as nx

GAP_X, GAP_Y = 60, 60  # between nodes, in the editor's pixels; a title lies above its node
SWEEPS = 4  # over all layers, to order them

Size = tuple[int, int]  # width and height
Place = tuple[int, int]  # of the upper left corner


def place(sizes: Mapping[str, Size], wires: Iterable[tuple[str, str]], corner: Place = (0, 0)) -> dict[str, Place]:
    """A place for every node, none over another; `corner` is the upper left one of all.

    `wires` lead from node to node; they may form circles. Equal calls give equal places.
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(sizes)
    graph.add_edges_from((origin, target) for origin, target in wires if origin in sizes and target in sizes)
    layers = _ordered(_layers(graph), graph)
    heights = [sum(sizes[node][1] + GAP_Y for node in layer) for layer in layers]
    places: dict[str, Place] = {}
    x = corner[0]
    for layer, height in zip(layers, heights, strict=True):
        y = corner[1] + (max(heights) - height) // 2
        for node in layer:
            places[node] = (x, y)
            y += sizes[node][1] + GAP_Y
        x += max(sizes[node][0] for node in layer) + GAP_X
    return places


def _layers(graph: nx.DiGraph[str]) -> list[list[str]]:
    """Every node right of all that it takes from; one that takes from none, just left of the first that needs it."""
    whole = nx.condensation(graph)  # what forms a circle shares a layer
    layer = {part: number for number, parts in enumerate(nx.topological_generations(whole)) for part in parts}
    for part, takers in whole.adjacency():
        if takers and not whole.in_degree(part):
            layer[part] = min(layer[taker] for taker in takers) - 1
    parts = whole.graph["mapping"]
    found: list[list[str]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for node in graph:
        found[layer[parts[node]]].append(node)
    return [each for each in found if each]


def _ordered(layers: Sequence[Sequence[str]], graph: nx.DiGraph[str]) -> list[list[str]]:
    """Each layer in the order of the middles of the nodes that it is wired to."""
    ordered = [list(layer) for layer in layers]
    heights = {node: (number + 1) / (len(layer) + 1) for layer in ordered for number, node in enumerate(layer)}
    for sweep in range(SWEEPS):
        for layer in ordered if sweep % 2 == 0 else reversed(ordered):
            near = graph.pred if sweep % 2 == 0 else graph.succ
            middles = {
                node: sum(heights[each] for each in near[node]) / len(near[node]) if near[node] else heights[node]
                for node in layer
            }
            layer.sort(key=middles.__getitem__)
            heights.update((node, (number + 1) / (len(layer) + 1)) for number, node in enumerate(layer))
    return ordered
