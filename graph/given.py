"""What a node may give, or be given, besides plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graph.document import Document


class Many(tuple[Any, ...]):
    """Several values on one wire, or none. A node that takes them one at a time runs once for each.

    A single one is not wrapped.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Blocked:
    """In the place of a value: whatever takes it does not run, and gives it on. The first such node says `message`."""

    message: str | None = None


@dataclass(frozen=True, slots=True)
class Expansion:
    """More nodes to run in a node's place.

    result: for each output of the node a Link to one of `document`, or of the graph around it, or a value.
    Ids of the document that the graph around has already are an error, unless `local`: then they are the document's
    own, and the engine puts the node's id before each.
    """

    document: Document
    result: tuple[Any, ...]
    local: bool = False


@dataclass(frozen=True, slots=True)
class Again:
    """Given by the node that ends a loop: run what lies between its start and it once more.

    `start`: what the start's inputs shall be: a literal, or the Carried value of one of the ending node's own inputs.
    `done`, `total`: iterations behind, and in all where that is known, for progress.
    """

    start: Mapping[str, Any]
    done: int
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Carried:
    """What the ending node's input of that name was linked to."""

    input: str
