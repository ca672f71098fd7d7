"""Document to Graph, or every Problem that stands in the way, found at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import networkx as nx

from graph.document import Document
from graph.inspect_node import Inspector, Kind
from graph.model import Graph
from graph.paths import Paths
from graph.problems import Problem, some
from graph.reach import reached
from graph.registry import Registry
from graph.values import show


@dataclass(frozen=True)
class Examined:
    """What validation found: the graph of the targets that can run, None if none can, and what is wrong with others."""

    graph: Graph | None
    problems: tuple[Problem, ...]


def validate(
    document: Document,
    registry: Registry,
    paths: Paths,
    *,
    targets: Sequence[str] | None = None,
    only: Sequence[str] | None = None,
) -> Graph | list[Problem]:
    """The graph, if all of it can run, else every Problem. In it one branch is finished before the next begins.

    `targets` are nodes to run instead of all output nodes; `only` are those of the output nodes that are wanted now.
    """
    examined = examine(document, registry, paths, targets=targets, only=only)
    if examined.problems or examined.graph is None:
        return list(examined.problems)
    return examined.graph


def examine(
    document: Document,
    registry: Registry,
    paths: Paths,
    *,
    targets: Sequence[str] | None = None,
    only: Sequence[str] | None = None,
) -> Examined:
    """As validate(), for callers that run the targets without problems although others have some."""
    return _Examination(document, registry, paths).run(targets, only)


class _Examination:
    def __init__(self, document: Document, registry: Registry, paths: Paths) -> None:
        self.document = document
        self.registry = registry
        self.inspector = Inspector(document, paths)
        self.problems = self.inspector.problems
        self.general: list[Problem] = []  # of no node
        self.sources: dict[str, list[str]] = {}  # of the nodes that the targets need
        self.order: list[str] = []  # those nodes, each after its sources

    def run(self, targets: Sequence[str] | None, only: Sequence[str] | None) -> Examined:
        self._look_up_classes()
        classes_known = not self.problems
        wanted = self._outputs(only) if targets is None else self._existing(targets)
        if not wanted and classes_known and not self.general:
            self.general.append(self._no_outputs())
        bad: set[str] = set()
        if not self._walk(wanted):
            bad = self._report_cycles()
        bad = self._downstream(bad.union(self.problems))
        good = tuple(node_id for node_id in wanted if node_id not in bad)
        graph = self._graph(good, is_whole=not bad) if good and classes_known else None
        return Examined(graph, (*self.general, *self._problems_in_order()))

    # -- what is asked for

    def _look_up_classes(self) -> None:
        kinds = self.inspector.kinds
        for node_id, node in self.document.nodes.items():
            class_type = node.class_type
            if class_type in kinds:
                continue
            cls = self.document.classes.get(class_type) or self.registry.get(class_type)
            if cls is None:
                near = self.registry.nearest(class_type) if self.inspector.may_suggest() else []
                hint = f"did you mean {' or '.join(near)}?" if near else "check the name, or add the pack that has it."
                sentence = f"Node {node_id}: there is no node class {show(class_type)}; {hint}"
                self._add_class_problem(node_id, class_type, sentence)
                continue
            try:
                kinds[class_type] = Kind(cls, cls.schema())
            except Exception as error:  # the class's own code
                sentence = f"Node {node_id}: the node class {class_type} does not say what it takes and gives: {error}."
                self._add_class_problem(node_id, class_type, sentence)

    def _add_class_problem(self, node_id: str, class_type: str, sentence: str) -> None:
        self.problems.setdefault(node_id, []).append(Problem("invalid_prompt", sentence, node_id, class_type))

    def _existing(self, names: Sequence[str]) -> list[str]:
        """Those names that are nodes."""
        names = list(dict.fromkeys(names))
        for name in names:
            if name not in self.document.nodes:
                sentence = f"There is no node {name} to run; name a node of this workflow."
                self.general.append(Problem("prompt_no_outputs", sentence, name))
        return [name for name in names if name in self.document.nodes]

    def _outputs(self, only: Sequence[str] | None) -> list[str]:
        """The output nodes, or those of them that are wanted."""
        kinds = self.inspector.kinds
        nodes = self.document.nodes.items()
        found = [name for name, node in nodes if (kind := kinds.get(node.class_type)) and kind.schema.effect]
        if only is None:
            return found
        for name in self._existing(only):
            class_type = self.document.nodes[name].class_type
            if name not in found and class_type in kinds:
                sentence = f"{class_type} (node {name}) is no output node; name one of: {some(found)}."
                self.general.append(Problem("prompt_no_outputs", sentence, name, class_type))
        wanted = set(only)
        return [name for name in found if name in wanted]

    def _no_outputs(self) -> Problem:
        effects = [name for name, cls in self.registry.items() if cls.schema().effect]
        sentence = f"The workflow has no output: nothing would come of it; add an output node ({some(effects)})."
        return Problem("prompt_no_outputs", sentence)

    # -- the way through the graph

    def _walk(self, targets: Sequence[str]) -> bool:
        """Inspect all that the targets need, depth first; fills `sources` and `order`. False if it meets a circle."""
        inspect, sources = self.inspector.inspect, self.sources
        is_straight = True
        under_way: set[str] = set()
        stack = list(reversed(targets))
        while stack:
            node_id = stack[-1]
            if node_id not in sources:
                under_way.add(node_id)
                sources[node_id] = inspect(node_id)
                for source in reversed(sources[node_id]):
                    if source not in sources:
                        stack.append(source)
                    elif source in under_way:
                        is_straight = False
                continue
            stack.pop()
            if node_id in under_way:
                under_way.remove(node_id)
                self.order.append(node_id)
        return is_straight

    def _report_cycles(self) -> set[str]:
        """One Problem for each circle; the nodes in them."""
        wires: nx.DiGraph[str] = nx.DiGraph()  # edges lead from a node to those that take its values
        wires.add_edges_from(
            (source, node_id) for node_id in self.document.nodes for source in self.sources.get(node_id, ())
        )
        places = {node_id: number for number, node_id in enumerate(self.document.nodes)}
        knots = [knot for knot in nx.strongly_connected_components(wires) if len(knot) > 1]
        cycles = [[node_id] for node_id in nx.nodes_with_selfloops(wires)]
        for knot in knots:
            first = min(knot, key=places.__getitem__)
            cycles.append([node_id for node_id, _ in nx.find_cycle(wires.subgraph(knot).copy(), first)])
        for cycle in cycles:
            self.inspector.add(cycle[0], "dependency_cycle", _describe_cycle(cycle))
        return {node_id for cycle in cycles for node_id in cycle}

    def _downstream(self, nodes: set[str]) -> set[str]:
        """These nodes, and those that need them."""
        if not nodes:
            return nodes
        takers: dict[str, list[str]] = {}
        for node_id, sources in self.sources.items():
            for source in sources:
                takers.setdefault(source, []).append(node_id)
        return reached(nodes, takers)

    # -- what comes of it

    def _graph(self, targets: tuple[str, ...], *, is_whole: bool) -> Graph:
        needed = self.sources if is_whole else reached(set(targets), self.sources)
        specs = self.inspector.specs
        nodes = {node_id: specs[node_id] for node_id in self.order if node_id in needed}
        return Graph(nodes, targets, self._prompt(), self.document.extra_pnginfo)

    def _prompt(self) -> dict[str, Any]:
        """The document's API form with the values that conversion changed."""
        prompt = dict(self.document.prompt)
        for node_id, changed in self.inspector.converted.items():
            if node_id in self.inspector.specs:
                prompt[node_id] = {**prompt[node_id], "inputs": {**prompt[node_id]["inputs"], **changed}}
        return prompt

    def _problems_in_order(self) -> list[Problem]:
        return [each for node_id in self.document.nodes for each in self.problems.get(node_id, ())]


def _describe_cycle(cycle: Sequence[str]) -> str:
    if len(cycle) == 1:
        return "takes its own output, so that it would wait for itself; remove that link"
    way = " → ".join([*cycle[:8], "…"] if len(cycle) > 8 else [*cycle, cycle[0]])
    return f"waits for itself: nodes {way} form a circle of {len(cycle)}; remove one of these links"
