"""A drawing in a file of the editor, changed in place: nodes and wires are added and taken out, the rest stays."""

from __future__ import annotations

from collections import Counter
from typing import Any

from graph.read.editor import ANY, entries, id_of, mapping, number_of, text_of, whole

KEYS = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")  # of a link that is an object
MOST_OUTPUTS = 1000  # of a node; a wire from beyond is a mistake


class Paper:
    """The workflow itself, or the inside of a subgraph."""

    def __init__(self, raw: dict[str, Any], *, is_inner: bool = False) -> None:
        self.raw = raw
        self.nodes: dict[str, dict[str, Any]] = {}
        for each in entries(raw.get("nodes")):
            if isinstance(each, dict) and (node_id := id_of(each.get("id"))):
                self.nodes.setdefault(node_id, each)
        found = raw.get("links")
        links = list(found.values() if isinstance(found, dict) else entries(found))
        self._links = {link: each for each in links if (link := id_of(_of(each, 0))) is not None}
        by_type = is_inner or raw.get("version") == 1
        self._is_by_name = isinstance(links[0], dict) if links else by_type
        slots = (mapping(each) for node in self.nodes.values() for each in entries(node.get("inputs")))
        self._ends = Counter(id_of(each.get("link")) for each in slots)
        self._gone: set[str] = set()
        numbers = [number for each in self.nodes.values() if (number := whole(each.get("id"))) is not None]
        self._by_end: dict[str | None, list[tuple[Any, int]]] | None = None  # links of each node; made if it is needed
        self._last_node = max((*numbers, self._counted("node")), default=0)
        self._last_link = max((*map(number_of, self._links), self._counted("link")), default=0)
        self._last_order = max((whole(each.get("order")) or 0 for each in self.nodes.values()), default=0)

    def cut(self, slot: dict[str, Any]) -> None:
        """Take out the wire that ends at an input."""
        link = id_of(slot.get("link"))
        slot["link"] = None
        self._ends[link] -= 1
        if link is not None and self._ends[link] < 1:
            self._drop(link)

    def wire(self, origin: dict[str, Any], output: int, target: dict[str, Any], slot: dict[str, Any]) -> bool:
        """Lead an output to an input that belongs to the target, in place of the wire there; whether there is room."""
        if output >= MOST_OUTPUTS:
            return False
        self.cut(slot)
        outputs = _list(origin, "outputs")
        while len(outputs) <= output:
            outputs.append({"name": ANY, "type": ANY, "links": []})
        if not isinstance(outputs[output], dict):
            outputs[output] = {"name": ANY, "type": ANY}
        made = self._new_link()
        slot["link"] = made
        _list(outputs[output], "links").append(made)
        number = next(at for at, each in enumerate(target["inputs"]) if each is slot)
        kind = next((each for each in (outputs[output].get("type"), slot.get("type")) if each and each != ANY), ANY)
        values = [made, origin["id"], output, target["id"], number, kind]
        entry: Any = dict(zip(KEYS, values, strict=True)) if self._is_by_name else values
        self._links[str(made)] = entry
        self._ends[str(made)] = 1
        links = self.raw.get("links")
        if isinstance(links, dict):
            links[str(made)] = entry
        else:
            _list(self.raw, "links").append(entry)
        return True

    def slot(self, node: dict[str, Any], name: str, kind: str, widget: str | None) -> dict[str, Any]:
        """The input of this name, made if the file has none."""
        slots = _list(node, "inputs")
        for each in reversed(slots):
            if isinstance(each, dict) and text_of(each.get("name")) == name:
                return each
        slots.append({"name": name, "type": kind, **({"widget": {"name": widget}} if widget else {}), "link": None})
        made: dict[str, Any] = slots[-1]
        return made

    def remove(self, *nodes: dict[str, Any]) -> None:
        """Take out nodes, with all wires to and from them."""
        ids = {id_of(node.get("id")) or "" for node in nodes}
        places = {id(node) for node in nodes}
        gone = {link for link, each in self._links.items() if ids & {id_of(_of(each, 1)), id_of(_of(each, 3))}}
        for node_id in ids:
            self.nodes.pop(node_id, None)
        self.raw["nodes"][:] = [each for each in self.raw["nodes"] if id(each) not in places]
        for node in self.nodes.values():
            for slot in entries(node.get("inputs")):
                if isinstance(slot, dict) and id_of(slot.get("link")) in gone:
                    slot["link"] = None
        for link in gone:
            self._drop(link)

    def add(self, node: dict[str, Any]) -> None:
        """Add a node. Another one of its id, which stands for nothing that runs, gets a new id."""
        node_id = str(node["id"])
        other = self.nodes.get(node_id)
        if other is not None:
            self._renumber(node_id, other)
        self.nodes[node_id] = node
        _list(self.raw, "nodes").append(node)
        self._last_order += 1
        node["order"] = self._last_order
        if isinstance(node["id"], int):
            self._last_node = max(self._last_node, node["id"])
            self._count("node", node["id"])

    def close(self) -> None:
        """Take the wires that are gone out of all the lists in which they stand."""
        if not self._gone:
            return
        links = self.raw.get("links")
        if isinstance(links, dict):
            for key in [key for key, each in links.items() if id_of(_of(each, 0)) in self._gone]:
                del links[key]
        elif isinstance(links, list):
            links[:] = [each for each in links if id_of(_of(each, 0)) not in self._gone]
        extra = mapping(self.raw.get("extra"))
        for node in self.nodes.values():
            for output in entries(node.get("outputs")):
                self._forget(mapping(output).get("links"))
        for owner, key in ((self.raw, "inputs"), (self.raw, "outputs"), (self.raw, "reroutes"), (extra, "reroutes")):
            for each in entries(owner.get(key)):
                self._forget(mapping(each).get("linkIds"))
        extensions = extra.get("linkExtensions")
        if isinstance(extensions, list):
            extensions[:] = [each for each in extensions if id_of(mapping(each).get("id")) not in self._gone]
        self._gone.clear()

    # -- parts

    def _drop(self, link: str) -> None:
        self._gone.add(link)
        self._links.pop(link, None)

    def _forget(self, ids: object) -> None:
        if isinstance(ids, list) and any(id_of(each) in self._gone for each in ids):
            ids[:] = [each for each in ids if id_of(each) not in self._gone]

    def _renumber(self, node_id: str, node: dict[str, Any]) -> None:
        self._last_node += 1
        node["id"] = self._last_node
        self._count("node", node["id"])
        self.nodes[str(node["id"])] = self.nodes.pop(node_id)
        if self._by_end is None:
            self._by_end = {}
            for entry in self._links.values():
                for place in (1, 3):
                    self._by_end.setdefault(id_of(_of(entry, place)), []).append((entry, place))
        for entry, place in self._by_end.get(node_id, ()):
            entry[KEYS[place] if isinstance(entry, dict) else place] = node["id"]

    def _new_link(self) -> int:
        self._last_link += 1
        self._count("link", self._last_link)
        return self._last_link

    def _counted(self, what: str) -> int:
        """The highest number that the file says was given to a node or link."""
        state = mapping(self.raw.get("state")).get(f"last{what.capitalize()}Id")
        found = [whole(state), whole(self.raw.get(f"last_{what}_id"))]
        return max((number for number in found if number is not None), default=0)

    def _count(self, what: str, number: int) -> None:
        state, key = self.raw.get("state"), f"last{what.capitalize()}Id"
        if isinstance(state, dict) and key in state:
            state[key] = max(number, whole(state[key]) or 0)
        if not isinstance(state, dict) or f"last_{what}_id" in self.raw:
            self.raw[f"last_{what}_id"] = max(number, whole(self.raw.get(f"last_{what}_id")) or 0)


def _of(link: object, place: int) -> Any:
    """Part of a link; nothing if it has none."""
    if isinstance(link, dict):
        return link.get(KEYS[place])
    return link[place] if isinstance(link, list) and len(link) > place else None


def _list(owner: dict[str, Any], key: str) -> list[Any]:
    """A list in an object, made if there is none."""
    if not isinstance(owner.get(key), list):
        owner[key] = []
    found: list[Any] = owner[key]
    return found
