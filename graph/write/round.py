"""One round of changes to a workflow of the editor: each where the file has what is changed."""

from __future__ import annotations

import copy
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from graph.document import Document, Link
from graph.read.editor import (
    ANY,
    BYPASSED,
    INPUTS,
    MUTED,
    NOTES,
    OUTPUTS,
    VIRTUAL,
    Slot,
    entries,
    id_of,
    mapping,
    read_editor,
)
from graph.read.facts import Facts
from graph.read.kinds import Kinds
from graph.read.subgraphs import Placed, Scope, Unfolding
from graph.read.wires import Given, Wires
from graph.write.change import Change, Drop, Gone, New, Relink, Retitle, Set
from graph.write.draw import drawn, plain_id, saved_value
from graph.write.fields import (
    places_in_group,
    set_all_unknown,
    set_deeper,
    set_field,
    set_of_subgraph,
    set_unknown,
)
from graph.write.paper import Paper
from graph.write.placed import End, around, end_of, inside_of, outer_ids
from graph.write.spots import Spots, moved, place_of

PRIMITIVE = "PrimitiveNode"


class Round:
    """Changes `made`, so that it comes nearer to the nodes that are wanted.

    Raises DocumentError if it cannot be read.
    """

    def __init__(self, made: dict[str, Any], wanted: Document, kinds: Kinds, facts: Facts, *, is_gentle: bool) -> None:
        self._made = made
        self._wanted = wanted.nodes
        self._kinds = kinds
        self._facts = facts
        self._is_gentle = is_gentle
        self._editor = read_editor(made)
        unfolding = Unfolding(self._editor, kinds)
        self._all = unfolding.placed
        self._root = unfolding.root
        self.placed: dict[str, Placed] = {}
        for node in self._all:
            if node.id not in self.placed or node.is_emitted:
                self.placed[node.id] = node
        self._wires = Wires()
        self._uses = Counter(node.inside.sheet for node in self._all if node.inside is not None)
        self._definitions = _definitions(made)
        self._papers: dict[Scope, Paper | None] = {}
        self._dissolved: dict[str, Placed] = {}
        self._takers: dict[str, list[str]] = {}
        for name, each in self._wanted.items():
            for link in each.inputs.values():
                if isinstance(link, Link):
                    self._takers.setdefault(link.node, []).append(name)
        self._spots: dict[Scope, Spots] = {}
        self._entered: dict[Scope, dict[int, list[tuple[str, str]]]] = {}
        self._left: dict[Scope, dict[tuple[str, int], int]] = {}
        self._fed: dict[Scope, dict[Placed, list[End]]] = {}
        self._in_groups: dict[Placed, tuple[Any, dict[tuple[str, str], Any]]] = {}

    def has_title(self, name: str) -> bool:
        """Whether the file has a place for the title of a node."""
        scope: Scope | None = self.placed[name].scope
        while scope is not None and scope.outer is not None:
            if scope.outer.shape.node.type not in self._definitions:
                return False
            scope = scope.outer.scope
        return True

    def text_behind(self, name: str, key: str) -> str | None:
        """The text of a field as the file has it."""
        node = self.placed[name]
        end = end_of(node, key)
        primitive = self._primitive(end) if end else None
        value = primitive.values["value"] if primitive else node.values.get(key)
        return value if isinstance(value, str) else None

    def apply(self, changes: Iterable[Change]) -> None:
        """Make the changes that can be made in one go; others need those to be there first."""
        changes = list(changes)
        gone = {each.name: None for each in changes if isinstance(each, Gone)}
        self._remove(gone)
        for change in changes:
            node = self.placed.get(change.name)
            if isinstance(change, New):
                self._add(change)
            elif node is None or change.name in gone:
                continue
            elif isinstance(change, Retitle):
                if (raw := self._raw(node)) is not None:
                    raw["title"] = change.title
            elif isinstance(change, Set):
                self._set(node, change.key, change.value)
            elif isinstance(change, Relink):
                self._relink(node, change.key, change.link)
            elif isinstance(change, Drop):
                self._drop(node, change.key)
        for top in self._dissolved.values():
            self._dissolve(top)
        for paper in self._papers.values():
            if paper is not None:
                paper.close()

    # -- where things are in the file

    def _paper(self, scope: Scope) -> Paper | None:
        """The drawing that holds just the nodes of a scope; None for the inside of a group node.

        Where several nodes stand for one subgraph, this one gets its own.
        """
        if scope not in self._papers:
            self._papers[scope] = self._open(scope)
        return self._papers[scope]

    def _open(self, scope: Scope) -> Paper | None:
        if scope.outer is None:
            return Paper(self._made)
        node = scope.outer.shape.node
        raw = self._raw(scope.outer)
        definition = self._definitions.get(node.type)
        if raw is None or definition is None:
            return None
        if self._uses[scope.sheet] > 1:
            self._uses[scope.sheet] -= 1
            definition = copy.deepcopy(definition)
            name = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{node.type} {scope.outer.id}"))
            while name in self._definitions:
                name = str(uuid.uuid5(uuid.NAMESPACE_OID, name))
            definition["id"] = raw["type"] = name
            self._definitions[name] = definition
            self._made["definitions"]["subgraphs"].append(definition)
        return Paper(definition, is_inner=True)

    def _raw(self, node: Placed) -> dict[str, Any] | None:
        paper = self._paper(node.scope)
        return paper.nodes.get(node.shape.node.id) if paper is not None else None

    def _peek(self, scope: Scope) -> Mapping[str, Mapping[str, Any]]:
        """The nodes inside of a subgraph or group as the file has them, not to be changed."""
        if scope.outer is None:
            return {}
        node = scope.outer.shape.node
        definition = self._definitions.get(node.type)
        if definition is not None:
            return {id_of(each.get("id")) or "": each for each in map(mapping, entries(definition.get("nodes")))}
        group = self._editor.groups.get(self._editor.group_of(node) or "", {})
        return {str(number): mapping(each) for number, each in enumerate(entries(group.get("nodes")))}

    def _primitive(self, end: End) -> Placed | None:
        """The PrimitiveNode whose value an input has."""
        wire = end.node.scope.sheet.wires.get(end.slot.link) if end.slot.link is not None else None
        origin = end.node.scope.nodes.get(wire.origin) if wire else None
        if origin is None or origin.shape.node.type != PRIMITIVE or "value" not in origin.values:
            return None
        return origin if end.slot.widget else None

    def _ends(self, end: End) -> Iterator[End]:
        """An input, and those of the subgraphs around that it is wired to directly."""
        yield end
        while True:
            sheet, outer = end.node.scope.sheet, end.node.scope.outer
            wire = sheet.wires.get(end.slot.link) if end.slot.link is not None else None
            if wire is None or wire.origin != INPUTS or outer is None or not 0 <= wire.slot < len(outer.shape.inputs):
                return
            end = End(outer, wire.slot)
            yield end

    def _consumers(self, end: End) -> Iterator[Any]:
        """What those inputs inside of a subgraph shall have that one of its own leads to directly."""
        inside = end.node.inside
        if inside is None:
            return
        if inside not in self._entered:
            found: dict[int, list[tuple[str, str]]] = {}
            for node in inside.nodes.values():
                for slot in node.shape.inputs if node.id in self._wanted else ():
                    wire = inside.sheet.wires.get(slot.link) if slot.link is not None else None
                    if wire is not None and wire.origin == INPUTS:
                        found.setdefault(wire.slot, []).append((node.id, slot.name))
            self._entered[inside] = found
        for name, key in self._entered[inside].get(end.number, ()):
            yield self._wanted[name].inputs.get(key)

    def _fed_by(self, primitive: Placed) -> Sequence[End]:
        """The inputs that have the value of a PrimitiveNode."""
        scope = primitive.scope
        if scope not in self._fed:
            fed: dict[Placed, list[End]] = {}
            for node in scope.nodes.values():
                for number in range(len(node.shape.inputs)) if node.is_emitted else ():
                    if (origin := self._primitive(End(node, number))) is not None:
                        fed.setdefault(origin, []).append(End(node, number))
            self._fed[scope] = fed
        return self._fed[scope].get(primitive, ())

    # -- nodes

    def _remove(self, names: Iterable[str]) -> None:
        gone = {name: self.placed[name] for name in names}
        wanted = {outer for name in self._wanted for outer in outer_ids(name)}
        whole: list[Placed] = []
        for node in reversed(self._all):  # those that stand for a subgraph before what is inside
            if node.inside is None or node.id in wanted:
                continue
            inner = [each for each in inside_of(node) if each.is_emitted]
            if inner and all(gone.get(each.id) is each for each in inner):
                whole.append(node)
                for each in inner:
                    del gone[each.id]
        found: dict[Paper, list[dict[str, Any]]] = {}
        for node in (*whole, *gone.values()):
            paper, raw = self._paper(node.scope), self._raw(node)
            if paper is None or raw is None:
                self._give_up(node)
            else:
                found.setdefault(paper, []).append(raw)
        for paper, raws in found.items():
            paper.remove(*raws)

    def _add(self, change: New) -> None:
        old = self.placed.get(change.name)
        if old is not None and not old.is_emitted and old.runs and old.shape.node.type == change.node.class_type:
            raw = self._raw(old)
            if raw is not None and old.shape.node.mode in (MUTED, BYPASSED):
                raw["mode"] = 0
                return
        scope, node_id = self._scope_of(change.name)
        paper = self._paper(scope)
        assert paper is not None
        made = drawn(change.node, plain_id(node_id), change.title, self._kinds, self._facts)
        if scope not in self._spots:
            self._spots[scope] = Spots(paper.nodes.values())
        prefix = change.name.removesuffix(node_id)
        links = [each.node for each in change.node.inputs.values() if isinstance(each, Link)]
        near = [
            [raw for name in names if name.startswith(prefix) and (raw := paper.nodes.get(name.removeprefix(prefix)))]
            for names in (self._takers.get(change.name, []), links)
        ]
        made["pos"] = self._spots[scope].find(made["size"], *near)
        paper.add(made)

    def _scope_of(self, name: str) -> tuple[Scope, str]:
        """Where a node with this id lies, and the id that it has there."""
        head, _, tail = name.rpartition(":")
        outer = self.placed.get(head)
        if tail and outer is not None and outer.inside is not None and outer.runs:
            is_active = outer.shape.node.mode not in (MUTED, BYPASSED)
            if is_active and outer.id not in self._dissolved and self._paper(outer.inside) is not None:
                return outer.inside, tail
        return self._root, name

    def _give_up(self, node: Placed) -> None:
        """Have what is inside of a subgraph lie in the workflow itself: the file cannot say otherwise what changes."""
        while node.scope.outer is not None:
            node = node.scope.outer
        if node.inside is not None:
            self._dissolved[node.id] = node

    def _dissolve(self, top: Placed) -> None:
        paper = self._paper(self._root)
        assert paper is not None
        raw = paper.nodes.get(top.shape.node.id)
        if raw is None:
            return
        kept = [each for each in inside_of(top) if self._is_kept(each)]
        raws = {scope: self._peek(scope) for scope in {each.scope for each in kept}}
        found = [(each, raws[each.scope].get(each.shape.node.id, {})) for each in kept]
        corner = place_of(raw)
        paper.remove(raw)
        left = min((place_of(each)[0] for _, each in found), default=0)
        upper = min((place_of(each)[1] for _, each in found), default=0)
        for node, each in found:
            if node.id in paper.nodes:
                continue
            made: dict[str, Any] = moved(copy.deepcopy(dict(each)), corner[0] - left, corner[1] - upper)
            made["id"] = node.id
            made["mode"] = node.shape.node.mode if node.runs else MUTED
            made["inputs"] = [{**slot, "link": None} for slot in entries(each.get("inputs")) if isinstance(slot, dict)]
            outputs = (slot for slot in entries(each.get("outputs")) if isinstance(slot, dict))
            made["outputs"] = [{**slot, "links": []} for slot in outputs]
            paper.add(made)

    def _is_kept(self, node: Placed) -> bool:
        """Whether a node stays when the subgraph around it is gone."""
        kind = node.shape.node.type
        return node.id in self._wanted if node.is_emitted else kind in NOTES or kind not in VIRTUAL

    # -- values

    def _set(self, node: Placed, key: str, value: Any) -> None:
        end = end_of(node, key)
        if end is not None and end.slot.link is not None:
            if self._is_gentle and self._set_source(end, value):
                return
            source = self._wires.source(node, end.number)
            if (source is not None or self._primitive(end)) and not self._cut(end):
                return
        self._set_own(node, key, value)

    def _set_source(self, end: End, value: Any) -> bool:
        """Set a value where it comes from, if that is one place for all that take it."""
        primitive = self._primitive(end)
        if primitive is not None:
            raw = self._raw(primitive)
            if raw is None or not all(
                self._wants(each.node.id, each.slot.name, value) for each in self._fed_by(primitive)
            ):
                return False
            saved = raw.get("widgets_values")
            place: Any = 0 if isinstance(saved, list) else "0"
            if not isinstance(saved, list | dict):
                return False
            saved[place] = self._saved(end.node, end.slot.name, value)
            return True
        if not isinstance(self._wires.source(end.node, end.number), Given):
            return False
        *_, last = self._ends(end)
        if last.node is end.node or not all(_is_equal(each, value) for each in self._consumers(last)):
            return False
        raw = self._raw(last.node)
        return raw is not None and set_of_subgraph(raw, last.node, last.slot.name, value)

    def _wants(self, name: str, key: str, value: Any) -> bool:
        return name in self._wanted and _is_equal(self._wanted[name].inputs.get(key), value)

    def _set_own(self, node: Placed, key: str, value: Any) -> None:
        saved = self._saved(node, key, value)
        for outer in around(node):
            inner = node.id.removeprefix(f"{outer.id}:")
            if (inner, key) in outer.shape.deeper:
                raw = self._raw(outer)
                if raw is not None and set_deeper(raw, outer, inner, key, saved):
                    return
        raw = self._raw(node)
        if raw is None:
            if not self._set_in_group(node, key, saved):
                self._give_up(node)
        elif node.shape.kind is None:
            set_unknown(raw, node.shape.node, key, value, self._literals(node.id))
        else:
            set_field(raw, node.shape.kind, key, saved)

    def _set_in_group(self, node: Placed, key: str, value: Any) -> bool:
        outer = node.scope.outer
        name = self._editor.group_of(outer.shape.node) if outer is not None else None
        raw = self._raw(outer) if outer is not None else None
        if raw is None or outer is None or name is None or not self._is_gentle:
            return False
        if outer not in self._in_groups:
            group = self._editor.groups[name]
            self._in_groups[outer] = places_in_group(raw, outer.shape.node, group, self._kinds)
        saved, found = self._in_groups[outer]
        place = found.get((node.shape.node.id, key))
        if place is None:
            return False
        saved[place] = value
        return True

    def _saved(self, node: Placed, key: str, value: Any) -> Any:
        """A value as the file has it in a field of a node."""
        kind = node.shape.kind
        widget = next((each for each in kind.widgets if each.name == key), None) if kind else None
        return value if widget is None else saved_value(widget, value)

    def _literals(self, name: str) -> dict[str, Any]:
        return {key: value for key, value in self._wanted[name].inputs.items() if not isinstance(value, Link)}

    # -- wires

    def _relink(self, node: Placed, key: str, link: Link) -> None:
        source = self.placed.get(link.node)
        if source is None or not source.is_emitted:
            return  # it comes first
        end = end_of(node, key)
        for each in self._ends(end) if end else (None,):
            target = each.node if each else node
            origin = self._lifted(source, link.output, target.scope)
            if origin is None:
                continue
            others = self._consumers(each) if each is not None and each.node is not node else ()
            if any(value != link for value in others):  # what is outside of a subgraph may feed several inside
                break
            if self._wire(*origin, target, each, key):
                return
            break
        self._give_up(node)
        self._give_up(source)

    def _lifted(self, node: Placed, output: int, scope: Scope) -> tuple[Placed, int] | None:
        """The output in a scope around a node that one of its outputs leads to."""
        while node.scope is not scope:
            if node.scope not in self._left:
                wires = [wire for wire in node.scope.sheet.wires.values() if wire.target == OUTPUTS]
                self._left[node.scope] = {(wire.origin, wire.slot): wire.target_slot for wire in wires}
            found = self._left[node.scope].get((node.shape.node.id, output))
            if node.scope.outer is None or found is None or not self._is_gentle:
                return None
            node, output = node.scope.outer, found
        return node, output

    def _wire(self, origin: Placed, output: int, target: Placed, end: End | None, key: str) -> bool:
        paper, raw, source = self._paper(target.scope), self._raw(target), self._raw(origin)
        if paper is None or raw is None or source is None:
            return False
        slot = end.slot if end else Slot(key)
        kind = target.shape.kind
        if end is None and kind is not None:
            slot = next((each for each in kind.inputs if each.name == key), slot)
        return paper.wire(source, output, raw, self._slot(paper, raw, slot))

    def _slot(self, paper: Paper, raw: dict[str, Any], slot: Slot) -> dict[str, Any]:
        for each in entries(raw.get("inputs")):
            if isinstance(each, dict) and slot.link is not None and id_of(each.get("link")) == slot.link:
                return each
        return paper.slot(raw, slot.name, slot.type or ANY, slot.widget)

    def _cut(self, end: End) -> bool:
        """Take out the wire to an input; False if there is no place for that in the file."""
        paper, raw = self._paper(end.node.scope), self._raw(end.node)
        if paper is None or raw is None:
            self._give_up(end.node)
            return False
        paper.cut(self._slot(paper, raw, end.slot))
        return True

    def _drop(self, node: Placed, key: str) -> None:
        end = end_of(node, key)
        if end is not None and end.slot.link is not None and self._wires.source(node, end.number) is not None:
            self._cut(end)
        elif node.shape.kind is None:
            raw = self._raw(node)
            if raw is None:
                self._give_up(node)
            else:
                set_all_unknown(raw, self._literals(node.id))


def _definitions(made: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The subgraphs of a file by their ids, also those inside others."""
    found: dict[str, dict[str, Any]] = {}
    waiting = [made]
    while waiting:
        for raw in entries(mapping(waiting.pop().get("definitions")).get("subgraphs")):
            if isinstance(raw, dict):
                found.setdefault(id_of(raw.get("id")) or "", raw)
                waiting.append(raw)
    return found


def _is_equal(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)
