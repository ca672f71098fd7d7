"""A workflow of the editor changed so that it is sent as another prompt: only what differs, the rest stays."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from graph.document import BadLink, Document, DocumentNode, Link
from graph.read.api import read_api
from graph.read.convert import Circumstances, to_prompt
from graph.read.editor import RENAMED, VIRTUAL, mapping, text_of
from graph.read.facts import Facts
from graph.read.kinds import ABSENT, Kinds
from graph.read.values import field_value
from graph.write.change import Change, Drop, Gone, New, Relink, Retitle, Set
from graph.write.order import in_order
from graph.write.outcomes import may_be_filled_in, may_become
from graph.write.paper import MOST_OUTPUTS
from graph.write.round import Round

ONCE = Circumstances(datetime(2001, 2, 3, 4, 5, 6), lambda count: 0)
ROUNDS = 8  # of changes; each looks at what came of those before
GENTLE = 3  # of them change values where they come from; then what is in the way is cut


def patched(document: Document, facts: Facts, base: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """The workflow changed, and in how many places it is still sent as something else than the document.

    Raises DocumentError if the workflow cannot be read.
    """
    kinds = Kinds(facts)
    wanted = settled(document, kinds)
    titles = {name: text_of(mapping(mapping(document.prompt.get(name)).get("_meta")).get("title")) for name in wanted}
    made = copy.deepcopy(dict(base))
    for number in range(ROUNDS):
        changing = Round(made, Document(wanted, {}), kinds, facts, is_gentle=number < GENTLE)
        changes = list(differences(changing, to_prompt(made, facts, ONCE).prompt, wanted, titles, kinds))
        if not changes:
            return made, 0
        if number < ROUNDS - 1:
            changing.apply(changes)
    return made, len(changes)


def settled(document: Document, kinds: Kinds) -> dict[str, DocumentNode]:
    """The nodes as the editor can have them at all, each after those that it takes values from.

    Values that a known class has no field for are left out, and links to nodes that are not there.
    """
    found: dict[str, DocumentNode] = {}
    there = {name for name, node in document.nodes.items() if name and node.class_type not in VIRTUAL}
    for name in (each for each in in_order(document) if each in there):
        node = document.nodes[name]
        class_type = RENAMED.get(node.class_type, node.class_type)
        kind = kinds.of(class_type)
        widgets = {each.name: each for each in kind.widgets if each.is_sent and each.is_saved} if kind else {}
        inputs: dict[str, Any] = {}
        for key, value in node.inputs.items():
            if isinstance(value, Link):
                if value.node in there and 0 <= value.output < MOST_OUTPUTS:
                    inputs[key] = value
            elif kind is None or key in widgets:
                inputs[key] = field_value(widgets.get(key), value.value if isinstance(value, BadLink) else value)
        found[name] = DocumentNode(class_type, inputs)
    return found


def differences(
    now: Round,
    prompt: Mapping[str, Any],
    wanted: Mapping[str, DocumentNode],
    titles: Mapping[str, str],
    kinds: Kinds,
) -> Iterator[Change]:
    """What must change in the workflow, which is sent as `prompt`."""
    sent = read_api(dict(prompt)).nodes
    for name, node in sent.items():
        if name not in wanted or wanted[name].class_type != node.class_type:
            yield Gone(name)
    for name, node in reversed(list(wanted.items())):  # what takes from others before those
        if name not in sent or sent[name].class_type != node.class_type:
            yield New(name, node, titles[name])
            continue
        if titles[name] and titles[name] != prompt[name]["_meta"]["title"] and now.has_title(name):
            yield Retitle(name, titles[name])
        yield from _inputs(now, name, sent[name], node, kinds)


def _inputs(now: Round, name: str, sent: DocumentNode, node: DocumentNode, kinds: Kinds) -> Iterator[Change]:
    kind = kinds.of(node.class_type)
    widgets = {each.name: each for each in kind.widgets} if kind else {}
    for key, value in node.inputs.items():
        found = sent.inputs.get(key, ABSENT)
        if isinstance(value, Link):
            if found != value:
                yield Relink(name, key, value)
        elif not same(found, value) and not _may_become(now, name, key, found, value, kinds):
            yield Set(name, key, value)
    for key, found in sent.inputs.items():
        widget = widgets.get(key)
        if key in node.inputs or (widget is not None and not widget.is_saved):
            continue
        if isinstance(found, Link) or kind is None:
            yield Drop(name, key)
        elif widget is not None and widget.default is not ABSENT:
            default = field_value(widget, widget.default)  # what an input has that is not given
            if not same(found, default) and not _may_become(now, name, key, found, default, kinds):
                yield Set(name, key, default)


def _may_become(now: Round, name: str, key: str, found: Any, value: Any, kinds: Kinds) -> bool:
    """Whether a field has a text with alternatives or a date in it, of which the value is one outcome."""
    if not isinstance(found, str) or not isinstance(value, str):
        return False
    kind = kinds.of(now.placed[name].shape.node.type)
    widget = next((each for each in kind.widgets if each.name == key), None) if kind else None
    text = now.text_behind(name, key)
    if widget is None or text is None:
        return False
    return (widget.is_dynamic and may_become(text, value)) or (
        widget.is_pattern and may_be_filled_in(text, found, value)
    )


def same(one: Any, other: Any) -> bool:
    """Whether two values of JSON are equal, numbers by value; what is no number equals itself."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other or (one != one and other != other)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and bool(one == other)
