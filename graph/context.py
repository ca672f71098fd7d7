"""What a running node may do to the world: report progress, notice cancelling, show results, find files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from graph.paths import Paths, Where
from graph.saving import Series

T = TypeVar("T")
RUNNING: ContextVar[tuple[str, str]] = ContextVar("running", default=("", ""))
"""The run and the node that this thread or task is at, "" for none: for logs."""


class Cancelled(BaseException):
    """The run was cancelled. No `Exception`, so that a node that catches errors does not swallow it."""


class LiveGraph(Protocol):
    """The nodes of a run, by the id under which each runs."""

    def ids(self) -> Sequence[str]:
        """All of them: those of the document, then those that other nodes made."""

    def node(self, node_id: str) -> Mapping[str, Any]:
        """A node in API form: class_type and inputs. Raises KeyError if there is none of that id."""

    def parent(self, node_id: str) -> str | None:
        """The node that made it, None for a node of the document."""

    def display(self, node_id: str) -> str:
        """The node of the document that stands for it."""


class Context(Protocol):
    """Given to `Node.run` and to a Stepper's `start`; belongs to one node of one run."""

    @property
    def node_id(self) -> str:
        """Id of the running node in its document."""

    @property
    def call(self) -> int:
        """Which of the node's calls this is, where there are several because of lists on its wires: from 0."""

    @property
    def prompt(self) -> Mapping[str, Any]:
        """The whole workflow in API form, with its values converted; what a picture carries as its recipe."""

    @property
    def extra_pnginfo(self) -> Mapping[str, Any]:
        """Further metadata to save with results, such as `workflow`; empty if there is none."""

    @property
    def live(self) -> LiveGraph:
        """The workflow as it is now, with the nodes that other nodes made while it ran."""

    @property
    def paths(self) -> Paths:
        """The one resolver of file names."""

    def progress(self, value: float, total: float, preview: object | None = None) -> None:
        """Report that `value` of `total` units are done. Raises Cancelled when the run is cancelled."""

    def check_cancelled(self) -> None:
        """Raise Cancelled when the run is cancelled."""

    def show(self, key: str, entries: Sequence[Any]) -> None:
        """Add entries to this node's UI output, such as ("images", [{"filename": …, "subfolder": …, "type": …}])."""

    def series(self, prefix: str, where: Where = "output", *, width: int = 0, height: int = 0) -> Series:
        """Numbered names for files to save, see Paths.series(). What is claimed there counts as this node's output."""

    def resource(self, kind: type[T]) -> T:
        """The object of that type that the program was started with. Raises LookupError when there is none."""
