"""Values of single fields in a file of the editor, changed in place: lists by position, and objects by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graph.read.editor import EditorNode, entries, id_of, text_of
from graph.read.groups import unfold
from graph.read.kinds import CONTROL, Kind, Kinds
from graph.read.subgraphs import Placed
from graph.read.values import CONTROLS, values_of
from graph.write.draw import default_value, padded


@dataclass(frozen=True, slots=True)
class _Probe:
    """Stands where a value was, to see where it comes out."""

    place: Any


def set_field(raw: dict[str, Any], kind: Kind, name: str, value: Any) -> None:
    """Set the value of a widget that the class of a node has."""
    widgets = [each for each in kind.widgets if each.is_saved]
    at = next(number for number, each in enumerate(widgets) if each.name == name)
    saved, named = raw.get("widgets_values"), raw.get("widgets_values_named")
    if isinstance(named, dict) and named and (name in named or not isinstance(saved, list | dict)):
        named[name] = value
    if isinstance(saved, dict):
        length = saved.get("length")
        if not ("0" in saved and isinstance(length, int)):
            saved[name] = value
            return
        listed = [saved.get(str(number)) for number in range(min(length, len(saved) - 1))]  # written as an object
        _set_at(listed, kind, at, value)
        saved.update({str(number): each for number, each in enumerate(listed)}, length=len(listed))
    elif isinstance(saved, list):
        _set_at(saved, kind, at, value)
    elif not (isinstance(named, dict) and named):
        raw["widgets_values"] = []
        _set_at(raw["widgets_values"], kind, at, value)


def _set_at(saved: list[Any], kind: Kind, at: int, value: Any) -> None:
    widgets = [each for each in kind.widgets if each.is_saved]
    if any(kind.forced) and len(saved) == len(kind.forced):  # also with values for what only takes wires
        places = [number for number, is_forced in enumerate(kind.forced) if not is_forced]
        at = places[at] if at < len(places) else at
    if at >= len(saved):
        saved += [default_value(each) for each in widgets[len(saved) :]]
        saved[:] = padded(kind, saved)
    saved[at] = value


def set_unknown(raw: dict[str, Any], node: EditorNode, name: str, value: Any, wanted: Mapping[str, Any]) -> None:
    """Set a value of a node whose class nobody knows. `wanted` are all that it should have, by name."""
    saved = raw.get("widgets_values")
    if isinstance(saved, dict) and not ("0" in saved and isinstance(saved.get("length"), int)):
        saved[name] = value
        return
    named = raw.get("widgets_values_named")
    if isinstance(named, dict) and named:
        named[name] = value
        return
    place = _place_of(node, name, saved) if isinstance(saved, list) else None
    if place is not None and isinstance(saved, list):
        saved[place] = value
        return
    set_all_unknown(raw, wanted)


def set_all_unknown(raw: dict[str, Any], wanted: Mapping[str, Any]) -> None:
    """Give a node whose class nobody knows just these values, by name."""
    saved = raw.get("widgets_values")
    if isinstance(saved, dict):
        kept = {key: value for key, value in saved.items() if key == CONTROL or isinstance(value, dict)}
        raw["widgets_values"] = {**kept, **wanted}
    elif wanted:
        raw["widgets_values_named"] = dict(wanted)
    else:
        raw["widgets_values"] = []
        raw.pop("widgets_values_named", None)


def _place_of(node: EditorNode, name: str, saved: Sequence[Any]) -> int | None:
    """Where the value of this name stands in the list of a node whose class nobody knows."""
    probes = [each if isinstance(each, str) and each in CONTROLS else _Probe(place) for place, each in enumerate(saved)]
    found = values_of(replace(node, values=probes, given={}), None, []).get(name)
    return found.place if isinstance(found, _Probe) else None


def set_of_subgraph(raw: dict[str, Any], outer: Placed, name: str, value: Any) -> bool:
    """Set the value that the node of a subgraph has for an input of that; False if the file has no place for it."""
    order = [slot.name for slot in outer.shape.inputs if slot.widget is not None]
    saved = raw.get("widgets_values")
    if name not in order:
        return False
    if isinstance(saved, dict):
        saved[name] = value
        return True
    named = raw.get("widgets_values_named")
    if not isinstance(saved, list) and isinstance(named, dict):
        named[name] = value
        return True
    proxies = [each for each in entries(outer.shape.node.properties.get("proxyWidgets")) if _is_proxy(each)]
    listed = list(entries(saved))
    if proxies and len(proxies) == len(listed):
        places = [at for at, each in enumerate(proxies) if id_of(each[0]) == "-1" and text_of(each[1]) == name]
        if not places:
            return False
        listed[places[-1]] = value
    else:
        if proxies and len(listed) != len(order):
            listed = []
            if len(proxies) == len(order):
                return False
        listed += [outer.shape.values.get(each) for each in order[len(listed) :]]
        listed[order.index(name)] = value
    if isinstance(saved, list):
        saved[:] = listed
    else:
        raw["widgets_values"] = listed
    return True


def set_deeper(raw: dict[str, Any], outer: Placed, inner: str, widget: str, value: Any) -> bool:
    """Set the value that the node of a subgraph has for a widget of a node inside; False if it has none."""
    saved = raw.get("widgets_values")
    if (inner, widget) not in outer.shape.deeper or not isinstance(saved, list) or value is None:
        return False
    proxies = [each for each in entries(outer.shape.node.properties.get("proxyWidgets")) if _is_proxy(each)]
    places = [at for at, each in enumerate(proxies) if (id_of(each[0]), text_of(each[1])) == (inner, widget)]
    for at in places:
        saved[at] = value
    return bool(places)


def _is_proxy(value: object) -> bool:
    return isinstance(value, list) and len(value) > 1


def places_in_group(
    raw: Mapping[str, Any], node: EditorNode, group: Mapping[str, Any], kinds: Kinds
) -> tuple[Any, dict[tuple[str, str], Any]]:
    """The values that a group node has, and the place in them of each value inside, by node and widget."""
    saved = raw.get("widgets_values")
    saved = saved if isinstance(saved, list | dict) else raw.get("widgets_values_named")
    if not isinstance(saved, list | dict):
        return saved, {}
    probes: Any = [_Probe(place) for place in range(len(saved))]
    if isinstance(saved, dict):
        probes = {key: _Probe(key) for key in saved}
    inputs = [replace(each) for each in node.inputs]
    inside = unfold(replace(node, values=probes, named=None, inputs=inputs), group, kinds, [])
    return saved, {
        (inner, widget): probe.place
        for inner, each in inside.nodes.items()
        for widget, probe in each.given.items()
        if isinstance(probe, _Probe)
    }
