"""Subgraphs and group nodes unfolded: every node of a workflow in its place, with an id like "5:12" and its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graph.problems import DocumentError, Problem
from graph.read.editor import (
    BYPASSED,
    INPUTS,
    MUTED,
    VIRTUAL,
    EditorNode,
    Port,
    Sheet,
    Slot,
    Workflow,
    entries,
    id_of,
    mapping,
    read_node,
    text_of,
)
from graph.read.groups import unfold
from graph.read.kinds import ABSENT, Kind, Kinds
from graph.read.values import values_of

DEEPEST = 50  # subgraphs inside subgraphs
LIGHTEST = 10  # the weight of a node, at least
MOST = 1_000_000  # weight of all that is inside of subgraphs, once that is unfolded


@dataclass(slots=True, eq=False)
class Shape:
    """A node as it is wherever its sheet is used. One that stands for a subgraph has that `sheet`, else it has a kind.

    A node without either is the editor's own, or of a class that nobody here knows.
    """

    node: EditorNode
    kind: Kind | None
    sheet: Sheet | None
    inputs: list[Slot]
    outputs: Sequence[str]
    values: dict[str, Any]
    deeper: dict[tuple[str, str], Any] = field(default_factory=dict)  # values for nodes inside, by id and widget


@dataclass(slots=True, eq=False)
class Placed:
    """A node in its place. Nothing runs in a subgraph that is muted or bypassed."""

    id: str
    shape: Shape
    scope: Scope
    values: Mapping[str, Any]
    runs: bool
    inside: Scope | None = None

    @property
    def is_emitted(self) -> bool:
        """Whether this node is one of the prompt."""
        node = self.shape.node
        return self.runs and self.inside is None and node.type not in VIRTUAL and node.mode not in (MUTED, BYPASSED)


@dataclass(slots=True, eq=False)
class Scope:
    """One use of a sheet; `outer` is the node that stands for it."""

    sheet: Sheet
    outer: Placed | None
    nodes: dict[str, Placed] = field(default_factory=dict)


class Unfolding:
    """All nodes of a workflow, those of a subgraph before the node that stands for it.

    Raises DocumentError if a subgraph contains itself, or more would come of it than anybody could run.
    """

    def __init__(self, workflow: Workflow, kinds: Kinds) -> None:
        self._workflow = workflow
        self._kinds = kinds
        self._shapes: dict[Sheet, list[Shape]] = {}
        self._widgets: dict[Sheet, list[tuple[Shape, str] | None]] = {}
        self._given: dict[str, dict[str, Any]] = {}  # values for single nodes from the nodes that they are inside of
        self.placed: list[Placed] = []
        check_size(workflow)
        self.root = self._place(workflow.root, "", None, runs=True)

    def _place(self, sheet: Sheet, prefix: str, outer: Placed | None, *, runs: bool) -> Scope:
        scope = Scope(sheet, outer)
        for shape in self._shapes_of(sheet):
            node = shape.node
            node_id = prefix + node.id
            given = self._given.get(node_id)
            placed = Placed(node_id, shape, scope, shape.values | given if given else shape.values, runs)
            scope.nodes[node.id] = placed
            if shape.sheet is not None:
                for (inner, widget), value in shape.deeper.items():
                    self._given.setdefault(f"{node_id}:{inner}", {}).setdefault(widget, value)
                active = runs and node.mode not in (MUTED, BYPASSED)
                placed.inside = self._place(shape.sheet, f"{node_id}:", placed, runs=active)
            self.placed.append(placed)
        return scope

    def _shapes_of(self, sheet: Sheet) -> list[Shape]:
        if sheet not in self._shapes:
            self._shapes[sheet] = [self._shape(node) for node in sheet.nodes.values()]
        return self._shapes[sheet]

    def _shape(self, node: EditorNode) -> Shape:
        sheet = self._workflow.subgraphs.get(node.type)
        if sheet is None and (group := self._workflow.group_of(node)) is not None:
            sheet = unfold(node, self._workflow.groups[group], self._kinds, self._workflow.notes)
            return Shape(node, None, sheet, aligned(node.inputs, sheet.inputs), types(sheet.outputs), {})
        if sheet is not None:
            return self._instance(node, sheet)
        kind = None if node.type in VIRTUAL else self._kinds.of(node.type)
        values = values_of(node, kind, self._workflow.notes)
        if kind is None:
            return Shape(node, None, None, node.inputs, node.outputs, values)
        outputs = (*kind.outputs, *node.outputs[len(kind.outputs) :])
        return Shape(node, kind, None, _inputs(node, kind), outputs, values)

    def _instance(self, node: EditorNode, sheet: Sheet) -> Shape:
        """A node that stands for a subgraph; it has a widget for each input that leads to a widget inside."""
        inputs = aligned(node.inputs, sheet.inputs)
        values: dict[str, Any] = {}
        for slot, inner in zip(inputs, self._widgets_of(sheet), strict=True):
            if inner is not None:
                slot.widget = slot.name
                values[slot.name] = inner[0].values.get(inner[1], ABSENT)
        made = Shape(node, None, sheet, inputs, types(sheet.outputs), values)
        _fill_in(made, self._workflow.notes)
        made.values = {name: value for name, value in values.items() if value is not ABSENT}
        return made

    def _widgets_of(self, sheet: Sheet) -> list[tuple[Shape, str] | None]:
        """For each input of a subgraph the first widget inside that it leads to."""
        if sheet not in self._widgets:
            ends = {slot.link: (shape, slot.widget) for shape in self._shapes_of(sheet) for slot in shape.inputs}
            drawn: dict[int, list[str]] = {}
            for link, wire in sheet.wires.items():
                if wire.origin == INPUTS:
                    drawn.setdefault(wire.slot, []).append(link)
            found: list[tuple[Shape, str] | None] = []
            for number, port in enumerate(sheet.inputs):
                wired = (ends[link] for link in port.links or drawn.get(number, []) if link in ends)
                found.append(next(((shape, widget) for shape, widget in wired if widget is not None), None))
            self._widgets[sheet] = found
        return self._widgets[sheet]


def aligned(slots: Sequence[Slot], ports: Sequence[Port]) -> list[Slot]:
    """A node's inputs in the order of the ports that they lead to: found by name, or else by position."""
    by_name = {slot.name: slot for slot in slots}
    names = {port.name for port in ports}
    found: list[Slot] = []
    for number, port in enumerate(ports):
        slot = by_name.get(port.name)
        if slot is None and number < len(slots) and slots[number].name not in names:
            slot = slots[number]
        found.append(Slot(port.name, port.type, slot.link if slot else None))
    return found


def types(ports: Sequence[Port]) -> list[str]:
    """The types of ports."""
    return [port.type for port in ports]


def _inputs(node: EditorNode, kind: Kind) -> list[Slot]:
    """The inputs that the class has, then those that only the file has."""
    links = {slot.name: slot.link for slot in node.inputs}
    own = [Slot(each.name, each.type, links.pop(each.name, None), each.widget) for each in kind.inputs]
    return own + [slot for slot in node.inputs if slot.name in links]


def _fill_in(shape: Shape, notes: list[str]) -> None:
    """The values that the file has for a subgraph's widgets; in the order of `proxyWidgets`, if they are as many."""
    node, values = shape.node, shape.values
    saved = node.values if isinstance(node.values, list | Mapping) else node.named
    if not isinstance(saved, list):
        values.update((name, value) for name, value in mapping(saved).items() if name in values)
        return
    proxies = [
        each for each in entries(node.properties.get("proxyWidgets")) if isinstance(each, list) and len(each) > 1
    ]
    if not proxies:
        values.update(zip(list(values), saved, strict=False))
    elif len(proxies) == len(saved):
        for (inner, widget, *_), value in zip(proxies, saved, strict=True):
            if value is None:
                continue
            if id_of(inner) != "-1":
                shape.deeper[id_of(inner) or "", text_of(widget)] = value
            elif widget in values:
                values[widget] = value
    elif len(values) == len(saved):
        values.update(zip(list(values), saved, strict=True))
    elif saved:
        notes.append(
            f"Node {node.id} has {len(saved)} values for the widgets of its subgraph, which shows {len(proxies)}; "
            "they were left out, and the values inside it are used."
        )


# ── size ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Refused(Exception):
    """A sentence that says why a node cannot be unfolded."""


def check_size(workflow: Workflow) -> None:
    """Raise DocumentError if unfolding a workflow would never end, or not soon."""
    known: dict[str, tuple[int, int]] = {}
    total = 0
    problems: list[Problem] = []
    for node in workflow.root.nodes.values():
        try:
            total += _inside(workflow, node, (), known)[0]
        except _Refused as refused:
            problems.append(Problem("invalid_prompt", f"Node {node.id}: {refused}", node.id))
    if total > MOST and not problems:
        sentence = "With its subgraphs unfolded this workflow has more nodes than can be run; split it into several."
        problems.append(Problem("invalid_prompt", sentence))
    if problems:
        raise DocumentError(problems)


def _weight(node: EditorNode) -> int:
    """How much work a node is: its inputs, outputs and values, and ten letters of a text to choose from like one."""
    values = node.values if isinstance(node.values, list | Mapping) else node.named or ()
    texts = values.values() if isinstance(values, Mapping) else values
    letters = sum(len(text) for text in texts if isinstance(text, str) and "{" in text)
    return max(LIGHTEST, len(node.inputs), len(node.outputs), len(values), letters // 10)


def _inside(
    workflow: Workflow, node: EditorNode, around: tuple[str, ...], known: dict[str, tuple[int, int]]
) -> tuple[int, int]:
    """The weight of all that is inside of a node, and how many subgraphs deep that is."""
    group = workflow.group_of(node)
    sheet = workflow.subgraphs.get(node.type)
    if sheet is None and group is None:
        return 0, 0
    key = node.type if group is None else f"workflow>{group}"
    if key in known:
        return known[key]
    name = sheet.name if sheet else group
    if key in around:
        raise _Refused(f"the subgraph {name!r} contains itself; open it in the editor and take that out of it.")
    too_deep = f"more than {DEEPEST} subgraphs lie inside each other; unpack some of them."
    if len(around) >= DEEPEST:
        raise _Refused(too_deep)
    if sheet:
        nodes = list(sheet.nodes.values())
        own = len(sheet.inputs) + len(sheet.outputs) + len(sheet.wires)
    else:
        raw = workflow.groups[group or ""]
        nodes = [read_node(mapping(each), "") for each in entries(raw.get("nodes"))]
        own = len(tuple(entries(raw.get("links")))) + len(tuple(entries(raw.get("external"))))
    inner = [_inside(workflow, each, (*around, key), known) for each in nodes]
    weight = own + sum(map(_weight, nodes)) + sum(each for each, _ in inner)
    known[key] = weight, 1 + max((depth for _, depth in inner), default=0)
    if len(around) + known[key][1] > DEEPEST:
        raise _Refused(too_deep)
    return known[key]
