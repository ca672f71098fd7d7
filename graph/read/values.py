"""The values of a node's widgets: out of what its file lists, by position or by name, and as they are sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any

from graph.read.editor import EditorNode, Slot
from graph.read.kinds import ABSENT, CONTROL, Kind, Widget
from graph.read.texts import field_text

CONTROLS = ("fixed", "increment", "decrement", "randomize", "increment-wrap")
SAMPLERS = frozenset({"KSampler", "KSamplerAdvanced"})  # whose sampler names once began with sample_


def values_of(node: EditorNode, kind: Kind | None, notes: list[str]) -> dict[str, Any]:
    """The values of a node by the names of its widgets; of an unknown class (None) as far as the file tells.

    What the file lacks has the default of its widget. No value is checked: that is for validation.
    """
    saved = _saved(node)
    if node.type == "PrimitiveNode":
        values = {"value": saved[0]} if isinstance(saved, Sequence) and saved else {}
    elif kind is None:
        values = _unknown_values(node, saved, notes)
    else:
        values = {each.name: each.default for each in kind.widgets if each.default is not ABSENT}
        values.update(_by_name(kind, saved) if isinstance(saved, Mapping) else _by_position(kind, saved))
        sampler = values.get("sampler_name")
        if kind.name in SAMPLERS and isinstance(sampler, str):
            values["sampler_name"] = sampler.removeprefix("sample_")
    values.update(node.given)
    return values


def field_value(widget: Widget | None, value: Any) -> Any:
    """A value as the widget holds it: a text field of several lines has a text, whatever it was given."""
    return field_text(value) if widget is not None and widget.is_multiline else value


def wire_value(value: Any) -> Any:
    """A value as an input in API form, where a bare list would be a link."""
    return {"__value__": value} if isinstance(value, list) else value


def _saved(node: EditorNode) -> Sequence[Any] | Mapping[str, Any]:
    values = node.values
    if isinstance(values, list):
        return values
    if not isinstance(values, Mapping):
        return node.named or ()
    if "0" in values and isinstance(values.get("length"), int):  # a list that was written as an object
        return [values.get(str(number)) for number in range(min(values["length"], len(values) - 1))]
    return values


def _by_position(kind: Kind, saved: Sequence[Any]) -> dict[str, Any]:
    if len(saved) == len(kind.forced) and any(kind.forced):
        saved = list(compress(saved, (not each for each in kind.forced)))
    return dict(zip((each.name for each in kind.widgets if each.is_saved), saved, strict=False))


def _by_name(kind: Kind, saved: Mapping[str, Any]) -> dict[str, Any]:
    return {each.name: saved[each.name] for each in kind.widgets if each.is_saved and each.name in saved}


def _unknown_values(node: EditorNode, saved: Sequence[Any] | Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    if not isinstance(saved, Mapping) and node.named:
        saved = node.named
    if isinstance(saved, Mapping):
        return {name: value for name, value in saved.items() if name != CONTROL and not isinstance(value, dict)}
    fields = [slot for slot in node.inputs if slot.widget]
    found = _in_turn(fields, saved)
    if len(found) == len(fields) or not saved:
        return found
    notes.append(
        f"Node {node.id} is of the unknown class {node.type}, and the file does not say which of its "
        f"{len(saved)} values belong to which inputs; they were left out."
    )
    return {}


def _in_turn(fields: Sequence[Slot], saved: Sequence[Any]) -> dict[str, Any]:
    """Values in the order of fields, without those that say how a seed changes; nothing if their numbers differ."""
    found: dict[str, Any] = {}
    at = 0
    for number, slot in enumerate(fields, 1):
        if at == len(saved):
            return {}
        found[str(slot.widget)] = saved[at]
        at += 1
        if slot.type in ("INT", "COMBO") and len(saved) - at > len(fields) - number and saved[at] in CONTROLS:
            at += 1
    return found if at == len(saved) else {}
