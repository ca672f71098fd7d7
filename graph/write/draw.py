"""Nodes of a document drawn for the editor: their slots, values, titles and sizes, and the wires between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graph.document import BadLink, DocumentNode, Link
from graph.read.convert import ALIAS
from graph.read.editor import ANY
from graph.read.facts import Facts
from graph.read.kinds import ABSENT, Kind, Kinds, Widget
from graph.write.layout import Size
from graph.write.texts import guarded

LARGEST = 2**53  # ids that the editor knows exactly lie below
WIDTH, SLOT, FIELD, TEXT = 270, 20, 24, 120  # of a node, an output or input, a field, a field of several lines; pixels
CONTROL_VALUE = "fixed"  # what the document says is what runs, also the next time
UNSENT = {"upload": "image", "control_filter_list": ""}


@dataclass
class Sheet:
    """Nodes by the ids of the document, and wires as the editor lists them."""

    ids: Mapping[str, int | str]
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    links: list[list[Any]] = field(default_factory=list)
    last_link: int = 0

    def wire(self, origin: str, output: int, target: str, number: int) -> None:
        """Lead an output to input `number` of a node. Outputs that are not there yet are made."""
        slot = self.nodes[target]["inputs"][number]
        outputs = self.nodes[origin]["outputs"]
        while len(outputs) <= output:
            outputs.append(_output(ANY, ANY))
        if outputs[output]["type"] == ANY and slot["type"] != ANY:
            outputs[output].update({"name": slot["type"], "type": slot["type"]})
        self.last_link += 1
        slot["link"] = self.last_link
        outputs[output]["links"] = [*(outputs[output].get("links") or ()), self.last_link]
        self.links.append([self.last_link, self.ids[origin], output, self.ids[target], number, outputs[output]["type"]])


def numbered(names: Iterable[str]) -> dict[str, int | str]:
    """The editor's id for each id of a document: a number where it is one, else the same text.

    A node whose id is empty, as none of the editor's may be, gets a number that is free.
    """
    found = {name: plain_id(name) for name in names}
    if "" in found:
        number = 1
        while str(number) in found:
            number += 1
        found[""] = number
    return found


def plain_id(name: str) -> int | str:
    """An id as the editor writes it: a number if it is one that it knows exactly."""
    is_number = name.isascii() and name.isdigit() and len(name) < 17 and str(int(name)) == name and int(name) < LARGEST
    return int(name) if is_number else name


def drawn(node: DocumentNode, node_id: int | str, title: str, kinds: Kinds, facts: Facts) -> dict[str, Any]:
    """A node without wires, at no place yet."""
    kind = kinds.of(node.class_type)
    known = facts.of(node.class_type) if kind is not None else None
    names = known.output_names if known is not None else ()
    outputs = kind.outputs if kind is not None else ()
    made: dict[str, Any] = {
        "id": node_id,
        "type": node.class_type,
        "pos": [0, 0],
        "size": [0, 0],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": _inputs(node, kind),
        "outputs": [_output(names[at] if at < len(names) else kind_, kind_) for at, kind_ in enumerate(outputs)],
        "properties": {ALIAS: node.class_type},
        "widgets_values": _values(node, kind),
    }
    if title and title != (kind.display if kind is not None and kind.display else node.class_type):
        made["title"] = title
    made["size"] = list(size_of(made, kind))
    return made


def size_of(node: Mapping[str, Any], kind: Kind | None) -> Size:
    """About how much room a node needs."""
    sockets = sum("widget" not in each for each in node["inputs"])
    widgets = kind.widgets if kind is not None else [Widget(str(each)) for each in node["widgets_values"]]
    texts = sum(each.is_multiline for each in widgets)
    height = SLOT * max(sockets, len(node["outputs"])) + FIELD * (len(widgets) - texts) + TEXT * texts
    return (WIDTH if not texts else WIDTH * 3 // 2), height + SLOT


def saved_value(widget: Widget, value: Any) -> Any:
    """A value as the file of an editor has it in this field."""
    return guarded(value) if widget.is_dynamic and isinstance(value, str) else value


def padded(kind: Kind, values: list[Any]) -> list[Any]:
    """Values such that no editor takes them for a list from the time when inputs that only take wires had some."""
    return [*values, None] if any(kind.forced) and len(values) == len(kind.forced) else values


def _inputs(node: DocumentNode, kind: Kind | None) -> list[dict[str, Any]]:
    slots: list[dict[str, Any]] = []
    for each in kind.inputs if kind is not None else ():
        widget = {"widget": {"name": each.widget}} if each.widget else {}
        slots.append({"name": each.name, "type": each.type, **widget, "link": None})
    declared = {each["name"] for each in slots}
    for name, value in node.inputs.items():
        if name not in declared and (kind is None or isinstance(value, Link)):
            widget = {} if isinstance(value, Link) else {"widget": {"name": name}}
            slots.append({"name": name, "type": ANY, **widget, "link": None})
    return slots


def _values(node: DocumentNode, kind: Kind | None) -> list[Any]:
    given = {
        name: value.value if isinstance(value, BadLink) else value
        for name, value in node.inputs.items()
        if not isinstance(value, Link)
    }
    if kind is None:
        return list(given.values())
    widgets = [each for each in kind.widgets if each.is_saved]
    while widgets and widgets[-1].name not in given and widgets[-1].is_sent and widgets[-1].default is ABSENT:
        widgets.pop()  # a field with nothing to choose from
    return padded(kind, [_value(each, given) for each in widgets])


def _value(widget: Widget, given: Mapping[str, Any]) -> Any:
    return saved_value(widget, given[widget.name]) if widget.name in given else default_value(widget)


def default_value(widget: Widget) -> Any:
    """What the file of an editor has in a field that nobody gave a value."""
    if not widget.is_sent:
        return UNSENT.get(widget.name, CONTROL_VALUE)
    return None if widget.default is ABSENT else widget.default


def _output(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "type": kind, "links": []}
