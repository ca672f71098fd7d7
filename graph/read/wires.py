"""Where a wire really comes from: through reroutes and bypassed nodes, into subgraphs and out of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graph.read.editor import ANY, BYPASSED, INPUTS, MUTED, OUTPUTS, PASSING, Sheet, Slot, Wire
from graph.read.kinds import ABSENT
from graph.read.subgraphs import Placed, Scope
from graph.read.texts import plain_text

MOST_INPUTS = 250  # of a bypassed node that are tried, and
LONGEST_TYPE = 1000  # letters of a type that is taken apart: no node has more


@dataclass(frozen=True, slots=True)
class Source:
    """Output number `slot` of a node, which may be one that does not run."""

    node: Placed
    slot: int


@dataclass(frozen=True, slots=True)
class Given:
    """The value of a widget of a subgraph's node."""

    value: Any


@dataclass(frozen=True, slots=True)
class _At:
    """A place on the way: before input `slot` of a node, or after its output `slot`.

    `wanted` is the type that is asked for; before an input it may be empty, which means that of the input.
    """

    node: Placed
    slot: int
    is_input: bool
    wanted: str


class Wires:
    """Follows wires; each piece of the way only once."""

    def __init__(self) -> None:
        self._known: dict[_At, Source | Given | None] = {}
        self._outputs: dict[Sheet, list[Wire | None]] = {}
        self._setters: dict[Scope, dict[str, Placed]] = {}
        self.loops: list[str] = []  # ids of nodes whose wires lead round in a circle of nodes that do nothing

    def source(self, node: Placed, number: int) -> Source | Given | None:
        """What comes in at an input; None for nothing."""
        way: dict[_At, None] = {}
        at: _At | Source | Given | None = _At(node, number, True, "")
        while isinstance(at, _At) and at not in self._known:
            if at in way:
                self.loops.append(node.id)
                at = None
                break
            way[at] = None
            at = self._before_input(at) if at.is_input else self._after_output(at)
        found = self._known[at] if isinstance(at, _At) else at
        for passed in reversed(way):
            if found is None and passed.is_input:
                found = _own_value(passed)
            self._known[passed] = found
        return found

    def _before_input(self, at: _At) -> _At | Source | Given | None:
        scope = at.node.scope
        if at.slot >= len(at.node.shape.inputs) or at.slot < 0:
            return None
        slot = at.node.shape.inputs[at.slot]
        wire = scope.sheet.wires.get(slot.link) if slot.link is not None else None
        if wire is None:
            return None
        if wire.origin == INPUTS and scope.outer is not None:
            return _At(scope.outer, wire.slot, True, at.wanted)
        origin = scope.nodes.get(wire.origin)
        return _At(origin, wire.slot, False, at.wanted or slot.type) if origin else None

    def _after_output(self, at: _At) -> _At | Source | Given | None:
        node, shape = at.node, at.node.shape
        if shape.node.mode == BYPASSED:
            number = way_around(shape.inputs, shape.outputs, at.slot, at.wanted)
            return None if number is None else _At(node, number, True, "")
        if node.inside is not None:
            return Source(node, at.slot) if shape.node.mode == MUTED else self._from_inside(at)
        if shape.node.type in PASSING:
            return _At(node, at.slot, True, at.wanted)
        if shape.node.type == "GetNode":
            setter = self._setter(node)
            return _At(setter, 0, True, at.wanted) if setter else None
        is_gone = shape.node.type == "PrimitiveNode" or at.slot < 0
        return None if is_gone else Source(node, at.slot)

    def _from_inside(self, at: _At) -> _At | None:
        inside = at.node.inside
        assert inside is not None
        ends = self._ends(inside.sheet)
        wire = ends[at.slot] if 0 <= at.slot < len(ends) else None
        if wire is None:
            return None
        if wire.origin == INPUTS:
            return _At(at.node, wire.slot, True, at.wanted)
        origin = inside.nodes.get(wire.origin)
        return _At(origin, wire.slot, False, at.wanted) if origin else None

    def _setter(self, getter: Placed) -> Placed | None:
        """The SetNode of the name that a GetNode has: in the same drawing, or in one around it."""
        scope: Scope | None = getter.scope
        while scope is not None:
            if scope not in self._setters:
                setters = [node for node in scope.nodes.values() if node.shape.node.type == "SetNode"]
                self._setters[scope] = {_name(node): node for node in reversed(setters)}
            if (found := self._setters[scope].get(_name(getter))) is not None:
                return found
            scope = scope.outer.scope if scope.outer else None
        return None

    def _ends(self, sheet: Sheet) -> list[Wire | None]:
        """The wire that leads to each output of a subgraph."""
        if sheet not in self._outputs:
            drawn = {wire.target_slot: wire for wire in reversed(sheet.wires.values()) if wire.target == OUTPUTS}
            self._outputs[sheet] = [
                next((sheet.wires[link] for link in port.links if link in sheet.wires), drawn.get(number))
                for number, port in enumerate(sheet.outputs)
            ]
        return self._outputs[sheet]


def way_around(inputs: Sequence[Slot], outputs: Sequence[str], number: int, wanted: str) -> int | None:
    """The input of a bypassed node that stands in for output `number` where type `wanted` is asked for."""
    if wanted == ANY:
        if not inputs:
            return None
        return number if 0 <= number < len(inputs) else 0
    inputs = inputs[:MOST_INPUTS]
    given = outputs[number] if 0 <= number < len(outputs) else ANY
    if 0 <= number < len(inputs) and _fits(inputs[number], given, wanted):
        return number
    for index, slot in enumerate(inputs):
        if slot.type == wanted:
            return index
    return next((index for index, slot in enumerate(inputs) if _fits(slot, given, wanted)), None)


def _fits(slot: Slot, given: str, wanted: str) -> bool:
    return fit(slot.type, given) and fit(slot.type, wanted)


def fit(one: str, other: str) -> bool:
    """Whether a wire may join two types; a type may be several, with commas between."""
    if one == other or ANY in (one, other):
        return True
    if max(len(one), len(other)) > LONGEST_TYPE:
        return False
    return not set(one.lower().split(",")).isdisjoint(other.lower().split(","))


def _name(node: Placed) -> str:
    """What a SetNode or GetNode calls the wire that both stand for."""
    values = node.shape.node.values
    return plain_text(values[0]) if isinstance(values, list) and values else ""


def _own_value(at: _At) -> Given | None:
    """What a subgraph's node gives at an input where no wire brings anything."""
    if at.node.inside is None or not 0 <= at.slot < len(at.node.shape.inputs):
        return None
    value = at.node.values.get(at.node.shape.inputs[at.slot].name, ABSENT)
    return None if value is ABSENT else Given(value)
