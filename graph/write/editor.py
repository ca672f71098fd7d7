"""A document as a workflow of the editor, in the form of version 0.4."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import networkx as nx

from graph.document import Document, Link
from graph.read.api import read_api
from graph.read.editor import mapping, text_of
from graph.read.facts import Facts
from graph.read.kinds import Kinds
from graph.write.draw import Sheet, drawn, numbered
from graph.write.layout import place

CORNER = (50, 80)  # where the drawing begins, below the editor's own buttons
MOST_OUTPUTS = 1000  # of a node; a wire from beyond is a mistake


def to_editor(prompt: Mapping[str, Any], facts: Facts, base: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A workflow in API form drawn for the editor, laid out from left to right.

    Ids that are numbers stay; other nodes get one that is free, and keep theirs in a property. A field that the
    document gives no value for has its default, and literal values that a known class has no field for are left out,
    as the editor can hold neither; a text that names a node's widget for the editor to fill in cannot be kept from it.
    Raises DocumentError if this is no workflow in API form.
    """
    document = read_api(dict(prompt))
    sheet = _sheet(document, facts)
    arrange(sheet, document)
    nodes = list(sheet.nodes.values())
    content = json.dumps(prompt, sort_keys=True, default=str)
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, content)),
        "revision": 0,
        "last_node_id": max((node["id"] for node in nodes), default=0),
        "last_link_id": sheet.last_link,
        "nodes": nodes,
        "links": sheet.links,
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


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
        sheet.nodes[name] = drawn(node, sheet.ids[name], name, title, kinds, facts)
    for name, slot, link in wires_of(document):
        numbers = {each["name"]: number for number, each in enumerate(sheet.nodes[name]["inputs"])}
        sheet.wire(link.node, link.output, name, numbers[slot])
    return sheet
