"""A document as a workflow of the editor, in the form of version 0.4."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import networkx as nx

from graph.document import Document, Link
from graph.problems import DocumentError
from graph.read.api import read_api
from graph.read.editor import NOTES, entries, id_of, mapping, text_of
from graph.read.facts import Facts
from graph.read.kinds import Kinds
from graph.write.draw import Sheet, drawn, numbered
from graph.write.layout import place
from graph.write.paper import MOST_OUTPUTS
from graph.write.patch import patched

CORNER = (50, 80)  # where the drawing begins, below the editor's own buttons
LOOKS = ("pos", "size", "color", "bgcolor", "flags", "shape", "properties", "title")


def to_editor(prompt: Mapping[str, Any], facts: Facts, base: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A workflow in API form as one for the editor: drawn, and laid out from left to right.

    With `base`, the editor's workflow that it came from, all that a person placed there stays as it is: only what is
    sent otherwise is changed, nodes that are new lie beside what they feed, and where several nodes stand for one
    subgraph, of which one is to be another, that gets its own.

    Nodes keep their ids. A field that the document gives no value for has its default, and literal values that a known
    class has no field for are left out, as the editor can hold neither; a text that names a node's widget for the
    editor to fill in cannot be kept from it. Raises DocumentError if this is no workflow in API form.
    """
    document = read_api(dict(prompt))
    if base is None:
        return _drawn(document, facts)
    try:
        made, places = patched(document, facts, base)
    except (DocumentError, RecursionError):  # a file that nobody can open
        return _drawn(document, facts)
    if not places:
        return made
    try:
        anew, fewer = patched(document, facts, _beside(_drawn(document, facts), base))
    except DocumentError:
        return made
    return anew if fewer < places else made


def _drawn(document: Document, facts: Facts) -> dict[str, Any]:
    sheet = _sheet(document, facts)
    arrange(sheet, document)
    nodes = list(sheet.nodes.values())
    content = json.dumps(document.prompt, sort_keys=True, default=str)
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, content)),
        "revision": 0,
        "last_node_id": max((node["id"] for node in nodes if isinstance(node["id"], int)), default=0),
        "last_link_id": sheet.last_link,
        "nodes": nodes,
        "links": sheet.links,
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def _beside(made: dict[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """A drawing with the places and looks of nodes, the groups and the notes of another one."""
    old = {id_of(each.get("id")): each for each in map(mapping, entries(base.get("nodes")))}
    for node in made["nodes"]:
        same = old.get(id_of(node["id"]), {})
        if same.get("type") == node["type"]:
            node.update({key: same[key] for key in LOOKS if key in same})
    taken = {id_of(node["id"]) for node in made["nodes"]}
    notes = (each for key, each in old.items() if key not in taken and each.get("type") in NOTES)
    made["nodes"] += copy.deepcopy(list(notes))
    made["groups"] = copy.deepcopy(list(entries(base.get("groups"))))
    return made


def wires_of(document: Document) -> Iterator[tuple[str, str, Link]]:
    """Each wire between nodes that are there: the node that takes it, the name of its input, and where it begins."""
    for name, node in document.nodes.items():
        for slot, value in node.inputs.items():
            if isinstance(value, Link) and value.node in document.nodes and 0 <= value.output < MOST_OUTPUTS:
                yield name, slot, value


def arrange(sheet: Sheet, document: Document) -> None:
    """Give the nodes of a drawing their places and their order."""
    wires = [(link.node, name) for name, _, link in wires_of(document)]
    sizes = {name: (node["size"][0], node["size"][1]) for name, node in sheet.nodes.items()}
    for name, corner in place(sizes, wires, CORNER).items():
        sheet.nodes[name]["pos"] = list(corner)
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(sheet.nodes)
    graph.add_edges_from(wires)
    whole = nx.condensation(graph)
    order = [name for part in nx.topological_sort(whole) for name in sorted(whole.nodes[part]["members"])]
    for number, name in enumerate(order):
        sheet.nodes[name]["order"] = number


def _sheet(document: Document, facts: Facts) -> Sheet:
    kinds = Kinds(facts)
    sheet = Sheet(numbered(document.nodes))
    for name, node in document.nodes.items():
        title = text_of(mapping(document.prompt[name].get("_meta")).get("title"))
        sheet.nodes[name] = drawn(node, sheet.ids[name], title, kinds, facts)
    for name, slot, link in wires_of(document):
        numbers = {each["name"]: number for number, each in enumerate(sheet.nodes[name]["inputs"])}
        sheet.wire(link.node, link.output, name, numbers[slot])
    return sheet
