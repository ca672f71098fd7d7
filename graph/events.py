"""What a run tells the world while it goes on, as values. A sink takes them, in any thread, and must be quick.

A node is told apart by `node_id`; `display_id` is the node of the document that stands for it, another one where it
was made by a node while the run went on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins; `node_ids` will run, in about this order."""

    run_id: str
    node_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NodesCached:
    """These nodes need not run: their results are there, or only such results needed them, or an equal node runs.

    `ui` is what those of them showed that showed something, by node id.
    """

    run_id: str
    node_ids: tuple[str, ...]
    ui: Mapping[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodesAdded:
    """A node made others, which run in its place: (id, display id) of each."""

    run_id: str
    parent_id: str
    nodes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class NodeStarted:
    """A node begins to run."""

    run_id: str
    node_id: str
    display_id: str
    class_type: str


@dataclass(frozen=True, slots=True)
class NodeProgress:
    """A node has done `value` of `total` units; `preview` is what it has so far, in whatever form it gives."""

    run_id: str
    node_id: str
    display_id: str
    value: float
    total: float
    preview: object | None


@dataclass(frozen=True, slots=True)
class NodeFinished:
    """A node is done; `ui` is what it showed, `seconds` the time its lane spent on it, `files` what it saved."""

    run_id: str
    node_id: str
    display_id: str
    ui: Mapping[str, Sequence[Any]]
    seconds: float
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeFailed:
    """A node raised an error; what needs its outputs will not run, the rest goes on."""

    run_id: str
    node_id: str
    display_id: str
    class_type: str
    error: BaseException
    message: str  # a sentence with node, class and error


@dataclass(frozen=True, slots=True)
class NodeBlocked:
    """A node did not run, since something that it takes was blocked with this message."""

    run_id: str
    node_id: str
    display_id: str
    class_type: str
    message: str


@dataclass(frozen=True, slots=True)
class NodeWarned:
    """A node did what it may not, and was helped out: a sentence with node, class and what."""

    run_id: str
    node_id: str
    display_id: str
    class_type: str
    message: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run is over: every target done, some failed, or cancelled."""

    run_id: str
    status: Literal["succeeded", "failed", "cancelled"]
    seconds: float


Event = (
    RunStarted
    | NodesCached
    | NodesAdded
    | NodeStarted
    | NodeProgress
    | NodeFinished
    | NodeFailed
    | NodeBlocked
    | NodeWarned
    | RunFinished
)
Sink = Callable[[Event], None]
