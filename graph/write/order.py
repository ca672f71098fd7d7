"""The order in which the nodes of a document take values from each other."""

from __future__ import annotations

from graph.document import Document, Link


def in_order(document: Document) -> list[str]:
    """The ids of nodes, each after those that it takes values from, as far as there is no circle."""
    found: dict[str, None] = {}
    begun: set[str] = set()
    stack = list(document.nodes)[::-1]
    while stack:
        name = stack[-1]
        if name in begun:
            found[stack.pop()] = None
            continue
        begun.add(name)
        links = [value for value in document.nodes[name].inputs.values() if isinstance(value, Link)]
        stack += [each.node for each in links if each.node in document.nodes and each.node not in begun][::-1]
    return list(found)
