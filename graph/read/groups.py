"""Group nodes, the way of older editors to fold several nodes into one, made into subgraphs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graph.read.editor import (
    ANY,
    INPUTS,
    NOTES,
    OUTPUTS,
    EditorNode,
    Port,
    Sheet,
    Slot,
    Wire,
    entries,
    mapping,
    number_of,
    read_node,
    text_of,
)
from graph.read.kinds import Kinds


@dataclass(slots=True)
class _Group:
    """What a group node's name stands for: nodes, and what is wired inside (node and slot, at either end)."""

    nodes: list[EditorNode]
    config: Mapping[str, Any]
    wires: dict[str, Wire] = field(default_factory=dict)
    wired_inputs: set[tuple[int, str]] = field(default_factory=set)
    wired_outputs: set[tuple[int, int]] = field(default_factory=set)
    open_outputs: set[tuple[int, int]] = field(default_factory=set)  # wired inside, and to be used outside too
    types: dict[tuple[int, bool], str] = field(default_factory=dict)  # of what goes through a Reroute


@dataclass(frozen=True, slots=True)
class _Field:
    """A widget of the group node: that of an inner node, which may have been an input when the group was made."""

    label: str
    number: int
    widget: str
    is_converted: bool


def unfold(node: EditorNode, raw: Mapping[str, Any], kinds: Kinds, notes: list[str]) -> Sheet:
    """The inside of one group node, with the values that it gives to the nodes there; their ids are their positions."""
    group = _read(raw)
    sheet = Sheet(text_of(node.type), {each.id: each for each in group.nodes}, group.wires)
    fields: list[_Field] = []
    sockets: list[tuple[str, int, Slot]] = []
    labels = _Labels(group)
    for number, inner in enumerate(group.nodes):
        inner_fields, inner_sockets = _inputs(group, number, kinds)
        for widget, is_converted in inner_fields:
            fields.append(_Field(labels.of(number, widget), number, widget, is_converted))
        for slot in inner_sockets:
            if (number, slot.name) not in group.wired_inputs:
                label = labels.of(number, slot.name, slot.type)
                if _config(group, number, "input", slot.name or slot.type).get("visible") is not False:
                    sockets.append((label, number, slot))
        _add_outputs(sheet, group, number, inner, kinds)
    for label, number, slot in sockets:
        _add_input(sheet, label, number, slot)
    _give_values(node, group, fields, kinds)
    linked = {slot.name for slot in node.inputs if slot.link is not None}
    for each in fields:
        if each.label in linked and (each.number, each.widget) not in group.wired_inputs:
            _add_input(sheet, each.label, each.number, _slot(group.nodes[each.number], each.widget))
    return sheet


def _read(raw: Mapping[str, Any]) -> _Group:
    nodes = [read_node(mapping(each), str(number)) for number, each in enumerate(entries(raw.get("nodes")))]
    group = _Group(nodes, mapping(raw.get("config")))
    for number, link in enumerate(entries(raw.get("links"))):
        if not isinstance(link, list) or len(link) < 4:
            continue
        origin, slot, target, target_slot = (number_of(each) for each in link[:4])
        if link[0] is None or not 0 <= origin < len(nodes) or not 0 <= target < len(nodes):
            if 0 <= target < len(nodes) and len(link) > 5:
                group.types.setdefault((target, False), text_of(link[5]) or ANY)
            continue  # it came from outside when the group was made
        if not 0 <= target_slot < len(nodes[target].inputs):
            continue
        end = nodes[target].inputs[target_slot]
        end.link = str(number)
        group.wires[end.link] = Wire(str(origin), slot, str(target), target_slot)
        group.wired_inputs.add((target, end.name))
        group.wired_outputs.add((origin, slot))
        if nodes[origin].type == "Reroute":
            group.types.setdefault((origin, True), end.type)
    for each in entries(raw.get("external")):
        if isinstance(each, list) and len(each) > 1:
            index = each[0].get("index") if isinstance(each[0], Mapping) else each[0]
            group.open_outputs.add((number_of(index), number_of(each[1])))
    return group


class _Labels:
    """The names that a group node's inputs have: those of the inner ones, made different from each other."""

    def __init__(self, group: _Group) -> None:
        self._group = group
        self._seen: dict[str, int] = {}

    def of(self, number: int, name: str, kind: str = "") -> str:
        """The name of an input of inner node `number`; a Reroute's is called after its type."""
        node = self._group.nodes[number]
        own = name or kind
        label = key = text_of(_config(self._group, number, "input", own).get("name")) or own
        if label in self._seen:
            title = node.title or node.type
            label = key = f"{title} {own}"
            if key in self._seen:
                label = f"{title} {self._seen[key]} {own}"
        self._seen[key] = self._seen.get(key, 1) + 1
        return label


def _inputs(group: _Group, number: int, kinds: Kinds) -> tuple[list[tuple[str, bool]], list[Slot]]:
    """An inner node's widgets, each with whether it is an input too, and its other inputs."""
    node = group.nodes[number]
    if node.type in NOTES:
        return [], []
    if node.type == "PrimitiveNode":
        return [("value", False)] if (number, 0) in group.wired_outputs else [], []
    if node.type == "Reroute":
        if not node.inputs or (
            (number, 0) in group.wired_outputs and (number, node.inputs[0].name) in group.wired_inputs
        ):
            return [], []
        node.inputs[0].type = group.types.get((number, True), group.types.get((number, False), ANY))
        return [], node.inputs[:1]
    listed = {slot.name: slot for slot in node.inputs}
    kind = kinds.of(node.type)
    if kind is None:
        return [(slot.widget, True) for slot in node.inputs if slot.widget], [
            each for each in node.inputs if not each.widget
        ]
    fields = [(each.name, each.name in listed) for each in kind.widgets if each.is_saved]
    return fields, [
        listed.get(each.name) or _slot(node, each.name, each.type) for each in kind.inputs if not each.widget
    ]


def _slot(node: EditorNode, name: str, kind: str = ANY) -> Slot:
    """An input of a node by its name, made if the file has none."""
    for slot in node.inputs:
        if slot.name == name:
            return slot
    node.inputs.append(Slot(name, kind, None, name))
    return node.inputs[-1]


def _add_input(sheet: Sheet, label: str, number: int, slot: Slot) -> None:
    slot.link = f"in {len(sheet.inputs)}"
    sheet.wires[slot.link] = Wire(INPUTS, len(sheet.inputs), str(number), -1)
    sheet.inputs.append(Port(label, slot.type, [slot.link]))


def _add_outputs(sheet: Sheet, group: _Group, number: int, node: EditorNode, kinds: Kinds) -> None:
    """The outputs that are not wired inside, or wired to the outside as well."""
    if node.type in NOTES or node.type == "PrimitiveNode":
        return
    kind = kinds.of(node.type)
    for slot, name in enumerate(kind.outputs if kind else node.outputs):
        end = number, slot
        visible = _config(group, number, "output", str(slot)).get("visible")
        if visible or (visible is None and (end in group.open_outputs or end not in group.wired_outputs)):
            link = f"out {len(sheet.outputs)}"
            sheet.wires[link] = Wire(node.id, slot, OUTPUTS, len(sheet.outputs))
            sheet.outputs.append(Port("", name, [link]))


def _config(group: _Group, number: int, side: str, name: str) -> Mapping[str, Any]:
    return mapping(mapping(mapping(group.config.get(str(number))).get(side)).get(name))


def _give_values(node: EditorNode, group: _Group, fields: Sequence[_Field], kinds: Kinds) -> None:
    """Lay the group node's values over its widgets, in the order of the nodes inside."""
    if not isinstance(node.values, list):
        values = mapping(node.values) or mapping(node.named)
        found = {each: values[each.label] for each in fields if each.label in values}
    else:
        found = dict(zip(_in_order(fields, len(node.values)), node.values, strict=False))
    for each, value in found.items():
        group.nodes[each.number].given[each.widget] = value


def _in_order(fields: Sequence[_Field], count: int) -> Iterator[_Field]:
    """The widgets in the order of a list of so many values.

    Where widgets that were inputs had no value, or had theirs last, it is much shorter than where all have one: newer
    files list every widget as an input.
    """
    plain = [each for each in fields if not each.is_converted]
    if abs(count - len(fields)) <= abs(count - len(plain)):
        yield from fields
        return
    yield from plain
    yield from (each for each in fields if each.is_converted)
