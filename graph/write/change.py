"""Changes to a workflow of the editor; each names a node of the prompt that it is sent as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graph.document import DocumentNode, Link


@dataclass(frozen=True)
class Gone:
    """A node that the workflow shall not have."""

    name: str


@dataclass(frozen=True)
class New:
    """A node that it lacks."""

    name: str
    node: DocumentNode
    title: str


@dataclass(frozen=True)
class Retitle:
    """Another title."""

    name: str
    title: str


@dataclass(frozen=True)
class Set:
    """Another value."""

    name: str
    key: str
    value: Any


@dataclass(frozen=True)
class Relink:
    """A wire from elsewhere."""

    name: str
    key: str
    link: Link


@dataclass(frozen=True)
class Drop:
    """An input that is not given."""

    name: str
    key: str


Change = Gone | New | Retitle | Set | Relink | Drop
