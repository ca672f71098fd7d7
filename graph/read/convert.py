"""A workflow as the editor saves it to the API form that runs."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from graph.problems import some
from graph.read.editor import is_editor_form, read_editor
from graph.read.facts import Facts
from graph.read.kinds import SAVERS, Kinds, Widget
from graph.read.subgraphs import Placed, Scope, Unfolding
from graph.read.texts import choose_parts, fill_in
from graph.read.values import field_value, wire_value
from graph.read.wires import Given, Source, Wires

__all__ = ["Circumstances", "Converted", "is_editor_form", "to_prompt"]

ALIAS = "Node name for S&R"  # the property by which texts name a node
REPLACES = "Run widget replace on values"  # the property of a PrimitiveNode whose text is filled in


@dataclass(frozen=True)
class Circumstances:
    """What the same workflow may come out differently by: the time, and which of `n` alternatives a text takes."""

    now: datetime = field(default_factory=datetime.now)
    choose: Callable[[int], int] = random.randrange


@dataclass(frozen=True)
class Converted:
    """A workflow in API form; what was odd about it, in sentences; and the ids of nodes of classes nobody knows."""

    prompt: dict[str, Any]
    notes: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def to_prompt(workflow: Mapping[str, Any], facts: Facts, circumstances: Circumstances | None = None) -> Converted:
    """Convert a workflow. Values and wires are taken as they are; whether they can run is for validation.

    Raises DocumentError with every Problem if it cannot be read.
    """
    editor = read_editor(workflow)
    unfolding = Unfolding(editor, Kinds(facts))
    conversion = _Conversion(unfolding, circumstances or Circumstances())
    prompt = {node.id: conversion.emit(node) for node in unfolding.placed if node.is_emitted}
    unknown = tuple(node.id for node in unfolding.placed if node.is_emitted and node.shape.kind is None)
    return Converted(prompt, (*dict.fromkeys(editor.notes), *conversion.notes()), unknown)


class _Conversion:
    def __init__(self, unfolding: Unfolding, circumstances: Circumstances) -> None:
        self._placed = unfolding.placed
        self._circumstances = circumstances
        self._wires = Wires()
        self._names: dict[str, Placed] | None = None
        self._push_primitives()

    def emit(self, node: Placed) -> dict[str, Any]:
        """A node in API form."""
        shape = node.shape
        inputs: dict[str, Any] = {}
        if shape.kind is None:
            inputs.update((name, wire_value(value)) for name, value in node.values.items())
            widgets: dict[str, Widget] = {}
        else:
            is_new = shape.node.named is not None  # saved by an editor that does not send what only shows something
            widgets = {each.name: each for each in shape.kind.widgets}
            for name, widget in widgets.items():
                if widget.is_sent and name in node.values and (widget.is_saved or not is_new):
                    inputs[name] = wire_value(self._sent(widget, node.values[name]))
        for number, slot in enumerate(shape.inputs):
            if slot.link is None:
                continue
            source = self._wires.source(node, number)
            if isinstance(source, Given):
                inputs[slot.name] = wire_value(field_value(widgets.get(slot.name), source.value))
            elif isinstance(source, Source) and source.node.is_emitted:
                inputs[slot.name] = [source.node.id, source.slot]
            elif source is not None:  # from a node that does not run
                inputs.pop(slot.name, None)
        display = shape.kind.display if shape.kind else ""
        title = shape.node.title or display or shape.node.type
        return {"class_type": shape.node.type, "inputs": inputs, "_meta": {"title": title}}

    def notes(self) -> list[str]:
        """What was odd about wires."""
        loops = list(dict.fromkeys(self._wires.loops))
        if not loops:
            return []
        return [f"Wires to {some(loops)} lead round in a circle of reroutes or bypassed nodes; they were left out."]

    # -- values

    def _sent(self, widget: Widget, value: Any) -> Any:
        value = field_value(widget, value)
        if not isinstance(value, str):
            return value
        if widget.is_dynamic:
            return choose_parts(value, self._circumstances.choose)
        return self._filled_in(value) if widget.is_pattern else value

    def _filled_in(self, text: str) -> str:
        return fill_in(text, self._circumstances.now, self._look_up)

    def _look_up(self, name: str, widget: str) -> Any:
        """The value of a widget. Raises KeyError if there is no such node or widget."""
        if self._names is None:
            self._names = {}
            for node in reversed(self._placed):  # of several the first counts
                self._names[_title(node)] = node
            for node in reversed(self._placed):
                if alias := _alias(node):
                    self._names[alias] = node
        return self._names[name].values[widget]

    def _push_primitives(self) -> None:
        """Write the value of each PrimitiveNode into the widgets that it is wired to, whatever its mode."""
        scopes = {id(node.scope): node.scope for node in self._placed if node.shape.node.type == "PrimitiveNode"}
        pushed = [each for scope in scopes.values() for each in _pushes(scope)]
        for primitive, node, widget in pushed:
            node.values = {**node.values, widget: primitive.values["value"]}
        for primitive, node, widget in pushed:
            value = primitive.values["value"]
            if primitive.shape.node.properties.get(REPLACES) is True and isinstance(value, str):
                node.values = {**node.values, widget: self._filled_in(value)}


def _pushes(scope: Scope) -> list[tuple[Placed, Placed, str]]:
    """Each wire from a PrimitiveNode to a widget: the one, the node that has the other, and its name."""
    found: list[tuple[Placed, Placed, str]] = []
    for node in scope.nodes.values():
        for slot in node.shape.inputs:
            wire = scope.sheet.wires.get(slot.link) if slot.link is not None else None
            origin = scope.nodes.get(wire.origin) if wire else None
            if slot.widget and origin and origin.shape.node.type == "PrimitiveNode" and "value" in origin.values:
                found.append((origin, node, slot.widget))
    return found


def _title(node: Placed) -> str:
    kind = node.shape.kind
    return node.shape.node.title or (kind.display if kind else node.shape.node.type)


def _alias(node: Placed) -> str:
    """The name that texts find a node by first; that of its class if the file gives none."""
    alias = node.shape.node.properties.get(ALIAS)
    if isinstance(alias, str):
        return alias
    kind = node.shape.kind
    return kind.name if kind is not None and kind.name not in SAVERS else ""
