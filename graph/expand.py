"""Expansion: the nodes that a node gave to run in its place become tasks, or an error that says what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import networkx as nx

from graph.board import Board
from graph.document import BadLink, Link
from graph.given import Expansion
from graph.model import Spec, Task
from graph.problems import some
from graph.registry import Registry
from graph.schema import Schema
from graph.values import show
from graph.wire import matches
from graph.work import Slot, Work

PLAIN = (str, int, float, bool, type(None))


class ExpansionError(ValueError):
    """Nodes that a node made cannot run; the message is a sentence for people."""


@dataclass(frozen=True)
class Expanded:
    """The works of an expansion, and what its result is: values, and Slots of works."""

    works: Sequence[Work]
    row: tuple[Any, ...]

    @property
    def effects(self) -> list[Work]:
        """The output nodes among them, which run whoever takes from them."""
        return [work for work in self.works if work.task.schema.effect]


def expand(
    board: Board, registry: Registry, parent: Work, expansion: Expansion, call: int, given: Mapping[str, Any]
) -> Expanded:
    """Put an expansion's nodes on the board. Raises ExpansionError for what cannot run."""
    return _Expanding(board, registry, parent, expansion, call, given).run()


class _Expanding:
    def __init__(
        self,
        board: Board,
        registry: Registry,
        parent: Work,
        expansion: Expansion,
        call: int,
        given: Mapping[str, Any],
    ) -> None:
        self.board = board
        self.registry = registry
        self.parent = parent
        self.expansion = expansion
        self.nodes = expansion.document.nodes
        self.prefix = f"{parent.task.id}.{call}." if expansion.local else ""
        # A value that the parent was given itself is passed on as the wire it came by, which has a fingerprint.
        self.wires = {
            id(given[name]): Link(board.works[index].task.id, output)
            for name, index, output in parent.task.wires
            if name in given and not isinstance(given[name], PLAIN)
        }
        self.places: dict[str, int] = {}  # of the nodes among all works, by the id in the document

    def run(self) -> Expanded:
        declared, given = len(self.parent.task.schema.outputs), len(self.expansion.result)
        if given != declared:
            raise ExpansionError(f"it declares {declared} outputs, but the nodes that it made give {given}.")
        first = len(self.board.works)
        order = self._order()
        self.places = {node_id: first + number for number, node_id in enumerate(order)}
        for node_id in order:
            if self.prefix + node_id in self.board.by_id:
                raise ExpansionError(
                    f"it made a node with the id {self.prefix + node_id}, which another has; ids must differ."
                )
        tasks = [self._task(node_id) for node_id in order]
        for task in tasks:
            self._check(task, tasks, first)
        display_ids = [self.nodes[node_id].display_id or self.parent.display_id for node_id in order]
        works = self.board.add(tasks, self.parent, display_ids, self.parent.depth + 1)
        self.board.begin(works)
        return Expanded(works, tuple(self._slot(value) for value in self.expansion.result))

    def _order(self) -> list[str]:
        """The nodes, each after those that it takes values from."""
        needs: nx.DiGraph[str] = nx.DiGraph()
        needs.add_nodes_from(self.nodes)
        for node_id, node in self.nodes.items():
            for value in node.inputs.values():
                if isinstance(value, Link) and value.node in self.nodes:
                    needs.add_edge(value.node, node_id)
        try:
            return list(nx.topological_sort(needs))
        except nx.NetworkXUnfeasible:
            circle = [one for one, _ in nx.find_cycle(needs)]
            raise ExpansionError(f"it made nodes that wait for each other in a circle: {some(circle)}.") from None

    def _task(self, node_id: str) -> Task:
        node = self.nodes[node_id]
        cls = self.expansion.document.classes.get(node.class_type) or self.registry.get(node.class_type)
        if cls is None:
            near = self.registry.nearest(node.class_type)
            hint = f"; did you mean {' or '.join(near)}?" if near else "."
            raise ExpansionError(f"it made a node of class {show(node.class_type)}, which there is not{hint}")
        schema = cls.schema()
        inputs: dict[str, Any] = {}
        wires: list[tuple[str, int, int]] = []
        for name, value in node.inputs.items():
            if not isinstance(value, Link) and not _takes(schema, name):
                continue
            value = self.wires.get(id(value), value)
            if isinstance(value, BadLink):
                raise ExpansionError(
                    f"it made a node {node_id} ({node.class_type}) whose {name!r} is no link: {show(value.value)}."
                )
            if isinstance(value, Link):
                place, value = self._resolve(value, f"its node {node_id} ({node.class_type}), input {name!r},")
                wires.append((name, place, value.output))
            inputs[name] = value
        return Task(self.prefix + node_id, Spec(cls, inputs, node.is_changed), schema, tuple(wires))

    def _resolve(self, link: Link, who: str) -> tuple[int, Link]:
        """The place of a link's source on the board, and the link with the id that the source has there."""
        if link.node in self.places:
            return self.places[link.node], Link(self.prefix + link.node, link.output)
        if link.node in self.board.by_id:
            return self.board.by_id[link.node].index, link
        raise ExpansionError(f"{who} takes from node {link.node}, which this run does not have.")

    def _check(self, task: Task, tasks: Sequence[Task], first: int) -> None:
        what = f"it made a node {task.id} ({task.schema.name})"
        for item in task.schema.inputs.values():
            if item.required and item.name not in task.spec.inputs:
                raise ExpansionError(f"{what} without the input {item.name!r}, which it needs.")
        for name, index, output in task.wires:
            source = tasks[index - first] if index >= first else self.board.works[index].task
            received = _output_type(source.schema, output)
            if received is None:
                raise ExpansionError(
                    f"{what} whose input {name!r} takes output {output} of node {source.id} ({source.schema.name}), "
                    f"which has {len(source.schema.outputs)}."
                )
            declared = task.schema.inputs.get(name)
            if declared is not None and not task.schema.checks_links and not matches(received, declared.type):
                raise ExpansionError(
                    f"{what} whose input {name!r} takes {declared.type}, but node {source.id} gives {received}."
                )

    def _slot(self, value: Any) -> Any:
        if not isinstance(value, Link):
            return value
        place, link = self._resolve(value, "its result")
        work = self.board.works[place]
        if _output_type(work.task.schema, link.output) is None:
            raise ExpansionError(
                f"its result is output {link.output} of node {link.node}, which has none of that number."
            )
        return Slot(work, link.output)


def _takes(schema: Schema, name: str) -> bool:
    """Whether a literal of that name is passed on."""
    if name in schema.inputs or not schema.variadic:
        return name in schema.inputs
    return schema.undeclared is None or schema.undeclared(name) is not None


def _output_type(schema: Schema, output: int) -> str | None:
    return schema.outputs[output].type if 0 <= output < len(schema.outputs) else None


def stalled(works: Sequence[Work]) -> tuple[Work, ExpansionError] | None:
    """A work that can never run, since it waits for itself through nodes that were made, and why."""
    waiting = [work for work in works if work.wanted and work.leader is work and not work.done and not work.dropped]
    if not waiting:
        return None
    needs = nx.DiGraph((work, source) for work in waiting for source in work.sources if not source.done)
    try:
        circle = [work for work, _ in nx.find_cycle(needs)]
    except nx.NetworkXNoCycle:  # a fault of the engine; to say so is better than to wait for ever
        return waiting[0], ExpansionError("it waits for something that does not come; please report this workflow.")
    guilty = next((work for work in circle if work.given is not None), circle[0])
    way = some([work.task.id for work in circle])
    return guilty, ExpansionError(f"it made nodes that wait for its own result: {way} form a circle.")
