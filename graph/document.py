"""Document: a workflow as it was sent, its form read and nothing else checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Link:
    """A wire: output number `output` of node `node`."""

    node: str
    output: int


@dataclass(frozen=True, slots=True)
class BadLink:
    """A list where a link should be that is none."""

    value: Any


@dataclass(frozen=True, slots=True)
class DocumentNode:
    """A node as it was sent. Inputs are Link, BadLink or the literal value itself."""

    class_type: str
    inputs: Mapping[str, Any]
    is_changed: Any = None  # what a server that ran this document before found its change function to give
    display_id: str | None = None  # of a node that another one made: the node that stands for it in the editor


@dataclass(frozen=True, slots=True)
class Document:
    """A workflow. `classes` are those that it brings along, by class_type, when it was built in Python."""

    nodes: Mapping[str, DocumentNode]
    prompt: Mapping[str, Any]  # the API form itself, which results carry as their recipe
    extra_pnginfo: Mapping[str, Any] = field(default_factory=dict)  # e.g. {"workflow": the editor's form}
    classes: Mapping[str, Any] = field(default_factory=dict)  # of type[Node]
    notes: tuple[str, ...] = field(default=(), compare=False)  # sentences on what was odd, or left out, as it was read
